"""Parts of an annotated set that are looked at on their own: by type of error, and by length in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from halueval.annotated.sets import AnnotatedRow
from halueval.sentences import sentences

Masks = dict[str, NDArray[np.bool_]]
MOST_SENTENCES = 4
"""Claims of so many sentences and more are one stratum."""


def error_type_masks(rows: Sequence[AnnotatedRow]) -> Masks:
    """For each type, the most frequent first: inconsistent rows that have it, and all consistent ones."""
    kinds = Counter(kind for row in rows for kind in row.error_types)
    return {
        kind: np.array([row.consistent or kind in row.error_types for row in rows], dtype=bool)
        for kind in sorted(kinds, key=lambda kind: (-kinds[kind], kind))
    }


def sentence_masks(rows: Sequence[AnnotatedRow], language: str = "en") -> Masks:
    """Rows whose claim has one sentence, two, three, and four or more."""
    counts = np.array([min(max(len(sentences(row.claim, language)), 1), MOST_SENTENCES) for row in rows], dtype=int)
    return {f"{k}{'+' if k == MOST_SENTENCES else ''}": counts == k for k in sorted({int(c) for c in counts})}
