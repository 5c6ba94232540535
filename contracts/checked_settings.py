"""What every part of a definition refuses alike: a setting that there is none of, one that is missing, one of another type."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import wraps
from typing import Any, TypeVar

from contracts.errors import DefinitionError

Part = TypeVar("Part")

_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "text; write it in quotes"),
    "bool": ((bool,), "True or False; write one of them"),
    "int": ((int,), "a whole number; write one without quotes or point"),
    "float": ((int, float), "a number; write one without quotes"),
}  # by annotation; lists and parts within parts are checked by their owner, who knows what they may hold


def checked_settings(what: str) -> Callable[[type[Part]], type[Part]]:
    """Decorator of a dataclass with postponed annotations; `what` it is stands before its name in errors: ``field 'flow'``.

    Types are looked at after `__post_init__`, whose sentences about a wrong value say more.
    """

    def decorate(part: type[Part]) -> type[Part]:
        made = part.__init__
        known = {setting.name: setting for setting in fields(part) if setting.init}  # type: ignore[arg-type]
        needed = [name for name, setting in known.items() if setting.default is setting.default_factory is MISSING]

        @wraps(made)
        def checked(self: Part, *given: Any, **named: Any) -> None:
            settings = dict(zip(known, given, strict=False)) | named
            where = f"{what} '{settings['name']}'" if "name" in settings else f"a {what}"
            for name in settings:
                if name not in known:
                    raise DefinitionError(
                        f"{where}: no setting '{name}'; {_nearest(name, [k for k in known if k not in settings], needed)}"
                    )
            for name in needed:
                if name not in settings:
                    raise DefinitionError(f"{where}: {name} is missing; write {name}=…")
            made(self, *given, **named)
            for name, setting in known.items():
                _check_type(f"{where}: {name}", getattr(self, name), str(setting.type))

        part.__init__ = checked  # type: ignore[assignment]
        return part

    return decorate


def _nearest(name: str, unset: Sequence[str], needed: Sequence[str]) -> str:
    """Which of the settings not given was meant: of several near ones, the one that is needed."""
    near = difflib.get_close_matches(name, unset, 3)
    near.sort(key=lambda found: found not in needed)
    return f"did you mean {near[0]}?" if near else f"choose from {', '.join(unset)}"


def _check_type(what: str, value: object, annotation: str) -> None:
    kind, _, rest = annotation.partition(" | ")
    if kind not in _TYPES or (value is None and rest == "None"):
        return
    types, words = _TYPES[kind]
    if not isinstance(value, types) or (isinstance(value, bool) and kind != "bool"):
        raise DefinitionError(f"{what}={value!r} is not {words}")
