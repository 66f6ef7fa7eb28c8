"""Helpers around training: labels as vectors, seeds, images in files and folders."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InvalidArgument
from ..memory import check_room
from . import arguments
from .basics.seeding import set_random_seed
from .configs import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from .configs import deserialize as deserialize_keras_object
from .configs import serialize as serialize_keras_object
from .fitting.loaders import PyDataset
from .modelling.plotting import plot_model
from .pictures.folders import image_dataset_from_directory
from .pictures.images import array_to_img, img_to_array, load_img, save_img

CustomObjectScope = custom_object_scope
Sequence = PyDataset

__all__ = [
    "CustomObjectScope",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "image_dataset_from_directory",
    "img_to_array",
    "load_img",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "to_categorical",
]


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Turn class numbers into rows with a single 1 ("one-hot").

    Parameters
    ----------
    x : array_like of integers
        Class numbers from 0; a last axis of size 1 is dropped.
    num_classes : int, optional
        Length of the rows; by default the largest number + 1.

    Returns
    -------
    ndarray, float32, shape of x + (num_classes,)

    Raises
    ------
    InvalidArgument
        A label is negative, not a whole number, NaN, or too large.

    Examples
    --------
    >>> to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    if num_classes is not None:
        num_classes = arguments.size("to_categorical", "num_classes", num_classes)
    labels = class_numbers(arguments.host_array(None, "x", x), num_classes, "x")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    classes = num_classes if num_classes is not None else int(labels.max(initial=-1)) + 1
    check_room(4 * labels.size * classes, f"an array of {labels.size:,} rows of {classes:,} classes")
    rows = np.zeros((labels.size, classes), np.float32)
    rows[np.arange(labels.size), labels.reshape(-1)] = 1
    return rows.reshape(*labels.shape, classes)


def class_numbers(y: np.ndarray, classes: int | None, name: str) -> np.ndarray:
    """Labels as int64; every fault is an `InvalidArgument` that says where the first bad label is."""
    if y.dtype.kind not in "iufb":
        raise InvalidArgument(f"{name} has dtype {y.dtype}; expected class numbers")
    allowed = "whole numbers of at least 0" if classes is None else f"whole numbers from 0 to {classes - 1}"
    classes = arguments.LARGEST if classes is None else classes
    if y.dtype.kind in "iu" and y.size and int(y.min()) >= 0 and int(y.max()) < classes:  # the usual case, quickly
        return y.astype(np.int64, copy=False)
    bad = ~np.isfinite(y) | (y < 0) | (y != np.floor(y)) if y.dtype.kind == "f" else y < 0
    bad = bad | (y >= classes)
    refuse_bad(y, bad, name, allowed)
    return y.astype(np.int64, copy=False)


def refuse_bad(y: np.ndarray, bad: np.ndarray, name: str, allowed: str) -> None:
    """Raise if any element of `bad` is True."""
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        place = where[0] if len(where) == 1 else where
        count = int(bad.sum())
        raise InvalidArgument(f"{name}[{place}] is {y[where]}; labels must be {allowed} ({count} of {y.size} are not)")
