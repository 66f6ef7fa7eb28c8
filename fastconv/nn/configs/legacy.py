"""Configurations of models as Keras had them before version 3, and still writes into ``.h5`` files.

There classes go by their names alone, how a model is compiled is described beside it, and up to version 2 the calls of
a graph are lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .objects import TENSOR, Config
from .registry import OF_OPERATIONS, OPERATIONS

RENAMED = {"Model": "Functional"}
IN_FULL = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
}  # short names, which Keras writes there but cannot read there
OF_KERAS_2 = ("jit_compile", "is_legacy_optimizer")  # arguments of its optimizers that say how they work


def model_config(described: Mapping[str, Any]) -> Config:
    """What ``.h5`` files say of a model's layers; for what shape it is built as well, which Keras does not look at."""
    name = described.get("registered_name") or described["class_name"]
    return {"class_name": name, **{key: described[key] for key in ("config", "build_config") if key in described}}


def training_config(compiled: Mapping[str, Any]) -> Config:
    """What ``.h5`` files say of how a model is compiled."""
    told = {name: _in_full(compiled.get(name)) for name in ("loss", "loss_weights", "metrics", "weighted_metrics")}
    return {**compiled, **told, "optimizer_config": model_config(compiled["optimizer"])}


def _in_full(value: Any) -> Any:
    """Losses and metrics, in whatever structure, without short names."""
    if isinstance(value, str):
        return IN_FULL.get(value.lower(), value)
    if isinstance(value, (list, tuple)):
        return [_in_full(item) for item in value]
    if isinstance(value, Mapping) and "class_name" not in value:  # by the names of outputs
        return {name: _in_full(item) for name, item in value.items()}
    return value


def untupled(value: dict[str, Any]) -> Any:
    """A tuple, which JSON lacks, of what stands for it; anything else as it is."""
    return tuple(value.get("items", ())) if value.get("class_name") == "__tuple__" else value


def modern(model: Any, training: Any = None) -> Config:
    """Both in the form of ``.keras`` files."""
    config: Config = _renewed(model)
    if isinstance(training, Mapping):
        told = {name: _only(_renewed(value)) for name, value in training.items() if name != "optimizer_config"}
        optimizer = _renewed(training.get("optimizer_config"))
        if isinstance(optimizer, dict) and isinstance(optimizer.get("config"), dict):
            optimizer["config"] = {k: v for k, v in optimizer["config"].items() if k not in OF_KERAS_2}
        config["compile_config"] = {**told, "optimizer": optimizer}
    return config


def _only(value: Any) -> Any:
    """The list in a list of one, as metrics of a single output are written; anything else as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list) else value


def _renewed(value: Any) -> Any:
    """A configuration, and all in it, with what Keras 3 calls otherwise than older versions."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_renewed, value))
    if not isinstance(value, Mapping):
        return value
    made = {key: _renewed(item) for key, item in value.items()}
    inner = made.get("config")
    if not isinstance(made.get("class_name"), str) or not isinstance(inner, dict):
        return made
    is_layer = bool({"module", "trainable"} & {*made, *inner})
    if "inbound_nodes" in made and not is_layer and made["class_name"] in OPERATIONS:
        made["module"] = OF_OPERATIONS  # a function of tensors, which may have a layer's name
    name = made["class_name"] = RENAMED.get(made["class_name"], made["class_name"])
    if name == "InputLayer" and "batch_input_shape" in inner:
        inner["batch_shape"] = inner.pop("batch_input_shape")
    if isinstance(inner.get("axis"), list) and len(inner["axis"]) == 1:
        inner["axis"] = inner["axis"][0]
    if inner.get("reduction") == "auto":
        inner["reduction"] = "sum_over_batch_size"
    if name == "MeanMetricWrapper" and isinstance(inner.get("fn"), str):
        return inner["fn"]  # what compile() was given
    if isinstance(inner.get("layers"), list) and any(_is_old(call) for _, call in _calls(inner)):
        _renew_graph(inner)
    return made


def _calls(graph: Config) -> Iterator[tuple[Config, Any]]:
    """The calls of a graph's layers, with the layer."""
    for layer in graph["layers"]:
        for call in layer.get("inbound_nodes", ()) if isinstance(layer, dict) else ():
            yield layer, call


def _is_old(call: Any) -> bool:
    """Whether a call lists what the layer takes: ``[name, number of the call, number of the output, options]``."""
    return isinstance(call, list) and all(isinstance(item, list) and len(item) in (3, 4) for item in call)


def _renew_graph(graph: Config) -> None:
    """Write the calls of a graph as Keras 3 does.

    The calls of a model inside may be counted from 1; here from 0, but where the file says what the graph ends with.
    """
    kinds = {layer["name"]: layer["class_name"] for layer in graph["layers"] if "layers" in layer.get("config", ())}
    taken = [place for _, call in _calls(graph) if _is_old(call) for place in call]
    first = {
        name: min(n for other, n, *_ in (*taken, *_places(graph.get("output_layers"))) if other == name)
        for name in kinds
    }
    for layer in graph["layers"]:
        nodes = [_node(call, first) if _is_old(call) else call for call in layer.get("inbound_nodes", ())]
        layer["inbound_nodes"] = nodes
    for place in _places(graph.get("output_layers")):
        if kinds.get(place[0]) == "Sequential":
            place[1] -= first[place[0]]


def _places(value: Any) -> list[Any]:
    """The values that are named in a structure of what a graph ends with."""
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [place for item in items for place in _places(item)]


def _node(call: list[Any], first: Mapping[str, int]) -> Config:
    """A call that was a list."""
    taken = []
    options: Config = {}
    for name, number, index, *more in call:
        history = [name, number - first.get(name, 0), index]
        taken.append({"class_name": TENSOR, "config": {"keras_history": history}})
        options.update(*more)
    return {"args": taken if len(taken) == 1 else [taken], "kwargs": options}
