"""Own images as a data set: a folder with a folder of images for each class, read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import InvalidArgument
from ...processors import usable
from ...streams import print_line
from .. import arguments
from .image_files import listed, sound
from .images import FILTERS, FORMATS, MODES, img_to_array, read_image

LABEL_MODES = ("int", "categorical", "binary")
SUBSETS = ("training", "validation", "both")


class Reading(NamedTuple):
    """How an image file becomes an array."""

    mode: str
    size: tuple[int, ...]
    interpolation: str
    crop: bool
    data_format: str

    def array(self, path: Path) -> np.ndarray:
        """The image in float32, 0 to 255."""
        return img_to_array(read_image(path, self.mode, self.size, self.interpolation, self.crop), self.data_format)


class ImageFolder:
    """Batches of images and labels that are read when their turn comes; may be gone through again and again.

    `fit`, `evaluate` and `predict` take it. `image_dataset_from_directory` makes it.

    Attributes
    ----------
    class_names : list of str
        The classes in the order of their numbers; None without labels.
    file_paths : list of str
    batch_size : int
    """

    def __init__(
        self,
        paths: Sequence[Path],
        labels: np.ndarray | None,
        class_names: list[str] | None,
        reading: Reading,
        batch_size: int | None,
        order: np.random.RandomState | None,
    ) -> None:
        self.class_names, self.file_paths = class_names, [str(path) for path in paths]
        self.labels, self.batch_size = labels, batch_size
        self._reading, self._random = reading, order
        self._order = np.arange(len(paths))
        self.on_epoch_end()

    def __len__(self) -> int:
        """Number of batches; without a batch size of images."""
        return -(-len(self.file_paths) // (self.batch_size or 1))

    def __getitem__(self, index: int) -> Any:
        """A batch (x, y), or x where there are no labels, by its number."""
        number = arguments.whole(self, "index", index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"batch {number} of {len(self)}")
        start = (number % len(self)) * (self.batch_size or 1)
        chosen = self._order[start : start + (self.batch_size or 1)]
        x = self._read([Path(self.file_paths[i]) for i in chosen])
        y = None if self.labels is None else self.labels[chosen]
        if self.batch_size is None:
            x, y = x[0], None if y is None else y[0]
        return x if y is None else (x, y)

    def __iter__(self) -> Iterator[Any]:
        """The batches of one pass; the next pass has another order, if the images are shuffled."""
        for number in range(len(self)):
            yield self[number]
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Draw the order of the next pass."""
        if self._random is not None:
            self._order = self._random.permutation(len(self.file_paths))

    def arrays(self) -> tuple[np.ndarray, np.ndarray | None]:
        """All images, rounded to uint8, and all labels, in the order of `file_paths`."""
        x = np.empty((len(self.file_paths), *self._reading.array(Path(self.file_paths[0])).shape), np.uint8)
        for start in range(0, len(x), 64):
            paths = [Path(path) for path in self.file_paths[start : start + 64]]
            x[start : start + 64] = self._read(paths)
        return x, self.labels

    def _read(self, paths: list[Path]) -> np.ndarray:
        with ThreadPoolExecutor(min(len(paths), usable())) as pool:  # decoders leave Python's lock
            return np.stack(list(pool.map(self._reading.array, paths)))


def image_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    verbose: bool = True,
    *,
    broken: str = "raise",
) -> Any:
    """Image files in folders, one for each class, as batches for `fit`.

    Parameters
    ----------
    directory : path
        Holds a folder for each class, with images (also in folders below): .bmp, .gif, .jpeg, .jpg, .pgm, .png, .ppm,
        .tif, .tiff, .webp. Names that begin with a dot are passed over.
    labels : "inferred", None or sequence of int
        The classes are the folders' names; or there are none, and all images below `directory` are taken; or a class
        number for each file, in the order of sorted names.
    label_mode : {"int", "categorical", "binary"} or None
        Labels are int32 (N,), rows with a single 1 (N, classes), float32 (N, 1), or left out.
    class_names : sequence of str, optional
        The folders to take, in the order of their numbers; by default all, sorted.
    color_mode : {"rgb", "grayscale", "rgba"}
    batch_size : int or None
        None gives images one by one, without the axis of a batch.
    image_size : (height, width)
    shuffle : bool
        Whether each pass has another order; else that of the sorted names.
    seed : int, optional
        Makes the order, and with it the split, repeatable.
    validation_split : float, optional
        Share of the images for `subset` "validation": the last ones, after shuffling by `seed`.
    subset : {"training", "validation", "both"}, optional
        Which side of the split is wanted.
    interpolation : {"bilinear", "nearest", "bicubic", "lanczos3", "area"}
        How images are resized; all but "nearest" average over every pixel where an image becomes smaller, which Keras
        does not.
    follow_links : bool
        Whether folders that are links are entered.
    crop_to_aspect_ratio : bool
        Whether the middle of an image is taken, undistorted.
    data_format : {"channels_last", "channels_first"}, optional
    verbose : bool
        Whether to print how many files and classes there are.
    broken : {"raise", "skip"}
        What is done about files that are no image: an error that names them, or they are left out with a warning that
        does. "skip" decodes every file once.

    Returns
    -------
    ImageFolder, or a pair of them for ``subset="both"``
        Images of float32, 0 to 255: put ``Rescaling(1/255)`` in front of the model.

    Raises
    ------
    DataUnavailable
        The folder is not there, a class has no images, or a file is no image.
    InvalidArgument
        An argument does not fit, such as a split of shuffled images without a seed.
    MissingExtra
        Pillow is not installed.

    Examples
    --------
    >>> pets = image_dataset_from_directory(
    ...     "pets", image_size=(64, 64), validation_split=0.2, subset="training", seed=1
    ... )  # doctest: +SKIP
    >>> pets.class_names  # doctest: +SKIP
    ['cat', 'dog']
    >>> model.fit(pets, epochs=5)  # doctest: +SKIP
    """
    owner = "image_dataset_from_directory"
    folder = arguments.path(owner, "directory", directory)
    reading = Reading(
        MODES[arguments.choice(owner, "color_mode", color_mode, tuple(MODES))][0],
        arguments.per_axis(owner, "image_size", image_size, 2),
        arguments.choice(owner, "interpolation", interpolation, tuple(FILTERS)),
        arguments.flag(owner, "crop_to_aspect_ratio", crop_to_aspect_ratio),
        FORMATS[0] if data_format is None else arguments.choice(owner, "data_format", data_format, FORMATS),
    )
    size = None if batch_size is None else arguments.whole(owner, "batch_size", batch_size, 1)
    shuffled = arguments.flag(owner, "shuffle", shuffle)
    seed = None if seed is None else arguments.whole(owner, "seed", seed, 0, 2**32 - 1)
    share = _share(owner, validation_split, subset, shuffled, seed)
    follow, verbose = arguments.flag(owner, "follow_links", follow_links), arguments.flag(owner, "verbose", verbose)
    arguments.choice(owner, "broken", broken, ("raise", "skip"))
    if label_mode is not None:
        arguments.choice(owner, "label_mode", label_mode, LABEL_MODES)
    paths, numbers, names = listed(owner, folder, labels, label_mode, class_names, follow)
    good = sound(folder, paths, reading.array, broken == "skip")
    paths, numbers = [path for path, is_good in zip(paths, good, strict=True) if is_good], numbers[good]
    if shuffled:
        seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        order = np.arange(len(paths))
        np.random.RandomState(seed).shuffle(order)  # Keras's own order, and so its split
        paths, numbers = [paths[i] for i in order], numbers[order]
    count = 0 if share is None else int(share * len(paths))
    if share is not None and not 0 < count < len(paths):
        raise InvalidArgument(f"validation_split={share} of {len(paths)} images leaves none on one side")
    if verbose:
        print_line(f"Found {len(paths)} files belonging to {len(names or ()) or 1} classes.")
    parts = {"training": slice(0, len(paths) - count), "validation": slice(len(paths) - count, None)}
    made = [
        ImageFolder(
            paths[part],
            None if names is None else _as_labels(numbers[part], label_mode, len(names)),
            names,
            reading,
            size,
            np.random.RandomState(seed) if shuffled else None,
        )
        for name, part in parts.items()
        if (subset or "training") in (name, "both")
    ]
    return made[0] if len(made) == 1 else tuple(made)


def _share(owner: str, share: Any, subset: Any, shuffled: bool, seed: int | None) -> float | None:
    """The share for validation, checked together with what it goes with."""
    if (share is None) != (subset is None):
        raise InvalidArgument(f"`{owner}`: validation_split and subset go together; give both, or neither")
    if share is None:
        return None
    arguments.choice(owner, "subset", subset, SUBSETS)
    share = arguments.real(owner, "validation_split", share, above=0, below=1)
    if shuffled and seed is None:
        raise InvalidArgument(
            f"`{owner}`: a split of shuffled images needs seed=, so that both sides are cut from one order; or pass "
            "shuffle=False"
        )
    return share


def _as_labels(numbers: np.ndarray, label_mode: str | None, classes: int) -> np.ndarray:
    if label_mode == "categorical":
        return np.eye(classes, dtype=np.float32)[numbers]
    return numbers.astype(np.float32)[:, None] if label_mode == "binary" else numbers
