"""Lexical similarity: how alike a model's draws are, word by word (Fomicheva et al. 2020; Lin et al. 2023).

The mean over all pairs of draws of the F measure of ROUGE-L, without stemming (Kuhn et al. 2023 use it so; Fomicheva
et al. METEOR). Draws that are equal as texts have 1, those of punctuation alone too. In [0, 1], higher is *more*
certain; as an uncertainty it is `1 - value`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from halueval.scorers.rouge import RougeL


def lexical_similarity(draws: Sequence[str], *, language: str = "en") -> float:
    """Mean pairwise ROUGE-L F of the draws, equal ones included.

    Raises:
        ValueError: fewer than two draws.
    """
    if len(draws) < 2:
        raise ValueError(f"{len(draws)} draws; a pair needs two")
    rouge = RougeL(language=language)
    counts = Counter(text.strip() for text in draws)
    same = [count * (count - 1) / 2 for count in counts.values()]
    apart = [counts[a] * counts[b] * rouge.f_measure(a, b) for a, b in combinations(sorted(counts), 2)]
    return math.fsum([*same, *apart]) / math.comb(len(draws), 2)
