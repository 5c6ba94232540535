"""The detection cells as a whole: no alarm without cause, every planted fault found as what it is, and nothing that breaks them."""

import numpy as np
import pytest
from river import drift
from scipy.stats import chi2, ks_2samp

from contracts.definition import Feed, Number
from contracts.durations import DAY, MINUTE, SECOND, WEEK
from feature_store.rows import new_rows
from online_model import adwin, e_detector
from online_model import cell_layout as layout
from online_model import evidence_buffer as columns
from online_model.cells import cell_bytes, plan_cells, reset_cells, update_cells
from online_model.evidence_buffer import Source, new_evidence_buffer
from online_model.residuals import TERMS
from tests.online_model.fleet import SHARES, START, Fleet, noise, plan

PER_DAY = 1440  # one reading a minute


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["iid", "ar0.9", "season", "season-sharp", "t3", "quantised", "quantised-ar", "exp", "gaps", "constant", "switch"]
)
def test_fleets_without_a_fault_stay_within_the_budget(kind: str) -> None:
    """24 sensors, eight weeks after a warm-up of two days: the exact 95 % bound of the rate of alarms is at most twice the budget."""
    rng = np.random.default_rng(1)
    weeks, budget = 8, 1.0
    openings = Fleet(plan(), 24, 60.0, budget).fold(noise(kind, (2 + 7 * weeks) * PER_DAY, (24, 1), rng))
    bound = chi2.ppf(0.95, 2 * (len(openings) + 1)) / 2  # exact upper bound of a Poisson mean (Garwood 1936)
    assert bound / weeks <= 2 * budget, openings


def test_what_a_young_reference_gets_wrong_is_no_alarm() -> None:
    """Without a season a sensor is watched after 256 readings: 400 of them open no more drift in 8,000 readings than the budget allows."""
    budget, entities, steps, cadence = 300.0, 400, 8_000, 10.0
    openings = Fleet(plan(season=None), entities, cadence, budget).fold(noise("iid", steps, (entities, 1), np.random.default_rng(5)))
    allowed = SHARES[Source.DRIFT] * budget * steps * cadence / (WEEK / SECOND)
    assert sum(o.source == Source.DRIFT for o in openings) <= allowed


FOUND = [  # noise, fault, source that must find it on every sensor, within so many readings
    ("iid", "shift", Source.DRIFT, 120),
    ("season", "shift", Source.DRIFT, 240),
    ("ar0.9", "shift", Source.DRIFT, 2000),
    ("t3", "shift", Source.DRIFT, 120),
    ("season", "wear", Source.DRIFT, 1080),
    ("season", "spikes", Source.ANOMALY, 30),
    ("season", "stuck", Source.STUCK, 90),
    ("season", "missing", Source.MISSING, 90),
]


@pytest.mark.parametrize(("kind", "fault", "source", "within"), FOUND)
def test_planted_faults_are_found_as_what_they_are(kind: str, fault: str, source: Source, within: int) -> None:
    """On 12 sensors, a reading every 20 s, each fault opens its own source on every sensor, and no other source on any."""
    rng, cadence, entities = np.random.default_rng(7), 20.0, 12
    day = 3 * PER_DAY
    x = noise(kind, 4 * day, (entities, 1), rng, cadence)
    at = 3 * day + 500
    if fault == "shift":
        x[at:] += 1.5
    elif fault == "wear":
        x[at : at + within, :, 0] += np.linspace(0, 3, within)[:, None]
        x[at + within :] += 3.0
    elif fault == "spikes":
        x[at : at + 30 : 5] += 8.0
        x[at + 2 : at + 30 : 5] -= 8.0
    elif fault == "stuck":
        x[at : at + 90] = x[at].copy()
    else:
        x[at : at + 90] = np.nan
    openings = Fleet(plan(), entities, cadence).fold(x)
    early = [o for o in openings if o.step < at + within]
    assert {o.entity for o in early} == set(range(entities))
    assert {o.source for o in early} == {source}
    assert all(o.step >= at for o in openings)


def fold(feed: Feed, rows: list[tuple[int, list[float], bool]]) -> tuple[np.ndarray, columns.EvidenceBuffer]:
    """Bytes of state, and evidence, of one entity that sends (time, values, in order)."""
    cells = plan_cells(feed, 3)
    F, W = new_rows(2, cells.words + 5)
    reset_cells(F, W, 1, cells)
    buffer = new_evidence_buffer(10_000)
    offset = 0  # of readings in order, so that others do not move it
    for i, (time, values, in_order) in enumerate(rows):
        numbers = np.array(values)
        states = np.where(np.isnan(numbers), 1, np.where(np.isinf(numbers), 2, 0)).astype(np.int8)
        update_cells(F, W, 1, cells, time, offset, numbers, states, in_order, np.zeros(TERMS), buffer, i)
        offset += in_order
    return F, buffer


DEFAULTS = ("e-detector", "ks", "psi")


def one_field(season: str | None = None, counter: bool = False, detectors: tuple[str, ...] = DEFAULTS) -> Feed:
    return Feed("f", entity="e", time="t", fields=[Number("x", counter=counter)], season=season, detectors=detectors)


def test_evidence_says_what_was_and_what_is_in_the_fields_units() -> None:
    """Evidence of a rise by 3 °C names direction, beginning, reference 20 ± 2 and current 23, and KS and PSI; a fall back is reported."""
    rng = np.random.default_rng(3)
    x = 20 + 2 * rng.standard_normal(2400)
    x[1000:1400] += 3.0
    rows = [(START + i * MINUTE, [float(v)], True) for i, v in enumerate(x)]
    _, buffer = fold(one_field(), rows)
    n = buffer.numbers[: buffer.used[0]]
    assert (buffer.source[: len(n)] == Source.DRIFT).all()
    tops = n[:, columns.LOG10_E]
    last = n[np.argmax(tops)]
    assert last[columns.DIRECTION] == 1
    assert abs((last[columns.SINCE] - START) / MINUTE - 1000) < 30
    assert last[columns.SINCE_OFFSET] == (last[columns.SINCE] - START) / MINUTE
    assert last[columns.REFERENCE_MEAN] == pytest.approx(20, abs=0.5)
    assert last[columns.REFERENCE_STD] == pytest.approx(2, abs=0.4)
    assert last[columns.CURRENT_MEAN] == pytest.approx(23, abs=0.6)
    assert last[columns.CURRENT_N] > 20
    assert last[columns.KS_P] < 1e-6
    assert last[columns.PSI] > 0.5
    rises = tops[: int(np.argmax(tops)) + 1]
    assert (np.diff(np.floor(rises)) >= 1).all()
    assert rises[0] >= 2
    assert tops[-1] < 1


def test_outlying_values_are_compared_with_what_their_hours_let_one_expect() -> None:
    """Spikes at the top of a season of ± 10 stand beside 30, although drift has been off its ground since the bottom, at 10."""
    rng = np.random.default_rng(8)
    minutes = np.arange(4 * 1440)
    x = 20 + 10 * np.sin(2 * np.pi * minutes / 1440) + 0.5 * rng.standard_normal(len(minutes))
    top = 3 * 1440 + 360
    x[top - 720 : top] += 0.5
    x[top : top + 20 : 2] += 8.0
    _, buffer = fold(one_field("1d"), [(START + i * MINUTE, [float(v)], True) for i, v in enumerate(x[: top + 20])])
    n, source = buffer.numbers[: buffer.used[0]], buffer.source[: buffer.used[0]]
    drift, spikes = n[source == Source.DRIFT][-1], n[source == Source.ANOMALY][-1]
    assert (drift[columns.SINCE] - START) / MINUTE < top - 360
    assert spikes[columns.REFERENCE_MEAN] == pytest.approx(30, abs=1.0)
    assert spikes[columns.CURRENT_MEAN] == pytest.approx(38, abs=1.0)


def test_kolmogorov_smirnov_compares_the_newest_errors_with_the_reference() -> None:
    """The evidence's KS numbers equal scipy's on the samples that the cell keeps."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal(1000)
    x[900:] += 2.0
    rows = [(START + i * MINUTE, [float(v)], True) for i, v in enumerate(x)]
    _, whole = fold(one_field(), rows)
    at = int(whole.row[whole.used[0] - 1])
    F, buffer = fold(one_field(), rows[: at + 1])
    evidence = buffer.numbers[buffer.used[0] - 1]
    cell = F[1, 3:]
    samples = np.ascontiguousarray(cell[layout.SAMPLES : layout.SAMPLES + layout.SAMPLE_WORDS]).view(np.float32)
    expected = ks_2samp(samples[: int(cell[layout.KEPT])], samples[256 : 256 + 128], method="exact")
    assert evidence[columns.KS] == pytest.approx(expected.statistic, rel=1e-12)
    assert evidence[columns.KS_P] == pytest.approx(expected.pvalue, rel=1e-9)


def test_adwin_follows_the_ranks_of_the_errors_as_rivers_does() -> None:
    """Reading by reading, window, mean and alarms are those of river's on the same ranks; a cell that learns anew empties the window."""
    rng = np.random.default_rng(12)
    x = rng.standard_normal(6000)
    x[1500:] += 0.8
    x[3000:] += 4.0  # both last, and become the new normal
    x[rng.random(6000) < 0.01] = np.nan
    cells = plan_cells(one_field(detectors=(*DEFAULTS, "adwin")), 3)
    F, W = new_rows(2, 3 + cells.words)
    reset_cells(F, W, 1, cells)
    cell, buffer, river = F[1, 3:], new_evidence_buffer(10_000), drift.ADWIN()
    held, newest = 2 * (layout.DETECTOR + e_detector.HISTOGRAM) + e_detector.HELD, 2 * layout.SAMPLES + 256
    fed = alarms = begun_anew = 0
    for i, value in enumerate(x):
        halves, seen = cell.view(np.float32).copy(), int(cell[layout.RECENT_AT])
        state = np.array([int(np.isnan(value))], np.int8)
        time, in_order = START + i * MINUTE, rng.random() > 0.02
        update_cells(F, W, 1, cells, time, i, np.array([value]), state, in_order, np.zeros(TERMS), buffer, i)
        window = cell[cells.adwin_at :]
        if cell[layout.PHASE] != layout.RUNNING:
            begun_anew += seen > 0
            river = drift.ADWIN()
            assert (window == 0.0).all()
        elif cell[layout.RECENT_AT] > seen:
            z = float(cell.view(np.float32)[newest + seen % 128])
            river.update((1.0 + float(halves[held + e_detector.bin_of(z)])) / 2.0)
            fed += 1
            if river.drift_detected:
                alarms += 1
                assert window[adwin.CHANGE_TIME] == time
        assert window[adwin.WIDTH] == river.width
        assert window[adwin.TOTAL] == pytest.approx(river.total, rel=1e-12)
        assert window[adwin.CHANGED] == (fed > 0 and river.drift_detected)
    assert (fed > 4000, alarms >= 2, begun_anew) == (True, True, 2)


def test_evidence_bears_the_change_that_adwin_found_meanwhile() -> None:
    """Of a rise, evidence says when ADWIN found it and the ranks before and after; a change of an earlier excursion is left out."""
    rng = np.random.default_rng(3)
    x = 20 + 2 * rng.standard_normal(3000)
    x[1000:1400] += 3.0
    x[2400:] -= 3.0
    rows = [(START + i * MINUTE, [float(v)], True) for i, v in enumerate(x)]
    _, buffer = fold(one_field(detectors=("e-detector", "adwin")), rows)
    n = buffer.numbers[: buffer.used[0]]
    found = n[:, columns.ADWIN_TIME]
    assert not (found <= n[:, columns.SINCE]).any()
    row = buffer.row[: len(n)]
    assert np.isnan(found[(row > 2400) & (row < 2440)]).all()
    for begun, rises in ((1000, True), (2400, False)):
        top = np.argmax(np.where((row > begun) & (row < begun + 400), n[:, columns.LOG10_E], 0.0))
        at = (n[top, columns.ADWIN_TIME] - START) / MINUTE
        assert begun < at < begun + 150
        assert n[top, columns.ADWIN_OLD_N] > 200
        assert n[top, columns.ADWIN_OLD_MEAN] == pytest.approx(0.5, abs=0.05)
        assert n[top, columns.ADWIN_NEW_N] == row[top] - at
        assert n[top, columns.ADWIN_NEW_MEAN] > 0.75 if rises else n[top, columns.ADWIN_NEW_MEAN] < 0.35


@pytest.mark.parametrize("kind", ["iid", "ar0.9", "quantised-ar"])
def test_adwin_finds_little_where_nothing_has_changed(kind: str) -> None:
    """In 24 sensors without a fault, four weeks after a warm-up of two days, no more than one change in 100,000 readings."""
    cells = plan(detectors=("e-detector", "adwin"))
    fleet, changes, last = Fleet(cells, 24, 60.0), 0, np.zeros(24)
    x = noise(kind, 30 * PER_DAY, (24, 1), np.random.default_rng(1))
    for chunk in np.array_split(x, len(x) // int(adwin.CLOCK)):  # at most one change between two looks
        fleet.fold(chunk)
        now = fleet.F[:, cells.adwin_at + adwin.CHANGE_TIME].copy()
        changes, last = changes + int((now > last).sum()), now
    assert changes * 100_000 <= 28 * PER_DAY * 24, changes


def test_adwin_is_a_figure_and_moves_no_evidence() -> None:
    """With it, evidence and state are byte for byte those without it, but for its own columns and words: the budget is not touched."""
    x = noise("season", 4 * PER_DAY, (1,), np.random.default_rng(13))[:, 0]
    x[3 * PER_DAY :] += 2.0
    x[3 * PER_DAY + 300 : 3 * PER_DAY + 400 : 7] += 9.0
    rows = [(START + i * MINUTE, [float(v)], True) for i, v in enumerate(x)]
    (F, with_it), (G, without) = (fold(one_field("1d", detectors=detectors), rows) for detectors in ((*DEFAULTS, "adwin"), DEFAULTS))
    end = 3 + plan_cells(one_field("1d"), 3).words
    assert F[:, :end].tobytes() == G[:, :end].tobytes()
    used = with_it.used[0]
    assert used == without.used[0] > 10
    own = slice(columns.ADWIN_TIME, columns.ADWIN_NEW_MEAN + 1)
    assert np.isfinite(with_it.numbers[:used, own]).any()
    assert np.isnan(without.numbers[:used, own]).all()
    with_it.numbers[:used, own] = np.nan
    for one, other in zip(with_it, without, strict=True):
        assert one[:used].tobytes() == other[:used].tobytes()


def test_nobody_is_woken_in_the_first_two_seasons() -> None:
    """A rise by 5 σ on the second day, and a field that goes missing, are no evidence: the daily cycle is not yet known."""
    rng = np.random.default_rng(5)
    x = noise("season", 2 * PER_DAY - 1, (1, 1), rng)
    x[1800:] += 5.0
    x[2300:] = np.nan
    assert Fleet(plan(), 1, 60.0).fold(x) == []


def test_impossible_values_are_evidence_of_range() -> None:
    """A sensor that begins to send impossible values is found by the range statistic and by no other."""
    rng = np.random.default_rng(6)
    x = rng.standard_normal(1000)
    x[800:860] = np.inf
    _, buffer = fold(one_field(), [(START + i * MINUTE, [float(v)], True) for i, v in enumerate(x)])
    assert set(buffer.source[: buffer.used[0]]) == {Source.RANGE}
    assert buffer.numbers[: buffer.used[0], columns.LOG10_E].max() > 8


def test_out_of_order_readings_change_nothing() -> None:
    """Readings marked out of order leave every byte of state and all evidence as they were without them."""
    rng = np.random.default_rng(7)
    rows = [(START + i * MINUTE, [float(v)], True) for i, v in enumerate(rng.standard_normal(600))]
    noisy = [row for i, row in enumerate(rows) for row in ([row, (row[0] - 5 * MINUTE, [99.0], False)] if i % 7 == 0 else [row])]
    plain, evidence = fold(one_field(), rows)
    with_disorder, other = fold(one_field(), noisy)
    assert plain.tobytes() == with_disorder.tobytes()
    assert evidence.numbers[: evidence.used[0]].tobytes() == other.numbers[: other.used[0]].tobytes()


def test_only_the_entitys_own_words_are_written() -> None:
    """Cells write between their first and last word of their slot, and nowhere else."""
    feed = Feed("f", entity="e", time="t", fields=[Number("x"), Number("y")], season=None)
    rng = np.random.default_rng(8)
    F, _ = fold(feed, [(START + i * MINUTE, [float(v), float(w)], True) for i, (v, w) in enumerate(rng.standard_normal((500, 2)))])
    cells = plan_cells(feed, 3)
    assert (F[0] == 0).all()
    assert (F[1, :3] == 0).all()
    assert (F[1, 3 + cells.words :] == 0).all()


@pytest.mark.parametrize("kind", ["huge", "spiky", "jumps", "same-time", "burst", "long-gaps"])
def test_nothing_a_sensor_sends_breaks_a_cell(kind: str) -> None:
    """Values of ±1e308, spikes of 1e300, equal times, bursts and gaps of weeks leave no NaN and no infinity where none belongs."""
    rng = np.random.default_rng(9)
    x, step = rng.standard_normal(1500), np.full(1500, MINUTE)
    if kind == "huge":
        x = np.where(rng.random(1500) < 0.5, 1.7e308, -1.7e308)
    elif kind == "spiky":
        x[::50] = 1e300
    elif kind == "jumps":
        x[700:] = 5.0
        x[1100:] = -1e12
    elif kind == "same-time":
        step[:] = 0
    elif kind == "burst":
        step = np.where(np.arange(1500) % 10 == 0, 60 * MINUTE, SECOND)
    else:
        step[::100] = 20 * DAY
    times = START + np.cumsum(step)
    F, buffer = fold(one_field("1d"), [(int(t), [float(v)], True) for t, v in zip(times, x, strict=True)])
    cell = F[1, 3:].copy()
    cell[layout.COUNTER] = 0.0
    cell[layout.SAMPLES :] = 0.0  # float32 pairs read as float64
    first = layout.DETECTOR + e_detector.HISTOGRAM
    cell[first : layout.STUCK] = 0.0
    assert np.isfinite(cell).all()
    assert np.isfinite(buffer.numbers[: buffer.used[0], columns.LOG10_E]).all()


def test_a_counter_is_judged_by_its_rate() -> None:
    """A counter that grows steadily, resets included, stays below 1e4; one whose rate doubles does."""
    rng = np.random.default_rng(10)
    growth = 10 + rng.standard_normal(1500)
    steady = np.cumsum(growth) % 3000.0
    rows = [(START + i * MINUTE, [float(v)], True) for i, v in enumerate(steady)]
    _, quiet = fold(one_field(counter=True), rows)
    assert (quiet.numbers[: quiet.used[0], columns.LOG10_E] < 4).all()
    growth[1000:] *= 2
    rows = [(START + i * MINUTE, [float(v)], True) for i, v in enumerate(np.cumsum(growth))]
    _, buffer = fold(one_field(counter=True), rows)
    assert buffer.numbers[: buffer.used[0], columns.LOG10_E].max() > 8


def test_what_lasts_becomes_the_new_normal() -> None:
    """After a shift has stood for a season and 1,000 readings, the cell learns anew, the incident closes, and the next shift is found."""
    rng = np.random.default_rng(11)
    x = noise("season", 9 * PER_DAY, (4, 1), rng)
    x[3 * PER_DAY :] += 3.0
    x[7 * PER_DAY :] -= 3.0
    fleet = Fleet(plan(), 4, 60.0)
    first = fleet.fold(x[: 4 * PER_DAY])
    assert {(o.entity, o.source) for o in first} == {(e, Source.DRIFT) for e in range(4)}
    assert fleet.fold(x[4 * PER_DAY : 7 * PER_DAY]) == []
    assert fleet.open == set()
    assert {o.entity for o in fleet.fold(x[7 * PER_DAY :])} == set(range(4))


def test_the_plan_tells_bytes_statistics_and_most_evidence() -> None:
    """A cell takes at most 3.5 KB with samples and 2 KB without; statistics are counted by source; detectors can be left out."""
    whole, bare = plan(3), plan(3, detectors=("e-detector",))
    assert cell_bytes(whole) <= 3500
    assert cell_bytes(bare) <= 2000
    assert whole.words == 3 * whole.cell_words
    assert whole.max_evidence == 15
    assert list(whole.cells[:5]) == [3, 3, 3, 3, 3]
    assert list(plan(3, detectors=()).cells[:5]) == [0, 0, 3, 3, 3]
    for others in (("e-detector",), ("e-detector", "ks", "psi")):
        without, with_adwin = plan(3, detectors=others), plan(3, detectors=(*others, "adwin"))
        assert cell_bytes(with_adwin) - cell_bytes(without) == 8 * adwin.WORDS == 1216
        assert (with_adwin.cells == without.cells).all()
