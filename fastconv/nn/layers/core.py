"""Input, Dense, Embedding, Identity and Lambda."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...autograd import functional as F
from ...errors import InvalidArgument, shown
from ...ops import ConvPlan, plan_conv1d
from ...ops.product import gains_by_packing
from .. import activations, arguments, policies, regularizers
from .. import arguments as checks  # where that is the name of a parameter
from ..configs import refuse_others
from ..modelling.inference import changing_weights, is_inference, is_repeated, plan_for
from .base import Elementwise, Layer, Shape, weight_options
from .sizes import image_shape, known_axis
from .symbols import SymbolicTensor, recorded


class InputLayer(Elementwise):
    """The layer that a symbolic tensor of `Input` comes from; the first thing added to a model.

    Parameters
    ----------
    shape : tuple of int or None
        Without the batch; None is a size that is not known.
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
        super().__init__(name=name, input_shape=shape, dtype=policies.floatx() if dtype is None else dtype)
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
    shape : tuple of int or None
        Of one image, without the batch; None is a size that images may have as they like.
    batch_size : int, optional
        Taken as in Keras; batches may have any size all the same.
    dtype : str, optional
        By default `fastconv.nn.backend.floatx`, "float32".
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

    Images of any size:

    >>> x = keras.Input((None, None, 4))
    >>> model = keras.Model(x, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(x)))
    >>> model.predict(np.zeros((1, 20, 30, 4)), verbose=0).shape
    (1, 2)
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
        if len(input_shape) < 2:
            raise InvalidArgument(
                f"layer {shown(self.name)} needs inputs (batch, ..., features) but gets {input_shape}"
            )
        features = known_axis(self, input_shape, -1)
        self.kernel = self.add_weight("kernel", (features, self.units), **self.kernel_options)
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.units,), **self.bias_options)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return activations.apply(self.activation, self.linear(x))

    def linear(self, x: Tensor, activation: str | None = None, bias_grad: bool = True) -> Tensor:
        """The layer without its own activation, or with one that the kernel applies; its bias may be a constant."""
        kernel = self.kernel
        if is_inference() and isinstance(x.values, np.ndarray) and x.dtype == kernel.dtype and x.size:
            rows, columns = math.prod(x.shape[:-1]), kernel.shape[-1]
            if gains_by_packing(rows, columns, x.dtype) or is_repeated((self, rows, activation)):
                return self._planned(x.values, activation)
        return F.dense(x, self.live(kernel), *self.biases(bias_grad), activation=activation)

    def _planned(self, x: np.ndarray, activation: str | None) -> Tensor:
        """By a plan: a matrix product is a convolution with one tap, of an image of one row."""
        w, b, shape = (
            self.kernel.values,
            self.bias.values if self.use_bias else None,
            (1, math.prod(x.shape[:-1]), x.shape[-1]),
        )

        def make() -> ConvPlan:
            return plan_conv1d(w[None], shape, b, layout="NWC", activation=activation, method="im2col")

        plan = plan_for((self, shape, activation), make, w[None], b)
        assert plan is not None
        return Tensor(plan(x.reshape(shape)).reshape(*x.shape[:-1], w.shape[1]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.units)


class Identity(Elementwise):
    """The input itself."""

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return x


class ActivityRegularization(Identity):
    """The input itself; what a penalty says of it, divided by the number of samples, is added to the loss.

    Parameters
    ----------
    l1, l2 : float
        Of the sums of absolute values and of squares.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn as keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.ActivityRegularization(l2=0.5)])
    >>> model.compile()
    >>> model.test_on_batch(np.ones((4, 2)))
    1.0
    """

    aliases = ("activity_regularizer",)

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **keywords: Any) -> None:
        if "activity_regularizer" in keywords:
            refuse_others(ActivityRegularization, {"activity_regularizer": keywords["activity_regularizer"]})
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **keywords)
        self.l1, self.l2 = self.activity_regularizer.l1, self.activity_regularizer.l2


class Embedding(Layer):
    """A vector of numbers for each whole number: row n of the weight for input n.

    The gradient to a row is the sum over its occurrences, added in their order.

    Parameters
    ----------
    input_dim : int
        Inputs are 0 to input_dim - 1.
    output_dim : int
        Length of the vectors.
    embeddings_initializer, embeddings_regularizer, embeddings_constraint
        Names or objects of the modules of these names.
    **keywords
        `name`, `input_shape`, `trainable` of every layer.

    Examples
    --------
    >>> import numpy as np
    >>> Embedding(10, 4)(np.array([[1, 2, 1]])).shape
    (1, 3, 4)
    """

    fixed = {"mask_zero": False, "weights": None, "lora_rank": None, "lora_alpha": None, "quantization_config": None}

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.input_dim = arguments.size(self, "input_dim", input_dim)
        self.output_dim = arguments.size(self, "output_dim", output_dim)
        self.embeddings_options = weight_options(embeddings_initializer, embeddings_regularizer, embeddings_constraint)

    def build(self, input_shape: Shape) -> None:
        self.embeddings = self.add_weight("embeddings", (self.input_dim, self.output_dim), **self.embeddings_options)

    def converted(self, x: Any) -> Any:
        """Numbers of rows stay what they are: 16 bits do not hold them."""
        return x

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return F.embedding(x, self.live(self.embeddings))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape, self.output_dim)


class Lambda(Layer):
    """A function of a tensor as a layer.

    It should use no weights: such a layer could neither train nor save them; write a `Layer` with that `call`.

    Parameters
    ----------
    function : callable
        Takes a tensor, and `arguments` by name.
    output_shape : tuple, optional
        Shape of one image of the result; by default what the function makes of an image of zeros.
    arguments : dict, optional
        Further arguments of the function.
    **keywords
        `name`, `input_shape` of every layer.

    Examples
    --------
    >>> Lambda(lambda x: x * x)([[1.0, 3.0]]).numpy()
    array([[1., 9.]], dtype=float32)
    """

    fixed = {"mask": None}

    def __init__(self, function: Any, output_shape: Any = None, *, arguments: Any = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.arguments = {} if arguments is None else arguments
        if not isinstance(self.arguments, Mapping) or not all(isinstance(key, str) for key in self.arguments):
            raise checks.wrong(self, "arguments", arguments, "a dict of arguments by name")
        if not callable(function) or not checks.takes(partial(function, **self.arguments), 1):
            raise checks.wrong(self, "function", function, "a function (x)")
        self.function = function
        self.result_shape = None if output_shape is None else image_shape(self, "output_shape", output_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "output_shape": self.result_shape}

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        with changing_weights():
            y = checks.result_of(self, "function", partial(self.function, **self.arguments), x)
        return checks.tensor(self, f"what {shown(self.function)} returned", y)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return super().compute_output_shape(input_shape) if self.result_shape is None else (None, *self.result_shape)
