"""How a stack of layers is run: which neighbours are computed in one pass over memory.

* a convolution or dense layer followed by relu: the relu is fused into the store;
* relu followed by batch normalisation: the normalisation takes relu(x), both ways;
* the last activation, where the loss can be taken of what goes into it (softmax with cross-entropy): left out in
  training.

The results are those of the layers one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd import Tensor
from . import activations
from .layers import Activation, BatchNormalization, Dense, Layer
from .layers.convolution import Conv

Step = Callable[[Tensor, bool], Tensor]


class Plan:
    """The steps of a stack of layers.

    Parameters
    ----------
    layers : sequence of Layer

    Attributes
    ----------
    steps : list of callables (x, training)
    last_activation : str or None
        Name of the activation that ends the stack, if one does that training may leave out.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        parts = _parts(layers)
        self.last_activation = _name(parts[-1]) if parts else None
        self.steps: list[Step] = []
        i = 0
        while i < len(parts):
            part, following = parts[i], parts[i + 1] if i + 1 < len(parts) else None
            after = parts[i + 2] if i + 2 < len(parts) else None
            if _is_relu(part) and isinstance(following, BatchNormalization):
                self.steps.append(_relu_normalize(following))
                i += 2
            elif isinstance(part, _Linear) and _is_relu(following) and not isinstance(after, BatchNormalization):
                self.steps.append(_linear(part.layer, "relu"))
                i += 2
            else:
                self.steps.append(_single(part))
                i += 1

    def run(self, x: Tensor, training: bool, without_last: bool = False) -> Tensor:
        """The result, or with `without_last` what goes into the last activation."""
        for step in self.steps[:-1] if without_last else self.steps:
            x = step(x, training)
        return x


class _Linear:
    """A convolution or dense layer without its activation."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer


def _parts(layers: Sequence[Layer]) -> list[Any]:
    """Layers, with those that hold an activation of their own split in two; activations as functions."""
    parts: list[Any] = []
    for layer in layers:
        if isinstance(layer, (Conv, Dense)):
            parts.append(_Linear(layer))
            if layer.activation is not activations.linear:
                parts.append(layer.activation)
        elif isinstance(layer, Activation):
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
        return part.call
    return lambda x, training: activations.apply(part, x)


def _linear(layer: Any, activation: str | None) -> Step:
    return lambda x, training: layer.linear(x, activation)


def _relu_normalize(layer: BatchNormalization) -> Step:
    return lambda x, training: layer.normalize(x, training, relu=True)
