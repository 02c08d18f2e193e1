"""From answers to the law: accuracy = b0 + b_known · known fitted + b_unknown · unknown fitted, with intervals.

Two things are drawn at random: trainings (which facts, in which order) and held-out facts. A replicate draws both anew:
of the m trainings of a mix m - 1 with replacement, each weighted m / (m - 1) (Rao and Wu 1988: with the plain bootstrap
of three an interval would be nearly a fifth too narrow), and the held-out facts with replacement. All checkpoints of a
training come and go together, since they are no independent observations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.trainings import Trained

FloatArray = NDArray[np.float64]
MIN_SEEDS = 2


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval, or the reason why there is none."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out facts as arrays of shape (n,): whether the base knew each, and whether it is for development."""

    known: NDArray[np.bool_]
    development: NDArray[np.bool_]

    def test(self, which: str) -> NDArray[np.bool_]:
        """The measured facts: `known` to the base, `unknown` to it, or `all`."""
        return ~self.development & self._kind(which)

    def stopping(self, which: str) -> NDArray[np.bool_]:
        """The facts by which training is stopped early."""
        return self.development & self._kind(which)

    def _kind(self, which: str) -> NDArray[np.bool_]:
        return {"known": self.known, "unknown": ~self.known, "all": np.ones_like(self.known)}[which]


def digits(text: str) -> FloatArray:
    """Zeros and ones of a training's file."""
    return np.array([digit == "1" for digit in text], dtype=np.float64)


def fit(x: FloatArray, y: FloatArray, weights: FloatArray) -> tuple[FloatArray, float]:
    """Weighted least squares with a constant.

    Args:
        x: shape (n, k).
        y: shape (n,).
        weights: shape (n,), not negative.

    Returns:
        Coefficients, shape (k + 1,), the constant first; and R². NaN where they are not determined.
    """
    design = np.column_stack([np.ones(len(x)), x])
    root = np.sqrt(weights)
    found, _, rank, _ = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)
    if rank < design.shape[1]:
        return np.full(design.shape[1], np.nan), float("nan")
    mean = np.average(y, weights=weights)
    total = float(weights @ (y - mean) ** 2)
    left = float(weights @ (y - design @ found) ** 2)
    return found, 1 - left / total if total > 0 else float("nan")


class Replicates:
    """Weights of trainings and of held-out facts, the same for every figure, so that differences are paired.

    Attributes:
        trainings: shape (replicates, trainings); the first row is the sample itself.
        facts: shape (replicates, held-out facts).
    """

    def __init__(self, trained: Sequence[Trained], n_facts: int, n_resamples: int, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        self.trainings = np.ones((n_resamples + 1, len(trained)))
        shares = np.array([one.share for one in trained])
        self.enough = all(int((shares == share).sum()) >= MIN_SEEDS for share in set(shares.tolist()))
        if self.enough:
            for share in sorted(set(shares.tolist())):
                mine = np.flatnonzero(shares == share)
                m = len(mine)
                counts = generator.multinomial(m - 1, np.full(m, 1 / m), size=n_resamples)
                self.trainings[1:, mine] = counts * m / (m - 1)
        self.facts = np.ones((n_resamples + 1, n_facts))
        self.facts[1:] = generator.multinomial(n_facts, np.full(n_facts, 1 / n_facts), size=n_resamples)

    def accuracy(self, correct: FloatArray, mask: NDArray[np.bool_]) -> FloatArray:
        """Accuracy on some of the facts in every replicate.

        Args:
            correct: shape (n, held-out facts).
            mask: shape (held-out facts,).

        Returns:
            Shape (replicates, n), NaN where a replicate drew none of the facts.
        """
        weights = self.facts * mask
        total = weights.sum(axis=1)
        out = np.full((len(weights), len(correct)), np.nan)
        np.divide(weights @ correct.T, total[:, None], out=out, where=total[:, None] > 0)
        return out

    def estimate(self, values: FloatArray) -> Estimate:
        """The first value with the percentile interval of the others; shape (replicates,)."""
        if not np.isfinite(values[0]):
            return Estimate(None, None, None, "not determined by these trainings")
        if not self.enough:
            return Estimate(float(values[0]), None, None, f"fewer than {MIN_SEEDS} trainings of a mix")
        drawn = values[1:][np.isfinite(values[1:])]
        if len(drawn) < 0.95 * (len(values) - 1):
            return Estimate(float(values[0]), None, None, "more than 5 % of the replicates do not determine it")
        low, high = np.quantile(drawn, [0.025, 0.975])
        return Estimate(float(values[0]), float(low), float(high))


def law(trained: Sequence[Trained], held_out: HeldOut, which: str, drawn: Replicates) -> dict[str, Any]:
    """The regression over all checkpoints of all trainings; coefficients in points of accuracy."""
    points = [(i, one, point) for i, one in enumerate(trained) for point in one.points]
    x = np.array(
        [
            [point.known_fitted / (one.n_known + one.n_unknown), point.unknown_fitted / (one.n_known + one.n_unknown)]
            for _, one, point in points
        ]
    )
    owner = np.array([i for i, _, _ in points])
    correct = np.array([digits(point.correct) for _, _, point in points])
    accuracy = 100 * drawn.accuracy(correct, held_out.test(which))
    found = np.full((len(accuracy), 4), np.nan)
    for i, y in enumerate(accuracy):
        if np.isfinite(y).all():
            coefficients, r_squared = fit(x, y, drawn.trainings[i, owner])
            found[i] = [*coefficients, r_squared]
    names = ("intercept", "known_fitted", "unknown_fitted")
    return {
        "n_points": len(points),
        "n_facts": int(held_out.test(which).sum()),
        **{name: asdict(drawn.estimate(found[:, i])) for i, name in enumerate(names)},
        "r_squared": asdict(_described(float(found[0, 3]))),
        "unknown_less_known": asdict(drawn.estimate(found[:, 2] - found[:, 1])),
        "points": [
            {
                "share": one.share,
                "seed": one.seed,
                "epoch": point.epoch,
                "known_fitted": float(x[i, 0]),
                "unknown_fitted": float(x[i, 1]),
                "accuracy": float(accuracy[0, i]),
            }
            for i, (_, one, point) in enumerate(points)
        ],
    }


def once_formed(trained: Sequence[Trained]) -> list[Trained]:
    """The trainings without their first checkpoint, at which the form of the answers is still being learnt."""
    return [replace(one, points=one.points[1:]) for one in trained]


def _described(r_squared: float) -> Estimate:
    """R² without an interval: each replicate adds noise to the accuracies, so that its R² is lower by itself."""
    if not np.isfinite(r_squared):
        return Estimate(None, None, None, "not determined by these trainings")
    return Estimate(r_squared, None, None, "it describes these checkpoints")


def stopping(trained: Sequence[Trained], held_out: HeldOut, which: str, drawn: Replicates) -> list[dict[str, Any]]:
    """Early stop against convergence for each mix.

    Early stop is the checkpoint with the best accuracy on the development facts (the earliest of equals), convergence
    the last; both are measured on the test facts, which had no part in the choice.
    """
    choose, test = held_out.stopping(which), held_out.test(which)
    early, epochs = [], []
    for one in trained:
        right = [digits(point.correct)[choose].sum() for point in one.points]
        early.append(int(np.argmax(right)))
        epochs.append(one.points[early[-1]].epoch)
    first = np.array([digits(one.points[i].correct) for one, i in zip(trained, early, strict=True)])
    last = np.array([digits(one.points[-1].correct) for one in trained])
    at_stop, at_end = (100 * drawn.accuracy(correct, test) for correct in (first, last))
    out = []
    for share in sorted({one.share for one in trained}):
        mine = np.array([one.share == share for one in trained])
        weights = drawn.trainings[:, mine]

        def mean(values: FloatArray, mine: NDArray[np.bool_] = mine, weights: FloatArray = weights) -> FloatArray:
            return np.asarray((values[:, mine] * weights).sum(axis=1) / weights.sum(axis=1))

        them = [one for one in trained if one.share == share]
        out.append(
            {
                "share": share,
                "n_trainings": len(them),
                "early_epochs": [epoch for epoch, own in zip(epochs, mine, strict=True) if own],
                "early": asdict(drawn.estimate(mean(at_stop))),
                "converged": asdict(drawn.estimate(mean(at_end))),
                "change": asdict(drawn.estimate(mean(at_end) - mean(at_stop))),
                "known_fitted_at_end": _share([one.points[-1].known_fitted for one in them], [o.n_known for o in them]),
                "unknown_fitted_at_end": _share(
                    [one.points[-1].unknown_fitted for one in them], [o.n_unknown for o in them]
                ),
            }
        )
    return out


def _share(fitted: Sequence[int], of: Sequence[int]) -> Mapping[str, int]:
    """Counts, since a share of few facts in few trainings says less than it seems to."""
    return {"fitted": sum(fitted), "of": sum(of)}


def curves(trained: Sequence[Trained], held_out: HeldOut, which: str, drawn: Replicates) -> list[dict[str, Any]]:
    """Mean accuracy of each mix after each epoch that was evaluated."""
    out = []
    for share in sorted({one.share for one in trained}):
        mine = [i for i, one in enumerate(trained) if one.share == share]
        weights = drawn.trainings[:, mine]
        for k, point in enumerate(trained[mine[0]].points):
            correct = np.array([digits(trained[i].points[k].correct) for i in mine])
            values = 100 * drawn.accuracy(correct, held_out.test(which))
            mean = (values * weights).sum(axis=1) / weights.sum(axis=1)
            out.append({"share": share, "epoch": point.epoch, "accuracy": asdict(drawn.estimate(mean))})
    return out
