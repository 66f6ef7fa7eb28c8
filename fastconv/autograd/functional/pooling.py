"""Pools: by window, adaptive and global."""

from __future__ import annotations

from typing import Any

from ... import ops
from ..operation import Primitive
from ..tape import is_recording
from ._checked import checked


def _max_pool(rank: int, adaptive: bool) -> Primitive:
    name = f"{'adaptive_' if adaptive else ''}max_pool{rank}d"

    def forward(x: Any, *, size: Any, layout: str | None = None, **window: Any) -> Any:
        pool = getattr(ops, name)
        if not is_recording():
            return pool(x, size, layout=layout, **window), ()
        y, indices = pool(x, size, layout=layout, return_indices=True, **window)
        return y, (indices, x.shape, layout)

    forward.__doc__ = f"""``fastconv.{name}``; the gradient goes to each window's first maximum."""
    operation = Primitive(checked(forward), name)

    @operation.vjp
    def vjp(dy: Any, needs: Any, indices: Any, shape: tuple[int, ...], layout: str | None) -> tuple[Any, ...]:
        return (getattr(ops, f"max_pool{rank}d_grad")(dy, indices, shape, layout=layout),)

    return operation


def _avg_pool(rank: int) -> Primitive:
    name = f"avg_pool{rank}d"

    def forward(x: Any, *, size: Any, **window: Any) -> Any:
        return getattr(ops, name)(x, size, **window), (x.shape, size, window)

    forward.__doc__ = f"""``fastconv.{name}``."""
    operation = Primitive(checked(forward), name)

    @operation.vjp
    def vjp(dy: Any, needs: Any, shape: tuple[int, ...], size: Any, window: dict[str, Any]) -> tuple[Any, ...]:
        return (getattr(ops, f"{name}_grad")(dy, shape, size, **window),)

    return operation


def _lp_pool(rank: int) -> Primitive:
    name = f"lp_pool{rank}d"

    def forward(x: Any, *, size: Any, **window: Any) -> Any:
        y = getattr(ops, name)(x, size, **window)
        return y, (x, y, size, window)

    forward.__doc__ = f"""``fastconv.{name}``; the gradient of a window of zeros is 0."""
    operation = Primitive(checked(forward), name)

    @operation.vjp
    def vjp(dy: Any, needs: Any, x: Any, y: Any, size: Any, window: dict[str, Any]) -> tuple[Any, ...]:
        return (getattr(ops, f"{name}_grad")(dy, x, y, size, **window),)

    return operation


def _adaptive_avg_pool(rank: int) -> Primitive:
    name = f"adaptive_avg_pool{rank}d"

    def forward(x: Any, *, size: Any, layout: str | None = None) -> Any:
        return getattr(ops, name)(x, size, layout=layout), (x.shape, layout)

    forward.__doc__ = f"""``fastconv.{name}``."""
    operation = Primitive(checked(forward), name)

    @operation.vjp
    def vjp(dy: Any, needs: Any, shape: tuple[int, ...], layout: str | None) -> tuple[Any, ...]:
        return (getattr(ops, f"{name}_grad")(dy, shape, layout=layout),)

    return operation


def _global(pools: dict[int, Primitive], rank: int, word: str) -> Any:
    def pool(x: Any, *, layout: str | None = None) -> Any:
        return pools[rank](x, size=1, layout=layout)

    pool.__name__ = pool.__qualname__ = f"global_{word}_pool{rank}d"
    pool.__doc__ = f"""``fastconv.{pool.__name__}``: one number per image and channel; the axes stay, with size 1."""
    return pool


_MAX, _ADAPTIVE_MAX = ({rank: _max_pool(rank, adaptive) for rank in (1, 2, 3)} for adaptive in (False, True))
_AVG, _LP, _ADAPTIVE_AVG = (
    {rank: make(rank) for rank in (1, 2, 3)} for make in (_avg_pool, _lp_pool, _adaptive_avg_pool)
)

max_pool1d, max_pool2d, max_pool3d = _MAX.values()
avg_pool1d, avg_pool2d, avg_pool3d = _AVG.values()
lp_pool1d, lp_pool2d, lp_pool3d = _LP.values()
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = _ADAPTIVE_MAX.values()
adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = _ADAPTIVE_AVG.values()
global_avg_pool1d, global_avg_pool2d, global_avg_pool3d = (_global(_ADAPTIVE_AVG, rank, "avg") for rank in (1, 2, 3))
global_max_pool1d, global_max_pool2d, global_max_pool3d = (_global(_ADAPTIVE_MAX, rank, "max") for rank in (1, 2, 3))
