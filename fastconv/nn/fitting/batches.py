"""Samples and labels, checked before anything is done with them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import InvalidArgument
from .. import arguments
from ..basics.arrays import as_numbers
from ..basics.unknown import fits


def as_samples(x: Any, shape: tuple[int | None, ...] | None, name: str = "x") -> np.ndarray:
    """`x` as an array of samples that fit the model's input `shape` (None, ...)."""
    x = as_numbers(x, name)
    if shape is not None and not fits(x.shape, shape):
        advice = f"; add the channel axis with {name}[..., None]" if (*x.shape[1:], 1) == shape[1:] else ""
        if x.shape == shape[1:]:
            advice = f": {name} is one sample without the batch axis; pass {name}[None]"
        raise InvalidArgument(f"{name} holds samples of shape {x.shape[1:]} but the model takes {shape[1:]}{advice}")
    if len(x) == 0:
        raise InvalidArgument(f"{name} is empty; expected at least one sample")
    return x


def check_lengths(x: np.ndarray, y: np.ndarray, x_name: str = "x") -> None:
    """As many labels as samples."""
    if len(x) != len(y):
        y_name = "y" if x_name == "x" else "its y"
        raise InvalidArgument(f"{x_name} has {len(x)} samples but {y_name} has {len(y)}; expected one label per sample")


def check_batch_size(owner: Any, batch_size: Any, default: int, name: str = "batch_size") -> int:
    """A whole number of at least 1; None means `default`."""
    return default if batch_size is None else arguments.whole(owner, name, batch_size, 1)


def split_off(arrays: Sequence[Any], share: float) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The first samples for training and the last `share` of them for validation; None stays None."""
    count = len(arrays[0])
    first = int(count * (1 - share))
    if first < 1 or first == count:
        raise InvalidArgument(f"validation_split={share} of {count} samples leaves no sample on one side")
    kept, held_out = zip(*((None, None) if a is None else (a[:first], a[first:]) for a in arrays), strict=True)
    return kept, held_out


def repeated(y: Any, shape: Any, name: str = "y") -> Any:
    """Labels that are one number for each sample, for a model with several outputs, as a row for each; with a warning.

    Keras compares the number with each of the outputs where a batch is one sample, and fails where it is not.
    """
    if len(np.shape(y)) != 1 or len(shape) != 2 or not isinstance(shape[1], int) or shape[1] < 2:
        return y
    warnings.warn(
        f"{name} holds one number for each sample but the model makes {shape[1]}: it is compared with each; give "
        f"the last layer one unit, or make {name} of shape {('N', shape[1])}",
        stacklevel=5,
    )
    return np.repeat(np.asarray(y)[:, None], shape[1], axis=1)
