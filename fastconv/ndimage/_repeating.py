"""Filters of small images that are called again: found by all that a call says, weights included, in one look."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ..kept import kept
from ..memory import SMALL
from ..ops._repeated import Repeats

P = ParamSpec("P")
R = TypeVar("R")

WEIGHTS = 1 << 10  # elements of weights up to which their values are worth looking up


def repeating(function: Callable[P, R]) -> Callable[P, R]:
    """Let a filter of one array, which takes ``output=`` and makes a new array like it, be known where it comes again.

    Then kernels are all that runs; what warns does so by `_arguments.warn`.
    """
    place = list(inspect.signature(function).parameters).index("output")

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        repeats = None
        if args and type(args[0]) is np.ndarray and len(args) <= place and "output" not in kwargs:
            x = args[0]
            repeats = _repeats_of(function, args, kwargs)
            if repeats is not None and repeats.run is not None:
                y = np.empty(x.shape, x.dtype)
                if not repeats.run(x, x, x, y):
                    return y  # type: ignore[return-value]  # so much is known of R
        result: Any = function(*args, **kwargs)
        if repeats is not None and type(result) is np.ndarray and (result.shape, result.dtype) == (x.shape, x.dtype):

            def perform(x: np.ndarray, _: None, __: None, y: np.ndarray) -> None:
                function(x, *args[1:], **kwargs, output=y)  # type: ignore[arg-type]

            repeats.count(perform, x, None, None, result)
        return result  # type: ignore[no-any-return]

    return call


def _repeats_of(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Repeats | None:
    """What is known of a call like this one on an array of the same shape and dtype; None where no look would tell."""
    x = args[0]
    if x.nbytes >= SMALL or x.dtype.kind not in "fiu" or not x.flags.carray:
        return None
    words: list[Any] = [function, x.shape, x.dtype]
    if not _describe(args[1:], words):
        return None
    for name, value in kwargs.items():
        words.append(name)
        if not _describe((value,), words):
            return None
    return _repeats(*words)


@kept
def _repeats(*words: Any) -> Repeats:
    return Repeats()


def _describe(values: Iterable[Any], words: list[Any]) -> bool:
    """Add what tells values apart as filters do (1, 1.0 and True are others, 0.0 and -0.0 too); False if unable."""
    for value in values:
        kind = type(value)
        words.append(kind)
        if kind is int or kind is str or kind is bool or value is None:
            words.append(value)
        elif kind is float or kind is np.float64:
            if value != value:  # not even equal to itself
                return False
            words.append(value or str(value))
        elif kind is tuple or kind is list:
            words.append(len(value))
            if not _describe(value, words):
                return False
        elif kind is np.ndarray and value.dtype.kind in "fiub" and value.size <= WEIGHTS:
            words += (value.dtype, value.shape, value.tobytes())
        else:
            return False
    return True
