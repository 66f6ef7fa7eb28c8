"""The types of arguments, looked at when a call is compiled: what can be known by then is refused by then.

Values are looked at when the call is made (`_plans`).
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.core.errors import TypingError

from ..errors import shown
from ._requests import DTYPES

MISSING = object()


class Arguments:
    """The arguments of one call, as Numba's types."""

    def __init__(self, name: str, **arrays: Any) -> None:
        self.name, self.names = name, tuple(arrays)
        self.dtype = self._dtype(arrays)

    def _dtype(self, arrays: dict[str, Any]) -> str:
        """The one dtype of all arrays."""
        first, kind = next(iter(arrays.items()))
        for name, array in arrays.items():
            if not isinstance(array, types.Array) or str(array.dtype) not in DTYPES:
                raise self.wrong(name, array, "a float32 or float64 array: pass " + name + ".astype(np.float64)")
            if array.dtype != kind.dtype:
                raise self.wrong(name, array, f"the dtype of {first}, {kind.dtype}: pass {name}.astype({first}.dtype)")
        return str(kind.dtype)

    def wrong(self, name: str, given: Any, expected: str) -> TypingError:
        """The exception for an argument of a wrong type."""
        value = constant(given)
        text = shown(str(given)) if value is MISSING else shown(value)
        return TypingError(f"{self.name}: {name} is {text}; expected {expected}")

    def axes(self, count: int, **arrays: Any) -> None:
        """Arrays with so many axes."""
        for name, kind in arrays.items():
            if kind.ndim != count:
                raise TypingError(f"{self.name}: {name} has {kind.ndim} axes; expected {count}")

    def whole(self, name: str, kind: Any) -> None:
        """An integer."""
        if not _whole(kind):
            raise self.wrong(name, kind, "an int")

    def each(self, name: str, kind: Any, rank: int) -> None:
        """An integer, or a tuple of one for each axis."""
        if not (_whole(kind) or (isinstance(kind, types.BaseTuple) and len(kind) == rank and all(map(_whole, kind)))):
            raise self.wrong(name, kind, f"an int or a tuple of {rank} ints")

    def border(self, kind: Any, rank: int) -> str:
        """The padding: numbers, or a word, which is returned."""
        word = constant(kind)
        if isinstance(word, str) and word in ("valid", "same"):
            return word
        if _whole(kind):
            return "numbers"
        if isinstance(kind, types.BaseTuple) and len(kind) == rank and all(_whole(k) or _is_pair(k) for k in kind):
            return "numbers"
        raise self.wrong(
            "padding", kind, f'an int, {rank} ints, {rank} pairs of ints (before, after), "valid" or "same"'
        )

    def word(self, name: str, kind: Any, words: tuple[Any, ...]) -> Any:
        """One of a few constants."""
        value = constant(kind)
        if value is MISSING or value not in words:
            raise self.wrong(name, kind, f"a constant, one of {', '.join(map(repr, words))}")
        return value

    def flag(self, name: str, kind: Any) -> None:
        """A boolean."""
        if not isinstance(kind, (types.Boolean, bool)) and not isinstance(constant(kind), bool):
            raise self.wrong(name, kind, "True or False")

    def shape(self, name: str, kind: Any, axes: int) -> None:
        """A tuple of so many integers."""
        if not (isinstance(kind, types.BaseTuple) and len(kind) == axes and all(map(_whole, kind))):
            raise self.wrong(name, kind, f"a tuple of {axes} ints")


def constant(kind: Any) -> Any:
    """The value of an argument that is a constant; `MISSING` for others."""
    if isinstance(kind, types.Omitted):
        return kind.value
    if isinstance(kind, types.Literal):
        return kind.literal_value
    if isinstance(kind, types.NoneType):
        return None
    return MISSING if isinstance(kind, types.Type) else kind


def is_none(kind: Any) -> bool:
    """Whether an argument is None."""
    return constant(kind) is None


def _whole(kind: Any) -> bool:
    value = constant(kind)
    return isinstance(kind, types.Integer) or (isinstance(value, int) and not isinstance(value, bool))


def _is_pair(kind: Any) -> bool:
    return isinstance(kind, types.BaseTuple) and len(kind) == 2 and all(map(_whole, kind))
