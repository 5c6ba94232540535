"""exp, log, log10, sin and cos out of correctly rounded operations only (+ − × ÷ and integers), for compiled kernels.

libm's functions differ in the last bit between processors with and without fused multiply-add; bytes must not
(docs/semantics.md, "Bits"). Each function reduces its argument to a small interval and sums the Taylor series there, so
every coefficient is a plain quotient; the worst error measured in tests/contracts/test_elementary.py is below 2 ulp.
"""

from __future__ import annotations

import numba
import numpy as np

_INFINITY = np.inf
_NAN = np.nan

# Constants split into a short head, whose product with an exponent is exact, and a tail with the bits that follow.
_LN2_HEAD, _LN2_TAIL = float.fromhex("0x1.62e42fefp-1"), float.fromhex("0x1.473de6af278edp-34")
_LOG10_2_HEAD, _LOG10_2_TAIL = float.fromhex("0x1.34413509p-2"), float.fromhex("0x1.ef3fde623e256p-35")
_LOG2_E = float.fromhex("0x1.71547652b82fep+0")
_LOG10_E_HEAD, _LOG10_E_TAIL = float.fromhex("0x1.bcb7b14p-2"), float.fromhex("0x1.26e50e32a6ab7p-30")
_TWO_PI = float.fromhex("0x1.921fb54442d18p+2")

_EXP_OVERFLOW = 709.782712893384  # above: exp(x) > largest double
_EXP_UNDERFLOW = -745.1332191019412  # below: exp(x) < half the smallest subnormal
_SQRT_2 = float.fromhex("0x1.6a09e667f3bcdp+0")


@numba.njit(cache=True, nogil=True)
def _power_of_two(exponent: int) -> float:
    """2**exponent for −1022 ≤ exponent ≤ 1023, by its bits."""
    return np.int64((exponent + 1023) << 52).view(np.float64)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def exp(x: float) -> float:
    """e**x: inf above 709.78, 0 below −745.13, NaN of NaN.

    x = n·ln 2 + r with |r| ≤ ln 2 / 2; e**r = 1 + r + r²·(1/2 + r/6 + …) to degree 14.
    """
    if x != x:
        return x
    if x > _EXP_OVERFLOW:
        return _INFINITY
    if x < _EXP_UNDERFLOW:
        return 0.0
    n = int(x * _LOG2_E + (0.5 if x >= 0.0 else -0.5))
    head = x - n * _LN2_HEAD
    tail = n * _LN2_TAIL
    r = head - tail
    series = 1.0 / 87178291200.0
    series = series * r + 1.0 / 6227020800.0
    series = series * r + 1.0 / 479001600.0
    series = series * r + 1.0 / 39916800.0
    series = series * r + 1.0 / 3628800.0
    series = series * r + 1.0 / 362880.0
    series = series * r + 1.0 / 40320.0
    series = series * r + 1.0 / 5040.0
    series = series * r + 1.0 / 720.0
    series = series * r + 1.0 / 120.0
    series = series * r + 1.0 / 24.0
    series = series * r + 1.0 / 6.0
    series = series * r + 0.5
    y = 1.0 + (head + (r * r * series - tail))
    if n > 1023:  # 2**1024 is no double, though y times it may be one
        return y * _power_of_two(n - 1) * 2.0
    if n < -1022:  # the result may be subnormal: round once, in the last product
        return y * _power_of_two(n + 60) * _power_of_two(-60)
    return y * _power_of_two(n)


@numba.njit(cache=True, nogil=True)
def _split(x: float) -> tuple[int, float]:
    """(n, m) with x = m·2**n and √½ ≤ m < √2, for a positive finite x."""
    n = 0
    if x < 2.2250738585072014e-308:  # subnormal: bring it where the exponent bits mean what they say
        x *= 18014398509481984.0
        n = -54
    bits = int(np.float64(x).view(np.int64))
    n += (bits >> 52) - 1023
    m = np.int64((bits & 0xFFFFFFFFFFFFF) | (1023 << 52)).view(np.float64)
    if m >= _SQRT_2:
        m *= 0.5
        n += 1
    return n, m


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _log_mantissa(m: float) -> tuple[float, float]:
    """(f, c) with log m = f − c: f = m − 1 exactly, and c small beside it.

    s = f / (2 + f); log(1 + f) = 2s + 2s³/3 + 2s⁵/5 + … = f − (f²/2 − s·(f²/2 + 2s²/3 + 2s⁴/5 + …)).
    """
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    series = 2.0 / 25.0
    series = series * z + 2.0 / 23.0
    series = series * z + 2.0 / 21.0
    series = series * z + 2.0 / 19.0
    series = series * z + 2.0 / 17.0
    series = series * z + 2.0 / 15.0
    series = series * z + 2.0 / 13.0
    series = series * z + 2.0 / 11.0
    series = series * z + 2.0 / 9.0
    series = series * z + 2.0 / 7.0
    series = series * z + 2.0 / 5.0
    series = series * z + 2.0 / 3.0
    half = 0.5 * f * f
    return f, half - s * (half + z * series)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def log(x: float) -> float:
    """Natural logarithm: −inf of 0, NaN below 0 and of NaN, inf of inf."""
    if x != x or x < 0.0:
        return _NAN
    if x == 0.0:
        return -_INFINITY
    if x == _INFINITY:
        return x
    n, m = _split(x)
    f, c = _log_mantissa(m)
    return n * _LN2_HEAD + (f - (c - n * _LN2_TAIL))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def log10(x: float) -> float:
    """Decimal logarithm: −inf of 0, NaN below 0 and of NaN, inf of inf."""
    if x != x or x < 0.0:
        return _NAN
    if x == 0.0:
        return -_INFINITY
    if x == _INFINITY:
        return x
    n, m = _split(x)
    f, c = _log_mantissa(m)
    y = f - c
    return n * _LOG10_2_HEAD + (n * _LOG10_2_TAIL + (y * _LOG10_E_TAIL + y * _LOG10_E_HEAD))


@numba.njit(cache=True, nogil=True)
def _sine_series(a: float) -> float:
    """sin a for |a| ≤ π/4: a − a³/3! + … to degree 17."""
    z = a * a
    series = 1.0 / 355687428096000.0
    series = series * z - 1.0 / 1307674368000.0
    series = series * z + 1.0 / 6227020800.0
    series = series * z - 1.0 / 39916800.0
    series = series * z + 1.0 / 362880.0
    series = series * z - 1.0 / 5040.0
    series = series * z + 1.0 / 120.0
    series = series * z - 1.0 / 6.0
    return a + a * (z * series)


@numba.njit(cache=True, nogil=True)
def _cosine_series(a: float) -> float:
    """cos a for |a| ≤ π/4: 1 − a²/2! + … to degree 18."""
    z = a * a
    series = -1.0 / 6402373705728000.0
    series = series * z + 1.0 / 20922789888000.0
    series = series * z - 1.0 / 87178291200.0
    series = series * z + 1.0 / 479001600.0
    series = series * z - 1.0 / 3628800.0
    series = series * z + 1.0 / 40320.0
    series = series * z - 1.0 / 720.0
    series = series * z + 1.0 / 24.0
    series = series * z - 0.5
    return 1.0 + z * series


@numba.njit(cache=True, nogil=True)
def sin_turn(fraction: float) -> float:
    """sin(2π·fraction) for a fraction of a turn, 0 ≤ fraction ≤ 1; exactly 0, 1, 0, −1 at the quarters."""
    quarter = int(fraction * 4.0 + 0.5)
    angle = (fraction - quarter * 0.25) * _TWO_PI
    side = quarter & 3
    if side == 0:
        return _sine_series(angle)
    if side == 1:
        return _cosine_series(angle)
    if side == 2:
        return -_sine_series(angle)
    return -_cosine_series(angle)


@numba.njit(cache=True, nogil=True)
def cos_turn(fraction: float) -> float:
    """cos(2π·fraction) for a fraction of a turn, 0 ≤ fraction ≤ 1; exactly 1, 0, −1, 0 at the quarters."""
    quarter = int(fraction * 4.0 + 0.5)
    angle = (fraction - quarter * 0.25) * _TWO_PI
    side = quarter & 3
    if side == 0:
        return _cosine_series(angle)
    if side == 1:
        return -_sine_series(angle)
    if side == 2:
        return -_cosine_series(angle)
    return _sine_series(angle)
