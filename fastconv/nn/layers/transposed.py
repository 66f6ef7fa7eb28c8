"""Transposed convolution layers: the gradient of a convolution used as a layer. Kernels are (KERNEL, out, in)."""

from __future__ import annotations

from typing import Any

from ...autograd import Tensor
from ...autograd import functional as F
from ...problem import ConvProblem
from ...spec import transposed_problem
from .. import arguments
from .base import Shape
from .convolution import Conv


class ConvTranspose(Conv):
    """What transposed convolutions of any rank share; the kernel is (KERNEL, out, in) as in Keras."""

    extensions = ("groups",)

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(filters, kernel_size, strides, padding, **keywords)
        self.output_padding = (
            None if output_padding is None else arguments.per_axis(self, "output_padding", output_padding, self.rank, 0)
        )

    @property
    def options(self) -> dict[str, Any]:
        options = {**super().options, "output_padding": self.output_padding or 0}
        extent = [d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        if self.output_padding is not None and self.padding == "same":
            # Keras, which follows TensorFlow: (n - 1)*stride + extent%2 + output_padding rows of all that there are,
            # (n - 1)*stride + extent; the border of a "same" convolution of so many rows is cut off.
            surplus = [e - e % 2 - more for e, more in zip(extent, self.output_padding, strict=True)]
            options["padding"] = tuple((max(0, cut) // 2, (max(0, cut) + 1) // 2) for cut in surplus)
            options["output_padding"] = tuple(max(0, -cut) for cut in surplus)
        elif self.output_padding is None and self.padding == "valid":  # Keras: at least one stride per input element
            options["output_padding"] = tuple(max(0, s - e) for s, e in zip(self.strides, extent, strict=True))
        return options

    def kernel_shape(self, channels: int) -> tuple[int, ...]:
        *kernel, _, filters = super().kernel_shape(channels)
        return (*kernel, filters // self.groups, channels)

    def bias_size(self, kernel_shape: tuple[int, ...]) -> int:
        return self.filters

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return self._arranged(self.filters, self.problem(input_shape).size[3 - self.rank :])

    def problem(self, input_shape: Shape) -> ConvProblem:
        """The input gradient that this is: what it takes is the gradient's dy, what it makes dx."""
        w_shape = self._in_layout(self.kernel_shape(self._channels(input_shape)))
        return transposed_problem((1, *self._image(input_shape)), w_shape, rank=self.rank, **self.options)

    def linear(self, x: Tensor, activation: str | None = None, bias_grad: bool = True) -> Tensor:
        return self._apply(getattr(F, f"conv_transpose{self.rank}d"), x, activation, bias_grad)


class Conv1DTranspose(ConvTranspose, rank=1):
    """Transposed convolution of signals (N, W, C)."""


class Conv2DTranspose(ConvTranspose, rank=2):
    """Transposed convolution of images: the gradient of a convolution used as a layer, to make images larger.

    Parameters
    ----------
    filters, kernel_size, strides, padding
        As for `Conv2D`; "same" gives H*stride rows.
    output_padding : int or (int, int), optional
        Rows and columns added behind, below the stride. With "same" the result then has
        ``(H - 1)*stride + KH%2 + output_padding`` rows (a dilated kernel's extent in place of KH), as in Keras.
    **keywords
        As for `Conv2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn as keras
    >>> keras.layers.Conv2DTranspose(4, 3, strides=2, padding="same")(np.zeros((1, 7, 7, 8))).shape
    (1, 14, 14, 4)
    """


class Conv3DTranspose(ConvTranspose, rank=3):
    """Transposed convolution of volumes (N, D, H, W, C)."""
