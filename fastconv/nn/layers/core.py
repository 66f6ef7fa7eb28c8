"""Dense layers, activations, shapes and dropout."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from ...autograd import Tensor
from ...autograd import functional as F
from ...errors import InvalidArgument, shown
from .. import activations, arguments, parts, seeding
from .base import Elementwise, Layer, Shape, elements, image_shape, known_size, weight_options
from .spatial import Spatial, parse_data_format
from .symbols import SymbolicTensor, recorded


class InputLayer(Elementwise):
    """The layer that a symbolic tensor of `Input` comes from; the first thing added to a model.

    Parameters
    ----------
    shape : tuple of int
        Without the batch.
    """

    def __init__(
        self,
        shape: Any = None,
        *,
        input_shape: Any = None,
        batch_shape: Any = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        if batch_shape is not None and shape is None:
            expected = "the shape of a batch, such as (None, 28, 28, 1)"
            shape = tuple(arguments.items(self, "batch_shape", batch_shape, expected)[1:])
        shape = input_shape if shape is None else shape
        if shape is None:
            raise InvalidArgument("Input needs shape, the shape of one image, such as (28, 28, 1)")
        super().__init__(name=name, input_shape=shape, dtype="float32" if dtype is None else dtype)
        self.input_shape = self.output_shape = (None, *(self.declared_shape or ()))

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return x

    def get_config(self) -> dict[str, Any]:
        return {"batch_shape": (None, *(self.declared_shape or ())), "dtype": self.dtype.name, "name": self.name}

    @property
    def symbol(self) -> SymbolicTensor:
        """The symbolic tensor that a graph begins with here."""
        return self._calls[0].outputs if self._calls else recorded(self, (), {}, self.output_shape, self.dtype)


def Input(
    shape: Any = None,
    *,
    batch_size: int | None = None,
    dtype: str | None = None,
    name: str | None = None,
    batch_shape: Any = None,
    input_shape: Any = None,
) -> SymbolicTensor:
    """A symbolic tensor: the input of a graph of layers, or what a `Sequential` model begins with.

    Parameters
    ----------
    shape : tuple of int
        Of one image, without the batch.
    batch_size : int, optional
        Taken as in Keras; batches may have any size all the same.
    dtype : str, optional
        "float32" by default.
    name : str, optional
        What the input is called in dicts of inputs.
    batch_shape : tuple, optional
        Instead of `shape`: (None, ...).
    input_shape : tuple, optional
        Another name of `shape`.

    Examples
    --------
    A skip connection:

    >>> from fastconv import nn as keras
    >>> x = keras.Input((8, 8, 4))
    >>> y = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    >>> model = keras.Model(inputs=x, outputs=keras.layers.add([x, y]))
    >>> model.output_shape
    (None, 8, 8, 4)
    """
    if batch_size is not None:
        arguments.whole("Input", "batch_size", batch_size, 1)
    return InputLayer(shape, input_shape=input_shape, batch_shape=batch_shape, name=name, dtype=dtype).symbol


class Dense(Layer):
    """activation(x w + b) along the last axis.

    Parameters
    ----------
    units : int
        Size of the result's last axis.
    activation : str or callable, optional
    use_bias : bool
    kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint
        Names or objects of the modules of these names.
    input_dim : int, optional
        Short for ``input_shape=(input_dim,)``.
    **keywords
        `name`, `input_shape`, `trainable` of every layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn as keras
    >>> keras.layers.Dense(10, activation="softmax")(np.zeros((2, 5))).numpy()[0, 0].round(3)
    np.float32(0.1)
    """

    aliases = ("input_dim",)
    fixed = {"lora_rank": None, "lora_alpha": None, "quantization_config": None}

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        input_dim: int | None = None,
        **keywords: Any,
    ) -> None:
        if input_dim is not None:
            keywords.setdefault("input_shape", (arguments.size(self, "input_dim", input_dim),))
        super().__init__(**keywords)
        self.units = arguments.size(self, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = arguments.flag(self, "use_bias", use_bias)
        self.kernel_options = weight_options(kernel_initializer, kernel_regularizer, kernel_constraint)
        self.bias_options = weight_options(bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise InvalidArgument(
                f"layer {shown(self.name)} needs inputs (batch, ..., features) but gets {input_shape}"
            )
        self.kernel = self.add_weight("kernel", (input_shape[-1], self.units), **self.kernel_options)
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.units,), **self.bias_options)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return activations.apply(self.activation, self.linear(x))

    def linear(self, x: Tensor, activation: str | None = None, bias_grad: bool = True) -> Tensor:
        """The layer without its own activation, or with one that the kernel applies; its bias may be a constant."""
        return F.dense(x, self.live(self.kernel), *self.biases(bias_grad), activation=activation)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.units)


class Activation(Elementwise):
    """An activation by name ("relu", "softmax", ...) or as a function of a tensor."""

    def __init__(self, activation: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.activation = activations.get(activation)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return activations.apply(self.activation, x)


class ReLU(Activation):
    """max(x, 0), or ``negative_slope*x`` below 0."""

    aliases = ("activation",)
    fixed = {"max_value": None, "threshold": 0.0}

    def __init__(self, negative_slope: float = 0.0, **keywords: Any) -> None:
        slope = arguments.real(self, "negative_slope", negative_slope)
        super().__init__(partial(activations.leaky_relu, negative_slope=slope) if slope else "relu", **keywords)


class LeakyReLU(Activation):
    """x where x > 0, else ``negative_slope*x``; `alpha` is its old name."""

    aliases = ("activation", "alpha")

    def __init__(self, negative_slope: float = 0.3, *, alpha: float | None = None, **keywords: Any) -> None:
        slope = arguments.real(self, "negative_slope", negative_slope)
        slope = slope if alpha is None else arguments.real(self, "alpha", alpha)
        self.negative_slope = slope
        super().__init__(partial(activations.leaky_relu, negative_slope=slope), **keywords)


class Softmax(Activation):
    """exp(x) over its sum along `axis`."""

    aliases = ("activation",)

    def __init__(self, axis: int = -1, **keywords: Any) -> None:
        self.axis = arguments.axis(self, "axis", axis)
        super().__init__("softmax" if self.axis == -1 else partial(activations.softmax, axis=self.axis), **keywords)

    def build(self, input_shape: Shape) -> None:
        arguments.check_axes(self, "axis", self.axis, input_shape)


class Dropout(Elementwise):
    """In training, zero each element with probability `rate` and divide the others by ``1 - rate``.

    Parameters
    ----------
    rate : float
        From 0 up to, but not including, 1.
    seed : int, optional
        Makes this layer repeatable by itself; without one its masks come from the model's generator.
    """

    fixed = {"noise_shape": None}

    def __init__(self, rate: float, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.rate = arguments.real(self, "rate", rate, 0, below=1)
        self.own_generator = None if seed is None else seeding.make_generator(seed, self)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return x
        rng = self.own_generator or self.rng()
        part = parts.current()
        first = 0 if part is None else part.first * (x.size // len(x.values))
        return F.dropout(x, rate=self.rate, seed=int(rng.integers(2**63)), first=first)


class Flatten(Layer):
    """(N, ...) to (N, everything else). Channels-first images are flattened in channels-last order, as in Keras."""

    def __init__(self, data_format: str | None = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.channels_last = parse_data_format(self, data_format)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not self.channels_last and x.ndim > 2:
            x = F.transpose(x, axes=(0, *range(2, x.ndim), 1))
        return F.flatten(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (None, elements(input_shape))


class Reshape(Layer):
    """One image's elements in another shape; one size may be -1."""

    def __init__(self, target_shape: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        expected = "the shape of one image, such as (28, 28, 1), in which one size may be -1"
        self.target_shape = arguments.shape(self, "target_shape", target_shape, expected, least=-1)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return F.reshape(x, shape=(x.shape[0], *self.compute_output_shape((None, *x.shape[1:]))[1:]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        total, known = elements(input_shape), math.prod(n for n in self.target_shape if n != -1)
        open_sizes = sum(n == -1 for n in self.target_shape)
        if open_sizes > 1 or known < 1 or (total % known if open_sizes else total != known):
            raise InvalidArgument(
                f"layer {shown(self.name)} cannot reshape {input_shape[1:]} ({total} elements) to {self.target_shape}"
            )
        return (None, *(total // known if n == -1 else n for n in self.target_shape))


class Permute(Layer):
    """One image's axes in another order, numbered from 1."""

    def __init__(self, dims: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.dims = image_shape(self, "dims", dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise arguments.wrong(self, "dims", dims, f"each of 1 to {len(self.dims)} once")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return F.transpose(x, axes=(0, *self.dims))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        known_size(self, input_shape, len(self.dims) + 1, f"{len(self.dims)} axes beside the batch")
        return (None, *(input_shape[d] for d in self.dims))


class ZeroPadding(Spatial):
    """What zero padding of any rank shares."""

    def __init__(self, padding: Any = 1, data_format: str | None = None, **keywords: Any) -> None:
        super().__init__(data_format, **keywords)
        items = padding if isinstance(padding, (tuple, list)) else (padding,) * self.rank
        if self.rank == 1 and len(items) == 2 and not isinstance(items[0], (tuple, list)):
            items = (tuple(items),)
        if len(items) != self.rank:
            raise arguments.wrong(self, "padding", padding, f"one int, or {self.rank} ints or (before, after) pairs")
        pairs = (i if isinstance(i, (tuple, list)) else (i, i) for i in items)
        self.padding = tuple(arguments.per_axis(self, "padding", pair, 2, least=0) for pair in pairs)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        none = ((0, 0),)
        widths = none + self.padding + none if self.channels_last else none * 2 + self.padding
        return F.pad(x, widths=widths)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        shape = self._image(input_shape)
        size = shape[:-1] if self.channels_last else shape[1:]
        padded = [n + sum(pair) for n, pair in zip(size, self.padding, strict=True)]
        return self._arranged(self._channels(input_shape), padded)


class ZeroPadding1D(ZeroPadding, rank=1):
    """A border of zeros round signals."""


class ZeroPadding2D(ZeroPadding, rank=2):
    """A border of zeros round images: an int, (rows, columns), or ((top, bottom), (left, right))."""


class ZeroPadding3D(ZeroPadding, rank=3):
    """A border of zeros round volumes."""
