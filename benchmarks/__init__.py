"""Measurements, each a module with `--json FILE`."""

import contracts  # noqa: F401 - points numba at the kernels of these very sources, which it asks for only once: when it is imported
