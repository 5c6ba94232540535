"""The compiled writer writes what json.loads reads back, and each damage is of the kind it says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.definition import Category, Feed, Number
from contracts.errors import InputError
from contracts.outcomes import Reason
from producers.encoding import MISSING, Encoder, Resolution, damage
from producers.transport_faults import MALFORMED
from stream_processors.decoding.batches import raw_batch
from stream_processors.decoding.decoder import Decoder

FEED = Feed("f", entity="device", time="ts", fields=[Number("a b"), Number("c"), Category("mode")], id="rid", time_unit="s")


def encoder(steps=(0.001, 1.0)):
    numbers = list(zip(["a b", "c"], map(Resolution, steps), strict=True))
    return numbers, Encoder(FEED, ["é-1", 'q"2'], numbers, [("mode", ["run", "öff"])])


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**13), st.integers(0, 1), st.integers(0, 10**9), st.integers(-(10**17), 10**17) | st.just(MISSING),
            st.integers(-(10**17), 10**17), st.integers(0, 1),
        ),
        max_size=20,
    )
)  # fmt: skip
def test_every_reading_reads_back(rows):
    """Times, names, ids, numbers of any sign and size, nulls and categories come back from json.loads as they were."""
    table = np.array(rows, np.int64).reshape(-1, 6)
    _, writer = encoder()
    out = writer.encode(table[:, 0], table[:, 1], table[:, 2], table[:, 3:5], table[:, 5:6])
    for row, value in zip(rows, out, strict=True):
        name = ["é-1", 'q"2'][row[1]]
        read = json.loads(value)
        assert read["ts"] == row[0] / 1000
        assert (read["device"], read["rid"], read["mode"]) == (name, f"{name}-{row[2]}", ["run", "öff"][row[5]])
        assert read["a b"] == (None if row[3] == MISSING else float(f"{row[3]}e-3"))
        assert read["c"] == row[4]


def test_a_resolution_rounds_and_keeps_to_the_range():
    """Values become the nearest multiple of the step inside the range; NaN stays missing."""
    step = Resolution(0.25)
    assert step.scale(np.array([0.1, 0.9, 99.0, -99.0, np.nan]), -1.0, 5.1).tolist() == [0, 100, 500, -100, MISSING]
    assert (step.decimals, Resolution(10.0).scale(np.array([26.0]), None, None).tolist()) == (2, [30])


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan"), float("inf"), 1e-12])
def test_an_impossible_resolution_is_refused(step):
    """Zero, negative, not finite or too fine steps are named."""
    with pytest.raises(InputError, match="resolution"):
        Resolution(step)


@pytest.mark.parametrize("reason", MALFORMED, ids=lambda r: r.code)
def test_each_damage_is_decoded_as_its_reason(reason):
    """The worker's own decoder puts the damaged record down under exactly the reason it was planted for."""
    _, writer = encoder()
    table = np.array([[1_767_225_600_000, 0, 7, 1234, 5, 1]])
    (value,) = writer.encode(table[:, 0], table[:, 1], table[:, 2], table[:, 3:5], table[:, 5:6])
    key = "é-1".encode() + (b"?" if reason == Reason.KEY else b"")
    columns = Decoder(FEED).decode(raw_batch([0], [-1], [key], [damage(value, reason, FEED)]))
    assert Reason(int(columns.reason[0])) == reason
