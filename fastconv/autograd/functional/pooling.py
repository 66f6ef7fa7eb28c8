"""Pools: by window, adaptive and global, and the gradients of those that are linear."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from ...ops import elementwise
from ...spec import parse_layout
from ..operation import Primitive
from ..tape import ANSWERS, is_recording
from ..tensor import Tensor
from ._defined import Pair, defined, of_ranks
from ._tiles import tiles_of


def _max_pool(name: str, rank: int) -> Pair:
    def forward(x: Any, *, size: Any, layout: str | None = None, device: str | None = None, **window: Any) -> Any:
        return _maxima(getattr(ops, name), x, size, {"layout": layout, "device": device}, window)

    def vjp(dy: Any, needs: Any, indices: Any, shape: tuple[int, ...], at: dict[str, Any]) -> tuple[Any, ...]:
        return (getattr(ops, f"max_pool{rank}d_grad")(dy, indices, shape, **at),)

    return forward, vjp


def _relu_max_pool(rank: int) -> Pair:
    def forward(
        x: Any, bias: Any = None, *, size: Any, layout: str | None = None, device: str | None = None, **window: Any
    ) -> Any:
        pool, at = getattr(ops, f"max_pool{rank}d"), {"layout": layout, "device": device}
        tiles = None
        if is_recording() and rank == 2 and device is None and parse_layout(layout, rank):
            tiles = tiles_of(x, {"size": size, **window})
        if tiles is not None:
            y = elementwise.relu_max_pool(x, tiles)
            return y, (x, tiles, at, y)
        maxima, kept = _maxima(pool, x, size, at, window)
        y = elementwise.relu(maxima)
        return y, (*kept, y) if kept else ()

    def vjp(dy: Any, needs: Any, indices: Any, shape: tuple[int, ...], at: dict[str, Any], y: Any) -> tuple[Any, ...]:
        """What went to a maximum below 0 is cut off while it is little: all elements of a window share it.

        Of windows that lie side by side x itself was kept, and their size, in place of indices and x's shape.
        """
        axis = (rank + 1 if parse_layout(at["layout"], rank) else 1) if len(needs) > 1 and needs[1] else None
        if len(shape) == 2:
            return elementwise.activation_grad(dy, y, "relu", axis, pooled=(indices, shape))[: len(needs)]
        dz, db = elementwise.activation_grad(dy, y, "relu", axis)
        return (getattr(ops, f"max_pool{rank}d_grad")(dz, indices, shape, **at), db)[: len(needs)]

    return forward, vjp


def _maxima(pool: Any, x: Any, size: Any, at: dict[str, Any], window: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    """The maxima of windows, and what their gradient needs, if there is to be one."""
    if not is_recording():
        return pool(x, size, **at, **window), ()
    y, indices = pool(x, size, return_indices=True, **at, **window)
    return y, (indices, x.shape, at)


def _avg_pool(name: str, rank: int) -> Pair:
    def forward(x: Any, *, size: Any, **window: Any) -> Any:
        return getattr(ops, name)(x, size, **window), (x.shape, size, window)

    def vjp(dy: Any, needs: Any, shape: tuple[int, ...], size: Any, window: dict[str, Any]) -> tuple[Any, ...]:
        return (getattr(ops, f"{name}_grad")(dy, shape, size, **window),)

    return forward, vjp


def _lp_pool(name: str, rank: int) -> Pair:
    def forward(x: Any, *, size: Any, **window: Any) -> Any:
        y = getattr(ops, name)(x, size, **window)
        return y, (x, y, size, window)

    def vjp(dy: Any, needs: Any, x: Any, y: Any, size: Any, window: dict[str, Any]) -> tuple[Any, ...]:
        return (getattr(ops, f"{name}_grad")(dy, x, y, size, **window),)

    return forward, vjp


def _adaptive_avg_pool(name: str, rank: int) -> Pair:
    def forward(x: Any, *, size: Any, **at: Any) -> Any:
        return getattr(ops, name)(x, size, **at), (x.shape, at)

    def vjp(dy: Any, needs: Any, shape: tuple[int, ...], at: dict[str, Any]) -> tuple[Any, ...]:
        return (getattr(ops, f"{name}_grad")(dy, shape, **at),)

    return forward, vjp


def _max_pool_grad(name: str, rank: int) -> Pair:
    def forward(dy: Any, *, indices: Any, x_shape: Any, layout: str | None = None, device: str | None = None) -> Any:
        dx = getattr(ops, name)(dy, indices, x_shape, layout=layout, device=device)
        return dx, (indices, parse_layout(layout, rank))

    def vjp(g: Any, needs: Any, indices: Any, channels_last: bool) -> tuple[Any, ...]:
        """Each element of dy went to one place, or to none."""
        indices = np.moveaxis(np.asarray(indices), -1, 1) if channels_last else np.asarray(indices)
        planes = np.moveaxis(g, -1, 1) if channels_last else g
        planes = planes.reshape(*planes.shape[:2], math.prod(planes.shape[2:]))
        at = indices.reshape(*planes.shape[:2], math.prod(indices.shape[2:]))
        taken = np.where(at < 0, planes.dtype.type(0), np.take_along_axis(planes, np.maximum(at, 0), axis=2))
        taken = taken.reshape(indices.shape)
        return (np.ascontiguousarray(np.moveaxis(taken, 1, -1)) if channels_last else taken,)

    return forward, vjp


def _avg_pool_grad(name: str, rank: int) -> Pair:
    def forward(dy: Any, *, x_shape: Any, size: Any, **window: Any) -> Any:
        return getattr(ops, name)(dy, x_shape, size, **window), (size, window)

    def vjp(g: Any, needs: Any, size: Any, window: dict[str, Any]) -> tuple[Any, ...]:
        return (getattr(ops, name.removesuffix("_grad"))(g, size, **window),)

    return forward, vjp


def _adaptive_avg_pool_grad(name: str, rank: int) -> Pair:
    def forward(dy: Any, *, x_shape: Any, layout: str | None = None, device: str | None = None) -> Any:
        dx = getattr(ops, name)(dy, x_shape, layout=layout, device=device)
        return dx, (
            dy.shape[1:-1] if parse_layout(layout, rank) else dy.shape[2:],
            {"layout": layout, "device": device},
        )

    def vjp(g: Any, needs: Any, size: tuple[int, ...], at: dict[str, Any]) -> tuple[Any, ...]:
        return (getattr(ops, name.removesuffix("_grad"))(g, size, **at),)

    return forward, vjp


def _global(adaptive: Primitive) -> Any:
    def pool(x: Any, *, layout: str | None = None, device: str | None = None) -> Any:
        return adaptive(x, size=1, layout=layout, device=device)

    pool.__name__ = pool.__qualname__ = adaptive.name.replace("adaptive", "global")
    pool.__doc__ = f"""``fastconv.{pool.__name__}``: one number per image and channel; the axes stay, with size 1."""
    ANSWERS[pool.__name__] = pool
    return pool


def _with_indices(maxima: Primitive) -> None:
    """What ``fastconv``'s function answers to a tensor, which may be asked where the maxima are."""

    def pool(x: Any, size: Any, *, return_indices: bool = False, **options: Any) -> Any:
        y = maxima(x, size=size, **options)
        if not return_indices:
            return y
        array = x.values if isinstance(x, Tensor) else x
        return y, getattr(ops, maxima.name)(array, size, return_indices=return_indices, **options)[1]

    ANSWERS[maxima.name] = pool


_FIRST = "; the gradient goes to each window's first maximum"
_OF_RELU = (
    " of relu(x), in which relu, its gradient and the bias's see the maxima alone. `bias` is a number per channel that "
    "x holds already: nothing is added, but its gradient, the sums of x's, comes out of the same pass"
)

max_pool1d, max_pool2d, max_pool3d = of_ranks("max_pool{}d", _FIRST, _max_pool)
relu_max_pool1d, relu_max_pool2d, relu_max_pool3d = (
    defined(f"relu_max_pool{rank}d", f"``fastconv.max_pool{rank}d``{_OF_RELU}.", *_relu_max_pool(rank))
    for rank in (1, 2, 3)
)
avg_pool1d, avg_pool2d, avg_pool3d = of_ranks("avg_pool{}d", "", _avg_pool)
lp_pool1d, lp_pool2d, lp_pool3d = of_ranks("lp_pool{}d", "; the gradient of a window of zeros is 0", _lp_pool)
_ADAPTIVE_MAX = list(of_ranks("adaptive_max_pool{}d", _FIRST, _max_pool))
_ADAPTIVE_AVG = list(of_ranks("adaptive_avg_pool{}d", "", _adaptive_avg_pool))
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = _ADAPTIVE_MAX
adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = _ADAPTIVE_AVG
global_max_pool1d, global_max_pool2d, global_max_pool3d = map(_global, _ADAPTIVE_MAX)
global_avg_pool1d, global_avg_pool2d, global_avg_pool3d = map(_global, _ADAPTIVE_AVG)
for _pool in (max_pool1d, max_pool2d, max_pool3d, *_ADAPTIVE_MAX):
    _with_indices(_pool)

max_pool1d_grad, max_pool2d_grad, max_pool3d_grad = of_ranks("max_pool{}d_grad", "", _max_pool_grad)
avg_pool1d_grad, avg_pool2d_grad, avg_pool3d_grad = of_ranks("avg_pool{}d_grad", "", _avg_pool_grad)
adaptive_avg_pool1d_grad, adaptive_avg_pool2d_grad, adaptive_avg_pool3d_grad = of_ranks(
    "adaptive_avg_pool{}d_grad", "", _adaptive_avg_pool_grad
)
