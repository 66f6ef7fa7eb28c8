"""What a tensor can do by itself: operators and methods, each the operation of that name in `autograd.functional`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import InvalidArgument
from .tape import PRIMITIVES


class Methods:
    """Base of `Tensor`: the operations, found by name, for they know tensors themselves."""

    __slots__ = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        raise NotImplementedError

    def reshape(self, *shape: Any) -> Any:
        """The same elements in another shape; one size may be -1."""
        return PRIMITIVES["reshape"](self, shape=_several(shape))

    def flatten(self) -> Any:
        """All elements along one axis. (`functional.flatten` keeps the batch.)"""
        return self.reshape(-1)

    def transpose(self, *axes: Any) -> Any:
        """The axes in another order, reversed if none is given."""
        return PRIMITIVES["transpose"](self, axes=_several(axes) if axes else None)

    @property
    def T(self) -> Any:
        """The axes in reversed order."""
        return self.transpose()

    def expand(self, *shape: Any) -> Any:
        """Repeated along axes of size 1, and along new ones in front; -1 keeps a size."""
        return PRIMITIVES["expand"](self, shape=_several(shape))

    def squeeze(self, axis: Any = None) -> Any:
        """Without the axes of size 1, or without those named."""
        return PRIMITIVES["squeeze"](self, axis=axis)

    def unsqueeze(self, axis: Any) -> Any:
        """With a new axis of size 1 at each place of the result that `axis` names."""
        return PRIMITIVES["unsqueeze"](self, axis=axis)

    def astype(self, dtype: Any) -> Any:
        """The same numbers in another dtype."""
        return PRIMITIVES["astype"](self, dtype=dtype)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Sum over `axis`, or over everything."""
        return PRIMITIVES["sum"](self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Mean over `axis`, or over everything."""
        return PRIMITIVES["mean"](self, axis=axis, keepdims=keepdims)

    def var(self, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
        """Variance over `axis`, or over everything: the sum of squares over n - ddof."""
        return PRIMITIVES["var"](self, axis=axis, ddof=ddof, keepdims=keepdims)

    def std(self, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
        """Square root of `var`."""
        return PRIMITIVES["std"](self, axis=axis, ddof=ddof, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Largest element over `axis`, or over everything."""
        return PRIMITIVES["max"](self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Smallest element over `axis`, or over everything."""
        return PRIMITIVES["min"](self, axis=axis, keepdims=keepdims)

    def clip(self, low: float | None = None, high: float | None = None) -> Any:
        """Brought into [low, high]."""
        return PRIMITIVES["clip"](self, low=low, high=high)

    def exp(self) -> Any:
        """Exponential function."""
        return PRIMITIVES["exp"](self)

    def log(self) -> Any:
        """Natural logarithm."""
        return PRIMITIVES["log"](self)

    def sqrt(self) -> Any:
        """Square root."""
        return PRIMITIVES["sqrt"](self)

    def abs(self) -> Any:
        """Absolute value."""
        return PRIMITIVES["absolute"](self)

    __abs__ = abs

    def relu(self) -> Any:
        """max(x, 0)."""
        return PRIMITIVES["relu"](self)

    def sigmoid(self) -> Any:
        """1/(1 + exp(-x))."""
        return PRIMITIVES["sigmoid"](self)

    def tanh(self) -> Any:
        """Hyperbolic tangent."""
        return PRIMITIVES["tanh"](self)

    def softmax(self, axis: int = -1) -> Any:
        """exp(x) over its sum along `axis`."""
        return PRIMITIVES["softmax"](self, axis=axis)

    def __add__(self, other: Any) -> Any:
        return PRIMITIVES["add"](self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return PRIMITIVES["subtract"](self, other)

    def __rsub__(self, other: Any) -> Any:
        return PRIMITIVES["subtract"](other, self)

    def __mul__(self, other: Any) -> Any:
        return PRIMITIVES["multiply"](self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return PRIMITIVES["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return PRIMITIVES["divide"](other, self)

    def __pow__(self, exponent: Any) -> Any:
        return PRIMITIVES["power"](self, exponent)

    def __rpow__(self, base: Any) -> Any:
        return PRIMITIVES["power"](base, self)

    def __neg__(self) -> Any:
        return PRIMITIVES["multiply"](self, -1)

    def __pos__(self) -> Any:
        return self

    def __matmul__(self, other: Any) -> Any:
        return PRIMITIVES["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return PRIMITIVES["matmul"](other, self)

    def __getitem__(self, index: Any) -> Any:
        return PRIMITIVES["getitem"](self, index=index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise InvalidArgument(
            "elements of a tensor are not set one by one, for what was computed from them would no longer follow; "
            "choose by functional.where(condition, a, b), or write to the array, t.data[...], before it is used"
        )

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a tensor without axes")
        return self.shape[0]


def _several(given: tuple[Any, ...]) -> Any:
    """Sizes or axes that were given one by one, or as one tuple."""
    return given[0] if len(given) == 1 and not hasattr(given[0], "__index__") else given
