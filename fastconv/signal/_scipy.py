"""SciPy's own functions: they serve what has no kernel here, and say what is wrong with arguments that nothing serves.

So errors and their words are SciPy's, and what this package does not foresee is done as SciPy does it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

HOMES = {"savgol_coeffs": "_savitzky_golay", "savgol_filter": "_savitzky_golay", "sepfir2d": "_spline"}


@lru_cache(maxsize=64)
def scipy_function(name: str) -> Callable[..., Any]:
    """SciPy's function, from where `fastconv.as_scipy` puts nothing in its place."""
    return getattr(import_module(f"scipy.signal.{HOMES.get(name, '_signaltools')}"), name)  # type: ignore[no-any-return]
