"""``fastconv`` with a network of a few hundred weights in place of the lecture's, few images, no pictures drawn.

For tests that start many trainings, in this process (`made_small`) or in processes of their own: run this file as the
command. `FSIZE_LIMIT` in the environment is the largest file, in bytes, that such a process may write.
"""

import os
import sys
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch


def small_network(input_shape, classes, *, seed=None):
    from fastconv.nn import Sequential, layers

    return Sequential(
        [
            layers.Conv2D(2, 5, strides=3, activation="relu", input_shape=input_shape),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(classes, activation="softmax"),
        ],
        seed=seed,
    )


def own_images(folder, **ranges):
    """A folder of images that somebody might have: of each class 20 of noise from a range of grey."""
    import numpy as np
    import pytest

    Image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for name, (low, high) in ranges.items():
        (folder / "own" / name).mkdir(parents=True)
        for i in range(20):
            x = rng.integers(low, high, (20, 24, 3))
            Image.fromarray(x.astype(np.uint8)).save(folder / "own" / name / f"{i}.png")
    return folder / "own"


@contextmanager
def made_small():
    from fastconv.nn import zoo
    from fastconv.nn.datasets import fashion_sketch
    from fastconv.show import figures

    load = fashion_sketch.load_data
    small = replace(zoo.ARCHITECTURES["lecture-cnn"], make=small_network)

    def few(data_dir=None):
        return load(data_dir, n_train=120, n_test=40)

    with (
        patch.dict(zoo.ARCHITECTURES, {"lecture-cnn": small}),
        patch.object(fashion_sketch, "load_data", few),
        patch.object(figures, "available", lambda: False),  # half a second each
    ):
        yield


if __name__ == "__main__":
    if limit := os.environ.get("FSIZE_LIMIT"):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    from fastconv.cli import main

    with made_small():
        sys.exit(main(prog_name="fastconv"))
