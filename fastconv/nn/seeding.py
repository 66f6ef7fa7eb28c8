"""Where random numbers come from: one generator for everything that was not given a seed of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataUnavailable, InvalidArgument

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


def dump(generators: Sequence[np.random.Generator]) -> np.ndarray:
    """The states of generators as bytes: JSON."""
    text = json.dumps([generator.bit_generator.state for generator in generators])
    return np.frombuffer(text.encode(), np.uint8)


def parse(data: np.ndarray, generators: Sequence[np.random.Generator], source: str) -> list[Any]:
    """The states that `dump` wrote, each tried on a generator like the one it is meant for."""
    try:
        states = json.loads(data.tobytes() or b"[]")
        if not isinstance(states, list):
            raise TypeError("no list")
    except (ValueError, TypeError, RecursionError):
        raise DataUnavailable(f"{source} is damaged: its generators are no JSON; save the state again") from None
    if len(states) != len(generators):
        raise InvalidArgument(f"{source} holds {len(states)} random generators but the model has {len(generators)}")
    for generator, state in zip(generators, states, strict=True):
        try:
            type(generator.bit_generator)().state = state
        except Exception as error:  # NumPy looks into it without checking: KeyError, TypeError, OverflowError, ...
            raise DataUnavailable(
                f"{source} is damaged: a random generator's state is not sound; save the state again"
            ) from error
    return states
