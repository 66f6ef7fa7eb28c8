"""A network out of a file, ready to be run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import InvalidArgument, nearest, shown
from ..spec import parse_count
from .graph import Graph, Port
from .program import Program

KEPT = 4  # shapes of the input whose programs, with packed weights, are kept

Result = np.ndarray | tuple[np.ndarray, ...]


class Model:
    """A network that `load` read: call it with arrays, and it returns arrays, both in the layout of the file.

    Attributes
    ----------
    inputs, outputs : tuple of Port
        Name, shape and dtype of each; open sizes are None or a name.
    name : str

    Notes
    -----
    The first call for a shape goes through the network once and packs the weights for it; what it made is kept for the
    latest four shapes. Any number of threads may call at once. Inside, images are channels-last.

    Examples
    --------
    >>> import fastconv as fc
    >>> network = fc.onnx.load("resnet18.onnx")  # doctest: +SKIP
    >>> network.inputs[0]  # doctest: +SKIP
    Port(name='data', shape=('N', 3, 224, 224), dtype=dtype('float32'))
    >>> network(np.zeros((1, 3, 224, 224), "float32")).shape  # doctest: +SKIP
    (1, 1000)
    """

    def __init__(self, graph: Graph) -> None:
        self.name, self.inputs, self.outputs = graph.name, graph.inputs, graph.outputs
        self._graph = graph
        self._programs: dict[Any, Program] = {}  # the latest last
        self._lock = threading.Lock()

    def __call__(self, *arrays: Any, **named: Any) -> Result:
        """The outputs for one batch: an array, or a tuple of them where the network has several.

        Parameters
        ----------
        *arrays, **named : array_like
            The inputs, in order or by name, in their dtype or one that casts to it; or one dict of them.
        """
        given = self._given(arrays, named)
        key = tuple((a.shape, a.dtype.char) for a in given.values())
        with self._lock:
            program = self._programs.pop(key, None)
            if program is not None:
                self._programs[key] = program
        if program is not None:
            return _result(program(given))
        program = Program(self._graph, given)
        first, program.first = program.first, []
        with self._lock:
            self._programs[key] = program
            while len(self._programs) > KEPT:
                del self._programs[next(iter(self._programs))]
        return _result(first)

    def predict(self, x: Any, batch_size: int | None = None) -> Result:
        """The outputs for samples x, in batches of `batch_size` along the first axis; None takes all at once.

        Parameters
        ----------
        x : array_like, or a dict of them
            All inputs of a network, where it has several, by name.
        batch_size : int, optional
        """
        if batch_size is None:
            return self(x)
        size = parse_count(batch_size, "batch_size")
        given = self._given((x,), {})
        count = min((len(a) for a in given.values() if a.ndim), default=0)
        if any(len(a) != count for a in given.values()):
            raise InvalidArgument("batch_size cuts all inputs along their first axis, which must have one size")
        parts = [self({n: a[i : i + size] for n, a in given.items()}) for i in range(0, max(1, count), size)]
        if len(self.outputs) == 1:
            return np.concatenate(parts)
        return tuple(np.concatenate(each) for each in zip(*parts, strict=True))

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print the nodes as they are run, what activation each ends with, the shapes of their results, and weights.

        Shapes are those of the latest call; before the first, of one for a batch of one, if the sizes are known.
        """
        for line in self._lines():
            print_fn(line)

    def _lines(self) -> Iterator[str]:
        graph, shapes = self._graph, self._shapes()
        yield f"Network {self.name!r}: {'; '.join(map(str, self.inputs))} -> {'; '.join(map(str, self.outputs))}"
        yield f"{'node':<40} {'operator':<28} {'result':<24} {'weights':>12}"
        for node in graph.nodes:
            kind = f"{node.op} {' '.join(map(str, node.get('activation', ())))}"
            count = sum(graph.constants[n].size for n in node.inputs if n in graph.constants)
            shape = str(shapes.get(node.outputs[0], "?"))
            yield f"{node.name[:39]:<40} {kind:<28} {shape:<24} {count:>12,}"
        yield f"{sum(a.size for a in graph.constants.values()):,} weights in {len(graph.nodes)} nodes"

    def _shapes(self) -> Mapping[str, tuple[int, ...]]:
        with self._lock:
            latest = next(reversed(self._programs.values()), None)
        if latest is None and all(p.shape is not None and _closed(p.shape[1:]) for p in self.inputs):
            shapes = {p.name: tuple(n if isinstance(n, int) else 1 for n in p.shape or ()) for p in self.inputs}
            latest = Program(self._graph, {p.name: np.zeros(shapes[p.name], p.dtype) for p in self.inputs})
        return {} if latest is None else latest.shapes

    def __repr__(self) -> str:
        return f"<onnx.Model {self.name!r}: {'; '.join(map(str, self.inputs))} -> {'; '.join(map(str, self.outputs))}>"

    def _given(self, arrays: tuple[Any, ...], named: dict[str, Any]) -> dict[str, np.ndarray]:
        """The inputs by name, checked."""
        if len(arrays) == 1 and isinstance(arrays[0], Mapping):
            named, arrays = {**arrays[0], **named}, ()
        names = [port.name for port in self.inputs]
        if len(arrays) > len(names):
            raise InvalidArgument(f"the network got {len(arrays)} inputs; it has {len(names)}: {', '.join(names)}")
        for name in named:
            if name not in names:
                raise InvalidArgument(f"the network has no input {shown(name)}{nearest(name, names)}; it has {names}")
        given = {**dict(zip(names, arrays, strict=False)), **named}
        missing = [name for name in names if name not in given]
        if missing:
            raise InvalidArgument(f"the network needs the input {', '.join(missing)}, which was not given")
        return {port.name: _checked(port, given[port.name]) for port in self.inputs}


def _checked(port: Port, value: Any) -> np.ndarray:
    """An array as the network takes it."""
    try:
        array = np.asarray(value)
    except Exception as error:
        raise InvalidArgument(f"input {port.name} is {shown(value)}; expected an array") from error
    if not np.can_cast(array.dtype, port.dtype, "same_kind"):
        raise InvalidArgument(f"input {port.name} has dtype {array.dtype}; expected {port.dtype}, or what casts to it")
    if port.shape is not None and (
        array.ndim != len(port.shape)
        or any(isinstance(n, int) and n != m for n, m in zip(port.shape, array.shape, strict=True))
    ):
        raise InvalidArgument(f"input {port.name} has shape {shown(array.shape)}; expected {shown(port.shape)}")
    return np.ascontiguousarray(array, port.dtype) if array.ndim else array.astype(port.dtype)


def _closed(shape: tuple[Any, ...]) -> bool:
    return all(isinstance(n, int) for n in shape)


def _result(outputs: list[np.ndarray]) -> Result:
    return outputs[0] if len(outputs) == 1 else tuple(outputs)
