"""The binary format of CIFAR-10: records of a label byte and 3072 bytes, the 32x32 red, green and blue planes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from ...errors import DataUnavailable
from .files import Split, damaged, read_bytes
from .sources import CIFAR_BATCHES

RECORD = 1 + 3 * 32 * 32
ALL_LABELS = range(10)
MOST = 1 << 28  # bytes: 87,000 records, where all of CIFAR-10 has 60,000
MOST_MEMBERS = 1000  # of the archive, where the official one has nine


def parse_cifar(data: bytes, labels: Collection[int], path: Path) -> Split:
    """The images (N, 32, 32, 3) and labels (N,) of a CIFAR binary file; `path` is for messages only."""
    if not data or len(data) % RECORD:
        found = f"it has {len(data):,} bytes: {len(data) // RECORD:,} records and {len(data) % RECORD} bytes"
        raise damaged(path, found, f"whole records of {RECORD} bytes, at least one")
    records = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
    known = np.isin(records[:, 0], list(labels))
    if not known.all():
        at = int(np.argmin(known))
        raise damaged(path, f"label {records[at, 0]} in record {at}", f"labels among {', '.join(map(str, labels))}")
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, 0].copy()


def read_cifar(path: Path, labels: Collection[int] = ALL_LABELS) -> Split:
    """Read a CIFAR binary file, packed (.gz) or not; a damaged one raises `DataUnavailable`."""
    return parse_cifar(read_bytes(path, MOST), labels, path)


def read_archive(path: Path) -> list[Split]:
    """The six batches of ``cifar-10-binary.tar.gz``, the test batch last, with nothing unpacked to disk."""
    # Unpacked as a whole: tarfile stops at the last member, so it would never see the checksum at gzip's end.
    data = read_bytes(path, MOST)
    batches: dict[str, Split] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for count, member in enumerate(archive):
                name = member.name.rpartition("/")[2]
                if member.size < 0 or count > MOST_MEMBERS:  # some versions of tarfile go in circles
                    raise tarfile.TarError("its members have no end")
                if name in CIFAR_BATCHES:
                    batches[name] = _member(archive, member, path / name, twice=name in batches)
    except (DataUnavailable, MemoryError):
        raise
    except Exception as fault:  # beside its own errors tarfile lets through those of what it calls
        raise damaged(path, f"it is no sound tar archive ({fault})", "the official archive of CIFAR-10") from fault
    missing = [name for name in CIFAR_BATCHES if name not in batches]
    if missing:
        raise damaged(path, f"it lacks {', '.join(missing)}", "the six batches of CIFAR-10")
    return [batches[name] for name in CIFAR_BATCHES]


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, twice: bool) -> Split:
    """One batch of an archive: a file, not a link to one, a device, or a sparse file that may be of any size."""
    file = archive.extractfile(member) if member.isreg() and not member.issparse() else None
    if file is None or twice:
        found = "it is there twice" if twice else "it is a link or something else that is no plain file"
        raise damaged(path, found, "each batch once, as a file")
    return parse_cifar(file.read(), ALL_LABELS, path)


def select(batches: Sequence[Split], labels: tuple[int, ...], path: Path) -> Split:
    """The images whose label is in `labels`, in order, with the label's position in `labels` as the new one."""
    images = np.concatenate([x[np.isin(y, labels)] for x, y in batches])
    old = np.concatenate([y[np.isin(y, labels)] for _, y in batches])
    if not len(old):
        raise damaged(path, f"no image has a label among {', '.join(map(str, labels))}", "some of each")
    number = np.zeros(256, np.uint8)
    number[list(labels)] = np.arange(len(labels))
    return images, number[old]
