"""Weights of samples: those that were given, and those that follow from the samples' classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ... import ops
from ...autograd import Tensor
from ...errors import InvalidArgument
from .. import arguments
from ..basics.structures import leaves
from ..utils import refuse_bad
from .bundles import Bundle


def sample_weights(owner: str, given: Any, y: np.ndarray, name: str = "sample_weight") -> np.ndarray | None:
    """The weights of samples with labels `y`, checked; None where there are none."""
    if given is None:
        return None
    if isinstance(y, Bundle):  # of several outputs: weights for each, or the same for all
        several = isinstance(given, dict) or (isinstance(given, (list, tuple)) and len(given) == len(leaves(y.arrays)))
        one_each = list(given.values() if isinstance(given, dict) else given) if several else [given] * len(y.present)
        pairs = zip(one_each, leaves(y.arrays), strict=True)
        return Bundle([sample_weights(owner, one, label, name) for one, label in pairs], name)
    weights = arguments.host_array(owner, name, given)
    if weights.ndim == 0 or len(weights) != len(y):
        raise InvalidArgument(
            f"{name} has shape {weights.shape} but there are {len(y)} samples; expected one weight for each"
        )
    weights = weights.astype(np.result_type(weights.dtype, np.float32), copy=False)
    refuse_bad(weights, ~np.isfinite(weights), name, "finite numbers")
    return weights


def class_weights(owner: str, given: Any) -> dict[int, float] | None:
    """A weight for each class, by its number: a dict, or a list of all."""
    if given is None:
        return None
    expected = "a dict of class numbers and weights, such as {0: 1.0, 1: 5.0}"
    if not isinstance(given, Mapping):
        given = dict(enumerate(arguments.items(owner, "class_weight", given, expected)))
    return {
        arguments.whole(owner, "class_weight's key", key, 0): arguments.real(owner, f"class_weight[{key!r}]", weight)
        for key, weight in given.items()
    }


def by_class(y: np.ndarray, of_classes: Mapping[int, float]) -> np.ndarray:
    """The weight of each sample by its class; 1 for classes without one.

    Examples
    --------
    >>> by_class(np.array([0, 2, 1]), {1: 5.0, 2: 0.5})
    array([1. , 0.5, 5. ], dtype=float32)
    """
    if isinstance(y, Bundle):
        raise InvalidArgument("class_weight is for models with one output; pass sample_weight, one for each")
    if y.ndim > 1:
        y = y[..., 0] if y.shape[-1] == 1 else y.argmax(axis=-1)
    numbers = np.round(y).astype(np.int64)
    table = np.ones(max([int(numbers.max(initial=0)), *of_classes]) + 1, np.float32)
    table[list(of_classes)] = list(of_classes.values())
    return table[numbers]


def beside(weights: Any, shape: tuple[int, ...], like: Any) -> Any:
    """Weights at the shape of values, of the dtype and on the device of `like`.

    There is a weight for each value, or one for each sample, or for each place of the first axes.

    Examples
    --------
    >>> beside(np.ones((4, 1)), (4,), np.zeros(4, "float32")).shape, beside(np.ones(4), (4, 3), np.zeros(1)).shape
    ((4,), (4, 1))
    """
    if isinstance(weights, Tensor):
        weights = weights.values
    elif isinstance(weights, np.ndarray) or not hasattr(weights, "dtype"):
        weights = arguments.host_array(None, "sample_weight", weights)
    given = tuple(weights.shape)
    if len(given) == len(shape) + 1 and given[-1] == 1:
        given = given[:-1]
    given += (1,) * (len(shape) - len(given))
    if len(given) != len(shape) or any(n not in (1, m) for n, m in zip(given, shape, strict=True)):
        raise InvalidArgument(
            f"sample_weight has shape {tuple(weights.shape)} but the loss has values of shape {tuple(shape)}; expected "
            "one weight for each sample, or for each value"
        )
    weights = weights.reshape(given).astype(like.dtype, copy=False)
    return weights if isinstance(like, np.ndarray) == isinstance(weights, np.ndarray) else ops.to_device(weights)
