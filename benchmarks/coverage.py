"""How often the 95 % intervals hold the truth, and how often the tests cry wolf, by simulation.

    python benchmarks/coverage.py > benchmarks/coverage.md

Prints Markdown tables. Every data set is drawn anew; the truth is known by construction (for macro F1, from two
million draws).
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from halueval.stats import bootstrap, paired, proportions
from halueval.stats.calibration import assign_bins, ece_of_sums, ece_table
from halueval.stats.intervals import percentile_interval
from halueval.stats.special import student_t_quantile

FloatArray = NDArray[np.float64]
SETS = {30: 3000, 100: 2000, 500: 700}
"""Data sets for each number of samples or clusters; closed forms are cheap and get ten times as many."""
N_CLASSES = 3
ALPHA = 0.05


@dataclass(frozen=True)
class Case:
    """A way to draw paired data whose figure differs by `truth`.

    `draw(rng, n)` gives the two tables and the clusters; n counts clusters where there are some.
    """

    name: str
    draw: Callable[[np.random.Generator, int], tuple[FloatArray, FloatArray, list[str] | None]]
    finalize: Callable[[FloatArray], FloatArray]
    truth: float
    is_mean: bool = True


def mean(sums: FloatArray) -> FloatArray:
    """Weighted mean of a table (value, 1); NaN where nothing was drawn."""
    out = np.full(len(sums), np.nan)
    np.divide(sums[:, 0], sums[:, 1], out=out, where=sums[:, 1] > 0)
    return out


def column(values: FloatArray) -> FloatArray:
    """The table of a mean."""
    return np.stack([np.asarray(values, dtype=np.float64), np.ones(len(values))], axis=1)


def macro_f1(sums: FloatArray) -> FloatArray:
    """Macro F1 of sums (true positives, predicted, actual) of each class; an absent class counts 0."""
    hits, predicted, actual = sums[:, 0::3], sums[:, 1::3], sums[:, 2::3]
    return np.asarray((2 * hits / np.maximum(predicted + actual, 1)).mean(axis=1))


def class_table(labels: NDArray[np.int64], answers: NDArray[np.int64]) -> FloatArray:
    """The table of `macro_f1`."""
    parts = []
    for k in range(N_CLASSES):
        parts += [(labels == k) & (answers == k), answers == k, labels == k]
    return np.stack(parts, axis=1).astype(np.float64)


def _mean_case(
    name: str, pairs: Callable[[np.random.Generator, int], tuple[FloatArray, FloatArray]], truth: float
) -> Case:
    def draw(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray, None]:
        a, b = pairs(rng, n)
        return column(a), column(b), None

    return Case(name, draw, mean, truth)


def _gaussian(shift: float) -> Callable[[np.random.Generator, int], tuple[FloatArray, FloatArray]]:
    def pairs(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
        base = rng.normal(size=n)
        return base, base + rng.normal(shift, 0.7, size=n)

    return pairs


def _nats(factor: float) -> Callable[[np.random.Generator, int], tuple[FloatArray, FloatArray]]:
    """Skewed: log-likelihoods in nats, each side exponential around a shared difficulty."""

    def pairs(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
        hard = rng.gamma(2.0, size=n)
        return hard + rng.exponential(size=n), hard + factor * rng.exponential(size=n)

    return pairs


def _f1(moved: float) -> Callable[[np.random.Generator, int], tuple[FloatArray, FloatArray]]:
    """Token F1: half of the answers 0 or 1, and 60 % of the samples alike on both sides."""

    def scores(rng: np.random.Generator, n: int, right: float) -> FloatArray:
        kind = rng.random(n)
        return np.where(kind < 0.3, 0.0, np.where(kind < 0.3 + right, 1.0, rng.beta(2, 2, size=n).round(2)))

    def pairs(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
        base = scores(rng, n, 0.2)
        return base, np.where(rng.random(n) < 0.6, base, scores(rng, n, 0.2 + moved))

    return pairs


def _exact_match(gained: float, lost: float) -> Callable[[np.random.Generator, int], tuple[FloatArray, FloatArray]]:
    def pairs(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
        kind = rng.random(n)
        base = (kind < 0.3) | (kind > 1 - lost)
        return base.astype(float), ((kind < 0.3 + gained) & (kind <= 1 - lost)).astype(float)

    return pairs


def _clustered(shift: float) -> Callable[[np.random.Generator, int], tuple[FloatArray, FloatArray, list[str]]]:
    """Facts, n of them, with 1 to 6 paraphrases each, whose differences share half of their variance."""

    def draw(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray, list[str]]:
        fact = np.repeat(np.arange(n), rng.integers(1, 7, size=n))
        base = rng.normal(size=n)[fact]
        moved = rng.normal(size=n)[fact] + rng.normal(size=len(fact))
        return column(base), column(base + shift + moved), [str(i) for i in fact]

    return draw


def _classes(better: float) -> Callable[[np.random.Generator, int], tuple[FloatArray, FloatArray, None]]:
    def draw(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray, None]:
        labels = rng.choice(N_CLASSES, size=n, p=[0.5, 0.3, 0.2])
        sides = [np.where(rng.random(n) < p, labels, rng.integers(0, N_CLASSES, size=n)) for p in (0.5, 0.5 + better)]
        return class_table(labels, sides[0]), class_table(labels, sides[1]), None

    return draw


def _rate(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray, None]:
    """Induced rate, .3 of the half that the base got right; the other side is empty, so Δ is the rate."""
    eligible = rng.random(n) < 0.5
    induced = eligible & (rng.random(n) < 0.3)
    return np.zeros((n, 2)), np.stack([induced, eligible], axis=1).astype(float), None


def _rate_of(sums: FloatArray) -> FloatArray:
    return np.where(sums[:, 1] > 0, mean(sums), 0.0)


def _calibration(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray, None]:
    """Two models equally overconfident by a tenth: the ECEs differ by chance only."""
    sides = []
    for _ in range(2):
        confidence = rng.uniform(0.3, 1.0, size=n)
        correct = (rng.random(n) < confidence - 0.1).astype(float)
        sides.append(ece_table(confidence, correct, assign_bins(confidence)))
    return sides[0], sides[1], None


@lru_cache(maxsize=1)
def cases() -> tuple[Case, ...]:
    """All kinds of data; computing the truth of macro F1 takes a second."""
    big_a, big_b, _ = _classes(0.15)(np.random.default_rng(99), 2_000_000)
    f1_gap = float((macro_f1(big_b.sum(axis=0)[None]) - macro_f1(big_a.sum(axis=0)[None]))[0])
    return (
        _mean_case("Δ mean, normal", _gaussian(0.3), 0.3),
        _mean_case("Δ mean, nats (skewed)", _nats(1.5), 0.5),
        _mean_case("Δ token F1", _f1(0.2), 0.4 * 0.2 * (1 - 0.5)),
        _mean_case("Δ exact match, 30 % discordant", _exact_match(0.2, 0.1), 0.1),
        Case("Δ mean, clusters of 1 to 6", _clustered(0.3), mean, 0.3),
        Case("Δ macro F1, 3 classes", _classes(0.15), macro_f1, f1_gap, is_mean=False),
        Case("rate of a random half", _rate, _rate_of, 0.3, is_mean=False),
        Case("Δ ECE, equally miscalibrated", _calibration, ece_of_sums, 0.0, is_mean=False),
    )


def null_cases() -> tuple[Case, ...]:
    """Data without an effect."""
    return (
        _mean_case("normal", _gaussian(0.0), 0.0),
        _mean_case("nats (skewed)", _nats(1.0), 0.0),
        _mean_case("token F1", _f1(0.0), 0.0),
        _mean_case("exact match, 30 % discordant", _exact_match(0.15, 0.15), 0.0),
        Case("clusters of 1 to 6", _clustered(0.0), mean, 0.0),
        Case("macro F1, 3 classes", _classes(0.0), macro_f1, 0.0, is_mean=False),
    )


def coverage(case: Case, n: int, sets: int, resamples: int, seed: int = 0) -> Iterator[tuple[str, float]]:
    """Share of intervals that hold the truth, by method; a set without an interval counts as a miss."""
    rng = np.random.default_rng([seed, n])
    hits: dict[str, int] = defaultdict(int)
    for i in range(sets):
        a, b, clusters = case.draw(rng, n)
        joint, difference = bootstrap.difference_of_tables(a, b, case.finalize)
        made = bootstrap.table_replicates(joint, difference, clusters, n_resamples=resamples, seed=i, jackknife=True)
        plain = percentile_interval(made.values, made.n_clusters)
        ends = {
            "percentile, expanded (the default)": made.interval(),
            "standard error and t": made.interval("standard"),
            "BCa, expanded": made.interval("bca"),
            "percentile, plain": plain,
        }
        for name, interval in ends.items():
            if interval.low is not None and interval.high is not None:
                hits[name] += interval.low - 1e-12 <= case.truth <= interval.high + 1e-12
        if clusters is not None:
            moved = b[:, 0] - a[:, 0]
            half = paired.clustered_standard_error(moved, clusters) * -student_t_quantile(ALPHA / 2, n - 1)
            hits["clustered standard error, t"] += abs(moved.mean() - case.truth) <= half
    yield from ((name, count / sets) for name, count in hits.items())


def closed_form(n: int, sets: int) -> Iterator[tuple[str, str, float]]:
    """Coverage of the intervals of proportions."""
    rng = np.random.default_rng([1, n])
    wilson, newcombe = lru_cache(None)(proportions.wilson), lru_cache(None)(proportions.newcombe_paired)
    for p in (0.05, 0.3):
        drawn = [wilson(int(s), n) for s in rng.binomial(n, p, size=sets)]
        yield "Wilson", f"a rate of {p:.0%}", float(np.mean([low <= p <= high for low, high in drawn]))
    firsts, seconds = rng.binomial(n, 0.5, size=sets), rng.binomial(n, 0.35, size=sets)
    ends = [proportions.newcombe_difference(int(s), n, int(t), n) for s, t in zip(firsts, seconds, strict=True)]
    yield "Newcombe, independent", "50 % and 35 %", float(np.mean([low <= 0.15 <= high for low, high in ends]))
    for gained, lost in ((0.2, 0.1), (0.06, 0.02)):
        counts = rng.multinomial(n, [0.3, gained, lost, 0.7 - gained - lost], size=sets).tolist()
        truth = gained - lost
        held = [low - 1e-12 <= truth <= high + 1e-12 for low, high in (newcombe(*row) for row in counts)]
        yield "Newcombe, paired", f"Δ exact match, {gained + lost:.0%} discordant", float(np.mean(held))


def false_positives(case: Case, n: int, sets: int, resamples: int) -> Iterator[tuple[str, float]]:
    """Share of data sets without an effect in which p ≤ .05."""
    rng = np.random.default_rng([2, n])
    fired: dict[str, int] = defaultdict(int)
    for i in range(sets):
        a, b, clusters = case.draw(rng, n)
        joint, difference = bootstrap.difference_of_tables(a, b, case.finalize)
        made = bootstrap.table_replicates(joint, difference, clusters, n_resamples=resamples, seed=i)
        p_bootstrap = made.p_value()
        fired["bootstrap p"] += p_bootstrap is not None and p_bootstrap <= ALPHA
        if case.is_mean:
            p = paired.sign_flip(b[:, 0] - a[:, 0], clusters, n_resamples=resamples, seed=i)
            fired["sign flip"] += p <= ALPHA
        else:
            p = paired.swap_test(a, b, case.finalize, clusters, n_resamples=resamples, seed=i)
            fired["swap"] += p <= ALPHA
    yield from ((name, count / sets) for name, count in fired.items())


def mcnemar_false_positives(n: int, sets: int) -> Iterator[tuple[str, str, float]]:
    """Exact and mid-p McNemar without an effect."""
    rng = np.random.default_rng([3, n])
    test = lru_cache(None)(paired.mcnemar_exact)
    for rate in (0.1, 0.3):
        results = [test(int(b), int(c)) for b, c, _ in rng.multinomial(n, [rate / 2, rate / 2, 1 - rate], size=sets)]
        data = f"exact match, {rate:.0%} discordant"
        yield "McNemar, exact", data, float(np.mean([r.p_value <= ALPHA for r in results]))
        yield "McNemar, mid-p", data, float(np.mean([r.p_mid <= ALPHA for r in results]))


def markdown(title: str, rows: dict[tuple[str, str], list[float]]) -> list[str]:
    """A table with a row for each method and kind of data, in percent."""
    out = [f"| {title} | data | " + " | ".join(f"n = {n}" for n in SETS) + " |", "|---|---|" + "---:|" * len(SETS)]
    for (method, data), values in rows.items():
        out.append(f"| {method} | {data} | " + " | ".join(f"{100 * value:.1f}" for value in values) + " |")
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the data sets to draw")
    parser.add_argument("--resamples", type=int, default=599, help="bootstrap replicates")
    options = parser.parse_args(arguments)
    start = time.process_time()
    held: dict[tuple[str, str], list[float]] = defaultdict(list)
    fired: dict[tuple[str, str], list[float]] = defaultdict(list)
    sizes = {n: max(1, round(sets * options.scale)) for n, sets in SETS.items()}
    for n, sets in sizes.items():
        for case in cases():
            for method, share in coverage(case, n, sets, options.resamples):
                held[method, case.name].append(share)
        for method, data, share in closed_form(n, 10 * sets):
            held[method, data].append(share)
        for case in null_cases():
            for method, share in false_positives(case, n, 2 * sets, options.resamples // 3):
                fired[method, case.name].append(share)
        for method, data, share in mcnemar_false_positives(n, 10 * sets):
            fired[method, data].append(share)
    print("# Coverage and false positives, simulated\n")
    print("Written by `python benchmarks/coverage.py`. Intervals should hold the truth in 95 % of data sets, tests")
    print(f"find something in at most 5 % where there is nothing. {options.resamples} resamples; data sets a row, and")
    errors = (f"{sets:,} at n = {n} (± {100 * math.sqrt(0.0475 / sets):.1f})" for n, sets in sizes.items())
    print(f"the standard error of 95 %: {', '.join(errors)}.")
    print("Tests: twice as many sets and a third of")
    print("the resamples; closed forms and McNemar: ten times as many sets.\n")
    print("\n".join(markdown("95 % interval, coverage in %", dict(sorted(held.items())))))
    print()
    print("\n".join(markdown("test at 5 %, false positives in %", dict(sorted(fired.items())))))
    print(f"\n{time.process_time() - start:.0f} s of one core.")


if __name__ == "__main__":
    main()
