"""Graphs of layers: what lies between symbolic tensors, and the same without models inside of models.

A `Sequential` model is the graph that is one chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...errors import InvalidArgument, shown
from ..basics.structures import leaves, mapped
from ..layers import InputLayer, Layer
from ..layers.symbols import Call, SymbolicTensor, recorded


class Graph:
    """The calls of layers between inputs and outputs.

    Parameters
    ----------
    inputs, outputs : SymbolicTensor, or lists, tuples or dicts of them

    Attributes
    ----------
    calls : list of Call
        Each behind those whose results it takes; those that make the inputs are left out.
    layers : list of Layer
        Each once, from the inputs to the outputs, in Keras's order: by the number of calls on the longest way to an
        output, then as they are met on the way back from the outputs.
    """

    def __init__(self, inputs: Any, outputs: Any) -> None:
        _check("inputs", inputs)
        _check("outputs", outputs)
        self.inputs, self.outputs = inputs, outputs
        ends = {id(symbol) for symbol in leaves(inputs)}
        order, met = _traced(leaves(outputs), ends)
        self.calls = [call for call in order if not isinstance(call.layer, InputLayer)]
        beginnings = (symbol.made_by.layer for symbol in leaves(inputs))
        unused = [layer for layer in beginnings if isinstance(layer, InputLayer) and layer not in met]
        self.layers = [*_in_order(order, met), *dict.fromkeys(unused)]

    def __reduce__(self) -> Any:
        """A flat list, for chains are longer than a stack is deep; inputs inside get a layer of their own."""
        numbers: dict[int, _Number] = {}

        def numbered(value: Any) -> Any:
            return mapped(lambda v: numbers[id(v)] if isinstance(v, SymbolicTensor) else v, value)

        flat: list[tuple[Any, ...]] = []
        for symbol in leaves(self.inputs):
            numbers[id(symbol)] = _Number(len(numbers))
            layer = symbol.made_by.layer
            if not isinstance(layer, InputLayer):
                layer = InputLayer(symbol.shape[1:], dtype=symbol.dtype.name)
            flat.append((layer, (), {}, symbol.shape, symbol.dtype, None))
        for call in self.calls:
            made = leaves(call.outputs)
            shapes = mapped(lambda s: s.shape, call.outputs)
            flat.append((call.layer, numbered(call.args), numbered(call.options), shapes, made[0].dtype, call.training))
            numbers |= {id(s): _Number(len(numbers) + i) for i, s in enumerate(made)}
        return _rebuilt, (flat, numbered(self.inputs), numbered(self.outputs))


class _Number(int):
    """A symbolic tensor of a graph, by its number."""


def _rebuilt(flat: Sequence[Any], inputs: Any, outputs: Any) -> Graph:
    symbols: list[SymbolicTensor] = []

    def named(value: Any) -> Any:
        return mapped(lambda v: symbols[v] if isinstance(v, _Number) else v, value)

    for layer, args, options, *made in flat:
        symbols += leaves(recorded(layer, named(args), named(options), *made))
    return Graph(named(inputs), named(outputs))


def chain(layers: Sequence[Layer], beginning: SymbolicTensor) -> Graph:
    """The graph of built layers one upon the other; it is not noted down in the layers."""
    x = beginning
    for layer in layers:
        dtype = layer._result_dtype(leaves(x)[0].dtype)
        x = Call(layer, (x,), {}, layer.output_shape, dtype).outputs
    return Graph(beginning, x)


def _check(name: str, value: Any) -> None:
    found = leaves(value)
    wrong = [item for item in found if not isinstance(item, SymbolicTensor)]
    if wrong or not found:
        raise InvalidArgument(
            f"{name} is or holds {shown(wrong[0] if wrong else value)}; expected symbolic tensors: what "
            "keras.Input(shape) gives, and layers that are called on it"
        )


def _traced(outputs: Sequence[SymbolicTensor], ends: set[int]) -> tuple[list[Call], dict[Layer, int]]:
    """The calls that outputs come from, each behind what it takes, and the layers with the order of being met.

    Those that make one of the `ends` come first and are not looked behind.
    """
    order: list[Call] = []
    met: dict[Layer, int] = {}
    seen: set[int] = set()
    waiting: list[tuple[SymbolicTensor, bool]] = [(symbol, False) for symbol in reversed(outputs)]
    while waiting:
        symbol, is_done = waiting.pop()
        call = symbol.made_by
        if is_done:
            order.append(call)
            continue
        if id(call) in seen:
            continue
        is_end = id(symbol) in ends
        if is_end and not isinstance(call.layer, InputLayer):
            continue
        if not is_end and isinstance(call.layer, InputLayer):
            raise InvalidArgument(
                f"the outputs depend on the input {shown(call.layer.name)} of shape {symbol.shape}, which is not among "
                "the inputs: the graph is disconnected; pass it in inputs= too, or compute the outputs from the inputs"
            )
        seen.add(id(call))
        met.setdefault(call.layer, len(met))
        waiting.append((symbol, True))
        waiting += [(s, False) for s in reversed(call.inputs)]
    return order, met


def _in_order(order: Sequence[Call], met: dict[Layer, int]) -> list[Layer]:
    """Layers by the number of calls behind them, then as they were met."""
    depth = {id(call): 0 for call in order}
    of_layer: dict[Layer, int] = {}
    for call in reversed(order):
        here = depth[id(call)] = of_layer[call.layer] = max(depth[id(call)], of_layer.get(call.layer, 0))
        for symbol in call.inputs:
            if id(symbol.made_by) in depth:
                depth[id(symbol.made_by)] = max(depth[id(symbol.made_by)], here + 1)
    return sorted(of_layer, key=lambda layer: (-of_layer[layer], met[layer]))


# --- without models inside of models ----------------------------------------------------------------------------------


class Slot(int):
    """A value while a graph runs, by its number."""


class Applied(NamedTuple):
    """A layer at one place: what it takes and makes as slots, among what its call was given beside them."""

    layer: Any
    args: tuple[Any, ...]
    options: dict[str, Any]
    results: Any
    training: bool | None = None
    """Whether it is in training here, where its call, or that of a model around it, says so."""


class Program:
    """All layers that a model runs, those of models inside of it at their places.

    Parameters
    ----------
    network : Network
    graph : Graph, optional
        Of its layers; by default the network's.
    unfold : bool
        Whether models inside are taken apart.

    Attributes
    ----------
    inputs, outputs : Slot, or a structure of slots
    applied : list of Applied
        Each behind those whose results it takes.
    shapes : list of tuple
        Of the values in the slots.
    members : list of (network, members)
        The models whose layers these are, with what each was made of.
    takes_all : bool
        Whether there is no graph, but code of the user's that takes what it is given as it is.
    """

    def __init__(self, network: Any, graph: Graph | None = None, unfold: bool = True) -> None:
        self._unfolds = unfold
        self.applied: list[Applied] = []
        self.members: list[tuple[Any, tuple[Any, ...]]] = []
        self.shapes: list[Any] = []
        graph = network.graph if graph is None else graph
        self.takes_all = graph is None
        if graph is None:
            self.inputs, self.outputs = self._slot(network.input_shape), self._slot(network.output_shape)
            self.applied.append(Applied(network, (self.inputs,), {}, self.outputs))
        else:
            self.inputs = mapped(lambda symbol: self._slot(symbol.shape), graph.inputs)
            self.outputs = self._unfold(network, graph, self.inputs, None)

    def _slot(self, shape: Any) -> Slot:
        self.shapes.append(shape)
        return Slot(len(self.shapes) - 1)

    def _unfold(self, network: Any, graph: Graph, given: Any, training: bool | None) -> Any:
        """Note down a network's calls on the slots `given`; returns those of its outputs."""
        self.members.append((network, tuple(network.members)))
        places = dict(zip(map(id, leaves(graph.inputs)), leaves(given), strict=True))

        def placed(value: Any) -> Any:
            return mapped(lambda v: places[id(v)] if isinstance(v, SymbolicTensor) else v, value)

        for call in graph.calls:
            args, options = placed(call.args), placed(call.options)
            mode = training if call.training is None else call.training
            inner = call.layer.graph if self._unfolds and len(args) == 1 and not options else None
            if inner is not None:
                network_inside: Any = call.layer
                results = self._unfold(network_inside, inner, network_inside.arranged(args[0]), mode)
            else:
                results = mapped(lambda symbol: self._slot(symbol.shape), call.outputs)
                self.applied.append(Applied(call.layer, args, options, results, mode))
            places.update(zip(map(id, leaves(call.outputs)), leaves(results), strict=True))
        return placed(graph.outputs)
