"""What the readers share: the bytes of a file, and the one message for a damaged one."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DataUnavailable

Bytes = NDArray[np.uint8]
Split = tuple[Bytes, Bytes]  # images and labels


def damaged(path: Path, found: str, expected: str, advice: str = "") -> DataUnavailable:
    """The one message for a file that is not what its name says."""
    advice = advice or "get a fresh copy (in the cache folder: delete the file and it is downloaded again)"
    return DataUnavailable(f"{path}: {found}; expected {expected}; {advice}")


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, unpacked if its name ends in .gz; damaged ones raise `DataUnavailable`."""
    packed = path.suffix == ".gz"
    try:
        data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    except EOFError as fault:
        size = path.stat().st_size
        raise damaged(path, f"its gzip data break off after {size:,} bytes", "a complete gzip file") from fault
    except (gzip.BadGzipFile, zlib.error) as fault:
        raise damaged(path, f"it is no sound gzip file ({fault})", "a gzip file, as the name says") from fault
    except OSError as fault:
        raise damaged(
            path, f"it cannot be read ({fault.strerror})", "a readable file", "check its permissions"
        ) from fault
    if not packed and data[:2] == b"\x1f\x8b":
        raise damaged(path, "it is a gzip file", "an unpacked file by its name", f"rename it to {path.name}.gz")
    return data
