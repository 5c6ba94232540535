"""The table of `streamgauge features`."""

from __future__ import annotations

import pytest

from feature_store.feature_table import EntityFeatures, FeatureValue, Worth
from streamgauge.commands.features import _show


def test_brackets_in_a_name_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A device's name that looks like markup of the terminal library stands in the table as it is, read or never seen."""
    known = EntityFeatures("[red]pump-1[/red]", 1, 1, 1, 0, 0, 0, {"x_last": FeatureValue(1.5, Worth.FRESH)})
    unknown = EntityFeatures("line[/a]", None, None, None, None, None, None, {"x_last": FeatureValue(float("nan"), Worth.NEVER_SEEN)})
    _show("pumps", [known, unknown])
    out = capsys.readouterr().out
    assert "[red]pump-1[/red]" in out
    assert "line[/a]" in out
    assert "never seen" in out
