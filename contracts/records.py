"""What stands on each topic of a feed, as msgspec structs; docs/schemas/ holds their JSON Schemas, made from here.

Times are integer microseconds since 1970-01-01 UTC unless a name says otherwise. Every record bears an id made from
its source offset (contracts/ids.py); `id` is the first key, so that a reader can find it without parsing the rest.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from contracts.event_time import MAX_EVENT_TIME

Whole = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
"""Offsets, counts, Kafka timestamps as they come: a greater one is no record of ours, and could not be kept as state beyond 64 bits."""

Time = Annotated[int, msgspec.Meta(ge=-MAX_EVENT_TIME, le=MAX_EVENT_TIME)]
"""Times that are reckoned with and shown to people: none that an event can have lies beyond, and no calendar has a year 148,108."""

Name = Annotated[str, msgspec.Meta(max_length=512)]
"""Ids, entities, fields, versions and topics: state keeps thousands of them, so one of a megabyte must not get in."""

Text = Annotated[str, msgspec.Meta(max_length=65_536)]
"""Sentences for people, which open incidents keep."""

EvidenceSource = Literal[
    "drift",  # e-detector on residuals of one entity and field: location or spread has changed
    "anomaly",  # tail bets on residuals, or the anomaly score's p-values
    "stuck",  # the same value for longer than chance explains
    "missing",  # a field is missing more often than it was
    "range",  # impossible values: out of the physical range, or not finite
    "silence",  # an entity, or a whole partition, is not heard
    "delay",  # records late, or stamped ahead, more often than before
    "consistency",  # key mismatch, unknown fields or categories never seen appear
    "prediction",  # the champion's predictions have changed, whatever the truth
    "concept",  # the champion's errors on joined labels have grown
    "skew",  # what is served differs from what the model in place was trained on
]
IncidentKind = EvidenceSource
Severity = Literal["low", "medium", "high"]


class Score(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`<feed>.scores`: one per folded record, keyed by entity; the packed vector is in the Kafka header ``vector``."""

    id: Name
    entity: Name
    event_time: Time
    score: float | None  # 0 (usual) to 1 (never seen); null while the model has seen too little
    p_value: float | None  # conformal, against the entity's own recent scores; null while there are too few
    model: Name  # name/version
    flags: list[Name] = []  # out_of_order, partial, accuracy
    as_of: Time | None = None  # out_of_order only: the entity's newest event time, of which the vector speaks; else it is event_time
    version: Name | None = None  # whose prediction counts; null without a target, and before there is a champion
    predictions: dict[Name, list[float]] = {}  # version -> the number, or a probability a class; of the champion and who runs beside it


class DeadLetter(msgspec.Struct, kw_only=True):
    """`<feed>.dead-letters`: a record that was not folded, and why."""

    id: Name
    reason: Text  # a Reason's code
    field: Name | None
    topic: Name
    partition: Whole
    offset: Whole
    kafka_time: Whole | None
    length: Whole  # bytes of the original
    sha256: Name  # of the whole original
    key: str | None  # base64
    original: str | None  # base64 of at most 64 KiB; null for a tombstone
    truncated: bool


class Sample(msgspec.Struct, kw_only=True):
    """Summary of a sample of one field."""

    n: Whole
    mean: float
    std: float


class AdwinChange(msgspec.Struct, kw_only=True):
    """The last change of mean that ADWIN has found in the ranks of one field's prediction errors: 0 to 1, ½ as in the reference."""

    event_time: Time  # at which it was found
    old_n: Whole  # readings that were dropped as old, at most 10,235
    old_mean: float  # of their ranks
    new_n: Whole  # of the present window: readings after `event_time`; where there are none yet, those that were kept as new
    new_mean: float


class Evidence(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`<feed>.evidence`: what could matter to the judge. `log10_e` is the base-10 logarithm of a CUSUM e-detector.

    kind: ``level`` (a statistic's whole decade rose to a new height, or fell back: log10_e < 1), ``summary`` (due at
    an edge of the partition clock), or an observation that no fold can compute: ``idle``, ``planned_stop``, ``verdict``.
    """

    id: Name
    kind: Literal["level", "summary", "idle", "planned_stop", "verdict"]
    partition: Whole
    event_time: Time  # the partition clock
    source: EvidenceSource | None = None
    entity: Name | None = None
    field: Name | None = None
    log10_e: float = 0.0
    direction: Whole = 0  # sign of the change: -1, 0, 1
    since: Time | None = None  # event time at which this statistic last left its ground
    since_offset: Whole | None = None
    readings: Whole = 0  # of the entity, so far
    reference: Sample | None = None
    current: Sample | None = None
    ks: float | None = None  # two-sample Kolmogorov–Smirnov statistic, current against reference
    ks_p: float | None = None
    psi: float | None = None
    adwin: AdwinChange | None = None  # found since `since`
    contributions: dict[Name, float] = {}  # feature or field -> share
    detail: Text = ""
    # summary
    entities: Whole = 0
    counters: dict[Name, Whole] = {}  # folded, duplicate, late, dead_lettered, then reason codes, since the generation began
    cells: dict[Name, Whole] = {}  # source -> number of running statistics


class Alert(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`<feed>.alerts`: an incident's opening, update or end."""

    id: Name
    incident: Name  # stable: the id of its opening alert
    status: Literal["opened", "updated", "resolved"]
    kind: IncidentKind
    scope: Literal["entity", "feed"]
    entity: Name | None  # null where scope is feed
    field: Name | None
    severity: Severity
    sentence: Text  # for a technician
    event_time: Time  # when the judge decided, by the partition clocks
    first_seen: Time  # when the statistic left its ground
    log10_e: float
    threshold: float  # log10 of the e-value that the budget asks for
    features: list[tuple[Name, float]]  # ranked by contribution
    reference: Sample | None
    current: Sample | None
    ks: float | None
    ks_p: float | None
    psi: float | None
    entities: list[Name]  # that contributed, at most 100
    merged_into: Name | None  # the feed-wide incident that took this one over
    reason: Text  # why it was updated or resolved; "" at the opening
    adwin: AdwinChange | None = None  # left out where there is none: feeds ask for it by name


class RetrainRequest(msgspec.Struct, kw_only=True):
    """`<feed>.retrain`: drift that matters asks for a model."""

    id: Name
    incident: Name
    reason: Text
    event_time: Time
    from_offset: dict[Name, Whole]  # partition of events, or "examples" -> first offset of the changed data
    pin: DatasetPin


class DatasetPin(msgspec.Struct, kw_only=True):
    """Names a dataset so that the same pin gives the same bytes."""

    feed: Name
    definition: Name  # hash
    generations: dict[Name, Whole]  # partition -> generation
    offsets: dict[Name, tuple[Whole, Whole]]  # partition -> [first, end)
    revision: Whole = 0
    # of a model's own pin alone, so that it leads to the same model; left out elsewhere
    examples: tuple[Whole, Whole] | msgspec.UnsetType = msgspec.UNSET  # offsets [first, end) of `<feed>.examples`
    left_out: list[LeftOut] | msgspec.UnsetType = msgspec.UNSET  # of those examples


class LeftOut(msgspec.Struct, kw_only=True):
    """A span of event time that is not trained on, first_seen ≤ t ≤ until: people have confirmed its incident."""

    incident: Name
    entity: Name | None  # null: of every entity
    first_seen: Time
    until: Time | None  # null: it was open when the data were pinned


class Label(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`<feed>.labels`: truth from a process or a person, keyed by entity where there is one.

    A *truth* has a `value` and names its events: by `score`, by `entity` and `event_time`, or by `entity` and the
    interval event_time ≤ t < `until`. A *tag* names events the same way (or an `incident`) and has `tags` without a value. A
    *verdict* confirms or dismisses an `incident`, or says of an entity and interval in which nothing was raised that it was
    fine, or that something was missed; it may have tags as well. Times are ISO 8601 or epoch, as in events.
    """

    score: Name | None = None  # a score's id
    entity: Name | None = None
    event_time: Name | Whole | float | None = None
    until: Name | Whole | float | None = None  # end of an interval, itself not in it
    value: float | Text | None = None  # a number, or a class
    tags: list[Name] = []
    incident: Name | None = None
    verdict: Literal["confirm", "dismiss", "fine", "missed"] | None = None
    by: Name = ""  # who says so
    note: Text = ""


class Remark(msgspec.Struct, kw_only=True):
    """`<feed>.remarks`: a verdict or a tag as it stood on `<feed>.labels`, which may hold millions of truths beside it."""

    id: Name  # of the label's offset: <feed>/<generation>/labels-<partition>/<offset>/remark/0
    when: Whole  # the label's Kafka timestamp, µs; −1 where it has none
    label: Label


class Example(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="kind", tag="example"):
    """`<feed>.examples`: a label joined to the vector and the predictions that stand on the score record."""

    id: Name  # of the label's offset: <feed>/<generation>/labels-<partition>/<offset>/example/<n>
    score: Name  # the score's id
    entity: Name
    event_time: Time
    value: list[float]  # the truth: the number, or 1 at its class and 0 elsewhere
    previous: list[float] | None = None  # of a correction: the truth as it was told before
    version: Name | None = None  # whose prediction counted
    predictions: dict[Name, list[float]] = {}
    vector: str  # base64 of little-endian float64, in the definition's order


class Arrival(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="kind", tag="arrival"):
    """`<feed>.examples`: a trained version asks to be tried; its weights enter the learner with this record."""

    id: Name  # <feed>/0/retrain/<offset of the request>/arrival/0
    version: Name
    request: Name  # id of the retrain request
    snapshot: Snapshot


class Decision(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="kind", tag="decision"):
    """`<feed>.examples`: a person promotes, rolls back, or splits traffic."""

    id: Name  # <feed>/0/people/<when>/decision/<of who>
    action: Literal["promote", "rollback", "split"]
    version: Name = ""
    share: float = 0.0  # split: of entities, by hash, that the version serves
    by: Name = ""
    when: Time = 0  # wall clock, µs
    why: Text = ""


class FeatureReference(msgspec.Struct, kw_only=True):
    """What one input looked like in training: edges of bins, and the share of rows in each of the len(edges) + 1 bins."""

    missing: float  # share of rows
    edges: list[float]
    shares: list[float]


class Snapshot(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="kind", tag="snapshot"):
    """`<feed>.models`: an immutable version of a prediction model; a revision of an online one is named ``v3.17``."""

    id: Name
    version: Name
    family: Name  # what reads `state`: compiled, or an online model's name
    definition: Name  # hash
    features: list[Name]  # of the vector, in order; another list is a skew of schema, and the version is not put in place
    outputs: Whole
    state: str  # base64
    crc32c: Whole  # of the state's bytes
    half_width: float | None = None  # of the 90 % interval around a number: that quantile of absolute held-out errors
    reference: dict[Name, FeatureReference] = {}  # by feature, of the inputs used
    request: Name | None = None
    pin: DatasetPin | None = None
    parameters: dict[Name, Text] = {}
    metrics: dict[Name, float] = {}  # held out


class Rollout(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="kind", tag="rollout"):
    """`<feed>.models`: what serves and what runs beside it from here on; only the learner writes it.

    ``refused``: a person's decision that cannot be carried out; `why` says why not, and nothing has changed.
    """

    id: Name  # of the offset of the examples that it follows from; of a person's decision, that of the Decision
    stage: Literal["shadow", "canary", "split", "champion", "rejected", "rolled_back", "revision", "refused"]  # of `version`
    version: Name
    champion: Name | None  # after this record, with its revision
    challenger: Name | None  # runs beside the champion; after a promotion the champion before, which can come back
    share: float = 0.0  # of entities, by hash, whose served prediction is the challenger's
    by: Name = "gate"  # or who
    when: Time | None = None  # wall clock of a person's decision, µs
    why: Text = ""
    event_time: Time = 0
    labels: Whole = 0  # pairs looked at


class Answer(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="kind", tag="answer"):
    """`<feed>.models`: what the trainer made of a retrain request. `started` fixes the data; every other one is final."""

    id: Name
    request: Name
    outcome: Literal["started", "trained", "in_progress", "too_soon", "too_little", "failed"]
    version: Name | None = None
    examples: tuple[Whole, Whole] | None = None  # offsets [first, end) of `<feed>.examples` that are used
    left_out: list[LeftOut] = []  # of them
    reason: Text = ""


class Switch(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`<feed>.switches`: recorded decisions that a replay reads instead of making them again."""

    kind: Literal["taken", "generation", "model"]
    log: Name  # topic
    partition: Whole
    owner: Name = ""  # taken: who
    generation: Whole = 0
    from_offset: Whole = 0
    state_from: Whole | None = None  # generation: its state is folded from here, without outputs before `from_offset`; None: from there
    topic_id: Name | None = None
    definition: Name = ""
    fold_version: Whole = 0
    cause: Name = ""  # model: the rollout's id
    version: Name | None = None  # model: the champion from `from_offset` on
    challenger: Name | None = None
    share: float = 0.0
    epoch: Whole = 0

    @property
    def state_begins(self) -> int:
        """Of a generation: the offset from which on its state was folded, before `from_offset` where it was migrated."""
        return self.from_offset if self.state_from is None else self.state_from


TOPIC_RECORDS: dict[str, Any] = {
    "scores": Score,
    "dead-letters": DeadLetter,
    "evidence": Evidence,
    "alerts": Alert,
    "retrain": RetrainRequest,
    "switches": Switch,
    "labels": Label,
    "remarks": Remark,
    "examples": Example | Arrival | Decision,
    "models": Snapshot | Rollout | Answer,
}
