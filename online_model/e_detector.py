"""E-detectors on prediction errors: evidence that location or spread has changed, and that readings are outlying.

Shin, Ramdas & Rinaldo (2022), E-detectors, arXiv:2203.03532: with e ≥ 0 of mean ≤ 1 given the past while nothing has
changed, the CUSUM form M = max(M, 1)·e, and any mean of such M, crosses A on average not before A readings.

* Location and spread are bets on x = 2u − 1, where u is the error's mid-rank in a histogram laid down during warm-up:
  e = 1 ± ε·x and e = 1 ± ε·(3x² − 1)/2. No distribution is assumed; ties and heavy tails keep the mean at 1.
* A finite reference is not the truth, and whitening is never perfect. Each bet is divided by 1 + what 3.5 standard errors
  of the reference can give it, and by 1 + what the long-run variance of the errors (batch means) adds over independence;
  stakes shrink by that ratio too. Without the first, a reference of 200 gives false alarms at six times the rate
  asked for; without the second, any leftover autocorrelation does.
* Outlying means farther from the errors' recent mean than 1.4 times what 99.5 % of the reference kept to. A bet that
  such readings have come to be 15 % of all, against an upper estimate of their share in the reference.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.elementary import log10
from contracts.kernel import kernel

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

BETS = 8  # location up and down by slight, small and large stakes; spread up, down
CAP = 1e20  # of M: far above any threshold, and near enough to come back from when a change has ended
_END = 1e-4  # M fallen to this share of its peak: 10,000 to 1 that the change has ended (Wald's sequential test, reversed)
GROUND = 2.0  # the mean of reflected bets hovers below this while nothing happens
LEARNABLE = 1000.0  # above it readings do not teach the model; much lower, it would unlearn chance only on one side and drift away

_SIDE = 24  # bins on each side of the middle one, which holds ±⅛ scale: errors of a constant field are all equal
BINS = 2 * _SIDE + 1
_LINEAR = 10  # bins of ¼ scale up to 2⅝ on each side, then edges grow by a fifth
_EDGES = np.empty(_SIDE)  # lower edge of the bins from the middle outwards
_EDGES[: _LINEAR + 1] = np.arange(_LINEAR + 1) / 4.0 + 0.125
for _i in range(_LINEAR + 1, _SIDE):
    _EDGES[_i] = _EDGES[_i - 1] * 1.2

SLIGHT, SMALL, LARGE, WIDTH = 0.15, 0.4, 0.8, 0.8
# Stakes: .4 is near the best for a shift of .3 σ of the error (1.5 σ of AR(.9)), .8 is quick. Where a short past takes AR(.9) for AR(.93),
# less than .2 σ of such a shift is left of it: .4 loses on that, and only .15 still wins.
_REFERENCE_ERRORS = 3.5  # standard errors of the reference that a bet is damped for; two are too few, as it waits while evidence stands
_X_STD, _F_STD = 0.5773502691896258, 0.4472135954999579  # of x and (3x² − 1)/2 for uniform u
_OUTLYING_SHARE = 0.0025  # on each side
_OUTLYING_FACTOR = 1.4  # a shift of 1.5 σ stays inside (4.5 − 1.5 = 3 σ), a spike of 8 σ does not, even in t(3) noise
_OUTLYING_ODDS = 0.15  # share of outlying readings that is bet on
_SPREAD_RULES = 100.0
_TIED = -0.05  # mean of f; below it nearly half of all errors are one value (a switch at rest), and spread means nothing
_LEAST_OUTLYING = 4.0  # scales; a field that hardly ever moves has next to no 99.5 %
_RECENT_GAIN = 1.0 / 16.0
_RECENT_REACH = 0.4  # of the outlying bound: the most that one error moves the recent mean by; with .8 it follows a long burst too soon
_BATCH_MEMORY = 8192.0  # a multiple of 512, so that batches stay whole when it is halved
LEVELS = 3  # batches of 16, 64, 256 readings, from which the long-run variance is taken

# Words of the state.
M = 0
SINCE, SINCE_OFFSET, PEAK, TOP, STANDING, STANDING_SINCE, MEAN = range(BETS, BETS + 7)
STAKE_SLIGHT, STAKE_SMALL, STAKE_LARGE, STAKE_WIDTH = range(BETS + 7, BETS + 11)
FAIR_SLIGHT, FAIR_SMALL, FAIR_LARGE, FAIR_WIDTH = range(BETS + 11, BETS + 15)
OUT_M, OUT_SINCE, OUT_SINCE_OFFSET, OUT_TOP, OUT_LOW, OUT_HIGH, OUT_WIN, OUT_LOSE, RECENT, REFERENCE = range(BETS + 15, BETS + 25)
BATCHED = BETS + 25  # errors in the batch sums
BATCHES = BETS + 26  # per level: sum of ψ, of ψ₂; sum of squared batch sums of ψ, of ψ₂
TOTALS = BATCHES + 4 * LEVELS  # sums of ψ, ψ², ψ₂, ψ₂²
F_MEAN = TOTALS + 4  # mean of (3x² − 1)/2 over the reference: below 0 where errors tie
F_MEAN_HELD = F_MEAN + 1  # F_MEAN and, behind HISTOGRAM, the x of each bin as of when evidence last was at its ground
HISTOGRAM = F_MEAN + 2  # BINS float32: counts, after `freeze` the x of each bin; as many again, held
HELD = BINS + 1  # float32 from the histogram to the held one
WORDS = HISTOGRAM + 2 * (BINS // 2 + 1)


@kernel()
def reset_detector(state: F64) -> None:
    """No reference, no evidence."""
    state[:] = 0.0
    state[M : M + BETS] = 1.0
    state[PEAK] = state[MEAN] = 1.0
    state[OUT_M] = 1.0


@kernel()
def bin_of(z: float) -> int:
    """Index of the bin of an error of `z` scales, 0 … BINS − 1."""
    a = abs(z)
    i = int(a * 4.0 + 0.5) if a < 2.625 else _LINEAR + 1
    if i == _LINEAR + 1:
        while i < _SIDE and a >= _EDGES[i]:
            i += 1
    return _SIDE + i if z >= 0.0 else _SIDE - i


@kernel()
def lay_down(state: F64, halves: F32, at: int, z: float) -> None:
    """Takes an error into the reference; its histogram is the BINS float32 of `halves` (the row as such) from `at` on."""
    halves[at + bin_of(z)] += np.float32(1.0)
    n = state[REFERENCE] + 1.0
    state[REFERENCE] = n
    state[RECENT] += (min(max(z, -4.0), 4.0) - state[RECENT]) * _RECENT_GAIN
    take_batch(state, z)


@kernel()
def take_batch(state: F64, z: float) -> None:
    """Takes an error into the batch sums; older ones come to count half, so that what a young model left behind is forgotten."""
    if state[BATCHED] >= _BATCH_MEMORY:
        state[BATCHED] *= 0.5
        for i in range(4):
            state[TOTALS + i] *= 0.5
        for level in range(LEVELS):
            state[BATCHES + 4 * level + 2] *= 0.5
            state[BATCHES + 4 * level + 3] *= 0.5
    one = min(max(z * 0.6, -1.0), 1.0)  # near 2·rank − 1, which is not known before all are in
    two = one * one
    state[TOTALS] += one
    state[TOTALS + 1] += one * one
    state[TOTALS + 2] += two
    state[TOTALS + 3] += two * two
    state[BATCHED] += 1.0
    n, length = int(state[BATCHED]), 16
    for level in range(LEVELS):  # a full batch goes into the next longer one
        k = BATCHES + 4 * level
        state[k] += one
        state[k + 1] += two
        if n % length != 0:
            return
        one, two = state[k], state[k + 1]
        state[k + 2] += one * one
        state[k + 3] += two * two
        state[k] = 0.0
        state[k + 1] = 0.0
        length *= 4


@kernel("numpy")
def variance_ratio(state: F64, which: int) -> float:
    """Long-run variance of ψ (0) or ψ₂ (1) over that of independent errors: the largest of three batch lengths, at least 1.

    One standard error of the estimate is taken off, so that white noise is left near 1.
    """
    n = state[BATCHED]
    mean = state[TOTALS + 2 * which] / n
    variance = state[TOTALS + 2 * which + 1] / n - mean * mean
    ratio, length = 1.0, 16
    for level in range(LEVELS):
        batches = float(int(n) // length)
        if batches >= 8.0 and variance > 1e-12:
            squares = state[BATCHES + 4 * level + 2 + which] / batches
            between = (squares - length * length * mean * mean) / length * batches / (batches - 1.0)
            ratio = max(ratio, between / variance / (1.0 + np.sqrt(2.0 / batches)))
        length *= 4
    return ratio


@kernel("numpy")
def freeze(state: F64, halves: F32, at: int) -> None:
    """The reference is complete: ranks, stakes and what is outlying follow from it, and betting may begin."""
    n = state[REFERENCE]
    _set_outlying(state, halves, at, n)
    below = 0.0
    for b in range(BINS):
        count = float(halves[at + b])
        x = (2.0 * below + count) / n - 1.0
        halves[at + b] = np.float32(x)
        state[F_MEAN] += (1.5 * x * x - 0.5) * count / n
        below += count
    set_stakes(state)
    hold(state, halves, at)


@kernel()
def hold(state: F64, halves: F32, at: int) -> None:
    """From here on bets use the reference as it is now."""
    state[F_MEAN_HELD] = state[F_MEAN]
    for b in range(BINS):
        halves[at + HELD + b] = halves[at + b]


@kernel("numpy")
def set_stakes(state: F64) -> None:
    """Stakes and damping for a reference of its present size and errors of their present dependence."""
    error = _REFERENCE_ERRORS / np.sqrt(state[REFERENCE])
    location, width = variance_ratio(state, 0), variance_ratio(state, 1)
    for i, stake in enumerate((SLIGHT, SMALL, LARGE, WIDTH)):
        std = _F_STD if i == 3 else _X_STD
        ratio = width if i == 3 else location
        stake = 0.0 if i == 3 and state[F_MEAN] < _TIED else stake / ratio
        state[STAKE_SLIGHT + i] = stake
        state[FAIR_SLIGHT + i] = 1.0 / (1.0 + stake * error * std * np.sqrt(ratio) + 0.5 * stake * stake * std * std * (ratio - 1.0))


@kernel("numpy")
def follow(state: F64, halves: F32, at: int, z: float, weight: float, memory: float) -> None:
    """Moves the running reference by an error worth `weight` readings: each bin's x towards −1, 0 or 1 as z fell above, in or below it.

    The mean of those signs is 2·mid-rank − 1, so that no counts need be kept.
    """
    n = min(state[REFERENCE] + weight, memory)
    state[REFERENCE] = n
    gain = np.float32(weight / n)
    here = bin_of(z)
    x = float(halves[at + here])
    state[F_MEAN] += (1.5 * x * x - 0.5 - state[F_MEAN]) * (weight / n)
    for b in range(BINS):
        halves[at + b] -= gain * halves[at + b]
    for b in range(here):
        halves[at + b] -= gain
    for b in range(here + 1, BINS):
        halves[at + b] += gain


@kernel("numpy")
def _set_outlying(state: F64, halves: F32, at: int, n: float) -> None:
    """Bounds at bin edges, and the two factors of the bet, from the counts of the reference."""
    below = above = 0.0
    low, high = 0, BINS - 1
    while low < _SIDE - 1 and below + halves[at + low] <= _OUTLYING_SHARE * n:
        below += halves[at + low]
        low += 1
    while high > _SIDE and above + halves[at + high] <= _OUTLYING_SHARE * n:
        above += halves[at + high]
        high -= 1
    low_edge = _outward((_EDGES[_SIDE - low] if low > 0 else 2.0 * _EDGES[_SIDE - 1]) * _OUTLYING_FACTOR)
    high_edge = _outward((_EDGES[high - _SIDE] if high < BINS - 1 else 2.0 * _EDGES[_SIDE - 1]) * _OUTLYING_FACTOR)
    low_edge, high_edge = max(low_edge, _outward(_LEAST_OUTLYING)), max(high_edge, _outward(_LEAST_OUTLYING))
    state[OUT_LOW], state[OUT_HIGH] = -low_edge, high_edge
    outlying = 0.0
    for i in range(_SIDE):
        if _EDGES[i] >= high_edge:
            outlying += halves[at + _SIDE + 1 + i]
        if _EDGES[i] >= low_edge:
            outlying += halves[at + _SIDE - 1 - i]
    share = min((outlying + 2.0 * np.sqrt(outlying) + 1.5) / n, 0.5 * _OUTLYING_ODDS)
    state[OUT_WIN] = _OUTLYING_ODDS / share
    state[OUT_LOSE] = (1.0 - _OUTLYING_ODDS) / (1.0 - share)


@kernel()
def _outward(edge: float) -> float:
    for i in range(_SIDE):
        if _EDGES[i] >= edge:
            return _EDGES[i]
    return edge


@kernel()
def rank(halves: F32, at: int, z: float) -> float:
    """Mid-rank in the reference, 0 to 1, of an error of `z` scales, as the bets on change see it: ½ on average while nothing changes."""
    return 0.5 + 0.5 * float(halves[at + HELD + bin_of(z)])


@kernel("numpy", inlined=True)
def bet_on_change(state: F64, halves: F32, at: int, z: float, time: int, offset: int) -> float:
    """Evidence (mean of the bets' M) that location or spread has changed, after an error of `z` scales."""
    x = float(halves[at + HELD + bin_of(z)])
    f = 1.5 * x * x - 0.5 - state[F_MEAN_HELD]
    total = 0.0
    for i in range(3):  # upwards, downwards
        step, fair = state[STAKE_SLIGHT + i] * x, state[FAIR_SLIGHT + i]
        state[2 * i] = min(max(state[2 * i], 1.0) * (1.0 + step) * fair, CAP)
        state[2 * i + 1] = min(max(state[2 * i + 1], 1.0) * (1.0 - step) * fair, CAP)
        total += state[2 * i] + state[2 * i + 1]
    step, fair = state[STAKE_WIDTH] * f, state[FAIR_WIDTH]
    state[6] = min(max(state[6], 1.0) * (1.0 + step) * fair, CAP)
    state[7] = min(max(state[7], 1.0) * (1.0 - step) * fair, CAP)
    mean = (total + state[6] + state[7]) / BETS
    state[PEAK] = max(state[PEAK], mean)
    if mean <= state[PEAK] * _END:
        for i in range(BETS):
            state[i] = 1.0
        mean = 1.0
    if mean <= GROUND:
        state[SINCE], state[SINCE_OFFSET], state[PEAK] = float(time), float(offset), mean
    state[MEAN] = mean
    return mean


@kernel()
def direction(state: F64) -> int:
    """Sign of the change of location; 0 where a change of spread is a hundred times as evident, for a shift widens |x| too."""
    up, down = max(state[0], state[2], state[4]), max(state[1], state[3], state[5])
    if max(state[6], state[7]) > _SPREAD_RULES * max(up, down):
        return 0
    return 1 if up > down else -1


@kernel()
def bet_on_outlying(state: F64, z: float, time: int, offset: int) -> bool:
    """Moves the evidence OUT_M that outlying readings have come to be frequent; True when this one is outlying.

    Distance is from the errors' recent mean, which follows a shift however large, so that one is told as a shift in the end
    and not as outlying readings for ever; a single spike moves it little.
    """
    far = z - state[RECENT]
    state[RECENT] += min(max(far, _RECENT_REACH * state[OUT_LOW]), _RECENT_REACH * state[OUT_HIGH]) * _RECENT_GAIN
    outlying = far <= state[OUT_LOW] or far >= state[OUT_HIGH]
    state[OUT_M] = min(max(state[OUT_M], 1.0) * (state[OUT_WIN] if outlying else state[OUT_LOSE]), CAP)
    if state[OUT_M] <= 1.0:
        state[OUT_SINCE], state[OUT_SINCE_OFFSET] = float(time), float(offset)
    return outlying


@kernel()
def log_of(m: float) -> float:
    """Base-10 logarithm of a statistic, not below 0: at its ground a CUSUM counts as 1."""
    return log10(max(m, 1.0))
