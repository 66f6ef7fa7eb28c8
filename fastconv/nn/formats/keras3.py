"""Keras 3's layout of weights (``.weights.h5``): a group for each layer, by where it is found in the model.

``layers/conv2d/vars/0`` is the first array of the first `Conv2D`: groups bear the names of classes, numbered, not those
of layers, whose names stand in an attribute. What a layer holds lies below it, under the attribute that keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ...errors import InvalidArgument, shown
from ..basics.names import snake_case
from ..basics.tracking import Holder, Parameter, Way
from ..configs.registry import name_of
from . import hdf5

VARS = "vars"
OPTIMIZER = "optimizer"
NOT_WEIGHTS = (OPTIMIZER, "fastconv", "metrics", "_metrics", "_loss_tracker", "_compile_metrics")
KEYS_OF_CHANCE = "seed_generator"
"""What Keras keeps for a layer that draws random numbers: the state of its own generator, which is none of ours."""


class Place(NamedTuple):
    """A layer or model, and its group's path; its own weights in the order of their numbers."""

    path: str
    holder: Holder
    weights: list[Parameter]


def places(model: Holder) -> list[Place]:
    """A model and all that it holds, each once, with the groups they have in a file."""
    return list(_places("", model, set()))


def _places(path: str, holder: Holder, seen: set[int]) -> Iterator[Place]:
    seen.add(id(holder))
    own = holder.own_weights
    yield Place(path, holder, [*filter(_trained, own), *(w for w in own if not _trained(w))])
    for inner_path, inner in _children(holder):
        if id(inner) not in seen:
            yield from _places(f"{path}/{inner_path}" if path else inner_path, inner, seen)


def _trained(weight: Parameter) -> bool:
    """Whether a weight was made to be trained; a layer's being frozen does not move it."""
    return weight.requires_grad


def _children(holder: Holder) -> Iterator[tuple[str, Holder]]:
    """What is directly inside, by its path there: an attribute, or an attribute, lists in it and a numbered class."""
    layers = getattr(holder, "layers", None)
    if isinstance(layers, list) and getattr(holder, "is_builtin", False):  # a model without code of its own
        ways: list[tuple[Way, Holder]] = [(("layers", str(number)), layer) for number, layer in enumerate(layers)]  # type: ignore[attr-defined]
    else:
        ways = sorted(holder.held(), key=lambda found: _attribute_order(found[0][0]))
    taken: dict[str, int] = {}
    containers: dict[tuple[str, ...], str] = {}
    for way, inner in ways:
        if len(way) == 1:
            yield way[0], inner
            continue
        path = way[0]
        for depth in range(2, len(way)):  # lists in lists
            path = containers.setdefault(way[:depth], _numbered(f"{path}/container", taken))
        yield _numbered(f"{path}/{snake_case(name_of(type(inner)))}", taken), inner


def _attribute_order(name: str) -> str:
    return f"~{name}" if name.startswith("_") else name


def _numbered(name: str, taken: dict[str, int]) -> str:
    number = taken[name] = taken.get(name, -1) + 1
    return f"{name}_{number}" if number else name


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def write(root: Any, model: Holder) -> None:
    """Write the weights of a model."""
    for path, holder, weights in places(model):
        group = root.create_group(_joined(path, VARS))
        group.attrs["name"] = holder.name
        for number, weight in enumerate(weights):
            hdf5.put_array(group, str(number), weight.numpy())


def find(found: Mapping[str, Any], model: Holder, names: Mapping[int, str], source: str) -> dict[str, Any]:
    """Of the arrays of a file those of the weights, by the names that these have; `names` gives them by id.

    Raises
    ------
    InvalidArgument
        The model has weights that the file lacks, or the other way round: the message names the layer.
    """
    held = {path: item for path, item in found.items() if not _is_other(path)}
    mine = {}
    for path, holder, weights in places(model):
        group = _joined(path, VARS)
        count = sum(1 for other in held if other.rpartition("/")[0] == group)
        if count != len(weights):
            raise InvalidArgument(
                f"{source}: layer {shown(holder.name)} has {len(weights)} weights but the file has {count} in "
                f"{shown(group)}; the model must be built as it was when the weights were saved"
            )
        for number, weight in enumerate(weights):
            item = held.pop(f"{group}/{number}", None)
            if item is None:
                raise hdf5.damaged(source, f"{group}/{number} is missing")
            mine[names[id(weight)]] = item
    if held:
        raise InvalidArgument(
            f"{source} holds {shown(min(held))}, for which the model has no layer; the model must be built as it was "
            "when the weights were saved"
        )
    return mine


def _is_other(path: str) -> bool:
    parts = path.split("/")
    return parts[0] in NOT_WEIGHTS or KEYS_OF_CHANCE in parts
