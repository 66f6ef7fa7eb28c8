"""Launches that skip Numba's look at the arguments: what they hand over is what Numba would, else Numba does it."""

import ctypes
import types
from typing import NamedTuple

import cuda_compiler
import numpy as np
import pytest

from fastconv.cuda.runtime import prepared
from fastconv.cuda.runtime.prepared import Launcher, arguments


class Sizes(NamedTuple):
    n: int
    c: int


class Flat:
    """What is known of a device array's memory."""

    def __init__(self, size, dtype="float32", ptr=1 << 40):
        self.size, self.dtype, self.device_ctypes_pointer = size, np.dtype(dtype), ctypes.c_void_p(ptr)


ARGS = (
    Flat(1000),
    Flat(0, "int64", 1 << 33),
    np.int32(-3),
    np.uint64(2**63 + 1),
    np.float32(1.5),
    Sizes(np.int32(4), np.int32(5)),
    (np.int32(1),),
    (Flat(3), Flat(4)),
)


def as_numba_does(args):
    """Ctypes objects for numbers, seven integers for an array."""
    found = []
    for a in args:
        if isinstance(a, tuple):
            found += as_numba_does(a)
        elif isinstance(a, Flat):
            place = a.device_ctypes_pointer.value
            found += [0, 0, a.size, a.dtype.itemsize, place, a.size, a.dtype.itemsize]
        else:
            found.append(getattr(ctypes, f"c_{a.dtype.name}".replace("float32", "float"))(a.item()))
    return found


class Configured:
    """What ``kernel[blocks, threads]`` is to a launcher, with a log."""

    griddim, blockdim, sharedmem, stream = (7, 1, 1), (32, 1, 1), 0, "stream"

    def __init__(self, log, convert=as_numba_does):
        self.log = log
        self.kernel = types.SimpleNamespace(
            argument_types=ARGS,
            debug=False,
            cooperative=False,
            _prepare_args=lambda kind, a, stream, retr, found: found.extend(convert((a,))),
            _codelibrary=types.SimpleNamespace(get_cufunc=lambda: types.SimpleNamespace(kernel="kernel")),
        )
        self.dispatcher = types.SimpleNamespace(overloads={"signature": self.kernel})

    def __call__(self, *args):
        self.log.append("numba")


@pytest.fixture
def log(monkeypatch):
    found = []
    core = types.SimpleNamespace(
        launch=lambda stream, config, kernel, *values: found.append((stream, config, kernel, values)),
        LaunchConfig=lambda **options: options,
    )
    typing = types.SimpleNamespace(typeof=lambda a, purpose: "", Purpose=types.SimpleNamespace(argument=0))
    modules = {"cuda.core": core, "numba.cuda.typing.typeof": typing}
    monkeypatch.setattr(prepared, "import_module", lambda name: modules[name])
    return found


def test_the_second_launch_goes_straight_to_the_driver(log):
    configured = Configured(log)
    configured.dispatcher.overloads[("",) * len(ARGS)] = configured.kernel
    launcher = Launcher(configured)
    launcher(*ARGS)
    assert log == ["numba"]
    launcher(*ARGS)
    (_, (stream, config, kernel, values)) = log
    assert (stream, kernel, config["grid"], config["block"]) == ("stream", "kernel", (7, 1, 1), (32, 1, 1))
    assert list(values) == arguments(ARGS) and len(values) == 34


def test_other_kinds_of_arguments_are_looked_at_anew(log):
    configured = Configured(log)
    configured.dispatcher.overloads[("",) * len(ARGS)] = configured.kernel
    launcher = Launcher(configured)
    launcher(*ARGS)
    launcher(Flat(1000, "float64"), *ARGS[1:])
    assert log == ["numba", "numba"]


@pytest.mark.parametrize(
    "convert",
    [
        lambda args: as_numba_does(args)[:-1],
        lambda args: [*as_numba_does(args)[:-1], 17],
        lambda args: [v if type(v) is int else ctypes.c_int64(int(v.value)) for v in as_numba_does(args)],
    ],
    ids=["fewer", "another value", "another size"],
)
def test_where_numba_says_something_else_it_goes_on(log, convert):
    configured = Configured(log, convert)
    configured.dispatcher.overloads[("",) * len(ARGS)] = configured.kernel
    launcher = Launcher(configured)
    for _ in range(3):
        launcher(*ARGS)
    assert log == ["numba"] * 3


@pytest.mark.parametrize("lost", ["overloads", "_prepare_args", "cooperative", "_codelibrary"])
def test_a_numba_without_these_parts_goes_on_as_before(log, lost):
    configured = Configured(log)
    configured.dispatcher.overloads[("",) * len(ARGS)] = configured.kernel
    delattr(configured.dispatcher if lost == "overloads" else configured.kernel, lost)
    launcher = Launcher(configured)
    for _ in range(2):
        launcher(*ARGS)
    assert log == ["numba"] * 2


@pytest.mark.skipif(bool(cuda_compiler.missing), reason=str(cuda_compiler.missing))
def test_numba_cuda_itself_says_the_same():
    """Its own conversion of arguments, and the driver's parameters made of both, byte for byte."""
    import numba
    from cuda.core._kernel_arg_handler import ParamHolder
    from numba.cuda.cudadrv.devicearray import DeviceNDArray
    from numba.cuda.dispatcher import _Kernel
    from numba.cuda.typing.typeof import Purpose, typeof

    memory = types.SimpleNamespace(
        device_pointer=types.SimpleNamespace(value=1 << 40), device_pointer_value=1 << 40, _cuda_memsize_=1 << 20,
        is_managed=False, device_ctypes_pointer=ctypes.c_void_p(1 << 40), __cuda_memory__=True,
    )  # fmt: skip
    memory.view = lambda *place: memory
    array = DeviceNDArray((1000,), (4,), np.float32, gpu_data=memory)
    args = (array, *ARGS[2:7], (array,) * 3, np.float64(0.1), np.uint32(5))
    kernel = _Kernel.__new__(_Kernel)
    kernel.extensions = ()
    expected = []
    for a in args:
        kernel._prepare_args(typeof(a, Purpose.argument), a, 0, [], expected)
    assert prepared._are_alike(arguments(args), expected)
    assert typeof(array, Purpose.argument) == numba.float32[::1]

    sizes = [ctypes.sizeof(v) if isinstance(v, ctypes._SimpleCData) else 8 for v in expected]
    holders = ParamHolder(tuple(arguments(args))), ParamHolder(tuple(expected))
    bytes_of = [
        [ctypes.string_at(ctypes.cast(h.ptr, ctypes.POINTER(ctypes.c_void_p))[i], n) for i, n in enumerate(sizes)]
        for h in holders
    ]
    assert bytes_of[0] == bytes_of[1]
