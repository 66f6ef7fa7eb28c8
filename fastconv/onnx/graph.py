"""A network as read from a file: nodes, named values between them, constants. Nothing of protobuf is left in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import Unsupported
from .package import onnx_package


@dataclass
class Node:
    """One operator's use.

    Attributes
    ----------
    op : str
        Its type; with its domain, as in "com.microsoft.FusedConv", where that is not ONNX's own.
    name : str
        As in the file; where that has none, of what it makes.
    inputs, outputs : list of str
        Names of values; "" is one that is left out.
    attributes : dict
    opset : int
        The version of ONNX's operators that the file is written in.
    """

    op: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = 0

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or what it is where the file leaves it out."""
        return self.attributes.get(name, default)

    def input(self, number: int) -> str:
        """The name of an input, "" if it is left out."""
        return self.inputs[number] if number < len(self.inputs) else ""


@dataclass(frozen=True)
class Port:
    """An input or output of a network.

    Attributes
    ----------
    name : str
    shape : tuple
        Sizes; None, or a name, for one that is open. None where the file does not tell even their number.
    dtype : numpy.dtype
    """

    name: str
    shape: tuple[int | str | None, ...] | None
    dtype: np.dtype

    def __str__(self) -> str:
        sizes = "..." if self.shape is None else ", ".join("?" if n is None else str(n) for n in self.shape)
        return f"{self.name} ({sizes}) {self.dtype}"


@dataclass
class Graph:
    """Nodes in an order in which they can be run."""

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    constants: dict[str, np.ndarray]
    nodes: list[Node]

    def uses(self) -> Counter[str]:
        """How often each value is taken, as an output of the network too."""
        taken = Counter(name for node in self.nodes for name in node.inputs if name)
        taken.update(port.name for port in self.outputs)
        return taken

    def drop_unused(self) -> None:
        """Take away nodes and constants that nothing needs."""
        needed = {port.name for port in self.outputs}
        kept = []
        for node in reversed(self.nodes):
            if needed.intersection(filter(None, node.outputs)):
                kept.append(node)
                needed.update(node.inputs)
        self.nodes = kept[::-1]
        self.constants = {name: array for name, array in self.constants.items() if name in needed}


def graph_of(model: Any) -> Graph:
    """What stands in a ModelProto, whose external data are loaded."""
    onnx = onnx_package()
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
    source = model.graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in source.initializer}
    nodes = [_node(onnx, node, opset, number) for number, node in enumerate(source.node)]
    inputs = tuple(_port(onnx, info) for info in source.input if info.name not in constants)
    graph = Graph(source.name or "network", inputs, tuple(_port(onnx, i) for i in source.output), constants, nodes)
    uses = graph.uses()
    for node in nodes:  # results that nobody takes: a Dropout's mask, the statistics of old files
        node.outputs = [name if uses[name] else "" for name in node.outputs]
    graph.drop_unused()
    return graph


def _node(onnx: Any, node: Any, opset: int, number: int) -> Node:
    attributes = {attribute.name: _attribute(onnx, attribute) for attribute in node.attribute}
    domain = "" if node.domain in ("", "ai.onnx") else node.domain + "."
    name = node.name or next(filter(None, node.output), f"number {number}")
    return Node(domain + node.op_type, name, list(node.input), list(node.output), attributes, opset)


def _attribute(onnx: Any, attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else value


def _port(onnx: Any, info: Any) -> Port:
    if info.type.WhichOneof("value") not in (None, "tensor_type"):
        raise Unsupported(f"{info.name!r} is a sequence or a map; fastconv.onnx takes and gives arrays")
    tensor = info.type.tensor_type
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)) if tensor.elem_type else np.dtype("f4")
    if not tensor.HasField("shape"):
        return Port(info.name, None, dtype)
    sizes = (d.dim_value if d.dim_value > 0 else d.dim_param or None for d in tensor.shape.dim)
    return Port(info.name, tuple(sizes), dtype)
