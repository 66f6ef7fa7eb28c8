"""The device array: NumPy's protocols, indexing, and arrays of other libraries, in the simulator."""

import os
import subprocess
import sys
import textwrap
import types
import weakref

import cudasim
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planting import mutated

import fastconv as fc
from fastconv import foreign
from fastconv.cuda import backend
from fastconv.cuda.array import Array, asarray
from fastconv.cuda.arrays import functions
from fastconv.cuda.gemm import tiles
from fastconv.cuda.runtime import adoption, dlpack, streams
from fastconv.errors import InvalidArgument, Unsupported

EXECUTOR = cudasim.Executor()
X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.fixture(autouse=True)
def simulator():
    with backend.run_on(EXECUTOR):
        yield


def agree(actual, expected):
    assert isinstance(actual, Array)
    assert actual.dtype == expected.dtype
    assert actual.shape == np.shape(expected)
    np.testing.assert_array_equal(actual.numpy(), expected)


def test_attributes():
    x = asarray(X)
    assert (x.shape, x.dtype, x.size, x.ndim, x.nbytes, len(x)) == (X.shape, X.dtype, 24, 3, 96, 2)
    assert (np.shape(x), np.ndim(x), np.size(x), np.size(x, 1)) == (X.shape, 3, 24, 3)
    assert repr(x) == f"Array(shape=(2, 3, 4), dtype=float32, device={EXECUTOR.name!r})"
    agree(x.T, X.T)
    assert x.handle is asarray(x).handle
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)


def test_to_the_device_and_back():
    for value in (X, 2.5, [1, 2], np.float64(3), np.zeros((0, 3)), np.array([True]), X.T, X.astype(">f4")):
        x = fc.to_device(value)
        agree(x, np.asarray(value).astype(np.asarray(value).dtype.newbyteorder("=")))
        np.testing.assert_array_equal(fc.to_host(x), value)
    assert fc.to_host(X) is X
    with pytest.raises(InvalidArgument, match="complex"):
        fc.to_device(np.ones(2, complex))
    with pytest.raises(InvalidArgument, match="cannot be read|dtype"):
        fc.to_device("text")


def test_one_element():
    x = asarray(np.float32([[2.5]]))
    assert (x.item(), float(x), int(x), bool(x)) == (2.5, 2.5, 2, True)
    assert float(asarray(np.float64(3))) == 3
    with pytest.raises(ValueError, match="one element"):
        asarray(X).item()
    with pytest.raises(ValueError, match="one element"):
        bool(asarray(X) > 0)
    with pytest.raises(TypeError, match="len"):
        len(asarray(1.0))


def test_no_copy_to_the_host_unasked(monkeypatch):
    x = asarray(X)
    for run in (np.asarray, np.array, list):
        with pytest.raises(TypeError, match=r"\.numpy\(\)"):
            run(np.asarray(x) if run is list else x)
    monkeypatch.setattr(EXECUTOR, "to_host", None)
    y = np.where(np.clip(x * 2, 1, 9) > 3, np.exp(-x), x.mean(axis=0))
    y[:, 1:] += x[:1, 1:].sum(axis=-1, keepdims=True)
    assert [part.shape for part in y] == [(3, 4), (3, 4)]
    repr(y)


INDICES = {
    "row": 1, "last row": -1, "rows": slice(1, None), "column": (slice(None), 1), "element": (1, 2, 3),
    "steps": (slice(None), slice(None, None, 2)), "backwards": (..., slice(None, None, -1)),
    "new axis": (None, ..., None, 0), "nothing": slice(2, 2), "everything": ...,
    "a box": (slice(0, 2), slice(1, 3), slice(1, 2)), "empty": (),
}  # fmt: skip


@pytest.mark.parametrize("index", INDICES.values(), ids=list(INDICES))
def test_indexing(index):
    agree(asarray(X)[index], X[index])
    for value in (7, X[index] * 2):
        x, d = X.copy(), asarray(X)
        x[index] = value
        d[index] = value if np.ndim(value) == 0 else asarray(value)
        agree(d, x)


def test_parts_in_a_row_are_views_and_others_copies():
    x = asarray(X)
    rows, columns = x[1:], x[:, 1:]
    rows[...] = 0
    columns[...] = 5
    agree(x, np.concatenate([X[:1], np.zeros_like(X[1:])]))
    x.reshape(-1)[3] = -1
    assert x[0, 0, 3].item() == -1
    y = asarray(X)
    y[1:] = y[:-1]
    y[:, 1:] = y[:, :-1]
    expected = X.copy()
    expected[1:] = expected[:-1].copy()
    expected[:, 1:] = expected[:, :-1].copy()
    agree(y, expected)


def test_assignment_converts_and_broadcasts():
    x, d = X.copy(), asarray(X)
    for index, value in ((0, [1, 2, 3, 4]), (slice(None), np.int64([[[9]]])), ((1, 1), 2.75)):
        x[index] = value
        d[index] = asarray(value) if isinstance(value, np.ndarray) else value
    agree(d, x)
    flags = asarray(np.zeros(3, bool))
    flags[1:] = asarray(np.float32([0, 2]))
    agree(flags, np.array([False, False, True]))
    d.fill(3)
    agree(d, np.full_like(X, 3))
    with pytest.raises(ValueError, match="broadcast"):
        d[0] = asarray(np.ones(3))
    with pytest.raises(InvalidArgument, match="mixed"):
        d[0] = np.ones(4)


def test_indices_that_are_not_there():
    x = asarray(X)
    for index in (np.array([0, 1]), [0, 1], x > 0, 1.0, True):
        with pytest.raises(Unsupported, match="integers, slices"):
            x[index]
    for index in (2, (0, 0, -5), (0, 0, 0, 0)):
        with pytest.raises(IndexError):
            x[index]
    with pytest.raises(Unsupported):
        np.add.at(x, np.array([0, 0]), 1)


FUNCTIONS = {
    "reshape": lambda x: np.reshape(x, (4, -1)),
    "ravel": np.ravel,
    "transpose": np.transpose,
    "transpose, axes": lambda x: np.transpose(x, np.array([1, 2, 0])),
    "method": lambda x: x.transpose(2, -2, 0),
    "moveaxis": lambda x: np.moveaxis(x, -1, 1),
    "moveaxis of two": lambda x: np.moveaxis(x, (0, 1), (2, 0)),
    "swapaxes": lambda x: np.swapaxes(x, 0, -1),
    "expand_dims": lambda x: np.expand_dims(x, (0, -2)),
    "squeeze": lambda x: np.squeeze(x[:1]),
    "squeeze an axis": lambda x: np.squeeze(x[:, :1], axis=1),
    "broadcast_to": lambda x: np.broadcast_to(x[:, :1], (3, 2, 5, 4)),
    "copy": np.copy,
    "zeros_like": np.zeros_like,
    "ones_like": lambda x: np.ones_like(x, dtype=np.int32),
    "full_like": lambda x: np.full_like(x, 2.5, shape=(3, 2)),
    "where": lambda x: np.where(x > 5, x, -x),
    "where, numbers": lambda x: np.where(x, np.float64(1), 0),
    "clip": lambda x: np.clip(x, 2, 7.5),
    "clip, one side": lambda x: np.clip(x, None, 3),
    "concatenate": lambda x: np.concatenate([x, x[:, :1], x], axis=1),
    "concatenate flat": lambda x: np.concatenate([x, x[:1]], axis=None),
    "stack": lambda x: np.stack([x[0], x[1]], axis=-1),
    "split": lambda x: np.split(x, [1], axis=1)[1],
    "split in equal parts": lambda x: np.split(x, 2, axis=-1)[0],
    "pad": lambda x: np.pad(x, ((1, 0), (0, 2), (1, 1)), constant_values=9),
    "pad alike": lambda x: np.pad(x, 1),
    "add.reduce": np.add.reduce,
    "maximum.reduce": lambda x: np.maximum.reduce(x, axis=(0, 2), keepdims=True),
    "square, dtype": lambda x: np.square(x, dtype=np.float64),
}  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_functions(function):
    agree(function(asarray(X)), function(X))


def test_other_functions():
    x, y = asarray(X), asarray(np.zeros_like(X))
    np.copyto(y, x)
    agree(y, X)
    assert np.array_equal(x, y)
    assert not np.array_equal(x, y[:1])
    assert np.may_share_memory(x, x[1:])
    assert not np.may_share_memory(x, y)
    assert np.empty_like(x, shape=5).shape == (5,)
    np.add.at(x, (slice(None), 1), y[:, 0])
    expected = X.copy()
    np.add.at(expected, (slice(None), 1), X[:, 0])
    agree(x, expected)


@pytest.mark.parametrize(
    "run",
    [
        np.sort, np.linalg.norm, np.cumsum, np.add.accumulate, lambda x: np.add.outer(x, x),
        lambda x: np.reshape(x, (4, 6), order="F"), lambda x: np.copyto(x, x, where=x > 0), np.matmul,
        lambda x: np.sum(x, where=x > 0),
    ],
)  # fmt: skip
def test_functions_that_are_not_there_say_so(run):
    with pytest.raises((TypeError, Unsupported)):
        run(asarray(X))


def test_names_of_missing_functions():
    with pytest.raises(TypeError, match=r"np\.sort is not there for device arrays: take \.numpy\(\) first"):
        np.sort(asarray(X))
    assert all(callable(function) for function in functions.FUNCTIONS.values())


def test_shapes_that_do_not_fit():
    x = asarray(X)
    for run in (
        lambda: x.reshape(5, -1),
        lambda: x.reshape(-1, -1),
        lambda: x.transpose(0, 0, 1),
        lambda: np.concatenate([x, x[:, 1:]], axis=0),
        lambda: np.squeeze(x, axis=0),
        lambda: x + asarray(np.ones(3)),
        lambda: np.split(x, 2, axis=1),
    ):
        with pytest.raises(ValueError, match=r"shape|axes|broadcast|split"):
            run()


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(4)))
def test_any_order_of_axes(axes):
    x = np.arange(2 * 3 * 1 * 4).reshape(2, 3, 1, 4)
    with backend.run_on(EXECUTOR):
        agree(asarray(x).transpose(axes), x.transpose(axes))


def test_fastconv_gives_what_it_was_given(monkeypatch):
    monkeypatch.setattr(tiles, "TILES", (tiles.Tile(8, 8, 4, 2, 2),))
    x, w = X[None], np.ones((2, 2, 2, 2), np.float32)
    y = fc.conv2d(asarray(x), asarray(w))
    agree(y, fc.conv2d(x, w))
    agree(fc.avg_pool2d(y, 2), fc.avg_pool2d(fc.conv2d(x, w), 2))
    half = fc.avg_pool2d(asarray(x.astype(np.float16)), 2)
    assert isinstance(half, Array)
    assert half.dtype == np.float16
    with pytest.raises(InvalidArgument, match="mixed: w must be on the CUDA device"):
        fc.conv2d(asarray(x), w)


# --- other libraries' arrays


class Foreign:
    """Another library's array, by version 2 or 3 of the interface."""

    def __init__(self, shape=(2,), strides=None, typestr="<f4", stream=None, version=3, readonly=False, **more):
        self.shape, self.dtype = shape, np.dtype(typestr)
        self.__cuda_array_interface__ = {
            "shape": shape, "typestr": typestr, "data": (4096 if 0 not in shape else 0, readonly), "version": version,
            **({"strides": strides} if strides else {}), **({"stream": stream} if version > 2 else {}), **more,
        }  # fmt: skip


class Adopting(cudasim.Executor):
    """Takes other libraries' arrays: of ones."""

    def __init__(self):
        super().__init__()
        self.streams, self.interfaces = [], []

    def adopt(self, obj):
        self.interfaces.append(adoption.interface_of(obj, streams.current_stream()))
        array = self.to_device(np.ones(obj.shape, np.float32))
        array.gpu_data = types.SimpleNamespace()
        return array

    def empty(self, shape, dtype):
        array = super().empty(shape, dtype)
        array.gpu_data = types.SimpleNamespace(fastconv_origin=(None, streams.current_stream()))
        return array

    def run(self, *args):
        self.streams.append(streams.current_stream())
        super().run(*args)


@pytest.mark.parametrize("stream", [None, 1, 2, 7, 0xABC0])
def test_arrays_of_other_libraries_keep_their_stream(stream):
    with backend.run_on(Adopting()) as executor:
        x = asarray(Foreign(stream=stream))
        y = np.exp(x + 1) * fc.to_device(np.float32(2))
        expected = 0 if stream in (None, 1) else stream
        assert set(executor.streams) == {expected}
        assert y.__cuda_array_interface__["stream"] == (expected or 1)
        assert executor.waits == ([(expected, 0)] if expected else [])


def test_arrays_of_two_streams_wait_for_each_other():
    with backend.run_on(Adopting()) as executor:
        x, y = asarray(Foreign(stream=7)), asarray(Foreign(stream=9))
        z = x + y
        assert executor.streams == [7]
        assert executor.waits == [(7, 9)]
        assert streams.stream_of(y.handle) == streams.stream_of(z.handle) == 7
        executor.waits.clear()
        z * y
        assert executor.waits == []


@pytest.mark.parametrize(
    "array",
    [Foreign(version=2), Foreign(readonly=True), Foreign(shape=(0, 3)), Foreign((2, 1, 3), (12, 99, 4)), Foreign(())],
)
def test_interfaces_that_are_taken(array):
    interface = adoption.interface_of(array, 0)
    assert interface["shape"] == array.shape
    assert interface["strides"] is interface["stream"] is None
    with backend.run_on(Adopting()):
        agree(asarray(array), np.ones(array.shape, np.float32))


@pytest.mark.parametrize(
    "array, reason",
    [
        (Foreign(typestr="<c8"), "complex64"),
        (Foreign(typestr=">f4"), "byte order"),
        (Foreign(mask=Foreign()), "mask"),
        (Foreign((2, 3), (4, 8)), "C-contiguous"),
    ],
)
def test_interfaces_that_are_refused(array, reason):
    with backend.run_on(Adopting()), pytest.raises(InvalidArgument, match=reason):
        asarray(array)


class Tensor:
    """What has DLPack alone."""

    shape, dtype = (2, 3), np.dtype(np.float32)

    def __dlpack_device__(self):
        return 2, 1


@pytest.mark.parametrize("strides", [None, (3, 1)])
def test_dlpack(monkeypatch, strides):
    asked = []

    class View:
        @staticmethod
        def from_dlpack(obj, stream_ptr):
            asked.append((obj, stream_ptr))
            return types.SimpleNamespace(dtype=obj.dtype, shape=obj.shape, strides=strides, ptr=4096, readonly=False)

    monkeypatch.setitem(sys.modules, "cuda.core.utils", types.SimpleNamespace(StridedMemoryView=View))
    tensor = Tensor()
    assert foreign.device_of(tensor) == 1
    with backend.run_on(Adopting()) as executor:
        agree(asarray(tensor), np.ones((2, 3), np.float32))
        assert asked == [(tensor, 1)]
        assert executor.interfaces[0]["data"] == (4096, False)


def test_known_libraries_name_their_stream(monkeypatch):
    """PyTorch's interface names none: its current stream is looked up."""
    module = types.SimpleNamespace(
        cuda=types.SimpleNamespace(
            current_stream=lambda device: types.SimpleNamespace(cuda_stream=int(device.index) + 5)
        )
    )
    monkeypatch.setitem(sys.modules, "torch", module)
    kind = type("Tensor", (), {"__module__": "torch", "is_cuda": True, "device": types.SimpleNamespace(index=2)})
    assert foreign.is_device_array(kind())
    assert (foreign.device_of(kind()), foreign.stream_of(kind())) == (2, 7)
    stream = types.SimpleNamespace(ptr=11)
    monkeypatch.setitem(
        sys.modules, "cupy", types.SimpleNamespace(cuda=types.SimpleNamespace(get_current_stream=lambda: stream))
    )
    other = type("ndarray", (), {"__module__": "cupy", "device": types.SimpleNamespace(id=1)})
    assert (foreign.device_of(other()), foreign.stream_of(other())) == (1, 11)


def test_foreign_operands():
    """Another library's array meets ours: adopted; ours meets a host array: an error."""
    with backend.run_on(Adopting()):
        x = asarray(np.float32([1, 2]))
        agree(x + asarray(Foreign()), np.float32([2, 3]))
        agree(np.add(x, Foreign()), np.float32([2, 3]))
        x[...] = Foreign()
        agree(x, np.ones(2, np.float32))
        for run in (lambda: x + X[0, 0, :2], lambda: X[0, 0, :2] * x, lambda: np.where(x > 0, x, X[0, 0, :2])):
            with pytest.raises(InvalidArgument, match="host and device arrays are mixed"):
                run()


# --- DLPack, on the host's memory, which NumPy can look at


class Exporter:
    def __init__(self, array):
        self.array = array

    def __dlpack_device__(self):
        return 1, 0

    def __dlpack__(self, **options):
        return dlpack.capsule(self, self.array.ctypes.data, self.array.shape, self.array.dtype, (1, 0))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(2, 3, 4), (), (0, 3), (5,)])
def test_capsules(dtype, shape):
    array = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape) % 3, dtype)
    seen = np.from_dlpack(Exporter(array))
    assert seen.dtype == dtype
    np.testing.assert_array_equal(seen, array)
    assert seen.size == 0 or np.shares_memory(seen, array)


def test_a_capsule_keeps_its_array():
    exporter = Exporter(np.arange(4.0))
    gone = weakref.ref(exporter)
    seen = np.from_dlpack(exporter)
    del exporter
    assert gone() is not None
    assert len(dlpack._given) == 1
    del seen
    assert gone() is None
    unused = Exporter(np.arange(4.0)).__dlpack__()
    assert len(dlpack._given) == 1
    del unused
    assert not dlpack._given


def test_arrays_are_handed_out():
    with backend.run_on(Adopting()) as executor:
        x = asarray(Foreign(stream=7))
        assert x.__dlpack_device__() == (2, 0)
        for stream, wait in ((7, []), (-1, []), (1, [(0, 7)]), (None, [(0, 7)]), (9, [(9, 7)])):
            assert "dltensor" in repr(x.__dlpack__(stream=stream, max_version=(1, 0)))
            assert executor.waits == wait
            executor.waits.clear()
        assert "dltensor" in repr(x.__dlpack__(copy=True))
        with pytest.raises(BufferError, match="device"):
            x.__dlpack__(dl_device=(1, 0))
    assert not dlpack._given


DLPACK_BUGS = {
    "wrong steps": ("shape[k + 1 :]", "shape[k:]"),
    "another kind of number": ("CODES[dtype.kind]", 'CODES["i"]'),
    "the array let go": ("managed, sizes, steps, owner", "managed, sizes, steps"),
    "never let go": ("_given.pop(address, None)", "_given.get(address)"),
    "unused capsules stay": ("_delete(_api(", "(_api("),
}


def noticed(module, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "dlpack", module)
    try:
        test_capsules("float32", (2, 3, 4))
        test_a_capsule_keeps_its_array()
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("bug", DLPACK_BUGS)
def test_planted_bugs_in_dlpack(bug, tmp_path, monkeypatch):
    assert noticed(mutated(dlpack, *DLPACK_BUGS[bug], tmp_path), monkeypatch)


def test_no_mutant_is_noticed_without_a_bug(tmp_path, monkeypatch):
    assert not noticed(mutated(dlpack, "# a consumer renames the capsule\n", "# the same\n", tmp_path), monkeypatch)


def test_numbas_simulator():
    """One element-wise kernel, in a process of its own: the simulator takes the place of Numba's CUDA target."""
    code = """
        import numpy as np
        from fastconv.cuda.array import asarray
        x = np.arange(6, dtype=np.float32).reshape(2, 3)
        d = asarray(x)
        np.testing.assert_array_equal((d + d[0]).numpy(), x + x[0])
    """
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, env=environment, timeout=600)
