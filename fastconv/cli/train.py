"""``fastconv train``: the lecture's convolutional network on a data set."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from ..errors import InvalidArgument
from . import INTERRUPTED, use_threads
from .console import say

DATASETS = ("fashion-mnist", "mnist", "car-truck", "fashion-sketch")


@click.command()
@click.argument("dataset", type=click.Choice(DATASETS))
@click.option("--epochs", type=click.IntRange(1), default=5, show_default=True, help="Passes over the training images.")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Images in a step.")
@click.option(
    "--lr",
    type=click.FloatRange(0, min_open=True),
    default=0.05,
    show_default=True,
    help="Learning rate of SGD at the start; it falls to 0.",
)
@click.option("--momentum", type=click.FloatRange(0, 1, max_open=True), default=0.9, show_default=True)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed gives the same history."
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Train on the first N images only.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Folder of the data files.  [default: $FASTCONV_DATA, the cache, download]",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the results.  [default: runs/DATASET-TIME]")
@click.option("--threads", type=click.IntRange(1), help="Threads to use.  [default: all]")
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where the network is trained: on this machine's processor, or on its GPU.",
)
def train(
    dataset: str,
    epochs: int,
    batch_size: int,
    lr: float,
    momentum: float,
    seed: int,
    limit: int | None,
    data_dir: Path | None,
    out: Path | None,
    threads: int | None,
    device: str,
) -> None:
    """Train the lecture's convolutional network.

    fashion-sketch is drawn on the spot; the other data sets are looked for, then downloaded. Writes weights.npz,
    history.json, history.csv, run.json and, where matplotlib is installed, learning-curve.png and
    confusion-matrix.png. Ctrl-C stops after the batch at hand and saves what is there.
    """
    from .artifacts import OutputFolder

    use_threads(threads)
    arguments = dict(click.get_current_context().params)
    folder = out or Path("runs") / f"{dataset}-{datetime.now():%Y%m%d-%H%M%S}"
    with OutputFolder(folder) as output:
        finished = _run(output, {k: str(v) if isinstance(v, Path) else v for k, v in arguments.items()}, data_dir)
    print(f"saved in {folder}: {', '.join(path.name for path in output.saved)}")
    if not finished:
        sys.exit(INTERRUPTED)


def _run(output: Any, arguments: dict[str, Any], data_dir: Path | None) -> bool:
    """Train, show and save; False if the user stopped it."""
    import numpy as np

    from ..measure import environment
    from ..nn import applications, datasets, layers, optimizers
    from ..simd.kernel_cache import kernel_cache_dir
    from .progress import Interruption, Progress, Stopped

    device = _device(arguments["device"])
    name, epochs, seed = arguments["dataset"], arguments["epochs"], arguments["seed"]
    names = datasets.by_name(name).CLASS_NAMES
    (x, y), test_set = _load(datasets.by_name(name), data_dir, arguments["limit"], len(names))
    model = applications.lecture_cnn(x.shape[1:], len(names), dropout=0, seed=seed)
    rate = _falling(arguments["lr"], epochs * -(-len(x) // arguments["batch_size"]))
    optimizer = optimizers.SGD(rate, momentum=arguments["momentum"])
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9  # the statistics settle in tens of steps, as in PyTorch; with 0.99 it takes hundreds
    model.to(arguments["device"])
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    images = len(x)
    say(f"{name}: {images:,} training and {len(test_set[0]):,} test images; {model.count_params():,} parameters")
    if device["kind"] == "cuda":
        say(f"Training on {device['name']}")
    if not os.path.isdir(kernel_cache_dir()):
        say(f"Kernels are compiled as they are needed, once; they are kept in {kernel_cache_dir()}")
    started, finished = time.perf_counter(), True
    with Interruption() as interruption:
        progress = Progress(epochs, images, arguments["batch_size"], interruption)
        options: dict[str, Any] = {"batch_size": arguments["batch_size"], "epochs": epochs, "verbose": 0}
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # Progress tells of a loss that is no number
                model.fit(x, y, validation_data=test_set, callbacks=[progress], **options)
        except Stopped:
            finished = False
        finally:
            progress.close()
        counts = _judge(model, test_set, names) if finished else None
        output.weights(model)
        output.history(progress.history)
        output.pictures(name, progress.history, counts, names)
        record = {
            "arguments": arguments,
            "device": device,
            "parameters": model.count_params(),
            "images": {"training": images, "test": len(test_set[0])},
            "seconds": time.perf_counter() - started,
            "epochs": progress.speeds,
            "interrupted": progress.unfinished,
            "test": None if counts is None else {"classes": names, "confusion_matrix": counts.tolist()},
        }
        output.json("run.json", record | {"environment": environment()})
    return finished


def _device(kind: str) -> dict[str, str]:
    """A device and its name; DeviceMissing where there is no GPU, before anything is loaded."""
    from ..cuda import backend
    from ..measure.machine import processor_name

    return {"kind": kind, "name": backend.require() if kind == "cuda" else processor_name()}


def _falling(lr: float, steps: int) -> Callable[[int], float]:
    """The learning rate at each step: a straight line from `lr` to nothing, which gains most in a short run."""
    return lambda step: lr * max(0.0, 1 - step / steps)


def _load(module: ModuleType, data_dir: Path | None, limit: int | None, classes: int) -> tuple[Any, Any]:
    """Training and test set as (images in [0, 1] with a channel axis, one-hot labels)."""
    import numpy as np

    from ..nn.utils import to_categorical

    sets: list[tuple[Any, Any]] = []
    for x, y in module.load_data(data_dir):
        n = limit if not sets and limit is not None else len(x)  # only the training images are limited
        x = x[:n].reshape(*x[:n].shape[:3], -1).astype(np.float32) / np.float32(255)
        sets.append((x, to_categorical(y[:n], classes)))
    if limit is not None and limit > len(sets[0][0]):
        raise InvalidArgument(f"--limit is {limit} but there are {len(sets[0][0]):,} training images; use fewer")
    return sets[0], sets[1]


def _judge(model: Any, test_set: Any, names: Any) -> Any:
    """Confusion matrix on the test images, said in a line."""
    from .artifacts import confused, confusion_matrix

    x, y = test_set
    counts = confusion_matrix(y.argmax(axis=1), model.predict(x, verbose=0).argmax(axis=1), len(names))
    right = int(counts.trace())
    print(f"test accuracy {right / len(x):.4f} ({right:,} of {len(x):,} images right)")
    if right < len(x):
        print(f"most frequent mistakes: {confused(counts, names)}")
    return counts
