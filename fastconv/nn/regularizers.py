"""What is added to the loss for large weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Tensor
from ..autograd import functional as F
from ..errors import InvalidArgument, shown
from . import arguments
from .configs import Configured, resolved
from .modelling.placing import carrier, device_of


class Regularizer(Configured):
    """Base of all regularizers: ``regularizer(w)`` is a tensor of one element, which is added to the loss."""

    family = "regularizers"


class L1L2(Regularizer):
    """l1 * sum(abs(w)) + l2 * sum(w*w).

    Examples
    --------
    >>> import numpy as np
    >>> L1L2(l1=1.0, l2=0.5)(Tensor(np.array([-2.0, 1.0]))).item()
    5.5
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = arguments.real(self, "l1", l1, 0), arguments.real(self, "l2", l2, 0)

    def __call__(self, w: Tensor) -> Tensor:
        """The penalty as a tensor of one element."""
        return F.penalty(arguments.tensor(self, "w", w), l1=self.l1, l2=self.l2)


class L1(L1L2):
    """l1 * sum(abs(w))."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


class L2(L1L2):
    """l2 * sum(w*w)."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


class OrthogonalRegularizer(Regularizer):
    """Half of `factor` times the sum of the absolute cosines between any two rows, or columns, of a matrix, per pair.

    Parameters
    ----------
    factor : float
    mode : {"rows", "columns"}

    Examples
    --------
    >>> import numpy as np
    >>> round(OrthogonalRegularizer(1.0)(Tensor(np.array([[3.0, 4.0], [1.0, 0.0]]))).item(), 6)
    0.6
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = arguments.real(self, "factor", factor, 0)
        self.mode = arguments.choice(self, "mode", mode, ("rows", "columns"))

    def __call__(self, w: Tensor) -> Tensor:
        """The penalty as a tensor of one element."""
        w = arguments.tensor(self, "w", w)
        if w.ndim != 2:
            raise InvalidArgument(f"`OrthogonalRegularizer`: w has shape {w.shape}; expected a matrix")
        w = w if self.mode == "rows" else F.transpose(w)
        w = w / F.sqrt(F.maximum(F.sum(w * w, axis=1, keepdims=True), 1e-12))
        n = w.shape[0]
        others = F.absolute(F.matmul(w, w, transpose_b=True) * _off_diagonal(w))
        return F.sum(others) * (self.factor / max(1, n * (n - 1)))


def _off_diagonal(w: Tensor) -> Any:
    """1 for any two rows of w, 0 for a row and itself."""
    return carrier(device_of(w.values))(1 - np.eye(w.shape[0], dtype=w.dtype))


l1, l2, l1_l2 = L1, L2, L1L2
orthogonal_regularizer = OrthogonalRegularizer

KNOWN: dict[str, Any] = {"l1": L1, "l2": L2, "l1_l2": L1L2, "orthogonal_regularizer": OrthogonalRegularizer}
KNOWN |= {kind.__name__: kind for kind in (L1, L2, L1L2, OrthogonalRegularizer)}


def get(identifier: Any) -> Any:
    """A regularizer from None, a name, or anything callable with a tensor."""
    return arguments.of_weights("regularizer", resolved(identifier), KNOWN)


def penalty(regularizer: Any, w: Tensor) -> Tensor:
    """What a regularizer, fastconv's or a user's, says of a weight: a tensor of one element."""
    value = arguments.result_of("regularizers.get", "the regularizer", regularizer, w)
    if not isinstance(value, Tensor) or value.size != 1:
        raise InvalidArgument(
            f"the regularizer {shown(regularizer)} returned {shown(value)}; expected a tensor of one number"
        )
    return value
