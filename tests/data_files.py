"""Small data sets on disk for the tests: IDX files, sets of four of them, and the fixture of a machine without data."""

from __future__ import annotations

import dataclasses
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from fastconv import config
from fastconv.errors import DataUnavailable
from fastconv.nn.datasets import download
from fastconv.nn.datasets.sources import IDX_FILES

UNREACHABLE = download.unreachable


def idx_bytes(array: np.ndarray, kind: int = 0x08) -> bytes:
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def tiny_set(n_train: int = 6, n_test: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = []
    for n in (n_train, n_test):
        arrays += [rng.integers(0, 256, (n, 28, 28), np.uint8), rng.integers(0, 10, n, np.uint8)]
    return dict(zip(IDX_FILES, arrays, strict=True))


def write_set(folder: Path, arrays: dict[str, np.ndarray] | None = None, packed: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (arrays or tiny_set()).items():
        data = idx_bytes(array)
        path = folder / (name if packed else name.removesuffix(".gz"))
        path.write_bytes(gzip.compress(data) if packed else data)
    return folder


def same(loaded, arrays: dict[str, np.ndarray]) -> bool:
    (x_train, y_train), (x_test, y_test) = loaded
    pairs = zip((x_train, y_train, x_test, y_test), arrays.values(), strict=True)
    return all(a.dtype == np.uint8 and np.array_equal(a, b) for a, b in pairs)


def fault(call, *words: str) -> str:
    """Call, expect one DataUnavailable that says all of `words`, and return what it says."""
    with pytest.raises(DataUnavailable) as caught:
        call()
    message = str(caught.value)
    for word in words:
        assert word in message
    return message


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No data, an empty cache and no network, whatever the machine has."""
    monkeypatch.delenv("FASTCONV_DATA", raising=False)
    monkeypatch.setattr(config, "settings", dataclasses.replace(config.settings, cache_dir=tmp_path / "cache"))
    monkeypatch.setattr(download, "unreachable", lambda address: "no connection")
    return tmp_path
