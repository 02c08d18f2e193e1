"""What a comparison of this size could have found, and how large it would have to be.

A "no difference" means nothing without the smallest difference that would have been seen: the minimum
detectable effect (MDE), at level alpha (two-sided) with probability `power`.
"""

from __future__ import annotations

import math

from halueval.stats.special import NORMAL


def mde_paired_mean(sd_of_differences: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest mean of paired differences found with this power: (z_{1-α/2} + z_power) · sd/√n (Miller 2024).

    For clustered samples give √n times the clustered standard error as `sd_of_differences`.

    Args:
        sd_of_differences: standard deviation of the per-sample differences; where it is 0 nothing is known
            about the spread, and the result 0 must not be shown as "can find anything".
        n: pairs.
        alpha: two-sided level.
        power: probability of finding it.

    Raises:
        ValueError: a negative deviation, n < 1, or a probability outside (0, 1).
    """
    _check(alpha, power, n)
    if not (math.isfinite(sd_of_differences) and sd_of_differences >= 0):
        raise ValueError(f"standard deviation {sd_of_differences}; it must be 0 or more")
    return _z_sum(alpha, power) * sd_of_differences / math.sqrt(n)


def required_n_paired_mean(sd: float, effect: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Pairs needed to find a mean difference `effect`: ((z_{1-α/2} + z_power) · sd/effect)² rounded up.

    Raises:
        ValueError: a deviation that is not positive, an effect of 0, or a probability outside (0, 1).
    """
    _check(alpha, power, 1)
    if not (math.isfinite(sd) and sd > 0 and math.isfinite(effect) and effect != 0):
        raise ValueError(f"standard deviation {sd} and effect {effect}; neither can be 0")
    return math.ceil((_z_sum(alpha, power) * sd / effect) ** 2)


def mde_mcnemar(discordant_rate: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """Smallest difference of paired proportions that McNemar's exact test finds with this power.

    Solves Connor's (1987) equation δ√n = z_{1-α/2}√ψ + z_power√(ψ - δ²) for δ, with 1/n added for the
    continuity that the exact test pays. A difference needs at least as many discordant samples as it is
    large: where ψ is smaller than δ, as when a model is compared with itself, ψ = δ, every discordant
    sample falling on one side.

    Args:
        discordant_rate: ψ, the share of samples that one model got right and the other wrong.
        n: pairs.
        alpha: two-sided level.
        power: probability of finding it, > 1/2.

    Returns:
        δ in (0, 1], or None where even a difference of 1 would not be found: too few pairs.

    Raises:
        ValueError: a rate outside [0, 1], n < 1, or a probability outside its range.
    """
    _check(alpha, power, n)
    if not 0 <= discordant_rate <= 1 or power <= 0.5:
        raise ValueError(f"discordant rate {discordant_rate} and power {power}; rates lie in [0, 1], power above 0.5")
    low, high = 0.0, 1.0
    if _n_mcnemar(1.0, 1.0, alpha, power) > n:
        return None
    while high - low > 1e-12:
        middle = 0.5 * (low + high)
        if _n_mcnemar(max(discordant_rate, middle), middle, alpha, power) > n:
            low = middle
        else:
            high = middle
    return high


def required_n_mcnemar(discordant_rate: float, effect: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Pairs needed for McNemar's exact test to find a difference of paired proportions (Connor 1987).

    n = (z_{1-α/2}√ψ + z_power√(ψ - δ²))²/δ² + 1/|δ|, rounded up; the last term for continuity.

    Args:
        discordant_rate: ψ, the share of samples on which the models differ.
        effect: δ, the difference of the proportions.
        alpha: two-sided level.
        power: probability of finding it.

    Raises:
        ValueError: an effect of 0 or larger than the discordant rate, or a probability outside (0, 1).
    """
    _check(alpha, power, 1)
    if not 0 < abs(effect) <= discordant_rate <= 1:
        raise ValueError(f"effect {effect} at a discordant rate of {discordant_rate}; needs 0 < |effect| ≤ rate ≤ 1")
    return math.ceil(_n_mcnemar(discordant_rate, abs(effect), alpha, power))


def _n_mcnemar(rate: float, effect: float, alpha: float, power: float) -> float:
    z_alpha, z_power = NORMAL.inv_cdf(1 - alpha / 2), NORMAL.inv_cdf(power)
    root = z_alpha * math.sqrt(rate) + z_power * math.sqrt(max(0.0, rate - effect * effect))
    return (root / effect) ** 2 + 1 / effect


def _z_sum(alpha: float, power: float) -> float:
    return NORMAL.inv_cdf(1 - alpha / 2) + NORMAL.inv_cdf(power)


def _check(alpha: float, power: float, n: int) -> None:
    if not (0 < alpha < 1 and 0 < power < 1) or n < 1:
        raise ValueError(f"alpha {alpha}, power {power}, n {n}; probabilities lie in (0, 1), n is at least 1")
