"""The CIFAR binary format, every fault in it, and the three forms in which the cars and trucks may come."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fastconv.errors import DataUnavailable
from fastconv.nn.datasets import car_truck, cifar
from fastconv.nn.datasets.cifar import CIFAR10, RECORD, parse_records
from fastconv.nn.datasets.sources import CIFAR_ARCHIVE, CIFAR_BATCHES

LABELS = (("labels", (1, 9)),)


def records(labels, seed: int = 0) -> bytes:
    """Records of random pixels with these labels."""
    data = np.random.default_rng(seed).integers(0, 256, (len(labels), RECORD), np.uint8)
    data[:, 0] = labels
    return data.tobytes()


def pixels(data: bytes) -> np.ndarray:
    """The images of a file's bytes, pixel by pixel from the description of the format."""
    out = np.empty((len(data) // RECORD, 32, 32, 3), np.uint8)
    for n, i, j, c in np.ndindex(out.shape):
        out[n, i, j, c] = data[n * RECORD + 1 + c * 1024 + i * 32 + j]
    return out


def fault(call, *words: str) -> None:
    with pytest.raises(DataUnavailable) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


BATCHES = {name: records(np.arange(12) % 10, seed) for seed, name in enumerate(CIFAR_BATCHES)}


def chosen(names) -> tuple[np.ndarray, np.ndarray]:
    """Cars and trucks of batches in which each label follows the one before: records 1, 9 and 11 of each."""
    images = np.concatenate([pixels(BATCHES[name])[[1, 9, 11]] for name in names])
    return images, np.tile(np.array([0, 1, 0], np.uint8), len(names))


def check(loaded) -> None:
    for (x, y), names in zip(loaded, (CIFAR_BATCHES[:5], CIFAR_BATCHES[5:]), strict=True):
        images, labels = chosen(names)
        assert x.dtype == y.dtype == np.uint8 and x.flags.c_contiguous and x.flags.writeable
        assert np.array_equal(x, images) and np.array_equal(y, labels)


def archive(contents: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, data in contents.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("folder", ["", "cifar10"])
def test_car_truck_files(tmp_path, packed, folder):
    place = tmp_path / folder
    place.mkdir(exist_ok=True)
    for name, labels in (("train", [1, 9, 9, 1]), ("test", [9, 1])):
        data = records(labels, len(labels))
        (place / f"car_truck_{name}.bin{'.gz' if packed else ''}").write_bytes(gzip.compress(data) if packed else data)
    (x_train, y_train), (x_test, y_test) = car_truck.load_data(tmp_path)
    assert np.array_equal(x_train, pixels(records([1, 9, 9, 1], 4))) and y_train.tolist() == [0, 1, 1, 0]
    assert np.array_equal(x_test, pixels(records([9, 1], 2))) and y_test.tolist() == [1, 0]
    assert car_truck.CLASS_NAMES[y_test[0]] == "truck" and y_test.dtype == np.uint8


@pytest.mark.parametrize("folder", ["", "cifar10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin"])
def test_official_batches(tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for name, data in BATCHES.items():
        (tmp_path / folder / name).write_bytes(data)
    check(car_truck.load_data(tmp_path))
    (tmp_path / folder / CIFAR_BATCHES[2]).unlink()
    fault(lambda: car_truck.load_data(tmp_path), f"lacks {CIFAR_BATCHES[2]};", CIFAR_ARCHIVE, "car_truck_train.bin.gz")


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_official_archive_in_any_order(tmp_path, mode):
    shuffled = {name: BATCHES[name] for name in reversed(CIFAR_BATCHES)} | {"readme.html": b"text"}
    name = CIFAR_ARCHIVE if mode == "w:gz" else CIFAR_ARCHIVE.removesuffix(".gz")
    (tmp_path / name).write_bytes(archive(shuffled, mode))
    check(car_truck.load_data(tmp_path))


def test_damaged_archives(tmp_path):
    path = tmp_path / CIFAR_ARCHIVE
    whole = archive(BATCHES)
    for data, words in (
        (whole[:-5000], ["gzip data break off"]),
        (whole[:-8] + b"\0\0\0\0" + whole[-4:], ["no sound gzip file", "CRC"]),
        (gzip.compress(b"no archive" * 100), ["no sound tar archive"]),
        (gzip.compress(gzip.decompress(whole)[:-80_000]), ["no sound tar archive"]),
        (
            archive({name: BATCHES[name] for name in CIFAR_BATCHES[1:]}),
            ["it lacks data_batch_1.bin", "expected all of"],
        ),
        (archive(BATCHES | {"data_batch_3.bin": b"\1" * 5000}), ["data_batch_3.bin: it has 5,000 bytes"]),
    ):
        path.write_bytes(data)
        fault(lambda: car_truck.load_data(tmp_path), str(path), *words)


def with_member(change) -> bytes:
    """The archive, its third batch changed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.GNU_FORMAT) as tar:
        for name, data in BATCHES.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            if name == CIFAR_BATCHES[2]:
                change(member)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def link_to(target: str, kind: bytes):
    def change(member):
        member.type, member.linkname, member.size = kind, target, 0

    return change


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["data_batch_1.bin", "data_batch_3.bin", "/etc/passwd", "nothing"])
def test_links_in_archives(tmp_path, kind, target):
    (tmp_path / CIFAR_ARCHIVE).write_bytes(with_member(link_to(target, kind)))
    fault(lambda: car_truck.load_data(tmp_path), "data_batch_3.bin: it is a link or something else")


def test_other_members_that_are_no_files(tmp_path):
    path = tmp_path / CIFAR_ARCHIVE
    for kind in (tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
        path.write_bytes(with_member(link_to("", kind)))
        fault(lambda: car_truck.load_data(tmp_path), "data_batch_3.bin: it is a link or something else")
    twice = with_member(lambda member: setattr(member, "name", "cifar-10-batches-bin/data_batch_2.bin"))
    path.write_bytes(twice)
    fault(lambda: car_truck.load_data(tmp_path), "data_batch_2.bin: it is there twice")


def test_sparse_members_and_sizes_that_lie(tmp_path):
    """A GNU sparse member of 8 GiB with nothing in it; a size below zero, with which tarfile may go in circles."""
    path = tmp_path / CIFAR_ARCHIVE
    plain = gzip.decompress(archive(BATCHES))
    at = 0

    def changed(kind: bytes, size: bytes, real: bytes = b"") -> bytes:
        header = bytearray(plain[at : at + 512])
        header[124:136], header[156:157] = size, kind
        if real:
            header[257:265], header[483:495] = b"ustar  \0", real
            header[386:482] = bytes(96)
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        return gzip.compress(plain[:at] + bytes(header) + plain[at + 512 :])

    path.write_bytes(changed(b"S", b"00000000000\0", b"\x80" + (8 << 30).to_bytes(11, "big")))
    fault(lambda: car_truck.load_data(tmp_path), CIFAR_ARCHIVE)
    path.write_bytes(changed(b"0", b"\xff" * 10 + b"\xfe\x00"))
    fault(lambda: car_truck.load_data(tmp_path), CIFAR_ARCHIVE)
    path.write_bytes(changed(b"0", b"\x80" + (8 << 30).to_bytes(11, "big")))
    fault(lambda: car_truck.load_data(tmp_path), CIFAR_ARCHIVE)


def test_bombs(tmp_path, monkeypatch):
    assert 6 * 10_000 * RECORD + 1_000_000 < cifar.MOST < 1 << 29  # what is there, and what is reasonable
    monkeypatch.setattr(cifar, "MOST", 1 << 20)
    for name in ("car_truck_train.bin.gz", "car_truck_test.bin.gz", CIFAR_ARCHIVE):
        (tmp_path / name).write_bytes(gzip.compress(bytes(100 << 20), 1))
    tracemalloc.start()
    try:
        fault(lambda: car_truck.load_data(tmp_path), "car_truck_train.bin.gz: it holds more than 1,048,576 bytes")
        (tmp_path / "car_truck_train.bin.gz").unlink()
        fault(lambda: car_truck.load_data(tmp_path), f"{CIFAR_ARCHIVE}: it holds more than 1,048,576 bytes")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["0 bytes", "at least one"]),
        (b"\1", ["1 bytes: 0 records and 1 bytes", "3073"]),
        (records([1, 9])[:-1], ["6,145 bytes: 1 records and 3072 bytes"]),
        (records([1, 9]) + b"\1", ["2 records and 1 bytes"]),
        (records([1, 9, 3, 1]), ["label 3 in record 2", "labels among 1, 9"]),
    ],
)
def test_faults(data, words):
    fault(lambda: parse_records(data, LABELS, Path("some/file")), "some/file: ", *words)


def test_labels_of_official_batches_and_gzip_faults(tmp_path):
    fault(lambda: parse_records(records([0, 10]), CIFAR10, Path("f")), "label 10 in record 1", "from 0 to 9")
    path = tmp_path / "car_truck_train.bin.gz"
    path.write_bytes(gzip.compress(records([1, 9]))[:-100])
    (tmp_path / "car_truck_test.bin.gz").write_bytes(gzip.compress(records([1, 9])))
    fault(lambda: car_truck.load_data(tmp_path), str(path), "break off")
    path.unlink()
    for name, data in BATCHES.items():
        (tmp_path / name).write_bytes(data if name != "test_batch.bin" else records([0, 2, 3]))
    fault(lambda: car_truck.load_data(tmp_path), "test_batch.bin: no image has a label among 1, 9")
