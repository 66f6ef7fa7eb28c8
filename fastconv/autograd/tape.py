"""The record of what was computed, and the way back through it.

What a gradient needs is what the operands were in the forward pass. An operand that somebody else can write to, a leaf
or an array of the caller, is therefore copied where an operation keeps it; results are the tape's own, and
`Tensor.data` lends them for reading only (docs/decisions/0020-what-the-tape-keeps.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from ..ops.halves import added, cast, is_half
from ..within import Block, Within

VJPS: dict[str, Callable[..., tuple[Any, ...]]] = {}
"""Operation -> ``vjp(dy, needs, *saved)``: the gradients to its inputs, None where ``needs`` is False."""

PRIMITIVES: dict[str, Any] = {}
"""Operation -> what callers call, an `autograd.Primitive`."""

ANSWERS: dict[str, Callable[..., Any]] = {}
"""Function of fastconv -> what answers for it where a tensor is given, if that is not the primitive of its name."""

PLAIN = frozenset((int, float, bool, str, type(None)))  # what is no array, told quickly
DEPTH = 16  # of lists in lists that are looked into; a list may hold itself

_ids = itertools.count()


class _Recording(Within):
    on, undisturbed = True, False


_recording = _Recording()


class Node:
    """One step on the tape: the operation, what its VJP needs, and the nodes its inputs came from.

    `shape` is the result's, `operands` are the inputs' shapes, for those who look at the graph; a number is itself.
    """

    __slots__ = ("id", "leaf", "needs", "op", "operands", "parents", "saved", "shape", "version")

    def __init__(
        self,
        op: str,
        parents: tuple[Node | None, ...],
        saved: Any,
        shape: tuple[int, ...],
        operands: tuple[Any, ...] = (),
        leaf: Any = None,
    ) -> None:
        self.id = next(_ids)
        self.op = op
        self.parents = parents
        self.needs = tuple(parent is not None for parent in parents)
        self.saved = saved
        self.shape = shape
        self.operands = operands
        self.leaf = leaf
        self.version = 0 if leaf is None else leaf.version

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Numbers of nodes are this process's, and each is given once."""
        raise InvalidArgument(
            f"a tensor that {self.op!r} computed can be neither deep-copied nor pickled with the record of how it was "
            "computed; detach() it first"
        )


def is_recording() -> bool:
    """False inside `no_grad`, in this thread."""
    return _recording.on


def no_grad() -> Block:
    """Record nothing: results inside do not require a gradient, whatever their inputs do.

    Examples
    --------
    >>> from fastconv.autograd import Tensor, no_grad
    >>> x = Tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     (x + 1).requires_grad
    False
    """
    return _recording.set(on=False)


def is_undisturbed() -> bool:
    """True inside `undisturbed`, in this thread."""
    return _recording.undisturbed


def undisturbed(promised: bool = True) -> Block:
    """The caller promises that nobody writes to an operand before `backward`: nothing is copied in this block.

    Where a leaf is changed all the same, by an optimizer, by ``w -= ...`` or by ``w.data = ...``, `backward` raises
    `InvalidArgument` and names the operation. What is written to an array itself, ``w.data[...] = ...``, is not seen.
    """
    return _recording.set(undisturbed=promised)


def apart(value: Any, lent: Sequence[Any]) -> Any:
    """`value`, which a node or a tensor is to keep, without a byte or a list of what others can write to.

    `lent` are the arrays that others hold. Tuples, lists and dicts are looked into.
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, tuple):
        return tuple(apart(item, lent) for item in value)
    if isinstance(value, list):
        return [apart(item, lent) for item in value]
    if isinstance(value, dict):
        return {key: apart(item, lent) for key, item in value.items()}
    return value.copy() if is_array(value) and any(overlap(value, array) for array in lent) else value


def arrays_in(values: Any, depth: int = DEPTH) -> Iterator[Any]:
    """The arrays among `values`, and in tuples, lists and dicts among them."""
    for value in values:
        if is_array(value):
            yield value
        elif isinstance(value, (tuple, list, dict)) and depth:
            yield from arrays_in(value.values() if isinstance(value, dict) else value, depth - 1)


def is_array(value: Any) -> bool:
    """True for NumPy's arrays and `fastconv.to_device`'s."""
    return isinstance(value, np.ndarray) or hasattr(type(value), "gpu_data")


def overlap(a: Any, b: Any) -> bool:
    """Whether two arrays may have a byte in common."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.may_share_memory(a, b)
    starts = [array.__cuda_array_interface__["data"][0] or 0 for array in (a, b)]
    return starts[0] < starts[1] + b.nbytes and starts[1] < starts[0] + a.nbytes


def node_of(tensor: Any) -> Node | None:
    """Where a tensor came from; None if no gradient goes there."""
    if tensor._node is None and tensor.requires_grad:
        return Node("leaf", (), (), tensor.values.shape, leaf=tensor)
    return tensor._node


def propagate(root: Node, dy: Any, retain: bool) -> None:
    """Visit the nodes from the last made to the first: each has then got its whole gradient."""
    gradients = {root.id: dy}
    borrowed = {root.id}  # leaves whose gradient lies in memory that others hold
    for node in _reachable(root):
        dy = gradients.pop(node.id)
        if node.leaf is not None:
            _give(node.leaf, dy, node.id in borrowed)
            continue
        found, others = _pulled_back(node, dy), ()
        for i, (parent, dx) in enumerate(zip(node.parents, found, strict=True)):
            if parent is None:
                continue
            if parent.id in gradients:
                gradients[parent.id] = added(gradients[parent.id], dx)
                borrowed.discard(parent.id)
                continue
            gradients[parent.id] = dx
            if parent.leaf is not None and not is_undisturbed():
                others = others or (dy, *arrays_in(node.saved))
                if any(overlap(dx, array) for array in (*others, *arrays_in(found[:i] + found[i + 1 :]))):
                    borrowed.add(parent.id)
        if not retain:
            node.saved = None
        del dy, found, dx, others


def _pulled_back(node: Node, dy: Any) -> tuple[Any, ...]:
    """The gradients to a node's inputs."""
    if node.saved is None:
        raise InvalidArgument(
            f"the record of {node.op!r} was freed by an earlier backward(); call that with retain=True"
        )
    if node.op not in VJPS:
        raise InvalidArgument(f"the operation {node.op!r} has no gradient; give it one with @{node.op}.vjp")
    for i, parent in enumerate(node.parents):
        if parent is not None and parent.leaf is not None and parent.version != parent.leaf.version:
            _refuse_changed(node, parent.leaf, i)
    found = VJPS[node.op](dy, node.needs, *node.saved)
    if not isinstance(found, (tuple, list)) or len(found) != len(node.parents):
        got = f"{len(found)}" if isinstance(found, (tuple, list)) else f"a {type(found).__name__}"
        raise InvalidArgument(
            f"the gradient of {node.op!r} must be a tuple of {len(node.parents)}, one for each input, but its vjp "
            f"returned {got}"
        )
    return tuple(found)


def _refuse_changed(node: Node, leaf: Any, i: int) -> None:
    """An operand was changed after the forward pass: nobody may need it, or a copy of it was kept."""
    if any(overlap(array, leaf.values) for array in arrays_in(node.saved)):
        name = getattr(leaf, "name", None)
        raise InvalidArgument(
            f"operand {i} of {node.op!r}{f', {name!r},' if name else ''} of shape {tuple(leaf.shape)} was changed in "
            "place after the forward pass, and its gradient needs the values that were there: call backward() before "
            "the change, or leave undisturbed() away, which promises that there is none"
        )


def _give(leaf: Any, dy: Any, is_borrowed: bool) -> None:
    """Add a gradient to a leaf's; it is an array of the leaf's own, which may be written to."""
    if is_half(leaf.values.dtype):
        dy = cast(dy, leaf.values.dtype)
    if leaf.grad is not None:
        dy = added(leaf.grad, dy)
    elif is_borrowed or (isinstance(dy, np.ndarray) and not dy.flags.writeable):  # one number in all places
        dy = dy.copy()
    leaf.grad = np.asarray(dy) if isinstance(dy, np.generic) else dy


def _reachable(root: Node) -> list[Node]:
    found = {root.id: root}
    waiting = [root]
    while waiting:
        for parent in waiting.pop().parents:
            if parent is not None and parent.id not in found:
                found[parent.id] = parent
                waiting.append(parent)
    return [found[key] for key in sorted(found, reverse=True)]
