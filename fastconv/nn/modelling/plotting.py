"""Pictures of models: their layers as a graph, drawn by matplotlib or written for graphviz."""

from __future__ import annotations

from typing import Any

from ...autograd.graph import Graph as Drawing
from ...autograd.graph import Vertex
from ...errors import InvalidArgument, shown
from .. import arguments
from ..basics.structures import leaves
from .graph import Program, Slot


def plot_model(
    model: Any,
    to_file: Any = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> Drawing:
    """Draw a model's layers and what each takes.

    Parameters
    ----------
    model : Model
        Whose graph is known: a `Sequential` one with an input shape, or one made of inputs and outputs.
    to_file : path or None
        Ends with .png, .svg, .pdf (these need ``fastconv[plots]``), or .dot for graphviz's text. None writes nothing.
    show_shapes : bool
        Whether to say the shape of what each layer makes.
    show_dtype : bool
        Whether to say its dtype.
    show_layer_names : bool
        Whether to say the layers' names beside what they are.
    rankdir : {"TB"}
        From top to bottom.
    expand_nested : bool
        Whether layers of models inside are drawn in their place.
    show_layer_activations : bool
        Whether to say the activations of layers that have one.
    show_trainable : bool
        Whether to say which layers with weights are frozen.

    Returns
    -------
    graph : Graph
        Shows itself in a notebook; ``graph.dot`` is graphviz's text.

    Raises
    ------
    InvalidArgument
        The model has no graph, or the file's name another end.
    MissingExtra
        A picture without matplotlib.

    Examples
    --------
    >>> from fastconv import nn as keras
    >>> x = keras.Input((8,))
    >>> model = keras.Model(x, keras.layers.add([x, keras.layers.Dense(8)(x)]))
    >>> graph = keras.utils.plot_model(model, to_file=None, show_shapes=True)
    >>> [vertex.lines for vertex in graph.vertices]
    [('InputLayer', '(None, 8)'), ('Dense', '(None, 8)'), ('Add', '(None, 8)')]
    >>> graph.edges
    [(0, 1), (0, 2), (1, 2)]
    """
    if getattr(model, "graph", None) is None:
        raise InvalidArgument(
            f"plot_model got {shown(model)}; expected a model that was made of inputs and outputs, or a Sequential one"
        )
    arguments.choice("plot_model", "rankdir", rankdir, ("TB",))
    for name, value in {
        "show_shapes": show_shapes, "show_dtype": show_dtype, "show_layer_names": show_layer_names,
        "show_layer_activations": show_layer_activations, "show_trainable": show_trainable,
    }.items():  # fmt: skip
        arguments.flag("plot_model", name, value)
    program = Program(model, unfold=arguments.flag("plot_model", "expand_nested", expand_nested))
    made_by: dict[Slot, int] = {}
    vertices: list[Vertex] = []
    edges: list[tuple[int, int]] = []
    ends = set(leaves(program.outputs))

    def described(layer: Any, slots: list[Slot]) -> tuple[str, ...]:
        kind = layer.kind
        facts = [str(program.shapes[slots[0]])] * bool(show_shapes) + [str(layer.dtype)] * bool(show_dtype)
        activation = vars(layer).get("activation")
        if show_layer_activations and activation is not None:
            facts.append(getattr(activation, "__name__", type(activation).__name__))
        if show_trainable and layer.weights and not layer.trainable:
            facts.append("frozen")
        first = f"{layer.name} ({kind})" if show_layer_names else kind
        return (first, ", ".join(facts)) if facts else (first,)

    for symbol, slot in zip(leaves(model.graph.inputs), leaves(program.inputs), strict=True):
        made_by[slot] = len(vertices)
        vertices.append(Vertex("leaf", described(symbol.made_by.layer, [slot])))
    for applied in program.applied:
        here, slots = len(vertices), leaves(applied.results)
        kind = "result" if ends & set(slots) else "operation"
        vertices.append(Vertex(kind, described(applied.layer, slots)))
        taken = [s for s in leaves((applied.args, applied.options)) if isinstance(s, Slot)]
        edges += [(made_by[slot], here) for slot in dict.fromkeys(taken)]
        made_by |= dict.fromkeys(slots, here)
    drawing = Drawing(vertices, edges)
    if to_file is not None:
        drawing.save(arguments.path("plot_model", "to_file", to_file))
    return drawing
