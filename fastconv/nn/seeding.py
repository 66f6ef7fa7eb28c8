"""Where random numbers come from: one generator for everything that was not given a seed of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InvalidArgument

_generator = np.random.default_rng()


def generator() -> np.random.Generator:
    """The common generator."""
    return _generator


def set_random_seed(seed: int) -> None:
    """Make everything that follows repeatable: weights, shuffling and dropout of models without a seed of their own.

    Examples
    --------
    >>> set_random_seed(1)
    >>> first = generator().random()
    >>> set_random_seed(1)
    >>> generator().random() == first
    True
    """
    global _generator
    _generator = make_generator(seed)


def make_generator(seed: Any) -> np.random.Generator:
    """A generator of its own for a seed."""
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or seed.__index__() < 0:
        raise InvalidArgument(f"seed is {seed!r}; expected a whole number of at least 0")
    return np.random.default_rng(seed.__index__())
