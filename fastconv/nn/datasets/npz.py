"""Data sets as one .npz file with the arrays x_train, y_train, x_test and y_test, as Keras ships MNIST."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..files.unpacking import Header, Lie, read_npz
from .files import Split, check_labels, damaged

NAMES = ("x_train", "y_train", "x_test", "y_test")
LAYOUT = f"an .npz file of the arrays {', '.join(NAMES)}"
MOST = 2 << 30  # bytes of its arrays


def load_npz_set(path: Path, image: tuple[int, ...], classes: int) -> tuple[Split, Split]:
    """The training and the test split in a file; labels (N, 1) become (N,), and bytes whatever integers they were."""

    def check(headers: Mapping[str, Header]) -> None:
        missing = [name for name in NAMES if name not in headers]
        if missing:
            raise damaged(path, f"it lacks {', '.join(missing)}", LAYOUT)
        if sum(header.nbytes for header in headers.values()) > MOST:
            raise damaged(path, "its arrays are larger than any data set of this kind", LAYOUT)
        for images, labels in (NAMES[:2], NAMES[2:]):
            _check_pair(headers, images, labels, image, path)

    try:
        with open(path, "rb") as file:
            arrays = read_npz(file, check)
    except Lie as fault:
        raise damaged(path, f"it is no sound .npz file: {fault}", LAYOUT) from fault
    except OSError as fault:
        if fault.strerror is None:
            raise
        raise damaged(path, f"it cannot be read ({fault.strerror})", "a readable file") from fault
    for name in ("y_train", "y_test"):
        labels = arrays[name].reshape(-1)
        if labels.min() < 0:
            at = int(np.argmin(labels))
            raise damaged(path, f"label {labels[at]} at position {at} of {name}", f"labels from 0 to {classes - 1}")
        check_labels(labels, classes, path)
        arrays[name] = labels.astype(np.uint8)
    x_train, y_train, x_test, y_test = (arrays[name] for name in NAMES)
    return (x_train, y_train), (x_test, y_test)


def _check_pair(headers: Mapping[str, Header], images: str, labels: str, image: tuple[int, ...], path: Path) -> None:
    x, y = headers[images], headers[labels]
    if x.dtype != np.uint8 or x.shape[1:] != image or not x.shape[0]:
        raise damaged(path, f"{images} is {x.dtype} of shape {x.shape}", f"uint8 of shape (N, {str(image)[1:]}")
    if y.dtype.kind not in "iu" or y.shape not in (x.shape[:1], (x.shape[0], 1)):
        raise damaged(path, f"{labels} is {y.dtype} of shape {y.shape}", f"integers of shape ({x.shape[0]},)")
