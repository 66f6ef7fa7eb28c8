"""The IDX format of MNIST and Fashion-MNIST: magic number, sizes, bytes; and the pair of image and label files.

A file is 0x00 0x00, a type byte (0x08: unsigned bytes), the number of axes, one big-endian 32-bit size per axis, and
the values in C order (http://yann.lecun.com/exdb/mnist, "the IDX file format").
"""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path

import numpy as np

from ..files.unpacking import DEFLATE_RATIO
from . import locate
from .files import Bytes, Split, check_labels, damaged, is_packed, opened, read_up_to
from .npz import load_npz_set
from .sources import IDX_FILES, KNOWN_CONTENT, Source

TYPES = {
    0x08: "unsigned bytes",
    0x09: "signed bytes",
    0x0B: "16-bit integers",
    0x0C: "32-bit integers",
    0x0D: "32-bit floats",
    0x0E: "64-bit floats",
}
KINDS = {1: "labels", 3: "images"}
MOST_UNPACKED = 2 << 30  # bytes; the largest set in this format, EMNIST, has 0.64 GB
SPARE = 1 << 16  # bytes read beyond the announced ones, to tell how many too many there are


def parse_idx(data: bytes, rank: int, path: Path) -> Bytes:
    """The array of unsigned bytes with `rank` axes that an unpacked IDX file holds; `path` is for messages only."""
    shape = shape_in(data, rank, path)
    start = 4 + 4 * rank
    _check_length(len(data), start + math.prod(shape), shape, path)
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()


def shape_in(data: bytes, rank: int, path: Path) -> tuple[int, ...]:
    """The shape in the header of an IDX file, of which `data` need not be more."""
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in TYPES:
        raise damaged(
            path,
            f"it starts with {data[:4].hex(' ') or 'nothing'}",
            f"an IDX file (00 00 08 {rank:02x}), packed by gzip or not",
        )
    if data[2] != 0x08:
        raise damaged(path, f"it holds {TYPES[data[2]]} (type 0x{data[2]:02x})", "unsigned bytes (type 0x08)")
    if data[3] != rank:
        found, expected = KINDS.get(data[3], "something else"), KINDS.get(rank, "an array")
        raise damaged(
            path, f"it has {data[3]} axes ({found})", f"{rank} ({expected})", "check which file has which name"
        )
    start = 4 + 4 * rank
    if len(data) < start:
        raise damaged(path, f"it ends inside its header, after {len(data)} bytes", f"a header of {start} bytes")
    shape = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4))
    if 0 in shape:
        raise damaged(path, f"its header gives the shape {shape}: nothing", "at least one value")
    return shape


def _check_length(length: int, size: int, shape: tuple[int, ...], path: Path) -> None:
    if length != size:
        gap = f"{size - length:,} too few" if length < size else f"{length - size:,} too many"
        raise damaged(path, f"it has {length:,} bytes, {gap}", f"{size:,} for the shape {shape} of its header")


def read_idx_bytes(path: Path, rank: int) -> bytes:
    """An unpacked IDX file: as many bytes as its header announces, and a few more if they are there.

    What the header announces must be possible for a file of this size, before memory is taken for it.
    """
    with opened(path) as stream:
        header = stream.read(4 + 4 * rank)
        shape = shape_in(header, rank, path)
        size = len(header) + math.prod(shape)
        room = os.stat(path).st_size
        if not is_packed(stream):
            _check_length(room, size, shape, path)
        elif size > (most := min(MOST_UNPACKED, room * DEFLATE_RATIO)):
            found = f"its header gives the shape {shape}: {size:,} bytes"
            raise damaged(path, found, f"at most {most:,} in a gzip file of its size")
        return header + read_up_to(stream, size - len(header) + SPARE)


def read_idx(path: str | os.PathLike[str], rank: int) -> Bytes:
    """Read an IDX file of unsigned bytes, packed or not.

    Parameters
    ----------
    path : path
        The file; what begins as gzip's do is unpacked.
    rank : int
        The number of axes it must have: 3 for images, 1 for labels.

    Returns
    -------
    ndarray of uint8

    Raises
    ------
    DataUnavailable
        The file cannot be read, is damaged, or its header, rank and length do not agree.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "labels"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 0, 9]))
    ...     read_idx(path, 1)
    array([7, 0, 9], dtype=uint8)
    """
    path = Path(path)
    return parse_idx(read_idx_bytes(path, rank), rank, path)


def load_idx_set(source: Source, data_dir: str | os.PathLike[str] | None, classes: int = 10) -> tuple[Split, Split]:
    """The training and the test split of a set of four IDX files, each checked against its partner, or of an .npz."""
    files = locate.find(source, data_dir)
    if len(files) == 1:
        (path,) = files.values()
        return load_npz_set(path, (28, 28), classes)
    arrays = {}
    for name in IDX_FILES:
        rank = 3 if "images" in name else 1
        data = read_idx_bytes(files[name], rank)
        _check_identity(data, source, name, files[name])
        arrays[name] = parse_idx(data, rank, files[name])
    splits = []
    for images, labels in (IDX_FILES[:2], IDX_FILES[2:]):
        _check_pair(arrays[images], arrays[labels], files[images], files[labels], classes)
        splits.append((arrays[images], arrays[labels]))
    return splits[0], splits[1]


def _check_identity(data: bytes, source: Source, name: str, path: Path) -> None:
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    title, real_name = KNOWN_CONTENT.get(digest, (source.title, name))
    if (title, real_name) != (source.title, name):
        raise damaged(
            path, f"it is {real_name} of {title}", f"{name} of {source.title}", "keep each set in a folder of its own"
        )


def _check_pair(images: Bytes, labels: Bytes, image_path: Path, label_path: Path, classes: int) -> None:
    if images.shape[1:] != (28, 28):
        height, width = images.shape[1:]
        raise damaged(image_path, f"its images are {height}x{width}", "28x28")
    if len(images) != len(labels):
        raise damaged(
            label_path,
            f"it has {len(labels):,} labels for {len(images):,} images of {image_path.name}",
            "one per image",
        )
    check_labels(labels, classes, label_path)
