"""Functions of a client with some of their names bound to something else: how its inner parts are swapped, for us alone."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any


def bound_anew(function: Any, **names: Any) -> Callable[..., Any]:
    """The function's code with some names of its module bound to something else, in a namespace of its own.

    Raises:
        ValueError: the function does not use a name.
    """
    for name in names:
        if name not in function.__code__.co_names:
            raise ValueError(f"{function.__qualname__} does not use {name}")
    bound = FunctionType(function.__code__, function.__globals__ | names, function.__name__, function.__defaults__, function.__closure__)
    bound.__kwdefaults__ = function.__kwdefaults__
    return bound
