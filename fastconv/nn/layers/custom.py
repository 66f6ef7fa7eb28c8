"""What layers of one's own may do as in Keras: leave out `training`, build others by hand, describe weights freely.

A layer that is called without `training` does as the layer or model does that calls it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache, wraps
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...autograd import functional as F
from ...autograd.halves import weights_as, weights_dtype
from ...errors import InvalidArgument, shown
from ...ops.halves import is_half
from ...within import Block, Within
from .. import arguments, regularizers
from ..basics.structures import leaves
from ..modelling.inference import changing_weights


class _Mode(Within):
    training = False
    penalties: list[Tensor] | None = None


_mode = _Mode()


def is_training() -> bool:
    """Whether the model or layer that this thread is running is in training."""
    return _mode.training


def training_as(training: bool) -> Block:
    """Let layers called in this block without `training` get this."""
    return _mode.set(training=training)


def collecting(penalties: list[Tensor]) -> Block:
    """Let layers called in this block put what their regularizers say of their results into a list."""
    return _mode.set(penalties=penalties)


def is_collecting() -> bool:
    """Whether such a block is running."""
    return _mode.penalties is not None


def _penalized(layer: Any, y: Any) -> Any:
    """A layer's result, when its regularizer has seen it: by sample, as in Keras."""
    if _mode.penalties is not None:
        results = [F.astype(r, dtype=np.float32) if is_half(r.dtype) else r for r in leaves(y)]
        penalties = ((regularizers.penalty(layer.activity_regularizer, r), len(r.values)) for r in results)
        add(layer, [F.multiply(penalty, 1 / samples) for penalty, samples in penalties])
    return y


def add(layer: Any, losses: list[Tensor]) -> None:
    """Keep what a layer adds to the loss for its `losses`, and for the model that runs it."""
    layer._added = (*layer._added, *losses)
    if _mode.penalties is not None:
        _mode.penalties.extend(losses)


def checked_losses(layer: Any, loss: Any) -> list[Tensor]:
    """What `add_loss` was given, as tensors of one element."""
    found = []
    for one in leaves(loss):
        tensor = arguments.tensor("add_loss", "loss", one)
        if is_half(tensor.dtype):
            tensor = F.astype(tensor, dtype=np.float32)
        if tensor.values.dtype.kind != "f":
            tensor = Tensor(tensor.values.astype(layer.dtype))
        found.append(tensor.sum() if tensor.ndim else tensor)
    return found


def invoke(layer: Any, x: Any, training: bool, *more: Any, **options: Any) -> Any:
    """``layer.call``, with `training` if it takes that; arguments behind the first are for layers of one's own."""
    if layer._added:
        layer._added = ()
    x, wanted = layer.converted(x), layer.weights_are_used_as()
    with nullcontext() if training is is_training() else training_as(training):
        if wanted is weights_dtype():
            y = _call(layer, x, training, more, options)
        else:
            with weights_as(wanted):
                y = _call(layer, x, training, more, options)
    return y if layer.activity_regularizer is None else _penalized(layer, y)


def _call(layer: Any, x: Any, training: bool, more: tuple[Any, ...], options: dict[str, Any]) -> Any:
    call = layer.call
    if layer.is_builtin and "call" not in vars(layer):
        return call(x, training, *more, **options)
    with changing_weights():
        how = _training_of(getattr(call, "__func__", call), hasattr(call, "__func__"))
        if how == "keyword":
            return call(x, *more, training=training, **options)
        if how == "place" and not (more or options):
            return call(x, training)
        return call(x, *more, **options)


@lru_cache(maxsize=512)
def _training_of(call: Callable[..., Any], bound: bool) -> str:
    """How a layer's `call` takes `training`: by "keyword", by "place", or "" where it does not."""
    parameters = list(inspect.signature(call).parameters.values())[bound:]
    if any(p.name == "training" and p.kind is not p.POSITIONAL_ONLY for p in parameters):
        return "keyword"
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.name == "training" or p.default is p.empty for p in places[1:2]):
        return "place"
    return "place" if any(p.kind is p.VAR_POSITIONAL for p in parameters) else ""


def once(build: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """A layer's `build` that makes the weights once, whoever calls it: the layer itself, or one that holds it."""

    @wraps(build)
    def built_once(self: Any, input_shape: Any) -> None:
        if self._building:  # super().build(...)
            build(self, input_shape)
            return
        if self._filled:
            return
        own, self._building = self._own, True
        try:
            build(self, tuple(input_shape))
            self._filled = True
        except BaseException:
            self._own = own
            raise
        finally:
            self._building = False

    return built_once


def described(layer: Any, places: tuple[Any, ...], given: dict[str, Any]) -> tuple[str, tuple[int, ...], Any]:
    """Name, shape and initializer of a weight from `add_weight`'s arguments: (name, shape, ...) or (shape, ...)."""
    order = ("name", "shape", "initializer")[not (places and isinstance(places[0], (str, type(None)))) :]
    twice = [key for key in order[: len(places)] if given[key] is not None]
    if len(places) > len(order) or twice:
        raise InvalidArgument(
            f"add_weight of layer {shown(layer.name)} got {len(places)} arguments by place"
            + (f" and {twice[0]} twice" if twice else "")
            + "; expected add_weight(shape, initializer, name=...) or add_weight(name, shape, initializer)"
        )
    given.update(zip(order, places, strict=False))
    shape = given["shape"]
    sizes = () if shape is None else arguments.shape("add_weight", "shape", shape, "a tuple of whole numbers", least=0)
    name = "variable" if given["name"] is None else arguments.text("add_weight", "name", given["name"]) or "variable"
    return name, sizes, given["initializer"]
