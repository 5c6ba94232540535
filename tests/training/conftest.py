"""Training on one thread, as the search does it: on busy cores scikit-learn's threads wait for one another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For whatever a test fits by itself."""
    with threadpool_limits(1):
        yield
