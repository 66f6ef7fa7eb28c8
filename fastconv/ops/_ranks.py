"""One definition of an operator makes its functions for one, two and three spatial axes.

The definition is a function whose first parameter is `rank`. Its docstring is that of two axes, where its first line
speaks of images, and its examples have a paragraph for each rank; those of the others say by themselves what differs.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from types import FunctionType
from typing import Concatenate, ParamSpec, TypeVar, cast

from ._overriding import binder

P = ParamSpec("P")
R = TypeVar("R")
Ranked = tuple[Callable[P, R], Callable[P, R], Callable[P, R]]

KINDS = {1: "signals", 3: "volumes"}
AXES = {1: "W", 3: "DHW"}
UNBROKEN = "\xa0"  # a space that no line ends at
#: A documented array, its shape, and its shape with channels last.
SHAPE = re.compile(r"^(\w+) : (?:array_like|ndarray).*?(\([^)]*W[^)]*\))(?:, or (\(.*?\)) with)?", re.M)


def ranked(name: str) -> Callable[[Callable[Concatenate[int, P], R]], Ranked[P, R]]:
    """Make of a definition the functions for ranks 1, 2 and 3, which are called `name` with the rank in its braces.

    Each is a plain function with a name, a signature and a docstring of its own; all it does is to call the definition,
    and to hand the call to an operand that answers for itself (`_overriding`).
    """

    def make(definition: Callable[Concatenate[int, P], R]) -> Ranked[P, R]:
        function = cast(FunctionType, definition)
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())[1:]
        signature = signature.replace(parameters=parameters)
        bind = binder(function, [p.name for p in parameters], function.__code__.co_argcount - 1, "rank, ")
        names = [name.format(rank) for rank in (1, 2, 3)]
        made = []
        for rank, docstring in enumerate(_docstrings(function.__doc__, names), 1):
            own = bind(rank)
            own.__name__ = own.__qualname__ = names[rank - 1]
            own.__code__ = own.__code__.replace(co_name=own.__name__)
            own.__doc__ = docstring
            own.__defaults__, own.__kwdefaults__ = function.__defaults__, dict(function.__kwdefaults__ or {})
            own.__annotations__ = {key: value for key, value in function.__annotations__.items() if key != "rank"}
            own.__signature__ = signature  # type: ignore[attr-defined]
            own.__wrapped__ = function  # type: ignore[attr-defined]  # where inspect finds the source
            made.append(own)
        return cast("Ranked[P, R]", tuple(made))

    return make


def _docstrings(text: str | None, names: list[str]) -> list[str | None]:
    """The docstrings of one, two and three axes; none under ``python -OO``."""
    if text is None:
        return [None] * 3
    description, examples = inspect.cleandoc(text).split("\n\nExamples\n--------\n")
    summary, arrays = description.partition("\n")[0], SHAPE.findall(description)
    made: list[str | None] = []
    for rank, name in enumerate(names, 1):
        own, example = description, next(part for part in examples.split("\n\n") if f"fc.{name}(" in part)
        if rank != 2:
            own = _description(summary, arrays, names[1], rank)
            example = f">>> import {'numpy as np, ' if 'np.' in example else ''}fastconv as fc\n{example}"
        made.append(f"{own}\n\nExamples\n--------\n{example}\n")
    return made


def _description(summary: str, arrays: list[tuple[str, str, str]], model: str, rank: int) -> str:
    """What differs from `model`, the function of images: the first line, and the arrays' shapes in both layouts."""
    summary = summary.replace("images", KINDS[rank]).replace("2d", f"{rank}d")
    arrays = [(name, _shape(first, rank), _shape(last, rank)) for name, first, last in arrays]
    shapes = _listed([f"{name} {'' if i else 'is '}{first}" for i, (name, first, _) in enumerate(arrays)])
    if arrays[0][2]:
        shapes += f', or with ``layout="N{AXES[rank]}C"`` {_listed([last for *_, last in arrays])}'
    body = textwrap.fill(f"{shapes}. Everything else is as for `{model}`.", 116).replace(UNBROKEN, " ")
    return f"{summary}\n\n{body}"


def _listed(words: list[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _shape(shape: str, rank: int) -> str:
    """``(N, C, H, W)`` with the axes of a rank."""
    shape = re.sub(r"\b([KO]?)H(, |\*)[KO]?W", lambda m: m[2].join(m[1] + axis for axis in AXES[rank]), shape)
    return shape.replace(" ", UNBROKEN)
