"""One definition of an operator makes its functions for one, two and three spatial axes.

The definition is a function whose first parameter is `rank`. Its docstring is that of two axes; what differs for the
others stands behind it, under the headings "One axis" and "Three axes": a docstring, and an example of one's own.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from types import FunctionType
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")
Ranked = tuple[Callable[P, R], Callable[P, R], Callable[P, R]]


def ranked(name: str) -> Callable[[Callable[Concatenate[int, P], R]], Ranked[P, R]]:
    """Make of a definition the functions for ranks 1, 2 and 3, which are called `name` with the rank in its braces.

    Each is a plain function with a name, a signature and a docstring of its own; all it does is to call the definition.
    """

    def make(definition: Callable[Concatenate[int, P], R]) -> Ranked[P, R]:
        function = cast(FunctionType, definition)
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())[1:]
        signature = signature.replace(parameters=parameters)
        bind = _binder(function, [p.name for p in parameters])
        made = []
        for rank, docstring in enumerate(_docstrings(function.__doc__), 1):
            own = bind(rank)
            own.__name__ = own.__qualname__ = name.format(rank)
            own.__code__ = own.__code__.replace(co_name=own.__name__)
            own.__doc__ = docstring
            own.__defaults__, own.__kwdefaults__ = function.__defaults__, dict(function.__kwdefaults__ or {})
            own.__annotations__ = {key: value for key, value in function.__annotations__.items() if key != "rank"}
            own.__signature__ = signature  # type: ignore[attr-defined]
            own.__wrapped__ = function  # type: ignore[attr-defined]  # where inspect finds the source
            made.append(own)
        return cast("Ranked[P, R]", tuple(made))

    return make


def _binder(definition: FunctionType, names: list[str]) -> Callable[[int], FunctionType]:
    """What makes, for a rank, a function that passes its arguments on to the definition; it has no defaults yet."""
    code, passed = definition.__code__, ", ".join(names)
    if code.co_kwonlyargcount:
        names.insert(code.co_argcount - 1, "*")  # behind the parameters that have a place, rank not counted
    source = f"""
def binder(definition):
    def bind(rank):
        def own({", ".join(names)}): return definition(rank, {passed})
        return own
    return bind
"""
    scope: dict[str, Any] = {}
    exec(compile(source, f"<{definition.__module__}>", "exec"), definition.__globals__, scope)
    # A call by place, even of parameters that have none, is the cheapest.
    code = code.replace(co_argcount=code.co_argcount + code.co_kwonlyargcount, co_kwonlyargcount=0)
    return scope["binder"](FunctionType(code, definition.__globals__, definition.__name__))


def _docstrings(text: str | None) -> tuple[str | None, str | None, str | None]:
    """The docstrings of one, two and three axes; none under ``python -OO``."""
    if text is None:
        return None, None, None
    two_axes, one_axis, three_axes = re.split(r"\n\n(?:One axis|Three axes)\n-+\n", inspect.cleandoc(text))
    return _with_section(one_axis), two_axes, _with_section(three_axes)


def _with_section(text: str) -> str:
    """A docstring with its example in a section, behind the imports that it needs."""
    description, _, example = text.partition("\n\n>>> ")
    modules = "numpy as np, fastconv as fc" if "np." in example else "fastconv as fc"
    return f"{description}\n\nExamples\n--------\n>>> import {modules}\n>>> {example}\n"
