"""How a graph of layers is run: which neighbours are computed in one pass over memory, and when results are let go.

A graph is cut into chains, which run one behind the other; what a chain takes is freed where nobody takes it any more.
In a chain, which is all that a `Sequential` model is:

* a convolution or dense layer followed by relu: the relu is fused into the store;
* these followed by a max pool: in training relu and its gradient, with the bias's sums, see the maxima alone;
* relu followed by batch normalisation: the normalisation takes relu(x), both ways;
* batch normalisation behind one of these layers: its gradient sums that of the layer's bias;
* a max pool behind batch normalisation: the maxima alone are normalised, where that leaves the largest the largest;
* the last activation, where the loss can be taken of what goes into it (softmax with cross-entropy): left out in
  training.

The results are those of the layers one by one. Passes are made of the layers as they are; they can tell whether these
still are, and are then made anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from functools import partial
from operator import is_
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...autograd.halves import weights_as
from ...ops._exactness import noting
from ...ops.halves import is_half
from .. import activations
from ..basics import seeding
from ..basics.structures import leaves, mapped
from ..layers import Activation, BatchNormalization, Dense, Layer
from ..layers.convolution import Conv
from ..layers.custom import collecting, invoke, is_collecting, training_as
from ..layers.operations import Operation
from ..layers.pooling import Pooling
from .graph import Applied, Graph, Program, Slot

Step = Callable[[Any, bool], Any]


class Passes:
    """The steps of a graph of layers.

    Parameters
    ----------
    network : Network
        What is run; its generator is the one that the layers draw from meanwhile.
    graph : Graph, optional
        Of its layers; by default the network's.

    Attributes
    ----------
    layers : list of Layer
        All that are run, each once, those of models inside included.
    chains : list of Chain
        What is run one behind the other.
    last_activations : list of str or None
        For each output the name of the activation that it ends with, if one does that training may leave out.
    ours : bool
        Whether all layers and activations are fastconv's own.
    penalties : list of Tensor
        What layers' regularizers said of their results in the last run.
    """

    penalties: Sequence[Tensor] = ()

    def __init__(self, network: Any, graph: Graph | None = None) -> None:
        program = Program(network, graph)
        self._members = program.members
        self.layers = list({id(a.layer): a.layer for a in program.applied}.values())
        self._made_of = [_outlines(layer) for layer in self.layers]
        self._generator: Callable[[], np.random.Generator] = network.generator
        self.ours = all(
            is_ours(layer) and is_ours(vars(layer).get("activation")) and is_ours(layer.activity_regularizer)
            for layer in self.layers
        )
        self._penalizes = not self.ours or any(layer.activity_regularizer is not None for layer in self.layers)
        self._inputs, self._outputs, self._count = leaves(program.inputs), program.outputs, len(program.shapes)
        self._takes_all = program.takes_all
        self.chains = _chains(program)
        outputs = leaves(program.outputs)
        ends = {c.result: c.last_activation for c in self.chains if isinstance(c.result, Slot)}
        used = Counter(slot for c in self.chains for slot in c.given)
        used.update(outputs)
        self.last_activations = [ends.get(slot) if used[slot] == 1 else None for slot in outputs]
        self._numbers = {slot: n for n, slot in enumerate(outputs)}

    def run(self, x: Any, training: bool, without_last: Collection[int] = ()) -> Any:
        """The results, or of the outputs numbered in `without_last` what goes into the last activation.

        `x` is a tensor, or as many as the graph has inputs, in the structure of these; what is run by the user's own
        code takes it as it is.
        """
        values: list[Any] = [None] * self._count
        for slot, value in zip(self._inputs, [x] if self._takes_all else leaves(x), strict=True):
            values[slot] = value
        without = {slot for slot, n in self._numbers.items() if n in without_last}
        self.penalties = []
        collects = collecting(self.penalties) if self._penalizes and not is_collecting() else nullcontext()
        noted = noting(self.ours)  # none of our layers writes to what another one made
        with seeding.drawing(self._generator()), training_as(training), weights_as(None), collects, noted:
            for part in self.chains:
                part.run(values, training, part.result in without if without else False)
        return mapped(values.__getitem__, self._outputs)

    def fits(self) -> bool:
        """Whether the layers are those that these passes were made of, as they were then."""
        for network, members in self._members:
            now = network.members
            if len(now) != len(members) or not all(map(is_, now, members)):
                return False
        for (known, kind, activation, call, shape, regularizer, policy), layer in zip(
            self._made_of, self.layers, strict=True
        ):
            own = vars(layer)
            if (
                layer is not known
                or type(layer) is not kind
                or own.get("activation") is not activation
                or own.get("call") is not call
                or own.get("input_shape") is not shape
                or own.get("activity_regularizer") is not regularizer
                or own.get("_policy") is not policy
            ):
                return False
        return True


class Chain:
    """Layers each of which takes what the one before it makes, and nothing else does: the first may take more.

    Parameters
    ----------
    applied : list of Applied

    Attributes
    ----------
    steps : list of callables (x, training)
    given : list of Slot
        What the first layer takes.
    result : Slot, or a structure of slots
    last_activation : str or None
    spent : list of Slot
        What nobody takes any more behind this chain.
    """

    spent: Sequence[Slot] = ()

    def __init__(self, applied: Sequence[Applied]) -> None:
        first, self.result = applied[0], applied[-1].results
        self._training = first.training
        self.given = [s for s in leaves((first.args, first.options)) if isinstance(s, Slot)]
        layers = [a.layer for a in applied]
        if len(first.args) == 1 and not first.options:
            parts = _parts(layers)
            self.steps, self._args = _steps(parts), first.args[0]
        else:  # a layer of the user's that takes several arguments
            parts = _parts(layers[1:])
            self.steps = [partial(_invoke_with, first.layer), *_steps(parts)]
            self._args = (first.args, first.options)
        self.last_activation = _name(parts[-1]) if parts else None

    def run(self, values: list[Any], training: bool, without_last: bool) -> None:
        """Take from `values` and put into them."""
        if self._training is not None:
            training = self._training
        args = self._args
        x = values[args] if type(args) is Slot else mapped(lambda v: values[v] if type(v) is Slot else v, args)
        for slot in self.spent:
            values[slot] = None
        for step in self.steps[:-1] if without_last else self.steps:
            x = step(x, training)
        if type(self.result) is Slot:
            values[self.result] = x
        else:
            for slot, value in zip(leaves(self.result), leaves(x), strict=True):
                values[slot] = value


def _chains(program: Program) -> list[Chain]:
    """A program's layers as chains, each as long as can be, in an order in which they can run."""
    users = Counter(leaves(program.outputs))
    user: dict[Any, int] = {}
    for i, a in enumerate(program.applied):
        taken = [s for s in leaves((a.args, a.options)) if isinstance(s, Slot)]
        users.update(taken)
        user.update(dict.fromkeys(taken, i))
    chains, placed = [], set()
    for i, first in enumerate(program.applied):
        if i in placed:
            continue
        members = [first]
        while type(result := members[-1].results) is Slot and users[result] == 1 and result in user:
            following = program.applied[user[result]]
            if following.options or following.args != (result,) or following.training is not first.training:
                break
            placed.add(user[result])
            members.append(following)
        chains.append(Chain(members))
    wanted = set(leaves(program.outputs))
    for part in reversed(chains):
        part.spent = [slot for slot in dict.fromkeys(part.given) if slot not in wanted]
        wanted.update(part.given)
    return chains


def _steps(parts: Sequence[Any]) -> list[Step]:
    """Parts one behind the other, neighbours in one pass where they can be."""
    steps: list[Step] = []
    i = 0
    while i < len(parts):
        part: Any = parts[i]
        following: Any = parts[i + 1] if i + 1 < len(parts) else None
        count, normalized = _normalized(parts[i : i + 4])
        if count:
            steps.append(normalized)
            i += count
        elif isinstance(part, _Linear) and _is_relu(following):
            pool = next(filter(_is_max_pool, parts[i + 2 : i + 3]), None)
            steps.append(_linear(part.layer, "relu") if pool is None else partial(_pool, part.layer, pool))
            i += 2 + (pool is not None)
        else:
            steps.append(_single(part))
            i += 1
    return steps


def _invoke_with(layer: Layer, given: Any, training: bool) -> Any:
    (x, *more), options = given
    return invoke(layer, x, training, *more, **options)


def is_ours(part: Any) -> bool:
    """Whether a part of a model is fastconv's own code; none is."""
    return part is None or (getattr(part, "__module__", None) or "").partition(".")[0] == "fastconv"


class _Linear:
    """A convolution or dense layer without its activation."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer


class _Conversion:
    """What a layer that is not called as one takes, in the dtype that it computes in."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer


def _outlines(layer: Layer) -> tuple[Any, ...]:
    """All of a layer that its passes and shapes depend on, to be compared by identity."""
    own = vars(layer)
    watched = ("activation", "call", "input_shape", "activity_regularizer", "_policy")
    return layer, type(layer), *map(own.get, watched)


def _is_plain(layer: Any, *kinds: type[Layer]) -> bool:
    """Whether a layer is of one of these kinds and computes what it does: no subclass has another `call`."""
    return any(
        isinstance(layer, kind) and type(layer).call is kind.call and "call" not in vars(layer) for kind in kinds
    ) and (layer.activity_regularizer is None)


def _parts(layers: Sequence[Any]) -> list[Any]:
    """Layers, with those that hold an activation of their own split in two; activations as functions.

    Where one that computes in 16 bits and one that does not follow one another, what is between them is converted.
    """
    parts: list[Any] = []
    halves, given = any(is_half(layer.dtype_policy.compute) for layer in layers), None
    for layer in layers:
        computes = layer.dtype_policy.compute
        if halves and computes != given and _is_plain(layer, Conv, Dense, Activation, BatchNormalization, Pooling):
            parts.append(_Conversion(layer))
        given = computes if layer.is_builtin and not isinstance(layer, Operation) else None
        if _is_plain(layer, Conv, Dense):
            parts.append(_Linear(layer))
            if layer.activation is not activations.linear:
                parts.append(layer.activation)
        elif _is_plain(layer, Activation):
            parts.append(layer.activation)
        else:
            parts.append(layer)
    return parts


def _is_relu(part: Any) -> bool:
    return part is activations.relu


def _name(part: Any) -> str | None:
    return next((name for name in ("softmax", "sigmoid") if part is activations.KNOWN[name]), None)


def _single(part: Any) -> Step:
    if isinstance(part, _Linear):
        return _linear(part.layer, None)
    if isinstance(part, _Conversion):
        return lambda x, training: part.layer.converted(x)
    if isinstance(part, Layer):
        return partial(invoke, part)
    return lambda x, training: activations.apply(part, x)


def _linear(layer: Any, activation: str | None) -> Step:
    return lambda x, training: layer.linear(x, activation)


def _normalized(parts: Sequence[Any]) -> tuple[int, Step]:
    """How many of the first parts are one step that normalises, and that step: [linear] [relu] normalisation [pool]."""
    linear = parts[0].layer if isinstance(parts[0], _Linear) else None
    behind = int(linear is not None)
    relu = behind < len(parts) and _is_relu(parts[behind])
    behind += relu
    if behind == len(parts) or not _is_plain(parts[behind], BatchNormalization):
        return 0, _single(None)
    layer, *rest = parts[behind:]
    pool = next(filter(_is_max_pool, rest[:1]), None)
    return behind + 1 + (pool is not None), partial(_normalize, linear, relu, layer, pool)


def _normalize(
    linear: Any, relu: bool, layer: BatchNormalization, pool: Pooling | None, x: Tensor, training: bool
) -> Tensor:
    """One pass for a linear layer and its relu, both or neither, a normalisation and a max pool, if there is one."""
    bias: Tensor | None = None
    if linear is not None:
        fused = _have_one_axis(layer, linear, x.ndim)
        x = linear.linear(x, None, bias_grad=not fused)
        bias = next(iter(linear.biases()), None) if fused else None
    if pool is None:
        return layer.normalize(x, training, relu, bias)
    if not (_have_one_axis(layer, pool, x.ndim) and layer.increases(x)):
        return pool.call(layer.normalize(x, training, relu, bias))
    if not training:
        return layer.normalize(pool.call(x), training, relu)
    return layer.normalize(x, training, relu, bias, pool.window)


def _pool(linear: Any, pool: Pooling, x: Tensor, training: bool) -> Tensor:
    """A linear layer, its relu and a max pool: in training relu comes last, and its gradient first, on the maxima."""
    if not training or _axis(linear) % x.ndim != _axis(pool) % x.ndim:
        return pool.call(linear.linear(x, "relu"))
    return pool.of_relu(linear.linear(x, None, bias_grad=False), linear.biases())


def _have_one_axis(layer: BatchNormalization, other: Any, ndim: int) -> bool:
    """Whether another layer has its channels along the axis that is normalised."""
    return (layer.axis - _axis(other)) % ndim == 0


def _axis(layer: Any) -> int:
    """Where a linear layer or a pool has its channels."""
    return -1 if getattr(layer, "channels_last", True) else 1


def _is_max_pool(part: Any) -> bool:
    return _is_plain(part, Pooling) and part.operation == "max"
