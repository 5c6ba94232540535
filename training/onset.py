"""Since when errors are larger: the change of their mean that explains most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

FEWEST = 30  # losses on either side; a few wild ones at an end would else be a change


def onset(losses: F64) -> int | None:
    """Where losses (n,) in the order of their events rise to a higher mean; None where no place leaves FEWEST on either side.

    The least-squares estimate of one change of the mean (Bai 1994, "Least squares estimation of a shift in linear processes",
    Journal of Time Series Analysis 15): the place k with the greatest k (n - k) / n times the squared difference of the means of
    losses[k:] and losses[:k], of those where the mean rises. A test that waits for evidence begins to suspect long before,
    wherever errors were a little larger for a while; this finds the jump. Losses that are no number are passed over.
    """
    known = np.flatnonzero(np.isfinite(losses))
    n = len(known)
    if n < 2 * FEWEST:
        return None
    sums = np.cumsum(losses[known])
    k = np.arange(FEWEST, n - FEWEST + 1)
    before, after = sums[k - 1] / k, (sums[-1] - sums[k - 1]) / (n - k)
    gain = np.where(after > before, k * (n - k) / n * (after - before) ** 2, 0.0)
    best = int(np.argmax(gain))
    return int(known[k[best]]) if gain[best] > 0.0 and k[best] < n else None
