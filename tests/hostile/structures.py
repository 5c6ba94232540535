"""Strategies of hypothesis for the structs of records: every field at its extremes, now and then of another type or left out."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

Strategy = st.SearchStrategy[Any]

_WHOLE = st.one_of(st.integers(-5, 5), st.sampled_from([2**31, 2**53, 2**62, 2**62 + 1, 2**63, 2**64, 10**30, -(2**62), -(2**63) - 1]))
_FLOATS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-5, 5))
_TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(["", "x" * 129, "x" * 2_000, "small/1/0/7/score/0", "pump-01", "v1", "é" * 100]))
_OTHERS: Strategy = st.one_of(st.none(), st.booleans(), _WHOLE, _FLOATS, _TEXTS, st.lists(_WHOLE, max_size=3), st.just({"a": [{}]}))


def structure(kind: Any) -> Strategy:
    """Plain JSON values that are mostly of a type, as `msgspec.json.encode` takes them."""
    return _of(msgspec.inspect.type_info(kind), 0)


def _of(info: Any, depth: int) -> Strategy:
    if isinstance(info, msgspec.inspect.Metadata):
        return _of(info.type, depth)
    name = type(info).__name__
    if name == "UnionType":
        return st.one_of([_of(each, depth) for each in info.types])
    if name == "StructType":
        return _struct(info, depth + 1)
    if name in ("ListType", "VarTupleType"):
        return st.lists(_of(info.item_type, depth + 1), max_size=4)
    if name == "TupleType":
        return st.tuples(*(_of(each, depth + 1) for each in info.item_types)).map(list)
    if name == "DictType":
        return st.dictionaries(_TEXTS, _of(info.value_type, depth + 1), max_size=4)
    if name == "LiteralType":
        return st.sampled_from(list(info.values))
    plain: dict[str, Strategy] = {
        "IntType": _WHOLE,
        "FloatType": _FLOATS,
        "StrType": _TEXTS,
        "BoolType": st.booleans(),
        "NoneType": st.none(),
    }
    return plain.get(name, _OTHERS)


def _struct(info: Any, depth: int) -> Strategy:
    needed = {field.encode_name: _often(_of(field.type, depth)) for field in info.fields if field.required}
    optional = {field.encode_name: _often(_of(field.type, depth)) for field in info.fields if not field.required}
    tag = {} if info.tag_field is None else {info.tag_field: st.just(info.tag)}
    whole = st.fixed_dictionaries(needed | tag, optional=optional)
    return whole if depth > 1 else st.one_of([whole] * 9 + [_OTHERS])


def _often(of_type: Strategy) -> Strategy:
    return st.one_of([of_type] * 12 + [_OTHERS])
