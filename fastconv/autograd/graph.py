"""The graph of a computation: what a tensor was computed from, to be drawn or written as graphviz's text."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from ..errors import InvalidArgument, quoted, shown
from ..files import write_file
from .tape import Node, node_of
from .tensor import Tensor

MOST_DRAWN = 400  # vertices of a picture; graphviz's text has no end
STYLES = {
    "operation": 'shape=box, style="rounded,filled", fillcolor="#e8f0fb", color="#1f6fb4"',
    "leaf": 'shape=box, style=filled, fillcolor="#fdf0e3", color="#d1662b"',
    "constant": 'shape=box, style="filled,dashed", fillcolor="#f6f7f8", color="#5f6368"',
    "result": 'shape=box, style="rounded,filled", fillcolor="#e6f4ea", color="#2d7d46"',
}


class Vertex(NamedTuple):
    """An operation, a leaf, a constant or the result: its kind, and the lines that say what it is."""

    kind: str
    lines: tuple[str, ...]


class Graph:
    """What a tensor was computed from; made by `draw`. In a notebook it shows itself, if matplotlib is there.

    Attributes
    ----------
    vertices : list of Vertex
        The result first; each operation stands before what it was computed from.
    edges : list of (int, int)
        From an operand to the operation, as numbers of vertices.
    """

    def __init__(self, vertices: list[Vertex], edges: list[tuple[int, int]]) -> None:
        self.vertices, self.edges = vertices, edges

    @property
    def dot(self) -> str:
        """The graph in graphviz's language."""
        lines = ["digraph {", '  node [fontname="Helvetica", fontsize=10]']
        for i, vertex in enumerate(self.vertices):
            label = "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in vertex.lines)
            lines.append(f'  v{i} [label="{label}", {STYLES[vertex.kind]}]')
        lines += [f"  v{a} -> v{b}" for a, b in self.edges]
        return "\n".join([*lines, "}", ""])

    def save(self, path: str | PathLike[str]) -> None:
        """Write the graph to a file: text for graphviz where it is called .dot or .gv, else a picture.

        Parameters
        ----------
        path : path
            Its end says what is written: .dot, .gv, .svg, .png or .pdf.

        Raises
        ------
        InvalidArgument
            The end is another one, or the graph is too large for a picture.
        MissingExtra
            A picture without matplotlib.
        """
        if not isinstance(path, (str, PathLike)):
            raise InvalidArgument(f"path is {shown(path)}; expected a path that ends in .svg, .png, .pdf or .dot")
        form = Path(path).suffix[1:].lower()
        if form not in ("dot", "gv", "svg", "png", "pdf"):
            raise InvalidArgument(f"path is {quoted(path)!r}; expected one that ends in .svg, .png, .pdf or .dot")
        content = self.dot.encode() if form in ("dot", "gv") else self._picture(form)
        write_file(Path(path), lambda file: file.write(content))

    def _picture(self, form: str) -> bytes:
        from .drawing import picture

        if len(self.vertices) > MOST_DRAWN:
            raise InvalidArgument(
                f"the graph has {len(self.vertices)} parts, of which a picture holds {MOST_DRAWN}; save it as .dot"
            )
        return picture(self, form)

    def _repr_svg_(self) -> str | None:
        """For notebooks; without matplotlib they show the text."""
        from .drawing import is_available

        return self._picture("svg").decode() if is_available() and len(self.vertices) <= MOST_DRAWN else None

    def __repr__(self) -> str:
        kinds = [vertex.kind for vertex in self.vertices]
        operations = kinds.count("operation") + kinds.count("result")
        return (
            f"<Graph of {operations} operations, {kinds.count('leaf')} leaves and {kinds.count('constant')} constants; "
            "save('graph.svg') draws it>"
        )


def draw(tensor: Tensor, **names: Tensor) -> Graph:
    """The graph of what a tensor was computed from: operations, leaves and constants with their shapes.

    Parameters
    ----------
    tensor : Tensor
        A result of operations on tensors that require a gradient, such as a loss; before `backward` or after it.
    **names : Tensor
        What leaves are called: ``draw(loss, w=w, b=b)``. Parameters of layers have names of their own.

    Returns
    -------
    graph : Graph
        Draws itself in a notebook; ``graph.save("graph.svg")`` writes a picture (.svg, .png, .pdf: needs
        ``fastconv[plots]``), ``graph.save("graph.dot")`` graphviz's text, which is also ``graph.dot``.

    Raises
    ------
    InvalidArgument
        The tensor was not computed from anything that requires a gradient, or a name is not a tensor's.

    Examples
    --------
    >>> from fastconv.autograd import Tensor, draw
    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> graph = draw((w * w).sum(), w=w)
    >>> graph
    <Graph of 2 operations, 1 leaves and 0 constants; save('graph.svg') draws it>
    >>> [vertex.lines[0] for vertex in graph.vertices]
    ['sum', 'multiply', 'w']
    """
    if not isinstance(tensor, Tensor):
        raise InvalidArgument(f"draw takes a tensor, such as a loss, not {shown(tensor)}")
    wrong = [name for name, value in names.items() if not isinstance(value, Tensor)]
    if wrong:
        raise InvalidArgument(f"{wrong[0]} is {shown(names[wrong[0]])}; expected a tensor, whose name it is")
    root = node_of(tensor)
    if root is None:
        raise InvalidArgument("the tensor depends on nothing with requires_grad=True: no graph of it was recorded")
    return _graph_of(root, {id(value): name for name, value in names.items()})


def _graph_of(root: Node, names: Mapping[int, str]) -> Graph:
    vertices: list[Vertex] = []
    edges: list[tuple[int, int]] = []
    numbers: dict[int, int] = {}  # of a leaf by its tensor, for each use has a node of its own
    waiting = [root]

    def number_of(node: Node) -> int:
        key = id(node if node.leaf is None else node.leaf)
        if key not in numbers:
            numbers[key] = len(vertices)
            kind = "result" if node is root else "operation" if node.leaf is None else "leaf"
            vertices.append(Vertex(kind, _lines(node, names)))
            waiting.append(node)
        return numbers[key]

    number_of(root)
    waiting.pop()
    while waiting:
        node = waiting.pop()
        here = number_of(node)
        for parent, operand in zip(node.parents, node.operands, strict=False):
            if parent is not None:
                edges.append((number_of(parent), here))
            elif isinstance(operand, tuple):
                vertices.append(Vertex("constant", ("constant", _shape(operand))))
                edges.append((len(vertices) - 1, here))
    return Graph(vertices, edges)


def _lines(node: Node, names: Mapping[int, str]) -> tuple[str, ...]:
    """What a vertex says: the operation, with the numbers among its operands, or the leaf's name; and the shape."""
    shape = _shape(node.shape)
    if node.leaf is not None:
        return names.get(id(node.leaf)) or getattr(node.leaf, "name", None) or "leaf", shape
    numbers = [shown(v, 20) for v in node.operands if v is not None and not isinstance(v, tuple)]
    return " ".join([node.op, *numbers]), shape


def _shape(shape: tuple[int, ...]) -> str:
    return str(tuple(shape)) if shape else "one number"
