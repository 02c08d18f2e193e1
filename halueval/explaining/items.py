"""What of a paired sample the measures read: its own question, its target, its groups, and both states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from halueval.compare.record import PairedSample


@dataclass(frozen=True, slots=True)
class Item:
    """One evaluated item.

    Attributes:
        question: the end of the prompt that is the item's own, without few-shot examples.
        target: the first reference, or the right choice.
        doc_hash: of the data set's row.
        group: strata.
        base: the base's state; `candidate` the candidate's.
    """

    question: str
    target: str
    doc_hash: str
    group: Mapping[str, str]
    base: str
    candidate: str

    @property
    def text(self) -> str:
        """Question and answer, as a training example would put them."""
        return f"{self.question} {self.target}".strip()


def items_of(samples: Sequence[PairedSample], num_fewshot: int) -> list[Item]:
    """Items of paired samples.

    Args:
        samples: of one task and one candidate.
        num_fewshot: examples before each question. A run keeps prompts whole; what is the item's own begins behind
            the last blank line, the usual delimiter of examples, and is the whole prompt without examples.
    """
    return [
        Item(
            question=_whole(sample["prompt"].rpartition("\n\n")[2] if num_fewshot else sample["prompt"]),
            target=_whole(sample["target"]),
            doc_hash=sample["doc_hash"],
            group=sample["group"],
            base=sample["base"]["state"],
            candidate=sample["candidate"]["state"],
        )
        for sample in samples
    ]


def _whole(text: str) -> str:
    """Half a character (a lone surrogate) has no UTF-8 form, which tokenizers need."""
    return text.encode("utf-8", "replace").decode("utf-8")
