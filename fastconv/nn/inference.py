"""Inference: while a model predicts, its weights stay as they are, so convolutions pack or transform them once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..ops import ConvPlan

_local = threading.local()


@contextmanager
def fixed_weights() -> Iterator[None]:
    """Let the convolutions called in this block, by this thread, keep a plan for each shape of their input."""
    outer = getattr(_local, "plans", None)
    _local.plans = {}
    try:
        yield
    finally:
        _local.plans = outer


@contextmanager
def changing_weights() -> Iterator[None]:
    """Code of the user's runs in this block, and may change any weight: no plan is used in it, or kept beyond it."""
    outer = getattr(_local, "plans", None)
    _local.plans = None
    try:
        yield
    finally:
        if outer is not None:
            outer.clear()
        _local.plans = outer


def plan_for(key: Any, make: Callable[[], ConvPlan]) -> ConvPlan | None:
    """The plan kept under `key`, made where it is not there yet; None outside of `fixed_weights`."""
    plans = getattr(_local, "plans", None)
    if plans is None:
        return None
    if key not in plans:
        plans[key] = make()
    return plans[key]
