"""Named arrays in a file: .npz, or .safetensors where that package is installed. A file is complete or not there."""

from __future__ import annotations

import os
import secrets
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import numpy as np

from ..errors import DataUnavailable, InvalidArgument, MissingExtra, shown
from . import arguments

SUFFIXES = (".npz", ".safetensors")


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a temporary file beside `path`, then put it in its place: nobody ever sees half a file."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise DataUnavailable(
            f"cannot write {path}: {error.strerror or error}; is the folder there and writable?"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def save_arrays(path: Any, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write `arrays` to `path`, in the format its suffix names."""
    path = checked_path(path)
    if path.suffix == ".npz":
        write_atomically(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
    else:
        data = _safetensors().save({name: np.asarray(array, order="C") for name, array in arrays.items()})
        write_atomically(path, lambda file: file.write(data))
    return path


def load_arrays(path: Any) -> dict[str, np.ndarray]:
    """Read what `save_arrays` wrote; `DataUnavailable` if it is not there, or not whole."""
    path = checked_path(path)
    try:
        if path.suffix == ".safetensors":
            return _load_safetensors(path)
        with open(path, "rb") as stream:  # numpy.load would leave a damaged file open
            file = np.load(stream, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise ValueError("it holds a single array")
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise DataUnavailable(f"{path} does not exist; check the name, or save the weights first") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        if isinstance(error, MissingExtra):
            raise
        raise DataUnavailable(
            f"{path} is damaged or not a {path.suffix} file ({error}); save the weights again"
        ) from error


def checked_path(path: Any) -> Path:
    """A path with a suffix that names a format."""
    path = arguments.path(None, "the file name", path)
    if path.suffix not in SUFFIXES:
        raise InvalidArgument(
            f"cannot tell the format of {shown(str(path))}; end the name with {' or '.join(SUFFIXES)}"
        )
    return path


def _load_safetensors(path: Path) -> dict[str, np.ndarray]:
    module = _safetensors()
    from safetensors import SafetensorError

    try:
        return module.load(path.read_bytes())
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def _safetensors() -> ModuleType:
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingExtra(
            "a .safetensors file needs the package safetensors: pip install safetensors, or use .npz"
        ) from None
    return safetensors.numpy
