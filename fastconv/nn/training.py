"""The training loop: compile, fit, evaluate, predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..errors import InvalidArgument
from ..interrupts import deferred_interrupt
from ..memory import Pool, recycled
from ..streams import print_line
from . import arguments, losses, optimizers, parts
from .batches import as_samples, check_batch_size, check_lengths, split_off
from .callbacks import Callback, CallbackList, History, ProgressLines
from .checkpoints import put_state, state_arrays
from .configs import recorded
from .distribution import distribution
from .feeding import DeviceFeed, Feed, SharedFeed
from .layers.base import Shape
from .meters import check_class_numbers
from .metrics import Mean, Metric
from .metrics import get as get_metric
from .steps import Logs, Results, Steps

TRAIN_BATCH = 32
PREDICT_BATCH = 128


class Trainer(Steps):
    """A stack of layers that can be trained."""

    history: History | None = None
    _buffers: Pool | None = None
    stop_training = False

    @recorded
    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None) -> None:
        """Say how the model is trained.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str, function or Loss
            See `fastconv.nn.losses`; your own function (y_true, y_pred) of tensors will do.
        metrics : list, optional
            Names ("accuracy", ...), functions (y_true, y_pred) or objects; see `fastconv.nn.metrics`.

        Raises
        ------
        InvalidArgument
            A name is not known (the message lists those that are), or there is no loss.
        """
        if loss is None:
            raise InvalidArgument(f"compile needs loss=; known: {', '.join(sorted(losses.KNOWN))}, or a function")
        optimizer, loss = optimizers.get(optimizer), losses.get(loss)
        scores = [get_metric(m) for m in _listed("compile", "metrics", metrics)]
        optimizer.claim(self)
        self.optimizer, self.loss, self._metrics = optimizer, loss, scores
        self._loss_tracker = Mean("loss")

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate` and `train_on_batch` return."""
        return ["loss", *(m.name for m in self._compiled()._metrics)]

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Sequence[Callback] | Callback | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
        validation_batch_size: int | None = None,
    ) -> History:
        """Train for some epochs.

        Parameters
        ----------
        x, y : array_like
            Samples (N, ...) and labels (N, ...), as the loss takes them. x is converted to float32, or to float64 for
            a model of that dtype, batch by batch.
        batch_size : int, optional
            32 by default; the last batch of an epoch may be smaller.
        epochs : int
            Number of the last epoch.
        verbose : {"auto", 0, 1, 2}
            0 is silent, 1 (also "auto") a progress line per epoch, 2 a line at each epoch's end.
        callbacks : list of Callback, optional
            See `fastconv.nn.callbacks`.
        validation_split : float
            Share of the samples, from the end, that are kept for validation.
        validation_data : (x, y), optional
            Samples for validation.
        shuffle : bool
            Whether to draw a new order for every epoch.
        initial_epoch : int
            Epochs already done, when training is continued.
        validation_batch_size : int, optional

        Returns
        -------
        History
            Its `history` holds a list per logged value.

        Raises
        ------
        InvalidArgument
            The model was not compiled; shapes or lengths disagree; labels are NaN, negative, too large or fractional.
        KeyboardInterrupt
            Ctrl-C: the weights are those of the last finished step.

        Notes
        -----
        Where several processes share the training (`fastconv.nn.distribution.DataParallel`), `batch_size` is that of
        the whole batch, and all of them call `fit` alike.

        The same seed, data and arguments give the same history, bit for bit, whatever the number of threads. On a
        GPU weights, activations and, where there is room, the samples stay in its memory; loss and metrics are read
        when somebody asks for them: a callback with `on_batch_end` that looks at its logs waits for every step.
        """
        x, y = self._samples(x, y)
        self.optimizer.claim(self)
        validation = None if validation_data is None else self._validation(validation_data)
        share = arguments.real("fit", "validation_split", validation_split, 0, below=1)
        if validation is None and share:
            (x, y), validation = split_off(x, y, share)
        batch_size = check_batch_size("fit", batch_size, TRAIN_BATCH)
        validation_size = check_batch_size("fit", validation_batch_size, PREDICT_BATCH, "validation_batch_size")
        epochs = arguments.whole("fit", "epochs", epochs, 0)
        initial_epoch = arguments.whole("fit", "initial_epoch", initial_epoch, 0)
        shuffle = arguments.flag("fit", "shuffle", shuffle)
        self.history = History()
        verbose = _verbosity("fit", verbose)
        params = _params(len(x), batch_size, verbose, epochs)
        lines = [ProgressLines(verbose)] if verbose else []
        listeners = CallbackList(callbacks, self, params, *lines, self.history)
        self.stop_training = False
        listeners.call("on_train_begin", {})
        samples, held_out = self._shared(x, y), None if validation is None else self._shared(*validation)
        with recycled():
            for epoch in range(initial_epoch, epochs):
                self._take_over()
                listeners.call("on_epoch_begin", epoch, {})
                logs = self._epoch(samples, batch_size, shuffle, listeners)
                if held_out is not None:
                    values = self._measure(held_out, validation_size, listeners)
                    logs.update({f"val_{key}": value for key, value in values.items()})
                listeners.call("on_epoch_end", epoch, logs)
                if self._stops():
                    break
        listeners.call("on_train_end", {})
        return self.history

    def train_on_batch(self, x: Any, y: Any) -> Any:
        """One step on one batch; the loss, or [loss, *metrics] where there are metrics.

        The model keeps the memory of the step for the next one.
        """
        x, y = self._samples(x, y)
        self.optimizer.claim(self)
        if self._buffers is None:
            self._buffers = Pool()
        with self._measuring(y) as meter, recycled(self._buffers):
            for xb, yb in self._feed(x, y).batches(len(x)):
                logs = self._train(xb, yb)
            return _one_or_all(dict(logs) if self._is_overridden("train_step") else meter.results())

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = 0,
        return_dict: bool = False,
        callbacks: Sequence[Callback] | Callback | None = None,
    ) -> Any:
        """Loss and metrics over samples, without training; those of a `fit` that is running go on as they were.

        Returns
        -------
        float, list of float or dict
            The loss, or [loss, *metrics] where there are metrics, or a dict with `return_dict`.
        """
        x, y = self._samples(x, y)
        size, verbose = check_batch_size("evaluate", batch_size, PREDICT_BATCH), _verbosity("evaluate", verbose)
        return_dict = arguments.flag("evaluate", "return_dict", return_dict)
        listeners = CallbackList(callbacks, self, _params(len(x), size, verbose))
        values = self._measure(self._feed(x, y), size, listeners)
        if verbose:
            print_line(" - ".join(f"{key}: {value:.4f}" for key, value in values.items()))
        return values if return_dict else _one_or_all(values)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = 0,
        callbacks: Sequence[Callback] | Callback | None = None,
    ) -> np.ndarray:
        """The model's results for samples x, as one array."""
        x = as_samples(x, self.input_shape)
        size = check_batch_size("predict", batch_size, PREDICT_BATCH)
        verbose = _verbosity("predict", verbose)
        self._ensure_built(x)
        listeners = CallbackList(callbacks, self, _params(len(x), size, verbose))
        rows = Results(len(x))

        def take(xb: Any, _: Any) -> dict[str, Any]:
            return {"outputs": rows.add(self.predict_step((Tensor(xb),)), len(xb))}

        listeners.call("on_predict_begin", {})
        self._infer("predict", self._feed(x, None), size, listeners, take)
        listeners.call("on_predict_end", {})
        return rows.array

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """`predict` for one batch."""
        x = as_samples(x, self.input_shape)
        return self.predict(x, batch_size=len(x))

    def _feed(self, x: np.ndarray, y: np.ndarray | None) -> Feed:
        """The samples as the model's device takes them."""
        if self.device == "cpu":
            return Feed(x, y, self.input_dtype)
        labels = None
        if y is not None:
            check_class_numbers(self._metrics, y, self.output_shape or ())
            labels = self.loss.label_dtype(y)
        return DeviceFeed(x, y, self.input_dtype if labels == np.float32 else labels, self.input_dtype)

    def _shared(self, x: np.ndarray, y: np.ndarray) -> Feed:
        """The samples for `fit`, or where several processes train this one's parts of their batches."""
        shared = distribution()
        if shared is None:
            return self._feed(x, y)
        shared.check(self.device, x, y)
        return SharedFeed(x, y, self.input_dtype, shared.part)

    def _take_over(self) -> None:
        """Where several processes train, begin an epoch with rank 0's state: other machines round otherwise."""
        shared = distribution()
        if shared is not None and shared.size > 1:
            state = shared.broadcast(state_arrays(self) if shared.rank == 0 else None)
            if shared.rank:
                put_state(self, state, "the state of rank 0")

    def _stops(self) -> bool:
        """Whether a callback has asked for it, in any of the processes that train."""
        shared = distribution()
        if shared is not None:
            self.stop_training = bool(shared.agreed(self.stop_training))
        return self.stop_training

    def _epoch(self, samples: Feed, batch_size: int, shuffle: bool, listeners: CallbackList) -> Logs:
        """One pass over the samples."""
        order = self.generator().permutation(len(samples)) if shuffle else None
        logs: Logs = {}
        with self._measuring(samples.y) as meter:
            for batch, (xb, yb) in enumerate(samples.batches(batch_size, order)):
                listeners.call("on_train_batch_begin", batch, {"batch": batch, "size": samples.in_batch(xb)})
                with deferred_interrupt(), parts.working_on(samples.part):
                    logs = self._train(xb, yb)
                listeners.call("on_train_batch_end", batch, logs)
                if self._stops():
                    break
            return dict(logs) if self._is_overridden("train_step") else meter.results()

    def _train(self, x: Any, y: Any) -> Logs:
        """A step, the user's own or `_train_on`."""
        logs = self._logs_of("train_step", x, y)
        if self._is_overridden("train_step"):
            self._constrain(self.trainable_weights)
        return logs

    def _samples(self, x: Any, y: Any, x_name: str = "x", y_name: str = "y") -> tuple[np.ndarray, np.ndarray]:
        """Samples and labels, checked."""
        self._compiled()
        x = as_samples(x, self.input_shape, x_name)
        shape = self._ensure_built(x)
        if y is None:
            raise InvalidArgument(f"{y_name} is missing: pass the labels")
        y = self.loss.prepare(y, shape, y_name)
        check_lengths(x, y, x_name)
        return x, y

    def _validation(self, data: Any) -> tuple[np.ndarray, np.ndarray]:
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise InvalidArgument("validation_data must be a pair (x, y)")
        x, y = data
        return self._samples(x, y, "the x of validation_data", "the y of validation_data")

    def _compiled(self) -> Trainer:
        if self.loss is None:
            raise InvalidArgument("the model is not compiled; call compile(optimizer=..., loss=...) first")
        return self

    def _ensure_built(self, x: np.ndarray) -> Shape:
        """Make the weights for such samples if there are none yet; returns the shape of a batch's result."""
        shape = self.output_shape
        if shape is None:
            self.build((None, *x.shape[1:]))
            shape = self.output_shape
        return shape or ()


def _listed(owner: str, name: str, value: Any) -> list[Any]:
    """A list from None, one thing or a series of things."""
    if value is None or (isinstance(value, str) and not value):
        return []
    if isinstance(value, (str, Callback, Metric, type)) or callable(value):
        return [value]
    return arguments.items(owner, name, value, "a list")


def _one_or_all(values: dict[str, float]) -> Any:
    """The loss alone where there are no metrics, as Keras gives it."""
    return list(values.values()) if len(values) != 1 else next(iter(values.values()))


def _params(samples: int, batch_size: int, verbose: int, epochs: int = 1) -> dict[str, Any]:
    """What callbacks are told before the first batch."""
    steps = -(-samples // batch_size)
    return {"epochs": epochs, "steps": steps, "samples": samples, "batch_size": batch_size, "verbose": verbose}


def _verbosity(owner: str, verbose: Any) -> int:
    """0, 1 or 2; "auto" means 1."""
    return 1 if isinstance(verbose, str) and verbose == "auto" else arguments.verbosity(owner, verbose)
