"""A model's arrays by name: its weights, and everything else that continuing a training run needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import DataUnavailable, InvalidArgument, shown
from ...files import brief
from ..basics.tracking import check_weight, walk
from ..formats import named
from ..formats.named import Arrays, load_arrays, save_arrays
from ..formats.weights import MODEL, checked_path, load, save
from .unpacking import Header

SLOTS = 16  # arrays that an optimizer may keep for each weight, at most


def save_weights(model: Any, filepath: Any) -> None:
    """Write weights in the format that the file's name says."""
    save(checked_path(filepath), model, None if model.optimizer is None else state_arrays(model))


def load_weights(model: Any, filepath: Any) -> None:
    """Read weights alone; the file's names and shapes are compared before it is unpacked."""
    path = checked_path(filepath, (MODEL,))
    source = brief(path)
    assign(model, load(path, model, lambda headers: check_fit(model, headers, source)), source)


def check_fit(model: Any, arrays: Mapping[str, Any], source: str) -> None:
    """Names and shapes, of arrays or of what a file says of them, must be those of the weights."""
    mine = model.named_weights()
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


def assign(model: Any, arrays: Arrays, source: str) -> None:
    """Replace all weights by arrays of the same names and shapes; nothing changes if any does not fit."""
    check_fit(model, arrays, source)
    for name, (_, weight) in model.named_weights().items():
        weight.put(arrays[name])


def save_state(model: Any, filepath: Any) -> None:
    """Write weights, optimizer state and random generators."""
    save_arrays(filepath, state_arrays(model))


def state_arrays(model: Any) -> Arrays:
    """Weights, optimizer state and random generators: all that a training goes on from."""
    names = {name: w for name, (_, w) in model.named_weights().items()}
    arrays = {f"weights/{name}": w.numpy() for name, w in names.items()}
    arrays |= {f"optimizer/{name}": array for name, array in model.optimizer.get_state(names).items()}
    arrays["generators"] = generators_array(model)
    return arrays


def generators_array(model: Any) -> np.ndarray:
    """The states of the random generators, as text."""
    states = [generator.bit_generator.state for generator in _generators(model)]
    return np.frombuffer(json.dumps(states, default=np.ndarray.tolist).encode(), np.uint8)


def put_generators(model: Any, array: np.ndarray, source: str) -> None:
    """Go on from what `generators_array` gave."""
    generators = _generators(model)
    for generator, state in zip(generators, _generator_states({"": array}, generators, source), strict=True):
        generator.bit_generator.state = state


def load_state(model: Any, filepath: Any) -> None:
    """Read what `save_state` wrote; the model stays as it is if anything is wrong with it."""
    source = brief(named.checked_path(filepath))
    put_state(model, load_arrays(filepath, lambda headers: _check_state(model, headers, source)), source)


def put_state(model: Any, arrays: Arrays, source: str) -> None:
    """Go on from what `state_arrays` gave; the model stays as it is if anything is wrong with it."""
    parts = _parts(arrays, source)
    generators = _generators(model)
    states = _generator_states(parts["generators"], generators, source)
    check_fit(model, parts["weights"], source)
    names = {name: w for name, (_, w) in model.named_weights().items()}
    restored = model.optimizer.fitted(parts["optimizer"], names, model.trainable_weights)
    assign(model, parts["weights"], source)
    model.optimizer.restore(restored)
    for generator, state in zip(generators, states, strict=True):
        generator.bit_generator.state = state


def _parts(arrays: Mapping[str, Any], source: str) -> dict[str, dict[str, Any]]:
    """The arrays of a state, or what a file says of them, sorted by what they belong to."""
    parts: dict[str, dict[str, Any]] = {"weights": {}, "optimizer": {}, "generators": {}}
    for key, array in arrays.items():
        part, _, name = key.partition("/")
        if part not in parts:
            raise InvalidArgument(
                f"{source} holds {shown(key)}: it is no training state; for weights alone use load_weights"
            )
        parts[part][name] = array
    return parts


def _check_state(model: Any, headers: Mapping[str, Header], source: str) -> None:
    """Before a state is unpacked: the weights are the model's, and the rest is no larger than it can be."""
    parts = _parts(headers, source)
    check_fit(model, parts["weights"], source)
    weights = sum(header.nbytes for header in parts["weights"].values())
    for part, most in (("optimizer", SLOTS * weights), ("generators", 0)):
        size = sum(header.nbytes for header in parts[part].values())
        if size > most + (1 << 20):
            raise DataUnavailable(
                f"{source} is damaged: its {part} would take {size:,} bytes beside {weights:,} of weights; "
                "save the state again"
            )


def _generators(model: Any) -> list[np.random.Generator]:
    """The model's generator, then those that layers keep, such as a dropout layer with a seed of its own."""
    kept = [v for _, holder in walk(model) for v in vars(holder).values() if isinstance(v, np.random.Generator)]
    return list({id(generator): generator for generator in (model.generator(), *kept)}.values())


def _generator_states(arrays: Arrays, generators: list[np.random.Generator], source: Any) -> list[Any]:
    """The saved states, each tried on a generator of the same kind."""
    try:
        states = json.loads(arrays.get("", np.frombuffer(b"[]", np.uint8)).tobytes())
        if len(states) != len(generators):
            raise InvalidArgument(f"{source} holds {len(states)} random generators but the model has {len(generators)}")
        for generator, state in zip(generators, states, strict=True):
            type(generator.bit_generator)().state = state
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, AttributeError) as error:
        if isinstance(error, InvalidArgument):
            raise
        raise DataUnavailable(
            f"{source} is damaged: the states of its random generators cannot be read ({error!s:.80}); save it again"
        ) from None
    return states
