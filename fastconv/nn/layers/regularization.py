"""Layers that disturb their input in training, and leave it as it is otherwise: dropout and noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...autograd import functional as F
from ...errors import InvalidArgument, shown
from ...ops import elementwise
from ...ops.halves import is_half
from .. import arguments
from ..basics import seeding
from ..modelling import parts
from ..modelling.placing import carrier, device_of
from .base import Elementwise, Shape
from .spatial import Spatial

LOWEST_OF_SELU = 1.7580993408473766  # its factor times its alpha


class Random(Elementwise):
    """What these layers share: where their random numbers come from.

    Parameters
    ----------
    seed : int, optional
        Makes the layer repeatable by itself; without one its numbers come from the model's generator.
    """

    def __init__(self, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.seed = None if seed is None else arguments.whole(self, "seed", seed, 0)
        self.own_generator = None if seed is None else seeding.make_generator(seed, self)

    def draw_seed(self) -> int:
        """A whole number from the layer's own generator, or the model's."""
        return int((self.own_generator or self.rng()).integers(2**63))

    def first(self, x: Tensor) -> int:
        """Samples of the whole batch before x, where several processes share it."""
        part = parts.current()
        return 0 if part is None else part.first

    def normal(self, x: Tensor, mean: float, stddev: float) -> Any:
        """Normally distributed numbers, one for each element of x; of a part of a batch those of the whole one."""
        draw = np.random.default_rng(self.draw_seed())
        before = self.first(x)
        shape = (before + len(x.values), *x.shape[1:])
        noise = draw.standard_normal(shape, np.float32 if x.dtype.itemsize < 8 else np.float64)[before:]
        return _like(x, mean + stddev * noise)

    def kept(self, x: Tensor, shape: tuple[int, ...], rate: float) -> Any:
        """A mask of this shape: 0, or what an element that is kept is multiplied by."""
        first = self.first(x) * math.prod(shape[1:]) if shape[0] > 1 else 0
        return _like(x, elementwise.dropout(np.ones(shape, np.float64), rate, self.draw_seed(), first))


def _like(x: Tensor, array: np.ndarray) -> Any:
    """An array in the dtype and on the device of x."""
    return carrier(device_of(x.values))(np.ascontiguousarray(array, x.dtype))


class Dropout(Random):
    """In training, zero each element with probability `rate` and divide the others by ``1 - rate``.

    Parameters
    ----------
    rate : float
        From 0 up to, but not including, 1.
    noise_shape : tuple, optional
        Shape of the mask, the batch's axis first, in which None is the input's own size, and 1 lets elements along an
        axis share their fate; by default that of the input.
    seed : int, optional
        Makes this layer repeatable by itself; without one its masks come from the model's generator.

    Examples
    --------
    >>> y = Dropout(0.5, noise_shape=(None, 1), seed=1)(np.ones((4, 3)), training=True).numpy()
    >>> [len(set(row.tolist())) for row in y]
    [1, 1, 1, 1]
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(seed, **keywords)
        self.rate = arguments.real(self, "rate", rate, 0, below=1)
        self.noise_shape = _noise_shape(self, noise_shape)

    def build(self, input_shape: Shape) -> None:
        self._mask_shape(input_shape)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return x
        shape = self._mask_shape(x.shape)
        if shape != x.shape:
            return x * self.kept(x, shape, self.rate)
        return F.dropout(x, rate=self.rate, seed=self.draw_seed(), first=self.first(x) * (x.size // len(x.values)))

    def _mask_shape(self, x_shape: Any) -> tuple[int, ...]:
        if self.noise_shape is None:
            return tuple(x_shape)
        shape = tuple(n if own is None else own for n, own in zip(x_shape, self.noise_shape, strict=False))
        if len(self.noise_shape) != len(x_shape) or any(
            n is not None and own not in (None, 1, n) for n, own in zip(x_shape, self.noise_shape, strict=True)
        ):
            raise InvalidArgument(
                f"layer {shown(self.name)} has noise_shape={self.noise_shape} but its input has shape {x_shape}; each "
                "size must be 1, None or the input's"
            )
        return shape


def _noise_shape(layer: Any, given: Any) -> tuple[int | None, ...] | None:
    if given is None:
        return None
    expected = "the shape of a batch in which each size is 1, None or the input's, such as (None, 1, 1, None)"
    sizes = arguments.items(layer, "noise_shape", given, expected)
    known = arguments.shape(layer, "noise_shape", [1 if n is None else n for n in sizes], expected)
    return tuple(None if n is None else k for n, k in zip(sizes, known, strict=True))


class SpatialDropout(Random, Spatial):
    """What drops whole channels: all of one image's channel, or none of it (Tompson et al. 2015, arXiv:1411.4280)."""

    aliases = ("trainable",)  # Keras's have no such argument, and they have no weights
    extensions = ("data_format",)

    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(seed, data_format=data_format, **keywords)
        self.rate = arguments.real(self, "rate", rate, 0, below=1)

    def build(self, input_shape: Shape) -> None:
        self._channels(input_shape)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return x
        ones = (1,) * self.rank
        shape = (x.shape[0], *ones, x.shape[-1]) if self.channels_last else (*x.shape[:2], *ones)
        return x * self.kept(x, shape, self.rate)


class SpatialDropout1D(SpatialDropout, rank=1):
    """In training, zero whole channels of signals (N, W, C) with probability `rate`; the others grow by 1/(1 - rate).

    Parameters
    ----------
    rate : float
        From 0 up to, but not including, 1.
    data_format : {None, "channels_last", "channels_first"}
    seed : int, optional
        Makes this layer repeatable by itself.
    """


class SpatialDropout2D(SpatialDropout, rank=2):
    """In training, zero whole channels of images (N, H, W, C) with probability `rate`; arguments as `SpatialDropout1D`.

    Examples
    --------
    >>> y = SpatialDropout2D(0.5, seed=1)(np.ones((1, 2, 2, 8)), training=True).numpy()
    >>> y[0, 0, 0].tolist() == y[0, 1, 1].tolist(), sorted(set(y.ravel().tolist()))
    (True, [0.0, 2.0])
    """


class SpatialDropout3D(SpatialDropout, rank=3):
    """In training, zero whole channels of volumes (N, D, H, W, C) with probability `rate`; as `SpatialDropout1D`."""


class GaussianNoise(Random):
    """In training, add normally distributed numbers of mean 0.

    Parameters
    ----------
    stddev : float
        Their standard deviation.
    seed : int, optional
        Makes this layer repeatable by itself.
    """

    def __init__(self, stddev: float, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(seed, **keywords)
        self.stddev = arguments.real(self, "stddev", stddev, 0)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return x + self.normal(x, 0.0, self.stddev) if training and self.stddev else x


class GaussianDropout(Random):
    """In training, multiply by normally distributed numbers of mean 1 and variance ``rate/(1 - rate)``.

    Parameters
    ----------
    rate : float
        From 0 up to, but not including, 1: noise like that of `Dropout` (Srivastava et al. 2014).
    seed : int, optional
        Makes this layer repeatable by itself.
    """

    def __init__(self, rate: float, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(seed, **keywords)
        self.rate = arguments.real(self, "rate", rate, 0, below=1)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return x
        return x * self.normal(x, 1.0, math.sqrt(self.rate / (1 - self.rate)))


class AlphaDropout(Dropout):
    """In training, `Dropout` for layers with `selu`: mean 0 and variance 1 stay (Klambauer et al. 2017).

    What is dropped becomes selu's lowest value, and the result is scaled and shifted.

    Parameters
    ----------
    rate, noise_shape, seed
        As for `Dropout`.
    """

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return x
        keep, low = 1 - self.rate, -LOWEST_OF_SELU
        scale = (keep * (1 + self.rate * low**2)) ** -0.5
        kept = self.kept(x, self._mask_shape(x.shape), self.rate) * keep
        y = x * (kept * scale) + (1 - kept) * (low * scale) - scale * low * self.rate
        return F.astype(y, dtype=x.dtype) if is_half(x.dtype) else y
