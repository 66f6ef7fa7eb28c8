"""A network for inputs of known shapes: the nodes in order, each with what serves it, and when memory is free again.

Making a program runs the network once. Every node is then built for the arrays that it gets: convolutions pack their
weights, tables are made, and whatever depends on shapes and constants alone is worked out and is no step of later runs.
Images are kept channels-last from node to node, which is how the kernels are fastest, and brought into the file's order
where a node needs that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import memory
from ..errors import FastconvError, InvalidArgument, TooLarge, Unsupported, quoted
from ..memory import Pool, recycled
from .graph import Graph, Node
from .operators import ALIKE, EITHER, FIRST, LAST, OPERATORS, Fixed, Operand, Run

FEW = 4  # channels that are copied one by one

Known = Mapping[str, np.ndarray]


class Step(NamedTuple):
    """One call: slots of what it takes (-1 for nothing) and makes, and those that are free behind it."""

    run: Run
    takes: tuple[int, ...]
    makes: tuple[int, ...]
    frees: tuple[int, ...] = ()


class Program:
    """The steps for inputs of some shapes; may be run by several threads at once.

    Parameters
    ----------
    graph : Graph
    arrays : dict of ndarray
        The inputs of the first run, whose results are `first`.

    Attributes
    ----------
    first : list of ndarray
    shapes : dict
        Of all values, by name, in the file's order.
    """

    def __init__(self, graph: Graph, arrays: Known) -> None:
        self._lock, self._pool = threading.Lock(), Pool()
        with recycled(self._pool):
            trace = _Trace(graph)
            trace.run(arrays)
            ends = [trace.operand(port.name, FIRST) for port in graph.outputs]
        self._inputs = [(name, trace.slots[name, False]) for name in arrays]
        self._outputs = [end.slot for end in ends]
        self.shapes = trace.shapes
        self._steps = _with_frees(trace.steps, {*self._outputs, *trace.constants})
        self._memory = [a if i in trace.constants else None for i, a in enumerate(trace.memory)]
        # results that lie in what is not the caller's to change, or is his own
        kept = [*arrays.values(), *(a for a in self._memory if a is not None)]
        results = [end.operand.array for end in ends]
        self._copied = [any(np.may_share_memory(y, a) for a in kept) for y in results]
        self.first = self._finished(results)

    def __call__(self, arrays: Known) -> list[np.ndarray]:
        """The outputs."""
        own = self._lock.acquire(blocking=False)
        try:
            with recycled(self._pool if own else Pool()):
                return self._run(arrays)
        finally:
            if own:
                self._lock.release()

    def _run(self, arrays: Known) -> list[np.ndarray]:
        values: list[Any] = self._memory.copy()
        for name, slot in self._inputs:
            values[slot] = arrays[name]
        for run, takes, makes, frees in self._steps:
            result = run(*[None if i < 0 else values[i] for i in takes])
            if type(result) is tuple:
                for slot, array in zip(makes, result, strict=False):
                    values[slot] = array
            else:
                values[makes[0]] = result
            for slot in frees:
                values[slot] = None
        return self._finished([values[i] for i in self._outputs])

    def _finished(self, results: list[np.ndarray]) -> list[np.ndarray]:
        return [
            np.array(y, order="C") if copied else np.asarray(y, order="C")
            for y, copied in zip(results, self._copied, strict=True)
        ]


class _Held(NamedTuple):
    operand: Operand
    slot: int


class _Trace:
    """The first run."""

    def __init__(self, graph: Graph) -> None:
        self.memory: list[Any] = []
        self.slots: dict[tuple[str, bool], int] = {}  # by name, and whether channels are last
        self.constants: set[int] = set()
        self.steps: list[Step] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._graph, self._uses = graph, graph.uses()
        for name, array in graph.constants.items():
            self._keep(name, array, False, True)

    def run(self, arrays: Known) -> None:
        for name, array in arrays.items():
            self._keep(name, array, False, False)
        for node in self._graph.nodes:
            self._add(node)
            self._uses.subtract(name for name in node.inputs if name)
            for name in {*node.inputs, *node.outputs}:
                if name and self._uses[name] <= 0:
                    self._forget(name)

    def operand(self, name: str, layout: str) -> _Held:
        """A value with its channels where they are wanted; constants are in the file's order always."""
        last = layout == LAST
        slot = self.slots.get((name, last))
        if slot is None:
            source = self.slots[name, not last]
            array = self.memory[source]
            if source in self.constants or (last and array.ndim < 3):
                return _Held(Operand(array, source in self.constants), source)
            move = _to_last if last else _to_first
            slot = self._keep(name, move(array), last, False)
            self.steps.append(Step(move, (source,), (slot,)))
        return _Held(Operand(self.memory[slot], slot in self.constants, last), slot)

    def _add(self, node: Node) -> None:
        kind = OPERATORS[node.op]
        held = self._held(node, kind.layout)
        operands = [None if h is None else h.operand for h in held]
        run, result = _built(kind.build, node, operands)
        known = isinstance(run, Fixed)
        fixed = known or all(o is None or o.constant for o in operands)
        last = kind.layout != FIRST and not known and any(o is not None and o.last for o in operands)
        results = result if isinstance(result, tuple) else (result,)
        if fixed and last:
            results, last = tuple(map(_to_first, results)), False
        pairs = zip(node.outputs, map(np.asarray, results), strict=False)
        makes = tuple(self._keep(name, y, last, fixed) for name, y in pairs)
        if not fixed:
            self.steps.append(Step(run, tuple(-1 if h is None else h.slot for h in held), makes))

    def _held(self, node: Node, layout: str) -> list[_Held | None]:
        """What a node takes, in a layout that its operator takes."""
        names = node.inputs
        while names and not names[-1]:
            names = names[:-1]
        if layout == LAST:
            rank = self.memory[self._any_slot(names[0])].ndim
            first = self._beside(names[0], rank, ALIKE)
            return [first, *(self.operand(n, FIRST) if n else None for n in names[1:])]
        if layout in (EITHER, ALIKE):
            moving = [n for n in names if n and self._any_slot(n) not in self.constants]
            ranks = {self.memory[self._any_slot(n)].ndim for n in moving}
            if len(ranks) == 1 and any((n, True) in self.slots for n in moving):
                rank = ranks.pop()
                return [self._beside(n, rank, layout) if n else None for n in names]
        return [self.operand(n, FIRST) if n else None for n in names]

    def _beside(self, name: str, rank: int, layout: str) -> _Held:
        """A value channels-last, or a constant, with `ALIKE` in the order in which it meets values of so many axes."""
        held = self.operand(name, LAST)
        array = held.operand.array
        if layout == EITHER or not held.operand.constant or not 1 <= array.ndim <= rank or rank < 3:
            return held
        array = _to_last(array.reshape((1,) * (rank - array.ndim) + array.shape))
        return _Held(Operand(array, True, True), self._slot(array, True))

    def _any_slot(self, name: str) -> int:
        """Where a value lies, channels-last if it does so too."""
        slot = self.slots.get((name, True))
        return self.slots[name, False] if slot is None else slot

    def _keep(self, name: str, array: np.ndarray, last: bool, constant: bool) -> int:
        slot = self._slot(array, constant)
        if name:
            self.slots[name, last] = slot
            self.shapes[name] = Operand(array, last=last).shape
        return slot

    def _slot(self, array: np.ndarray, constant: bool) -> int:
        self.memory.append(array)
        if constant:
            self.constants.add(len(self.memory) - 1)
        return len(self.memory) - 1

    def _forget(self, name: str) -> None:
        """Let go of a value that nobody takes any more."""
        for slot in (self.slots.get((name, last)) for last in (False, True)):
            if slot is not None and slot not in self.constants:
                self.memory[slot] = None


def _built(build: Callable[..., Any], node: Node, operands: list[Operand | None]) -> tuple[Any, Any]:
    """What serves a node, and its result."""
    try:
        run = build(node, *operands)
        if isinstance(run, Fixed):
            return run, run.array
        return run, run(*(None if o is None else o.array for o in operands))
    except (Unsupported, TooLarge):
        raise
    except MemoryError:
        raise TooLarge(f"{node.op} {node.name!r} needs more memory than the system gives") from None
    except (FastconvError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        shapes = ", ".join("none" if o is None else str(o.shape) for o in operands)
        raise InvalidArgument(f"{node.op} {node.name!r} cannot take inputs {shapes}: {quoted(error)}") from error


def evaluated(node: Node, constants: Known) -> dict[str, np.ndarray] | None:
    """The results of a node that takes constants alone; None if it takes anything else, or works on images."""
    if OPERATORS[node.op].layout == LAST or not all(name in constants for name in node.inputs if name):
        return None
    operands = [Operand(constants[name], True) if name else None for name in node.inputs]
    _, result = _built(OPERATORS[node.op].build, node, operands)
    results = result if isinstance(result, tuple) else (result,)
    return {name: np.asarray(y) for name, y in zip(node.outputs, results, strict=False) if name}


def _with_frees(steps: list[Step], kept: set[int]) -> list[Step]:
    """The steps, each with the slots that no later one takes."""
    later, found = set(kept), []
    for step in reversed(steps):
        own = {slot for slot in (*step.takes, *step.makes) if slot >= 0}
        found.append(step._replace(frees=tuple(sorted(own - later))))
        later |= own
    return found[::-1]


def _to_last(x: np.ndarray) -> np.ndarray:
    if x.shape[1] > FEW or not x.flags.c_contiguous:
        return np.ascontiguousarray(np.moveaxis(x, 1, -1))
    y = memory.empty((x.shape[0], *x.shape[2:], x.shape[1]), x.dtype)
    for c in range(x.shape[1]):  # NumPy's inner loop would be the channels
        y[..., c] = x[:, c]
    return y


def _to_first(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, -1, 1)
