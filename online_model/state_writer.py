"""Writes the state of a Python model as bytes (online_model/state_format.py)."""

from __future__ import annotations

import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from contracts.errors import ModelError
from online_model import state_format as form

_MAPPINGS: dict[type, int] = {dict: form.DICT, OrderedDict: form.ORDERED_DICT, Counter: form.COUNTER, defaultdict: form.DEFAULT_DICT}
_PLAIN = (type(None), bool, int, float, str, bytes)


def encode_state(root: Any) -> bytes:
    """Bytes of a state; the same state gives the same bytes.

    Raises:
        ModelError: something in it is of a class that is not allowed, or the state is above the bounds.
    """
    return _Writer().write(root)


class _Writer:
    def __init__(self) -> None:
        self._texts: dict[str, int] = {}
        self._numbers: dict[int, int] = {}  # id of an object -> its number; `_objects` keeps them alive
        self._objects: list[Any] = []
        self._depths: list[int] = []
        self._depth = 0
        self._out = bytearray()

    def write(self, root: Any) -> bytes:
        self._value(root)
        done = 0
        while done < len(self._objects):
            self._depth = self._depths[done] + 1
            self._object(self._objects[done])
            done += 1
            if len(self._out) > form.MAX_BYTES:
                raise ModelError(f"a model's state is above {form.MAX_BYTES} bytes; use a smaller window or fewer features")
        texts = b"".join(form.LENGTH.pack(len(data)) + data for data in map(_utf8, self._texts))
        data = form.HEADER.pack(form.MAGIC, form.VERSION, len(self._texts), len(self._objects)) + texts + self._out
        if len(data) > form.MAX_BYTES:
            raise ModelError(f"a model's state is above {form.MAX_BYTES} bytes; use a smaller window or fewer features")
        return bytes(data)

    def _text(self, text: str) -> bytes:
        return form.LENGTH.pack(self._texts.setdefault(text, len(self._texts)))

    def _value(self, value: Any) -> None:
        if type(value) in _PLAIN:
            self._plain(value)
        elif isinstance(value, np.generic) and value.dtype.newbyteorder("<") in form.DTYPES:
            kind = value.dtype.newbyteorder("<")
            self._out += bytes((form.SCALAR, form.DTYPES.index(kind))) + value.astype(kind).tobytes()
        elif callable(value) and not isinstance(value, type) and type(value).__module__ == "builtins":
            self._constant(value)
        else:
            self._reference(value)

    def _plain(self, value: Any) -> None:
        if value is None or value is True or value is False:
            self._out.append(form.NONE if value is None else form.TRUE if value else form.FALSE)
        elif type(value) is float:
            self._out += bytes((form.FLOAT,)) + form.DOUBLE.pack(value)
        elif type(value) is str:
            self._out += bytes((form.TEXT,)) + self._text(value)
        elif type(value) is bytes:
            self._out += bytes((form.BYTES,)) + form.LENGTH.pack(len(value)) + value
        elif -(2**63) <= value < 2**63:
            self._out += bytes((form.INTEGER,)) + form.LONG.pack(value)
        else:
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            if len(data) > form.MAX_INTEGER_BYTES:
                raise ModelError(f"a model's state holds an integer above {form.MAX_INTEGER_BYTES} bytes")
            self._out += bytes((form.LONGER,)) + form.LENGTH.pack(len(data)) + data

    def _constant(self, value: Any) -> None:
        for name in form.CONSTANTS:
            if form.resolve(name) is value:
                self._out += bytes((form.CONSTANT,)) + self._text(name)
                return
        raise ModelError(f"a model's state holds the function {value!r}, which cannot be carried; use the model's default for it")

    def _reference(self, value: Any) -> None:
        number = self._numbers.get(id(value))
        if number is None:
            number = len(self._objects)
            if number == form.MAX_OBJECTS or self._depth > form.MAX_DEPTH:
                raise ModelError(
                    f"a model's state has over {form.MAX_OBJECTS} objects or is over {form.MAX_DEPTH} deep; use a smaller window"
                )
            self._numbers[id(value)] = number
            self._objects.append(value)
            self._depths.append(self._depth)
        self._out += bytes((form.OBJECT,)) + form.LENGTH.pack(number)

    def _key(self, key: Any) -> None:
        """Keys are plain or tuples of what is plain: hashing and comparing them needs no code of the state's own."""
        _check_key(key)
        if type(key) is not tuple:
            self._plain(key)
            return
        self._out += bytes((form.KEY_TUPLE,)) + form.LENGTH.pack(len(key))
        for part in key:
            self._plain(part)

    def _object(self, value: Any) -> None:
        kind = type(value)
        writers: dict[type, Callable[[Any], None]] = {
            list: lambda v: self._sequence(form.LIST, v),
            tuple: lambda v: self._sequence(form.TUPLE, v),
            set: lambda v: self._set(form.SET, v),
            frozenset: lambda v: self._set(form.FROZEN_SET, v),
            deque: self._deque,
            np.ndarray: self._array,
            random.Random: self._random,
        }
        if kind in _MAPPINGS:
            self._mapping(value)
        elif kind in writers:
            writers[kind](value)
        elif form.qualified_name(kind) == form.VECTOR_DICT_CLASS:
            self._vector_dict(value)
        else:
            self._instance(value)

    def _sequence(self, tag: int, values: Iterable[Any]) -> None:
        items = list(values)
        self._out += bytes((tag,)) + form.LENGTH.pack(len(items))
        for item in items:
            self._value(item)

    def _set(self, tag: int, values: Iterable[Any]) -> None:
        items = list(values)
        for item in items:
            _check_key(item)
        items.sort(key=lambda key: (type(key).__name__, repr(key)))
        self._out += bytes((tag,)) + form.LENGTH.pack(len(items))
        for item in items:
            self._key(item)

    def _items(self, mapping: Any) -> None:
        self._out += form.LENGTH.pack(len(mapping))
        for key, value in mapping.items():
            self._key(key)
            self._value(value)

    def _mapping(self, mapping: Any) -> None:
        self._out.append(_MAPPINGS[type(mapping)])
        if type(mapping) is defaultdict:
            if mapping.default_factory not in form.FACTORIES:
                raise ModelError(f"a model's state has a defaultdict of {mapping.default_factory!r}, which cannot be carried")
            self._out.append(form.FACTORIES.index(mapping.default_factory))
        self._items(mapping)

    def _deque(self, values: deque[Any]) -> None:
        self._out += bytes((form.DEQUE,)) + form.LONG.pack(-1 if values.maxlen is None else min(values.maxlen, form.MAX_DEQUE))
        self._out += form.LENGTH.pack(len(values))
        for item in values:
            self._value(item)

    def _array(self, array: np.ndarray[Any, Any]) -> None:
        kind = array.dtype.newbyteorder("<")
        if kind not in form.DTYPES or array.ndim > form.MAX_DIMENSIONS:
            raise ModelError(f"a model's state has an array of {array.dtype} with {array.ndim} dimensions, which cannot be carried")
        self._out += bytes((form.ARRAY, form.DTYPES.index(kind), array.ndim))
        for size in array.shape:
            self._out += form.LENGTH.pack(size)
        self._out += array.astype(kind).tobytes()

    def _random(self, generator: random.Random) -> None:
        _, words, kept = generator.getstate()
        self._out += bytes((form.RANDOM_STATE,)) + form.RANDOM.pack(*words, kept is not None, 0.0 if kept is None else kept)

    def _vector_dict(self, vector: Any) -> None:
        content, factory, mask, _ = vector.__reduce__()[1]
        if factory is not None or mask is not None or not all(type(v) is float for v in content.values()):
            raise ModelError("a model's weights have a default or a mask, or are not floats, and cannot be carried")
        self._out.append(form.VECTOR_DICT)
        self._items(content)

    def _instance(self, value: Any) -> None:
        name = form.qualified_name(type(value))
        expected = form.CLASSES.get(name)
        if expected is None:
            raise ModelError(f"a model's state holds a {name}, which cannot be carried; allowed are {', '.join(sorted(form.CLASSES))}")
        present = set(vars(value)) if hasattr(value, "__dict__") else {slot for slot in type(value).__slots__ if hasattr(value, slot)}
        if present != expected:
            raise ModelError(f"{name} has the attributes {sorted(present)}, not {sorted(expected)}; install the pinned version of river")
        self._out += bytes((form.INSTANCE,)) + self._text(name)
        for attribute in sorted(expected):
            self._value(getattr(value, attribute))


def _check_key(key: Any) -> None:
    for part in key if type(key) is tuple else (key,):
        if type(part) not in _PLAIN or (type(part) is int and not -(2**63) <= part < 2**63):
            kind = "int above 64 bits" if type(part) is int else type(part).__name__
            raise ModelError(f"a model's state has a key of {kind}; keys may be None, bool, int, float, str, bytes or a tuple of those")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ModelError(f"a model's state holds a text that is no UTF-8: {error}") from error
