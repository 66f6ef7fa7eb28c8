"""CIFAR-10 and CIFAR-100 in the formats they are spread in, and pickles that lie."""

from __future__ import annotations

import gzip
import io
import pickle
import pickletools
import tarfile
from pathlib import Path

import numpy as np
import pytest
from data_files import fault, nowhere

from fastconv.errors import InvalidArgument
from fastconv.nn.datasets import car_truck, cifar10, cifar100
from fastconv.nn.datasets.pickled import read_dictionary
from fastconv.nn.datasets.sources import CIFAR_BATCHES, CIFAR_PICKLES

__all__ = ["nowhere"]  # a fixture for every test here

RNG = np.random.default_rng(5)
PIXELS = {name: RNG.integers(0, 256, (4, 3072), np.uint8) for name in (*CIFAR_BATCHES, "train.bin", "test.bin")}
LABELS = {name: [(2 * i + j) % 10 for j in range(4)] for i, name in enumerate(CIFAR_BATCHES)}


def old_pickle(data: np.ndarray, **lists: list[int]) -> bytes:
    """A batch as Python 2 and its NumPy wrote it, put together from the opcodes; texts are its byte strings."""

    def text(value: bytes) -> bytes:
        return (
            b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + len(value).to_bytes(4, "little") + value
        )

    def number(value: int) -> bytes:
        return b"M" + value.to_bytes(2, "little")

    def pair(*values: int) -> bytes:
        return b"".join(number(v) for v in values) + b"\x86"

    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R("
    kind = (
        b"cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\x00K\x01\x87R(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    array += b"K\x01" + pair(*data.shape) + kind + b"\x89" + text(data.tobytes()) + b"tb"
    items = text(b"data") + array
    for name, values in lists.items():
        items += text(name.encode()) + b"](" + b"".join(number(v) for v in values) + b"e"
    return b"\x80\x02}(" + items + b"u."


def images(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def binary(name: str, *labels: list[int]) -> bytes:
    return np.concatenate([np.array(labels, np.uint8).T, PIXELS[name]], axis=1).tobytes()


def tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(f"folder/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def ten(form: str) -> dict[str, bytes]:
    """The files of CIFAR-10 in a form, by their paths."""
    binaries = {name: binary(name, LABELS[name]) for name in CIFAR_BATCHES}
    pickles = {name: old_pickle(PIXELS[f"{name}.bin"], labels=LABELS[f"{name}.bin"]) for name in CIFAR_PICKLES}
    modern = {
        name: pickle.dumps({"data": PIXELS[f"{name}.bin"], "labels": LABELS[f"{name}.bin"]}, protocol)
        for name, protocol in zip(CIFAR_PICKLES, (0, 1, 2, 3, 4, 5), strict=True)
    }
    split = [np.concatenate([PIXELS[n] for n in names]) for names in (CIFAR_BATCHES[:5], CIFAR_BATCHES[5:])]
    y = [np.concatenate([LABELS[n] for n in names])[:, None] for names in (CIFAR_BATCHES[:5], CIFAR_BATCHES[5:])]
    npz = io.BytesIO()
    np.savez(npz, x_train=images(split[0]), y_train=y[0], x_test=images(split[1]), y_test=y[1])
    return {
        "binary": {f"cifar-10-batches-bin/{name}": data for name, data in binaries.items()},
        "pickles": {f"cifar-10-batches-py/{name}": data for name, data in pickles.items()},
        "pickles of Python 3": modern,
        "binary archive": {"cifar-10-binary.tar.gz": tar(binaries)},
        "archive of pickles": {"cifar10/cifar-10-python.tar.gz": tar({**pickles, "batches.meta": b""})},
        "npz": {"cifar10.npz": npz.getvalue()},
    }[form]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


FORMS = ("binary", "pickles", "pickles of Python 3", "binary archive", "archive of pickles", "npz")


@pytest.mark.parametrize("form", FORMS)
def test_cifar10(form, tmp_path):
    write(tmp_path, ten(form))
    for (x, y), names in zip(cifar10.load_data(tmp_path), (CIFAR_BATCHES[:5], CIFAR_BATCHES[5:]), strict=True):
        assert x.dtype == y.dtype == np.uint8 and x.flags.c_contiguous
        assert np.array_equal(x, images(np.concatenate([PIXELS[n] for n in names])))
        assert y.shape == (4 * len(names), 1) and y[:, 0].tolist() == sum((LABELS[n] for n in names), [])
    (x, y), (x_test, y_test) = car_truck.load_data(tmp_path)
    labels = np.concatenate([LABELS[n] for n in CIFAR_BATCHES[:5]])
    assert y.tolist() == [(1, 9).index(v) for v in labels if v in (1, 9)] and len(x) == len(y)
    assert len(x_test) == len(y_test) == sum(v in (1, 9) for v in LABELS[CIFAR_BATCHES[5]])


@pytest.mark.parametrize("form", ["binary", "pickles", "binary archive", "archive of pickles"])
def test_cifar100(form, tmp_path):
    coarse, fine = [0, 19, 3, 4], [99, 0, 50, 7]
    binaries = {name: binary(name, coarse, fine) for name in ("train.bin", "test.bin")}
    pickles = {
        name: old_pickle(PIXELS[f"{name}.bin"], coarse_labels=coarse, fine_labels=fine) for name in ("train", "test")
    }
    files = {
        "binary": {f"cifar-100-binary/{name}": data for name, data in binaries.items()},
        "pickles": {f"cifar100/cifar-100-python/{name}": data for name, data in pickles.items()},
        "binary archive": {"cifar-100-binary.tar.gz": tar(binaries)},
        "archive of pickles": {"cifar-100-python.tar.gz": tar(pickles)},
    }
    write(tmp_path, files[form])
    for mode, labels in (("fine", fine), ("coarse", coarse)):
        for (x, y), name in zip(cifar100.load_data(mode, tmp_path), ("train.bin", "test.bin"), strict=True):
            assert np.array_equal(x, images(PIXELS[name])) and y.tolist() == [[v] for v in labels]
    with pytest.raises(InvalidArgument, match="did you mean 'fine'"):
        cifar100.load_data("fin", tmp_path)


def test_names_of_classes():
    assert len(set(cifar10.CLASS_NAMES)) == 10 and len(set(cifar100.COARSE_NAMES)) == 20
    assert len(set(cifar100.CLASS_NAMES)) == 100
    for names in (cifar10.CLASS_NAMES, cifar100.CLASS_NAMES, cifar100.COARSE_NAMES):
        assert list(names) == sorted(names)  # as the labels are numbered


DATA = PIXELS["train.bin"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (old_pickle(DATA), ["lacks labels"]),
        (old_pickle(DATA, labels=[1, 2, 3]), ["its labels are 3 of them", "a list of 4, one per image"]),
        (old_pickle(DATA, labels=[1, 2, 10, 3]), ["label 10 in record 2", "from 0 to 9"]),
        (old_pickle(DATA[:, :-1], labels=[0] * 4), ["its data are uint8 of shape (4, 3071)"]),
        (pickle.dumps({"data": [1], "labels": [1]}), ["its data are no array"]),
        (pickle.dumps({"data": DATA, "labels": 3}), ["its labels are no list"]),
        (pickle.dumps({"data": DATA, "labels": [0, 1, 2, True]}), ["label True in record 3"]),
        (pickle.dumps({"data": DATA.astype(np.int16), "labels": [0] * 4}), ["not one of bytes"]),
        (pickle.dumps([1, 2]), ["it holds no dictionary"]),
        (pickle.dumps({1: 2}), ["its keys are no text"]),
        (b"", ["no sound pickle"]),
        (b"no pickle at all", ["no sound pickle"]),
        (old_pickle(DATA, labels=[0] * 4)[:-1], ["no sound pickle"]),
    ],
)
def test_damaged_pickles(data, words, tmp_path):
    write(tmp_path, {**ten("pickles"), "cifar-10-batches-py/data_batch_2": data})
    fault(lambda: cifar10.load_data(tmp_path), "data_batch_2: ", *words)


class Evil:
    def __init__(self, function, *given):
        self.call = function, given

    def __reduce__(self):
        return self.call


def evil_calls():
    import os
    import subprocess

    yield Evil(os.system, "touch was_here")
    yield Evil(subprocess.call, ["touch", "was_here"])
    yield Evil(eval, "open('was_here', 'w')")
    yield Evil(exec, "open('was_here', 'w')")
    yield Evil(getattr, "text", "upper")
    yield Evil(np.load, "was_here")
    yield Evil(np.zeros, 1 << 40)
    yield Evil(bytearray, 1 << 40)
    yield np.array([Evil(os.system, "touch was_here")], object)


def test_no_code_of_a_pickle_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for thing in evil_calls():
            for held in (thing, {"data": thing}, {"data": DATA, "labels": [thing]}):
                data = pickle.dumps(held, protocol)
                fault(lambda data=data: read_dictionary(data, Path("some/file")), "some/file: it is no sound pickle")
        objects = pickle.dumps({"data": np.zeros(3, object)}, protocol)
        fault(lambda data=objects: read_dictionary(data, Path("f")), "one of its arrays is not one of bytes")
    assert not list(tmp_path.iterdir())


def test_pickles_cannot_ask_for_much_memory():
    """A place far away in the unpickler's memory, an array of 2**60 bytes, texts that are longer than the file."""
    import tracemalloc

    huge = (1 << 60).to_bytes(8, "little")
    bombs = [
        b"\x80\x02}r\xff\xff\xff\x7f.",
        b"\x80\x02}p2000000000\n.",
        old_pickle(DATA, labels=[0]).replace(b"M\x04\x00M\x00\x0c\x86", b"\x8a\x08" + huge + b"M\x00\x0c\x86"),
        b"\x80\x04\x8e" + huge + b"abc.",
        b"\x80\x04\x8d" + huge + b"abc.",
        b"\x80\x04\x95" + huge + b"}.",
        b"(" * 10_000,
        b"(" * 10_000 + b"t" * 10_000 + b".",
    ]
    tracemalloc.start()
    try:
        for data in bombs:
            fault(lambda data=data: read_dictionary(data, Path("f")), "f: it is no sound pickle")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_every_flipped_byte_of_a_pickle_is_noticed_or_harmless():
    data = pickletools.optimize(pickle.dumps({"data": DATA[:1, :40], "labels": [1, 2, 3]}, 2))
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]
        try:
            assert type(read_dictionary(changed, Path("f"))) is dict
        except OSError as found:
            assert "f: it is no sound pickle" in str(found)


def test_damaged_archives_of_pickles(tmp_path):
    pickles = {name: old_pickle(PIXELS[f"{name}.bin"], labels=LABELS[f"{name}.bin"]) for name in CIFAR_PICKLES}
    path = tmp_path / "cifar-10-python.tar.gz"
    for data, words in (
        (tar({name: pickles[name] for name in CIFAR_PICKLES[1:]}), ["it lacks data_batch_1"]),
        (
            tar({**pickles, "test_batch": b"cos\nsystem\n(S'touch was_here'\ntR."}),
            ["test_batch: ", "it calls os.system"],
        ),
        (tar(pickles)[:-2000], ["gzip data break off"]),
        (gzip.compress(b"no archive" * 100), ["no sound tar archive"]),
    ):
        path.write_bytes(data)
        fault(lambda: cifar10.load_data(tmp_path), str(path), *words)
