"""Steps of optimizers on many arrays of weights at once, in place and in one pass over memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dispatch import operator
from ..errors import InvalidArgument
from ..foreign import is_device_array
from ._floats import Floats
from .halves import is_half, put_back, widened


def together(
    rule: str,
    groups: Sequence[tuple[Any, ...]],
    numbers: tuple[float, ...] = (),
    *,
    keeps: Sequence[float] | None = None,
    scale: float = 1.0,
    limit: float = math.inf,
    length: float = math.inf,
) -> None:
    """One step of many weights at once, by a rule of `fastconv.cpu.update_rules`.

    Arrays are changed in place: they must be what kernels take as they are. Those of 16 bits take the step in float32.

    Parameters
    ----------
    rule : str
    groups : list of tuples of arrays
        For each array of weights: it, what is kept for it, its gradient.
    numbers : tuple of float
        The rule's, in its order.
    keeps : list of float, optional
        What each array of weights is multiplied by before the step.
    scale, limit, length : float
        Gradients are multiplied by `scale`, brought into [-limit, limit], and shortened to `length`, array by array.

    Examples
    --------
    >>> w, v = np.ones(2), np.zeros(2)
    >>> together("momentum", [(w, v, np.ones(2))], (0.5, 0.9))
    >>> w, v
    (array([0.5, 0.5]), array([-0.5, -0.5]))
    """
    device = _device(groups[0][0])
    keeps, factors = [1.0] * len(groups) if keeps is None else keeps, [1.0] * len(groups)
    if device == "cuda" and length < math.inf:
        groups, scale, limit = [(*a, clipped(g, scale, limit, length)) for *a, g in groups], 1.0, math.inf
    groups = [_in_place(rule, group, device) for group in groups]
    halves = any(is_half(group[0].dtype) for group in groups)
    wide = [tuple(map(widened, group)) for group in groups] if halves else groups
    lists = tuple(zip(*wide, strict=True))
    if length < math.inf and device == "cpu":
        found = operator("lengths", device)(lists[-1], scale=scale, limit=limit)
        factors = [_factor(each, length) for each in found.tolist()]
    rest = {"keeps": keeps, "factors": factors, "scale": scale, "limit": limit}
    operator("update", device)(*lists, rule=rule, numbers=numbers, **rest)
    if halves:
        for group, changed in zip(groups, wide, strict=True):
            put_back(changed[:-1], group[:-1])


def length_of(gradients: Sequence[Any], scale: float = 1.0) -> float:
    """The Euclidean length of all gradients together, each times `scale`.

    Examples
    --------
    >>> length_of([np.array([3.0]), np.array([[0.0, 4.0]])])
    5.0
    """
    if not gradients:
        return 0.0
    gradients = list(map(widened, gradients))
    if _device(gradients[0]) == "cuda":
        return abs(scale) * math.sqrt(sum(float(np.square(g).sum(dtype=np.float64)) for g in gradients))
    return math.sqrt(sum(np.square(operator("lengths", "cpu")(gradients, scale=scale, limit=math.inf)).tolist()))


def clipped(g: Any, scale: float = 1.0, limit: float = math.inf, length: float = math.inf) -> Any:
    """g*scale, brought into [-limit, limit] and shortened to `length`: what `together` does to a gradient.

    Examples
    --------
    >>> clipped(np.array([3.0, 4.0]), length=1.0)
    array([0.6, 0.8])
    """
    if scale != 1:
        g = g * g.dtype.type(scale)
    if limit < math.inf:
        g = np.clip(g, -limit, limit)
    if length == math.inf:
        return g
    if _device(g) == "cpu":
        return g * g.dtype.type(_factor(length_of([np.asarray(g, order="C")]), length))
    call = Floats("g", g)
    (g,) = call.arrays
    y = call.empty(g.shape)
    operator("shorten", "cuda")(g, y, length)
    return call.finish(y)


def _factor(found: float, most: float) -> float:
    return most / found if found > most else 1.0


def _device(array: Any) -> str:
    return "cuda" if is_device_array(array) else "cpu"


def _in_place(name: str, group: tuple[Any, ...], device: str) -> tuple[Any, ...]:
    """The arrays of a group, all of one shape and dtype, C-contiguous, and all but the gradient writable."""
    if device == "cuda":
        from ..cuda import exchange

        group = tuple(map(exchange.as_device, group))
        if any(a.shape != group[0].shape or a.dtype != group[0].dtype for a in group):
            raise InvalidArgument(f"{name} needs arrays of one shape and dtype; got {_kinds(group)}")
        return group
    shape, dtype, gradient = group[0].shape, group[0].dtype, group[-1]
    for a in group:  # many times in each step: a generator would take longer than its tests
        flags = a.flags
        if a.shape != shape or a.dtype != dtype or not flags.c_contiguous:
            raise InvalidArgument(f"{name} needs C-contiguous arrays of one shape and dtype; got {_kinds(group)}")
        if a is not gradient and not flags.writeable:
            raise InvalidArgument(f"{name} changes its arrays in place but one of them is read-only; pass a copy of it")
    return group


def _kinds(group: tuple[Any, ...]) -> str:
    return ", ".join(f"{tuple(a.shape)} {a.dtype}" for a in group)
