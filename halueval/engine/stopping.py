"""Stop strings and end tokens: when an answer is over, found as it grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]

BYTES_PER_CHARACTER = 4
"""UTF-8 needs at most so many, and some tokenizers write each into a token of its own."""


def cut_at_stop(text: str, until: Sequence[str]) -> tuple[str, bool]:
    """`text` before the earliest stop string, and whether there was one."""
    positions = [p for p in (text.find(stop) for stop in until if stop) if p >= 0]
    return (text[: min(positions)], True) if positions else (text, False)


def tail_length(until: Sequence[str]) -> int:
    """Tokens from the end that are sure to hold a stop string which the last token has completed.

    Every token writes a byte at least. The few on top let a character or a space that begins outside be
    written whole.
    """
    return BYTES_PER_CHARACTER * max((len(stop) for stop in until), default=0) + 4


def stops(ids: Sequence[int], until: Sequence[str], decode: Decode) -> bool:
    """Whether the last token completed a stop string.

    The end of the answer is decoded, not its last token: a stop string may span tokens, and a tokenizer may
    write a character's bytes into several.

    Args:
        ids: tokens so far, none of which completed one before the last.
        until: stop strings.
        decode: ids to text, special tokens left out.
    """
    if not until:
        return False
    return cut_at_stop(decode(ids[-tail_length(until) :]), until)[1]


def kept_tokens(ids: Sequence[int], text: str, decode: Decode) -> int:
    """Fewest tokens that still write all of `text`, taken from the end: the stop string's tokens are not counted.

    The stop string was found when its last token came, so no more than a few tokens are looked at. Halving would be
    wrong: an unfinished character is written as a mark that the next token takes back.
    """
    kept = len(ids)
    while kept and decode(ids[: kept - 1]).startswith(text):
        kept -= 1
    return kept
