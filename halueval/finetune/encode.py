"""From examples to token ids, framed as halueval frames the same texts when it evaluates.

A prompt and its completion are tokenised as one text and the loss is over the completion's tokens alone, so that
what is learnt is exactly what is scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halueval.backends.texts import Texts
from halueval.engine.encoding import UnscorableError, encode_pair
from halueval.errors import DataError
from halueval.finetune.examples import Example
from halueval.schema import ClassificationRequest, LoglikelihoodRequest

Features = dict[str, Any]
"""`input_ids` and `labels` (-100 where there is no loss), and what the architecture needs beside them."""

NO_LOSS = -100


class TooLongError(DataError):
    """An example that exceeds what the model or the recipe takes."""


def encode_examples(
    examples: Sequence[Example],
    texts: Texts,
    *,
    max_length: int | None,
    labels: Mapping[str, int] | None = None,
    drop_too_long: bool = False,
) -> list[Features]:
    """Token ids of every example.

    Args:
        examples: at least one.
        texts: the model's tokenizer and window.
        max_length: longest example in tokens; None means the model's window.
        labels: index of each class, for a classifier.
        drop_too_long: leave examples out that are too long, in place of refusing them.

    Returns:
        Features in the order of the examples.

    Raises:
        TooLongError: an example longer than `max_length` or the window. Nothing is cut: an answer without its end
            would be learnt.
        DataError: an example that is empty or of a class that the head does not have, or none that is left.
            The line names the example.
    """
    out = []
    for number, example in enumerate(examples, 1):
        where = f"training example {number} ({_shown(example)})"
        try:
            out.append(_encode(example, texts, max_length, labels, where))
        except TooLongError:
            if not drop_too_long:
                raise
        except UnscorableError as error:
            raise DataError(f"{where}: {error}") from error
    if examples and not out:
        raise DataError(f"all {len(examples)} examples are too long for the model's window or max_length")
    return out


def _encode(
    example: Example, texts: Texts, max_length: int | None, labels: Mapping[str, int] | None, where: str
) -> Features:
    if labels is not None:
        features, cut = _classified(example, texts, labels, where)
    elif texts.architecture == "seq2seq":
        features, cut = _seq2seq(example, texts, where)
    else:
        features, cut = _causal(example, texts), 0
    longest = cut + max(len(features["input_ids"]), len(features.get("decoder_input_ids", ())))
    limit = texts.window if max_length is None else min(max_length, texts.window)
    if longest > limit:
        name = f"max_length is {limit}" if limit == max_length else f"the model's window holds {limit}"
        raise TooLongError(f"{where}: {longest} tokens, and {name}; shorten it, or leave it out with too_long: drop")
    return features


def _shown(example: Example) -> str:
    text = " ".join((example.question or example.prompt or example.completion).split())
    return repr(text if len(text) <= 50 else text[:47] + "…")


def _causal(example: Example, texts: Texts) -> Features:
    if not example.prompt:
        ids = texts.encode(example.completion)
        if not ids:
            raise UnscorableError("empty text")
        head = texts.prefix or [texts.bare_prefix]
        return {"input_ids": [*head, *ids], "labels": [*[NO_LOSS] * len(head), *ids]}
    context, prefix = texts.context(example.prompt)
    head, tail = encode_pair(texts.encode, context, example.completion, prefix=prefix, bare_prefix=texts.bare_prefix)
    return {"input_ids": [*head, *tail], "labels": [*[NO_LOSS] * len(head), *tail]}


def _seq2seq(example: Example, texts: Texts, where: str) -> tuple[Features, int]:
    if not example.prompt.strip() or not example.completion.strip():
        raise UnscorableError("an encoder-decoder needs a prompt and a completion")
    try:
        source, target = texts.source_and_target(LoglikelihoodRequest(example.prompt, example.completion))
    except UnscorableError as error:
        raise TooLongError(f"{where}: {error}") from error
    cut = texts.source(example.prompt)[1]
    ids = list(target.ids[1:])
    lead = len(ids) - target.num_scored
    labels = [*[NO_LOSS] * lead, *ids[lead:]]
    return {"input_ids": source, "decoder_input_ids": list(target.ids[:-1]), "labels": labels}, cut


def _classified(example: Example, texts: Texts, labels: Mapping[str, int], where: str) -> tuple[Features, int]:
    if example.label is None or example.label not in labels:
        raise DataError(f"{where}: class {example.label!r} is none of the head's: {', '.join(labels)}")
    if not example.prompt.strip():
        raise UnscorableError("empty text")
    encoded, cut = texts.classified(ClassificationRequest(example.prompt, example.text_pair))
    return {**encoded, "labels": labels[example.label]}, cut


def num_target_tokens(features: Sequence[Features]) -> int:
    """Tokens that the loss is over; for a classifier the number of examples."""
    total = 0
    for feature in features:
        labels = feature["labels"]
        total += 1 if isinstance(labels, int) else sum(token != NO_LOSS for token in labels)
    return total
