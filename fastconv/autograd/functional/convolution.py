"""Convolutions, transposed convolutions, and the gradients of convolutions, which have gradients themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import ops
from ...ops import elementwise
from ...ops._exactness import Judgements, remembering
from ...spec import LAYOUTS, conv_problem, parse_layout, transposed_problem
from ._defined import Pair, of_ranks


def _through_activation(
    dy: Any, y: Any, activation: str | None, layout: str | None, rank: int, needs: Any
) -> tuple[Any, Any]:
    """The gradients to the result before its activation, and to the bias where one is wanted."""
    axis = rank + 1 if parse_layout(layout, rank) else 1
    return elementwise.activation_grad(dy, y, activation, axis if len(needs) > 2 and needs[2] else None)


def _forward(name: str) -> Callable[..., Any]:
    def forward(
        x: Any, w: Any, b: Any = None, *, activation: str | None = None, method: str = "auto", **geometry: Any
    ) -> Any:
        judgements = Judgements()
        with remembering(judgements):
            y = getattr(ops, name)(x, w, b, activation=activation, method=method, **geometry)
        return y, (x, w, y if activation else None, activation, geometry, method, judgements)

    return forward


def _convolution(name: str, rank: int) -> Pair:
    def vjp(
        dy: Any, needs: Any, x: Any, w: Any, y: Any, activation: Any, geometry: dict[str, Any], method: str,
        judgements: Judgements,
    ) -> tuple[Any, ...]:  # fmt: skip
        dz, db = _through_activation(dy, y, activation, geometry.get("layout"), rank, needs)
        geometry = {**geometry, "method": method}
        with remembering(judgements):
            dx = getattr(ops, f"{name}_input_grad")(dz, w, x.shape, **geometry) if needs[0] else None
            dw = getattr(ops, f"{name}_weight_grad")(x, dz, w.shape, **geometry) if needs[1] else None
        return (dx, dw, db)[: len(needs)]

    return _forward(name), vjp


def _transposed(name: str, rank: int) -> Pair:
    def vjp(
        dy: Any, needs: Any, x: Any, w: Any, y: Any, activation: Any, geometry: dict[str, Any], method: str,
        judgements: Judgements,
    ) -> tuple[Any, ...]:  # fmt: skip
        """The operation is the input gradient of a convolution: its own gradients are that convolution's other two."""
        dz, db = _through_activation(dy, y, activation, geometry.get("layout"), rank, needs)
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

    return _forward(name), vjp


def _input_grad(name: str, rank: int) -> Pair:
    def forward(dy: Any, w: Any, *, x_shape: Any, **geometry: Any) -> Any:
        return getattr(ops, name)(dy, w, x_shape, **geometry), (dy, w, geometry)

    def vjp(g: Any, needs: Any, dy: Any, w: Any, geometry: dict[str, Any]) -> tuple[Any, ...]:
        """It is linear in either operand, so its gradients are the convolution and the other gradient."""
        ddy = getattr(ops, f"conv{rank}d")(g, w, **geometry) if needs[0] else None
        return ddy, getattr(ops, f"conv{rank}d_weight_grad")(g, dy, w.shape, **geometry) if needs[1] else None

    return forward, vjp


def _weight_grad(name: str, rank: int) -> Pair:
    def forward(x: Any, dy: Any, *, w_shape: Any, **geometry: Any) -> Any:
        return getattr(ops, name)(x, dy, w_shape, **geometry), (x, dy, geometry)

    def vjp(g: Any, needs: Any, x: Any, dy: Any, geometry: dict[str, Any]) -> tuple[Any, ...]:
        dx = getattr(ops, f"conv{rank}d_input_grad")(dy, g, x.shape, **geometry) if needs[0] else None
        return dx, getattr(ops, f"conv{rank}d")(x, g, **geometry) if needs[1] else None

    return forward, vjp


_FUSED = "; an `activation` given by name is fused"

conv1d, conv2d, conv3d = of_ranks("conv{}d", _FUSED, _convolution)
conv_transpose1d, conv_transpose2d, conv_transpose3d = of_ranks("conv_transpose{}d", _FUSED, _transposed)
conv1d_input_grad, conv2d_input_grad, conv3d_input_grad = of_ranks("conv{}d_input_grad", "", _input_grad)
conv1d_weight_grad, conv2d_weight_grad, conv3d_weight_grad = of_ranks("conv{}d_weight_grad", "", _weight_grad)
