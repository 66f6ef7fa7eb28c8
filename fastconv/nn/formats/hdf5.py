"""HDF5 files through h5py, an optional extra: written whole, and read without trusting what they say of themselves."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import IO, Any

import numpy as np

from ...errors import DataUnavailable, FastconvError, MissingExtra, quoted, shown
from ...foreign import dtype_named
from ..files.unpacking import Header

MOST_OBJECTS = 1_000_000  # of a file
DEEPEST = 100  # groups in groups
BFLOAT16 = "bfloat16"


def package() -> ModuleType:
    """h5py."""
    try:
        import h5py
    except ImportError:
        raise MissingExtra(
            "a .h5 or .keras file needs the package h5py: pip install 'fastconv[h5]', or save weights as .npz"
        ) from None
    return h5py


def packed(fill: Callable[[Any], Any]) -> bytes:
    """The bytes of a file whose root group `fill` has filled."""
    data = io.BytesIO()
    with package().File(data, "w") as root:
        fill(root)
    return data.getvalue()


@contextmanager
def reading(file: IO[bytes], source: str) -> Iterator[Any]:
    """The root group of a file; whatever is wrong with it is one `DataUnavailable`."""
    h5py = package()
    try:
        with h5py.File(file, "r") as root:
            yield root
    except (FastconvError, MemoryError):
        raise
    except Exception as error:  # HDF5's own: OSError, KeyError, RuntimeError, ValueError, TypeError
        raise damaged(source, quoted(error)) from error


def damaged(source: str, reason: str) -> DataUnavailable:
    """The error for a file that is not what it should be."""
    return DataUnavailable(f"{source} is damaged or not a file of its format ({reason}); save it again")


def datasets(group: Any, source: str) -> dict[str, Any]:
    """All arrays in a group, by their paths; links to other files, which could name anything, are refused."""
    h5py, found = package(), {}
    waiting = [("", group, 0)]
    while waiting:
        path, here, depth = waiting.pop()
        for name in here:
            inner = f"{path}/{name}" if path else name
            if not isinstance(here.get(name, getlink=True), h5py.HardLink):
                raise damaged(source, f"{shown(inner)} is a link to somewhere else")
            item = here[name]
            if isinstance(item, h5py.Group):
                waiting.append((inner, item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                found[inner] = _checked(item, inner, source)
            if depth > DEEPEST or len(found) + len(waiting) > MOST_OBJECTS:
                raise damaged(source, "it has more groups within one another, or arrays, than a model can have")
    return found


def _checked(item: Any, name: str, source: str) -> Any:
    if item.external or item.is_virtual or item.shape is None:
        raise damaged(source, f"{shown(name)} does not lie in the file itself")
    return item


def put_array(group: Any, name: str, array: Any) -> None:
    """Write an array; HDF5 has no bfloat16, of which Keras keeps the bytes, and says so beside them."""
    dataset = group.create_dataset(name, data=array)
    if np.asarray(array).dtype.name == BFLOAT16:
        dataset.attrs["dtype"] = BFLOAT16


def header(dataset: Any) -> Header:
    """What the file says of an array, before it is read."""
    return Header(tuple(map(int, dataset.shape)), _dtype(dataset))


def array(dataset: Any) -> np.ndarray:
    """An array, read."""
    return np.asarray(dataset[()]).view(_dtype(dataset))


def _dtype(dataset: Any) -> np.dtype:
    is_bfloat16 = dataset.dtype.itemsize == 2 and dataset.attrs.get("dtype") == BFLOAT16
    return dtype_named(BFLOAT16) if is_bfloat16 else np.dtype(dataset.dtype)


def texts(group: Any, name: str) -> list[str]:
    """A list of text kept as an attribute; a long one lies in several: name0, name1, ..."""
    if name in group.attrs:
        values = list(group.attrs[name])
    else:
        values, part = [], 0
        while f"{name}{part}" in group.attrs:
            values += list(group.attrs[f"{name}{part}"])
            part += 1
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


MOST_OF_AN_ATTRIBUTE = 64_000  # bytes: HDF5 keeps at most 64 KiB in an object's head


def put_texts(group: Any, name: str, values: list[str]) -> None:
    """Keep a list of text as an attribute, in several where one would be too long, as Keras does."""
    data = np.array([value.encode() for value in values])
    parts = -(-max(1, data.nbytes) // MOST_OF_AN_ATTRIBUTE)
    if parts == 1:
        group.attrs[name] = data if values else np.zeros(0)
    else:
        for number, part in enumerate(np.array_split(data, parts)):
            group.attrs[f"{name}{number}"] = part


def arrays(found: Mapping[str, Any], check: Callable[[Mapping[str, Header]], Any]) -> dict[str, np.ndarray]:
    """Arrays, read once `check` has seen what the file says of them."""
    check({name: header(dataset) for name, dataset in found.items()})
    return {name: array(dataset) for name, dataset in found.items()}
