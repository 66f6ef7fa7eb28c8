"""Where a model's arrays lie: on the host, or in the memory of a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import ops
from . import arguments
from .layers import Layer, Parameter

DEVICES = ("cpu", "cuda")


def check_device(device: Any) -> str:
    """The name of a device that can be used here."""
    arguments.choice(None, "device", device, DEVICES)
    if device == "cuda":
        from ..cuda import backend

        backend.require()
    return device


def carrier(device: str) -> Callable[[Any], Any]:
    """What brings an array to a device; one that is there already stays itself."""

    def to_device(array: Any) -> Any:
        return ops.to_device(array) if is_on_host(array) else array

    def to_host(array: Any) -> np.ndarray:
        return array if is_on_host(array) else ops.to_host(array)

    return to_device if device == "cuda" else to_host


def is_on_host(array: Any) -> bool:
    """True for NumPy's arrays."""
    return isinstance(array, np.ndarray)


def parameters(layer: Layer) -> list[Parameter]:
    """A layer's weights, and the constants that it keeps beside them."""
    others = [value for value in vars(layer).values() if isinstance(value, Parameter)]
    return list({id(p): p for p in (*layer.weights, *others)}.values())


def place(layers: Sequence[Layer], device: str) -> None:
    """Bring all weights of layers to a device; none moves if one cannot."""
    carry = carrier(device)
    moved = [(p, carry(p.data)) for layer in layers for p in parameters(layer)]
    for parameter, array in moved:
        parameter.data = array
        parameter.grad = None


def put(target: Any, values: Any) -> None:
    """Replace the elements of a weight, wherever it lies."""
    target[...] = values if is_on_host(target) else ops.to_device(values)
