"""Convolutions and transposed convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...ops import elementwise
from ...spec import LAYOUTS, conv_problem, parse_layout, transposed_problem
from ..operation import Primitive
from ._checked import checked


def _channel_axis(layout: str | None, rank: int) -> int:
    return rank + 1 if parse_layout(layout, rank) else 1


def _convolution(rank: int) -> Primitive:
    name = f"conv{rank}d"

    def forward(
        x: Any, w: Any, b: Any = None, *, activation: str | None = None, method: str = "auto", **geometry: Any
    ) -> Any:
        y = getattr(ops, name)(x, w, b, activation=activation, method=method, **geometry)
        return y, (x, w, y if activation else None, activation, {**geometry, "method": method})

    forward.__doc__ = f"""``fastconv.{name}``; an `activation` given by name is fused."""
    operation = Primitive(checked(forward), name)

    @operation.vjp
    def vjp(dy: Any, needs: Any, x: Any, w: Any, y: Any, activation: Any, geometry: dict[str, Any]) -> tuple[Any, ...]:
        axis = _channel_axis(geometry.get("layout"), rank)
        bias = len(needs) > 2 and needs[2]
        dz, db = elementwise.activation_grad(dy, y, activation, axis if bias else None)
        dx = getattr(ops, f"{name}_input_grad")(dz, w, x.shape, **geometry) if needs[0] else None
        dw = getattr(ops, f"{name}_weight_grad")(x, dz, w.shape, **geometry) if needs[1] else None
        return (dx, dw, db)[: len(needs)]

    return operation


def _transposed(rank: int) -> Primitive:
    name = f"conv_transpose{rank}d"

    def forward(
        x: Any, w: Any, b: Any = None, *, activation: str | None = None, method: str = "auto", **geometry: Any
    ) -> Any:
        y = getattr(ops, name)(x, w, b, activation=activation, method=method, **geometry)
        return y, (x, w, y if activation else None, activation, geometry, method)

    forward.__doc__ = f"""``fastconv.{name}``; an `activation` given by name is fused."""
    operation = Primitive(checked(forward), name)

    @operation.vjp
    def vjp(
        dy: Any, needs: Any, x: Any, w: Any, y: Any, activation: Any, geometry: dict[str, Any], method: str
    ) -> tuple[Any, ...]:
        """The operation is the input gradient of a convolution: its own gradients are that convolution's other two."""
        axis = _channel_axis(geometry.get("layout"), rank)
        bias = len(needs) > 2 and needs[2]
        dz, db = elementwise.activation_grad(dy, y, activation, axis if bias else None)
        problem = transposed_problem(x.shape, w.shape, rank=rank, **geometry)
        plain: dict[str, Any] = {
            "stride": problem.stride[-rank:],
            "padding": problem.padding[-rank:],
            "dilation": problem.dilation[-rank:],
            "groups": problem.groups,
            "layout": LAYOUTS[rank][problem.channels_last],
        }
        dx = dw = None
        if needs[0]:
            dx = getattr(ops, f"conv{rank}d")(dz, w, method=method, **plain)[tuple(map(slice, x.shape))]
        if needs[1]:
            whole = conv_problem(problem.x_shape, w.shape, rank=rank, **plain).y_shape
            missing = [(0, n - m) for n, m in zip(whole, x.shape, strict=True)]
            padded = np.pad(x, missing) if any(after for _, after in missing) else x
            dw = getattr(ops, f"conv{rank}d_weight_grad")(dz, padded, w.shape, method=method, **plain)
        return (dx, dw, db)[: len(needs)]

    return operation


conv1d, conv2d, conv3d = (_convolution(rank) for rank in (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = (_transposed(rank) for rank in (1, 2, 3))
