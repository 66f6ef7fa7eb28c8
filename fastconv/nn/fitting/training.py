"""The training loop: compile, fit, evaluate, predict."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

from ...errors import InvalidArgument
from ...interrupts import deferred_interrupt
from ...memory import Pool, recycled
from .. import arguments, optimizers
from ..callbacks import Callback, CallbackList, History
from ..configs import recorded
from ..distribution import distribution
from ..files.checkpoints import put_state, state_arrays
from ..metrics import Mean, Metric
from ..metrics import get as get_metric
from ..modelling import parts
from ..modelling.outputs import judged
from .batches import check_batch_size, split_off
from .evaluating import PREDICT_BATCH, Evaluator, check_steps, one_or_all, params_of, progress, refuse_beside_loader
from .feeding import Epochs, Feed, SharedFeed
from .loaders import is_loader
from .steps import Logs
from .weighting import class_weights

TRAIN_BATCH = 32


class Trainer(Evaluator):
    """A stack of layers that can be trained."""

    history: History | None = None
    _buffers: Pool | None = None
    _judged: tuple[Any, Any] = ((), None)
    stop_training = False
    resumes_at = (0, 0)
    """Epoch and batch that `fit` begins with; a callback may change it in `on_train_begin`."""

    @recorded
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model is trained.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str, function or Loss
            See `fastconv.nn.losses`; your own function (y_true, y_pred) of tensors will do. A model with several
            outputs takes a list of them, or a dict by the outputs' names; None leaves an output out. Without any
            what layers add (`add_loss`, regularizers) is minimised, or what a `train_step` of your own says.
        metrics : list, optional
            Names ("accuracy", ...), functions (y_true, y_pred) or objects; see `fastconv.nn.metrics`. With several
            outputs a list, or a dict, of such lists.
        loss_weights : list or dict of float, optional
            What the losses of several outputs are multiplied by before they are added.
        weighted_metrics : list, optional
            As `metrics`, and what is measured is weighted by `sample_weight` or `class_weight`.
        run_eagerly, steps_per_execution, jit_compile
            Of Keras, where they change nothing but how fast it runs: here steps always run one by one, at once, and
            kernels are always compiled.
        auto_scale_loss : bool
            Whether the optimizer of a model whose policy is "mixed_float16" is put behind a `LossScaleOptimizer`.

        Raises
        ------
        InvalidArgument
            A name is not known; the message lists those that are.
        """
        given = loss, metrics, weighted_metrics, loss_weights
        optimizer, (loss, scores, weighted) = optimizers.get(optimizer), judged(self, given, _made)
        arguments.whole("compile", "steps_per_execution", steps_per_execution, 1)
        if arguments.flag("compile", "auto_scale_loss", auto_scale_loss) and self.dtype_policy.name == "mixed_float16":
            optimizer = optimizers.scaling.scaled(optimizer)
        optimizer.claim(self)
        self.optimizer, self.loss, self._metrics, self._weighted = optimizer, loss, scores, weighted
        self._loss_tracker, self._judged = Mean("loss"), (given, self.output_names)

    def _outputs_known(self) -> None:
        if self.loss is not None and self._judged[1] != self.output_names:
            given = self._judged[0]
            self.loss, self._metrics, self._weighted = judged(self, given, _made)
            self._judged = given, self.output_names

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate` and `train_on_batch` return."""
        return ["loss", *(m.name for m in (*self._compiled()._metrics, *self._weighted))]

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
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> History:
        """Train for some epochs.

        Parameters
        ----------
        x, y : array_like
            Samples (N, ...) and labels (N, ...), as the loss takes them. x is converted to float32, or to float64 for
            a model of that dtype, batch by batch. Or x alone: a generator, a PyTorch `DataLoader`, or an object with
            ``__len__`` and ``__getitem__`` such as a `keras.utils.PyDataset`, whose batches are (x, y) or
            (x, y, sample_weight).
        batch_size : int, optional
            32 by default; the last batch of an epoch may be smaller.
        epochs : int
            Number of the last epoch.
        verbose : {"auto", 0, 1, 2}
            0 is silent, 1 (also "auto") a progress bar on a terminal or in a notebook and a line per epoch elsewhere,
            2 a line at each epoch's end.
        callbacks : list of Callback, optional
            See `fastconv.nn.callbacks`.
        validation_split : float
            Share of the samples, from the end, that are kept for validation.
        validation_data : (x, y), (x, y, sample_weight) or a loader as x may be, optional
            Samples for validation.
        shuffle : bool
            Whether to draw a new order for every epoch: of the samples, or of the batches of an object with
            ``__getitem__``.
        class_weight : dict, optional
            What the loss of a sample is multiplied by, for numbers of classes; 1 for those that it lacks.
        sample_weight : array_like, optional
            What the loss of each sample is multiplied by, (N,), or of each of its values. The loss is the mean of these
            products.
        initial_epoch : int
            Epochs already done, when training is continued.
        steps_per_epoch : int, optional
            Batches of an epoch, where that is not one pass over the samples: the next epoch goes on where it stopped.
        validation_steps : int, optional
            Batches of a validation, from the first; of a generator, from where it is.
        validation_batch_size : int, optional
        validation_freq : int or list of int
            Validate after every so many epochs, or after these, counted from 1.

        Returns
        -------
        History
            Its `history` holds a list per logged value.

        Raises
        ------
        InvalidArgument
            The model was not compiled, or there is nothing to minimise; shapes or lengths disagree; labels are NaN,
            negative, too large or fractional.
        KeyboardInterrupt
            Ctrl-C: the weights are those of the last finished step.

        Notes
        -----
        Where several processes share the training (`fastconv.nn.distribution.DataParallel`), `batch_size` is that of
        the whole batch, and all of them call `fit` alike, with arrays.

        The same seed, data and arguments give the same history, bit for bit, whatever the number of threads. On a
        GPU weights, activations and, where there is room, the samples stay in its memory; loss and metrics are read
        when somebody asks for them: a callback with `on_batch_end` that looks at its logs waits for every step.
        """
        samples, validation = self._training_data(
            x, y, batch_size, sample_weight, class_weight, validation_split, validation_data
        )
        self.optimizer.claim(self)
        batch_size = check_batch_size("fit", batch_size, TRAIN_BATCH)
        validation_size = check_batch_size("fit", validation_batch_size, PREDICT_BATCH, "validation_batch_size")
        validation_steps = check_steps("fit", "validation_steps", validation_steps)
        is_validated = _validated_epochs(validation_freq)
        epochs = arguments.whole("fit", "epochs", epochs, 0)
        initial_epoch = arguments.whole("fit", "initial_epoch", initial_epoch, 0)
        course = self._course(samples, batch_size, steps_per_epoch, arguments.flag("fit", "shuffle", shuffle))
        self.history = History()
        verbose = 1 if isinstance(verbose, str) and verbose == "auto" else arguments.verbosity("fit", verbose)
        params = params_of(samples, batch_size, course.steps, verbose, epochs)
        listeners = CallbackList(callbacks, self, params, *progress(callbacks, verbose), self.history)
        self.stop_training, self.resumes_at = False, (initial_epoch, 0)
        listeners.call("on_train_begin", {})
        first, done = self.resumes_at
        with recycled():
            for epoch in range(first, epochs):
                self._take_over()
                listeners.call("on_epoch_begin", epoch, {})
                logs = self._epoch(course, listeners, done if epoch == first else 0)
                if validation is not None and is_validated(epoch + 1):
                    values = self._measure(validation, validation_size, listeners, validation_steps)
                    logs.update({f"val_{key}": value for key, value in values.items()})
                listeners.call("on_epoch_end", epoch, logs)
                if self._stops():
                    break
        self.optimizer.finalize_variable_values(self.trainable_weights)
        listeners.call("on_train_end", {})
        return self.history

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """One step on one batch; the batch's loss, or [loss, *metrics] where there are metrics, or a dict of them.

        The model keeps the memory of the step for the next one.
        """
        return_dict = arguments.flag("train_on_batch", "return_dict", return_dict)
        of_classes = class_weights("train_on_batch", class_weight)
        self._compiled()
        x, y, weights = self._samples(x, y, sample_weight, of_classes, "train_on_batch")
        self.optimizer.claim(self)
        if self._buffers is None:
            self._buffers = Pool()
        with self._measuring(y) as meter, recycled(self._buffers):
            for batch in self._feed(x, y, weights).batches(len(x)):
                logs = self._train(*batch)
            values = dict(logs) if self._is_overridden("train_step") else meter.results()
        return values if return_dict else one_or_all(values)

    def _training_data(
        self, x: Any, y: Any, batch_size: Any, sample_weight: Any, class_weight: Any, share: Any, validation_data: Any
    ) -> tuple[Feed, Feed | None]:
        """What `fit` trains on, and what it validates with."""
        self._compiled()
        share = arguments.real("fit", "validation_split", share, 0, below=1)
        held_out: Any = None
        if is_loader(x):
            refuse_beside_loader("fit", validation_split=share or None)
            if distribution() is not None:
                raise InvalidArgument("several processes can share a training on arrays only; read the loader first")
            samples = self._samples_of("fit", x, y, sample_weight, batch_size, class_weight)
        else:
            given = self._samples(x, y, sample_weight, class_weights("fit", class_weight))
            if validation_data is None and share:
                given, held_out = split_off(given, share)
            samples = self._shared(*given)
        if validation_data is not None:
            return samples, self._validation(validation_data)
        return samples, None if held_out is None else self._shared(*held_out)

    def _course(self, samples: Feed, batch_size: int, steps: Any, shuffle: bool) -> Epochs:
        """The batches of all epochs."""
        steps = check_steps("fit", "steps_per_epoch", steps)
        return Epochs(samples, batch_size, steps, lambda: samples.order(self.generator()) if shuffle else None)

    def _shared(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> Feed:
        """The samples for `fit`, or where several processes train this one's parts of their batches."""
        shared = distribution()
        if shared is None:
            return self._feed(x, y, weights)
        shared.check(self.device, x, y)
        return SharedFeed(x, y, self.input_dtype, weights, shared.part)

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

    def _epoch(self, course: Epochs, listeners: CallbackList, done: int) -> Logs:
        """One epoch, whose first batches may be done; where there are fewer left than it takes, the last one."""
        samples, batches = course.feed, islice(course.batches(), done, None)
        logs: Logs = {}
        with self._measuring(samples.y) as meter:
            for batch, data in enumerate(batches, done):
                listeners.call("on_train_batch_begin", batch, {"batch": batch, "size": samples.in_batch(data[0])})
                with deferred_interrupt(), parts.working_on(samples.part):
                    logs = self._train(*data)
                listeners.call("on_train_batch_end", batch, logs)
                done = batch + 1
                if self._stops():
                    break
            logs = dict(logs) if self._is_overridden("train_step") else meter.results()
        if done < course.least and not self.stop_training:
            warnings.warn(
                f"the loader had {done} batches left for an epoch of at least {course.least}: training stops; pass one "
                "that can be read again, or make steps_per_epoch * epochs no more than it has",
                stacklevel=3,
            )
            self.stop_training = True
        return logs

    def _train(self, x: Any, y: Any, weights: Any = None) -> Logs:
        """A step, the user's own or `_train_on`."""
        logs = self._logs_of("train_step", x, y, weights)
        if self._is_overridden("train_step"):
            self._constrain(self.trainable_weights)
        return logs

    def _validation(self, data: Any) -> Feed:
        if is_loader(data):
            return self._samples_of("fit", data, None, None, None)
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise InvalidArgument("validation_data must be a pair (x, y), (x, y, sample_weight), or a loader")
        x, y, weights = (*data, None)[:3]
        names = "the x of validation_data", "the y of validation_data"
        return self._shared(*self._samples(x, y, weights, None, "fit", *names))


def _validated_epochs(given: Any) -> Any:
    """Whether to validate after an epoch, counted from 1: a function of it."""
    if isinstance(given, (list, tuple, set, frozenset, range)):
        epochs = {arguments.whole("fit", "validation_freq", epoch, 1) for epoch in given}
        return lambda epoch: epoch in epochs
    every = arguments.whole("fit", "validation_freq", given, 1)
    return lambda epoch: epoch % every == 0


def _made(name: str, given: Any) -> list[Metric]:
    """The metrics that an argument of `compile` names for one output: None, one of them or a series."""
    if given is None or (isinstance(given, str) and not given):
        return []
    if isinstance(given, (str, Metric, type)) or callable(given):
        given = [given]
    return [get_metric(metric) for metric in arguments.items("compile", name, given, "a list")]
