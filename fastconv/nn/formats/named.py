"""Named arrays in a file: .npz, or .safetensors where that package is installed. A file is complete or not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ...errors import DataUnavailable, FastconvError, InvalidArgument, MissingExtra
from ...files import brief, write_file
from ...ops.halves import widened
from .. import arguments
from ..files.unpacking import Header, Lie, read_npz, read_safetensors

Arrays = dict[str, np.ndarray]
SUFFIXES = (".npz", ".safetensors")


def save_arrays(path: Any, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write `arrays` to `path`, in the format its suffix names; those of bfloat16, which NumPy lacks, as float32."""
    path = checked_path(path)
    arrays = {name: widened(array) if array.dtype.kind == "V" else array for name, array in arrays.items()}
    if path.suffix == ".npz":
        write_file(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
    else:
        data = _safetensors().save({name: np.asarray(array, order="C") for name, array in arrays.items()})
        write_file(path, lambda file: file.write(data))
    return path


def load_arrays(path: Any, check: Callable[[Mapping[str, Header]], Any] | None = None) -> dict[str, np.ndarray]:
    """Read what `save_arrays` wrote.

    Parameters
    ----------
    path : path
    check : callable, optional
        Gets the names, shapes and dtypes that the file says it holds, before memory is taken for the arrays, and raises
        where they are not those that are wanted: a small file may hold gigabytes.

    Raises
    ------
    DataUnavailable
        It is not there, not whole, or says of itself what is not so.
    """
    path = checked_path(path)
    try:
        with open(path, "rb") as file:
            if path.suffix == ".npz":
                return read_npz(file, check)
            return read_safetensors(file, _safetensors(), check)
    except FileNotFoundError:
        raise DataUnavailable(f"{brief(path)} does not exist; check the name, or save the weights first") from None
    except Lie as error:
        raise DataUnavailable(
            f"{brief(path)} is damaged or not a {path.suffix} file ({error}); save the weights again"
        ) from error
    except FastconvError:  # of `check`, or a package is missing
        raise
    except OSError as error:
        raise DataUnavailable(f"{brief(path)} cannot be read: {error.strerror or error}; check the name") from error


def checked_path(path: Any) -> Path:
    """A path with a suffix that names a format."""
    path = arguments.path(None, "the file name", path)
    if path.suffix not in SUFFIXES:
        raise InvalidArgument(f"cannot tell the format of {brief(path)!r}; end the name with {' or '.join(SUFFIXES)}")
    return path


def _safetensors() -> ModuleType:
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingExtra(
            "a .safetensors file needs the package safetensors: pip install safetensors, or use .npz"
        ) from None
    return safetensors.numpy
