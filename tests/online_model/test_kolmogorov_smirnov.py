import numpy as np
import pytest
from scipy.stats import ks_2samp

from online_model.kolmogorov_smirnov import ks_two_sample

SIZES = [(1, 1), (5, 9), (64, 64), (100, 37), (128, 256), (128, 129)]


@pytest.mark.parametrize(("m", "n"), SIZES)
def test_statistic_and_exact_p_value_equal_scipy(m: int, n: int) -> None:
    """Statistic and exact two-sided p-value equal scipy's within 1e-9 relative, from no shift to a great one, with and without ties."""
    rng = np.random.default_rng(m * 1000 + n)
    for shift in (0.0, 0.3, 1.0, 3.0):
        for ties in (False, True):
            x, y = rng.standard_normal(m), rng.standard_normal(n) + shift
            if ties:
                x, y = np.round(x), np.round(y)
            x32, y32 = x.astype(np.float32), y.astype(np.float32)
            d, p = ks_two_sample(x32, y32)
            expected = ks_2samp(x32, y32, method="exact")
            assert d == pytest.approx(expected.statistic, rel=1e-12, abs=1e-15)
            assert p == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-300)


def test_an_empty_sample_has_no_distance() -> None:
    """Where a sample is empty, both numbers are NaN."""
    d, p = ks_two_sample(np.zeros(0, np.float32), np.ones(3, np.float32))
    assert np.isnan(d)
    assert np.isnan(p)
