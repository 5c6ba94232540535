"""The loop over records: order, duplicates, features, score, detectors; docs/semantics.md, section 2, in this order."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.definition import MAX_CATEGORIES
from contracts.hashing import mix
from contracts.outcomes import MAX_CATEGORY_BYTES, Outcome, Reason
from feature_store.feature_kernels import reset_features, update_features, write_vector
from online_model.cells import reset_cells, update_cells
from online_model.conformal import p_value, remember_score, reset_conformal
from online_model.consistency import bet_on_consistency, settle_categories
from online_model.delay import bet_on_delay, reset_delay
from online_model.evidence_buffer import emit
from online_model.half_space_trees import is_ready, score_and_learn_trees, score_trees
from online_model.input_scale import reset_scale, scale_inputs
from online_model.residuals import TERMS
from online_model.score_evidence import reset_score_evidence, take_score
from stream_processors.stream_fold import entity_rows as head
from stream_processors.stream_fold import partition_words as word
from stream_processors.stream_fold.entity_index import bury, dig_up, find_slot, insert_slot, longest_unread, remove_slot
from stream_processors.stream_fold.entity_rows import EntityPlan, is_remembered, remember, reset_entity, watermark
from stream_processors.stream_fold.silence import advance_clock, hear, hear_interval, look_for_silence

DONE, EVIDENCE_FULL, GROW, ORDER = 0, 1, 2, 3  # why the kernel returned
SUMMARY = 100  # in the evidence buffer's source column: a summary is due
ROW_EVIDENCE = 5  # besides a row's cells: end of silence, delay, score, consistency, summary
OUT_OF_ORDER, ACCURACY = 1, 2  # flags of a row; bit 8 + w: window w is partial

FOLDED = int(Outcome.FOLDED)
DUPLICATE = int(Outcome.DUPLICATE)
LATE = int(Outcome.LATE)
DEAD_LETTERED = int(Outcome.DEAD_LETTERED)
CLOCK_AHEAD = int(Reason.CLOCK_AHEAD)
REASON_LATE = int(Reason.LATE)


class FoldPlan(NamedTuple):
    """Everything the loop needs of the definition."""

    entity: EntityPlan
    features: Any
    score_inputs: NDArray[np.int64]  # places in the vector of what the anomaly model looks at
    scale: Any
    conformal: Any
    cells: Any
    delay: Any
    score_evidence: Any
    prediction: Any
    low: NDArray[np.float64]  # (k,) −inf where none is stated
    high: NDArray[np.float64]
    lateness: int
    clock_tolerance: int
    season_us: int
    silence_edge: int
    summary_edge: int
    vector_every: int  # µs of event time between logged vectors of an entity; 0 all, −1 none
    max_entities: int
    rows_in_chunk: int
    compiled_score: bool


class RowOutputs(NamedTuple):
    """What each row of the batch came to; n rows, D features."""

    outcome: NDArray[np.int64]
    reason: NDArray[np.int64]
    slot: NDArray[np.int64]
    as_of: NDArray[np.int64]  # the entity's newest event time after the row
    flags: NDArray[np.int64]
    score: NDArray[np.float64]  # NaN none
    p_value: NDArray[np.float64]
    vector: NDArray[np.float64]  # (n, D)
    inputs: NDArray[np.float64]  # (n, inputs) scaled to [0, 1], where the model is not compiled; else one row
    scaled: NDArray[np.int64]  # how many inputs have a scale yet
    log_vector: NDArray[np.int64]  # 1 where the vector goes on the inference log
    served: NDArray[np.int64]  # rows whose vector is the newest of their entity; the first served_count
    created: NDArray[np.int64]  # rows that brought an entity not known before; the first created_count
    counts: NDArray[np.int64]  # (3,) served_count, created_count, summaries


class Scratch(NamedTuple):
    """Room for one event."""

    number: NDArray[np.float64]
    state: NDArray[np.int8]
    code: NDArray[np.int64]
    chosen: NDArray[np.float64]  # of the vector, for the anomaly model
    inputs: NDArray[np.float64]
    terms: NDArray[np.float64]  # of a cell's regression
    summaries: NDArray[np.int64]  # (room, WORDS) copies of the partition's words at each summary


def new_row_outputs(n: int, plan: FoldPlan, input_rows: int) -> RowOutputs:
    """Room for n rows, `input_rows` of them for scaled inputs."""
    zeros = [np.zeros(n, np.int64) for _ in range(9)]
    vector = np.full((n, plan.features.dimension), np.nan)
    inputs = np.zeros((input_rows, len(plan.score_inputs)))
    return RowOutputs(
        zeros[0], zeros[1], zeros[2], zeros[3], zeros[4], np.full(n, np.nan), np.full(n, np.nan), vector, inputs,
        zeros[5], zeros[6], zeros[7], zeros[8], np.zeros(3, np.int64),
    )  # fmt: skip


def new_scratch(numbers: int, categories: int, inputs: int, summaries: int) -> Scratch:
    """Room for one event, and for so many summaries of a batch."""
    return Scratch(
        np.zeros(numbers),
        np.zeros(numbers, np.int8),
        np.zeros(categories, np.int64),
        np.zeros(inputs),
        np.zeros(inputs),
        np.zeros(TERMS),
        np.zeros((summaries, word.WORDS), np.int64),
    )


@numba.njit(cache=True, nogil=True, forceinline=True)
def fingerprint_of(columns, row):  # type: ignore[no-untyped-def]
    """64-bit fingerprint of the canonical content of a row: its id where there is one, else its values."""
    if columns.id_hash[row] != 0:
        return mix(columns.id_hash[row])
    state = np.uint64(0x2545F4914F6CDD1D)
    bits = columns.number[row].view(np.uint64)
    for j in range(columns.number.shape[1]):
        value = bits[j] if columns.number[row, j] == columns.number[row, j] else np.uint64(0x7FF8000000000000)
        state = mix(state ^ value) + np.uint64(0x9E3779B97F4A7C15)
    for j in range(columns.category_hash.shape[1]):
        state = mix(state ^ columns.category_hash[row, j]) + np.uint64(0x9E3779B97F4A7C15)
    return state


@numba.njit(cache=True, nogil=True, forceinline=True)
def code_of(categories, field, columns, row):  # type: ignore[no-untyped-def]
    """Code of the row's value of a category field, −1 where missing; a value not seen before gets the next free code."""
    wanted = columns.category_hash[row, field]
    if wanted == 0:
        return -1
    known = categories.known[field]
    for code in range(known):
        if categories.hash[field, code] == wanted:
            return code
    if known == MAX_CATEGORIES:
        return MAX_CATEGORIES
    c = columns.category_hash.shape[1]
    cell = row * c + field
    start = columns.category_end.reshape(-1)[cell - 1] if cell else 0
    end = min(columns.category_end[row, field], start + MAX_CATEGORY_BYTES)
    categories.hash[field, known] = wanted
    categories.length[field, known] = end - start
    for i in range(start, end):
        categories.text[field, known, i - start] = columns.category_text[i]
    categories.known[field] = known + 1
    return known


@numba.njit(cache=True, nogil=True)
def place_entity(plan, entities, partition, order, columns, row, out, buffer):  # type: ignore[no-untyped-def]
    """A slot for an entity not known: the next free one, or that of the entity longest unread. Below 0: why to stop."""
    P, W, F = partition.P, entities.W, entities.F
    start = columns.entity_end[row - 1] if row else 0
    end = columns.entity_end[row]
    name_hash = columns.entity_hash[row]
    slot = P[word.ENTITIES]
    if slot < plan.max_entities:
        if slot == len(W):
            return -GROW
        P[word.ENTITIES] += 1
    else:
        if buffer.used[0]:
            return -EVIDENCE_FULL  # evidence in the buffer may be about the entity that gives up its slot
        slot = longest_unread(W, order.slot, order.offset, order.next)
        if slot < 0:
            return -ORDER
        if entities.last_row[slot] >= 0:
            out.served[out.counts[0]] = entities.last_row[slot]
            out.counts[0] += 1
            entities.last_row[slot] = -1
        floor = max(W[slot, head.NEWEST] + 1, W[slot, head.FLOOR])
        P[word.EVICTED] += 1
        remove_slot(entities.slots, W, slot)
        P[word.OVERFLOWED] += bury(partition.evicted, P, np.uint64(W[slot, head.NAME_HASH]), floor)
    floor = dig_up(partition.evicted, P, name_hash)
    reset_entity(F, W, slot, plan.entity, name_hash, columns.entity, start, end, floor)
    reset_features(F, W, slot, plan.features)
    reset_scale(F, W, slot, plan.scale)
    reset_conformal(F, W, slot, plan.conformal)
    reset_cells(F, W, slot, plan.cells)
    reset_delay(F, slot, plan.delay)
    reset_score_evidence(F, slot, plan.score_evidence)
    insert_slot(entities.slots, name_hash, slot)
    return slot


@numba.njit(cache=True, nogil=True, forceinline=True)
def decide(plan, entities, partition, order, columns, row, out, buffer):  # type: ignore[no-untyped-def]
    """The end of a row whose shape is good, up to `folded`; its slot or −1 stands in out.slot. Negative: room is asked for."""
    P, PF, F, W = partition.P, partition.PF, entities.F, entities.W
    start = columns.entity_end[row - 1] if row else 0
    slot = find_slot(entities.slots, W, columns.entity_hash[row], columns.entity, start, columns.entity_end[row])
    time = columns.event_time[row]
    ahead = columns.kafka_time[row] >= 0 and time > columns.kafka_time[row] + plan.clock_tolerance
    known = slot >= 0
    if not known:
        if not ahead and time >= dig_up_floor(partition.evicted, P, columns.entity_hash[row]):
            slot = place_entity(plan, entities, partition, order, columns, row, out, buffer)
            if slot < 0:
                return slot
            out.created[out.counts[1]] = row
            out.counts[1] += 1
        elif not ahead:
            out.slot[row] = -1
            out.reason[row] = REASON_LATE
            return LATE
    out.slot[row] = slot
    if slot >= 0:
        W[slot, head.LAST_OFFSET] = columns.offset[row]
        entities.changed[slot // plan.rows_in_chunk] = 1
        hear(F, W, PF, slot, buffer, row)
    if ahead:
        out.reason[row] = CLOCK_AHEAD
        return DEAD_LETTERED
    if known and time < watermark(W, slot, plan.entity):
        out.reason[row] = REASON_LATE
        return LATE
    fingerprint = fingerprint_of(columns, row)
    if known and is_remembered(W, slot, plan.entity, time, fingerprint):
        return DUPLICATE
    in_order = time >= W[slot, head.NEWEST]
    newest = W[slot, head.NEWEST]
    if newest < 0:
        W[slot, head.FIRST_TIME] = time
    W[slot, head.FIRST_TIME] = min(W[slot, head.FIRST_TIME], time)
    if in_order and newest >= 0 and time > newest:
        hear_interval(F, W, slot, float(time - newest))
    W[slot, head.NEWEST] = max(newest, time)
    W[slot, head.READINGS] += 1
    P[word.FORGOTTEN] += remember(W, slot, plan.entity, time, fingerprint)
    out.flags[row] = 0 if in_order else OUT_OF_ORDER
    return FOLDED


@numba.njit(cache=True, nogil=True, forceinline=True)
def dig_up_floor(evicted, P, name_hash):  # type: ignore[no-untyped-def]
    """The floor of an entity that is not known, without taking it out of the table."""
    bucket = np.int64(np.uint64(name_hash) % np.uint64(len(evicted)))
    for way in range(evicted.shape[1]):
        if evicted[bucket, way, 0] == np.int64(name_hash):
            return max(evicted[bucket, way, 1], P[word.UNKNOWN_FLOOR])
    return P[word.UNKNOWN_FLOOR]


@numba.njit(cache=True, nogil=True, forceinline=True)
def learn_row(plan, entities, partition, trees, group, columns, row, out, scratch, buffer):  # type: ignore[no-untyped-def]
    """Features, vector, score and detectors of a folded row."""
    P, F, W = partition.P, entities.F, entities.W
    slot, time, newest = out.slot[row], columns.event_time[row], W[out.slot[row], head.NEWEST]
    in_order = out.flags[row] & OUT_OF_ORDER == 0
    for j in range(columns.number.shape[1]):
        value = columns.number[row, j]
        scratch.number[j] = value
        scratch.state[j] = 0
        if value != value:
            scratch.state[j] = 1
        elif not (plan.low[j] <= value <= plan.high[j]) or value - value != 0.0:
            scratch.state[j] = 2
            scratch.number[j] = np.nan
            out.flags[row] |= ACCURACY
            P[word.IMPOSSIBLE] += 1
    for j in range(columns.category_hash.shape[1]):
        scratch.code[j] = code_of(partition.categories, j, columns, row)
    update_features(F, W, slot, plan.features, time, newest, in_order, scratch.number, scratch.code)
    partial = write_vector(F, W, slot, plan.features, newest, W[slot, head.FIRST_TIME], out.vector[row])
    out.flags[row] |= partial << 8
    W[slot, head.PARTIAL] = partial
    W[slot, head.FOLDED_OFFSET] = columns.offset[row]
    W[slot, head.FOLDED_KAFKA_TIME] = columns.kafka_time[row]
    out.as_of[row] = newest
    for j in range(len(plan.score_inputs)):
        scratch.chosen[j] = out.vector[row, plan.score_inputs[j]]
    inputs = scratch.inputs if plan.compiled_score else out.inputs[row]
    out.scaled[row] = scale_inputs(F, W, slot, plan.scale, scratch.chosen, inputs, in_order)
    if plan.compiled_score and out.scaled[row]:
        ready = is_ready(trees)
        score = score_and_learn_trees(trees, inputs) if in_order else score_trees(trees, inputs)
        if ready:
            judge_score(plan, entities, group, columns, row, out, inputs, score, buffer)
    offset = columns.offset[row]
    update_cells(F, W, slot, plan.cells, time, offset, scratch.number, scratch.state, in_order, scratch.terms, buffer, row)


@numba.njit(cache=True, nogil=True, forceinline=True)
def judge_score(plan, entities, group, columns, row, out, inputs, score, buffer):  # type: ignore[no-untyped-def]
    """Puts down a row's score and its p-value; unless the row came out of order, remembers the score and bets on it."""
    F, W, slot = entities.F, entities.W, out.slot[row]
    out.score[row] = score
    out.p_value[row] = p_value(F, W, slot, plan.conformal, group, score)
    if out.flags[row] & OUT_OF_ORDER == 0:
        remember_score(F, W, slot, plan.conformal, group, score)
        time, offset, readings = columns.event_time[row], columns.offset[row], W[slot, head.READINGS]
        take_score(F, W, slot, plan.score_evidence, score, inputs, time, offset, readings, buffer, row)


@numba.njit(cache=True, nogil=True)
def judge_score_outside(plan, entities, partition, group, columns, row, out, score, buffer):  # type: ignore[no-untyped-def]
    """The same for a score that a model outside of the loop gave, once the row is folded."""
    told = buffer.used[0]
    judge_score(plan, entities, group, columns, row, out, out.inputs[row], score, buffer)
    put_clock(buffer, told, partition.P)


@numba.njit(cache=True, nogil=True, forceinline=True)
def put_clock(buffer, told, P):  # type: ignore[no-untyped-def]
    """Dates the evidence from `told` on; the record that caused it may bear no time, or one that is years ahead."""
    for at in range(told, buffer.used[0]):
        buffer.clock[at] = P[word.CLOCK]


@numba.njit(cache=True, nogil=True, forceinline=True)
def watch_delay(plan, entities, outcome, columns, row, out, buffer):  # type: ignore[no-untyped-def]
    """Tells an entity's delay statistic how its record arrived."""
    W, slot = entities.W, out.slot[row]
    if slot >= 0 and outcome != DUPLICATE:
        newest, first, readings = W[slot, head.NEWEST], W[slot, head.FIRST_TIME], W[slot, head.READINGS]
        bet_on_delay(entities.F, slot, plan.delay, outcome != FOLDED, newest, first, readings, columns.offset[row], buffer, row)


@numba.njit(cache=True, nogil=True, forceinline=True)
def watch_consistency(plan, partition, outcome, columns, row, scratch, buffer):  # type: ignore[no-untyped-def]
    """Tells the partition's consistency statistic what the record looked like."""
    state, settled, known, clock = partition.consistency, partition.settled, partition.categories.known, partition.P[word.CLOCK]
    first, season, new = partition.P[word.FIRST_CLOCK], plan.season_us, False
    if outcome == FOLDED:
        settle_categories(state, settled, known, season, clock, first)
        for j in range(len(known)):
            new = new or scratch.code[j] >= settled[j]
    reason, unknown = columns.reason[row], columns.unknown_fields[row] > 0
    offset = columns.offset[row]
    bet_on_consistency(state, settled, known, reason, unknown, outcome == FOLDED, new, season, clock, first, offset, buffer, row)


@numba.njit(cache=True, nogil=True, forceinline=True)
def log_vector_due(W, slot, every, newest):  # type: ignore[no-untyped-def]
    """Whether this row's vector goes on the inference log."""
    if every == 0:
        return 1
    if every < 0 or newest // every == W[slot, head.VECTOR_TILE]:
        return 0
    W[slot, head.VECTOR_TILE] = newest // every
    return 1


# Without numba's reference counts, here and in all that is called: they took two fifths of the loop's time. What every row goes
# through is a part of the loop (forceinline), here and in the modules called: a call hands over every word of every plan and array.
@numba.njit(cache=True, nogil=True, _nrt=False)  # type: ignore[call-overload]
def fold_rows(begin, end, plan, entities, partition, order, trees, group, columns, out, scratch, buffer):  # type: ignore[no-untyped-def]
    """Folds rows begin ≤ row < end; returns (row to go on with, why it stopped).

    It stops before a row for whose evidence or entity there may be no room; the caller makes room and goes on, and
    nothing of the outcome depends on where it stopped.
    """
    P = partition.P
    for row in range(begin, end):
        time = columns.event_time[row]
        at_edge = P[word.CLOCK] >= 0 and time // plan.silence_edge > P[word.CLOCK] // plan.silence_edge
        room = len(buffer.row) - buffer.used[0]
        if room < plan.cells.max_evidence + ROW_EVIDENCE + (P[word.ENTITIES] if at_edge else 0) or out.counts[2] == len(scratch.summaries):
            return row, EVIDENCE_FULL
        told = buffer.used[0]
        P[word.UNKNOWN_FIELDS] += columns.unknown_fields[row]
        outcome = DEAD_LETTERED
        out.reason[row] = columns.reason[row]
        out.slot[row] = -1
        if columns.reason[row] == 0:
            outcome = decide(plan, entities, partition, order, columns, row, out, buffer)
            if outcome < 0:
                P[word.UNKNOWN_FIELDS] -= columns.unknown_fields[row]
                return row, -outcome
        out.outcome[row] = outcome
        P[word.OUTCOMES + outcome] += 1
        if outcome == DEAD_LETTERED:
            P[word.REASONS + out.reason[row]] += 1
        watch_delay(plan, entities, outcome, columns, row, out, buffer)
        if outcome == FOLDED:
            slot = out.slot[row]
            if out.flags[row] & OUT_OF_ORDER:
                P[word.OUT_OF_ORDER] += 1
            learn_row(plan, entities, partition, trees, group, columns, row, out, scratch, buffer)
            out.log_vector[row] = log_vector_due(entities.W, slot, plan.vector_every, out.as_of[row])
            entities.last_row[slot] = row
            tell_time(plan, entities, partition, columns, row, out, scratch, buffer)
        watch_consistency(plan, partition, outcome, columns, row, scratch, buffer)
        put_clock(buffer, told, P)
    return end, DONE


@numba.njit(cache=True, nogil=True, forceinline=True)
def tell_time(plan, entities, partition, columns, row, out, scratch, buffer):  # type: ignore[no-untyped-def]
    """Moves the partition clock to an accepted event time and does what is due at the edges that it crosses."""
    P, PF = partition.P, partition.PF
    before, time = P[word.CLOCK], columns.event_time[row]
    if before < 0:
        P[word.FIRST_CLOCK] = time
    advance_clock(P, PF, time)
    entities.F[out.slot[row], head.HEARD] = PF[word.ACTIVE_CLOCK]
    if before < 0 or time <= before:
        return
    if time // plan.silence_edge > before // plan.silence_edge:
        look_for_silence(entities.F, entities.W, P, PF, plan.lateness, entities.changed, plan.rows_in_chunk, buffer, row)
    if time // plan.summary_edge > before // plan.summary_edge:
        P[word.SUMMARIES] += 1
        for i in range(len(P)):  # a slice would be copied by way of memory that must be allocated
            scratch.summaries[out.counts[2], i] = P[i]
        out.counts[2] += 1
        emit(buffer, row, -1, SUMMARY, -1, 0.0)


@numba.njit(cache=True, nogil=True)
def collect_served(entities, out):  # type: ignore[no-untyped-def]
    """Notes the last row of each entity touched, in row order, as the one to serve."""
    for row in range(len(out.slot)):
        slot = out.slot[row]
        if out.outcome[row] == FOLDED and slot >= 0 and entities.last_row[slot] == row:
            entities.last_row[slot] = -1
            out.served[out.counts[0]] = row
            out.counts[0] += 1


@numba.njit(cache=True, nogil=True)
def vectors_now(plan, entities, count, vectors):  # type: ignore[no-untyped-def]
    """Writes the newest vector of each of the first `count` slots: what was served last."""
    for slot in range(count):
        W = entities.W
        write_vector(entities.F, W, slot, plan.features, W[slot, head.NEWEST], W[slot, head.FIRST_TIME], vectors[slot])
