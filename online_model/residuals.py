"""What is left of a reading when the cycle of the season and its own recent past are taken out.

On raw sensor data every guarantee of a change detector is void: a daily cycle and autocorrelation make partial sums
wander far more than independent noise does. So each entity and field carries a regression of its value on

    1, value before, slow mean of the values before, sin and cos of three harmonics of the season

fitted by least squares on exponentially forgotten moments. The value before takes out first-order autocorrelation; the
slow mean beside it whitens sums of autoregressions and sensors that add their own noise (ARMA), which one lag cannot.
A prediction error in units of its usual size, `z`, is what the detectors see. Everything stays finite: values are
clipped in standardised units, errors are Winsorised before they teach (Huber 1964, Robust estimation of a location).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.elementary import cos_turn, sin_turn
from contracts.kernel import kernel

F64 = NDArray[np.float64]

HARMONICS = 3  # daily cycles of plants are smooth; more would need more seasons to learn
_LAGS = 3  # regressors before the harmonics: 1, value before, slow mean
TERMS = _LAGS + 2 * HARMONICS
COLLECT = 32  # first values, from which centre and unit are taken; too few and one outlier sets the unit

# Words of the state.
N, CENTER, UNIT, SCALE, LAG, SLOW, CLEAN, OUTLYING, TIME, INTERVAL, UNSOLVED, SOLVED, UNIT_FLOOR = range(13)
THETA = 13
MOMENTS = THETA + TERMS
WORDS = MOMENTS + TERMS * (TERMS + 1) // 2 + TERMS

_SLOW_GAIN = 1.0 / 16.0  # slower overlaps with the season, faster with the value before
_WINSOR = 4.0  # scales; without it one spike bends the fit for days
_TEACHING_UNITS = 2.0  # ... of errors that small no outlier need be cut; else a switch that rarely moves is never learnt
_CLIP = 1e6  # units; keeps every product finite, whatever a sensor sends
_EARLY_CLIP = 8.0  # units, before the first fit, when nothing tells an outlier
GAP = 1.5  # typical intervals; across a longer one the value before says something else than it was fitted for
_LONG_GAP = 8.0  # typical intervals; across a longer one the slow mean is stale
_HUGE = 1e300  # differences of larger values overflow
_SCALE_FLOOR = 1e-9  # units; a constant field has no scale of its own
_LEAST_SHARE = 0.03  # of the field's own spread; a switch is predicted so well that each refit would look like a change
_RIDGE = 0.1  # readings' worth of belief in "as before" (1 for the value before, 0 else), all that a constant field can teach
_FIRST_FIT = 24  # readings; fewer than thrice the terms predict worse than the mean
_SCALE_MEMORY = 512.0
_MEAN_ABS_TO_STD = 1.2533141373155003  # √(π/2): E|N(0, σ²)| = σ·√(2/π)


@kernel("numpy")
def season_terms(time: int, season_us: int, out: F64) -> None:
    """Puts sin and cos of the harmonics of the season at event time `time` (µs) into `out` (2·HARMONICS); no season: leaves it."""
    if season_us <= 0:
        return
    turn = float(time % season_us) / float(season_us)
    s, c = sin_turn(turn), cos_turn(turn)
    a, b = s, c
    for h in range(HARMONICS):
        out[2 * h], out[2 * h + 1] = a, b
        a, b = a * c + b * s, b * c - a * s


@kernel()
def reset_residual(state: F64) -> None:
    """An entity's field just seen, or one that is learnt anew: then a unit once found too small stays found so."""
    floor = state[UNIT_FLOOR]
    state[:] = 0.0
    state[SCALE] = 1.0
    state[UNIT_FLOOR] = floor


@kernel()
def _clip(x: float, bound: float) -> float:
    return min(max(x, -bound), bound)


@kernel("numpy")
def standardise(state: F64, value: float) -> float:
    """The value from the centre, in units, within ±1e6."""
    return _clip((_clip(value, _HUGE) - state[CENTER]) / state[UNIT], _CLIP)


@kernel("numpy")
def _insertion_sort(values: F64) -> None:
    for i in range(1, len(values)):
        v = values[i]
        j = i - 1
        while j >= 0 and values[j] > v:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = v


@kernel("numpy")
def set_units(state: F64, first: F64) -> None:
    """Centre (median) and unit (mean absolute deviation, outliers clipped) from the first COLLECT values, which get sorted."""
    for i in range(len(first)):
        first[i] = _clip(first[i], _HUGE)
    _insertion_sort(first)
    center = first[len(first) // 2]
    quarter = max(first[(3 * len(first)) // 4] - center, center - first[len(first) // 4])
    spread = 0.0
    for v in first:
        far = abs(v - center)
        spread += min(far, 4.0 * quarter if quarter > 0.0 else far) / len(first)
    state[CENTER] = center
    state[UNIT] = max(max(spread * _MEAN_ABS_TO_STD, state[UNIT_FLOOR]), abs(center) * 1e-9)
    if not state[UNIT] > 1e-290:
        state[UNIT] = 1e-290 if state[UNIT] > 0.0 else 1.0
    state[LAG] = standardise(state, first[len(first) // 2])
    state[SLOW] = state[LAG]
    state[CLEAN] = state[LAG]


@kernel()
def unit_too_small(state: F64, y: float) -> bool:
    """Whether the first values hardly differed and this one shows it: notes a larger unit; the caller collects anew."""
    if abs(y) < 1e3 or state[UNIT] > abs(state[CENTER]) * 2e-9 + state[UNIT_FLOOR]:
        return False
    state[UNIT_FLOOR] = abs(y) * state[UNIT] / _TEACHING_UNITS
    return True


@kernel("numpy")
def track_interval(state: F64, time: int) -> float:
    """Time since the last value in typical (median) intervals; moves the median by a step and remembers the time."""
    elapsed = float(time) - state[TIME]
    first = state[TIME] == 0.0
    state[TIME] = float(time)
    if first or elapsed < 0.0:
        return 1.0
    if state[INTERVAL] == 0.0:
        state[INTERVAL] = elapsed
        return 1.0
    intervals = elapsed / state[INTERVAL]
    if state[N] == 0.0:  # coarse at first, so that an odd first interval is soon forgotten
        state[INTERVAL] *= 1.1 if intervals > 1.0 else 1.0 / 1.1
    else:
        state[INTERVAL] *= 1.02 if intervals > 1.0 else 1.0 / 1.02
    return intervals


@kernel("numpy", inlined=True)
def innovation(state: F64, x: F64, terms: int, y: float, intervals: float) -> float:
    """Prediction error of the standardised value `y` in scales; NaN across a gap and before the first fit.

    `x` (TERMS) holds the season's terms from index 3 on; the others are filled in here. After an outlying reading the
    kinder of two predictions counts, from the value itself and from its Winsorised form, so that a lone spike has no echo.
    """
    x[0], x[1], x[2] = 1.0, state[LAG], state[SLOW]
    if state[SOLVED] == 0.0:
        return np.nan
    predicted = 0.0
    for i in range(terms):
        predicted += state[THETA + i] * x[i]
    error = y - predicted
    if state[OUTLYING] != 0.0:
        other = error + state[THETA + 1] * (state[LAG] - state[CLEAN])
        if abs(other) < abs(error):
            error = other
    if not intervals <= GAP:
        return np.nan
    return _clip(error / state[SCALE], _CLIP)


@kernel("numpy")
def advance(state: F64, y: float, z: float, intervals: float) -> None:
    """The value becomes the one before."""
    state[OUTLYING] = 1.0 if abs(z) > _WINSOR else 0.0
    clean = y
    if state[OUTLYING] != 0.0:
        clean = y - (z - _clip(z, _WINSOR)) * state[SCALE]
    state[LAG], state[CLEAN] = y, clean
    if intervals > _LONG_GAP:
        state[SLOW] = y
    else:
        state[SLOW] += (clean - state[SLOW]) * _SLOW_GAIN


@kernel("numpy")
def learn(state: F64, x: F64, terms: int, y: float, z: float, weight: float, memory: float, refit: bool) -> bool:
    """Takes a reading, worth `weight` readings, into moments that remember `memory` readings; refits at each tenth more of them.

    Returns whether it refitted. Call before `advance`. A reading after an outlying one is left out: its regressor is not to be learnt from.
    """
    if state[OUTLYING] != 0.0:
        return False
    if state[SOLVED] == 0.0:
        y = _clip(y, _EARLY_CLIP)
        x[1], x[2] = _clip(x[1], _EARLY_CLIP), _clip(x[2], _EARLY_CLIP)
    elif z == z and abs(z) > _WINSOR:
        y -= (z - _clip(z, max(_WINSOR, _TEACHING_UNITS / state[SCALE]))) * state[SCALE]
    state[N] = min(state[N] + weight, memory)
    gain = weight / state[N]
    k = MOMENTS
    for i in range(terms):
        scaled = x[i] * gain
        for j in range(i + 1):
            state[k] += x[j] * scaled - state[k] * gain
            k += 1
    for i in range(terms):
        state[k] += x[i] * y * gain - state[k] * gain
        k += 1
    state[UNSOLVED] += weight
    if refit and state[N] >= _FIRST_FIT and state[UNSOLVED] >= 0.1 * state[N]:
        _solve(state, terms)
        state[UNSOLVED] = 0.0
        state[SOLVED] = 1.0
        return True
    return False


@kernel("numpy")
def learn_scale(state: F64, z: float) -> None:
    """Moves the usual size of a prediction error; only while no reference is laid down in its units."""
    if z == z:
        gain = 1.0 / min(max(state[N], 16.0), _SCALE_MEMORY)
        state[SCALE] *= 1.0 + gain * (_MEAN_ABS_TO_STD * min(abs(z), _WINSOR) - 1.0)
        spread = state[MOMENTS + 2] - state[MOMENTS + 1] * state[MOMENTS + 1]  # of the value before
        floor = _SCALE_FLOOR if state[UNIT_FLOOR] == 0.0 else _LEAST_SHARE
        state[SCALE] = max(state[SCALE], max(_LEAST_SHARE * np.sqrt(max(spread, 0.0)), floor))


@kernel("numpy", allocates=True)
def _solve(state: F64, terms: int) -> None:
    """Ridge regression by LDLᵀ of the moments (Golub & Van Loan, Matrix Computations, 4.1); a direction without variance gets 0."""
    lower = np.zeros((TERMS, TERMS))
    pivot = np.zeros(TERMS)
    solution = np.zeros(TERMS)
    ridge = _RIDGE / state[N]
    k = MOMENTS
    for i in range(terms):
        for j in range(i + 1):
            total = state[k] + (ridge if i == j else 0.0)
            k += 1
            for h in range(j):
                total -= lower[i, h] * lower[j, h] * pivot[h]
            if j < i:
                lower[i, j] = total / pivot[j] if pivot[j] > 0.0 else 0.0
            else:
                pivot[i] = total if total > 1e-12 else 0.0
    for i in range(terms):
        total = state[k + i] + (ridge if i == 1 else 0.0)
        for h in range(i):
            total -= lower[i, h] * solution[h]
        solution[i] = total
    for i in range(terms):
        solution[i] = solution[i] / pivot[i] if pivot[i] > 0.0 else 0.0
    kept = _kept_share(state, pivot, solution, terms)
    for i in range(_LAGS, terms):
        solution[i] *= kept
    for i in range(terms - 1, -1, -1):
        for h in range(i + 1, terms):
            solution[i] -= lower[h, i] * solution[h]
    for i in range(terms):
        state[THETA + i] = solution[i]


@kernel("numpy")
def _kept_share(state: F64, pivot: F64, rotated: F64, terms: int) -> float:
    """What the season keeps of its coefficients (James & Stein 1961, positive part): all of a real cycle, nearly nothing of chance.

    What few seasons of autocorrelated noise look like is no cycle; taken for one, it makes the errors of later days depend on each other.
    `pivot` and `rotated` (TERMS) are those of the LDLᵀ solution before it is substituted back.
    """
    explained = 0.0
    for i in range(_LAGS, terms):
        explained += pivot[i] * rotated[i] * rotated[i]
    noise = float(terms - _LAGS) * state[SCALE] * state[SCALE] / state[N]
    return max(1.0 - noise / explained, 0.0) if explained > 0.0 else 1.0


@kernel("numpy")
def expected_level(state: F64, x: F64, terms: int) -> float:
    """Standardised level that the season lets one expect now, were there no noise; the season is slow beside the lags."""
    total = state[THETA]
    for i in range(_LAGS, terms):
        total += state[THETA + i] * x[i]
    return total / max(1.0 - state[THETA + 1] - state[THETA + 2], 0.02)
