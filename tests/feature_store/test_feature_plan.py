"""The vector's names, what a plan allocates, and the page that documents the features."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts import definition
from contracts.definition import Category, Correlation, Difference, Feed, Number
from contracts.errors import DefinitionError
from feature_store.feature_catalogue import BY_NAME, CATALOGUE, Feature
from feature_store.feature_page import features_page
from feature_store.feature_plan import feature_fields, feature_names, feature_windows, plan_features

PUMPS = Feed(
    "pumps",
    entity="pump",
    time="ts",
    fields=[Number("temperature"), Category("mode"), Number("hours", counter=True, features=("increase", "last"))],
    windows=["1m", "10m"],
    across=[Correlation("temperature", "hours"), Difference("hours", "temperature")],
)


def test_names_windows_and_fields_go_together() -> None:
    """Names read field_feature_window; windows and fields index the definition and are −1 where there is none."""
    names = feature_names(PUMPS)
    at = dict(zip(names, zip(feature_windows(PUMPS), feature_fields(PUMPS), strict=True), strict=True))
    assert at["temperature_mean_1m"] == (0, 0)
    assert at["temperature_zscore"] == (-1, 0)
    assert at["hours_increase_10m"] == (1, 1)
    assert at["temperature_hours_correlation_10m"] == (1, -1)
    assert at["hours_temperature_difference"] == (-1, -1)
    assert at["mode_frequency_1m"] == (0, -1)
    assert at["time_of_day_sin"] == (-1, -1)
    assert len(names) == plan_features(PUMPS, 0).dimension == 8 * 2 + 5 + 2 + 1 + 2 + 1 + 2 * 2 + 1 + 4
    assert names[:2] == ("temperature_count_1m", "temperature_count_10m")


def test_the_catalogue_holds_what_definitions_may_name() -> None:
    """Each feature that a definition can choose has an entry, and each entry can be chosen."""
    chosen = (
        *definition.NUMBER_WINDOW_FEATURES, *definition.NUMBER_FEATURES, *definition.COUNTER_WINDOW_FEATURES,
        *definition.CATEGORY_WINDOW_FEATURES, *definition.CATEGORY_FEATURES, *definition.STATED_CATEGORY_FEATURES,
        *definition.TIME_FEATURES,
        "correlation", "difference", "ratio",
    )  # fmt: skip
    assert set(chosen) == set(BY_NAME) == {feature.name.lower() for feature in Feature}
    assert len(CATALOGUE) == len(BY_NAME)
    windowed = definition.NUMBER_WINDOW_FEATURES + definition.COUNTER_WINDOW_FEATURES + definition.CATEGORY_WINDOW_FEATURES
    assert {entry.name for entry in CATALOGUE if entry.windowed} == {*windowed, "correlation"}


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (("last",), 2),
        (("last", "rate", "stuck"), 4),
        (("count",), 7 * (2 + 1)),
        (("count", "mean", "std"), 7 * (2 + 3)),
        (("count", "mean", "std", "min", "max"), 7 * (2 + 3 + 2)),
        (("mean", "slope"), 7 * (2 + 6)),
        (("time_weighted_mean",), 2 + 7 * (2 + 2)),
    ],
)
def test_only_chosen_features_take_words(features: tuple[str, ...], words: int) -> None:
    """State is what the chosen features need: marks, and seven tiles (six and the closed one) of header and blocks."""
    feed = Feed("f", entity="e", time="t", fields=[Number("x", features=features)], windows=["1m"], time_features=False)
    plan = plan_features(feed, 9)
    assert (plan.base, plan.words) == (9, words)


def test_two_features_of_one_name_are_refused() -> None:
    """A name that would stand for two columns is refused with the name."""
    fields = [Number("a"), Number("a_b"), Number("b_c"), Number("c")]
    feed = Feed("f", entity="e", time="t", fields=fields, across=[Difference("a", "b_c"), Difference("a_b", "c")])
    with pytest.raises(DefinitionError, match="a_b_c_difference"):
        plan_features(feed, 0)


def test_the_page_is_generated() -> None:
    """docs/features.md is what the catalogue says."""
    page = Path(__file__).parents[2] / "docs" / "features.md"
    assert page.read_text() == features_page(), "run: python -m feature_store.feature_page > docs/features.md"
