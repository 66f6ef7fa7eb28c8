"""Symbolic tensors: what layers are called on before there are numbers, and the record of these calls.

``keras.Input((28, 28, 1))`` is a symbolic tensor; a layer, or an operator, gives of symbolic tensors another one, which
knows the `Call` that makes it. A model is what lies between some of them (`fastconv.nn.modelling.graph`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np

from ...autograd import Tensor
from ...autograd.methods import Methods
from ...errors import InvalidArgument, shown
from ...ops.halves import is_half
from ..basics.structures import leaves, mapped, mapped_shapes

if TYPE_CHECKING:
    from .calling import Calling

Shape = tuple[int | None, ...]


class SymbolicTensor(Methods):
    """A value that a graph of layers takes or makes: its shape and dtype, and the call that makes it.

    Made by `fastconv.nn.Input`, and by layers, operators and the functions of `autograd.functional` that are given
    one. Keras calls it KerasTensor.

    Attributes
    ----------
    shape : tuple
        Begins with None, the batch.
    dtype : dtype
    made_by : Call
        The layer, and what it was called on.

    Examples
    --------
    >>> from fastconv import nn as keras
    >>> x = keras.Input((4,))
    >>> y = keras.layers.Dense(2)(x) * 2
    >>> y.shape
    (None, 2)
    >>> keras.Model(x, y).predict(np.ones((3, 4)), verbose=0).shape
    (3, 2)
    """

    __slots__ = ("dtype", "made_by", "shape")
    __array_ufunc__ = None  # array + symbol is the symbol's to compute

    def __init__(self, shape: Shape, dtype: Any, made_by: Call) -> None:
        self.shape: Shape = tuple(shape)  # type: ignore[assignment, misc]
        self.dtype = np.dtype(dtype)
        self.made_by = made_by

    @property
    def ndim(self) -> int:
        """Number of axes, the batch's included."""
        return len(self.shape)

    @property
    def name(self) -> str:
        """Name of the layer that makes it."""
        return self.made_by.layer.name

    on_operation: ClassVar[Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Any]]
    """What answers for an operation of `autograd`: `fastconv.nn.layers.operations`, which makes a layer of it."""

    def __fastconv_operation__(self, operation: Any, inputs: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        return type(self).on_operation(operation, inputs, options)

    comparisons: ClassVar[Mapping[str, Callable[..., Any]]]
    """What compares, and joins what was compared, by name: those of `fastconv.nn.layers.operations`."""

    def __gt__(self, other: Any) -> Any:
        return self.comparisons["greater"](self, other)

    def __ge__(self, other: Any) -> Any:
        return self.comparisons["greater_equal"](self, other)

    def __lt__(self, other: Any) -> Any:
        return self.comparisons["less"](self, other)

    def __le__(self, other: Any) -> Any:
        return self.comparisons["less_equal"](self, other)

    def __and__(self, other: Any) -> Any:
        return self.comparisons["logical_and"](self, other)

    def __or__(self, other: Any) -> Any:
        return self.comparisons["logical_or"](self, other)

    def __invert__(self) -> Any:
        return self.comparisons["logical_not"](self)

    __rand__, __ror__ = __and__, __or__

    __fastconv_function__ = Tensor.__fastconv_function__  # fc.conv2d(symbol, w) is the operation of that name

    def __array__(self, *given: Any, **options: Any) -> NoReturn:
        raise InvalidArgument(
            f"a symbolic tensor of shape {self.shape} has no numbers: make a model, keras.Model(inputs, outputs), and "
            "call that on an array"
        )

    def numpy(self) -> NoReturn:
        """Refused: there are no numbers yet."""
        self.__array__()

    @property
    def data(self) -> NoReturn:
        """Refused: there are no numbers yet."""
        self.__array__()

    def __bool__(self) -> NoReturn:
        self.__array__()

    def __len__(self) -> NoReturn:
        raise TypeError("len() of a symbolic tensor: the number of samples is not known")

    def __iter__(self) -> NoReturn:
        raise TypeError("a symbolic tensor cannot be iterated over: the number of samples is not known")

    def __repr__(self) -> str:
        return f"<SymbolicTensor {self.name!r}: {self.shape}, {self.dtype}>"


class Call:
    """A layer that was called on symbolic tensors: one place in a graph.

    Attributes
    ----------
    layer : Layer
    args, options : tuple, dict
        What it was called with; symbolic tensors may lie in lists, tuples and dicts there.
    outputs : SymbolicTensor, or a structure of them
    training : bool or None
        Whether the layer is always, or never, in training here.
    """

    __slots__ = ("args", "layer", "options", "outputs", "training")

    def __init__(
        self,
        layer: Calling,
        args: tuple[Any, ...],
        options: dict[str, Any],
        shapes: Any,
        dtype: Any,
        training: bool | None = None,
    ) -> None:
        self.layer: Any = layer
        self.args, self.options, self.training = args, options, training
        self.outputs: Any = mapped_shapes(lambda shape: SymbolicTensor(shape, dtype, self), shapes)

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic tensors among the arguments, in order."""
        return symbols_in((self.args, self.options))


def is_symbolic(value: Any) -> bool:
    """Whether a value is, or holds, a symbolic tensor."""
    return isinstance(value, SymbolicTensor) or (
        isinstance(value, (list, tuple, dict)) and any(isinstance(item, SymbolicTensor) for item in leaves(value))
    )


def symbols_in(value: Any) -> list[SymbolicTensor]:
    """The symbolic tensors in a structure, in order."""
    return [item for item in leaves(value) if isinstance(item, SymbolicTensor)]


def dtype_of(symbols: Sequence[SymbolicTensor]) -> np.dtype:
    """The dtype that values of these dtypes are computed in together."""
    dtypes = {s.dtype for s in symbols}
    if sum(map(is_half, dtypes)) > 1:  # for float16 and bfloat16 NumPy knows none
        dtypes.add(np.dtype(np.float32))
        dtypes = {dtype for dtype in dtypes if not is_half(dtype)}
    return np.result_type(*dtypes)


def recorded(
    layer: Calling,
    args: tuple[Any, ...],
    options: dict[str, Any],
    shapes: Any,
    dtype: Any,
    training: bool | None = None,
) -> Any:
    """Note down that a layer was called; returns the symbolic tensors, of these shapes, that it makes."""
    call = Call(layer, args, options, shapes, dtype, training)
    layer._calls = (*layer._calls, call)
    return call.outputs


def only_call(layer: Calling) -> Call:
    """Where a layer stands, in the graph or model that it is in: the call whose input and output are the layer's."""
    homes = [home for home in (ref() for ref in layer._homes) if home is not None]
    calls = [*layer._calls, *filter(None, (home.call_of(layer) for home in homes))]
    if len(calls) == 1:
        return calls[0]
    if calls:
        raise InvalidArgument(
            f"layer {shown(layer.name)} is used in {len(calls)} places, each with an input and an output of its own: "
            "keep what the layer returned when it was called, or make the model of the inputs of the one that is meant"
        )
    raise InvalidArgument(
        f"layer {shown(layer.name)} has no input or output yet: call it on a symbolic tensor, such as "
        "keras.Input(shape), or put it into a Sequential model whose input shape is known"
    )


def zeros_for(value: Any, samples: int = 1, unknown: int = 1) -> Any:
    """Arguments with tensors of zeros in place of symbolic ones and tensors: what shapes are found out with."""

    def zeros(item: Any) -> Any:
        if not isinstance(item, (SymbolicTensor, Tensor)):
            return item
        return Tensor(np.zeros((samples, *(n or unknown for n in item.shape[1:])), item.dtype))

    return mapped(zeros, value)
