"""Labels and outputs as arrays: read once, brought to one rank, and refused where they would only broadcast."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import InvalidArgument
from .. import arguments

Sizes = tuple[int, ...]


def as_numbers(value: Any, name: str) -> np.ndarray:
    """Anything like an array of numbers, with one row per sample."""
    array = arguments.host_array(None, name, value)
    if array.ndim == 0:
        raise InvalidArgument(
            f"{name} has shape {array.shape} and dtype {array.dtype}; expected an array of numbers, one row per sample"
        )
    return array


def same_length(y_true: np.ndarray, y_pred: np.ndarray) -> None:
    """As many labels as outputs."""
    if len(y_true) != len(y_pred):
        raise InvalidArgument(f"y_true has {len(y_true)} samples but y_pred has {len(y_pred)}")


def one_rank(y_true: Sizes, y_pred: Sizes) -> tuple[Sizes, Sizes]:
    """The shapes at which labels and outputs are compared, where one has a last axis of size 1 that the other lacks.

    As in Keras: of (N,) and (N, 1) the first gets the axis, of (N, H) and (N, H, 1) the second loses it.

    >>> one_rank((8,), (8, 1)), one_rank((8, 5, 1), (8, 5)), one_rank((8,), (8, 3))
    (((8, 1), (8, 1)), ((8, 5), (8, 5)), ((8,), (8, 3)))
    """
    short, long = sorted((y_true, y_pred), key=len)
    if len(long) != len(short) + 1 or long[-1] != 1:
        return y_true, y_pred
    if len(short) == 1:
        short = (*short, 1)
    else:
        long = long[:-1]
    return (short, long) if len(y_true) < len(y_pred) else (long, short)


def host_pair(y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels and outputs as NumPy's arrays, of whatever shape."""
    return arguments.host_array(None, "y_true", y_true), arguments.host_array(None, "y_pred", y_pred)


def aligned(y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels and outputs at the shapes of `one_rank`."""
    y_true, y_pred = host_pair(y_true, y_pred)
    true, pred = one_rank(y_true.shape, y_pred.shape)
    return y_true.reshape(true), y_pred.reshape(pred)


def matched(y_true: Any, y_pred: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
    """`aligned` labels and outputs, which must then have one shape."""
    y_true, y_pred = aligned(as_numbers(y_true, "y_true"), as_numbers(y_pred, "y_pred"))
    if y_true.shape != y_pred.shape:
        raise InvalidArgument(
            f"{what} compares arrays of one shape but y_true has {y_true.shape} and y_pred has {y_pred.shape}"
        )
    return y_true, y_pred
