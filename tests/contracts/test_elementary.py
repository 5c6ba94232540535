"""The elementary functions against arithmetic of 40 decimal digits."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext

import numpy as np
import pytest

from contracts import elementary

DIGITS = 40
WORST_ULP = 2.0


def error_in_ulp(value: float, truth: Decimal) -> float:
    """Distance of a double from the truth in units of the truth's last place."""
    return float(abs(Decimal(value) - truth)) / math.ulp(float(truth))


def decimal_sine(turns: Decimal) -> Decimal:
    """sin(2π·turns) by its Taylor series; π by Machin's formula."""

    def arctan_inverse(n: int) -> Decimal:
        term = total = Decimal(1) / n
        k = 1
        while abs(term) > Decimal(10) ** -(DIGITS + 5):
            term = -term / (n * n)
            k += 2
            total += term / k
        return total

    angle = (turns - round(turns)) * 8 * (4 * arctan_inverse(5) - arctan_inverse(239))
    term, total, k = angle, angle, 1
    while abs(term) > Decimal(10) ** -(DIGITS + 5):
        term = -term * angle * angle / ((k + 1) * (k + 2))
        k += 2
        total += term
    return total


def inputs(name: str) -> list[float]:
    rng = np.random.default_rng(7)
    if name == "exp":
        spread = [*rng.uniform(-708, 709.7, 800), *rng.uniform(-1, 1, 400), *(10.0 ** rng.uniform(-300, -1, 200))]
        return [*map(float, spread), 0.0, 1.0, -1.0, 709.782712893384, -708.3, math.log(2) / 2, -math.log(2) / 2]
    spread = [*(10.0 ** rng.uniform(-307, 308, 800)), *rng.uniform(0.5, 2.0, 600), *(1 + 10.0 ** rng.uniform(-15, -2, 200))]
    return [*map(float, spread), 1.0, 2.0, 10.0, 1000.0, 5e-324, 1.7976931348623157e308, math.sqrt(2), math.sqrt(0.5)]


@pytest.mark.parametrize(
    ("name", "truth"), [("exp", Decimal.exp), ("log", Decimal.ln), ("log10", Decimal.log10)], ids=["exp", "log", "log10"]
)
def test_error_is_below_two_ulp(name: str, truth: Callable[[Decimal], Decimal]) -> None:
    """exp, log and log10 lie within 2 ulp of the truth over the whole range of normal doubles."""
    function = getattr(elementary, name)
    with localcontext() as context:
        context.prec = DIGITS
        worst = max((error_in_ulp(function(x), truth(Decimal(x))), x) for x in inputs(name))
    assert worst[0] < WORST_ULP, worst


def test_sine_and_cosine_of_a_turn() -> None:
    """sin_turn and cos_turn lie within 2 ulp of the truth; near a zero the angle itself is exact."""
    rng = np.random.default_rng(8)
    fractions = [*map(float, rng.uniform(0, 1, 600)), *(k / 24 for k in range(25)), 1e-9, 0.25 - 1e-9, 0.5 + 1e-9, 0.125, 0.375]
    with localcontext() as context:
        context.prec = DIGITS
        for fraction in fractions:
            if (fraction * 2) % 1:
                assert error_in_ulp(elementary.sin_turn(fraction), decimal_sine(Decimal(fraction))) < WORST_ULP, fraction
            if (fraction * 2) % 1 != 0.5:
                assert error_in_ulp(elementary.cos_turn(fraction), decimal_sine(Decimal(fraction) + Decimal("0.25"))) < WORST_ULP, fraction


def test_quarters_of_a_turn_are_exact() -> None:
    """Midnight, six, noon and eighteen o'clock give exactly 0, ±1."""
    quarters = [0.0, 0.25, 0.5, 0.75, 1.0]
    assert [elementary.sin_turn(q) for q in quarters] == [0.0, 1.0, 0.0, -1.0, 0.0]
    assert [elementary.cos_turn(q) for q in quarters] == [1.0, 0.0, -1.0, 0.0, 1.0]


def test_ends_of_the_range() -> None:
    """Infinities, NaN, zero, negatives, overflow and subnormals end as documented."""
    inf, nan = math.inf, math.nan
    assert [elementary.exp(x) for x in (inf, -inf, 710.0, -746.0, 0.0)] == [inf, 0.0, inf, 0.0, 1.0]
    assert elementary.exp(-745.0) == 5e-324
    assert abs(elementary.exp(-730.0) - math.exp(-730.0)) <= 5e-324 * 2
    for function in (elementary.log, elementary.log10):
        assert [function(x) for x in (inf, 0.0, 1.0)] == [inf, -inf, 0.0]
        assert all(math.isnan(function(x)) for x in (nan, -1.0, -inf))
    assert math.isnan(elementary.exp(nan))


def test_bits_are_known() -> None:
    """The results of a fixed set of arguments keep their bits, on any processor."""
    x = np.random.default_rng(9).uniform(0.001, 30.0, 200)
    values = [f(v) for v in x for f in (elementary.exp, elementary.log, elementary.log10)]
    values += [f(v / 30.0) for v in x for f in (elementary.sin_turn, elementary.cos_turn)]
    folded = 0
    for word in np.array(values).view(np.uint64):
        folded = (folded * 6364136223846793005 + int(word)) & 0xFFFFFFFFFFFFFFFF
    assert f"{folded:016x}" == "a8de614be50c605e"
