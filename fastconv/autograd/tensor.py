"""Tensors: arrays that remember how they were computed, and Python's operators on them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from ..foreign import is_device_array
from ..ops._reading import read_array
from ..ops.devices import as_device
from .tape import PRIMITIVES, Node, node_of, propagate


class Tensor:
    """An array that remembers how it was computed.

    Parameters
    ----------
    data : array_like
        Kept as it is if it is an ndarray; a CUDA array of any library becomes ``fastconv.to_device(data)``, on the same
        memory, and everything computed from it stays on the device.
    requires_grad : bool
        Whether `backward` shall leave a gradient in `grad`; the dtype must be a floating one.

    Examples
    --------
    >>> from fastconv.autograd import Tensor
    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> y = (x * x).sum()
    >>> y.backward()
    >>> x.grad
    array([2., 4., 6.])
    """

    __slots__ = ("_node", "grad", "requires_grad", "values")
    __array_ufunc__ = None  # array + tensor asks the tensor
    __hash__ = object.__hash__  # == compares elements; in sets and as a key a tensor is itself

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self.values: Any = data.data if isinstance(data, Tensor) else as_data(data)
        """The array itself, for reading: a result's must stay what it is until its gradient was computed."""
        if requires_grad and self.values.dtype.kind != "f":
            raise InvalidArgument(
                f"requires_grad needs floating-point data but the dtype is {self.values.dtype}; convert it"
            )
        self.grad: Any = None
        self.requires_grad = requires_grad
        self._node: Node | None = None

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

    def item(self) -> float:
        """The only element as a Python number."""
        return self.values.item()

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

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape; one size may be -1."""
        return PRIMITIVES["reshape"](
            self, shape=shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        )

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Sum over `axis`, or over everything."""
        return PRIMITIVES["sum"](self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Mean over `axis`, or over everything."""
        return PRIMITIVES["mean"](self, axis=axis, keepdims=keepdims)

    def __add__(self, other: Any) -> Tensor:
        return PRIMITIVES["add"](self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Tensor:
        return PRIMITIVES["subtract"](self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return PRIMITIVES["subtract"](other, self)

    def __mul__(self, other: Any) -> Tensor:
        return PRIMITIVES["multiply"](self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Tensor:
        return PRIMITIVES["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return PRIMITIVES["divide"](other, self)

    def __pow__(self, exponent: float) -> Tensor:
        return PRIMITIVES["power"](self, exponent=exponent)

    def __neg__(self) -> Tensor:
        return PRIMITIVES["multiply"](self, -1)

    def __matmul__(self, other: Any) -> Tensor:
        return PRIMITIVES["matmul"](self, other)

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

    def __getitem__(self, index: Any) -> Tensor:
        return PRIMITIVES["getitem"](self, index=index)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.data, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"Tensor({self.values!r}{', requires_grad=True' if self.requires_grad else ''})"


def _elementwise(compare: Callable[[Any, Any], Any], a: Tensor, b: Any) -> Tensor:
    """A comparison's truth values, through which no gradient flows."""
    return Tensor(compare(a.values, b.values if isinstance(b, Tensor) else b))


def as_data(value: Any, like: Any = None) -> Any:
    """An array-like as NumPy's array, a CUDA array of any library as `fastconv.cuda.array.Array`.

    With `like`, of its dtype and on its device, where numbers may go but host arrays may not.
    """
    there = like is not None and not isinstance(like, np.ndarray)
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
