"""Paired data whose true difference is known, each compared as `halueval diff` compares it by default.

A case draws n pairs (or n clusters of pairs) and hands back the interval and the p-value that the comparison gives:
through `compare_values`, `compare_tables`, `compare_statistics`, `compare_ece`, `rate` and `macro_mean`, with the
aggregation of the scorers themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halueval.compare.drift import compare_ece
from halueval.compare.figures import (
    Clusters,
    Engine,
    compare_statistics,
    compare_tables,
    compare_values,
    make_clusters,
)
from halueval.compare.recipes import mean_of_table, mean_table
from halueval.compare.table import macro_mean
from halueval.compare.transitions import rate
from halueval.scorers.base import TableScorer
from halueval.scorers.catalog import create
from halueval.scorers.likelihood import weighted_auroc

FloatArray = NDArray[np.float64]
Rng = np.random.Generator
Pairs = tuple[FloatArray, FloatArray, Clusters]
Compared = Mapping[str, Any]
"""Something with `ci_low`, `ci_high` and, but for rates and summaries, `p_value`."""

N_CLASSES = 3
N_TASKS = 4


@dataclass(frozen=True)
class Case:
    """Data of one kind. `compare(rng, n, engine)` draws a set and compares; `truth(n)` is what its interval is of."""

    name: str
    compare: Callable[[Rng, int, Engine], Compared]
    truth: Callable[[int], float]
    slow: bool = False
    """Costs milliseconds a set, and gets a third of the sets."""


def alone(n: int) -> Clusters:
    """N pairs, each a cluster of its own."""
    return Clusters(None, n)


def of_means(name: str, pairs: Callable[[Rng, int], Pairs], truth: float) -> Case:
    """Means of a value of each pair; 0/1 values of single pairs go to Newcombe and McNemar, as in a comparison."""
    return Case(name, lambda rng, n, engine: compare_values(*pairs(rng, n), engine).figure, lambda _: truth)


def normal(shift: float) -> Callable[[Rng, int], Pairs]:
    """Normal values and normal changes."""

    def pairs(rng: Rng, n: int) -> Pairs:
        base = rng.normal(size=n)
        return base, base + rng.normal(shift, 0.7, size=n), alone(n)

    return pairs


def nats(factor: float) -> Callable[[Rng, int], Pairs]:
    """Skewed: log-likelihoods in nats, each side exponential around a shared difficulty."""

    def pairs(rng: Rng, n: int) -> Pairs:
        hard = rng.gamma(2.0, size=n)
        return hard + rng.exponential(size=n), hard + factor * rng.exponential(size=n), alone(n)

    return pairs


def token_f1(moved: float) -> Callable[[Rng, int], Pairs]:
    """Token F1: half of the answers 0 or 1, and 60 % of the samples alike on both sides."""

    def scores(rng: Rng, n: int, right: float) -> FloatArray:
        kind = rng.random(n)
        return np.where(kind < 0.3, 0.0, np.where(kind < 0.3 + right, 1.0, rng.beta(2, 2, size=n).round(2)))

    def pairs(rng: Rng, n: int) -> Pairs:
        base = scores(rng, n, 0.2)
        return base, np.where(rng.random(n) < 0.6, base, scores(rng, n, 0.2 + moved)), alone(n)

    return pairs


def exact_match(gained: float, lost: float) -> Callable[[Rng, int], Pairs]:
    """Right or wrong, single pairs; `gained` and `lost` are the shares of discordant ones."""

    def pairs(rng: Rng, n: int) -> Pairs:
        kind = rng.random(n)
        base = (kind < 0.3) | (kind > 1 - lost)
        return base.astype(float), ((kind < 0.3 + gained) & (kind <= 1 - lost)).astype(float), alone(n)

    return pairs


def any_discordance(rng: Rng, n: int, engine: Engine) -> Compared:
    """Exact match of 10 to 50 % discordant pairs, evenly, all kinds of gain against loss; the truth taken off."""
    discordant, share = rng.uniform(0.1, 0.5), rng.uniform(0.2, 0.8)
    gained = discordant * share
    lost = discordant - gained
    return _moved(compare_values(*exact_match(gained, lost)(rng, n), engine).figure, gained - lost)


def _moved(found: Compared, truth: float) -> Compared:
    """Interval and truth both less the truth, so that cases of many truths can share a row."""
    ends = {key: None if found[key] is None else found[key] - truth for key in ("ci_low", "ci_high")}
    return {**found, **ends}


def sizes(rng: Rng, n: int, *, unequal: bool) -> NDArray[np.intp]:
    """The cluster of each sample: 1 to 6 in each of n, or 2 to 60, most of them small."""
    if unequal:
        return np.repeat(np.arange(n), np.exp(rng.uniform(math.log(2), math.log(60), size=n)).round().astype(int))
    return np.repeat(np.arange(n), rng.integers(1, 7, size=n))


def named(index: NDArray[np.intp]) -> Clusters:
    """Clusters from their numbers."""
    return make_clusters([str(i) for i in index])


def clustered(shift: float, *, unequal: bool) -> Callable[[Rng, int], Pairs]:
    """Facts, n of them, with their paraphrases, whose differences share half of their variance."""

    def pairs(rng: Rng, n: int) -> Pairs:
        fact = sizes(rng, n, unequal=unequal)
        base = rng.normal(size=n)[fact]
        moved = rng.normal(size=n)[fact] + rng.normal(size=len(fact))
        return base, base + shift + moved, named(fact)

    return pairs


def exact_match_clustered(power: float, *, unequal: bool = False) -> Callable[[Rng, int], Pairs]:
    """Right or wrong, by facts that are hard or easy for either model; 40 % of the answers alike.

    Base right with a chance u, candidate with v^power, u and v uniform over facts.
    """

    def pairs(rng: Rng, n: int) -> Pairs:
        fact = sizes(rng, n, unequal=unequal)
        base = rng.random(len(fact)) < rng.random(n)[fact]
        other = rng.random(len(fact)) < rng.random(n)[fact] ** power
        alike = rng.random(n)[fact] < 0.4
        return base.astype(float), np.where(alike, base, other).astype(float), named(fact)

    return pairs


def abstaining(wrong: tuple[float, float], *, in_clusters: bool) -> Callable[[Rng, int, Engine], Compared]:
    """Hallucination rates: the base answers 70 %, the candidate 90 %; hard ones are shared, by facts if clustered."""
    limits = [NormalDist().inv_cdf(p) for p in (0.7, 0.9, *wrong)]

    def compare(rng: Rng, n: int, engine: Engine) -> Compared:
        fact = sizes(rng, n, unequal=False) if in_clusters else np.arange(n)

        def latent() -> FloatArray:
            own = rng.normal(size=len(fact))
            return (own + rng.normal(size=n)[fact]) / math.sqrt(2) if in_clusters else own

        shared = latent(), latent()
        answered = [(shared[0] + latent()) / math.sqrt(2) < limits[i] for i in (0, 1)]
        is_wrong = [(shared[1] + latent()) / math.sqrt(2) < limits[i] for i in (2, 3)]
        base, candidate = (np.where(a, w.astype(float), np.nan) for a, w in zip(answered, is_wrong, strict=True))
        clusters = named(fact) if in_clusters else alone(n)
        tables = mean_table(base), mean_table(candidate)
        return compare_tables(*tables, mean_of_table, (base, candidate), clusters, engine, is_mean=True).figure

    return compare


def of_scorer(name: str, tables: Callable[[Rng, int], tuple[FloatArray, FloatArray]], truth: float) -> Case:
    """A figure of sums that is no mean, by its own scorer."""
    scorer = create(name)
    assert isinstance(scorer, TableScorer)

    def compare(rng: Rng, n: int, engine: Engine) -> Compared:
        base, candidate = tables(rng, n)
        values = base[:, 0], candidate[:, 0]
        return compare_tables(base, candidate, scorer.finalize, values, alone(n), engine, is_mean=False).figure

    return Case(name if truth == 0 else f"Δ {name}", compare, lambda _: truth)


def classes(better: float) -> Callable[[Rng, int], tuple[FloatArray, FloatArray]]:
    """Three classes of unequal size; sums t, p and g of each, as `scorers.classification` has them."""

    def tables(rng: Rng, n: int) -> tuple[FloatArray, FloatArray]:
        gold = rng.choice(N_CLASSES, size=n, p=[0.5, 0.3, 0.2])
        out = []
        for right in (0.5, 0.5 + better):
            chosen = np.where(rng.random(n) < right, gold, rng.integers(0, N_CLASSES, size=n))
            one_hot = [np.eye(N_CLASSES)[where] for where in (chosen, gold)]
            out.append(np.hstack([one_hot[0] * one_hot[1], *one_hot]))
        return out[0], out[1]

    return tables


def texts(rise: float) -> Callable[[Rng, int], tuple[FloatArray, FloatArray]]:
    """Texts of very unequal length; sums of nats and words."""

    def tables(rng: Rng, n: int) -> tuple[FloatArray, FloatArray]:
        words = rng.lognormal(4, 0.8, size=n).round() + 1
        hard = rng.normal(3, 0.4, size=n)
        sides = (words * (hard + rng.normal(step, spread, size=n)) for step, spread in ((0.0, 0.15), (rise, 0.2)))
        base, candidate = (np.stack([nats_of, words], axis=1) for nats_of in sides)
        return base, candidate

    return tables


def auroc(gain: float) -> Callable[[Rng, int, Engine], Compared]:
    """Margins of both models share 60 % of their variance; half of the samples of class 1."""

    def compare(rng: Rng, n: int, engine: Engine) -> Compared:
        labels = np.arange(n) % 2 == 0
        shared = rng.normal(size=n) * math.sqrt(0.6)
        margins = [shared + rng.normal(size=n) * math.sqrt(0.4) + (1 + step) * labels for step in (0.0, gain)]

        def statistic(side: FloatArray) -> Callable[[FloatArray], FloatArray]:
            return lambda weights: weighted_auroc(side, labels, weights)

        statistics = statistic(margins[0]), statistic(margins[1])
        return compare_statistics(*statistics, (margins[0], margins[1]), alone(n), engine).figure

    return compare


def answers(rng: Rng, n: int, over: tuple[float, float]) -> list[tuple[FloatArray, FloatArray]]:
    """Confidences and right answers of two models too sure by `over`; half of both shared."""
    shared, luck = rng.uniform(0.3, 1.0, size=n), rng.random(n)
    out = []
    for excess in over:
        confidence = np.where(rng.random(n) < 0.5, shared, rng.uniform(0.3, 1.0, size=n))
        own = np.where(rng.random(n) < 0.5, luck, rng.random(n))
        out.append((confidence, (own < confidence - excess).astype(float)))
    return out


def ece_case(name: str, over: tuple[float, float]) -> Case:
    """ECE: the truth is the mean difference of the binned figures at n, from 4,000 sets of their own."""

    def compare(rng: Rng, n: int, engine: Engine) -> Compared:
        (conf_a, right_a), (conf_b, right_b) = answers(rng, n, over)
        return compare_ece((conf_a, conf_b), (right_a, right_b), alone(n), engine)

    @cache
    def truth(n: int) -> float:
        if over[0] == over[1]:
            return 0.0
        rng, engine = np.random.default_rng([9, n]), Engine(n_resamples=2)
        return float(np.mean([compare(rng, n, engine)["delta"] for _ in range(4000)]))

    return Case(name, compare, truth, slow=True)


def any_rate(rng: Rng, n: int, _: Engine) -> Compared:
    """A rate of 5 to 95 %, evenly; the truth taken off."""
    p = rng.uniform(0.05, 0.95)
    return _moved(rate(rng.random(n) < p, np.ones(n, dtype=bool), alone(n)), p)


def one_rate(p: float) -> Callable[[Rng, int, Engine], Compared]:
    """A rate of single samples."""
    return lambda rng, n, _: rate(rng.random(n) < p, np.ones(n, dtype=bool), alone(n))


def rate_clustered(p: float) -> Callable[[Rng, int, Engine], Compared]:
    """Induced rate of facts with paraphrases: the facts' own rates vary (intraclass correlation 1/4); 60 % eligible."""

    def compare(rng: Rng, n: int, _: Engine) -> Compared:
        fact = sizes(rng, n, unequal=False)
        among = rng.random(len(fact)) < 0.6
        hits = among & (rng.random(len(fact)) < rng.beta(3 * p, 3 * (1 - p), size=n)[fact])
        return rate(hits, among, named(fact))

    return compare


def summary(rng: Rng, n: int, engine: Engine) -> Compared:
    """Macro mean over four tasks of n pairs: three right-or-wrong ones and token F1."""
    kinds = [exact_match(0.06, 0.02), exact_match(0.1, 0.1), exact_match(0.2, 0.1), token_f1(0.2)]
    figures = [compare_values(*pairs(rng, n), engine).figure for pairs in kinds]
    made = macro_mean(figures, [1.0] * N_TASKS)
    assert made is not None
    return dict(made)


@lru_cache(maxsize=1)
def cases() -> tuple[Case, ...]:
    """With an effect, for coverage. The truth of macro F1 is that of two million draws."""
    scorer = create("macro_f1")
    assert isinstance(scorer, TableScorer)
    base, candidate = (t.sum(axis=0, keepdims=True) for t in classes(0.15)(np.random.default_rng(99), 2_000_000))
    gap = float((scorer.finalize(candidate) - scorer.finalize(base))[0])
    gain = NormalDist().cdf(1.5 / math.sqrt(2)) - NormalDist().cdf(1 / math.sqrt(2))
    match = 0.6 * (1 / 1.7 - 0.5)
    return (
        of_means("Δ mean, normal", normal(0.3), 0.3),
        of_means("Δ mean, nats (skewed)", nats(1.5), 0.5),
        of_means("Δ token F1", token_f1(0.2), 0.4 * 0.2 * (1 - 0.5)),
        of_means("Δ mean, clusters of 1 to 6", clustered(0.3, unequal=False), 0.3),
        of_means("Δ mean, clusters of 2 to 60", clustered(0.3, unequal=True), 0.3),
        of_means("Δ exact match, clusters of 1 to 6", exact_match_clustered(0.7), match),
        of_means("Δ exact match, clusters of 2 to 60", exact_match_clustered(0.7, unequal=True), match),
        Case("Δ exact match, single, 10 to 50 % discordant", any_discordance, lambda _: 0.0),
        of_means("Δ exact match, single, 8 % discordant", exact_match(0.06, 0.02), 0.04),
        Case("Δ hallucination rate, 30 → 40 %", abstaining((0.3, 0.4), in_clusters=False), lambda _: 0.1),
        Case("Δ hallucination rate, 5 → 10 %", abstaining((0.05, 0.1), in_clusters=False), lambda _: 0.05),
        Case("Δ hallucination rate, clusters of 1 to 6", abstaining((0.3, 0.4), in_clusters=True), lambda _: 0.1),
        of_scorer("macro_f1", classes(0.15), gap),
        of_scorer("word_perplexity", texts(0.1), math.exp(3.1) - math.exp(3.0)),
        Case("Δ AUROC", auroc(0.5), lambda _: gain, slow=True),
        ece_case("Δ ECE, both too sure by .1", (0.1, 0.1)),
        ece_case("Δ ECE, both too sure by .2", (0.2, 0.2)),
        ece_case("Δ ECE, one calibrated, one too sure by .2", (0.0, 0.2)),
        ece_case("Δ ECE, both calibrated", (0.0, 0.0)),
        Case("rate, 5 to 95 %", any_rate, lambda _: 0.0),
        Case("rate, 5 %", one_rate(0.05), lambda _: 0.05),
        Case("rate, 30 %", one_rate(0.3), lambda _: 0.3),
        Case("rate, 30 %, clusters of 1 to 6", rate_clustered(0.3), lambda _: 0.3),
        Case("rate, 5 %, clusters of 1 to 6", rate_clustered(0.05), lambda _: 0.05),
        Case("summary of four tasks", summary, lambda _: (0.04 + 0.0 + 0.1 + 0.04) / N_TASKS),
    )


def null_cases() -> tuple[Case, ...]:
    """Without an effect, for false positives."""
    return (
        of_means("mean, normal", normal(0.0), 0.0),
        of_means("mean, nats (skewed)", nats(1.0), 0.0),
        of_means("token F1", token_f1(0.0), 0.0),
        of_means("mean, clusters of 1 to 6", clustered(0.0, unequal=False), 0.0),
        of_means("mean, clusters of 2 to 60", clustered(0.0, unequal=True), 0.0),
        of_means("exact match, clusters of 1 to 6", exact_match_clustered(1.0), 0.0),
        of_means("exact match, single, 10 % discordant", exact_match(0.05, 0.05), 0.0),
        of_means("exact match, single, 30 % discordant", exact_match(0.15, 0.15), 0.0),
        Case("hallucination rate, both 30 %", abstaining((0.3, 0.3), in_clusters=False), lambda _: 0.0),
        of_scorer("macro_f1", classes(0.0), 0.0),
        of_scorer("word_perplexity", texts(0.0), 0.0),
        Case("AUROC", auroc(0.0), lambda _: 0.0, slow=True),
        ece_case("ECE, both too sure by .1", (0.1, 0.1)),
        ece_case("ECE, both too sure by .2", (0.2, 0.2)),
        ece_case("ECE, both calibrated", (0.0, 0.0)),
    )
