"""Whole models in one file (``.keras``), as Keras 3 writes them: a zip of configuration and weights."""

from __future__ import annotations

import json
import zipfile
from datetime import datetime
from typing import IO, Any

from ...errors import FastconvError, shown
from . import hdf5

METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
KERAS_VERSION = "3.0.0"  # the first of this layout
LONGEST_CONFIG = 100_000_000  # bytes
DEFLATE_RATIO = 1032  # see `unpacking`


def write(file: IO[bytes], config: str, weights: bytes) -> None:
    """Write a model's configuration, as JSON, and an HDF5 file of its weights."""
    now = datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    metadata = json.dumps({"keras_version": KERAS_VERSION, "date_saved": now})
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in ((METADATA, metadata), (CONFIG, config), (WEIGHTS, weights)):
            archive.writestr(zipfile.ZipInfo(name, datetime.now().timetuple()[:6]), data)


def read(file: IO[bytes], source: str, config: bool = True) -> tuple[Any, bytes]:
    """Configuration, if it is wanted, and the bytes of the weights' file."""
    try:
        with zipfile.ZipFile(file) as archive:
            text = _member(archive, CONFIG, source, LONGEST_CONFIG) if config else b"null"
            return json.loads(text), _member(archive, WEIGHTS, source)
    except (FastconvError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib, struct, json, recursion: each names its own faults
        raise hdf5.damaged(source, shown(error)) from error


def _member(archive: zipfile.ZipFile, name: str, source: str, most: int | None = None) -> bytes:
    """A member's bytes, which cannot be more than what it takes in the file allows."""
    info = archive.getinfo(name)
    ratio = 1 if info.compress_type == zipfile.ZIP_STORED else DEFLATE_RATIO
    if info.file_size > ratio * info.compress_size or (most is not None and info.file_size > most):
        raise hdf5.damaged(source, f"{name} cannot unpack to {info.file_size:,} bytes")
    return archive.read(info)
