"""Inference: while a model predicts, its weights stay as they are, so convolutions pack or transform them once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..ops import ConvPlan
from ..within import Block, Within


class _Inference(Within):
    plans: dict[Any, ConvPlan] | None = None


_inference = _Inference()


def fixed_weights() -> Block:
    """Let the convolutions called in this block, by this thread, keep a plan for each shape of their input."""
    return _inference.set(plans={})


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


def plan_for(key: Any, make: Callable[[], ConvPlan]) -> ConvPlan | None:
    """The plan kept under `key`, made where it is not there yet; None outside of `fixed_weights`."""
    plans = _inference.plans
    if plans is None:
        return None
    if key not in plans:
        plans[key] = make()
    return plans[key]
