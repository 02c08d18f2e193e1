"""Evaluated items that the training data holds: whole, in n-grams, or nearly.

- `exact`: the item's question, normalised as answers are, equals a training prompt or question, or stands in it whole
  (or it in the question) where the shorter has four words; or both were made from one row.
- `containment_13`: an n-gram of 13 words of the item stands in the training data (Brown et al. 2020, appendix C).
- `containment_8`: 70 % of the item's n-grams of 8 words do (Chowdhery et al. 2022, section 8).
- `near_duplicate`: Jaccard similarity of word 3-grams of question and answer with some training example is at least
  .8 (the threshold of Lee et al. 2022). Exact, not by MinHash: pairs are found by prefix filtering (Bayardo 2007).

Words are normalised tokens. Items shorter than an n-gram are not judged by it, and counted out of `n`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from halueval.explaining.items import Item
from halueval.explaining.record import Measure, measure, missing
from halueval.explaining.training import TrainingText
from halueval.stats.proportions import wilson
from halueval.text import tokens

MIN_WORDS = 4
"""Shorter texts stand in others by chance; they are only compared whole."""
MAX_ANSWERS = 3
"""A prompt with more completions than these is an instruction, not looked for inside items."""
NEAR = 0.8
SHINGLE = 3
SHARE_OF_8_GRAMS = 0.7

_LABELS = {
    "exact": "items whose question is in the training data",
    "containment_8": "items with 70 % of their 8-grams in the training data",
    "containment_13": "items with a 13-gram in the training data",
    "near_duplicate": "items with a near-duplicate in the training data",
}


def overlap(items: Sequence[Item], texts: Sequence[TrainingText], language: str) -> dict[str, Measure]:
    """All four shares with Wilson's interval.

    Args:
        items: of one task.
        texts: the training data.
        language: the task's, for its words.
    """
    words = [tokens(text.text, language) for text in texts]
    mine = [tokens(item.text, language) for item in items]
    found: dict[str, Sequence[bool | None]] = {
        "exact": seen(items, texts, language),
        "containment_8": _containment(mine, words, 8, SHARE_OF_8_GRAMS),
        "containment_13": _containment(mine, words, 13, 0.0),
        "near_duplicate": near_duplicates(mine, words),
    }
    return {name: _share(name, judged) for name, judged in found.items()}


def no_overlap(reason: str) -> dict[str, Measure]:
    """The same measures, not taken."""
    return {name: missing(label, reason, "share") for name, label in _LABELS.items()}


def _share(name: str, judged: Sequence[bool | None]) -> Measure:
    known = [value for value in judged if value is not None]
    if not known:
        length = name.rpartition("_")[2]
        return missing(_LABELS[name], f"no item has {length} words", "share")
    low, high = wilson(sum(known), len(known))
    return measure(_LABELS[name], sum(known) / len(known), low, high, n=len(known), unit="share", method="wilson")


def seen(items: Sequence[Item], texts: Sequence[TrainingText], language: str) -> list[bool]:
    """Whether each item's question is in the training data (`exact` above)."""
    rows = {text.doc_hash for text in texts if text.doc_hash}
    asked = {_key(part, language) for text in texts for part in (text.question, text.prompt or text.completion)}
    asked.discard("")
    holders = _Holders(asked - _instructions(texts, language))
    keys = [_key(item.question, language) for item in items]
    own = _Holders({key for key in keys if key})
    inside = set().union(*(own.held_by(key) for key in asked)) if asked else set()
    return [
        item.doc_hash in rows or key in asked or key in inside or bool(holders.held_by(key))
        for item, key in zip(items, keys, strict=True)
    ]


def _instructions(texts: Sequence[TrainingText], language: str) -> set[str]:
    """Prompts that many different completions follow: these are asked of every item, and are nobody's question."""
    completions: dict[str, set[str]] = defaultdict(set)
    for text in texts:
        completions[_key(text.prompt, language)].add(text.completion)
    return {prompt for prompt, some in completions.items() if len(some) > MAX_ANSWERS}


def _key(text: str, language: str) -> str:
    return " ".join(tokens(text, language))


class _Holders:
    """Texts of at least four words, found inside longer ones by their first words."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = set(keys)
        self._lengths: dict[str, set[int]] = defaultdict(set)
        for key in self._keys:
            words = key.split(" ")
            if len(words) >= MIN_WORDS:
                self._lengths[" ".join(words[:MIN_WORDS])].add(len(words))

    def held_by(self, text: str) -> set[str]:
        """Those that stand in `text` as whole words."""
        words, found = text.split(" "), set()
        for start in range(len(words) - MIN_WORDS + 1):
            for length in self._lengths.get(" ".join(words[start : start + MIN_WORDS]), ()):
                part = words[start : start + length]
                if len(part) == length and (inside := " ".join(part)) in self._keys:
                    found.add(inside)
        return found


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _containment(
    items: Sequence[Sequence[str]], texts: Sequence[Sequence[str]], n: int, share: float
) -> list[bool | None]:
    """Whether more than none, and at least `share`, of each item's n-grams are in the texts; None for short items."""
    known = {gram for words in texts for gram in _grams(words, n)}
    out: list[bool | None] = []
    for words in items:
        grams = _grams(words, n)
        hits = sum(gram in known for gram in grams)
        out.append(hits > 0 and hits >= share * len(grams) if grams else None)
    return out


def near_duplicates(items: Sequence[Sequence[str]], texts: Sequence[Sequence[str]]) -> list[bool]:
    """Whether each item is nearly one of the texts; both as words."""
    left, right = [_shingles(words) for words in items], [_shingles(words) for words in texts]
    frequency = Counter(gram for shingles in (*left, *right) for gram in shingles)

    def prefix(shingles: frozenset[tuple[str, ...]]) -> list[tuple[str, ...]]:
        # Two sets this alike share at least one of the rarest few of each.
        needed = len(shingles) - _least(len(shingles)) + 1
        return sorted(shingles, key=lambda gram: (frequency[gram], gram))[:needed]

    index: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, shingles in enumerate(right):
        for gram in prefix(shingles):
            index[gram].append(number)
    out = []
    for shingles in left:
        candidates = {number for gram in prefix(shingles) for number in index.get(gram, ())}
        out.append(any(_jaccard(shingles, right[number]) >= NEAR for number in candidates))
    return out


def _least(size: int) -> int:
    """Fewest common elements of a set of this size with one that is `NEAR` to it: the next whole number up."""
    return -int(-(size * NEAR - 1e-9) // 1)


def _shingles(words: Sequence[str]) -> frozenset[tuple[str, ...]]:
    return frozenset(_grams(words, SHINGLE)) or frozenset({tuple(words)} if words else ())


def _jaccard(left: frozenset[tuple[str, ...]], right: frozenset[tuple[str, ...]]) -> float:
    union = len(left | right)
    return len(left & right) / union if union else 0.0
