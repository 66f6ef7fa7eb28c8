"""One step of training, evaluation or prediction: what `fit`, `evaluate` and `predict` call for every batch.

A model of your own may override `train_step`, `test_step` and `predict_step`, with Keras's signatures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from ...autograd import Tensor, no_grad, undisturbed
from ...autograd import functional as F
from ...errors import InvalidArgument, shown
from ...ops.halves import cast
from .. import activations, arguments, constraints, losses, regularizers
from ..basics.structures import filled, leaves, mapped
from ..callbacks.base import Logs
from ..layers import Parameter
from ..metrics import Mean, Metric
from ..modelling import parts
from ..modelling.network import Network
from ..modelling.outputs import Combined, NoLoss
from ..modelling.passes import Passes, is_ours
from ..policies import of_arrays
from .bundles import holds_arrays, structure_of
from .loaders import unpack
from .meters import Meter, meter_of


class Steps(Network):
    """What a model does with a batch."""

    optimizer: Any = None
    loss: Any = None
    _metrics: Sequence[Metric] = ()
    _weighted: Sequence[Metric] = ()
    _loss_tracker: Mean
    _meter: Meter | None = None

    def train_step(self, data: Any) -> Logs:
        """Train on one batch.

        Parameters
        ----------
        data : (x, y) or (x, y, sample_weight)
            Tensors: samples, labels in the form the loss takes, and weights where `fit` was given some.

        Returns
        -------
        dict
            The running loss and metrics. What a `train_step` of your own returns is what callbacks and, of the last
            batch, the history get; its values may be tensors of one element.

        Examples
        --------
        >>> import numpy as np
        >>> from fastconv import nn as keras
        >>> class Doubled(keras.Sequential):
        ...     def train_step(self, data):
        ...         x, y = data
        ...         self.zero_grad()
        ...         loss = 2 * self.compute_loss(y=y, y_pred=self(x, training=True))
        ...         loss.backward()
        ...         self.optimizer.apply(self.trainable_weights)
        ...         return {"loss": loss}
        >>> model = Doubled([keras.layers.Dense(1, kernel_initializer="zeros", input_shape=(1,))])
        >>> model.compile("sgd", "mse")
        >>> model.fit(np.ones((2, 1)), np.ones(2), verbose=0).history
        {'loss': [2.0]}
        """
        x, y, weights = self._read(data)
        with nullcontext(self._meter) if self._meter else self._measuring(y) as meter:
            meter.add(*_of_batch(self._train_on(x, mapped(_values, y), weights, meter), _count(x)))
            return meter.logs()

    def test_step(self, data: Any) -> Logs:
        """Evaluate one batch of tensors; takes and returns what `train_step` does."""
        x, y, weights = self._read(data)
        with nullcontext(self._meter) if self._meter else self._measuring(y) as meter:
            meter.add(*_of_batch(self._test_on(x, mapped(_values, y), weights, meter), _count(x)))
            return meter.logs()

    def predict_step(self, data: Any) -> Any:
        """The model's result for one batch ``(x,)`` of tensors."""
        x = data[0] if isinstance(data, (tuple, list)) and data else data
        return self.passes.run(mapped(Tensor, self._batch(x)), False)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The compiled loss of outputs `y_pred` for labels `y`, and what regularizers add; differentiable.

        A model of your own may override it, as in Keras: the steps above then take what it returns.
        """
        y_pred = _tensors("compute_loss", "y_pred", y_pred)
        y = None if y is None and isinstance(self.loss, NoLoss) else _tensors("compute_loss", "y", y)
        for output, label in zip(leaves(y_pred), leaves(y), strict=isinstance(self.loss, Combined)):
            if label is not None and (output.ndim == 0 or output.shape[:1] != label.shape[:1]):
                raise InvalidArgument(
                    f"compute_loss got y {label.shape} for y_pred {output.shape}; expected a row for each"
                )
        if sample_weight is not None:
            sample_weight = mapped(_values, _tensors("compute_loss", "sample_weight", sample_weight))
        loss = self.loss.tensor(y_pred, mapped(_values, y), sample_weight)
        return _regularized(loss, self.trainable_weights, self.passes.penalties)

    def _read(self, data: Any) -> tuple[Any, Any, Any]:
        """Samples, labels and weights, which are no tensor, of one batch."""
        least = 1 if isinstance(self.loss, NoLoss) else 2
        if not isinstance(data, (tuple, list)) or not least <= len(data) <= 3:
            raise InvalidArgument("a step's data must be a pair (x, y) of samples and labels, or (x, y, sample_weight)")
        given, labels, weights = unpack(data)
        x, y = self._batch(given), None if labels is None else _tensors(None, "y", labels)
        first = leaves(x)[0]
        for label in leaves(y):
            if label is not None and first.shape[:1] != label.shape[:1]:
                raise InvalidArgument(
                    f"a step got x {first.shape} and y {label.shape}; expected as many labels as samples"
                )
        return x, y, None if weights is None else mapped(_values, _tensors(None, "sample_weight", weights))

    def _batch(self, x: Any) -> Any:
        """Samples with as many axes as the model's input has."""
        x, shape = _tensors(None, "x", x), self.input_shape
        if not isinstance(x, Tensor):
            return self.arranged(x)
        if x.ndim == 0 or (shape is not None and x.ndim != len(shape)):
            raise InvalidArgument(f"x has shape {x.shape} but the model takes {shape or 'a batch'}")
        return x

    def zero_grad(self) -> None:
        """Forget the gradients of all weights."""
        for w in self.weights:
            w.grad = None

    @property
    def metrics(self) -> list[Metric]:
        """The running mean of the loss, for a step of your own, and the compiled metrics; all begin anew each epoch."""
        return [] if self.loss is None else [self._loss_tracker, *self._metrics, *self._weighted]

    def reset_metrics(self) -> None:
        """Let all metrics begin anew, as they do by themselves for every epoch and evaluation."""
        for metric in self.metrics:
            metric.reset_state()

    def _train_on(self, x: Any, y: Any, sample_weight: Any, meter: Meter) -> Any:
        """Forward, backward, update; returns the loss, where it was computed."""
        passes, weights = self.passes, self.trainable_weights
        folded, loss_function = self._folded(passes)
        self._plans = None  # of weights that change now
        with undisturbed(self._is_ours(passes, weights)):
            result = passes.run(mapped(Tensor, x), True, folded)
            if not passes.ours:  # a layer of the user's may have made weights
                weights = self.trainable_weights
            for w in weights:
                w.grad = None
            if self._is_overridden("compute_loss"):
                loss = self._own_loss(x, y, sample_weight, result, True)
            else:
                self._needs_loss(weights, passes.penalties)
                loss = _regularized(_mean_loss(loss_function, result, y, sample_weight), weights, passes.penalties)
            self._score(meter, y, sample_weight, result, folded)
            if weights:
                self.optimizer.scale_loss(loss).backward()
                self.optimizer.apply(weights)
        for w in weights:
            w.grad = None
        self._constrain(weights)
        return loss.values

    def _needs_loss(self, weights: Sequence[Parameter], penalties: Sequence[Tensor]) -> None:
        if isinstance(self.loss, NoLoss) and not penalties and not any(w.regularizer is not None for w in weights):
            raise InvalidArgument(
                "there is nothing to minimise: the model was compiled without a loss, and no layer adds one; "
                "pass loss= to compile, call self.add_loss(...) in a layer, or define train_step"
            )

    def _constrain(self, weights: list[Parameter]) -> None:
        for w in weights:
            if w.constraint is not None:
                w.put(constraints.constrained(w.constraint, w.data))

    def _test_on(self, x: Any, y: Any, sample_weight: Any, meter: Meter) -> Any:
        """Forward; returns the loss, where it was computed."""
        passes = self.passes
        folded, loss_function = self._folded(passes)
        result = passes.run(mapped(Tensor, x), False, folded)
        if self._is_overridden("compute_loss"):
            loss = self._own_loss(x, y, sample_weight, result, False)
        else:
            loss = _regularized(_mean_loss(loss_function, result, y, sample_weight), (), passes.penalties)
        self._score(meter, y, sample_weight, result, folded)
        return loss.values

    def _folded(self, passes: Passes) -> tuple[tuple[int, ...], losses.Loss]:
        """The outputs of which the loss takes what goes into their last activation, and that loss."""
        activation = self.loss.activation
        if self._is_overridden("compute_loss"):
            return (), self.loss
        if isinstance(self.loss, Combined):
            return self.loss.on_outputs(passes.last_activations)
        if activation is not None and [activation] == passes.last_activations:
            return (0,), self.loss.on_logits()
        return (), self.loss

    def _score(self, meter: Meter, y: Any, weights: Any, result: Any, folded: Sequence[int]) -> None:
        """Let the meter see what the model made of a batch."""
        if not (self._metrics or self._weighted):
            return
        losses = self.loss.losses if isinstance(self.loss, Combined) else [self.loss]
        made = [Tensor(cast(output.values, of_arrays(output.dtype))) for output in leaves(result)]
        if folded and not meter.by_order:
            with no_grad():
                for i in folded:
                    made[i] = activations.get(getattr(losses[i], "activation", None))(made[i])
        outputs, part = filled(result, iter([output.values for output in made])), parts.current()
        if part is not None:
            y, outputs, weights = mapped(lambda a: None if a is None else part.gathered(a), (y, outputs, weights))
        meter.score(y, outputs, weights)

    def _own_loss(self, x: Any, y: Any, weights: Any, y_pred: Tensor, training: bool) -> Tensor:
        """What an overridden `compute_loss` says."""
        weights, y = mapped(lambda a: None if a is None else Tensor(a), (weights, y))
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weights, training=training)
        if not isinstance(loss, Tensor) or loss.size != 1:
            raise InvalidArgument(f"compute_loss returned {shown(loss)}; it must return a tensor of one element")
        return loss.sum() if loss.ndim else loss

    @contextmanager
    def _measuring(self, y: Any, penalty: float = 0.0) -> Iterator[Meter]:
        """Measure the steps in this block, for labels such as `y`, apart from those around it."""
        outer = self._meter
        shapes = mapped(lambda a: None if a is None else a.shape, y), self.output_shape
        with meter_of(self.device, self._metrics, shapes, self.metrics, penalty, self._weighted) as meter:
            self._meter = meter
            try:
                yield meter
            finally:
                self._meter = outer

    def _is_overridden(self, step: str) -> bool:
        return getattr(getattr(self, step), "__func__", None) is not getattr(Steps, step)

    def _logs_of(self, step: str, x: Any, y: Any, weights: Any = None) -> Logs:
        """What `train_step` or `test_step` says of a batch, as numbers."""
        given = (x,) if y is None else (x, y) if weights is None else (x, y, weights)
        data = tuple(structure_of(Tensor, value) for value in given)
        logs = getattr(self, step)(data[0] if y is None and self._is_overridden(step) else data)
        if not self._is_overridden(step):
            return logs
        if not isinstance(logs, Mapping):
            raise InvalidArgument(f"{step} returned {type(logs).__name__}; expected a dict of names and numbers")
        numbers = {str(name): _number(value, f"{step}'s {name!r}") for name, value in logs.items()}
        part = parts.current()
        return numbers if part is None else dict(zip(numbers, part.mean(list(numbers.values())).tolist(), strict=True))

    def _is_ours(self, passes: Passes, weights: list[Parameter]) -> bool:
        """Whether nothing but fastconv's own code runs in a step: nobody writes to an operand then."""
        if not passes.ours or isinstance(self.loss, losses.Custom) or self._is_overridden("compute_loss"):
            return False
        return is_ours(self.loss) and all(is_ours(w.regularizer) for w in weights if w.regularizer is not None)


def _regularized(loss: Tensor, weights: Sequence[Parameter], penalties: Sequence[Tensor]) -> Tensor:
    """A loss, and what the regularizers of weights, and those of layers' results, add."""
    of_weights = (regularizers.penalty(w.regularizer, w) for w in weights if w.regularizer is not None)
    for penalty in (*of_weights, *penalties):
        loss = F.add(loss, penalty)
    return loss


def _mean_loss(loss: losses.Loss, result: Tensor, y: Any, weights: Any = None) -> Tensor:
    """The compiled loss of a batch; of a part of one that which, averaged over the parts, is the batch's."""
    part, value = parts.current(), loss.tensor(result, y, weights)
    if part is None or loss.reduction not in ("sum", "none"):
        return value
    return F.multiply(value, part.size / _count(result))


def _of_batch(loss: Any, samples: int) -> tuple[Any, int]:
    """Loss and size of the batch at hand, by those of this process's part of it."""
    part = parts.current()
    return (loss, samples) if part is None else (float(part.mean(loss)), part.size)


def _tensors(owner: str | None, name: str, value: Any) -> Any:
    """A tensor, or the structure of tensors that stands for several."""
    if holds_arrays(value):
        return mapped(lambda item: None if item is None else arguments.tensor(owner, name, item), value)
    return arguments.tensor(owner, name, value)


def _values(tensor: Any) -> Any:
    return None if tensor is None else tensor.values


def _count(tensors: Any) -> int:
    """The number of samples of a batch."""
    return leaves(tensors)[0].shape[0]


def _number(value: Any, name: str) -> float:
    try:
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError):
        raise InvalidArgument(f"{name} is a {type(value).__name__}; expected a number") from None
