"""What every layer is: weights with names, a build step, shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import ops
from ...autograd import Tensor, no_grad
from ...errors import InvalidArgument, shown
from .. import arguments, constraints, initializers, regularizers, seeding

Shape = tuple[int | None, ...]
DATA_FORMATS = ("channels_last", "channels_first")


class Parameter(Tensor):
    """A layer's array: a tensor with a name, and what is done to it beside the gradient step."""

    __slots__ = ("constraint", "name", "regularizer")

    def __init__(
        self, name: str, data: np.ndarray, trainable: bool = True, regularizer: Any = None, constraint: Any = None
    ) -> None:
        super().__init__(
            arguments.tensor("Parameter", "data", data),
            requires_grad=arguments.flag("Parameter", "trainable", trainable),
        )
        self.name = arguments.text("Parameter", "name", name)
        self.regularizer, self.constraint = regularizer, constraint


class Layer:
    """Base of all layers.

    A layer of your own defines `call`, and `build` and `compute_output_shape` where it has weights or changes shapes.
    Shapes start with None, the batch.

    Parameters
    ----------
    name : str, optional
        By default the class's name; a model makes it unique.
    input_shape : tuple of int, optional
        Shape of one image, for the first layer of a model.
    trainable : bool
        Whether training changes the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn as keras
    >>> class Double(keras.layers.Layer):
    ...     def call(self, x, training=False):
    ...         return x * 2
    >>> Double()(np.ones((1, 2))).numpy()
    array([[2., 2.]], dtype=float32)
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        input_shape: Any = None,
        batch_input_shape: Any = None,
        trainable: bool = True,
        dtype: str = "float32",
    ) -> None:
        self.name = default_name(type(self)) if name is None else arguments.text(self, "name", name)
        self.is_named = name is not None
        self.trainable = arguments.flag(self, "trainable", trainable)
        self.dtype = arguments.dtype(self, "dtype", dtype)
        if batch_input_shape is not None and input_shape is None:
            expected = "the shape of a batch, such as (None, 28, 28, 1)"
            input_shape = tuple(arguments.items(self, "batch_input_shape", batch_input_shape, expected)[1:])
        self.declared_shape = None if input_shape is None else parse_shape(self, "input_shape", input_shape)
        self.weights: list[Parameter] = []
        self.input_shape: Shape | None = None
        self.output_shape: Shape | None = None
        self.rng: Callable[[], np.random.Generator] = seeding.generator

    @property
    def built(self) -> bool:
        """Whether the layer knows its shapes and has its weights."""
        return self.input_shape is not None

    def build(self, input_shape: Shape) -> None:
        """Make the weights for inputs of this shape."""

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """The layer's result."""
        raise NotImplementedError(f"{type(self).__name__} does not define call(x, training)")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape of the result for inputs of this shape; by default that of the result for an image of zeros."""
        with no_grad():
            y = self.call(Tensor(np.zeros((1, *(n or 1 for n in input_shape[1:])), self.dtype)), False)
        return (None, *y.shape[1:])

    def ensure_built(self, input_shape: Shape) -> None:
        """Build once; afterwards, check that the input still fits."""
        if not self.built:
            self.build(input_shape)
            self.output_shape = self.compute_output_shape(input_shape)
            self.input_shape = input_shape
        elif len(input_shape) != len(self.input_shape or ()):
            raise InvalidArgument(
                f"layer {shown(self.name)} was built for inputs {self.input_shape} but gets {input_shape}"
            )

    def __call__(self, x: Any, training: bool = False) -> Tensor:
        """Build if need be, and apply the layer to an array or a tensor."""
        x = x if isinstance(x, Tensor) else Tensor(arguments.host_array(self, "x", x).astype(self.dtype, copy=False))
        if x.ndim == 0:
            raise arguments.wrong(self, "x", x, "a batch: an array with an axis for the images")
        training = arguments.flag(self, "training", training)
        self.ensure_built((None, *x.shape[1:]))
        return self.call(x, training)

    def add_weight(
        self,
        name: str,
        shape: Sequence[int],
        initializer: Any = "glorot_uniform",
        *,
        regularizer: Any = None,
        constraint: Any = None,
        trainable: bool = True,
        fans: tuple[float, float] | None = None,
    ) -> Parameter:
        """Make a weight and keep it in `weights`."""
        arguments.text("add_weight", "name", name)
        shape = arguments.shape("add_weight", "shape", shape, "a tuple of whole numbers", least=0)
        trainable = arguments.flag("add_weight", "trainable", trainable)
        initializer = initializers.get(initializer)
        if self.dtype.kind != "f":
            raise InvalidArgument(
                f"layer {shown(self.name)} has dtype {self.dtype}; weights need one such as 'float32'"
            )
        if isinstance(initializer, initializers.Initializer):
            data = initializer(shape, self.dtype, rng=self.rng(), fans=fans)
        else:
            made = arguments.result_of(self, "initializer", initializer, shape)
            data = arguments.host_array(self, f"what the initializer of {shown(name)} made", made).astype(self.dtype)
        if data.shape != shape:
            raise InvalidArgument(f"the initializer of {self.name}/{name} made shape {data.shape}; expected {shape}")
        weight = Parameter(
            name, np.ascontiguousarray(data), trainable, regularizers.get(regularizer), constraints.get(constraint)
        )
        self.weights.append(weight)
        return weight

    def live(self, weight: Parameter) -> Tensor:
        """The weight as `call` shall use it: without a gradient while the layer is not trainable."""
        return weight if self.trainable else weight.detach()

    @property
    def trainable_weights(self) -> list[Parameter]:
        """The weights that training changes."""
        return [w for w in self.weights if w.requires_grad] if self.trainable else []

    def count_params(self) -> int:
        """Number of weights, trainable or not."""
        return sum(w.size for w in self.weights)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights."""
        return [w.data.copy() if isinstance(w.data, np.ndarray) else w.numpy() for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace the weights; shapes must agree."""
        weights = arguments.items(self, "weights", weights, "a list of arrays")
        if len(weights) != len(self.weights):
            raise InvalidArgument(
                f"layer {shown(self.name)} has {len(self.weights)} weights but {len(weights)} were given"
            )
        arrays = [arguments.host_array(self, w.name, a) for w, a in zip(self.weights, weights, strict=True)]
        for weight, array in zip(self.weights, arrays, strict=True):
            check_weight(self, weight, array, "was given")
        for weight, array in zip(self.weights, arrays, strict=True):
            weight.data[...] = array if isinstance(weight.data, np.ndarray) else ops.to_device(array)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.input_shape} -> {self.output_shape}>"


def weight_options(initializer: Any, regularizer: Any, constraint: Any) -> dict[str, Any]:
    """Keywords of `Layer.add_weight`; a name that is not known is refused here, when the layer is made."""
    return {
        "initializer": initializers.get(initializer),
        "regularizer": regularizers.get(regularizer),
        "constraint": constraints.get(constraint),
    }


def check_weight(layer: Layer, weight: Parameter, array: np.ndarray, verb: str) -> None:
    """`array` must be able to replace `weight`."""
    if array.shape != weight.shape or array.dtype.kind not in "fiub":
        raise InvalidArgument(
            f"weight {shown(weight.name)} of layer {shown(layer.name)} has shape {weight.shape} but {verb} "
            f"{array.shape} ({array.dtype}); the model must be built as it was when the weights were made"
        )


def default_name(kind: type) -> str:
    """Keras's name for a layer: its class in snake case.

    >>> default_name(type("MaxPooling2D", (), {})), default_name(type("Conv2DTranspose", (), {}))
    ('max_pooling2d', 'conv2d_transpose')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind.__name__)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def parse_shape(owner: Any, name: str, shape: Any) -> tuple[int, ...]:
    """The shape of one image as a tuple of whole numbers."""
    expected = "the shape of one image, such as (28, 28, 1), of whole numbers above 0"
    return arguments.shape(owner, name, shape, expected)


def parse_data_format(layer: Layer, data_format: Any) -> bool:
    """True for channels-last, which None means too."""
    if data_format is None:
        return True
    return arguments.choice(layer, "data_format", data_format, DATA_FORMATS) == "channels_last"


def parse_border(layer: Layer, padding: Any, known: Sequence[str]) -> str:
    """A border by its name, in whatever case."""
    return arguments.choice(layer, "padding", padding.lower() if isinstance(padding, str) else padding, known)


def known_size(layer: Layer, input_shape: Shape, ndim: int, what: str) -> tuple[int, ...]:
    """The input's shape without the batch, which must have `ndim` - 1 axes."""
    if len(input_shape) != ndim:
        raise InvalidArgument(f"layer {shown(layer.name)} needs {what} but its input has shape {input_shape}")
    return tuple(n for n in input_shape[1:] if n is not None)


def spatial_size(shape: tuple[int, ...], channels_last: bool) -> tuple[int, ...]:
    """The spatial axes of one image's shape."""
    return shape[:-1] if channels_last else shape[1:]


def arrange(channels: int, size: Sequence[int], channels_last: bool) -> Shape:
    """A batch's shape from channels and spatial size."""
    return (None, *size, channels) if channels_last else (None, channels, *size)


def elements(shape: Shape) -> int:
    """Number of elements of one image."""
    return math.prod(n for n in shape[1:] if n is not None)


class Elementwise(Layer):
    """Base of layers whose result has the shape of their input."""

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape
