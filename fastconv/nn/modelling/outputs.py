"""Losses and metrics of models with several outputs: one each, by the outputs' names, in lists or dicts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...autograd import functional as F
from ...errors import InvalidArgument, shown
from .. import arguments
from ..basics.arrays import as_numbers
from ..basics.structures import leaves, mapped, mapped_shapes
from ..fitting.bundles import Bundle, holds_arrays
from ..losses import Loss
from ..losses import get as get_loss
from ..metrics import Mean, Metric
from . import parts


class NoLoss(Loss):
    """What a model is trained by that was compiled without a loss: 0, to which layers and regularizers add."""

    name = "none"

    def prepare(self, y: Any, shape: Any, name: str = "y") -> Any:
        several = isinstance(y, (list, tuple, dict)) and holds_arrays(y)
        return Bundle(mapped(lambda one: as_numbers(one, name), y), name) if several else as_numbers(y, name)

    def tensor(self, y_pred: Any, y_true: Any, weights: Any = None) -> Tensor:
        return Tensor(np.zeros((), leaves(y_pred)[0].dtype))


class Combined(Loss):
    """The weighted sum of the losses of several outputs.

    Parameters
    ----------
    names : list of str
        Of the outputs, in order.
    losses : list of Loss or None
    weights : list of float
    """

    def __init__(self, names: Sequence[str], losses: Sequence[Loss | None], weights: Sequence[float]) -> None:
        super().__init__("loss")
        self.names, self.losses, self.loss_weights = list(names), list(losses), list(weights)
        self.last: list[Any] = []
        """What each loss was for the last batch, before its weight."""

    def prepare(self, y: Any, shape: Any, name: str = "y") -> Any:
        shapes = leaves_of_shapes(shape)
        given = by_name(name, y, self.names, "labels", needed=[loss is not None for loss in self.losses])
        prepared: list[Any] = []
        for loss, label, form, title in zip(self.losses, given, shapes, self.names, strict=True):
            if loss is None or label is None:
                prepared.append(None if label is None else arguments.host_array(None, f"{name}[{title!r}]", label))
            else:
                prepared.append(loss.prepare(label, form, f"{name}[{title!r}]"))
        return Bundle(prepared, name)

    def tensor(self, y_pred: Any, y_true: Any, weights: Any = None) -> Tensor:
        outputs = leaves(y_pred)
        of_each = leaves(weights) if isinstance(weights, (list, tuple, dict)) else [weights] * len(outputs)
        total: Any = None
        self.last.clear()  # the list itself is shared with `on_outputs`
        for loss, factor, output, label, weight in zip(
            self.losses, self.loss_weights, outputs, leaves(y_true), of_each, strict=True
        ):
            value = None if loss is None else loss.tensor(output, label, weight)
            self.last.append(None if value is None else value.values)
            if value is not None:
                value = value if factor == 1 else F.multiply(value, factor)
                total = value if total is None else F.add(total, value)
        return total

    def on_outputs(self, endings: Sequence[str | None]) -> tuple[tuple[int, ...], Combined]:
        """The outputs whose last activation training may leave out, and the loss that is taken of what goes into it."""
        pairs = enumerate(zip(self.losses, endings, strict=False))  # of code of the user's no endings are known
        folded = tuple(i for i, (loss, end) in pairs if loss and end and loss.activation == end)
        if not folded:
            return (), self
        other = copy.copy(self)
        other.losses = [loss.on_logits() if loss and i in folded else loss for i, loss in enumerate(self.losses)]
        return folded, other

    def latest(self, place: int) -> Any:
        """What a loss was for the last batch."""
        return self.last[place]

    def label_dtype(self, y: Any) -> Any:
        pairs = zip(self.losses, y.arrays, strict=True)
        return [a.dtype if loss is None else loss.label_dtype(a) for loss, a in pairs if a is not None]


class LossOf(Mean):
    """The running mean of one output's loss."""

    def __init__(self, name: str, latest: Callable[[int], Any], place: int) -> None:
        super().__init__(f"{name}_loss")
        self._latest, self._place = latest, place

    def update_state(self, y_true: Any, y_pred: Any = None, sample_weight: Any = None) -> None:  # type: ignore[override]
        value, part = self._latest(self._place), parts.current()
        value = float(value) if part is None else float(part.mean(value))
        super().update_state(value, len(leaves(y_pred)[0]))


class MetricOf(Metric):
    """A metric of one output."""

    def __init__(self, name: str, metric: Metric, place: int) -> None:
        super().__init__(f"{name}_{metric.name}")
        self._inside, self._place = [metric], place  # in a list, for what is put aside for a while is all but functions

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        weights = leaves(sample_weight) if isinstance(sample_weight, (list, tuple, dict)) else None
        label, output = leaves(y_true)[self._place], leaves(y_pred)[self._place]
        weight = sample_weight if weights is None else weights[self._place]
        given = () if weight is None else (weight,)
        self._inside[0].update_state(label, output, *given)

    def reset_state(self) -> None:
        self._inside[0].reset_state()

    def result(self) -> Any:
        return self._inside[0].result()


def combined(names: Sequence[str], loss: Any, loss_weights: Any) -> Combined:
    """The losses that `compile` was given, one for all outputs or one each."""
    several = isinstance(loss, (list, tuple, Mapping))
    given = by_name("loss", loss, names, "losses") if several else [loss] * len(names)
    found = [None if one is None else get_loss(one) for one in given]
    if not any(found):
        raise InvalidArgument("compile needs loss= for one of the outputs at least")
    if not several:
        found = [copy.copy(one) for one in found]
    factors = [1.0] * len(names) if loss_weights is None else by_name("loss_weights", loss_weights, names, "weights")
    weights = [1.0 if f is None else arguments.real("compile", "loss_weights", f) for f in factors]
    return Combined(names, found, weights)


def metrics_of(names: Sequence[str], given: Any, make: Callable[[str, Any], list[Metric]], what: str) -> list[Metric]:
    """The metrics that an argument of `compile` names for each output: lists in a list or a dict."""
    if given is None:
        return []
    pairs = enumerate(zip(names, by_name(what, given, names, what), strict=True))
    return [MetricOf(name, metric, i) for i, (name, one) in pairs for metric in make(what, one)]


def judged(model: Any, given: tuple[Any, ...], make: Callable[[str, Any], list[Metric]]) -> tuple[Any, Any, Any]:
    """Loss, metrics and weighted metrics for a model's outputs, as far as these are known.

    Parameters
    ----------
    model : Network
    given : tuple
        Loss, metrics, weighted metrics and weights of losses, as `compile` was given them.
    make : callable
        Makes a list of metrics of an argument's name and what was given for one output.
    """
    loss, metrics, weighted, loss_weights = given
    names = model.output_names
    if names is None and (isinstance(loss, (list, tuple, Mapping)) or loss_weights is not None):
        names = list(loss) if isinstance(loss, Mapping) else ["output"]
    if loss is None:
        found: Any = NoLoss()
    else:
        found = get_loss(loss) if names is None else combined(names, loss, loss_weights)
    if names is None or len(names) == 1:
        return found, make("metrics", metrics), make("weighted_metrics", weighted)
    of_losses = [] if loss is None else [LossOf(n, found.latest, i) for i, n in enumerate(names) if found.losses[i]]
    scores, counted = (
        metrics_of(names, w, make, what) for what, w in (("metrics", metrics), ("weighted_metrics", weighted))
    )
    return found, [*of_losses, *scores], counted


def by_name(
    argument: str, given: Any, names: Sequence[str], what: str, needed: Sequence[bool] | None = None
) -> list[Any]:
    """What was given for each output, in their order; None where it may be left out.

    Raises
    ------
    InvalidArgument
        There are too few or too many, or a name that no output has.
    """
    outputs = ", ".join(map(shown, names))
    if isinstance(given, Mapping):
        strange = [name for name in given if name not in names]
        if strange:
            raise InvalidArgument(f"{argument} has {what} for {shown(strange[0])}; the outputs are {outputs}")
        found = [given.get(name) for name in names]
    else:
        found = list(given) if isinstance(given, (list, tuple)) else [given]
        if len(found) != len(names):
            raise InvalidArgument(
                f"{argument} holds {len(found)} {what} but there are {len(names)} outputs, {outputs}: pass one for "
                "each, in a list, or a dict by these names"
            )
    for name, one, is_needed in zip(names, found, needed or [False] * len(names), strict=True):
        if is_needed and one is None:
            raise InvalidArgument(f"{argument} has no {what} for the output {shown(name)}; the outputs are {outputs}")
    return found


def leaves_of_shapes(shapes: Any) -> list[Any]:
    """The shapes in a structure of them, in order."""
    found: list[Any] = []
    mapped_shapes(found.append, shapes)
    return found
