"""Where a model's arrays lie: on the host, or in the memory of a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ... import ops
from ...autograd import Tensor
from ...dispatch import DEVICES
from ...ops.devices import require_device
from .. import arguments
from ..basics.tracking import Holder, walk


def check_device(device: Any) -> str:
    """The name of a device that can be used here."""
    arguments.choice(None, "device", device, DEVICES)
    if device == "cuda":
        require_device()
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


def device_of(array: Any) -> str:
    """The name of the device that an array lies on."""
    return "cpu" if is_on_host(array) else "cuda"


def tensors(holder: Holder) -> list[Tensor]:
    """A layer's weights, and the constants that it keeps beside them; not those of layers inside."""
    constants = [value for value in vars(holder).values() if isinstance(value, Tensor)]
    return list({id(t): t for t in (*holder.own_weights, *constants)}.values())


def place(holders: Iterable[Holder], device: str) -> None:
    """Bring all weights of layers, and of layers inside of them, to a device; none moves if one cannot."""
    carry = carrier(device)
    inside = [holder for _, holder in walk(*holders)]
    arrays = [(t, t.data) for holder in inside for t in tensors(holder)]
    moved = [(t, array, carry(array)) for t, array in arrays]
    for tensor, array, there in moved:
        if there is not array:
            tensor.data = there
            tensor.grad = None
    for holder in inside:
        holder.note_device(device)
