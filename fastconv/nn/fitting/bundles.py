"""Arrays that belong together row by row: the samples of a model with several inputs, the labels of several outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...errors import InvalidArgument
from ..basics.structures import leaves, mapped


class Bundle:
    """A list, tuple or dict of arrays that are cut into batches together; None for what there is not.

    Parameters
    ----------
    arrays : structure of arrays
    name : str
        What messages call it.

    Examples
    --------
    >>> pair = Bundle([np.arange(3), np.eye(3)])
    >>> len(pair), pair[:2].arrays[0].tolist()
    (3, [0, 1])
    """

    def __init__(self, arrays: Any, name: str = "x") -> None:
        self.arrays = arrays
        lengths = [len(a) for a in self.present]
        if len(set(lengths)) > 1:
            raise InvalidArgument(
                f"the arrays of {name} have {', '.join(map(str, lengths))} rows; expected equal numbers"
            )

    @property
    def present(self) -> list[Any]:
        """The arrays that there are, in order."""
        return [a for a in leaves(self.arrays) if a is not None]

    def map(self, function: Callable[[Any], Any]) -> Bundle:
        """The bundle of what a function makes of each array."""
        return Bundle(mapped(lambda a: None if a is None else function(a), self.arrays))

    def __len__(self) -> int:
        return len(self.present[0])

    def __getitem__(self, which: Any) -> Bundle:
        return self.map(lambda a: a[which])

    def astype(self, dtype: Any, copy: bool = False) -> Bundle:
        """Each array as one of a dtype, or of its own among several."""
        dtypes = iter(dtype if isinstance(dtype, list) else [dtype] * len(self.present))
        return self.map(lambda a: a.astype(next(dtypes), copy=copy))

    @property
    def dtype(self) -> np.dtype:
        """That of the first array."""
        return self.present[0].dtype

    @property
    def shape(self) -> Any:
        """The shapes, in the structure of the arrays."""
        return mapped(lambda a: None if a is None else a.shape, self.arrays)


def arrays_of(value: Any) -> list[Any]:
    """The arrays of a bundle, or the array itself."""
    return value.present if isinstance(value, Bundle) else [value]


def each(function: Callable[[Any], Any], value: Any) -> Any:
    """A function of an array, or of each of a bundle."""
    return value.map(function) if isinstance(value, Bundle) else function(value)


def structure_of(function: Callable[[Any], Any], value: Any) -> Any:
    """A function of an array, or the structure of what it makes of each of a bundle."""
    return value.map(function).arrays if isinstance(value, Bundle) else function(value)


def as_bundle(value: Any, name: str = "x") -> Any:
    """Arrays in a list, tuple or dict as a bundle; anything else as it is."""
    return Bundle(value, name) if holds_arrays(value) else value


def holds_arrays(value: Any) -> bool:
    """Whether a value is a list, tuple or dict that holds arrays or tensors."""
    return isinstance(value, (list, tuple, dict)) and any(
        isinstance(item, (np.ndarray, Tensor)) or hasattr(item, "__cuda_array_interface__") for item in leaves(value)
    )
