"""Arrays out of files that may lie: what a file says of itself is checked before memory is taken for it.

A zip member that unpacks to gigabytes, a header with a shape of 10**12, a pickle, two members of one name: each is a
`Lie`, found from the headers alone, which are short.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from ...errors import FastconvError, shown

DEFLATE_RATIO = 1032  # the format cannot do better: 258 bytes for two bits
LONGEST_HEADER = 10_000  # bytes of an .npy header; NumPy's own limit for files that are not trusted
LONGEST_INDEX = 100_000_000  # bytes of a .safetensors header; the format's own limit
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those of numpy.savez and numpy.savez_compressed


class Lie(Exception):
    """What is wrong with a file."""


class Header(NamedTuple):
    """What a file says of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        """Size of the array: a whole number however large it is."""
        return math.prod(self.shape) * self.dtype.itemsize


Check = Callable[[Mapping[str, Header]], Any]


def read_npz(file: IO[bytes], check: Check | None) -> dict[str, np.ndarray]:
    """The arrays of numbers in an .npz file."""
    if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
        raise Lie("it holds a single array")
    try:
        with zipfile.ZipFile(file) as archive:
            members = _members(archive, os.fstat(file.fileno()).st_size)
            headers = {name: _header_of(archive, member, name) for name, member in members.items()}
            if check is not None:
                check(headers)
            return {name: _array_of(archive, members[name], header) for name, header in headers.items()}
    except (Lie, FastconvError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib, struct, codecs: each names its own faults
        raise Lie(shown(error)) from error


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The members by the names of their arrays."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name == member.filename:
            raise Lie(f"member {shown(name)} is no .npy file")
        if name in members:
            raise Lie(f"there are two members {shown(name)}")
        if member.flag_bits & 1:
            raise Lie(f"member {shown(name)} is encrypted")
        if member.compress_type not in METHODS:
            raise Lie(f"member {shown(name)} is packed by method {member.compress_type}")
        most = member.compress_size * (DEFLATE_RATIO if member.compress_type == zipfile.ZIP_DEFLATED else 1)
        if member.file_size > most:
            raise Lie(f"member {shown(name)} cannot unpack to {member.file_size:,} bytes")
        members[name] = member
    if sum(member.compress_size for member in members.values()) > size:
        raise Lie("its members take more room than the file has")
    return members


def _header_of(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Header:
    with archive.open(member) as file:
        try:
            header = _read_header(file)
        except Exception as error:  # it is Python text, evaluated as a literal: many things can be wrong with it
            raise Lie(f"member {shown(name)} has no sound .npy header: {shown(error)}") from error
        length = file.tell()
    if header.dtype.kind not in "biuf":
        raise Lie(f"member {shown(name)} holds {'objects' if header.dtype.hasobject else header.dtype}, not numbers")
    if header.nbytes + length != member.file_size:
        raise Lie(f"member {shown(name)} has {member.file_size:,} bytes but its shape is {shown(header.shape)}")
    return header


def _read_header(file: IO[bytes]) -> Header:
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version}")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file, max_header_size=LONGEST_HEADER)
    if not all(isinstance(n, int) and 0 <= n < 2**63 for n in shape):
        raise ValueError(f"shape {shape}")
    return Header(tuple(map(int, shape)), dtype)


def _array_of(archive: zipfile.ZipFile, member: zipfile.ZipInfo, header: Header) -> np.ndarray:
    with archive.open(member) as file:
        array = npy.read_array(file, allow_pickle=False, max_header_size=LONGEST_HEADER)
        if file.read(1) or array.shape != header.shape:  # reading on to the end is what compares the checksums
            raise Lie(f"member {shown(member.filename)} is not what its header says")
    return array


def read_safetensors(file: IO[bytes], module: ModuleType, check: Check | None) -> dict[str, np.ndarray]:
    """The arrays of a .safetensors file; `module` is safetensors.numpy."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, LONGEST_INDEX):
        raise Lie(f"it has {size:,} bytes and a header of {length:,}")
    index = file.read(length)
    try:
        headers = _index_of(index)
    except (Lie, MemoryError):
        raise
    except Exception as error:
        raise Lie(f"its header is not sound: {shown(error)}") from error
    if sum(header.nbytes for header in headers.values()) > size:
        raise Lie("its shapes take more room than the file has")
    if check is not None:
        check(headers)
    file.seek(0)
    data = file.read()
    try:
        return module.load(data)
    except MemoryError:
        raise
    except Exception as error:  # SafetensorError, and KeyError for dtypes that NumPy lacks
        raise Lie(shown(error)) from error


def _index_of(index: bytes) -> dict[str, Header]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise Lie("two entries of its header have one name")
        return dict(pairs)

    entries = json.loads(index, object_pairs_hook=unique)
    headers = {}
    for name, entry in entries.items():
        if name != "__metadata__":
            shape = tuple(entry["shape"])
            if not all(type(n) is int and 0 <= n < 2**63 for n in shape):
                raise Lie(f"array {shown(name)} has the shape {shown(shape)}")
            if entry["dtype"] not in _DTYPES:
                raise Lie(f"array {shown(name)} has the dtype {shown(entry['dtype'])}, which NumPy lacks")
            headers[name] = Header(shape, np.dtype(_DTYPES[entry["dtype"]]))
    return headers


_DTYPES = {
    "F64": "f8", "F32": "f4", "F16": "f2", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1",
    "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
