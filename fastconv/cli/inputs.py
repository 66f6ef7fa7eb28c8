"""What a training gets: a data set by its name, or a folder of one's own images, as arrays that the network takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InvalidArgument
from ..nn import datasets, zoo
from ..nn.utils import image_dataset_from_directory, to_categorical
from . import augmentation
from .recipes import NETWORKS

Pair = tuple[np.ndarray, np.ndarray]


class Inputs(NamedTuple):
    """Samples in float32, images from 0 to 1 and with an axis of channels, and rows of labels with a single 1."""

    train: Pair
    test: Pair
    names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return self.train[0].shape[1:]


#: What a sample is, by its number of axes, channels counted.
KINDS = {2: "series", 3: "images", 4: "videos"}


def load(arguments: dict[str, Any]) -> Inputs:
    """The data that a command's arguments name, as its network takes them."""
    rank, taken = (zoo.by_name(name).rank for name in (NETWORKS[arguments["dataset"]], arguments["model"]))
    if rank != taken:
        found = f"{arguments['dataset'] or 'a folder'} holds {KINDS[rank]}"
        raise InvalidArgument(f"--model {arguments['model']} takes {KINDS[taken]}, but {found}; choose another model")
    augmentation.check(arguments.get("augment"), KINDS[rank])
    if arguments["folder"] is None:
        module = datasets.by_name(arguments["dataset"])
        train, test = module.load_data(data_dir=arguments["data_dir"])
        names = tuple(module.CLASS_NAMES)
    else:
        train, test, names = _own_images(arguments["folder"], arguments["image_size"], arguments["seed"])
    limit = arguments["limit"]
    if limit is not None and limit > len(train[0]):
        raise InvalidArgument(f"--limit is {limit} but there are {len(train[0]):,} training images; use fewer")
    splits = ((train, limit), (test, None))
    pairs = [(scaled(x[:n], rank), to_categorical(y[:n], len(names))) for (x, y), n in splits]
    return Inputs(pairs[0], pairs[1], names)


def scaled(x: np.ndarray, rank: int) -> np.ndarray:
    """Samples of `rank` axes, with one for channels; bytes come to 0 to 1."""
    if x.dtype == np.uint8:
        x = x.astype(np.float32) / np.float32(255)
    return x[..., None] if x.ndim == rank else x


def _own_images(folder: Path, size: int, seed: int) -> tuple[Pair, Pair, tuple[str, ...]]:
    """A fifth of a folder's images for the test, the others for training."""
    made = image_dataset_from_directory(
        folder, image_size=(size, size), validation_split=0.2, subset="both", seed=seed, verbose=False
    )
    train, test = (part.arrays() for part in made)
    return train, test, tuple(made[0].class_names)
