"""To a GPU and back; gradients take the way back."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ..operation import Saved
from ._defined import operation


@operation
def to_device(x: Any) -> Saved:
    """``fastconv.to_device``; the gradient goes to where x lies."""
    return ops.to_device(x), (isinstance(x, np.ndarray),)


@to_device.vjp
def _(dy: Any, needs: Any, was_on_host: bool) -> tuple[Any, ...]:
    return (ops.to_host(dy) if was_on_host else dy,)


@operation
def to_host(x: Any) -> Saved:
    """``fastconv.to_host``; the gradient goes to where x lies."""
    return ops.to_host(x), (isinstance(x, np.ndarray),)


@to_host.vjp
def _(dy: Any, needs: Any, was_on_host: bool) -> tuple[Any, ...]:
    return (dy if was_on_host else ops.to_device(dy),)
