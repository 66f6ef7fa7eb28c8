"""Graphs of layers as configurations, in Keras 3's form: each layer once, with the calls that it takes part in.

A value of a graph is ``[name of the layer, number of its call, number of the output]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from ...errors import InvalidArgument, shown
from ..basics.structures import leaves, mapped
from ..layers import InputLayer, Layer
from ..layers.operations import Operation
from ..layers.symbols import Call, SymbolicTensor
from ..modelling.graph import Graph
from ..modelling.network import Network
from ..modelling.stack import Stack
from . import operations
from .objects import TENSOR, Config, deserialize, serialize

Place = list[Any]


def config_of(graph: Graph) -> Config:
    """What `made_of` makes the graph of again.

    Returns
    -------
    dict
        "layers", "input_layers" and "output_layers". An input that is another layer's output inside of a larger graph
        gets an input layer of its own.
    """
    places: dict[int, Place] = {}
    beginnings = [_beginning(symbol) for symbol in leaves(graph.inputs)]
    for symbol, layer in zip(leaves(graph.inputs), beginnings, strict=True):
        places[id(symbol)] = [layer.name, 0, 0]
    nodes: dict[Layer, list[Config]] = {layer: [] for layer in (*beginnings, *graph.layers)}
    for call in graph.calls:
        number = len(nodes[call.layer])
        nodes[call.layer].append(_node(call, places))
        for index, symbol in enumerate(leaves(call.outputs)):
            places[id(symbol)] = [call.layer.name, number, index]
    described = [{**_described(layer), "name": layer.name, "inbound_nodes": calls} for layer, calls in nodes.items()]
    first = {layer.name: _first_number(layer) for layer in nodes}

    def end(symbol: SymbolicTensor) -> Place:
        name, number, index = places[id(symbol)]
        return [name, number + first[name], index]

    return {"layers": described, "input_layers": mapped(end, graph.inputs), "output_layers": mapped(end, graph.outputs)}


def _described(layer: Layer) -> Config:
    return operations.described(layer) if isinstance(layer, Operation) else serialize(layer)


def _beginning(symbol: SymbolicTensor) -> InputLayer:
    layer = symbol.made_by.layer
    if isinstance(layer, InputLayer):
        return layer
    return InputLayer(symbol.shape[1:], dtype=symbol.dtype.name, name=f"{layer.name}_input")


def _first_number(layer: Layer) -> int:
    """What Keras counts a layer's calls from, where it says what a graph ends with, and there alone."""
    return int(isinstance(layer, Network) and not isinstance(layer, Stack) and layer.graph is not None)


def _node(call: Call, places: Mapping[int, Place]) -> Config:
    """A call, with values in place of symbolic tensors."""

    def described(value: Any) -> Any:
        if not isinstance(value, SymbolicTensor):
            return serialize(value)
        config = {"shape": list(value.shape), "dtype": value.dtype.name, "keras_history": places[id(value)]}
        return {"class_name": TENSOR, "config": config}

    options = dict(call.options) if call.training is None else {**call.options, "training": call.training}
    is_operation = isinstance(call.layer, Operation)
    args = operations.operands_of(call.layer, call.args[0]) if is_operation else list(call.args)
    return {"args": mapped(described, args), "kwargs": mapped(described, options)}


def made_of(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """Inputs and outputs, symbolic tensors, of the graph of a configuration, with layers that are made anew.

    Raises
    ------
    InvalidArgument
        Calls take what no layer makes, or go in a circle.
    """
    known: dict[tuple[Any, ...], SymbolicTensor] = {}
    waiting = list(_calls(config, known))
    first = {call.name: _first_number(call.layer) for call in waiting}
    while waiting:
        left = [call for call in waiting if not _called(call, known)]
        if len(left) == len(waiting):
            names = ", ".join(dict.fromkeys(call.name for call in left))
            raise InvalidArgument(f"the configuration of a graph is not sound: nothing makes what {shown(names)} take")
        waiting = left
    return _ends(config.get("input_layers"), known, first), _ends(config.get("output_layers"), known, first)


class _Described(NamedTuple):
    """A call in a configuration: the name and number by which others know it, and what is called."""

    name: str
    number: int
    layer: Any
    node: Any


def _calls(config: Mapping[str, Any], known: dict[tuple[Any, ...], SymbolicTensor]) -> Iterator[_Described]:
    """Make the layers; their calls."""
    for described in config["layers"]:
        layer = operations.function_of(described) or deserialize(described, family="layers")
        name = described.get("name", getattr(layer, "name", ""))
        if not isinstance(layer, (Layer, partial)):
            raise InvalidArgument(f"the configuration of a graph holds {shown(layer)}, which is no layer")
        if isinstance(layer, InputLayer):
            known[name, 0, 0] = layer.symbol
            continue
        for number, node in enumerate(described.get("inbound_nodes", ())):
            yield _Described(name, number, layer, node)


def _called(call: _Described, known: dict[tuple[Any, ...], SymbolicTensor]) -> bool:
    """Call a layer, if what it takes is there."""
    if any(place not in known for place in _taken(call.node)):
        return False
    args, options = (_filled(call.node[part], known) for part in ("args", "kwargs"))
    args = [tuple(args)] if isinstance(call.layer, Operation) else args
    made = call.layer(*args, **{name: value for name, value in options.items() if value is not None})
    if isinstance(call.layer, partial):
        made.made_by.layer.name = call.name
    known.update({(call.name, call.number, index): symbol for index, symbol in enumerate(leaves(made))})
    return True


def _taken(value: Any) -> Iterator[tuple[Any, ...]]:
    """The values that a call takes."""
    if isinstance(value, Mapping) and value.get("class_name") == TENSOR:
        yield tuple(value["config"]["keras_history"])
    elif isinstance(value, (Mapping, list, tuple)):
        items: Iterable[Any] = value.values() if isinstance(value, Mapping) else value
        for item in items:
            yield from _taken(item)


def _filled(value: Any, known: Mapping[tuple[Any, ...], SymbolicTensor]) -> Any:
    """What a call was given, with symbolic tensors."""
    if isinstance(value, Mapping):
        if value.get("class_name") == TENSOR:
            return known[tuple(value["config"]["keras_history"])]
        if "class_name" in value:
            return deserialize(value)
        return {key: _filled(item, known) for key, item in value.items()}
    return [_filled(item, known) for item in value] if isinstance(value, (list, tuple)) else value


def _ends(value: Any, known: Mapping[tuple[Any, ...], SymbolicTensor], first: Mapping[str, int]) -> Any:
    """Inputs or outputs in their structure; `first` is what the numbers of a layer's calls begin with here."""
    if isinstance(value, (list, tuple)) and len(value) == 3 and isinstance(value[0], str):
        name, number, index = value
        symbol = known.get((name, number - first.get(name, 0) if isinstance(number, int) else number, index))
        if symbol is None:
            raise InvalidArgument(f"the configuration of a graph is not sound: nothing makes {shown(value)}")
        return symbol
    if isinstance(value, Mapping):
        return {key: _ends(item, known, first) for key, item in value.items()}
    if not isinstance(value, (list, tuple)):
        raise InvalidArgument(f"the configuration of a graph has {shown(value)} for inputs or outputs")
    return [_ends(item, known, first) for item in value]
