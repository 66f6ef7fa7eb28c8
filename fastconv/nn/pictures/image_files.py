"""The image files in a folder of folders: which there are, of which class, and which of them are no images."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataUnavailable, InvalidArgument
from ...files import brief
from ...processors import usable
from .. import arguments
from .images import check_image

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
NAMED = 3  # broken files that a message names


def listed(
    owner: str, folder: Path, labels: Any, label_mode: str | None, class_names: Any, follow: bool
) -> tuple[list[Path], np.ndarray, list[str] | None]:
    """The image files, their class numbers, and the names of the classes."""
    try:
        inside = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")
    except OSError as fault:
        raise DataUnavailable(f"`{owner}`: directory {brief(folder)} cannot be read: {fault.strerror}") from fault
    if labels is None or label_mode is None:
        paths = list(_images_below(folder, follow))
        if not paths:
            raise DataUnavailable(f"{brief(folder)} holds no images ({', '.join(SUFFIXES)})")
        return paths, np.zeros(len(paths), np.int32), None
    names = inside if class_names is None else _chosen(owner, class_names, inside)
    found = {name: list(_images_below(folder / name, follow)) for name in names}
    empty = [name for name, files in found.items() if not files]
    if empty or not names:
        lacking = f"no images in {', '.join(empty[:NAMED])}" if empty else "no folders of classes"
        raise DataUnavailable(
            f"{brief(folder)} has {lacking}; expected a folder for each class, with images ({', '.join(SUFFIXES)})"
        )
    paths = [path for files in found.values() for path in files]
    numbers = np.repeat(np.arange(len(names), dtype=np.int32), [len(files) for files in found.values()])
    if not (isinstance(labels, str) and labels == "inferred"):
        numbers = _given(owner, labels, len(paths))
        names = [str(number) for number in range(int(numbers.max()) + 1)]
    if label_mode == "binary" and len(names) != 2:
        raise InvalidArgument(f"`{owner}`: label_mode='binary' is for two classes, but there are {len(names)}")
    return paths, numbers, names


def _chosen(owner: str, class_names: Any, inside: list[str]) -> list[str]:
    given = arguments.items(owner, "class_names", class_names, "a list")
    names = [arguments.text(owner, "class_names", name) for name in given]
    missing = [name for name in names if name not in inside]
    if missing or len(set(names)) < len(names) or not names:
        raise arguments.wrong(
            owner, "class_names", class_names, f"names of its folders, each once: {', '.join(inside)}"
        )
    return names


def _given(owner: str, labels: Any, count: int) -> np.ndarray:
    numbers = np.zeros(0) if isinstance(labels, str) else arguments.host_array(owner, "labels", labels)
    if numbers.shape != (count,) or numbers.dtype.kind not in "iu" or numbers.min(initial=0) < 0:
        raise arguments.wrong(owner, "labels", labels, f"'inferred', None or {count} whole numbers, one for each file")
    return numbers.astype(np.int32)


def _images_below(folder: Path, follow: bool) -> Iterator[Path]:
    """Image files in a folder and those below it, sorted."""
    for root, _, files in sorted(os.walk(folder, followlinks=follow), key=lambda entry: entry[0]):
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(root) / name


def sound(folder: Path, paths: list[Path], read: Callable[[Path], Any], skip: bool) -> np.ndarray:
    """Which files are images; those that are not are named, in an error or a warning."""

    def fault_of(path: Path) -> str | None:
        if not skip:
            return check_image(path)
        try:
            read(path)
        except DataUnavailable as fault:
            return str(fault).rpartition(": ")[2]
        return None

    with ThreadPoolExecutor(usable()) as pool:
        faults = list(pool.map(fault_of, paths))
    bad = [f"{path.relative_to(folder)} ({why})" for path, why in zip(paths, faults, strict=True) if why]
    if bad:
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        text = (
            f"{len(bad)} of {len(paths)} files in {brief(folder)} are no sound images: {', '.join(bad[:NAMED])}{more}"
        )
        if not skip or len(bad) == len(paths):
            raise DataUnavailable(f"{text}; repair or delete them, or pass broken='skip'")
        warnings.warn(f"{text}; they are left out", stacklevel=3)
    return np.array([why is None for why in faults], bool)
