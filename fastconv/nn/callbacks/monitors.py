"""Callbacks that show a training elsewhere: in TensorBoard, or on a server."""

from __future__ import annotations

import json
import time
import warnings
from importlib import import_module
from typing import Any

import numpy as np

from ...errors import InvalidArgument, MissingExtra
from .. import arguments
from .base import Callback, Logs


class TensorBoard(Callback):
    """Write what happens for TensorBoard, through tensorboardX: into the folders "train" and "validation".

    Parameters
    ----------
    log_dir : path
        Folder of the event files.
    histogram_freq : int
        After every so many epochs the weights' histograms are written; 0 for never.
    write_graph : bool
        Whether to write the model's summary, as text.
    write_images : bool
        Whether to write the kernels as images, along with the histograms.
    write_steps_per_second : bool
    update_freq : "epoch", "batch" or int
        After every so many batches the running loss and metrics are written too.
    profile_batch, embeddings_freq, embeddings_metadata
        Of Keras; only what writes nothing is taken: 0 or None.

    Raises
    ------
    MissingExtra
        tensorboardX is not installed.
    """

    def __init__(
        self,
        log_dir: Any = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        self.log_dir = arguments.path(self, "log_dir", log_dir)
        self.histogram_freq = arguments.whole(self, "histogram_freq", histogram_freq, 0)
        self.write_graph = arguments.flag(self, "write_graph", write_graph)
        self.write_images = arguments.flag(self, "write_images", write_images)
        self.write_steps_per_second = arguments.flag(self, "write_steps_per_second", write_steps_per_second)
        named = {"epoch": 0, "batch": 1}
        is_named = isinstance(update_freq, str) and update_freq in named
        self._every = named[update_freq] if is_named else arguments.whole(self, "update_freq", update_freq, 1)
        for name, value in (("profile_batch", profile_batch), ("embeddings_freq", embeddings_freq)):
            if value is not None and not (isinstance(value, (int, np.integer)) and value == 0):
                raise InvalidArgument(f"`TensorBoard`: {name} cannot be served; leave it 0")
        if embeddings_metadata is not None:
            raise InvalidArgument("`TensorBoard`: embeddings_metadata cannot be served; leave it None")
        try:
            self.writer = import_module("tensorboardX").SummaryWriter
        except ImportError:
            raise MissingExtra("TensorBoard needs tensorboardX: pip install 'fastconv[tensorboard]'") from None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._steps = 0
        if self.write_graph:
            lines: list[str] = []
            self.model.summary(print_fn=lines.append)
            with self.writer(str(self.log_dir / "train")) as writer:
                writer.add_text("model", "```\n" + "\n".join(lines) + "\n```")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._start, self._before = time.perf_counter(), self._steps

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._steps += 1
        if self._every and self._steps % self._every == 0:
            self._write("train", {f"batch_{key}": value for key, value in (logs or {}).items()}, self._steps)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        own = {f"epoch_{key}": value for key, value in logs.items() if not key.startswith("val_")}
        if self.write_steps_per_second:
            own["epoch_steps_per_second"] = (self._steps - self._before) / (time.perf_counter() - self._start)
        self._write("train", own, epoch)
        held_out = {f"epoch_{key[4:]}": value for key, value in logs.items() if key.startswith("val_")}
        if held_out:
            self._write("validation", held_out, epoch)
        if self.histogram_freq and (epoch + 1) % self.histogram_freq == 0:
            self._write_weights(epoch)

    def _write(self, folder: str, values: dict[str, Any], step: int) -> None:
        with self.writer(str(self.log_dir / folder)) as writer:
            for key, value in values.items():
                if np.ndim(value) == 0:
                    writer.add_scalar(key, float(value), step)

    def _write_weights(self, epoch: int) -> None:
        with self.writer(str(self.log_dir / "train")) as writer:
            for layer in self.model.layers:
                for weight in layer.weights:
                    name, array = f"{layer.name}/{weight.name}", weight.numpy()
                    writer.add_histogram(name, array, epoch)
                    if self.write_images and array.ndim in (2, 4):
                        writer.add_image(name, _picture(array), epoch, dataformats="HW")


def _picture(array: np.ndarray) -> np.ndarray:
    """A kernel as one gray image: of filters a grid, a row for each input channel."""
    if array.ndim == 4:
        h, w, c, o = array.shape
        array = array.transpose(2, 0, 3, 1).reshape(c * h, o * w)
    low, high = float(array.min()), float(array.max())
    return ((array - low) / (high - low or 1.0)).astype(np.float32)


class RemoteMonitor(Callback):
    """Send each epoch's logs to a server; one that does not answer costs a warning, not the training.

    Parameters
    ----------
    root, path : str
        Parts of the address.
    field : str
        The name of the form's field that holds the JSON text.
    headers : dict, optional
    send_as_json : bool
        Whether to send the JSON text itself.
    """

    TIMEOUT = 10.0  # seconds

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Any = None,
        send_as_json: bool = False,
    ) -> None:
        self.root, self.path = arguments.text(self, "root", root), arguments.text(self, "path", path)
        self.field, self.headers = arguments.text(self, "field", field), headers
        if headers is not None and not isinstance(headers, dict):
            raise arguments.wrong(self, "headers", headers, "a dict of names and values")
        self.send_as_json = arguments.flag(self, "send_as_json", send_as_json)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        import urllib.parse  # here, for few trainings are sent anywhere
        import urllib.request

        told = {key: np.asarray(value).tolist() for key, value in (logs or {}).items()}
        text = json.dumps({"epoch": epoch, **told})
        form = urllib.parse.urlencode({self.field: text})
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        data = (text if self.send_as_json else form).encode()
        try:
            headers = {"Content-Type": kind, **(self.headers or {})}
            request = urllib.request.Request(self.root + self.path, data, headers, method="POST")
            urllib.request.urlopen(request, timeout=self.TIMEOUT).close()
        except (OSError, ValueError, TypeError) as error:
            warnings.warn(f"RemoteMonitor could not reach {self.root}: {error!s:.200}", stacklevel=2)
