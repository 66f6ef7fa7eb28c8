"""What a model does with samples without training: evaluate, predict, and what training shares with these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from ...autograd import Tensor, no_grad
from ...errors import InvalidArgument
from ...memory import recycled
from .. import arguments, regularizers
from ..basics.structures import is_shape, mapped, mapped_shapes
from ..callbacks import Callback, CallbackList, ProgbarLogger
from ..callbacks.base import Logs
from ..callbacks.progress import is_live
from ..layers.base import Shape
from ..modelling import parts
from ..modelling.inference import fixed_weights
from ..modelling.outputs import NoLoss, leaves_of_shapes
from .batches import as_samples, check_batch_size, check_lengths, repeated
from .bundles import Bundle, holds_arrays, structure_of
from .feeding import Batch, DeviceFeed, Feed
from .loaders import LoadedFeed, is_loader
from .meters import check_class_numbers
from .results import Results
from .steps import Steps
from .weighting import by_class, class_weights, sample_weights

PREDICT_BATCH = 128
Weights = dict[int, float] | None


class Evaluator(Steps):
    """A stack of layers that can judge samples."""

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | Callback | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics over samples, without training; those of a `fit` that is running go on as they were.

        Parameters
        ----------
        x, y, batch_size, sample_weight
            As for `fit`; batches have 128 samples by default.
        verbose : {"auto", 0, 1, 2}
            0 is silent, 1 shows progress, 2 prints a line at the end; "auto" is 1 on a terminal or in a notebook.
        steps : int, optional
            How many batches are taken; by default all.
        callbacks : list of Callback, optional
        return_dict : bool

        Returns
        -------
        float, list of float or dict
            The loss, or [loss, *metrics] where there are metrics, or a dict with `return_dict`.
        """
        size, return_dict = self._size("evaluate", batch_size), arguments.flag("evaluate", "return_dict", return_dict)
        samples = self._samples_of("evaluate", x, y, sample_weight, batch_size)
        steps = check_steps("evaluate", "steps", steps)
        listeners = self._listeners("evaluate", callbacks, samples, size, steps, verbose)
        values = self._measure(samples, size, listeners, steps)
        return values if return_dict else one_or_all(values)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Sequence[Callback] | Callback | None = None,
    ) -> np.ndarray:
        """The model's results for samples x, as one array; other arguments are as for `evaluate`."""
        size, steps = self._size("predict", batch_size), check_steps("predict", "steps", steps)
        if is_loader(x):
            refuse_beside_loader("predict", batch_size=batch_size)
            samples: Feed = LoadedFeed(x, self._read_inputs, self.device)
        else:
            samples = self._feed(self._inputs(x), None)
        listeners = self._listeners("predict", callbacks, samples, size, steps, verbose)
        rows = Results(samples.samples if steps is None else None)

        def take(xb: Any, _: Any, __: Any) -> dict[str, Any]:
            return {"outputs": rows.add(self.predict_step((structure_of(Tensor, xb),)), len(xb))}

        listeners.call("on_predict_begin", {})
        self._infer("predict", samples, size, listeners, take, steps)
        listeners.call("on_predict_end", {})
        return rows.whole()

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """`evaluate` for one batch."""
        return self.evaluate(x, y, len(self._read_x(x)), 0, sample_weight, return_dict=return_dict)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """`predict` for one batch."""
        return self.predict(x, batch_size=len(self._read_x(x)), verbose=0)

    def _size(self, owner: str, batch_size: Any) -> int:
        return check_batch_size(owner, batch_size, PREDICT_BATCH)

    def _listeners(
        self, owner: str, callbacks: Any, samples: Feed, size: int, steps: int | None, verbose: Any
    ) -> CallbackList:
        """The callbacks of an evaluation or a prediction, a progress line among them."""
        if isinstance(verbose, str) and verbose == "auto":
            verbose = int(is_live())
        verbose = arguments.verbosity(owner, verbose)
        params = params_of(samples, size, samples.steps(size) if steps is None else steps, verbose)
        return CallbackList(callbacks, self, params, *progress(callbacks, verbose))

    def _samples_of(self, owner: str, x: Any, y: Any, sample_weight: Any, batch_size: Any, *weights: Any) -> Feed:
        """What `fit` and `evaluate` were given, checked, as the model's device takes it."""
        self._compiled()
        of_classes = class_weights(owner, weights[0] if weights else None)
        if is_loader(x):
            refuse_beside_loader(owner, y=y, sample_weight=sample_weight, batch_size=batch_size)
            return LoadedFeed(x, partial(self._read_batch, of_classes), self.device)
        return self._feed(*self._samples(x, y, sample_weight, of_classes, owner))

    def _read_batch(self, of_classes: Weights, x: Any, y: Any, weights: Any) -> Batch:
        """A batch of a loader, checked."""
        x, y, weights = self._samples(x, y, weights, of_classes, "a batch")
        return x.astype(self.input_dtype, copy=False), self._labels(y), weights

    def _labels(self, y: Any) -> Any:
        """Labels of the dtype that the device takes."""
        return y if self.device == "cpu" or y is None else y.astype(self._label_dtype(y), copy=False)

    def _label_dtype(self, y: np.ndarray) -> np.dtype:
        check_class_numbers(self._metrics, y, self.output_shape or ())
        dtype = self.loss.label_dtype(y)
        return self.input_dtype if dtype == np.float32 else dtype

    def _inputs(self, x: Any) -> Any:
        """Samples to predict, checked."""
        x = self._read_x(x)
        self._ensure_built(x)
        return x

    def _read_inputs(self, x: Any, y: Any = None, weights: Any = None) -> Batch:
        """The samples of a loader's batch, checked; what stands beside them does not matter."""
        return self._inputs(x).astype(self.input_dtype, copy=False), None, None

    def _feed(self, x: np.ndarray, y: np.ndarray | None, weights: np.ndarray | None = None) -> Feed:
        """The samples as the model's device takes them."""
        if self.device == "cpu":
            return Feed(x, y, self.input_dtype, weights)
        return DeviceFeed(x, y, None if y is None else self._label_dtype(y), self.input_dtype, weights)

    def _samples(
        self, x: Any, y: Any, sample_weight: Any = None, of_classes: Weights = None, owner: str = "fit",
        x_name: str = "x", y_name: str = "y",
    ) -> tuple[np.ndarray, Any, np.ndarray | None]:  # fmt: skip
        """Samples, labels and weights, checked; no labels for a model that has no loss."""
        x = self._read_x(x, x_name)
        shape = self._ensure_built(x)
        if y is None and isinstance(self.loss, NoLoss) and sample_weight is None and of_classes is None:
            return x, None, None
        if y is None:
            raise InvalidArgument(f"{y_name} is missing: pass the labels")
        if getattr(self.loss, "compares_numbers", False):
            y = repeated(y, shape, y_name)
        y = self.loss.prepare(y, shape, y_name)
        check_lengths(x, y, x_name)
        weights = sample_weights(owner, sample_weight, y)
        if of_classes is not None:
            if weights is not None:
                raise InvalidArgument(f"`{owner}`: pass sample_weight or class_weight, not both")
            weights = by_class(y, of_classes)
        return x, y, weights

    def _read_x(self, x: Any, name: str = "x") -> Any:
        """Samples, checked: an array, or a bundle of them where the model takes several."""
        shape = self.input_shape
        if shape is not None and not is_shape(shape):
            x = self.arranged(x)
            forms = iter(leaves_of_shapes(shape))
            return Bundle(mapped(lambda one: as_samples(one, next(forms), name), x), name)
        if isinstance(x, dict) or (self.has_own_call and holds_arrays(x)):
            x = self.arranged(x)
            return Bundle(mapped(lambda one: as_samples(one, None, name), x), name) if holds_arrays(x) else x
        is_one = isinstance(x, (list, tuple)) and len(x) == 1 and len(np.shape(x[0])) == len(shape or ())
        return as_samples(x[0] if is_one else x, shape, name)

    def _outputs_known(self) -> None:
        """What `compile` has to do again when a model of one's own turns out to have several outputs."""

    def _compiled(self) -> Any:
        if self.loss is None:
            raise InvalidArgument("the model is not compiled; call compile(optimizer=..., loss=...) first")
        return self

    def _ensure_built(self, x: np.ndarray) -> Shape:
        """Make the weights for such samples if there are none yet; returns the shape of a batch's result."""
        shape = self.output_shape
        if shape is None:
            self.build(mapped_shapes(lambda form: (None, *form[1:]), x.shape))
            shape = self.output_shape
            self._outputs_known()
        return shape or ()

    def _measure(
        self, samples: Feed, batch_size: int, listeners: CallbackList, steps: int | None = None
    ) -> dict[str, float]:
        """Loss and metrics over samples."""
        with no_grad():
            weights = [w for w in self.trainable_weights if w.regularizer is not None]
            penalty = sum(float(regularizers.penalty(w.regularizer, w).values) for w in weights)
            penalty *= not self._is_overridden("compute_loss")  # which adds it by itself
        logs: Logs = {}

        def take(*batch: Any) -> Logs:
            nonlocal logs
            with parts.working_on(samples.part):
                logs = self._logs_of("test_step", *batch)
            return logs

        listeners.call("on_test_begin", {})
        with self._measuring(samples.y, penalty) as meter:
            self._infer("test", samples, batch_size, listeners, take, steps)
            values = dict(logs) if self._is_overridden("test_step") else meter.results()
        listeners.call("on_test_end", values)
        return values

    def _infer(
        self,
        kind: str,
        samples: Feed,
        size: int,
        listeners: CallbackList,
        take: Callable[[Any, Any, Any], Any],
        steps: int | None = None,
    ) -> None:
        """Give every batch, or so many, to `take`, whose result the callbacks of a "test" or "predict" get.

        Weights stay as they are meanwhile, unless callbacks are called in between, who may do as they like.
        """
        events = [f"on_{kind}_batch_{end}" for end in ("begin", "end")]
        heard = listeners.hears(*events)
        done = 0
        with nullcontext() if heard else self._inference():
            for batch, data in enumerate(islice(samples.batches(size), steps)):
                listeners.call(events[0], batch, {"batch": batch, "size": samples.in_batch(data[0])})
                with self._inference() if heard else nullcontext():
                    logs = take(*data)
                listeners.call(events[1], batch, logs)
                done += 1
        if not done:
            raise InvalidArgument("the loader has no batches left; pass one that can be read again, or steps=")

    @contextmanager
    def _inference(self) -> Iterator[None]:
        if self._plans is None:
            self._plans = {}
        with no_grad(), recycled(), fixed_weights(self._plans):
            yield


def progress(callbacks: Any, verbose: int) -> list[Callback]:
    """What shows how far it is, where that is wanted and no callback does already."""
    given = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    return [ProgbarLogger()] if verbose and not any(isinstance(c, ProgbarLogger) for c in given) else []


def one_or_all(values: dict[str, float]) -> Any:
    """The loss alone where there are no metrics, as Keras gives it."""
    return list(values.values()) if len(values) != 1 else next(iter(values.values()))


def params_of(samples: Feed, batch_size: int, steps: int | None, verbose: int, epochs: int = 1) -> dict[str, Any]:
    """What callbacks are told before the first batch."""
    return {
        "epochs": epochs, "steps": steps, "samples": samples.samples, "batch_size": batch_size, "verbose": verbose,
    }  # fmt: skip


def check_steps(owner: str, name: str, steps: Any) -> int | None:
    """A number of batches of at least 1, or None for all."""
    return None if steps is None else arguments.whole(owner, name, steps, 1)


def refuse_beside_loader(owner: str, **given: Any) -> None:
    """Arguments that have no meaning where x gives whole batches."""
    for name, value in given.items():
        if value is not None and value is not False:
            raise InvalidArgument(
                f"`{owner}`: {name} cannot be given beside a generator or loader, whose batches are (x, y) or "
                "(x, y, sample_weight) of the size they have"
            )
