"""The state codec: what goes in comes out, the same state gives the same bytes, and hostile bytes give a StateError."""

from __future__ import annotations

import pickle
import random
import struct
import tracemalloc
from collections import Counter, OrderedDict, defaultdict, deque
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import anomaly, optim, sketch, utils

from contracts.errors import ModelError, StateError
from online_model import state_format as form
from online_model.state_codec import decode_state, encode_state

PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**80), 2**80), st.floats(), st.text(max_size=8), st.binary(max_size=8)
)
KEYS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(max_size=5), st.tuples(st.integers(0, 9), st.text(max_size=2)))
STATES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4).map(OrderedDict),
        st.lists(inner, max_size=4).map(lambda v: deque(v, maxlen=5)),
        st.sets(KEYS, max_size=4),
        st.frozensets(KEYS, max_size=4),
        st.lists(st.floats(), max_size=4).map(np.array),
        inner.map(lambda v: [v, v, (v,)]),
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    """Equality of type and content, NaN equal to itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple, deque)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float):
        return struct.pack("<d", a) == struct.pack("<d", b)
    return bool(a == b)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(STATES)
def test_round_trip(state: Any) -> None:
    """Any nesting of what is allowed comes back equal in type, order and content, and gives the same bytes again."""
    data = encode_state(state)
    back = decode_state(data)
    assert same(state, back)
    assert encode_state(back) == data


def test_other_containers_and_numbers() -> None:
    """Counters, defaultdicts, arrays of each type and shape, numpy scalars and long integers come back as they were."""
    default = defaultdict(list, {"a": [1]})
    arrays = [
        np.zeros((2, 0, 3)),
        np.arange(6, dtype=np.int16).reshape(2, 3).T,
        np.array(True),
        np.array([1.5], np.float32),
        np.array([1], ">i4"),
    ]
    state = [Counter("aab"), default, arrays, np.float64(-0.0), np.uint8(9), np.bool_(True), 2**5000, -(2**63) - 1]
    back = decode_state(encode_state(state))
    assert back[0] == state[0]
    assert type(back[0]) is Counter
    assert back[1] == default
    assert back[1]["new"] == []
    for mine, theirs in zip(arrays, back[2], strict=True):
        assert np.array_equal(mine, theirs)
        assert mine.shape == theirs.shape
    assert [type(v) for v in back[3:6]] == [np.float64, np.uint8, np.bool_]
    assert back[3:] == state[3:]


def test_sharing_and_cycles() -> None:
    """What was one object stays one, and what refers to itself still does, through tuples as well."""
    inner: list[Any] = [1]
    loop: dict[str, Any] = {"pair": (inner, inner)}
    loop["self"] = (loop, [loop])
    inner.append(loop)
    back = decode_state(encode_state((inner, loop)))
    assert back[0] is back[1]["pair"][0] is back[1]["pair"][1]
    assert back[1]["self"][0] is back[1] is back[0][1]
    assert encode_state(back) == encode_state((inner, loop))


def test_same_state_same_bytes() -> None:
    """The order in which a set was filled, or texts that are equal but not one object, do not show."""
    names = [f"name{i}" for i in range(50)]
    assert encode_state(set(names)) == encode_state({f"name{i}" for i in range(49, -1, -1)})
    assert encode_state(["ab" * 3, "ababab"]) == encode_state(["".join(["ab"] * 3), "".join(["aba", "bab"])])


def test_random_generator_goes_on() -> None:
    """A restored generator draws the same numbers, its kept normal included."""
    generator = random.Random(5)
    generator.gauss(0, 1)
    back = decode_state(encode_state(generator))
    assert [back.gauss(0, 1) for _ in range(5)] == [generator.gauss(0, 1) for _ in range(5)]
    assert back.getstate() == generator.getstate()


@pytest.mark.parametrize(
    "model", [anomaly.OneClassSVM(nu=0.2), anomaly.LODA(n_bins=5, n_random_cuts=7, seed=3), anomaly.LocalOutlierFactor(n_neighbors=3)]
)
def test_river_model_goes_on(model: Any) -> None:
    """A river model restored in the middle of a stream gives the same scores and the same bytes as one never stopped."""
    rng = np.random.default_rng(1)
    stream = [dict(zip("abcd", row, strict=True)) for row in rng.normal(size=(90, 4)).tolist()]
    for i, x in enumerate(stream):
        model.learn_one(x)
        if i % 30 == 7:
            back = decode_state(encode_state(model))
            for later in stream[i + 1 : i + 20]:
                assert back.score_one(later) == decode_state(encode_state(model)).score_one(later)
    back = decode_state(encode_state(model))
    for x in stream[:20]:
        assert back.score_one(x) == model.score_one(x)
        back.learn_one(x)
        model.learn_one(x)
    assert encode_state(back) == encode_state(model)


class Stranger:
    """A class that is not allowed."""


STRANGERS = [
    Stranger(),
    Stranger,
    lambda: 0,
    print,
    partial(tuple, (0.0, 1.0)),
    object(),
    1j,
    range(3),
    bytearray(b"a"),
    optim.Adam(),
    np.array(["a"]),
    np.array([None]),
    np.datetime64(0, "s"),
    defaultdict(lambda: 0),
    {(1, (2,)): 0},
    {frozenset(): 0},
    {2**70: 1},
    1 << 100_000,
    "\ud800",
    utils.VectorDict({"a": 1.0}, optim.initializers.Zeros()),
    anomaly.HalfSpaceTrees(seed=1),
]


@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda s: type(s).__name__)
def test_what_is_not_allowed_is_refused(stranger: Any) -> None:
    """A class, function, key or number outside the list is a ModelError when it is written."""
    with pytest.raises(ModelError):
        encode_state([stranger])


def test_other_attributes_are_refused() -> None:
    """An allowed class with an attribute too many or too few, as in another version of river, is a ModelError."""
    more, fewer = anomaly.LODA(), sketch.Histogram()
    more.extra = 1
    del fewer.n
    for model in (more, fewer):
        with pytest.raises(ModelError, match="pinned version of river"):
            encode_state(model)


def test_too_deep_or_too_large_is_refused() -> None:
    """A state above the bounds is refused when it is written, so that what is written can be read."""
    deep: list[Any] = []
    for _ in range(form.MAX_DEPTH + 5):
        deep = [deep]
    for state in (deep, [[] for _ in range(form.MAX_OBJECTS + 1)], b"\0" * (form.MAX_BYTES + 1)):
        with pytest.raises(ModelError):
            encode_state(state)


def samples() -> list[bytes]:
    """States to be spoilt."""
    svm, loda, lof = anomaly.OneClassSVM(), anomaly.LODA(n_bins=3, n_random_cuts=2, seed=1), anomaly.LocalOutlierFactor()
    for model in (svm, loda, lof):
        for i in range(5):
            model.learn_one({"a": i / 7, "b": 0.5})
    mixed = [{"a": (1, 2.0), 3: {4, 5}}, deque([[]], maxlen=2), defaultdict(list), np.arange(4.0), (("x",), None), 2**90, Counter("ab")]
    return [encode_state(state) for state in (svm, loda, lof, mixed)]


def test_hostile_bytes() -> None:
    """Thousands of cuts, insertions and altered bytes end in a state or a StateError, and in nothing else."""
    rng = random.Random(11)
    refused = 0
    for data in samples():
        for _ in range(1500):
            hostile = bytearray(data)
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(min(len(hostile), 400) if rng.random() < 0.7 else len(hostile))
                choice = rng.random()
                if choice < 0.6:
                    hostile[at] = rng.choice((rng.randrange(256), 0xFF, 0, *b"ltdocfszqarviNTFIJDSBYCOK"))
                elif choice < 0.8:
                    hostile[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 6)))
                else:
                    del hostile[at : at + rng.randint(1, 6)]
            try:
                decode_state(bytes(hostile))
            except StateError:
                refused += 1
    assert refused > 3000


def state_bytes(objects: int, *parts: bytes, texts: tuple[bytes, ...] = ()) -> bytes:
    """Bytes by hand."""
    table = b"".join(form.LENGTH.pack(len(text)) + text for text in texts)
    return form.HEADER.pack(form.MAGIC, form.VERSION, len(texts), objects) + table + b"".join(parts)


REF = [b"O" + form.LENGTH.pack(i) for i in range(4)]
BOMBS = {
    "empty": b"",
    "pickle": pickle.dumps(print),
    "other version": form.HEADER.pack(form.MAGIC, 99, 0, 0) + b"N",
    "four billion texts": form.HEADER.pack(form.MAGIC, 1, 2**32 - 1, 0) + b"N",
    "four billion objects": form.HEADER.pack(form.MAGIC, 1, 0, 2**32 - 1) + b"N",
    "four billion items": state_bytes(1, REF[0], b"l" + form.LENGTH.pack(2**32 - 1)),
    "four billion keys": state_bytes(1, REF[0], b"s" + form.LENGTH.pack(2**32 - 1)),
    "huge bytes": state_bytes(0, b"B" + form.LENGTH.pack(2**32 - 1)),
    "huge integer": state_bytes(0, b"J" + form.LENGTH.pack(5000), b"\x7f" * 5000),
    "huge array": state_bytes(1, REF[0], b"a", bytes((10, 8)), form.LENGTH.pack(2**32 - 1) * 8),
    "huge empty array": state_bytes(1, REF[0], b"a", bytes((10, 4)), form.LENGTH.pack(0), form.LENGTH.pack(2**32 - 1) * 3),
    "unknown array type": state_bytes(1, REF[0], b"a", bytes((200, 1)), form.LENGTH.pack(0)),
    "text that is not there": state_bytes(0, b"S" + form.LENGTH.pack(0)),
    "object not referred to": state_bytes(1, b"N", b"l" + form.LENGTH.pack(0)),
    "object that is not there": state_bytes(0, REF[0]),
    "object out of turn": state_bytes(2, REF[1], b"l" + form.LENGTH.pack(1), REF[0], b"l" + form.LENGTH.pack(0)),
    "tuple within itself": state_bytes(1, REF[0], b"t" + form.LENGTH.pack(1), REF[0]),
    "tuples within each other": state_bytes(2, REF[0], b"t" + form.LENGTH.pack(1), REF[1], b"t" + form.LENGTH.pack(1), REF[0]),
    "key twice": state_bytes(1, REF[0], b"d" + form.LENGTH.pack(2), (b"I" + form.LONG.pack(1) + b"N") * 2),
    "unhashable key": state_bytes(2, REF[0], b"d" + form.LENGTH.pack(1), REF[1], b"N", b"l" + form.LENGTH.pack(0)),
    "class not allowed": state_bytes(1, REF[0], b"i" + form.LENGTH.pack(0), texts=(b"subprocess.Popen",)),
    "function not allowed": state_bytes(0, b"C" + form.LENGTH.pack(0), texts=(b"os.system",)),
    "factory not allowed": state_bytes(1, REF[0], b"f", bytes((99,)), form.LENGTH.pack(0)),
    "invalid UTF-8": state_bytes(0, b"S" + form.LENGTH.pack(0), texts=(b"\xff",)),
    "generator beyond its words": state_bytes(1, REF[0], b"r", form.RANDOM.pack(*[1] * 624, 9999, 0, 0.0)),
    "bytes left over": state_bytes(0, b"N", b"N"),
    "too deep": state_bytes(
        150, REF[0], *[b"l" + form.LENGTH.pack(1) + b"O" + form.LENGTH.pack(i + 1) for i in range(149)], b"l" + form.LENGTH.pack(0)
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str) -> None:
    """Bytes that announce more than they hold, or name what is not allowed, give a StateError and take next to no memory."""
    tracemalloc.start()
    try:
        with pytest.raises(StateError):
            decode_state(BOMBS[name])
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_long_chain_is_freed() -> None:
    """A chain of containers as long as the bounds allow can be built and freed without ending the stack."""
    links = 50_000
    records = [b"l" + form.LENGTH.pack(links) + b"".join(b"O" + form.LENGTH.pack(i + 1) for i in range(links))]
    kinds = (b"l", b"t", b"q" + form.LONG.pack(-1))
    records += [kinds[i % 3] + form.LENGTH.pack(1) + b"O" + form.LENGTH.pack(i + 2) for i in range(links - 1)] + [
        b"l" + form.LENGTH.pack(0)
    ]
    chain = decode_state(state_bytes(links + 1, REF[0], *records))
    first = chain[0]
    chain.clear()
    del first
