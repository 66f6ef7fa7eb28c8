"""Graphs made simpler, with the same results to rounding.

What hangs on constants is computed, what does nothing is left out. Scales and shifts behind a convolution or a product
with a matrix, batch normalisation among them, go into its weights (computed in float64); a border of zeros goes into
the convolution's own; an activation is applied by the call in front of it, ReLU while its kernel stores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .graph import Graph, Node
from .operators.activations import limits
from .operators.borders import pairs_of
from .program import evaluated

LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")
FOLDED_BYTES = 1 << 20  # of a constant that is worth keeping in place of what makes it

Affine = tuple[np.ndarray, np.ndarray]  # a scale and a shift for each channel, float64


def simplify(graph: Graph) -> None:
    """Simplify a graph in place."""
    _fold_constants(graph)
    _drop_identities(graph)
    for rule in (_absorb_border, _absorb_affine, _absorb_activation):
        _join(graph, rule)
    graph.drop_unused()


def _fold_constants(graph: Graph) -> None:
    kept = []
    for node in graph.nodes:
        found = evaluated(node, graph.constants)
        if found is None or (node.inputs and sum(a.nbytes for a in found.values()) > _nbytes(node, graph)):
            kept.append(node)
        else:
            graph.constants.update(found)
    graph.nodes = kept


def _nbytes(node: Node, graph: Graph) -> int:
    """Most that the results of a node may take to be kept."""
    return max(FOLDED_BYTES, sum(graph.constants[name].nbytes for name in node.inputs if name))


def _drop_identities(graph: Graph) -> None:
    ends = {port.name for port in graph.outputs}
    renamed: dict[str, str] = {}
    kept = []
    for node in graph.nodes:
        node.inputs = [renamed.get(name, name) for name in node.inputs]
        if node.op in ("Identity", "Dropout") and not node.input(2) and node.outputs[0] not in ends:
            renamed[node.outputs[0]] = node.inputs[0]
        else:
            kept.append(node)
    graph.nodes = kept


def _join(graph: Graph, rule: Callable[[Graph, Node, Node], Node | None]) -> None:
    """Replace pairs of nodes, where nothing else takes the first one's result, by what `rule` makes of them."""
    uses = graph.uses()
    made: dict[str, Node] = {}  # what makes a value
    kept: list[Node | None] = []
    place: dict[int, int] = {}
    for node in graph.nodes:
        new = None
        for name in dict.fromkeys(node.inputs):
            before = made.get(name)
            if before is not None and uses[name] == 1 and not any(before.outputs[1:]):
                new = rule(graph, before, node)
                if new is not None:
                    kept[place[id(before)]] = None
                    break
        node = new or node
        place[id(node)] = len(kept)
        kept.append(node)
        made.update(dict.fromkeys(node.outputs, node))
    graph.nodes = [node for node in kept if node is not None]


def _absorb_border(graph: Graph, pad: Node, conv: Node) -> Node | None:
    """Zeros round the images of a convolution."""
    if (pad.op, conv.op) != ("Pad", "Conv") or conv.input(0) != pad.outputs[0]:
        return None
    if conv.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    amounts = graph.constants.get(pad.input(1)) if pad.input(1) else pad.get("pads")
    value = graph.constants.get(pad.input(2)) if pad.input(2) else pad.get("value", 0.0)
    if amounts is None or value is None or pad.input(3) or pad.get("mode", "constant") != "constant" or np.any(value):
        return None
    pairs = pairs_of([int(n) for n in amounts])
    if min(map(min, pairs)) < 0 or any(map(any, pairs[:2])):
        return None
    none = (0,) * 2 * len(pairs[2:])
    own = pairs_of(none if conv.get("auto_pad") == "VALID" else conv.get("pads", none))
    both = [(a + c, b + d) for (a, b), (c, d) in zip(pairs[2:], own, strict=True)]
    pads = [a for a, _ in both] + [b for _, b in both]
    inputs = [pad.input(0), *conv.inputs[1:]]
    return replace(conv, inputs=inputs, attributes={**conv.attributes, "auto_pad": "NOTSET", "pads": pads})


def _absorb_affine(graph: Graph, before: Node, node: Node) -> Node | None:
    """A scale and a shift of each channel, into the weights that come before."""
    if before.op not in LINEAR or before.get("activation") is not None:
        return None
    weights = _weights(graph, before)
    if weights is None:
        return None
    w, b, count = weights
    ndim = {"Gemm": 2, "MatMul": 1}.get(before.op, w.ndim)  # of MatMul: at least, its channels are last
    affine = _affine(graph, node, before.outputs[0], count, ndim)
    if affine is None:
        return None
    scale, shift = affine
    beta = before.get("beta", 1.0)
    old = np.zeros(count) if b is None else np.broadcast_to(b.reshape(-1), (count,)).astype(np.float64) * beta
    names = [f"{node.outputs[0]}/weights", f"{node.outputs[0]}/shift"]
    changed = w if (scale == 1).all() else _scaled(before, w, scale).astype(w.dtype)
    graph.constants |= {names[0]: changed, names[1]: (old * scale + shift).astype(w.dtype)}
    attributes = {**before.attributes, **({"beta": 1.0} if before.op == "Gemm" else {})}
    return replace(before, inputs=[before.inputs[0], *names], outputs=list(node.outputs[:1]), attributes=attributes)


def _weights(graph: Graph, node: Node) -> tuple[np.ndarray, np.ndarray | None, int] | None:
    """The weights of a linear node, its bias if it has one, and its output channels; None if they are no constants."""
    w, b = graph.constants.get(node.input(1)), graph.constants.get(node.input(2))
    if w is None or w.dtype.kind != "f" or (node.input(2) and b is None) or node.get("transA", 0):
        return None
    if node.op in ("Gemm", "MatMul"):
        if w.ndim != 2:
            return None
        count = w.shape[0] if node.get("transB", 0) else w.shape[1]
    else:
        count = w.shape[0] if node.op == "Conv" else w.shape[1] * node.get("group", 1)
    return None if b is not None and b.size not in (1, count) else (w, b, count)


def _scaled(node: Node, w: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Weights whose output channels are scaled."""
    exact = w.astype(np.float64)
    if node.op == "Conv":
        return exact * scale.reshape(-1, *(1,) * (w.ndim - 1))
    if node.op == "ConvTranspose":  # (C, O/groups, KERNEL): the scales of a group for its part of C
        groups = node.get("group", 1)
        parts = exact.reshape(groups, -1, *w.shape[1:]) * scale.reshape(groups, 1, -1, *(1,) * (w.ndim - 2))
        return parts.reshape(w.shape)
    return exact * (scale[:, None] if node.get("transB", 0) else scale)


def _affine(graph: Graph, node: Node, x: str, count: int, ndim: int) -> Affine | None:
    """A node that scales and shifts the channels of x, of `ndim` axes, as such."""
    known = graph.constants
    if node.op == "BatchNormalization":
        if node.input(0) != x or ndim < 2 or not all(name in known for name in node.inputs[1:5]):
            return None
        numbers = [known[name].astype(np.float64) for name in node.inputs[1:5]]
        if any(n.shape != (count,) for n in numbers):
            return None
        scale, shift, mean, variance = numbers
        factor = scale / np.sqrt(variance + node.get("epsilon", 1e-5))
        return factor, shift - mean * factor
    if node.op not in ("Add", "Sub", "Mul", "Div") or len(node.inputs) != 2:
        return None
    first = node.inputs[0] == x
    other = known.get(node.inputs[1 if first else 0])
    if other is None or other.dtype.kind != "f" or (node.op == "Div" and not first):
        return None
    number = _per_channel(other, count, ndim)
    if number is None:
        return None
    one, zero = np.ones(count), np.zeros(count)
    return {
        "Add": (one, number),
        "Sub": (one, -number) if first else (-one, number),
        "Mul": (number, zero),
        "Div": (one / number, zero),
    }[node.op]


def _per_channel(array: np.ndarray, count: int, ndim: int) -> np.ndarray | None:
    """A constant that is the same for all but the channels of values with `ndim` axes, of which it is axis 1."""
    if array.ndim > ndim:
        return None
    shape = (1,) * (max(2, ndim) - array.ndim) + array.shape
    if array.size == 1 or (shape[1] == count and array.size == count):
        return np.broadcast_to(array.reshape(-1).astype(np.float64), (count,))
    return None


def _absorb_activation(graph: Graph, before: Node, node: Node) -> Node | None:
    """An activation, into what comes before and can apply it."""
    if before.get("activation") is not None or node.inputs[0] != before.outputs[0]:
        return None
    added: tuple[object, ...] | None = None
    if before.op == "Gemm" and _weights(graph, before) is None:
        return None
    if node.op == "Relu" and before.op in (*LINEAR, "Add"):
        added = ("relu",)
    elif before.op in LINEAR:
        if node.op in ("Sigmoid", "Tanh"):
            added = (node.op.lower(),)
        elif node.op == "Clip" and all(name in graph.constants for name in node.inputs[1:] if name):
            ends = limits(node, (graph.constants.get(node.input(1)), graph.constants.get(node.input(2))))
            added = ("relu",) if ends == (0, np.inf) else ("clip", *ends)
    if added is None:
        return None
    return replace(before, outputs=list(node.outputs), attributes={**before.attributes, "activation": added})
