import numpy as np
import pytest

from online_model.population_stability import population_stability


def slow_psi(reference: np.ndarray, current: np.ndarray) -> float:
    """PSI on the reference's deciles by numpy alone."""
    edges = np.quantile(reference, np.arange(1, 10) / 10, method="inverted_cdf")
    old = np.bincount(np.searchsorted(edges, reference, side="left"), minlength=10) + 0.5
    new = np.bincount(np.searchsorted(edges, current, side="left"), minlength=10) + 0.5
    r, c = old / old.sum(), new / new.sum()
    return float(np.sum((c - r) * np.log(c / r)))


@pytest.mark.parametrize("decimals", [6, 0])
@pytest.mark.parametrize(("n", "m"), [(256, 128), (200, 17), (10, 1)])
def test_index_equals_a_numpy_oracle(n: int, m: int, decimals: int) -> None:
    """The compiled index equals numpy's quantiles, searchsorted and log within 1e-9, with and without ties."""
    rng = np.random.default_rng(n + m)
    for shift in (0.0, 0.5, 4.0):
        reference = rng.standard_normal(n).round(decimals).astype(np.float32)
        current = (rng.standard_normal(m) + shift).round(decimals).astype(np.float32)
        assert population_stability(reference, current) == pytest.approx(slow_psi(reference, current), rel=1e-9, abs=1e-12)


def test_an_empty_sample_has_no_index() -> None:
    """Where a sample is empty the index is NaN."""
    assert np.isnan(population_stability(np.ones(4, np.float32), np.zeros(0, np.float32)))
