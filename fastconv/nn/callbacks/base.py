"""What a callback is."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, MutableMapping
from functools import partial
from typing import Any

from ...errors import InvalidArgument, shown
from ...streams import print_line
from .. import arguments
from ..basics.names import find
from ..modelling.inference import changing_weights

Logs = MutableMapping[str, Any]


class Callback:
    """Base of all callbacks: override what you need.

    `model` and `params` are set before training. Logs hold the running "loss" and metrics; at the end of an epoch also
    the "val_" ones. Setting ``self.model.stop_training = True`` ends training after the epoch, or in
    `on_batch_end` after the batch.

    Examples
    --------
    >>> class Shout(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(f"epoch {epoch}: loss {logs['loss']:.1f}!")
    >>> Shout().on_epoch_end(3, {"loss": 0.25})
    epoch 3: loss 0.2!
    """

    model: Any = None
    params: Logs
    only_looks = False
    """Whether the callback never changes weights between batches of an evaluation or a prediction."""

    def set_model(self, model: Any) -> None:
        """Called once, before training."""
        self.model = model

    def set_params(self, params: Logs) -> None:
        """Called once, before training, with "epochs", "steps", "samples" and "verbose"."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch; not if training was interrupted."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step, counted from 0."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Keras's newer name of `on_batch_begin`."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Keras's newer name of `on_batch_end`."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation, the validation of `fit` included."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation, with its results."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation, counted from 0."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation, with the means so far."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction, counted from 0."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a prediction, whose result is ``logs["outputs"]``."""


class CallbackList:
    """Calls every callback in turn."""

    def __init__(self, callbacks: Any, model: Any, params: Logs, *more: Callback) -> None:
        single = callbacks is None or isinstance(callbacks, Callback)
        callbacks = [callbacks] if single else arguments.items(None, "callbacks", callbacks, "a list of callbacks")
        callbacks = [callback for callback in callbacks if callback is not None]
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise InvalidArgument(
                    f"callbacks holds {shown(callback)}; expected objects of fastconv.nn.callbacks.Callback"
                )
        self.callbacks: list[Callback] = [*callbacks, *more]
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params)

    def hears(self, *events: str) -> bool:
        """Whether any callback, but those that only look, does something at one of these events."""
        return any(
            getattr(getattr(callback, event), "__func__", None) is not getattr(Callback, event)
            for callback in self.callbacks
            for event in events
            if not callback.only_looks
        )

    def call(self, event: str, *arguments: Any) -> None:
        """Call ``event(*arguments)`` of every callback."""
        for callback in self.callbacks:
            respond = getattr(callback, event)
            if callback.only_looks or getattr(respond, "__func__", None) is getattr(Callback, event):
                respond(*arguments)
            else:
                with changing_weights():
                    respond(*arguments)


class LambdaCallback(Callback):
    """A callback made of functions: ``LambdaCallback(on_epoch_end=lambda epoch, logs: ...)``."""

    def __init__(self, **functions: Callable[..., Any]) -> None:
        events = {name: None for name in vars(Callback) if name.startswith("on_")}
        for name, function in functions.items():
            find("event", name, events)
            if function is not None:
                _, *parameters = inspect.signature(getattr(Callback, name)).parameters
                arguments.function(self, name, function, parameters)
                setattr(self, name, partial(arguments.result_of, self, name, function))


def batches_between(owner: Callback, save_freq: Any) -> int | None:
    """The argument `save_freq`: so many batches, or None for "epoch"."""
    if isinstance(save_freq, str):
        arguments.choice(owner, "save_freq", save_freq, ("epoch",))
        return None
    return arguments.whole(owner, "save_freq", save_freq, 1)


class TerminateOnNaN(Callback):
    """Stop when the loss is no longer a finite number.

    Parameters
    ----------
    raise_error : bool
        Whether to raise a `RuntimeError` then, so that nothing that comes after the training goes on.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = arguments.flag(self, "raise_error", raise_error)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            if self.raise_error:
                raise RuntimeError(f"batch {batch}: the loss is not finite")
            print_line(f"Batch {batch}: the loss is not finite, training stops")
            self.model.stop_training = True
