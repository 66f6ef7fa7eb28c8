"""Pooling layers: by window and global, over one, two and three spatial axes."""

from __future__ import annotations

import math
from typing import Any

from ...autograd import Tensor
from ...autograd import functional as F
from ...problem import PoolProblem
from ...spec import pool_problem
from .. import arguments
from .base import Shape
from .spatial import Spatial, parse_border


class Pooling(Spatial):
    """What pools by window share.

    Parameters
    ----------
    pool_size : int or one int per axis
    strides : int or one int per axis, optional
        By default the window's size.
    padding : {"valid", "same"}
        The border is not scored: a maximum or mean is that of the window's real elements.
    data_format : {None, "channels_last", "channels_first"}
    **keywords
        `name`, `input_shape` of every layer.
    """

    operation = "max"

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(data_format, **keywords)
        self.pool_size = arguments.per_axis(self, "pool_size", pool_size, self.rank)
        self.strides = self.pool_size if strides is None else arguments.per_axis(self, "strides", strides, self.rank)
        self.padding = parse_border(self, padding)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        options: dict[str, Any] = {"count_include_pad": False} if self.operation == "avg" else {}
        pool = getattr(F, f"{self.operation}_pool{self.rank}d")
        return pool(x, layout=self.layout, **self.window, **options)

    def of_relu(self, x: Tensor, biases: tuple[Tensor, ...]) -> Tensor:
        """The maxima of relu(x); `biases`, one at most, is what x holds already, whose gradient comes along."""
        return getattr(F, f"relu_max_pool{self.rank}d")(x, *biases, layout=self.layout, **self.window)

    @property
    def window(self) -> dict[str, Any]:
        """Its arguments of the pooling function but the layout."""
        return {"size": self.pool_size, "stride": self.strides, "padding": self.padding}

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (None, *self.problem(input_shape).y_shape[1:])

    def problem(self, input_shape: Shape) -> PoolProblem:
        """What is computed for one image of a batch of this shape."""
        image, window = (1, *self._image(input_shape)), self.window
        return pool_problem(image, window.pop("size"), rank=self.rank, layout=self.layout, **window)


class GlobalPooling(Spatial):
    """What global pools share: one number per image and channel; `keepdims` keeps the spatial axes with size 1."""

    operation = "avg"

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **keywords: Any) -> None:
        super().__init__(data_format, **keywords)
        self.keepdims = arguments.flag(self, "keepdims", keepdims)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        y = getattr(F, f"global_{self.operation}_pool{self.rank}d")(x, layout=self.layout)
        return y if self.keepdims else F.reshape(y, shape=(y.shape[0], math.prod(y.shape[1:])))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        channels = self._channels(input_shape)
        return self._arranged(channels, (1,) * self.rank) if self.keepdims else (None, channels)


class MaxPooling1D(Pooling, rank=1, operation="max"):
    """Largest element of each window of signals (N, W, C)."""


class MaxPooling2D(Pooling, rank=2, operation="max"):
    """Largest element of each window of images (N, H, W, C).

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn as keras
    >>> keras.layers.MaxPooling2D((2, 2))(np.arange(16.0).reshape(1, 4, 4, 1)).numpy().reshape(2, 2)
    array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """


class MaxPooling3D(Pooling, rank=3, operation="max"):
    """Largest element of each window of volumes (N, D, H, W, C)."""


class AveragePooling1D(Pooling, rank=1, operation="avg"):
    """Mean of each window of signals (N, W, C)."""


class AveragePooling2D(Pooling, rank=2, operation="avg"):
    """Mean of each window of images (N, H, W, C)."""


class AveragePooling3D(Pooling, rank=3, operation="avg"):
    """Mean of each window of volumes (N, D, H, W, C)."""


class GlobalAveragePooling1D(GlobalPooling, rank=1, operation="avg"):
    """Mean of each channel of signals (N, W, C)."""


class GlobalAveragePooling2D(GlobalPooling, rank=2, operation="avg"):
    """Mean of each channel of images (N, H, W, C)."""


class GlobalAveragePooling3D(GlobalPooling, rank=3, operation="avg"):
    """Mean of each channel of volumes (N, D, H, W, C)."""


class GlobalMaxPooling1D(GlobalPooling, rank=1, operation="max"):
    """Largest element of each channel of signals (N, W, C)."""


class GlobalMaxPooling2D(GlobalPooling, rank=2, operation="max"):
    """Largest element of each channel of images (N, H, W, C)."""


class GlobalMaxPooling3D(GlobalPooling, rank=3, operation="max"):
    """Largest element of each channel of volumes (N, D, H, W, C)."""
