"""What the readers share: the bytes of a file, labels that are checked, and the one message for a damaged file."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from ...errors import DataUnavailable
from ...files import brief

Bytes = NDArray[np.uint8]
Split = tuple[Bytes, Bytes]  # images and labels
CHUNK = 1 << 20  # bytes unpacked at a time
GZIP = b"\x1f\x8b"  # how its files begin


def damaged(path: Path, found: str, expected: str, advice: str = "") -> DataUnavailable:
    """The one message for a file that is not what its name says."""
    advice = advice or "get a fresh copy (in the cache folder: delete the file and it is downloaded again)"
    return DataUnavailable(f"{brief(path)}: {found}; expected {expected}; {advice}")


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes as a stream, unpacked if they are gzip's, whatever the name says: unpackers often leave the .gz.

    What is wrong with them is a `DataUnavailable`.
    """
    try:
        with open(path, "rb") as file:
            packed = file.peek(2)[:2] == GZIP
            with gzip.open(file) if packed else file as stream:
                yield cast("IO[bytes]", stream)
    except DataUnavailable:
        raise
    except EOFError as fault:
        size = path.stat().st_size
        raise damaged(path, f"its gzip data break off after {size:,} bytes", "a complete gzip file") from fault
    except (gzip.BadGzipFile, zlib.error) as fault:
        raise damaged(path, f"it is no sound gzip file ({fault})", "a whole gzip file, or an unpacked one") from fault
    except OSError as fault:
        raise damaged(
            path, f"it cannot be read ({fault.strerror})", "a readable file", "check its permissions"
        ) from fault


def is_packed(stream: IO[bytes]) -> bool:
    """Whether what `opened` gave unpacks as it is read."""
    return isinstance(stream, gzip.GzipFile)


def read_bytes(path: Path, most: int) -> bytes:
    """The bytes of a file, unpacked if they are gzip's; no more than `most` of them are taken into memory."""
    with opened(path) as stream:
        data = read_up_to(stream, most + 1)
    if len(data) > most:
        raise damaged(path, f"it holds more than {most:,} bytes", "no more than the whole data set has")
    return data


def read_up_to(stream: IO[bytes], most: int) -> bytes:
    """What a stream still gives, but at most so many bytes; memory is taken as they come."""
    chunks = []
    while most and (chunk := stream.read(min(most, CHUNK))):
        chunks.append(chunk)
        most -= len(chunk)
    return b"".join(chunks)


def check_labels(labels: Bytes, classes: int, path: Path) -> None:
    """Raise if a label is not below `classes`."""
    if labels.max(initial=0) >= classes:
        at = int(np.argmax(labels >= classes))
        raise damaged(path, f"label {labels[at]} at position {at}", f"labels from 0 to {classes - 1}")
