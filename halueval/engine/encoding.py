"""From texts to token rows: where a continuation begins, what is cut, and how a long text is windowed.

A row is a token list of which the last `num_scored` are scored, each given everything before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Encode = Callable[[str], list[int]]


class UnscorableError(ValueError):
    """One text that cannot be scored, though others can: nothing in it, or more than the window holds."""


@dataclass(frozen=True, slots=True)
class Row:
    """Token ids of one scored text.

    Attributes:
        ids: context and continuation; at least one token stands before the first scored one.
        num_scored: how many of the last ids are scored.
        num_truncated: context tokens dropped from the left to fit the window.
    """

    ids: tuple[int, ...]
    num_scored: int
    num_truncated: int = 0

    @property
    def fed(self) -> tuple[int, ...]:
        """What goes through the network: all but the last id, which is only predicted."""
        return self.ids[:-1]


UNKNOWN = -1
"""Stands where the first generated token will be."""


def prompt_row(ids: Sequence[int], num_truncated: int = 0) -> Row:
    """A prompt to generate from as a row: all of it is fed, nothing is scored."""
    return Row((*ids, UNKNOWN), 0, num_truncated)


def split_at_join(whole: Sequence[int], context: Sequence[int]) -> int:
    """Index into `whole` at which the continuation begins.

    Usually the context's tokens are a prefix of the whole, and the continuation is the rest. Where the
    tokenizer merges the context's last characters with the continuation's first, the merged token
    belongs to the continuation: it is the first token that could not be written without it. So the
    continuation is never empty (elsewhere that case aborts the run).
    """
    common = 0
    for a, b in zip(whole, context, strict=False):
        if a != b:
            break
        common += 1
    return min(common, len(whole) - 1)


def encode_pair(
    encode: Encode, context: str, continuation: str, *, prefix: Sequence[int], bare_prefix: int
) -> tuple[list[int], list[int]]:
    """Tokens of a context and of its continuation, tokenised as one text.

    White space at the end of the context is scored with the continuation, as lm-evaluation-harness does:
    most tokenizers write it into the next token.

    Args:
        encode: text to ids, without special tokens.
        context: may be empty.
        continuation: not empty.
        prefix: special tokens that the tokenizer puts before every text (BOS, or nothing).
        bare_prefix: token that stands for an empty context when there is no `prefix`.

    Raises:
        UnscorableError: the continuation is empty, or tokenises to nothing.
    """
    stripped = context.rstrip()
    continuation = context[len(stripped) :] + continuation
    if not continuation:
        raise UnscorableError("empty continuation")
    whole = encode(stripped + continuation)
    if not whole:
        raise UnscorableError("continuation without a token")
    start = split_at_join(whole, encode(stripped)) if stripped else 0
    head = [*prefix, *whole[:start]]
    return (head or [bare_prefix]), whole[start:]


def pair_row(head: Sequence[int], tail: Sequence[int], *, window: int, num_prefix: int) -> Row:
    """One scored row, cut from the left of the context where it exceeds the window.

    The last token is scored but never fed, so `window + 1` ids fit. The `num_prefix` special tokens at
    the front stay: a model that was trained with BOS misbehaves without it.

    Raises:
        UnscorableError: the continuation alone exceeds the window.
    """
    room = window + 1 - len(tail)
    if room < 1:
        raise UnscorableError(f"continuation of {len(tail)} tokens exceeds the model's window of {window}")
    excess = max(len(head) - room, 0)
    if excess:
        kept = min(num_prefix, room - 1)
        head = [*head[:kept], *head[kept + excess :]]
    return Row((*head, *tail), len(tail), excess)


def rolling_rows(ids: Sequence[int], *, prefix: int, window: int) -> list[Row]:
    """Disjoint windows over a text: every token is scored exactly once.

    The first window is led by the prefix token. Each later window scores the next `window` tokens with
    one token of context, except the last, which is filled up with earlier tokens as context so that it
    also has `window` inputs (lm-evaluation-harness, `get_rolling_token_windows` with context length 1).

    Args:
        ids: tokens of the whole text; empty gives no rows.
        prefix: token before the first one (BOS, else EOS).
        window: tokens that the model can be fed.
    """
    rows: list[Row] = []
    if not ids:
        return rows
    first = min(window, len(ids))
    rows.append(Row((prefix, *ids[:first]), first))
    done = first
    while done < len(ids):
        size = min(len(ids) - done, window)
        end = done + size
        rows.append(Row(tuple(ids[end - window - 1 : end]), size))
        done = end
    return rows
