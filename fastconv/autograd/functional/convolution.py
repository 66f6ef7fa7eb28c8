"""Convolutions and transposed convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import ops
from ...ops import elementwise
from ...spec import LAYOUTS, conv_problem, parse_layout, transposed_problem
from ..operation import Primitive
from ._checked import checked


def _operation(name: str, rank: int, gradients: Callable[..., tuple[Any, Any]]) -> Primitive:
    """``fastconv.<name>``, with ``gradients(rank, dz, needs, x, w, **options)`` to its input and its weights."""

    def forward(
        x: Any, w: Any, b: Any = None, *, activation: str | None = None, method: str = "auto", **geometry: Any
    ) -> Any:
        y = getattr(ops, name)(x, w, b, activation=activation, method=method, **geometry)
        return y, (x, w, y if activation else None, activation, {**geometry, "method": method})

    forward.__doc__ = f"""``fastconv.{name}``; an `activation` given by name is fused."""
    operation = Primitive(checked(forward), name)

    @operation.vjp
    def vjp(dy: Any, needs: Any, x: Any, w: Any, y: Any, activation: Any, options: dict[str, Any]) -> tuple[Any, ...]:
        axis = None
        if len(needs) > 2 and needs[2]:
            axis = rank + 1 if parse_layout(options.get("layout"), rank) else 1
        dz, db = elementwise.activation_grad(dy, y, activation, axis)
        return (*gradients(rank, dz, needs, x, w, **options), db)[: len(needs)]

    return operation


def _gradients(rank: int, dz: Any, needs: Any, x: Any, w: Any, **options: Any) -> tuple[Any, Any]:
    dx = getattr(ops, f"conv{rank}d_input_grad")(dz, w, x.shape, **options) if needs[0] else None
    dw = getattr(ops, f"conv{rank}d_weight_grad")(x, dz, w.shape, **options) if needs[1] else None
    return dx, dw


def _transposed_gradients(
    rank: int, dz: Any, needs: Any, x: Any, w: Any, *, method: str, **geometry: Any
) -> tuple[Any, Any]:
    """The operation is the input gradient of a convolution: its own gradients are that convolution's other two."""
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
    return dx, dw


conv1d, conv2d, conv3d = (_operation(f"conv{rank}d", rank, _gradients) for rank in (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = (
    _operation(f"conv_transpose{rank}d", rank, _transposed_gradients) for rank in (1, 2, 3)
)
