"""Source: LbEndpoint.load_balancing_weight, LocalityLbEndpoints.load_balancing_weight.

Target: node.weight.
Fidelity: E; A where weights are rescaled.
Differs: weights above the limit are scaled down; a weight of a locality counts only with locality weighting.
Diagnostics: EP-WEIGHT.
See: mapping.md section 6.2.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from math import gcd, lcm
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translators.mappings.endpoint.endpoint import Locality
    from translators.mappings.endpoint.health import Tier

MAX_WEIGHT = 65_535
MAX_HASHED_WEIGHT = 100
"""chash makes 160 points per unit of weight and keeps them all in memory."""


def plain_weights(tier: Tier) -> list[Fraction]:
    """Give the weight of each usable endpoint, as written."""
    return [Fraction(endpoint.weight) for endpoint in tier.usable]


def locality_weights(tier: Tier, factor_percent: int) -> list[Fraction]:
    """Give the weight of each usable endpoint when localities share the traffic by their weights.

    A locality's share shrinks with its health as Envoy's does: weight * min(1, factor * usable / all). One without a
    weight gets nothing. In panic Envoy forgets localities, and so does this.
    """
    if tier.is_panic:
        return plain_weights(tier)
    sizes: dict[Locality, int] = defaultdict(int)
    usable: dict[Locality, int] = defaultdict(int)
    sums: dict[Locality, int] = defaultdict(int)
    for endpoint in tier.all:
        sizes[endpoint.locality] += 1
    for endpoint in tier.usable:
        usable[endpoint.locality] += 1
        sums[endpoint.locality] += endpoint.weight
    return [
        Fraction(endpoint.locality.weight or 0)
        * min(Fraction(1), Fraction(factor_percent * usable[endpoint.locality], 100 * sizes[endpoint.locality]))
        * Fraction(endpoint.weight, sums[endpoint.locality])
        for endpoint in tier.usable
    ]


def whole_weights(weights: list[Fraction], max_weight: int) -> tuple[list[int], bool]:
    """Turn positive weights into whole numbers without a common divisor.

    Returns:
        The numbers, 1..max_weight, and whether precision was lost.
    """
    if not weights:
        return [], False
    scale = lcm(*(weight.denominator for weight in weights))
    whole = [int(weight * scale) for weight in weights]
    divisor = gcd(*whole)
    whole = [weight // divisor for weight in whole]
    largest = max(whole)
    if largest <= max_weight:
        return whole, False
    return [max(1, round(Fraction(weight * max_weight, largest))) for weight in whole], True
