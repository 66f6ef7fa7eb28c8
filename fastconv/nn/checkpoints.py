"""A model's arrays by name: its weights, and everything else that continuing a training run needs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from .layers import Dropout, Layer
from .layers.base import check_weight
from .placing import carrier, put
from .saving import load_arrays, save_arrays

Arrays = dict[str, np.ndarray]


def named_weights(layers: list[Layer]) -> Arrays:
    """All weights, as ``layer/weight``."""
    return {f"{layer.name}/{w.name}": w.numpy() for layer in layers for w in layer.weights}


def assign(layers: list[Layer], arrays: Arrays, source: str) -> None:
    """Replace all weights by arrays of the same names and shapes; nothing changes if any does not fit."""
    mine = {f"{layer.name}/{w.name}": (layer, w) for layer in layers for w in layer.weights}
    for name in (*mine, *arrays):
        if name not in arrays or name not in mine:
            layer_name, _, weight_name = name.rpartition("/")
            where = "the file" if name not in arrays else "the model"
            raise InvalidArgument(
                f"{source}: weight {shown(weight_name)} of layer {shown(layer_name)} is missing in {where}; "
                "the model must be built as it was when the weights were saved"
            )
    for name, (layer, weight) in mine.items():
        check_weight(layer, weight, arrays[name], f"{source} holds")
    for name, (_, weight) in mine.items():
        put(weight.data, arrays[name])


def save_state(model: Any, filepath: Any) -> None:
    """Write weights, optimizer state and random generators."""
    arrays = {f"weights/{name}": array for name, array in named_weights(model.layers).items()}
    arrays |= {f"optimizer/{name}": array for name, array in model.optimizer.get_state().items()}
    states = json.dumps([generator.bit_generator.state for generator in _generators(model)])
    arrays["generators"] = np.frombuffer(states.encode(), np.uint8)
    save_arrays(filepath, arrays)


def load_state(model: Any, filepath: Any) -> None:
    """Read what `save_state` wrote."""
    arrays = load_arrays(filepath)
    parts: dict[str, Arrays] = {"weights": {}, "optimizer": {}, "generators": {}}
    for key, array in arrays.items():
        part, _, name = key.partition("/")
        if part not in parts:
            raise InvalidArgument(
                f"{filepath} holds {shown(key)}: it is no training state; for weights alone use load_weights"
            )
        parts[part][name] = array
    states = json.loads(parts["generators"].get("", np.frombuffer(b"[]", np.uint8)).tobytes())
    generators = _generators(model)
    if len(states) != len(generators):
        raise InvalidArgument(f"{filepath} holds {len(states)} random generators but the model has {len(generators)}")
    assign(model.layers, parts["weights"], str(filepath))
    model.optimizer.set_state(parts["optimizer"])
    model.optimizer.adopt(model.optimizer.carried(carrier(model.device)))
    for generator, state in zip(generators, states, strict=True):
        generator.bit_generator.state = state


def _generators(model: Any) -> list[np.random.Generator]:
    """The model's generator, then those of layers that have a seed of their own."""
    own = [layer.own_generator for layer in model.layers if isinstance(layer, Dropout)]
    return [model.generator(), *(generator for generator in own if generator is not None)]
