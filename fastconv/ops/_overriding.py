"""Operands that answer for the functions of arrays themselves, as tensors do that remember how they were computed.

A class with a method ``__fastconv_function__(function, given)`` is one: a public function that meets such an operand
hands the whole call to it, its arguments by name. Nothing is looked for on the way: the operand is met where what is no
array is read anyway, so that calls with arrays pay nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, cast

from ..errors import InvalidArgument

F = TypeVar("F", bound=Callable[..., Any])


class Overridden(InvalidArgument):
    """An operand was met that answers for the function itself; its text is for those who cannot hand the call on."""

    def __init__(self, operand: Any, name: str) -> None:
        super().__init__(f"{name} is a {type(operand).__name__}; only arrays can be used here: pass {name}.numpy()")
        self.operand = operand


def refuse_overriding(value: Any, name: str) -> None:
    """Raise `Overridden` if the operand answers for itself."""
    if hasattr(type(value), "__fastconv_function__"):
        raise Overridden(value, name)


def overridable(function: F) -> F:
    """Let operands of classes of their own answer for a function; use as a decorator."""
    made = cast(FunctionType, function)
    parameters = list(inspect.signature(made).parameters.values())
    by_place = sum(p.kind is not p.KEYWORD_ONLY for p in parameters)
    own = binder(made, [p.name for p in parameters], by_place, "")(None)
    own.__name__, own.__qualname__, own.__doc__ = made.__name__, made.__qualname__, made.__doc__
    own.__code__ = own.__code__.replace(co_name=made.__name__)
    own.__defaults__, own.__kwdefaults__ = made.__defaults__, made.__kwdefaults__
    own.__annotations__ = made.__annotations__
    own.__wrapped__ = made  # type: ignore[attr-defined]  # where inspect finds the source
    return cast(F, own)


def binder(definition: FunctionType, names: list[str], by_place: int, first: str) -> Callable[[Any], FunctionType]:
    """What makes a function that passes its arguments on to the definition; it has no defaults yet.

    `names` are its parameters, of which the first `by_place` have a place; ``first``, such as "rank, ", stands before
    them where the definition is called, and is what the maker is given.
    """
    code = definition.__code__
    # A call by place, even of parameters that have none, is the cheapest.
    code = code.replace(co_argcount=code.co_argcount + code.co_kwonlyargcount, co_kwonlyargcount=0)
    parameters = [*names[:by_place], *(["*"] if names[by_place:] else []), *names[by_place:]]
    source = f"""
def maker(definition, Overridden):
    def bind({first or "_"}):
        def own({", ".join(parameters)}):
            try:
                return definition({first}{", ".join(names)})
            except Overridden as found:
                operand = found.operand
            return operand.__fastconv_function__(own, {{{", ".join(f"{name!r}: {name}" for name in names)}}})
        return own
    return bind
"""
    scope: dict[str, Any] = {}
    exec(compile(source, f"<{definition.__module__}>", "exec"), definition.__globals__, scope)
    return scope["maker"](FunctionType(code, definition.__globals__, definition.__name__), Overridden)
