"""Inference: while a model predicts, its weights stay as they are, so layers pack or transform them once.

A model keeps what its last prediction prepared for the next one, which compares the weights with what was prepared:
whatever has changed one of them, and be it a single bit, it is prepared anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...ops import ConvPlan
from ...within import Within

Plans = dict[Any, ConvPlan]


class _Inference(Within):
    plans: Plans | None = None
    earlier: Plans = {}  # noqa: RUF012  of an earlier block: not yet compared with the weights
    called: set[Any] = set()  # noqa: RUF012  in this block, without a plan


_inference = _Inference()


@contextmanager
def fixed_weights(kept: Plans | None = None) -> Iterator[None]:
    """Let the layers called in this block, by this thread, keep a plan for each shape of their input.

    `kept` holds those of an earlier block, and afterwards what was used in this one.
    """
    plans: Plans = {}
    try:
        with _inference.set(plans=plans, earlier={} if kept is None else dict(kept), called=set()):
            yield
    finally:
        if kept is not None:
            kept.clear()
            kept.update(plans)


@contextmanager
def changing_weights() -> Iterator[None]:
    """Code of the user's runs in this block, and may change any weight: no plan is used in it, or kept beyond it."""
    outer = _inference.plans
    with _inference.set(plans=None):
        try:
            yield
        finally:
            if outer is not None:
                outer.clear()


def is_inference() -> bool:
    """Whether this thread is in a block of `fixed_weights`."""
    return _inference.plans is not None


def is_repeated(key: Any) -> bool:
    """Whether a call by this key comes for the second time at least, in this thread's block of `fixed_weights`."""
    called = _inference.called
    if key in called:
        return True
    called.add(key)
    return False


def plan_for(key: Any, make: Callable[[], ConvPlan], w: np.ndarray, b: np.ndarray | None) -> ConvPlan | None:
    """The plan kept under `key` for these weights, made where it is not there yet; None outside of `fixed_weights`."""
    plans = _inference.plans
    if plans is None:
        return None
    plan = plans.get(key)
    if plan is None:
        plan = _inference.earlier.get(key)
        if plan is None or not plan.is_of(w, b):
            plan = make()
        plans[key] = plan
    return plan
