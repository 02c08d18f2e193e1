"""What became of each sample from base to candidate: the table of states and the rates read off it.

Over the pairs with both states known, n of them, with B and C the states of base and candidate:

- *induced* = C hallucinated where B was not: *lost knowledge* (B correct) and *lost caution* (B abstained);
- *repaired* = C not hallucinated where B was; *persistent* = C hallucinated where B was;
- *net* = (induced - repaired)/n = change of the share of hallucinated samples.

The rates of the first line are shares of the pairs in which the base did not hallucinate, those of the second
of the pairs in which it did. Intervals: Wilson's; where pairs come in clusters, of as many independent ones as
they are worth. Of net, and its test, as `figures` has them for a 0/1 figure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.compare.fields import Bounds, NetRate, Rate
from halueval.compare.figures import Clusters, Difference, Engine, compare_values
from halueval.compare.recipes import mean_of_table
from halueval.compare.record import STATES
from halueval.schema import State
from halueval.stats.jackknife import table_estimate
from halueval.stats.proportions import wilson, wilson_clustered

BoolArray = NDArray[np.bool_]
StateArray = NDArray[np.intp]

CORRECT, ABSTAINED, HALLUCINATED, UNSCORED = (
    STATES.index(state.value) for state in (State.CORRECT, State.ABSTAINED, State.HALLUCINATED, State.UNSCORED)
)


@dataclass(frozen=True, slots=True)
class Transitions:
    """States of the pairs, shape (n,) each, as indices into `STATES`."""

    base: StateArray
    candidate: StateArray
    clusters: Clusters

    @property
    def known(self) -> BoolArray:
        """Pairs with both states."""
        mask: BoolArray = (self.base != UNSCORED) & (self.candidate != UNSCORED)
        return mask

    @property
    def induced(self) -> BoolArray:
        """Hallucinated by the candidate alone."""
        mask: BoolArray = self.known & (self.base != HALLUCINATED) & (self.candidate == HALLUCINATED)
        return mask

    @property
    def repaired(self) -> BoolArray:
        """Hallucinated by the base alone."""
        mask: BoolArray = self.known & (self.base == HALLUCINATED) & (self.candidate != HALLUCINATED)
        return mask

    @property
    def persistent(self) -> BoolArray:
        """Hallucinated by both."""
        mask: BoolArray = (self.base == HALLUCINATED) & (self.candidate == HALLUCINATED)
        return mask

    def of(self, mask: BoolArray) -> Transitions:
        """A part of the pairs."""
        return Transitions(self.base[mask], self.candidate[mask], self.clusters.of(mask))

    def matrix(self) -> dict[str, dict[str, int]]:
        """Counts by base's state and candidate's state, zeros included."""
        counts = np.zeros((len(STATES), len(STATES)), dtype=np.int64)
        np.add.at(counts, (self.base, self.candidate), 1)
        return {b: {c: int(counts[i, j]) for j, c in enumerate(STATES)} for i, b in enumerate(STATES)}


def rate(hits: BoolArray, among: BoolArray, clusters: Clusters) -> Rate:
    """Share of `among` that are `hits` (a part of it), with a 95 % interval.

    Args:
        hits: shape (n,).
        among: shape (n,).
        clusters: of the n pairs.
    """
    count, n = int(hits.sum()), int(among.sum())
    if not n:
        return {"value": None, "ci_low": None, "ci_high": None, "count": 0, "n": 0}
    if clusters.names is None:
        low, high = wilson(count, n)
    else:
        table = np.stack([hits, among], axis=1).astype(np.float64)
        found = table_estimate(table, mean_of_table, clusters.names)
        # No error where there is a single cluster; the interval is then that of one sample.
        error = found.standard_error if found.reason is None else 0.0
        low, high = wilson_clustered(count / n, error, n, found.n_clusters)
    return {"value": count / n, "ci_low": low, "ci_high": high, "count": count, "n": n}


def net_rate(states: Transitions, engine: Engine) -> tuple[NetRate, Difference | None]:
    """The net rate of the pairs with both states, and the comparison that it was read off.

    The latter is None where there is no such pair.
    """
    some = states.of(states.known)
    if not len(some.base):
        return _no_net(), None
    before, after = ((side == HALLUCINATED).astype(np.float64) for side in (some.base, some.candidate))
    made = compare_values(before, after, some.clusters, engine)
    figure = made.figure
    return {
        "value": figure["delta"],
        "ci_low": figure["ci_low"],
        "ci_high": figure["ci_high"],
        "count": int(states.induced.sum() - states.repaired.sum()),
        "n": len(some.base),
        "p_value": figure["p_value"],
        "p_adjusted": None,
        "test": figure["test"],
        "mde": figure["mde"],
        "significant": False,
        "floor": None,
        "within_noise": None,
    }, made


def _no_net() -> NetRate:
    return {
        "value": None,
        "ci_low": None,
        "ci_high": None,
        "count": 0,
        "n": 0,
        "p_value": None,
        "p_adjusted": None,
        "test": "none",
        "mde": None,
        "significant": False,
        "floor": None,
        "within_noise": None,
    }


def rates(states: Transitions) -> dict[str, Rate]:
    """Induced with its two parts, repaired and persistent, by their names in the record."""
    before = states.known & (states.base != HALLUCINATED)
    wrong = states.known & (states.base == HALLUCINATED)
    induced = states.induced
    hits = {
        "induced_rate": (induced, before),
        "lost_knowledge_rate": (induced & (states.base == CORRECT), before),
        "lost_caution_rate": (induced & (states.base == ABSTAINED), before),
        "repaired_rate": (states.repaired, wrong),
        "persistent_rate": (states.persistent, wrong),
    }
    return {name: rate(hit, among, states.clusters) for name, (hit, among) in hits.items()}


def bounds(states: Transitions, only_base: StateArray, only_candidate: StateArray) -> Bounds:
    """Net and induced rate if every sample with one state only had gone well, or badly.

    Args:
        states: the pairs.
        only_base: states of the base's samples without a partner.
        only_candidate: states of the candidate's.
    """
    known_base = np.r_[states.base[states.candidate == UNSCORED], only_base]
    known_candidate = np.r_[states.candidate[states.base == UNSCORED], only_candidate]
    known_base = known_base[known_base != UNSCORED]
    known_candidate = known_candidate[known_candidate != UNSCORED]
    n = int(states.known.sum())
    n_base, n_candidate = len(known_base), len(known_candidate)
    total = n + n_base + n_candidate
    net = int(states.induced.sum() - states.repaired.sum())
    wrong_before = int((known_base == HALLUCINATED).sum())
    wrong_after = int((known_candidate == HALLUCINATED).sum())
    # Best: what the candidate did is not hallucinated, what the base did is; worst: the other way round.
    fixed = net - wrong_before + wrong_after
    induced = int(states.induced.sum())
    at_risk = int((states.known & (states.base != HALLUCINATED)).sum())
    safe_before, safe_after = n_base - wrong_before, n_candidate - wrong_after
    return {
        "n_uncertain": n_base + n_candidate,
        "net_rate": {
            "best": _share(fixed - n_candidate, total),
            "worst": _share(fixed + n_base, total),
        },
        "induced_rate": {
            "best": _share(induced, at_risk + safe_before + safe_after),
            "worst": _share(induced + safe_before + wrong_after, at_risk + safe_before + wrong_after),
        },
    }


def _share(count: int, n: int) -> float | None:
    return count / n if n else None
