"""Pooling layers: by window and global, over one, two and three spatial axes."""

from __future__ import annotations

import math
from typing import Any

from ...autograd import Tensor
from ...autograd import functional as F
from ...spec import LAYOUTS, pool_problem
from .. import arguments
from .base import Layer, Shape, arrange, known_size, parse_border, parse_data_format


class Pooling(Layer):
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

    rank = 2
    operation = "max"

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.pool_size = arguments.per_axis(self, "pool_size", pool_size, self.rank)
        self.strides = self.pool_size if strides is None else arguments.per_axis(self, "strides", strides, self.rank)
        self.padding = parse_border(self, padding, ("valid", "same"))
        self.channels_last = parse_data_format(self, data_format)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        options: dict[str, Any] = {"count_include_pad": False} if self.operation == "avg" else {}
        layout = LAYOUTS[self.rank][self.channels_last]
        pool = getattr(F, f"{self.operation}_pool{self.rank}d")
        return pool(x, size=self.pool_size, stride=self.strides, padding=self.padding, layout=layout, **options)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        shape = known_size(self, input_shape, self.rank + 2, f"{self.rank} spatial axes beside batch and channels")
        layout = LAYOUTS[self.rank][self.channels_last]
        problem = pool_problem(
            (1, *shape),
            self.pool_size,
            rank=self.rank,
            stride=self.strides,
            padding=self.padding,
            layout=layout,
        )
        return (None, *problem.y_shape[1:])


class GlobalPooling(Layer):
    """What global pools share: one number per image and channel; `keepdims` keeps the spatial axes with size 1."""

    rank = 2
    operation = "avg"

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.channels_last = parse_data_format(self, data_format)
        self.keepdims = arguments.flag(self, "keepdims", keepdims)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        y = getattr(F, f"global_{self.operation}_pool{self.rank}d")(x, layout=LAYOUTS[self.rank][self.channels_last])
        return y if self.keepdims else F.reshape(y, shape=(y.shape[0], math.prod(y.shape[1:])))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        shape = known_size(self, input_shape, self.rank + 2, f"{self.rank} spatial axes beside batch and channels")
        channels = shape[-1 if self.channels_last else 0]
        return arrange(channels, (1,) * self.rank, self.channels_last) if self.keepdims else (None, channels)


class MaxPooling1D(Pooling):
    """Largest element of each window of signals (N, W, C)."""

    rank = 1


class MaxPooling2D(Pooling):
    """Largest element of each window of images (N, H, W, C).

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn as keras
    >>> keras.layers.MaxPooling2D((2, 2))(np.arange(16.0).reshape(1, 4, 4, 1)).numpy().reshape(2, 2)
    array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """

    rank = 2


class MaxPooling3D(Pooling):
    """Largest element of each window of volumes (N, D, H, W, C)."""

    rank = 3


class AveragePooling1D(Pooling):
    """Mean of each window of signals (N, W, C)."""

    rank = 1
    operation = "avg"


class AveragePooling2D(Pooling):
    """Mean of each window of images (N, H, W, C)."""

    rank = 2
    operation = "avg"


class AveragePooling3D(Pooling):
    """Mean of each window of volumes (N, D, H, W, C)."""

    rank = 3
    operation = "avg"


class GlobalAveragePooling1D(GlobalPooling):
    """Mean of each channel of signals (N, W, C)."""

    rank = 1


class GlobalAveragePooling2D(GlobalPooling):
    """Mean of each channel of images (N, H, W, C)."""

    rank = 2


class GlobalAveragePooling3D(GlobalPooling):
    """Mean of each channel of volumes (N, D, H, W, C)."""

    rank = 3


class GlobalMaxPooling1D(GlobalPooling):
    """Largest element of each channel of signals (N, W, C)."""

    rank = 1
    operation = "max"


class GlobalMaxPooling2D(GlobalPooling):
    """Largest element of each channel of images (N, H, W, C)."""

    rank = 2
    operation = "max"


class GlobalMaxPooling3D(GlobalPooling):
    """Largest element of each channel of volumes (N, D, H, W, C)."""

    rank = 3
    operation = "max"
