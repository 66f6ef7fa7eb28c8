"""The tape: tensors, the record of what made them, and the way back.

The engine knows no operation. An operation is a `Primitive`: a forward function that returns its result and what its
gradient needs, and a VJP (vector-Jacobian product) registered in `VJPS` under its name. See `autograd.functional`.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import update_wrapper
from typing import Any

import numpy as np

from ..cuda.runtime import interop
from ..errors import InvalidArgument

VJPS: dict[str, Callable[..., tuple[Any, ...]]] = {}
"""Operation -> ``vjp(dy, needs, *saved)``: the gradients to its inputs, None where ``needs`` is False."""

PRIMITIVES: dict[str, Primitive] = {}
"""Operation -> what callers call."""

_local = threading.local()
_ids = itertools.count()


class Node:
    """One step on the tape: the operation, what its VJP needs, and the nodes its inputs came from."""

    __slots__ = ("id", "leaf", "needs", "op", "parents", "saved")

    def __init__(self, op: str, parents: tuple[Node | None, ...], saved: Any, leaf: Tensor | None = None) -> None:
        self.id = next(_ids)
        self.op = op
        self.parents = parents
        self.needs = tuple(parent is not None for parent in parents)
        self.saved = saved
        self.leaf = leaf

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Numbers of nodes are this process's, and each is given once."""
        raise InvalidArgument(
            f"a tensor that {self.op!r} computed can be neither deep-copied nor pickled with the record of how it was "
            "computed; detach() it first"
        )


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

    __slots__ = ("_node", "data", "grad", "requires_grad")
    __array_ufunc__ = None  # array + tensor asks the tensor

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self.data: Any = data.data if isinstance(data, Tensor) else as_data(data)
        if requires_grad and self.data.dtype.kind != "f":
            raise InvalidArgument(
                f"requires_grad needs floating-point data but the dtype is {self.data.dtype}; convert it"
            )
        self.grad: Any = None
        self.requires_grad = requires_grad
        self._node: Node | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the array."""
        return self.data.dtype

    def numpy(self) -> np.ndarray:
        """The array itself, not a copy; a copy of what lies on a device."""
        return self.data if isinstance(self.data, np.ndarray) else self.data.numpy()

    def item(self) -> float:
        """The only element as a Python number."""
        return self.data.item()

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
        root = _node_of(self)
        if root is None:
            raise InvalidArgument("backward() on a tensor that depends on nothing with requires_grad=True")
        if dy is None:
            if self.size != 1:
                raise InvalidArgument(f"backward() without dy needs one element but the shape is {self.shape}; pass dy")
            dy = np.ones_like(self.data)
        dy = as_data(dy, like=self.data)
        if dy.shape != self.shape:
            raise InvalidArgument(f"dy has shape {dy.shape} but the tensor has {self.shape}")
        _propagate(root, dy, retain)

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

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.data, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"Tensor({self.data!r}{', requires_grad=True' if self.requires_grad else ''})"


class Primitive:
    """A differentiable operation; made by the decorator `primitive`.

    ``forward(*inputs, **options)`` gets arrays (or numbers, or None) and returns the result and a tuple of what the VJP
    needs. Inputs are what a gradient may flow to; options are plain values.
    """

    def __init__(self, forward: Callable[..., tuple[np.ndarray, tuple[Any, ...]]], name: str | None = None) -> None:
        update_wrapper(self, forward)
        self.name = name or forward.__name__
        self.forward = forward
        PRIMITIVES[self.name] = self

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        y, saved = self.forward(*(i.data if isinstance(i, Tensor) else i for i in inputs), **options)
        result = Tensor(y)
        if is_recording():
            parents = tuple(_node_of(i) if isinstance(i, Tensor) else None for i in inputs)
            if any(parent is not None for parent in parents):
                result._node = Node(self.name, parents, saved)
                result.requires_grad = True
        return result

    def vjp(self, function: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
        """Register ``function(dy, needs, *saved)`` as this operation's VJP; use as a decorator."""
        VJPS[self.name] = function
        return function


def primitive(forward: Callable[..., tuple[np.ndarray, tuple[Any, ...]]]) -> Primitive:
    """Make a differentiable operation of a forward function; give it a VJP with ``@operation.vjp``.

    Examples
    --------
    >>> from fastconv.autograd import Tensor, primitive
    >>> @primitive
    ... def cube(x):
    ...     return x**3, (x,)
    >>> @cube.vjp
    ... def _(dy, needs, x):
    ...     return (3 * x**2 * dy,)
    >>> x = Tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> float(x.grad)
    12.0
    >>> del PRIMITIVES["cube"], VJPS["cube"]
    """
    return Primitive(forward)


def is_recording() -> bool:
    """False inside `no_grad`, in this thread."""
    return getattr(_local, "recording", True)


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing: results inside do not require a gradient, whatever their inputs do.

    Examples
    --------
    >>> from fastconv.autograd import Tensor, no_grad
    >>> x = Tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     (x + 1).requires_grad
    False
    """
    outer = is_recording()
    _local.recording = False
    try:
        yield
    finally:
        _local.recording = outer


def as_data(value: Any, like: Any = None) -> Any:
    """An array-like as NumPy's array, a CUDA array of any library as `fastconv.cuda.array.Array`.

    With `like`, of its dtype and on its device, where numbers may go but host arrays may not.
    """
    there = like is not None and not isinstance(like, np.ndarray)
    dtype = None if like is None else like.dtype
    if type(value) is np.ndarray or not interop.is_device_array(value):
        value = np.asarray(value, dtype)
        if not there:
            return value
        if value.ndim:
            raise InvalidArgument(
                f"host and device arrays are mixed: an array of shape {value.shape} is on the host; fc.to_device() it"
            )
    elif like is not None and not there:
        raise InvalidArgument("host and device arrays are mixed: the tensor is on the host; fc.to_host() the other")
    from ..cuda.array import asarray

    return asarray(value, dtype)


def _node_of(tensor: Tensor) -> Node | None:
    if tensor._node is None and tensor.requires_grad:
        return Node("leaf", (), (), tensor)
    return tensor._node


def _propagate(root: Node, dy: np.ndarray, retain: bool) -> None:
    """Visit the nodes from the last made to the first: each has then got its whole gradient."""
    gradients = {root.id: dy}
    for node in _reachable(root):
        dy = gradients.pop(node.id)
        if node.leaf is not None:
            node.leaf.grad = dy if node.leaf.grad is None else node.leaf.grad + dy
            continue
        if node.saved is None:
            raise InvalidArgument(
                f"the record of {node.op!r} was freed by an earlier backward(); call that with retain=True"
            )
        found = VJPS[node.op](dy, node.needs, *node.saved)
        if not retain:
            node.saved = None
        for parent, dx in zip(node.parents, found, strict=True):
            if parent is not None:
                gradients[parent.id] = gradients[parent.id] + dx if parent.id in gradients else dx
        del dy, found, dx


def _reachable(root: Node) -> list[Node]:
    found = {root.id: root}
    waiting = [root]
    while waiting:
        for parent in waiting.pop().parents:
            if parent is not None and parent.id not in found:
                found[parent.id] = parent
                waiting.append(parent)
    return [found[key] for key in sorted(found, reverse=True)]
