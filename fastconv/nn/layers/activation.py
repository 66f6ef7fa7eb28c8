"""Activations as layers."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...autograd import Tensor
from ...autograd import functional as F
from .. import activations, arguments
from .base import Elementwise, Shape, weight_options
from .sizes import known_axis


class Activation(Elementwise):
    """An activation by name ("relu", "softmax", ...) or as a function of a tensor."""

    def __init__(self, activation: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.activation = activations.get(activation)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return activations.apply(self.activation, x)


class ReLU(Activation):
    """x from `threshold` up, at most `max_value`; below it ``negative_slope*(x - threshold)``: by default max(x, 0).

    Parameters
    ----------
    max_value : float, optional
    negative_slope, threshold : float
        At least 0.

    Examples
    --------
    >>> ReLU(max_value=6.0, negative_slope=0.5)([[-2.0, 3.0, 9.0]]).numpy()
    array([[-1.,  3.,  6.]], dtype=float32)
    """

    aliases = ("activation",)

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **keywords: Any
    ) -> None:
        self.max_value = None if max_value is None else arguments.real(self, "max_value", max_value, 0)
        self.negative_slope = arguments.real(self, "negative_slope", negative_slope, 0)
        self.threshold = arguments.real(self, "threshold", threshold, 0)
        options: dict[str, Any] = {
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }
        if not any(options.values()) and max_value is None:
            super().__init__("relu", **keywords)
        elif self.max_value is None and not self.threshold:
            super().__init__(partial(activations.leaky_relu, negative_slope=self.negative_slope), **keywords)
        else:
            super().__init__(partial(activations.relu, **options), **keywords)


class LeakyReLU(Activation):
    """x where x > 0, else ``negative_slope*x``; `alpha` is its old name."""

    aliases = ("activation", "alpha")

    def __init__(self, negative_slope: float = 0.3, *, alpha: float | None = None, **keywords: Any) -> None:
        slope = arguments.real(self, "negative_slope", negative_slope)
        self.negative_slope = slope if alpha is None else arguments.real(self, "alpha", alpha)
        super().__init__(partial(activations.leaky_relu, negative_slope=self.negative_slope), **keywords)


class ELU(Activation):
    """x where x > 0, else ``alpha*(exp(x) - 1)``."""

    aliases = ("activation",)

    def __init__(self, alpha: float = 1.0, **keywords: Any) -> None:
        self.alpha = arguments.real(self, "alpha", alpha)
        super().__init__("elu" if self.alpha == 1 else partial(activations.elu, alpha=self.alpha), **keywords)


class Softmax(Activation):
    """exp(x) over its sum along `axis`."""

    aliases = ("activation",)

    def __init__(self, axis: int = -1, **keywords: Any) -> None:
        self.axis = arguments.axis(self, "axis", axis)
        super().__init__("softmax" if self.axis == -1 else partial(activations.softmax, axis=self.axis), **keywords)

    def build(self, input_shape: Shape) -> None:
        arguments.check_axes(self, "axis", self.axis, input_shape)


class PReLU(Elementwise):
    """x where x > 0, else alpha*x for an alpha that is learnt (He et al. 2015, arXiv:1502.01852).

    Parameters
    ----------
    alpha_initializer, alpha_regularizer, alpha_constraint
        Names or objects of the modules of these names.
    shared_axes : int or list of int, optional
        Axes, counted from 1, along which alpha is one number: [1, 2] for one per channel of images.
    **keywords
        `name`, `input_shape`, `trainable` of every layer.
    """

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.alpha_options = weight_options(alpha_initializer, alpha_regularizer, alpha_constraint)
        expected = "numbers of axes, counted from 1"
        self.shared_axes = () if shared_axes is None else arguments.shape(self, "shared_axes", shared_axes, expected)

    def build(self, input_shape: Shape) -> None:
        arguments.check_axes(self, "shared_axes", self.shared_axes, input_shape)
        axes = range(1, len(input_shape))
        shape = tuple(1 if a in self.shared_axes else known_axis(self, input_shape, a) for a in axes)
        self.alpha = self.add_weight("alpha", shape, **self.alpha_options)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return F.relu(x) - self.live(self.alpha) * F.relu(-x)
