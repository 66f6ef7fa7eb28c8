"""Where random numbers come from: one generator for everything that was not given a seed of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from ...within import Block, Within
from .. import arguments

_generator = np.random.default_rng()


class _Drawing(Within):
    source: np.random.Generator | None = None


_drawing = _Drawing()


def generator() -> np.random.Generator:
    """The generator of the model that this thread is building or running, or else the common one."""
    return _drawing.source or _generator


def drawing(source: np.random.Generator) -> Block:
    """Let everything in this block, in this thread, draw from one generator, however deep in layers it lies."""
    return _drawing.set(source=source)


def seeded(seed: Any, owner: Any) -> AbstractContextManager[Any]:
    """Let what is made in this block draw its weights by a seed that `owner` was given; None changes nothing.

    Layers that are called on symbolic tensors have their weights before there is a model with a generator.
    """
    return nullcontext() if seed is None else drawing(make_generator(seed, owner))


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
    _generator = make_generator(seed, "set_random_seed")


def make_generator(seed: Any, owner: Any) -> np.random.Generator:
    """A generator of its own for a seed that `owner` was given."""
    return np.random.default_rng(arguments.whole(owner, "seed", seed, 0))
