"""Tensors: arrays that remember how they were computed, and Python's operators on them."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from ..foreign import is_device_array
from ..ops._reading import read_array
from ..ops.devices import as_device
from ..ops.halves import is_floating
from ..spec import parse_flag
from . import numpy_protocols
from .axes import axes_of
from .methods import Methods
from .tape import ANSWERS, PRIMITIVES, Node, is_recording, node_of, propagate


class Tensor(Methods):
    """An array that remembers how it was computed.

    Parameters
    ----------
    data : array_like
        Kept as it is if it is an ndarray; a CUDA array of any library becomes ``fastconv.to_device(data)``, on the same
        memory, and everything computed from it stays on the device.
    requires_grad : bool
        Whether `backward` shall leave a gradient in `grad`; the dtype must be a floating one.

    Attributes
    ----------
    grad : array or None
        What `backward` has added up; `zero_grad` takes it away.

    Notes
    -----
    Operators, methods and the functions of `autograd.functional` remember what gradients need, those of ``fastconv``
    too where a tensor is given: ``fc.conv2d(x, w)``. So do NumPy's where there is an operation of that name,
    ``np.exp(x)``; others raise an error instead of losing the gradient. Binary operations broadcast. ``t += ...``
    changes the array itself of a constant, and inside `no_grad` of a leaf; a result becomes another tensor.

    Examples
    --------
    >>> from fastconv.autograd import Tensor
    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> y = (x * x).sum()
    >>> y.backward()
    >>> x.grad
    array([2., 4., 6.])
    >>> x.zero_grad()
    >>> x[x > 1.5].relu().max().backward()
    >>> x.grad
    array([0., 0., 1.])
    """

    __slots__ = ("_node", "_requires_grad", "grad", "values", "version")
    __hash__ = object.__hash__  # == compares elements; in sets and as a key a tensor is itself

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self.values: Any = data.data if isinstance(data, Tensor) else as_data(data)
        """The array itself, for reading: a result's must stay what it is until its gradient was computed."""
        self.grad: Any = None
        self.version = 0  # how often the array was changed or replaced by what knows of tensors
        self._node: Node | None = None
        self._requires_grad = False
        if requires_grad:
            self.requires_grad = requires_grad

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this tensor: a leaf, where it may be set, or a result of such."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        value = parse_flag(value, "requires_grad")
        if self._node is not None and not value:
            raise InvalidArgument("the tensor is a result of what requires a gradient; detach() gives it without one")
        if value and not is_floating(self.values.dtype):
            raise InvalidArgument(
                f"requires_grad needs floating-point data but the dtype is {self.values.dtype}; convert it"
            )
        self._requires_grad = value

    @property
    def data(self) -> Any:
        """The array: the very one that the tensor was made of, or of a recorded result a view that is read-only.

        On a device the array of a recorded result is a copy.
        """
        if self._node is None:
            return self.values
        if not isinstance(self.values, np.ndarray):
            return self.values.copy()
        view = self.values.view()
        view.flags.writeable = False
        return view

    @data.setter
    def data(self, array: Any) -> None:
        array = as_data(array)
        self.values = array if self._node is None else array.copy()  # what a result is made of is the tape's own
        self.version += 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.values.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.values.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.values.size

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the array."""
        return self.values.dtype

    def numpy(self) -> np.ndarray:
        """`data`, not a copy of it; a copy of what lies on a device."""
        return self.data if isinstance(self.values, np.ndarray) else self.values.numpy()

    def item(self) -> Any:
        """The only element as a Python number."""
        if self.size != 1:
            raise InvalidArgument(f"item() is for a tensor of one element but the shape is {self.shape}")
        return self.values.item()

    def tolist(self) -> Any:
        """Lists of Python numbers."""
        return self.numpy().tolist()

    def detach(self) -> Tensor:
        """The same array without its history."""
        return Tensor(self.data)

    def backward(self, dy: Any = None, *, retain: bool = False) -> None:
        """Add the gradient of this tensor to ``grad`` of every leaf that requires one.

        Parameters
        ----------
        dy : array_like, optional
            Gradient of the final result to this tensor; left out, this tensor is the result and must have one element.
        retain : bool
            Keep what the gradients need, so that `backward` can be called again; otherwise memory is freed on the way.

        Raises
        ------
        InvalidArgument
            Nothing here requires a gradient; `dy` is missing or has the wrong shape; the record was already freed.
        """
        root = node_of(self)
        if root is None:
            raise InvalidArgument("backward() on a tensor that depends on nothing with requires_grad=True")
        if dy is None:
            if self.size != 1:
                raise InvalidArgument(f"backward() without dy needs one element but the shape is {self.shape}; pass dy")
            dy = np.ones_like(self.values)
        dy = as_data(dy, like=self.values)
        if dy.shape != self.shape:
            raise InvalidArgument(f"dy has shape {dy.shape} but the tensor has {self.shape}")
        propagate(root, dy, retain)

    def zero_grad(self) -> None:
        """Forget the gradient: the next `backward` begins anew instead of adding to it."""
        self.grad = None

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` of a leaf, and return it."""
        self.requires_grad = requires_grad
        return self

    def argmax(self, axis: int | None = None) -> Tensor:
        """Where the first largest element is, along `axis` or counted along all; no gradient flows."""
        return self._located(np.argmax, axis)

    def argmin(self, axis: int | None = None) -> Tensor:
        """Where the first smallest element is, along `axis` or counted along all; no gradient flows."""
        return self._located(np.argmin, axis)

    def _located(self, find: Callable[..., Any], axis: Any) -> Tensor:
        if axis is not None:
            axis = axes_of(axis, self.ndim)
            if len(axis) != 1:
                raise InvalidArgument(f"axis is {shown(axis)}; expected one axis, or None for all")
        if 0 in (self.shape if axis is None else self.shape[axis[0] : axis[0] + 1]):
            raise InvalidArgument(f"a tensor of shape {self.shape} has no elements there, so none is the extreme one")
        return Tensor(find(self.values, axis=None if axis is None else axis[0]))

    def __iadd__(self, other: Any) -> Tensor:
        return self._in_place(operator.add, np.add, other, "+=")

    def __isub__(self, other: Any) -> Tensor:
        return self._in_place(operator.sub, np.subtract, other, "-=")

    def __imul__(self, other: Any) -> Tensor:
        return self._in_place(operator.mul, np.multiply, other, "*=")

    def __itruediv__(self, other: Any) -> Tensor:
        return self._in_place(operator.truediv, np.divide, other, "/=")

    def _in_place(self, anew: Callable[..., Any], write: Callable[..., Any], other: Any, sign: str) -> Tensor:
        """Change the array itself, which no operation may be recorded for; a result becomes another tensor."""
        traced = isinstance(other, Tensor) and other.requires_grad
        if is_recording() and (self._node is not None or (traced and not self.requires_grad)):
            return anew(self, other)
        if self._node is not None or (self.requires_grad and is_recording()):
            raise InvalidArgument(
                f"t {sign} ... would change what gradients are computed from: "
                + ("t is a result; " if self._node is not None else "t requires a gradient; ")
                + f"write t = t {sign[0]} ..., or, for a step of a weight, `with no_grad():` before it"
            )
        value = other.values if isinstance(other, Tensor) else other
        try:
            write(self.values, value, out=self.values)
        except (TypeError, ValueError) as error:  # of another shape or dtype, or read-only
            raise InvalidArgument(
                f"a tensor of shape {self.shape} and dtype {self.dtype} cannot be changed by {sign} {shown(value)}: "
                f"{shown(error, 200)}; write t = t {sign[0]} ..."
            ) from None
        self.version += 1
        return self

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return _elementwise(operator.eq, self, other)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return _elementwise(operator.ne, self, other)

    def __lt__(self, other: Any) -> Tensor:
        return _elementwise(operator.lt, self, other)

    def __le__(self, other: Any) -> Tensor:
        return _elementwise(operator.le, self, other)

    def __gt__(self, other: Any) -> Tensor:
        return _elementwise(operator.gt, self, other)

    def __ge__(self, other: Any) -> Tensor:
        return _elementwise(operator.ge, self, other)

    def __and__(self, other: Any) -> Tensor:
        return _elementwise(operator.and_, self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Tensor:
        return _elementwise(operator.or_, self, other)

    __ror__ = __or__

    def __invert__(self) -> Tensor:
        return Tensor(~self.values)

    def __bool__(self) -> bool:
        if self.size != 1:
            raise InvalidArgument(
                f"a tensor of shape {self.shape} is neither true nor false: comparisons are elementwise; ask "
                "t.numpy().all() or .any(), and `t is other` whether two tensors are the same"
            )
        return bool(self.values)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return numpy_protocols.ufunc(Tensor, ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return numpy_protocols.function(Tensor, function, args, options)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.data, dtype=dtype, copy=copy)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __format__(self, form: str) -> str:
        """A tensor of one element as a number is written: ``f"{loss:.4f}"``."""
        return format(self.item() if form and self.size == 1 else str(self), form)

    def __fastconv_function__(self, function: Callable[..., Any], given: dict[str, Any]) -> Any:
        """What one of fastconv's functions of arrays gives for tensors: its operation, which remembers (NEP 18's way).

        `function` was called with the arguments `given`, by name, those that were left out with their defaults.
        """
        name = function.__name__
        answer = ANSWERS.get(name) or PRIMITIVES.get(name)
        if answer is None:
            raise InvalidArgument(
                f"{name} has no gradient, and an argument is a tensor, which it would lose: pass its array, t.numpy()"
            )
        defaults = {n: p.default for n, p in inspect.signature(function).parameters.items()}
        return answer(**{n: value for n, value in given.items() if value is not defaults[n]})

    def __repr__(self) -> str:
        return f"Tensor({self.values!r}{', requires_grad=True' if self.requires_grad else ''})"


def _elementwise(compare: Callable[[Any, Any], Any], a: Tensor, b: Any) -> Tensor:
    """A comparison's truth values, through which no gradient flows."""
    return Tensor(compare(a.values, b.values if isinstance(b, Tensor) else b))


def as_data(value: Any, like: Any = None) -> Any:
    """An array-like as NumPy's array, a CUDA array of any library as `fastconv.cuda.array.Array`.

    With `like`, of its dtype and on its device, where numbers may go but host arrays may not.
    """
    there = like is not None and not isinstance(like, (np.ndarray, np.generic))
    dtype = None if like is None else like.dtype
    if type(value) is np.ndarray or not is_device_array(value):
        value = np.asarray(read_array(value, "data"), dtype)
        if not there:
            return value
        if value.ndim:
            raise InvalidArgument(
                f"host and device arrays are mixed: an array of shape {value.shape} is on the host; fc.to_device() it"
            )
    elif like is not None and not there:
        raise InvalidArgument("host and device arrays are mixed: the tensor is on the host; fc.to_host() the other")
    return as_device(value, dtype)
