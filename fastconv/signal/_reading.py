"""What callers pass for arrays, and the kind of array that they get back: what SciPy returns for the same arguments.

SciPy returns NumPy's arrays, also for lists, pandas and xarray. Where its switch ``SCIPY_ARRAY_API=1`` is on, arrays of
other libraries come back as such: they are read as NumPy's, and the result is made one of theirs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..foreign import library_of

SWITCHED = os.environ.get("SCIPY_ARRAY_API", "0").lower() not in ("0", "false", "")


def kind_of(*arrays: Any) -> Callable[[np.ndarray], Any] | None:
    """What makes a result the kind of array that SciPy would return; None for NumPy's arrays."""
    if SWITCHED:
        for a in arrays:
            if library_of(a) == "torch":
                return sys.modules["torch"].from_numpy  # type: ignore[no-any-return]
            if hasattr(a, "__array_namespace__") and not isinstance(a, (np.ndarray, np.generic)):
                return a.__array_namespace__().asarray  # type: ignore[no-any-return]
    return None


def is_odd(*arrays: Any) -> bool:
    """Whether SciPy, with its switch on, looks at what NumPy would read without a word: masked arrays, matrices."""
    return SWITCHED and any(isinstance(a, (np.ma.MaskedArray, np.matrix)) for a in arrays)
