"""Pools: by window, adaptive and global."""

from __future__ import annotations

from typing import Any

from ... import ops
from ..operation import Primitive
from ..tape import is_recording
from ._defined import Pair, of_ranks


def _max_pool(name: str, rank: int) -> Pair:
    def forward(x: Any, *, size: Any, layout: str | None = None, **window: Any) -> Any:
        pool = getattr(ops, name)
        if not is_recording():
            return pool(x, size, layout=layout, **window), ()
        y, indices = pool(x, size, layout=layout, return_indices=True, **window)
        return y, (indices, x.shape, layout)

    def vjp(dy: Any, needs: Any, indices: Any, shape: tuple[int, ...], layout: str | None) -> tuple[Any, ...]:
        return (getattr(ops, f"max_pool{rank}d_grad")(dy, indices, shape, layout=layout),)

    return forward, vjp


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
    def forward(x: Any, *, size: Any, layout: str | None = None) -> Any:
        return getattr(ops, name)(x, size, layout=layout), (x.shape, layout)

    def vjp(dy: Any, needs: Any, shape: tuple[int, ...], layout: str | None) -> tuple[Any, ...]:
        return (getattr(ops, f"{name}_grad")(dy, shape, layout=layout),)

    return forward, vjp


def _global(adaptive: Primitive) -> Any:
    def pool(x: Any, *, layout: str | None = None) -> Any:
        return adaptive(x, size=1, layout=layout)

    pool.__name__ = pool.__qualname__ = adaptive.name.replace("adaptive", "global")
    pool.__doc__ = f"""``fastconv.{pool.__name__}``: one number per image and channel; the axes stay, with size 1."""
    return pool


_FIRST = "; the gradient goes to each window's first maximum"

max_pool1d, max_pool2d, max_pool3d = of_ranks("max_pool", _FIRST, _max_pool)
avg_pool1d, avg_pool2d, avg_pool3d = of_ranks("avg_pool", "", _avg_pool)
lp_pool1d, lp_pool2d, lp_pool3d = of_ranks("lp_pool", "; the gradient of a window of zeros is 0", _lp_pool)
_ADAPTIVE_MAX = list(of_ranks("adaptive_max_pool", _FIRST, _max_pool))
_ADAPTIVE_AVG = list(of_ranks("adaptive_avg_pool", "", _adaptive_avg_pool))
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = _ADAPTIVE_MAX
adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = _ADAPTIVE_AVG
global_max_pool1d, global_max_pool2d, global_max_pool3d = map(_global, _ADAPTIVE_MAX)
global_avg_pool1d, global_avg_pool2d, global_avg_pool3d = map(_global, _ADAPTIVE_AVG)
