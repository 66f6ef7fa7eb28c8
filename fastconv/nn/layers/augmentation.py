"""Layers that change images at random in training, each image by itself, and leave them as they are otherwise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...autograd import functional as F
from ...ops.affine import FILL_MODES
from .. import arguments
from ..basics import seeding
from .base import Shape
from .preprocessing import CenterCrop, beside
from .regularization import Random
from .spatial import Spatial


class Augmentation(Random, Spatial):
    """What these layers share.

    Parameters
    ----------
    seed : int, optional
        Makes the layer repeatable by itself; without one its numbers come from the model's generator.
    data_format : {None, "channels_last", "channels_first"}
    **keywords
        `name`, `input_shape` of every layer.
    """

    def __init__(self, seed: int | None = None, data_format: str | None = None, **keywords: Any) -> None:
        super().__init__(seed, data_format=data_format, **keywords)

    def build(self, input_shape: Shape) -> None:
        self._channels(input_shape)

    def uniform(self, x: Tensor, *bounds: tuple[float, float]) -> list[np.ndarray]:
        """A number between each pair of bounds for each image; of a part of a batch those of the whole one."""
        before = self.first(x)
        draw = np.random.default_rng(self.draw_seed()).random((before + x.shape[0], len(bounds)))[before:]
        return [low + (high - low) * draw[:, k] for k, (low, high) in enumerate(bounds)]

    def _rows_and_columns(self, x: Tensor) -> tuple[int, int]:
        rows, columns = x.shape[1:3] if self.channels_last else x.shape[2:]
        return rows, columns


class Geometric(Augmentation):
    """What moves images: each by a map that `_maps` draws, in one pass."""

    fill_mode, interpolation, fill_value = "nearest", "nearest", 0.0

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training:
            return x
        maps = self._maps(x)
        rows, columns = self._rows_and_columns(x)
        middle = np.array([(rows - 1) / 2, (columns - 1) / 2])
        numbers = np.empty((x.shape[0], 2, 3))
        numbers[:, :, :2] = maps[:, :, :2]
        numbers[:, :, 2] = maps[:, :, 2] + middle - maps[:, :, :2] @ middle
        return F.affine_transform(
            x, maps=numbers.reshape(-1, 6), layout=self.layout, interpolation=self.interpolation,
            fill_mode=self.fill_mode, fill_value=self.fill_value,
        )  # fmt: skip

    def _maps(self, x: Tensor) -> np.ndarray:
        """(N, 2, 3): where rows and columns of each result come from, all counted from the middle of the images."""
        raise NotImplementedError


class Filled(Geometric):
    """What moves images beyond their borders.

    Parameters
    ----------
    fill_mode : {"reflect", "wrap", "constant", "nearest"}
        What lies beyond an image: its mirror image, the image again, `fill_value`, or its last element.
    interpolation : {"bilinear", "nearest"}
    seed : int, optional
    fill_value : float
    data_format : {None, "channels_last", "channels_first"}
    **keywords
        `name`, `input_shape` of every layer.
    """

    def __init__(
        self,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(seed, data_format, **keywords)
        self.fill_mode = arguments.choice(self, "fill_mode", fill_mode, FILL_MODES)
        self.interpolation = arguments.choice(self, "interpolation", interpolation, ("nearest", "bilinear"))
        self.fill_value = arguments.real(self, "fill_value", fill_value)


def scaling(rows: Any, columns: Any, down: Any = 0.0, right: Any = 0.0) -> np.ndarray:
    """Maps that scale and move along the axes."""
    maps = np.zeros((len(rows), 2, 3))
    maps[:, 0, 0], maps[:, 1, 1], maps[:, 0, 2], maps[:, 1, 2] = rows, columns, down, right
    return maps


class RandomFlip(Geometric):
    """In training, mirror each image with probability 1/2, along each axis by itself.

    Parameters
    ----------
    mode : {"horizontal_and_vertical", "horizontal", "vertical"}
        "horizontal" exchanges left and right, "vertical" top and bottom.
    seed : int, optional
        Makes the layer repeatable by itself.
    data_format : {None, "channels_last", "channels_first"}
    **keywords
        `name`, `input_shape` of every layer.

    Examples
    --------
    >>> x = np.arange(2.0).reshape(1, 1, 2, 1).repeat(6, axis=0)
    >>> RandomFlip("horizontal", seed=1)(x, training=True).numpy()[:, 0, 0, 0]
    array([0., 0., 1., 0., 1., 0.], dtype=float32)
    """

    MODES = ("horizontal_and_vertical", "horizontal", "vertical")

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(seed, data_format, **keywords)
        self.mode = arguments.choice(self, "mode", mode, self.MODES)

    def _maps(self, x: Tensor) -> np.ndarray:
        rows, columns = (np.where(draw < 0.5, -1.0, 1.0) for draw in self.uniform(x, (0, 1), (0, 1)))
        return scaling(
            rows if "vertical" in self.mode else np.ones_like(rows),
            columns if "horizontal" in self.mode else np.ones_like(rows),
        )


class RandomRotation(Filled):
    """In training, turn each image about its middle, by an angle that is drawn.

    Parameters
    ----------
    factor : float or (float, float)
        Bounds of the angle in full turns, counter-clockwise; f means (-f, f).
    fill_mode : {"reflect", "wrap", "constant", "nearest"}
        What lies beyond an image: its mirror image, the image again, `fill_value`, or its last element.
    interpolation : {"bilinear", "nearest"}
    seed : int, optional
        Makes the layer repeatable by itself.
    fill_value : float
    data_format : {None, "channels_last", "channels_first"}
    **keywords
        `name`, `input_shape` of every layer.

    Examples
    --------
    >>> x = np.array([[[[1.0], [2.0]], [[3.0], [4.0]]]])
    >>> RandomRotation((0.25, 0.25))(x, training=True).numpy()[0, :, :, 0].round(4)
    array([[2., 4.],
           [1., 3.]], dtype=float32)
    """

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **keywords)
        self.factor = arguments.interval(self, "factor", factor, -1, 1)

    def _maps(self, x: Tensor) -> np.ndarray:
        (turns,) = self.uniform(x, self.factor)
        cosine, sine = np.cos(2 * math.pi * turns), np.sin(2 * math.pi * turns)
        maps = scaling(cosine, cosine)
        maps[:, 0, 1], maps[:, 1, 0] = sine, -sine
        return maps


class RandomTranslation(Filled):
    """In training, move each image by distances that are drawn.

    Parameters
    ----------
    height_factor, width_factor : float or (float, float)
        Bounds of how far down, and to the right, as parts of the image's size; f means (-f, f).
    fill_mode, interpolation, seed, fill_value, data_format, **keywords
        As for `RandomRotation`.
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **keywords)
        self.height_factor = arguments.interval(self, "height_factor", height_factor, -1, 1)
        self.width_factor = arguments.interval(self, "width_factor", width_factor, -1, 1)

    def _maps(self, x: Tensor) -> np.ndarray:
        down, right = self.uniform(x, self.height_factor, self.width_factor)
        rows, columns = self._rows_and_columns(x)
        ones = np.ones_like(down)
        return scaling(ones, ones, -down * rows, -right * columns)


class RandomZoom(Filled):
    """In training, show more or less of each image, by factors that are drawn.

    Parameters
    ----------
    height_factor, width_factor : float or (float, float)
        Bounds, above -1: at 0.2 the image is shown 1/1.2 as high, at -0.2 1/0.8 as high; f means (-f, f). None for the
        width: as the height, so that the ratio stays.
    fill_mode, interpolation, seed, fill_value, data_format, **keywords
        As for `RandomRotation`.
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **keywords)
        least = math.nextafter(-1, 0)
        self.height_factor = arguments.interval(self, "height_factor", height_factor, least, 1)
        self.width_factor = None
        if width_factor is not None:
            self.width_factor = arguments.interval(self, "width_factor", width_factor, least, 1)

    def _maps(self, x: Tensor) -> np.ndarray:
        rows, columns = self.uniform(x, self.height_factor, self.width_factor or (0, 0))
        return scaling(1 + rows, 1 + (rows if self.width_factor is None else columns))


class RandomCrop(CenterCrop):
    """In training, a part of this size of the images, all of a batch at the same place; otherwise their middle.

    What is smaller is resized, with its ratio kept by cropping, as by `CenterCrop`.

    Parameters
    ----------
    height, width : int
    seed : int, optional
        Makes the layer repeatable by itself.
    data_format : {None, "channels_last", "channels_first"}
    **keywords
        `name`, `input_shape` of every layer.
    """

    def __init__(
        self, height: int, width: int, seed: int | None = None, data_format: str | None = None, **keywords: Any
    ) -> None:
        super().__init__(height, width, data_format, **keywords)
        self.seed = None if seed is None else arguments.whole(self, "seed", seed, 0)
        self.own_generator = None if seed is None else seeding.make_generator(seed, self)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        room = [n - m for n, m in zip(self.size_of(x.shape[1:]), (self.height, self.width), strict=True)]
        if not training or min(room) < 0:
            return super().call(x, training)
        generator = self.own_generator or self.rng()
        return self.inner(x, (self.height, self.width), [int(generator.integers(n + 1)) for n in room])


class Toned(Augmentation):
    """What changes the values of images, which are brought back into `value_range`."""

    extensions = ("data_format",)

    def __init__(self, value_range: Any = (0, 255), seed: int | None = None, **keywords: Any) -> None:
        super().__init__(seed, **keywords)
        ends = sorted(np.ravel(arguments.numbers(self, "value_range", value_range)).tolist())
        if len(ends) != 2:
            raise arguments.wrong(self, "value_range", value_range, "two numbers, such as (0, 255)")
        self.value_range = (ends[0], ends[1])

    def _each(self, x: Tensor, numbers: np.ndarray) -> Any:
        """One number for each image."""
        return beside(x, numbers.reshape(-1, *(1,) * (x.ndim - 1)))

    def _clipped(self, x: Tensor) -> Tensor:
        return F.clip(x, low=self.value_range[0], high=self.value_range[1])


class RandomContrast(Toned):
    """In training, stretch the distance of each image's values from its channels' means by a factor that is drawn.

    Parameters
    ----------
    factor : float or (float, float)
        (lower, upper): the factor lies between 1 - lower and 1 + upper; f means (f, f).
    value_range : (float, float)
        Values beyond are brought back to its ends.
    seed : int, optional
        Makes the layer repeatable by itself.
    data_format : {None, "channels_last", "channels_first"}
    **keywords
        `name`, `input_shape` of every layer.
    """

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **keywords: Any) -> None:
        super().__init__(value_range, seed, **keywords)
        given = factor if isinstance(factor, (tuple, list)) else (factor, factor)
        if len(given) != 2:
            raise arguments.wrong(self, "factor", factor, "a number or two, from 0 to 1")
        self.factor = tuple(arguments.real(self, "factor", f, 0, 1) for f in given)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training:
            return x
        (factor,) = self.uniform(x, (1 - self.factor[0], 1 + self.factor[1]))
        mean = F.mean(x, axis=(1, 2) if self.channels_last else (2, 3), keepdims=True)
        return self._clipped((x - mean) * self._each(x, factor) + mean)


class RandomBrightness(Toned):
    """In training, add a number that is drawn to all values of an image.

    Parameters
    ----------
    factor : float or (float, float)
        Bounds of that number, as parts of the length of `value_range`; f means (-f, f).
    value_range : (float, float)
        Values beyond are brought back to its ends.
    seed : int, optional
        Makes the layer repeatable by itself.
    data_format : {None, "channels_last", "channels_first"}
    **keywords
        `name`, `input_shape` of every layer.
    """

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **keywords: Any) -> None:
        super().__init__(value_range, seed, **keywords)
        self.factor = arguments.interval(self, "factor", factor, -1, 1)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training:
            return x
        (part,) = self.uniform(x, self.factor)
        return self._clipped(x + self._each(x, part * (self.value_range[1] - self.value_range[0])))
