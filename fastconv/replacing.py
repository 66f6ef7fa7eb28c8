"""SciPy's functions replaced by fastconv's inside a block: `as_scipy`.

Replaced are the names in the public modules of SciPy and in every other module that holds one of its functions under
some name, as after ``from scipy.signal import convolve``. SciPy's private modules keep theirs: what SciPy does within
its own functions, and what fastconv hands on to it, stays SciPy's.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator
from functools import update_wrapper
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any, cast

AREAS = {"scipy.signal": "fastconv.signal", "scipy.ndimage": "fastconv.ndimage"}
_lock = threading.RLock()
_blocks = 0  # that are open, in all threads
_known: list[tuple[Any, FunctionType]] = []  # SciPy's functions, and what stands for each inside a block


class as_scipy(ContextDecorator):  # noqa: N801 - called like a function
    """Let ``scipy.signal`` and ``scipy.ndimage`` be fastconv's inside a ``with`` block, or while a function runs.

    Every function that fastconv has, too, is replaced: as an attribute of SciPy's modules (``scipy.signal.convolve2d``,
    ``ndimage.gaussian_filter``), and in every module loaded by then, or in the block, that took it by its name (``from
    scipy.ndimage import gaussian_filter``), such as those of scikit-image and astropy.

    Raises
    ------
    RuntimeError
        A block is left that was never entered.

    Notes
    -----
    The end of the outermost block, an exception too, brings all back. Blocks may be nested, and open in several
    threads: modules are the same for all, so SciPy is replaced for every thread until the last block is left.

    Not replaced is what is no module's attribute: a function in a closure, a default argument, a class, a container or
    a `functools.partial`, and SciPy's private modules (``scipy.ndimage._filters``), so SciPy's other functions go on as
    they are. Such an object that took a function inside a block keeps fastconv's after it; modules do not.

    Examples
    --------
    >>> import scipy.signal, fastconv as fc
    >>> with fc.as_scipy():
    ...     scipy.signal.convolve2d.__module__
    'fastconv.signal.images'
    >>> scipy.signal.convolve2d.__module__
    'scipy.signal._signaltools'
    """

    def __enter__(self) -> None:
        global _blocks
        with _lock:
            if _blocks == 0:
                _replace({id(theirs): ours for theirs, ours in _pairs()})
            _blocks += 1

    def __exit__(self, *error: object) -> None:
        global _blocks
        with _lock:
            if _blocks == 0:
                raise RuntimeError("a block of as_scipy is left that was not entered")
            _blocks -= 1
            if _blocks == 0:
                _replace({id(ours): theirs for theirs, ours in _pairs()})


def _pairs() -> list[tuple[Any, FunctionType]]:
    """Found once, before any is replaced."""
    if not _known:
        for theirs, ours in ((import_module(a), import_module(b)) for a, b in AREAS.items()):
            names = [name for name in ours.__all__ if callable(getattr(theirs, name, None))]
            _known.extend((getattr(theirs, name), _twin(getattr(ours, name))) for name in names)
    return _known


def _twin(function: FunctionType) -> FunctionType:
    """The same function as another object: what the end of a block takes away is what its beginning put there."""
    twin = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    return cast(FunctionType, update_wrapper(twin, function))


def _replace(new: dict[int, Callable[..., Any]]) -> None:
    """Put a function in the place of each whose id is known, in all modules."""
    for module in _modules():
        for name, value in list(vars(module).items()):
            if id(value) in new:
                setattr(module, name, new[id(value)])


def _modules() -> Iterator[ModuleType]:
    """Those in which a name may stand for SciPy's function: all but fastconv's, and SciPy's private ones."""
    for name, module in list(sys.modules.items()):
        parts = name.split(".")
        private = parts[0] == "scipy" and any(part.startswith("_") for part in parts)
        if isinstance(module, ModuleType) and parts[0] != "fastconv" and not private:
            yield module
