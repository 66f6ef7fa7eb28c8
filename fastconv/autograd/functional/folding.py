"""Windows as columns and back: each is the other's gradient."""

from __future__ import annotations

from typing import Any

from ... import ops
from ._defined import Pair, of_ranks


def _unfold(name: str, rank: int) -> Pair:
    def forward(x: Any, *, size: Any, **window: Any) -> Any:
        return getattr(ops, name)(x, size, **window), (x.shape, size, window)

    def vjp(dy: Any, needs: Any, shape: tuple[int, ...], size: Any, window: dict[str, Any]) -> tuple[Any, ...]:
        return (getattr(ops, f"fold{rank}d")(dy, shape, size, **window),)

    return forward, vjp


def _fold(name: str, rank: int) -> Pair:
    def forward(cols: Any, *, x_shape: Any, size: Any, **window: Any) -> Any:
        return getattr(ops, name)(cols, x_shape, size, **window), (size, window)

    def vjp(dy: Any, needs: Any, size: Any, window: dict[str, Any]) -> tuple[Any, ...]:
        return (getattr(ops, f"unfold{rank}d")(dy, size, **window),)

    return forward, vjp


unfold1d, unfold2d, unfold3d = of_ranks("unfold{}d", "", _unfold)
fold1d, fold2d, fold3d = of_ranks("fold{}d", "", _fold)
