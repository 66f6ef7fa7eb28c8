"""SciPy's own functions, which say what is wrong with arguments that nothing serves, in SciPy's words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ..foreign import is_device_array
from ..ops.devices import as_given
from ._repeating import repeating

P = ParamSpec("P")
R = TypeVar("R")


class Refused(Exception):
    """Arguments that no filter here takes; a user never sees it, for `in_place_of_scipy` asks SciPy what is wrong."""


@functools.lru_cache(maxsize=64)
def scipy_function(name: str) -> Callable[..., Any]:
    """SciPy's function, the same one also while ours stands in its place in ``scipy.ndimage``."""
    module = "_morphology" if name.startswith("grey") else "_filters"
    return getattr(import_module(f"scipy.ndimage.{module}"), name)  # type: ignore[no-any-return]


def in_place_of_scipy(function: Callable[P, R]) -> Callable[P, R]:
    """What `function` refuses is SciPy's to refuse, by its function of the same name; calls that repeat are known."""

    @repeating
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given: Any = args[0] if args else kwargs.get("input")
        on_device = type(given) is not np.ndarray and is_device_array(given)
        try:
            result = function(*args, **kwargs)
            return as_given(result, given) if on_device else result  # type: ignore[return-value]
        except Refused:
            pass
        if on_device:
            given = np.zeros(given.shape)  # for SciPy to say what is wrong with the rest
            args = (given, *args[1:])  # type: ignore[assignment]
        return scipy_function(function.__name__)(*args, **kwargs)  # type: ignore[no-any-return]

    return call
