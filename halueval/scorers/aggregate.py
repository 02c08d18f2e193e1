"""From the scores of samples to figures with intervals; one resampling serves all scorers.

Most figures are functions of column sums. Their tables are put side by side, equal columns once, added up
within each cluster, and multiplied with each chunk of cluster counts; only figures of another shape (AUROC,
metrics computed anew) see the weights of samples.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from halueval.schema import MetricValue, Score
from halueval.scorers.base import FloatArray, Scorer, TableScorer
from halueval.stats.intervals import Interval, Resampler, percentile_interval, wilson_interval


def summarise(
    scorers: Sequence[Scorer],
    scores_by_name: Mapping[str, Sequence[Score]],
    clusters: Sequence[str],
    *,
    seed: int,
    n_resamples: int = 10_000,
) -> dict[str, MetricValue]:
    """Figures of a set of samples, each with a 95 % interval.

    The interval is the percentile bootstrap over clusters. Where all scored values of a 0/1 figure are
    equal, the bootstrap has no width, and Wilson's interval on the number of scored clusters stands in.

    Args:
        scorers: what to aggregate.
        scores_by_name: n scores for the name of each scorer, in one order.
        clusters: cluster of each of the n samples.
        seed: of the resampling.
        n_resamples: bootstrap replicates.

    Returns:
        A figure by name, in the order of `scorers`. `value` is None where nothing could be scored, with
        the reasons and their counts.
    """
    active = [s for s in scorers if any(score.value is not None for score in scores_by_name[s.name])]
    values: dict[str, float] = {}
    replicates: dict[str, FloatArray] = {}
    resampler = Resampler(clusters, n_resamples, seed) if clusters else None
    if resampler is not None and active:
        values, replicates = _figures(active, scores_by_name, resampler)
    out = {}
    for scorer in scorers:
        scores = scores_by_name[scorer.name]
        value = values.get(scorer.name, math.nan)
        interval = Interval(None, None, "bootstrap", "nothing was scored")
        if scorer.name in values and resampler is not None:
            own = scorer.own_interval(scores, clusters, n_resamples=n_resamples, seed=seed)
            interval = own or _interval(scorer, scores, resampler, replicates[scorer.name], value)
        out[scorer.name] = _metric_value(scorer, scores, value, interval)
    return out


def _metric_value(scorer: Scorer, scores: Sequence[Score], value: float, interval: Interval) -> MetricValue:
    reasons = Counter(score.reason or "no reason given" for score in scores if score.value is None)
    n_unscored = sum(reasons.values())
    return MetricValue(
        value=value if math.isfinite(value) else None,
        ci_low=interval.low,
        ci_high=interval.high,
        n_scored=len(scores) - n_unscored,
        n_unscored=n_unscored,
        higher_is_better=scorer.higher_is_better,
        ci_method=interval.method,
        ci_reason=interval.reason,
        unscored_reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
    )


def _interval(
    scorer: Scorer, scores: Sequence[Score], resampler: Resampler, replicates: FloatArray, value: float
) -> Interval:
    if not math.isfinite(value):
        return Interval(None, None, "bootstrap", "the figure is undefined for this set or out of range")
    scored = np.array([score.value is not None for score in scores])
    n_clusters = len(np.unique(resampler.index[scored]))
    distinct = {score.value for score in scores if score.value is not None}
    if scorer.binary and n_clusters > 1 and len(distinct) == 1 and distinct <= {0.0, 1.0}:
        return wilson_interval(distinct.pop() * n_clusters, n_clusters)
    method = "bootstrap" if len(replicates) == resampler.n_resamples else f"bootstrap-{len(replicates)}"
    return percentile_interval(replicates, n_clusters, method)


def _figures(
    scorers: Sequence[Scorer], scores_by_name: Mapping[str, Sequence[Score]], resampler: Resampler
) -> tuple[dict[str, float], dict[str, FloatArray]]:
    """Figure and replicates of every scorer that has something to score."""
    linear = [s for s in scorers if isinstance(s, TableScorer)]
    other = [s for s in scorers if not isinstance(s, TableScorer)]
    table, columns = _side_by_side({s.name: s.table(scores_by_name[s.name]) for s in linear}, len(resampler.index))
    by_cluster = resampler.cluster_sums(table)
    totals = np.array([[math.fsum(column.tolist()) for column in by_cluster.T]])
    values = {s.name: float(s.finalize(totals[:, columns[s.name]])[0]) for s in linear}
    ones = np.ones((1, len(resampler.index)))
    values |= {s.name: float(s.statistic(scores_by_name[s.name], ones)[0]) for s in other}
    parts: dict[str, list[FloatArray]] = {s.name: [] for s in scorers}
    done = 0
    for counts in resampler.counts():
        sums = counts @ by_cluster
        for figure in linear:
            parts[figure.name].append(figure.finalize(sums[:, columns[figure.name]]))
        wanted = {s.name: _wanted(s, done, len(counts)) for s in other}
        if any(wanted.values()):
            weights = resampler.expand(counts)
            for scorer in other:
                if rows := wanted[scorer.name]:
                    parts[scorer.name].append(scorer.statistic(scores_by_name[scorer.name], weights[:rows]))
        done += len(counts)
    return values, {name: np.concatenate(chunks) for name, chunks in parts.items()}


def _wanted(scorer: Scorer, done: int, rows: int) -> int:
    """How many rows of this chunk the scorer is to compute."""
    return rows if scorer.max_resamples is None else max(0, min(rows, scorer.max_resamples - done))


def _side_by_side(tables: Mapping[str, FloatArray], n_samples: int) -> tuple[FloatArray, dict[str, NDArray[np.intp]]]:
    """One table with each distinct column once, and the columns of each scorer in it."""
    position: dict[bytes, int] = {}
    kept: list[FloatArray] = []
    columns: dict[str, NDArray[np.intp]] = {}
    for name, table in tables.items():
        where = []
        for column in np.ascontiguousarray(table.T):
            key = column.tobytes()
            if key not in position:
                position[key] = len(kept)
                kept.append(column)
            where.append(position[key])
        columns[name] = np.array(where, dtype=np.intp)
    return (np.stack(kept, axis=1) if kept else np.zeros((n_samples, 0))), columns
