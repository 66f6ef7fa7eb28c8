"""How a stack of layers is run: which neighbours are computed in one pass over memory.

* a convolution or dense layer followed by relu: the relu is fused into the store;
* relu followed by batch normalisation: the normalisation takes relu(x), both ways;
* batch normalisation behind one of these layers: its gradient sums that of the layer's bias;
* a max pool behind batch normalisation: the maxima alone are normalised, where that leaves the largest the largest;
* the last activation, where the loss can be taken of what goes into it (softmax with cross-entropy): left out in
  training.

The results are those of the layers one by one. Passes are made of the layers as they are; they can tell whether these
still are, and are then made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..autograd import Tensor
from . import activations, seeding
from .layers import Activation, BatchNormalization, Dense, Layer
from .layers.convolution import Conv
from .layers.custom import invoke, training_as
from .layers.pooling import Pooling

Step = Callable[[Tensor, bool], Tensor]


class Passes:
    """The steps of a stack of layers.

    Parameters
    ----------
    layers : sequence of Layer
    generator : callable
        Gives the generator that the layers draw from while they run.

    Attributes
    ----------
    steps : list of callables (x, training)
    last_activation : str or None
        Name of the activation that ends the stack, if one does that training may leave out.
    ours : bool
        Whether all layers and activations are fastconv's own.
    """

    def __init__(self, layers: Sequence[Layer], generator: Callable[[], np.random.Generator]) -> None:
        self._made_of = [_outlines(layer) for layer in layers]
        self._generator = generator
        self.ours = all(is_ours(layer) and is_ours(vars(layer).get("activation")) for layer in layers)
        parts = _parts(layers)
        self.last_activation = _name(parts[-1]) if parts else None
        self.steps: list[Step] = []
        i = 0
        while i < len(parts):
            part: Any = parts[i]
            following: Any = parts[i + 1] if i + 1 < len(parts) else None
            count, normalized = _normalized(parts[i : i + 4])
            if count:
                self.steps.append(normalized)
                i += count
            elif isinstance(part, _Linear) and _is_relu(following):
                self.steps.append(_linear(part.layer, "relu"))
                i += 2
            else:
                self.steps.append(_single(part))
                i += 1

    def run(self, x: Tensor, training: bool, without_last: bool = False) -> Tensor:
        """The result, or with `without_last` what goes into the last activation."""
        with seeding.drawing(self._generator()), training_as(training):
            for step in self.steps[:-1] if without_last else self.steps:
                x = step(x, training)
        return x

    def fits(self, layers: Sequence[Layer]) -> bool:
        """Whether the layers are those that these passes were made of, as they were then."""
        if len(layers) != len(self._made_of):
            return False
        for (known, kind, activation, call, shape), layer in zip(self._made_of, layers, strict=True):
            own = vars(layer)
            if (
                layer is not known
                or type(layer) is not kind
                or own.get("activation") is not activation
                or own.get("call") is not call
                or own["input_shape"] is not shape
            ):
                return False
        return True


def is_ours(part: Any) -> bool:
    """Whether a part of a model is fastconv's own code; none is."""
    return part is None or (getattr(part, "__module__", None) or "").partition(".")[0] == "fastconv"


class _Linear:
    """A convolution or dense layer without its activation."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer


def _outlines(layer: Layer) -> tuple[Any, ...]:
    """All of a layer that its passes and shapes depend on, to be compared by identity."""
    own = vars(layer)
    return layer, type(layer), own.get("activation"), own.get("call"), own["input_shape"]


def _is_plain(layer: Any, *kinds: type[Layer]) -> bool:
    """Whether a layer is of one of these kinds and computes what it does: no subclass has another `call`."""
    return any(
        isinstance(layer, kind) and type(layer).call is kind.call and "call" not in vars(layer) for kind in kinds
    )


def _parts(layers: Sequence[Any]) -> list[Any]:
    """Layers, with those that hold an activation of their own split in two; activations as functions."""
    parts: list[Any] = []
    for layer in layers:
        if _is_plain(layer, Conv, Dense):
            parts.append(_Linear(layer))
            if layer.activation is not activations.linear:
                parts.append(layer.activation)
        elif _is_plain(layer, Activation):
            parts.append(layer.activation)
        else:
            parts.append(layer)
    return parts


def _is_relu(part: Any) -> bool:
    return part is activations.relu


def _name(part: Any) -> str | None:
    return next((name for name in ("softmax", "sigmoid") if part is activations.KNOWN[name]), None)


def _single(part: Any) -> Step:
    if isinstance(part, _Linear):
        return _linear(part.layer, None)
    if isinstance(part, Layer):
        return partial(invoke, part)
    return lambda x, training: activations.apply(part, x)


def _linear(layer: Any, activation: str | None) -> Step:
    return lambda x, training: layer.linear(x, activation)


def _normalized(parts: Sequence[Any]) -> tuple[int, Step]:
    """How many of the first parts are one step that normalises, and that step: [linear] [relu] normalisation [pool]."""
    linear = parts[0].layer if isinstance(parts[0], _Linear) else None
    behind = int(linear is not None)
    relu = behind < len(parts) and _is_relu(parts[behind])
    behind += relu
    if behind == len(parts) or not _is_plain(parts[behind], BatchNormalization):
        return 0, _single(None)
    layer, *rest = parts[behind:]
    pool = rest[0] if rest and _is_plain(rest[0], Pooling) and rest[0].operation == "max" else None
    return behind + 1 + (pool is not None), partial(_normalize, linear, relu, layer, pool)


def _normalize(
    linear: Any, relu: bool, layer: BatchNormalization, pool: Pooling | None, x: Tensor, training: bool
) -> Tensor:
    """One pass for a linear layer and its relu, both or neither, a normalisation and a max pool, if there is one."""
    bias: Tensor | None = None
    if linear is not None:
        fused = _have_one_axis(layer, linear, x.ndim)
        x = linear.linear(x, None, bias_grad=not fused)
        bias = next(iter(linear.biases()), None) if fused else None
    if pool is None:
        return layer.normalize(x, training, relu, bias)
    if not (_have_one_axis(layer, pool, x.ndim) and layer.increases(x)):
        return pool.call(layer.normalize(x, training, relu, bias))
    if not training:
        return layer.normalize(pool.call(x), training, relu)
    return layer.normalize(x, training, relu, bias, pool.window)


def _have_one_axis(layer: BatchNormalization, other: Any, ndim: int) -> bool:
    """Whether another layer has its channels along the axis that is normalised."""
    return (layer.axis - (-1 if getattr(other, "channels_last", True) else 1)) % ndim == 0
