"""Weight files and states that say of themselves what is not so: one error, and no memory taken for what they claim."""

import io
import json
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from contextlib import contextmanager

import numpy as np
import pytest

from fastconv import nn as keras
from fastconv.errors import DataUnavailable, FastconvError, InvalidArgument
from fastconv.nn.formats.named import load_arrays

L = keras.layers


def tiny(units=2):
    model = keras.Sequential([L.Dense(8, input_dim=6), L.Dense(units)], seed=1)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    return model


def npy(array=None, header=None, data=b""):
    """The bytes of an .npy file: of an array, or with a header of one's own."""
    if header is None:
        file = io.BytesIO()
        np.save(file, array, allow_pickle=True)
        return file.getvalue()
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + data


def shaped(shape, data=b"", descr="<f4"):
    return npy(header=f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}}}", data=data)


def zipped(members, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive, warnings_off():
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


@contextmanager
def warnings_off():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of two members of one name
        yield


def weights(**changes):
    """The members of a sound file of `tiny`, some of them replaced."""
    arrays = {"dense/kernel": (6, 8), "dense/bias": (8,), "dense_1/kernel": (8, 2), "dense_1/bias": (2,)}
    members = {f"{name}.npy": npy(np.zeros(shape, np.float32)) for name, shape in arrays.items()}
    return list({**members, **changes}.items())


def one(data):
    return weights(**{"dense/bias.npy": data})


def encrypted():
    data = bytearray(zipped(weights()))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    return bytes(data)


def patched(data, signature, offset, form, value):
    """The first record of a kind, with a field of it replaced."""
    data = bytearray(data)
    struct.pack_into(form, data, data.index(signature) + offset, value)
    return bytes(data)


PLAIN = zipped(weights())
NPZ = {
    "shape of 10**12": (zipped(one(shaped((10**12,)))), "its shape is"),
    "shape of 10**30": (zipped(one(shaped((10**30,)))), "shape"),
    "product beyond 64 bits": (zipped(one(shaped((2**40, 2**40)))), "its shape is"),
    "negative shape": (zipped(one(shaped((-8,), bytes(32)))), "shape"),
    "shape of booleans": (zipped(one(shaped((True,), bytes(4)))), None),
    "shape is no tuple": (zipped(one(npy(header="{'descr': '<f4', 'fortran_order': False, 'shape': 8}"))), "header"),
    "header is no literal": (zipped(one(npy(header="__import__('os').abort()"))), "header"),
    "header of brackets": (zipped(one(npy(header="[" * 5000))), "header"),
    "header without end": (zipped(one(npy(header="{'descr': "))), "header"),
    "longest header": (zipped(one(npy(header="{" + " " * 60_000 + "}"))), "header"),
    "too few values": (zipped(one(shaped((8,), bytes(31)))), "its shape is"),
    "too many values": (zipped(one(shaped((8,), bytes(33)))), "its shape is"),
    "empty member": (zipped(one(b"")), "header"),
    "pickle": (zipped(one(npy(np.array([{}], object)))), "objects"),
    "text": (zipped(one(npy(np.array(["a" * 8])))), "not numbers"),
    "structure": (zipped(one(npy(np.zeros(8, "i4,f4")))), "not numbers"),
    "dates": (zipped(one(npy(np.zeros(8, "M8[s]")))), "not numbers"),
    "complex": (zipped(one(npy(np.zeros(8, "c8")))), "not numbers"),
    "many axes": (zipped(one(shaped((1,) * 70, bytes(4)))), "damaged"),
    "no .npy": (zipped([*weights(), ("notes.txt", b"hello")]), "is no .npy file"),
    "two of one name": (zipped([*weights(), ("dense/bias.npy", npy(np.ones(8, np.float32)))]), "two members"),
    "encrypted": (encrypted(), "encrypted"),
    "bzip2": (zipped(weights(), zipfile.ZIP_BZIP2), "packed by method 12"),
    "unknown method": (patched(PLAIN, b"PK\x01\x02", 10, "<H", 99), "packed by method 99"),
    "declared size": (patched(PLAIN, b"PK\x01\x02", 24, "<I", 0xFFFFFFF0), "cannot unpack to 4,294,967,280"),
    "packed size": (patched(PLAIN, b"PK\x01\x02", 20, "<I", 0x7FFFFFF0), "more room than the file"),
    "offset": (patched(PLAIN, b"PK\x01\x02", 42, "<I", 0x7FFFFFF0), "damaged"),
    "checksum": (patched(PLAIN, b"PK\x01\x02", 16, "<I", 1), "CRC"),
    "directory": (patched(PLAIN, b"PK\x05\x06", 16, "<I", 0x7FFFFFF0), "damaged"),
}


def refused(load, path, text=None):
    """One DataUnavailable, of one sentence and bounded length, that names the file; little memory is taken."""
    tracemalloc.start()
    try:
        with pytest.raises(DataUnavailable) as caught:
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert path.name in message and "damaged" in message and len(message) < 500 + len(str(path)) and "\n" not in message
    assert text is None or text in message
    return message


@pytest.mark.parametrize("name", NPZ)
def test_npz_files_that_lie(name, tmp_path):
    data, text = NPZ[name]
    path = tmp_path / "weights.npz"
    path.write_bytes(data)
    model = tiny()
    if name in ("shape of booleans", "many axes"):  # True is 1, and axes of 1 are no lie: but they are not this layer's
        with pytest.raises(InvalidArgument, match=r"has shape \(8,\)"):
            model.load_weights(path)
        return
    before = model.get_weights()
    refused(model.load_weights, path, text)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def bomb(path, count, name="dense/bias.npy"):
    """An .npz file of about a thousandth of the zeros it holds, and nothing in it is a lie."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w", force_zip64=True) as member,
    ):
        member.write(shaped((count,)))
        zeros = bytes(1 << 20)
        for _ in range(count * 4 >> 20):
            member.write(zeros)


def test_zip_bombs_are_not_unpacked(tmp_path):
    """An honest header of 64 MiB in 64 KiB: it is not the model's, and nothing is unpacked to find that out."""
    path = tmp_path / "weights.npz"
    bomb(path, 16 << 20)
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArgument, match="missing in the file"):
            tiny().load_weights(path)
        bomb(path, 16 << 20, "optimizer/0/velocity.npy")
        with zipfile.ZipFile(path, "a") as archive:
            for name, data in weights():
                archive.writestr(f"weights/{name}", data)
        with pytest.raises(DataUnavailable, match=r"its optimizer would take 67,108,864 bytes beside"):
            tiny().load_state(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_sound_files_of_other_writers_are_read(tmp_path):
    path = tmp_path / "weights.npz"
    model = tiny()
    arrays = {
        "dense/kernel": np.ones((6, 8), ">f8", "F"),
        "dense/bias": np.arange(8),
        "dense_1/kernel": np.ones((8, 2)),
    }
    for write in (np.savez, np.savez_compressed):
        write(path, **arrays, **{"dense_1/bias": np.zeros(2, np.float16)})
        model.load_weights(path)
        assert np.array_equal(model.get_weights()[0], np.ones((6, 8)))
        assert np.array_equal(model.get_weights()[1], np.arange(8))
    np.savez(path, empty=np.zeros((0, 3)), scalar=np.array(3))
    loaded = load_arrays(path)
    assert loaded["empty"].shape == (0, 3) and loaded["scalar"] == 3


def tensors(entries, data=b"", length=None):
    index = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(index) if length is None else length) + index + data


def entry(shape, end, dtype="F32", begin=0):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


SAFETENSORS = {
    "empty": b"",
    "seven bytes": b"1234567",
    "header of 2**63": tensors({}, length=2**63),
    "header beyond the end": tensors({}, length=100),
    "shape of 10**12": tensors({"a": entry([10**12], 8)}, bytes(8)),
    "shape of 10**30": tensors({"a": entry([10**30], 8)}, bytes(8)),
    "product beyond 64 bits": tensors({"a": entry([2**62, 2**62], 8)}, bytes(8)),
    "negative shape": tensors({"a": entry([-2], 8)}, bytes(8)),
    "shape of text": tensors({"a": entry("2", 8)}, bytes(8)),
    "offsets beyond the end": tensors({"a": entry([4], 16)}, bytes(8)),
    "offsets of another size": tensors({"a": entry([4], 8)}, bytes(16)),
    "backwards": tensors({"a": entry([2], 0, begin=8)}, bytes(8)),
    "no dtype": tensors({"a": {"shape": [2], "data_offsets": [0, 8]}}, bytes(8)),
    "dtype of nobody": tensors({"a": entry([2], 8, "F7")}, bytes(8)),
    "dtype that NumPy lacks": tensors({"a": entry([4], 8, "BF16")}, bytes(8)),
    "dtype is a list": tensors({"a": entry([2], 8, [])}, bytes(8)),
    "a list": tensors([1, 2]),
    "no JSON": tensors(b"{'a'"),
    "no UTF-8": tensors(b"\xff\xfe{}"),
    "brackets": tensors(b"[" * 100_000),
    "two of one name": tensors(b'{"a":%s,"a":%s}' % ((json.dumps(entry([2], 8)).encode(),) * 2), bytes(8)),
    "an entry is a number": tensors({"a": 3}),
}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_safetensors_files_that_lie(name, tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "weights.safetensors"
    path.write_bytes(SAFETENSORS[name])
    refused(load_arrays, path)
    with pytest.raises(FastconvError):
        tiny().load_weights(path)


def test_safetensors_of_another_model_are_not_read(tmp_path, monkeypatch):
    module = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "weights.safetensors"
    tiny(units=3).save_weights(path)
    monkeypatch.setattr(module, "load", lambda data: pytest.fail("its arrays were read"))
    with pytest.raises(InvalidArgument, match=r"kernel.*\(8, 2\) but .* holds \(8, 3\)"):
        tiny().load_weights(path)


GENERATORS = [
    b"", b"{", b"3", b"null", b"[3]", b"[{}]", b"[null]", b"[[]]", b"\xff", b"[" * 100_000, b"NaN",
    b'[{"bit_generator": "MT19937", "state": {}}]',
    b'[{"bit_generator": "PCG64"}]',
    b'[{"bit_generator": "PCG64", "state": {"state": -1, "inc": 1}, "has_uint32": 0, "uinteger": 0}]',
    b'[{"bit_generator": "PCG64", "state": {"state": "a", "inc": 1}, "has_uint32": 0, "uinteger": 0}]',
    b'[{"bit_generator": "PCG64", "state": {"state": 1, "inc": 1}, "has_uint32": 0, "uinteger": 1e400}]',
    b'[{"bit_generator": "PCG64", "state": {"state": %d, "inc": 1}, "has_uint32": 0, "uinteger": 0}]' % 10**60,
]  # fmt: skip


@pytest.mark.parametrize("text", GENERATORS, ids=lambda text: text[:24].decode(errors="replace"))
def test_generators_that_are_none(text, tmp_path):
    path = tmp_path / "state.npz"
    model = tiny()
    model.save_state(path)
    arrays = load_arrays(path)
    np.savez(path, **{**arrays, "generators": np.frombuffer(text, np.uint8)})
    before = model.get_weights(), model.generator().bit_generator.state
    model.set_weights([w + 1 for w in before[0]])
    with pytest.raises((DataUnavailable, InvalidArgument), match="generator") as caught:
        model.load_state(path)
    assert len(str(caught.value)) < 300 + len(str(path))
    assert all(np.array_equal(a + 1, b) for a, b in zip(before[0], model.get_weights(), strict=True))
    assert model.generator().bit_generator.state == before[1]


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("kind", ["weights", "state"])
def test_every_kind_of_damage_is_one_sentence_or_harmless(suffix, kind, tmp_path, rng):
    """Flipped bytes, cuts, stretches of zeros and of noise, at random places."""
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    path = tmp_path / f"file{suffix}"
    model = tiny()
    getattr(model, f"save_{kind}")(path)
    whole = path.read_bytes()
    for turn in range(200):
        data, at = bytearray(whole), int(rng.integers(len(whole)))
        match turn % 4:
            case 0:
                data[at] ^= int(rng.integers(1, 256))
            case 1:
                del data[at:]
            case 2:
                data[at : at + 512] = bytes(len(data[at : at + 512]))
            case 3:
                data[at : at + 64] = rng.bytes(64)
        path.write_bytes(bytes(data))
        try:
            getattr(tiny(), f"load_{kind}")(path)
        except FastconvError as error:
            message = str(error)
            assert "\n" not in message and len(message) < 600 + len(str(path))


def test_a_small_address_space_is_enough_to_refuse_a_large_file(tmp_path):
    """Where memory is short, a shape of 2**40 is refused by what the file says, not by the lack of memory."""
    pytest.importorskip("resource")
    path = tmp_path / "weights.npz"
    path.write_bytes(zipped(one(shaped((2**40,)))))
    script = (
        "import resource, sys\nfrom fastconv.errors import DataUnavailable\n"
        "from fastconv.nn.formats.named import load_arrays\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (1 << 32, 1 << 32))\n"
        "try:\n    load_arrays(sys.argv[1])\nexcept DataUnavailable as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    assert "its shape is" in done.stdout
