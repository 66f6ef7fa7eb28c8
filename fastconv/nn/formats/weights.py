"""A model's weights in a file, in the format that the file's name says."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from ...errors import DataUnavailable, FastconvError, InvalidArgument
from ...files import brief, write_file
from .. import arguments
from ..files.unpacking import Check
from . import archive, hdf5, keras2, keras3, legacy, named, variables
from .named import Arrays, load_arrays, save_arrays

KERAS_3, KERAS_2, MODEL = ".weights.h5", (".h5", ".hdf5"), ".keras"
SUFFIXES = (*named.SUFFIXES, KERAS_3, *KERAS_2)


def checked_path(path: Any, more: tuple[str, ...] = ()) -> Path:
    """A path whose name says a format of weights, or one of those of `more`."""
    path, known = arguments.path(None, "the file name", path), (*SUFFIXES, *more)
    if not path.name.endswith(known):
        raise InvalidArgument(f"cannot tell the format of {brief(path)!r}; end the name with {' or '.join(known)}")
    return path


def can_hold_model(path: Path) -> bool:
    """Whether a file of this name may hold a whole model."""
    return path.name.endswith((MODEL, *KERAS_2)) and not path.name.endswith(KERAS_3)


def save(path: Path, model: Any, state: Arrays | None = None) -> None:
    """Write a model's weights, and in Keras 3's layout the state of its training as well, if that is given."""
    if path.suffix in named.SUFFIXES:
        save_arrays(path, {name: w.numpy() for name, (_, w) in model.named_weights().items()})
        return
    data = packed(model, state) if path.name.endswith(KERAS_3) else hdf5.packed(partial(keras2.write, model=model))
    write_file(path, lambda file: file.write(data))


def packed(model: Any, state: Arrays | None) -> bytes:
    """Weights, and the state of a training if that is given, as a file of Keras 3's layout."""

    def fill(root: Any) -> None:
        keras3.write(root, model)
        if state is not None:
            variables.write(root, model, _names(model), state)

    return hdf5.packed(fill)


def packed_model(model: Any, described: Mapping[str, Any], state: Arrays | None) -> bytes:
    """A whole model as a file of Keras's older layout."""
    return hdf5.packed(lambda root: legacy.write(root, model, described, _names(model), state))


def load(path: Path, model: Any, check: Check) -> Arrays:
    """The arrays of a file by the names of the model's weights; `check` sees their shapes before they are read."""
    if path.suffix in named.SUFFIXES:
        return load_arrays(path, check)
    source = brief(path)
    with opened(path, "weights") as file:
        if path.suffix == MODEL:
            _, weights = archive.read(file, source, config=False)
            return unpacked(io.BytesIO(weights), model, check, source)[0]
        return unpacked(file, model, check, source)[0]


def unpacked(file: IO[bytes], model: Any, check: Check, source: str, with_state: bool = False) -> tuple[Arrays, Arrays]:
    """Weights and, if it is wanted, the state of a training, from an HDF5 file of either layout."""
    names = _names(model)
    with hdf5.reading(file, source) as root:
        found = hdf5.datasets(root, source)
        if "layers" in root or keras3.VARS in root:
            weights, listed = keras3.find(found, model, names, source), variables.numbered
        else:
            weights, listed = keras2.find(root, found, model, names, source), partial(legacy.of_optimizer, root)
        arrays = hdf5.arrays(weights, check)
        return arrays, variables.read(found, listed(found, source), model, names, source) if with_state else {}


@contextmanager
def opened(path: Path, what: str) -> Iterator[IO[bytes]]:
    """A file to be read; that it cannot be is said as of any other."""
    try:
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError:
        raise DataUnavailable(f"{brief(path)} does not exist; check the name, or save the {what} first") from None
    except FastconvError:
        raise
    except OSError as error:
        raise DataUnavailable(f"{brief(path)} cannot be read: {error.strerror or error}; check the name") from error


def _names(model: Any) -> dict[int, str]:
    """The names of weights by their ids."""
    return {id(weight): name for name, (_, weight) in model.named_weights().items()}
