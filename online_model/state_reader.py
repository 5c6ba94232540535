"""Reads the state of a Python model from bytes (online_model/state_format.py); whatever else it is given is a StateError."""

from __future__ import annotations

import random
import struct
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any, NamedTuple

import numpy as np

from contracts.errors import StateError
from online_model import state_format as form

_MAPPINGS: dict[int, type] = {form.DICT: dict, form.ORDERED_DICT: OrderedDict, form.COUNTER: Counter}
_SEQUENCES = (form.LIST, form.TUPLE, form.DEQUE)


def decode_state(data: bytes) -> Any:
    """The state that `encode_state` wrote. Runs no code but that of allowed classes' ``__new__``.

    Raises:
        StateError: anything else. What is announced is taken piece by piece, so memory stays in proportion to the bytes.
    """
    if len(data) > form.MAX_BYTES:
        raise StateError(f"a model's state of {len(data)} bytes is above {form.MAX_BYTES}; rebuild it by a refold")
    try:
        return _Reader(bytes(data)).read()
    except (struct.error, UnicodeDecodeError, ValueError, TypeError, OverflowError, IndexError) as error:
        raise StateError(f"a model's state cannot be read: {error}; rebuild it by a refold") from error


class _Reference:
    """Stands for object `number` until it is built."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class _Record(NamedTuple):
    """An object as read: `shell` is the object where it can be made empty; `keys` and `values` are what goes in."""

    tag: int
    shell: Any
    keys: list[Any]
    values: list[Any]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._texts: list[str] = []
        self._depths: list[int] = []  # of the objects referred to so far
        self._depth = 0
        self._records: list[_Record] = []
        self._built: dict[int, Any] = {}

    def read(self) -> Any:
        magic, version, texts, objects = self._unpack(form.HEADER)
        if magic != form.MAGIC or version != form.VERSION:
            raise StateError(f"a model's state has version {version}, not {form.VERSION}; rebuild it by a refold")
        if objects > form.MAX_OBJECTS:
            raise StateError(f"a model's state of {objects} objects is above {form.MAX_OBJECTS}")
        for _ in range(texts):
            self._texts.append(self._take(self._length()).decode())
        root = self._value()
        while len(self._records) < len(self._depths):
            self._depth = self._depths[len(self._records)] + 1
            self._records.append(self._object())
        if len(self._records) != objects or self._at != len(self._data):
            raise StateError("a model's state has objects that nothing refers to, or bytes that belong to none")
        for number, record in enumerate(self._records):
            if record.tag != form.TUPLE:
                self._built[number] = record.shell
        self._build_tuples()
        for record in self._records:
            self._fill(record)
        return self._resolve(root)

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise StateError("a model's state ends before what it announces")
        part = self._data[self._at : end]
        self._at = end
        return part

    def _unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        return layout.unpack(self._take(layout.size))

    def _length(self) -> int:
        return int(self._unpack(form.LENGTH)[0])

    def _text(self) -> str:
        return self._texts[self._length()]

    def _value(self) -> Any:
        tag = self._take(1)[0]
        if tag == form.OBJECT:
            return self._reference()
        if tag == form.SCALAR:
            kind = form.DTYPES[self._take(1)[0]]
            return np.frombuffer(self._take(kind.itemsize), kind)[0]
        if tag == form.CONSTANT:
            name = self._text()
            if name not in form.CONSTANTS:
                raise StateError(f"a model's state names {name!r}, which is not allowed")
            return form.resolve(name)
        return self._plain(tag)

    def _plain(self, tag: int) -> Any:
        if tag in (form.NONE, form.TRUE, form.FALSE):
            return {form.NONE: None, form.TRUE: True, form.FALSE: False}[tag]
        if tag == form.FLOAT:
            return self._unpack(form.DOUBLE)[0]
        if tag == form.TEXT:
            return self._text()
        if tag == form.INTEGER:
            return self._unpack(form.LONG)[0]
        if tag == form.BYTES:
            return self._take(self._length())
        if tag == form.LONGER:
            size = self._length()
            if size > form.MAX_INTEGER_BYTES:
                raise StateError(f"a model's state has an integer of {size} bytes, above {form.MAX_INTEGER_BYTES}")
            return int.from_bytes(self._take(size), "little", signed=True)
        raise StateError(f"a model's state has the unknown tag {tag}")

    def _key(self) -> Any:
        tag = self._take(1)[0]
        if tag == form.KEY_TUPLE:
            return tuple(self._plain(self._take(1)[0]) for _ in range(self._length()))
        return self._plain(tag)

    def _reference(self) -> _Reference:
        """Objects are numbered in the order in which they are first referred to, so a new one can only be the next."""
        number = self._length()
        if number > len(self._depths):
            raise StateError(f"a model's state refers to object {number} before {len(self._depths)}")
        if number == len(self._depths):
            if self._depth > form.MAX_DEPTH or number == form.MAX_OBJECTS:
                raise StateError(f"a model's state is more than {form.MAX_DEPTH} deep or has too many objects")
            self._depths.append(self._depth)
        return _Reference(number)

    def _object(self) -> _Record:
        tag = self._take(1)[0]
        if tag in _SEQUENCES:
            return self._sequence(tag)
        if tag in _MAPPINGS:
            return self._mapping(tag, _MAPPINGS[tag]())
        if tag == form.DEFAULT_DICT:
            return self._mapping(tag, defaultdict(form.FACTORIES[self._take(1)[0]]))
        if tag in (form.SET, form.FROZEN_SET):
            keys = [self._key() for _ in range(self._length())]
            return _Record(tag, set(keys) if tag == form.SET else frozenset(keys), [], [])
        if tag == form.ARRAY:
            return _Record(tag, self._array(), [], [])
        if tag == form.RANDOM_STATE:
            return _Record(tag, self._random(), [], [])
        if tag == form.VECTOR_DICT:
            return _Record(tag, self._vector_dict(), [], [])
        if tag == form.INSTANCE:
            return self._instance()
        raise StateError(f"a model's state has the unknown object {tag}")

    def _sequence(self, tag: int) -> _Record:
        shell: Any = [] if tag == form.LIST else None
        if tag == form.DEQUE:
            most = self._unpack(form.LONG)[0]
            if not -1 <= most <= form.MAX_DEQUE:
                raise StateError(f"a model's state has a deque of at most {most}")
            shell = deque(maxlen=None if most < 0 else most)
        return _Record(tag, shell, [], [self._value() for _ in range(self._length())])

    def _mapping(self, tag: int, shell: Any) -> _Record:
        keys, values = [], []
        for _ in range(self._length()):
            keys.append(self._key())
            values.append(self._value())
        if len(set(keys)) != len(keys):
            raise StateError("a model's state has a key twice")
        return _Record(tag, shell, keys, values)

    def _array(self) -> Any:
        kind, dimensions = form.DTYPES[self._take(1)[0]], self._take(1)[0]
        if dimensions > form.MAX_DIMENSIONS:
            raise StateError(f"a model's state has an array of {dimensions} dimensions")
        shape = [self._length() for _ in range(dimensions)]
        items = 1
        for size in shape:
            items *= size
        return np.frombuffer(self._take(items * kind.itemsize), kind).reshape(shape).copy()

    def _random(self) -> random.Random:
        *words, has_kept, kept = self._unpack(form.RANDOM)
        generator = random.Random(0)
        generator.setstate((3, tuple(words), kept if has_kept else None))
        return generator

    def _vector_dict(self) -> Any:
        record = self._mapping(form.VECTOR_DICT, None)
        if not all(type(value) is float for value in record.values):
            raise StateError("a model's state has weights that are no floats")
        return form.resolve(form.VECTOR_DICT_CLASS)(dict(zip(record.keys, record.values, strict=True)), None, None, True)

    def _instance(self) -> _Record:
        name = self._text()
        if name not in form.CLASSES:
            raise StateError(f"a model's state names the class {name!r}, which is not allowed")
        kind = form.resolve(name)
        attributes = sorted(form.CLASSES[name])
        return _Record(form.INSTANCE, kind.__new__(kind), attributes, [self._value() for _ in attributes])

    def _resolve(self, value: Any) -> Any:
        return self._built[value.number] if isinstance(value, _Reference) else value

    def _build_tuples(self) -> None:
        """Builds each tuple after the tuples within it, without recursion, for they may be many deep."""
        containers: dict[int, list[int]] = {}
        missing: dict[int, int] = {}
        for number, record in enumerate(self._records):
            if record.tag == form.TUPLE:
                inner = [v.number for v in record.values if isinstance(v, _Reference) and self._records[v.number].tag == form.TUPLE]
                missing[number] = len(inner)
                for other in inner:
                    containers.setdefault(other, []).append(number)
        ready = [number for number, count in missing.items() if count == 0]
        for number in ready:
            self._built[number] = tuple(self._resolve(v) for v in self._records[number].values)
            for container in containers.get(number, ()):
                missing[container] -= 1
                if missing[container] == 0:
                    ready.append(container)
        if len(ready) != len(missing):
            raise StateError("a model's state has a tuple within itself")

    def _fill(self, record: _Record) -> None:
        values = [self._resolve(value) for value in record.values]
        if record.tag in (form.LIST, form.DEQUE):
            record.shell.extend(values)
        elif record.tag == form.INSTANCE:
            for attribute, value in zip(record.keys, values, strict=True):
                object.__setattr__(record.shell, attribute, value)
        elif record.tag != form.TUPLE:
            for key, value in zip(record.keys, values, strict=True):
                record.shell[key] = value
