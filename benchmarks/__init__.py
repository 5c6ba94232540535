"""Measurements, each a module with `--json FILE`."""
