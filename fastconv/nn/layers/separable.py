"""Convolutions of each channel by itself, alone or followed by one across channels."""

from __future__ import annotations

from typing import Any

from ...autograd import Tensor
from ...autograd import functional as F
from ...problem import ConvProblem
from ...spec import conv_problem
from .. import arguments
from ..configs import refuse_others
from .base import Shape, weight_options
from .convolution import Conv

UNUSED = ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint")  # of a convolution's arguments


def refuse_unused(layer: Conv, keywords: dict[str, Any], *more: str) -> None:
    """Raise for arguments of other convolutions that these do not take."""
    refuse_others(type(layer), {name: keywords[name] for name in (*UNUSED, *more) if name in keywords})


class DepthwiseConv(Conv):
    """What convolutions of single channels share; the kernel is (KERNEL, C, depth_multiplier) as in Keras."""

    aliases = ("filters", *UNUSED)

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        *,
        depthwise_initializer: Any = "glorot_uniform",
        depthwise_regularizer: Any = None,
        depthwise_constraint: Any = None,
        **keywords: Any,
    ) -> None:
        refuse_unused(self, keywords, "filters")
        super().__init__(1, kernel_size, strides, padding, **keywords)
        self.depth_multiplier = arguments.size(self, "depth_multiplier", depth_multiplier)
        self.kernel_options = weight_options(depthwise_initializer, depthwise_regularizer, depthwise_constraint)

    def build(self, input_shape: Shape) -> None:
        self.groups = self._channels(input_shape)
        super().build(input_shape)

    def kernel_shape(self, channels: int) -> tuple[int, ...]:
        return (*self.kernel_size, channels, self.depth_multiplier)

    def bias_size(self, kernel_shape: tuple[int, ...]) -> int:
        return kernel_shape[-1] * kernel_shape[-2]

    def problem(self, input_shape: Shape) -> ConvProblem:
        self.groups = self._channels(input_shape)
        return super().problem(input_shape)

    def _in_layout(self, w_shape: tuple[int, ...]) -> tuple[int, ...]:
        return super()._in_layout((*w_shape[:-2], 1, w_shape[-2] * w_shape[-1]))

    def _kernel(self) -> Tensor:
        return F.reshape(self.live(self.kernel), shape=(*self.kernel_size, 1, -1))


class DepthwiseConv1D(DepthwiseConv, rank=1):
    """One or more filters for each channel of signals (N, W, C); arguments as for `DepthwiseConv2D`."""


class DepthwiseConv2D(DepthwiseConv, rank=2):
    """One or more filters for each channel by itself; kernel (KH, KW, C, depth_multiplier).

    Parameters
    ----------
    kernel_size : int or (int, int)
    strides, padding
        As for `Conv2D`.
    depth_multiplier : int
        Filters per channel.
    depthwise_initializer, depthwise_regularizer, depthwise_constraint
        For the kernel; further keywords as for `Conv2D`.
    """


class SeparableConv(Conv):
    """What these share: a filter or more for each channel, then one of a single tap across all of them.

    Weights are `depthwise_kernel` (KERNEL, C, depth_multiplier), `pointwise_kernel` (1, ..., C*depth_multiplier,
    filters) and `bias`, as in Keras.
    """

    aliases = UNUSED

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        method: str = "auto",
        **keywords: Any,
    ) -> None:
        refuse_unused(self, keywords)
        super().__init__(
            filters, kernel_size, strides, padding, data_format, dilation_rate, activation=activation,
            use_bias=use_bias, bias_initializer=bias_initializer, bias_regularizer=bias_regularizer,
            bias_constraint=bias_constraint, method=method, **keywords,
        )  # fmt: skip
        self.depth_multiplier = arguments.size(self, "depth_multiplier", depth_multiplier)
        self.depthwise_options = weight_options(depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self.pointwise_options = weight_options(pointwise_initializer, pointwise_regularizer, pointwise_constraint)

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        self.compute_output_shape(input_shape)
        depthwise = (*self.kernel_size, channels, self.depth_multiplier)
        pointwise = (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)
        self.depthwise_kernel = self.add_weight("depthwise_kernel", depthwise, **self.depthwise_options)
        self.pointwise_kernel = self.add_weight("pointwise_kernel", pointwise, **self.pointwise_options)
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.filters,), **self.bias_options)

    def linear(self, x: Tensor, activation: str | None = None, bias_grad: bool = True) -> Tensor:
        """The layer without its own activation, or with one that the kernel applies; its bias may be a constant."""
        convolve = getattr(F, f"conv{self.rank}d")
        depthwise, pointwise = self.kernels()
        x = convolve(x, depthwise, method=self.method, **{**self.options, "groups": x.shape[self._channel_axis]})
        biases = self.biases(bias_grad)
        return convolve(x, pointwise, *biases, activation=activation, method=self.method, layout=self.layout)

    def kernels(self, first: bool = False) -> tuple[Tensor, Tensor]:
        """Both kernels in the order of the layer's data format, or channels-`first`, as convolutions take them."""
        depthwise = F.reshape(self.live(self.depthwise_kernel), shape=(*self.kernel_size, 1, -1))
        both = depthwise, self.live(self.pointwise_kernel)
        if self.channels_last and not first:
            return both
        order = (self.rank + 1, self.rank, *range(self.rank))
        return F.transpose(both[0], axes=order), F.transpose(both[1], axes=order)

    @property
    def _channel_axis(self) -> int:
        return -1 if self.channels_last else 1

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        shape = self.problem(input_shape).y_shape[1:]
        return self._arranged(self.filters, shape[:-1] if self.channels_last else shape[1:])

    def problem(self, input_shape: Shape) -> ConvProblem:
        """The convolution of single channels, for one image of a batch of this shape."""
        channels = self._channels(input_shape)
        w_shape = self._in_layout((*self.kernel_size, 1, channels * self.depth_multiplier))
        options = {**self.options, "groups": channels}
        return conv_problem((1, *self._image(input_shape)), w_shape, rank=self.rank, **options)


class SeparableConv1D(SeparableConv, rank=1, paddings=("valid", "same", "causal")):
    """Depthwise separable convolution of signals (N, W, C); arguments as for `SeparableConv2D`.

    `padding` may also be "causal".
    """


class SeparableConv2D(SeparableConv, rank=2):
    """A filter or more for each channel, then one tap across channels (Chollet 2017, arXiv:1610.02357).

    Parameters
    ----------
    filters : int
        Output channels.
    kernel_size, strides, dilation_rate : int or (int, int)
        Of the first convolution.
    padding : {"valid", "same"}
    data_format : {None, "channels_last", "channels_first"}
    depth_multiplier : int
        Filters for each channel.
    activation, use_bias
        Behind the second convolution, as for `Conv2D`.
    depthwise_initializer, depthwise_regularizer, depthwise_constraint
        For the first kernel: names or objects of the modules of these names.
    pointwise_initializer, pointwise_regularizer, pointwise_constraint
        For the second.
    bias_initializer, bias_regularizer, bias_constraint
        For the bias.
    method : {"auto", "direct", "im2col", "winograd", "fft"}
    **keywords
        `name`, `input_shape`, `trainable` of every layer.

    Examples
    --------
    >>> import numpy as np
    >>> layer = SeparableConv2D(8, 3, padding="same")
    >>> layer(np.zeros((1, 5, 5, 4))).shape, [w.shape for w in layer.get_weights()]
    ((1, 5, 5, 8), [(3, 3, 4, 1), (1, 1, 4, 8), (8,)])
    """
