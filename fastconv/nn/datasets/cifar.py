"""The files of CIFAR-10 and CIFAR-100: binary records, pickles of Python 2, and the archives of either.

A binary file is records of label bytes (one in CIFAR-10; the coarse and the fine one in CIFAR-100) and 3072 bytes, the
32x32 red, green and blue planes. A pickle is a dictionary with the same bytes under "data" and lists of labels.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ...errors import DataUnavailable
from .files import Bytes, Split, damaged, read_bytes
from .pickled import read_dictionary

PIXELS = 3 * 32 * 32
RECORD = 1 + PIXELS
MOST = 1 << 28  # bytes: 87,000 records, where all of CIFAR-10 has 60,000
MOST_MEMBERS = 1000  # of an archive, where the official ones have nine at most

#: The kinds of labels that an image has: their key in a pickle, and the labels there may be.
Kinds = Sequence[tuple[str, Collection[int]]]
CIFAR10: Kinds = (("labels", range(10)),)
CIFAR100: Kinds = (("coarse_labels", range(20)), ("fine_labels", range(100)))


def read_batches(paths: Sequence[Path], names: Sequence[str], kinds: Kinds) -> list[Split]:
    """The batches `names` of a data set, from a file each or from one archive: images and labels (N, kinds)."""
    if len(paths) == 1:
        pickles = [name.removesuffix(".bin") for name in names]
        binary = "binary" in paths[0].name
        return read_archive(paths[0], names if binary else pickles, kinds)
    return [parse_batch(read_bytes(path, MOST), kinds, path) for path in paths]


def parse_batch(data: bytes, kinds: Kinds, path: Path) -> Split:
    """The images (N, 32, 32, 3) and labels (N, kinds) of a batch in either format; `path` tells which, and who."""
    if ".bin" in path.name:
        return parse_records(data, kinds, path)
    return parse_pickle(data, kinds, path)


def parse_records(data: bytes, kinds: Kinds, path: Path) -> Split:
    """The images and labels of a binary file; `path` is for messages only."""
    record = len(kinds) + PIXELS
    if not data or len(data) % record:
        found = f"it has {len(data):,} bytes: {len(data) // record:,} records and {len(data) % record} bytes"
        raise damaged(path, found, f"whole records of {record} bytes, at least one")
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    labels = records[:, : len(kinds)].copy()
    _check_labels(labels, kinds, path)
    return _images(records[:, len(kinds) :]), labels


def parse_pickle(data: bytes, kinds: Kinds, path: Path) -> Split:
    """The images and labels of a pickle, of which no code is run; `path` is for messages only."""
    held = read_dictionary(data, path)
    missing = [name for name in ("data", *(name for name, _ in kinds)) if name not in held]
    if missing:
        raise damaged(path, f"its dictionary lacks {', '.join(missing)}", "a batch of CIFAR as a Python pickle")
    pixels = held["data"]
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (PIXELS,):
        found = f"{pixels.dtype} of shape {pixels.shape}" if isinstance(pixels, np.ndarray) else "no array"
        raise damaged(path, f"its data are {found}", f"bytes of shape (N, {PIXELS})")
    columns = []
    for name, known in kinds:
        column = held[name]
        if not isinstance(column, list) or len(column) != len(pixels) or not len(column):
            count = f"{len(column)} of them" if isinstance(column, list) else "no list"
            raise damaged(path, f"its {name} are {count}", f"a list of {len(pixels):,}, one per image")
        bad = next((i for i, label in enumerate(column) if type(label) is not int or label not in known), None)
        if bad is not None:
            raise _wrong_label(f"{column[bad]!r:.40}", bad, known, path)
        columns.append(np.array(column, np.uint8))
    return _images(pixels), np.stack(columns, axis=1)


def _images(pixels: Bytes) -> Bytes:
    return np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _check_labels(labels: Bytes, kinds: Kinds, path: Path) -> None:
    for column, (_, known) in zip(labels.T, kinds, strict=True):
        is_known = np.isin(column, list(known))
        if not is_known.all():
            at = int(np.argmin(is_known))
            raise _wrong_label(column[at], at, known, path)


def _wrong_label(label: object, at: int, known: Collection[int], path: Path) -> DataUnavailable:
    allowed = f"from 0 to {len(known) - 1}" if isinstance(known, range) else f"among {', '.join(map(str, known))}"
    return damaged(path, f"label {label} in record {at}", f"labels {allowed}")


def read_archive(path: Path, names: Sequence[str], kinds: Kinds) -> list[Split]:
    """The batches of an official archive in the order of `names`, with nothing unpacked to disk."""
    batches: dict[str, Split] = {}
    with _opened(path) as archive:
        for count, member in enumerate(archive):
            name = member.name.rpartition("/")[2]
            if member.size < 0 or count > MOST_MEMBERS:  # some versions of tarfile go in circles
                raise tarfile.TarError("its members have no end")
            if name in batches:
                raise _wrong_member(path / name, "it is there twice")
            if name in names:
                batches[name] = parse_batch(_content(archive, member, path / name), kinds, path / name)
    missing = [name for name in names if name not in batches]
    if missing:
        raise damaged(path, f"it lacks {', '.join(missing)}", f"all of {', '.join(names)}")
    return [batches[name] for name in names]


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    """A tar archive, packed by gzip or not; whatever is wrong with it is a `DataUnavailable`."""
    # Unpacked as a whole: tarfile stops at the last member, so it would never see the checksum at gzip's end.
    data = read_bytes(path, MOST)
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            yield archive
    except (DataUnavailable, MemoryError):
        raise
    except Exception as fault:  # beside its own errors tarfile lets through those of what it calls
        raise damaged(path, f"it is no sound tar archive ({fault})", "the official archive") from fault


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bytes:
    """One batch of an archive: a file, not a link to one, a device, or a sparse file that may be of any size."""
    file = archive.extractfile(member) if member.isreg() and not member.issparse() else None
    if file is None:
        raise _wrong_member(path, "it is a link or something else that is no plain file")
    return file.read()


def _wrong_member(path: Path, found: str) -> DataUnavailable:
    return damaged(path, found, "each batch once, as a file")


def joined(batches: Sequence[Split]) -> Split:
    """Several batches as one."""
    return np.concatenate([x for x, _ in batches]), np.concatenate([y for _, y in batches])


def select(split: Split, labels: tuple[int, ...], path: Path) -> Split:
    """The images whose label is in `labels`, in order, with the label's position in `labels` as the new one."""
    x, y = split[0], split[1].reshape(-1)
    chosen = np.isin(y, labels)
    if not chosen.any():
        raise damaged(path, f"no image has a label among {', '.join(map(str, labels))}", "some of each")
    number = np.zeros(256, np.uint8)
    number[list(labels)] = np.arange(len(labels))
    return x[chosen], number[y[chosen]]
