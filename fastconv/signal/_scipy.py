"""SciPy's own functions: they serve what has no kernel here, and say what is wrong with arguments that nothing serves.

So errors and their words are SciPy's, and what this package does not foresee is done as SciPy does it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any


@lru_cache(maxsize=64)
def scipy_function(name: str) -> Callable[..., Any]:
    """SciPy's function, the same one also while `fastconv.as_scipy` has put ours in its place."""
    return getattr(import_module("scipy.signal"), name)  # type: ignore[no-any-return]
