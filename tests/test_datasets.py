"""IDX files, every fault in them, sets of four, and where they are looked for."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from data_files import fault, idx_bytes, nowhere, same, tiny_set, write_set

from fastconv import config
from fastconv.errors import DataUnavailable
from fastconv.nn.datasets import fashion_mnist, idx, mnist, npz
from fastconv.nn.datasets.idx import parse_idx, read_idx
from fastconv.nn.datasets.sources import IDX_FILES

__all__ = ["nowhere"]  # a fixture for every test here

RNG = np.random.default_rng(7)


# --- IDX ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("shape", [(5,), (3, 28, 28), (2, 3, 4, 5)])
def test_idx_is_read_back(tmp_path, shape, packed):
    array = RNG.integers(0, 256, shape, np.uint8)
    path = tmp_path / ("a.gz" if packed else "a")
    path.write_bytes(gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))
    out = read_idx(path, array.ndim)
    assert out.dtype == np.uint8 and out.shape == shape and np.array_equal(out, array)
    assert out.flags.writeable and out.flags.c_contiguous


GOOD = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["starts with nothing", "IDX file (00 00 08 03)"]),
        (b"\0\0\x08", ["starts with 00 00 08;"]),
        (b"\x50\x4b" + GOOD[2:], ["starts with 50 4b 08 03"]),
        (b"\x03\x08\0\0" + GOOD[4:], ["starts with 03 08 00 00"]),
        (b"<!doctype html>", ["starts with 3c 21 64 6f"]),
        (b"\0\0\x07\x03" + GOOD[4:], ["starts with 00 00 07 03"]),
        (b"\0\0\x0d\x03" + GOOD[4:], ["32-bit floats (type 0x0d)", "unsigned bytes (type 0x08)"]),
        (b"\0\0\x08\x01" + GOOD[4:], ["1 axes (labels)", "3 (images)", "which file has which name"]),
        (b"\0\0\x08\x07" + GOOD[4:], ["7 axes (something else)"]),
        (GOOD[:10], ["inside its header, after 10 bytes", "16 bytes"]),
        (GOOD[:16], ["16 bytes, 24 too few", "40 for the shape (2, 3, 4)"]),
        (GOOD[:-1], ["39 bytes, 1 too few", "40 for the shape (2, 3, 4)"]),
        (GOOD + b"\0", ["41 bytes, 1 too many"]),
        (GOOD[:4] + b"\0" * 4 + b"\xff" * 8, ["the shape (0, 4294967295, 4294967295): nothing"]),
        (GOOD[:4] + b"\xff" * 12 + GOOD[16:], ["too few", "(4294967295, 4294967295, 4294967295)"]),
    ],
)
def test_idx_faults(data, words):
    message = fault(lambda: parse_idx(data, 3, Path("some/file")), *words)
    assert message.startswith("some/file: ") and "expected" in message and "\n" not in message


@pytest.mark.parametrize("keep", [1, 5, 10, 12, 20, -9, -8, -4, -1])
def test_truncated_gzip(tmp_path, keep):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(GOOD)[:keep])
    fault(lambda: read_idx(path, 3), str(path), "gzip", "get a fresh copy")


def test_every_flipped_byte_of_a_gzip_file_is_noticed_or_harmless(tmp_path):
    array = RNG.integers(0, 256, (2, 5, 5), np.uint8)
    packed = gzip.compress(idx_bytes(array))
    path = tmp_path / "images.gz"
    for at in range(len(packed)):
        path.write_bytes(packed[:at] + bytes([packed[at] ^ 0x55]) + packed[at + 1 :])
        try:
            assert np.array_equal(read_idx(path, 3), array)  # the time and the like are not checked
        except DataUnavailable as found:
            assert str(path) in str(found)


def test_gzip_with_trailing_bytes(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(GOOD) + b"more")
    fault(lambda: read_idx(path, 3), "no sound gzip file")
    path.write_bytes(gzip.compress(GOOD) * 2)  # two members are legal gzip, but twice the data
    fault(lambda: read_idx(path, 3), "40 too many")


@pytest.mark.parametrize(
    ("shape", "zeros", "words"),
    [
        ((2, 3, 4), 24 << 20, ["40 for the shape", "too many"]),  # a small set, and then megabytes
        ((2**32 - 1,) * 3, 100, ["the shape (4294967295, 4294967295, 4294967295): 79,228,", "at most"]),
        ((60_000, 28, 28), 100, ["the shape (60000, 28, 28): 47,040,016 bytes", "at most"]),
        ((5_000_000, 28, 28), 8 << 20, ["at most 2,147,483,648 in a gzip file"]),  # padded to be large enough
    ],
)
def test_gzip_bombs_are_not_unpacked(tmp_path, shape, zeros, words):
    path = tmp_path / "images.gz"
    with gzip.open(path, "wb", compresslevel=0 if zeros == 8 << 20 else 9) as file:
        file.write(idx_bytes(np.zeros(1, np.uint8))[:3] + bytes([3]) + struct.pack(">3I", *shape))
        file.write(bytes(zeros))
    tracemalloc.start()
    try:
        fault(lambda: read_idx(path, 3), str(path), *words)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_an_unpacked_file_is_compared_with_its_header_before_it_is_read(tmp_path):
    path = tmp_path / "images"
    with path.open("wb") as file:
        file.write(GOOD)
        file.truncate(1 << 40)  # no room is taken on the disk
    fault(lambda: read_idx(path, 3), "1,099,511,627,736 too many")


def test_the_content_says_whether_a_file_is_packed(tmp_path):
    """Unpackers leave the .gz, browsers unpack and leave it, too."""
    (tmp_path / "plain.gz").write_bytes(GOOD)
    (tmp_path / "packed").write_bytes(gzip.compress(GOOD))
    for name in ("plain.gz", "packed"):
        assert np.array_equal(read_idx(tmp_path / name, 3), parse_idx(GOOD, 3, Path("good")))


def test_unreadable_files(tmp_path):
    fault(lambda: read_idx(tmp_path / "absent", 3), "cannot be read (No such file or directory)")
    (tmp_path / "folder").mkdir()
    fault(lambda: read_idx(tmp_path / "folder", 3), "cannot be read")
    if os.name == "posix" and os.geteuid():
        (tmp_path / "packed").touch(0)
        fault(lambda: read_idx(tmp_path / "packed", 3), "cannot be read (Permission denied)")


# --- sets of four IDX files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [fashion_mnist, mnist])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_set_in_a_given_folder(tmp_path, module, packed, nested):
    write_set(tmp_path / module.SOURCE.folder if nested else tmp_path, packed=packed)
    assert same(module.load_data(tmp_path), tiny_set())
    assert same(module.load_data(data_dir=str(tmp_path)), tiny_set())


NAMES = {
    "dotted": lambda name: name.replace("-idx", ".idx").removesuffix(".gz"),
    "dotted, packed": lambda name: name.replace("-idx", ".idx"),
    "a folder per file": lambda name: f"{name.removesuffix('.gz')}/{name.removesuffix('.gz')}",
    "a folder per file, dotted": lambda name: f"{name[:-3]}/{name[:-3].replace('-idx', '.idx')}",
}


@pytest.mark.parametrize("called", NAMES)
@pytest.mark.parametrize("folder", ["", "MNIST/raw", "raw", "mnist"])
def test_names_as_others_ship_them(tmp_path, called, folder):
    for name, array in tiny_set().items():
        path = tmp_path / folder / NAMES[called](name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(idx_bytes(array)) if called.endswith("packed") else idx_bytes(array))
    assert same(mnist.load_data(tmp_path), tiny_set())


def test_the_folders_of_torchvision(tmp_path):
    write_set(tmp_path / "MNIST" / "raw", tiny_set(seed=1), packed=False)
    write_set(tmp_path / "FashionMNIST" / "raw", tiny_set(seed=2), packed=False)
    assert same(mnist.load_data(tmp_path), tiny_set(seed=1))
    assert same(fashion_mnist.load_data(tmp_path), tiny_set(seed=2))


def test_npz_as_keras_ships_it(tmp_path):
    arrays = dict(zip(npz.NAMES, tiny_set().values(), strict=True))
    path = tmp_path / "mnist.npz"
    np.savez(path, **arrays)
    assert same(mnist.load_data(tmp_path), tiny_set())
    np.savez_compressed(path, **{**arrays, "y_test": arrays["y_test"][:, None].astype(np.int64), "more": np.zeros(3)})
    assert same(mnist.load_data(tmp_path), tiny_set())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"y_train": None}, ["it lacks y_train", "x_train, y_train, x_test, y_test"]),
        ({"x_train": np.zeros((6, 28, 28))}, ["x_train is float64 of shape (6, 28, 28)", "uint8 of shape (N, 28, 28)"]),
        ({"x_test": np.zeros((4, 28, 27), np.uint8)}, ["x_test is uint8 of shape (4, 28, 27)"]),
        ({"x_test": np.zeros((0, 28, 28), np.uint8)}, ["x_test is uint8 of shape (0, 28, 28)"]),
        ({"y_test": np.zeros(5, np.uint8)}, ["y_test is uint8 of shape (5,)", "integers of shape (4,)"]),
        ({"y_test": np.zeros(4)}, ["y_test is float64"]),
        ({"y_test": np.array([0, 9, 10, 1])}, ["label 10 at position 2", "from 0 to 9"]),
        ({"y_test": np.array([0, 9, 266, 1])}, ["label 266 at position 2"]),
        ({"y_test": np.array([0, -1, 3, 1])}, ["label -1 at position 1 of y_test"]),
        ({"y_test": np.array([0, 1, 2, "a"], object)}, ["holds objects"]),
    ],
)
def test_npz_faults(tmp_path, change, words):
    arrays = dict(zip(npz.NAMES, tiny_set().values(), strict=True)) | change
    np.savez(tmp_path / "mnist.npz", **{name: array for name, array in arrays.items() if array is not None})
    fault(lambda: mnist.load_data(tmp_path), "mnist.npz", *words)


@pytest.mark.parametrize("data", [b"", b"PK", b"no archive", bytes(100)])
def test_npz_files_that_are_none(tmp_path, data):
    (tmp_path / "mnist.npz").write_bytes(data)
    fault(lambda: mnist.load_data(tmp_path), "mnist.npz", "it is no sound .npz file")


def test_packed_and_unpacked_files_may_be_mixed(tmp_path):
    write_set(tmp_path)
    path = tmp_path / IDX_FILES[0]
    (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    assert same(mnist.load_data(tmp_path), tiny_set())


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        (IDX_FILES[1], np.zeros(5, np.uint8), ["5 labels for 6 images", IDX_FILES[0], "one per image"]),
        (IDX_FILES[2], np.zeros((3, 28, 28), np.uint8), ["4 labels for 3 images"]),
        (IDX_FILES[1], np.array([0, 9, 1, 10, 2, 11], np.uint8), ["label 10 at position 3", "from 0 to 9"]),
        (IDX_FILES[3], np.array([0, 1, 2, 255], np.uint8), ["label 255 at position 3"]),
        (IDX_FILES[0], np.zeros((6, 28, 27), np.uint8), ["28x27", "28x28"]),
        (IDX_FILES[0], np.zeros(6, np.uint8), ["1 axes (labels)"]),
        (IDX_FILES[3], np.zeros((4, 28, 28), np.uint8), ["3 axes (images)"]),
    ],
)
def test_files_that_do_not_fit_together(tmp_path, name, array, words):
    write_set(tmp_path, tiny_set() | {name: array})
    fault(lambda: fashion_mnist.load_data(tmp_path), str(tmp_path), *words)


def test_empty_set(tmp_path):
    write_set(tmp_path, tiny_set(n_test=0))
    fault(lambda: mnist.load_data(tmp_path), "shape (0, 28, 28): nothing")


def test_files_of_another_set_are_noticed_by_content(tmp_path, monkeypatch):
    arrays = tiny_set()
    known = {hashlib.md5(idx_bytes(a)).hexdigest(): ("MNIST", name) for name, a in arrays.items()}
    monkeypatch.setattr(idx, "KNOWN_CONTENT", known)
    write_set(tmp_path / "as-they-came", arrays)
    write_set(tmp_path / "unpacked", arrays, packed=False)
    for folder in ("as-they-came", "unpacked"):
        words = [f"it is {IDX_FILES[0]} of MNIST", f"expected {IDX_FILES[0]} of Fashion-MNIST"]
        fault(lambda folder=folder: fashion_mnist.load_data(tmp_path / folder), *words)
    assert same(mnist.load_data(tmp_path / "as-they-came"), arrays)
    swapped = {**arrays, IDX_FILES[0]: arrays[IDX_FILES[2]], IDX_FILES[2]: arrays[IDX_FILES[0]]}
    write_set(tmp_path / "swapped", swapped)
    fault(lambda: mnist.load_data(tmp_path / "swapped"), f"it is {IDX_FILES[2]} of MNIST")


# --- where the files are looked for ------------------------------------------------------------------------------


def test_search_order(nowhere, monkeypatch):
    sets = {place: tiny_set(seed=seed) for seed, place in enumerate(("given", "variable", "cache"), start=1)}
    cache = write_set(config.cache_dir() / "datasets" / "mnist", sets["cache"])
    assert same(mnist.load_data(), sets["cache"])
    write_set(nowhere / "variable" / "mnist", sets["variable"])
    monkeypatch.setenv("FASTCONV_DATA", str(nowhere / "variable"))
    assert same(mnist.load_data(), sets["variable"])
    write_set(nowhere / "given", sets["given"])
    assert same(mnist.load_data(nowhere / "given"), sets["given"])
    (nowhere / "variable" / "mnist" / IDX_FILES[3]).unlink()  # an incomplete set does not count
    assert same(mnist.load_data(), sets["cache"])
    (cache / IDX_FILES[1]).unlink()
    fault(mnist.load_data, f"variable lacks {IDX_FILES[3]}", f"datasets lacks {IDX_FILES[1]}")


def test_a_given_folder_is_the_only_one_searched(nowhere, monkeypatch):
    write_set(nowhere / "variable" / "mnist")
    monkeypatch.setenv("FASTCONV_DATA", str(nowhere / "variable"))
    given = nowhere / "given"
    fault(lambda: mnist.load_data(given), f"data_dir {given} does not exist", *IDX_FILES, "correct data_dir")
    given.mkdir()
    fault(lambda: mnist.load_data(given), "holds none of its files")
    write_set(given)
    (given / IDX_FILES[2]).unlink()
    fault(lambda: mnist.load_data(given), f"lacks {IDX_FILES[2]};")
    fault(lambda: mnist.load_data(given / IDX_FILES[0]), "is not a folder")


def test_damaged_files_are_not_passed_over(nowhere, monkeypatch):
    write_set(config.cache_dir() / "datasets" / "mnist")
    path = write_set(nowhere / "variable") / IDX_FILES[0]
    path.write_bytes(path.read_bytes()[:-20])
    monkeypatch.setenv("FASTCONV_DATA", str(nowhere / "variable"))
    fault(mnist.load_data, str(path), "break off")


def test_the_variable_may_be_set_after_the_import(monkeypatch):
    assert config.data_dir() is None
    monkeypatch.setenv("FASTCONV_DATA", "")
    assert config.data_dir() is None
    monkeypatch.setenv("FASTCONV_DATA", "~/somewhere")
    assert config.data_dir() == Path.home() / "somewhere"
