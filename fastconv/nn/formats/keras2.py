"""Keras 2's layout of weights (``.h5``): a group for each layer by its name, and lists of names that give the order.

Weights are found by their order, as in Keras: layers may have other names in the file. That of a layer's own weights
depends on what is frozen, so where the names are those that are written here, they decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import InvalidArgument, shown
from ..basics.tracking import Holder, Parameter, owned_weights
from . import hdf5

LAYERS, WEIGHTS, TOP = "layer_names", "weight_names", "top_level_model_weights"
MODEL = "model_weights"
"""Where the weights lie in a file of a whole model."""


def write(root: Any, model: Any) -> None:
    """Write the weights of a model's layers, and those that it has itself."""
    layers = model.layers
    hdf5.put_texts(root, LAYERS, [layer.name for layer in layers])
    root.attrs["backend"], root.attrs["keras_version"] = b"fastconv", b"2.15.0"  # the layout's
    for layer in sorted(layers, key=lambda layer: layer.name):
        _write(root.create_group(layer.name), _ordered(layer))
    _write(root.create_group(TOP), _own(model))


def _write(group: Any, weights: Mapping[str, Parameter]) -> None:
    put(group, {name: weight.numpy() for name, weight in weights.items()})


def put(group: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays, and the list of their names, which gives the order."""
    hdf5.put_texts(group, WEIGHTS, list(arrays))
    for name, array in arrays.items():
        hdf5.put_array(group, name, array)


def find(root: Any, held: Mapping[str, Any], model: Any, names: Mapping[int, str], source: str) -> dict[str, Any]:
    """Of the arrays of a file those of the weights, by the names that these have; `names` gives them by id."""
    prefix = f"{MODEL}/" if LAYERS not in root.attrs and f"{LAYERS}0" not in root.attrs and MODEL in root else ""
    group = root[MODEL] if prefix else root
    mine = [layer for layer in model.layers if layer.weights]
    listed = [(name, hdf5.texts(group[name], WEIGHTS)) for name in hdf5.texts(group, LAYERS)]
    theirs = [(name, inner) for name, inner in listed if inner]
    if len(mine) != len(theirs):
        raise InvalidArgument(
            f"{source} holds {len(theirs)} layers with weights, {shown([name for name, _ in theirs])}; the model has "
            f"{len(mine)}, {shown([layer.name for layer in mine])}"
        )
    pairs = [(layer.name, _ordered(layer), *described) for layer, described in zip(mine, theirs, strict=True)]
    at_top = hdf5.texts(group[TOP], WEIGHTS) if TOP in group else []
    if at_top or _own(model):
        pairs.append((model.name, _own(model), TOP, at_top))
    found = {}
    for own_name, weights, group_name, weight_names in pairs:
        if len(weights) != len(weight_names):
            raise InvalidArgument(
                f"{source}: layer {shown(own_name)} has {len(weights)} weights but the file has {len(weight_names)} "
                f"for {shown(group_name)}; the model must be built as it was when the weights were saved"
            )
        by_name = set(weights) == set(weight_names)
        for (name_here, weight), name in zip(weights.items(), weight_names, strict=True):
            path = f"{prefix}{group_name}/{name_here if by_name else name}"
            if path not in held:
                raise hdf5.damaged(source, f"{shown(path)} is missing")
            found[names[id(weight)]] = held[path]
    return found


def _ordered(layer: Holder) -> dict[str, Parameter]:
    """A layer's weights as Keras lists them, those that are trained first, by the names they have in a file."""
    paths = {id(weight): "/".join((*path, weight.name)) + ":0" for path, _, weight in owned_weights([layer])}
    return {paths[id(weight)]: weight for weight in (*layer.trainable_weights, *layer.non_trainable_weights)}


def _own(model: Any) -> dict[str, Parameter]:
    """The weights that a model has itself, beside those of its layers, in the same order."""
    weights = sorted(model.own_weights, key=lambda weight: not weight.requires_grad)
    return {f"{weight.name}:0": weight for weight in weights}
