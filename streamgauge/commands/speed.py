"""The option value ``--speed``."""

from __future__ import annotations

import click


class _Speed(click.ParamType):
    name = "1|60|max"

    def convert(self, value: str | float | None, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """A number above 0; None for ``max``."""
        if value is None or value == "max":
            return None
        try:
            speed = float(value)
        except ValueError:
            speed = 0.0
        if not 0.0 < speed < float("inf"):
            self.fail(f"{value!r} is no speed; write a number above 0, such as 60, or max", param, ctx)
        return speed


SPEED = _Speed()
