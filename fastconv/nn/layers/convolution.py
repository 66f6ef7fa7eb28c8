"""Convolution layers. Kernels are kept in Keras's order, (KERNEL, in, out), whatever the data format."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from ...autograd import Tensor
from ...autograd import functional as F
from ...dispatch import METHODS
from ...errors import InvalidArgument, shown
from ...ops import ConvPlan
from ...problem import ConvProblem
from ...spec import conv_problem
from .. import activations, arguments
from ..modelling.inference import is_inference, plan_for
from .base import Shape, weight_options
from .spatial import Spatial, parse_border


class Conv(Spatial):
    """What convolution layers of any rank share."""

    extensions = ("method",)
    fixed = {"lora_rank": None, "lora_alpha": None}
    paddings: tuple[str, ...] = ("valid", "same")

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        method: str = "auto",
        **keywords: Any,
    ) -> None:
        super().__init__(data_format, **keywords)
        self.filters = arguments.size(self, "filters", filters)
        self.kernel_size = arguments.per_axis(self, "kernel_size", kernel_size, self.rank)
        self.strides = arguments.per_axis(self, "strides", strides, self.rank)
        self.dilation_rate = arguments.per_axis(self, "dilation_rate", dilation_rate, self.rank)
        self.padding = parse_border(self, padding, self.paddings)
        self.groups = arguments.size(self, "groups", groups)
        self.activation = activations.get(activation)
        self.use_bias = arguments.flag(self, "use_bias", use_bias)
        self.kernel_options = weight_options(kernel_initializer, kernel_regularizer, kernel_constraint)
        self.bias_options = weight_options(bias_initializer, bias_regularizer, bias_constraint)
        self.method = arguments.choice(self, "method", method, METHODS)

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of the convolution function."""
        return {
            "stride": self.strides,
            "padding": self._border(),
            "dilation": self.dilation_rate,
            "groups": self.groups,
            "layout": self.layout,
        }

    def kernel_shape(self, channels: int) -> tuple[int, ...]:
        """Shape of the kernel, in Keras's order."""
        if channels % self.groups or self.filters % self.groups:
            raise InvalidArgument(
                f"layer {shown(self.name)} has groups={self.groups}, which must divide its {channels} input channels "
                f"and {self.filters} filters"
            )
        return (*self.kernel_size, channels // self.groups, self.filters)

    def build(self, input_shape: Shape) -> None:
        kernel_shape = self.kernel_shape(self._channels(input_shape))
        taps = math.prod(self.kernel_size)
        fans = (float(taps * kernel_shape[-2]), float(taps * kernel_shape[-1]))
        self.compute_output_shape(input_shape)
        self.kernel = self.add_weight("kernel", kernel_shape, fans=fans, **self.kernel_options)
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.bias_size(kernel_shape),), **self.bias_options)

    def _takes(self) -> str:
        axes = ("depth", "height", "width")[3 - self.rank :]
        axes = (*axes, "channels") if self.channels_last else ("channels", *axes)
        return f"images ({', '.join(('batch', *axes))})"

    def bias_size(self, kernel_shape: tuple[int, ...]) -> int:
        """Number of output channels."""
        return kernel_shape[-1]

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return activations.apply(self.activation, self.linear(x))

    def linear(self, x: Tensor, activation: str | None = None, bias_grad: bool = True) -> Tensor:
        """The layer without its own activation, or with one that the kernel applies; its bias may be a constant."""
        used = self.weights_are_used_as() or self.kernel.dtype
        if isinstance(x.values, np.ndarray) and x.dtype == used:  # plans are the CPU's, and of one dtype
            plan = self._plan(x.shape, activation)
            if plan is not None:
                return Tensor(plan(x.values))
        return self._apply(getattr(F, f"conv{self.rank}d"), x, activation, bias_grad)

    def _plan(self, x_shape: tuple[int, ...], activation: str | None) -> ConvPlan | None:
        if not is_inference():
            return None
        w, b, options = self._weights().values, next((b.values for b in self.biases()), None), self.options

        def make() -> ConvPlan:
            plan = getattr(ops, f"plan_conv{self.rank}d")
            return plan(w, x_shape, b, activation=activation, method=self.method, **options)

        return plan_for((self, x_shape, activation, self.method, *options.values()), make, w, b)

    def _apply(self, operation: Any, x: Tensor, activation: str | None, bias_grad: bool) -> Tensor:
        biases = self.biases(bias_grad)
        return operation(x, self._weights(), *biases, activation=activation, method=self.method, **self.options)

    def _weights(self) -> Tensor:
        """The kernel in the order of the layer's data format."""
        return self._kernel() if self.channels_last else self.kernel_first()

    def kernel_first(self) -> Tensor:
        """The kernel channels-first: (KERNEL, in, out) -> (out, in, KERNEL)."""
        return F.transpose(self._kernel(), axes=(self.rank + 1, self.rank, *range(self.rank)))

    def _kernel(self) -> Tensor:
        return self.live(self.kernel)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (None, *self.problem(input_shape).y_shape[1:])

    def problem(self, input_shape: Shape) -> ConvProblem:
        """What is computed for one image of a batch of this shape."""
        w_shape = self._in_layout(self.kernel_shape(self._channels(input_shape)))
        return conv_problem((1, *self._image(input_shape)), w_shape, rank=self.rank, **self.options)

    def _in_layout(self, w_shape: tuple[int, ...]) -> tuple[int, ...]:
        return w_shape if self.channels_last else (w_shape[-1], w_shape[-2], *w_shape[:-2])

    def _border(self) -> Any:
        if self.padding == "causal":
            return ((self.dilation_rate[0] * (self.kernel_size[0] - 1), 0),)
        return self.padding


class Conv1D(Conv, rank=1, paddings=("valid", "same", "causal")):
    """Convolution of signals (N, W, C); `padding` may also be "causal"."""


class Conv2D(Conv, rank=2):
    """Convolution of images.

    Parameters
    ----------
    filters : int
        Output channels.
    kernel_size, strides, dilation_rate : int or (int, int)
        Rows first.
    padding : {"valid", "same"}
    data_format : {None, "channels_last", "channels_first"}
        None means channels-last, (N, H, W, C).
    groups : int
        Blocks of channels that do not see each other.
    activation : str or callable, optional
        See `fastconv.nn.activations`.
    use_bias : bool
    kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint
        Names or objects of the modules of these names.
    method : {"auto", "direct", "im2col", "winograd", "fft"}
        How the convolution is computed.
    **keywords
        `name`, `input_shape`, `trainable` of every layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn as keras
    >>> layer = keras.layers.Conv2D(32, (3, 3), padding="same", activation="relu")
    >>> layer(np.zeros((1, 28, 28, 1))).shape
    (1, 28, 28, 32)
    >>> [w.shape for w in layer.get_weights()]
    [(3, 3, 1, 32), (32,)]
    """


class Conv3D(Conv, rank=3):
    """Convolution of volumes (N, D, H, W, C); arguments as for `Conv2D`, with three entries per axis."""
