"""Every CUDA kernel goes through the real compiler for real GPUs, without one: types, registers, local memory.

Needs numba-cuda with its toolkit packages (``pip install 'fastconv[cuda13]'``) but no driver; skipped where they are
not installed.
"""

import functools
import re
import types
import warnings

import cuda_problems as problems
import cudasim
import numba
import numpy as np
import pytest

from fastconv.cuda import backend, launch, pointwise, tune

try:
    from cuda.bindings import nvjitlink
    from numba import cuda
    from numba.cuda import dispatcher
    from numba.cuda.cudadrv import nvvm

    toolchain = cuda.implementation == "NVIDIA" and nvvm.is_available() and bool(nvjitlink.version())
except Exception:  # a missing package, or one that fails to load its library
    toolchain = False

if not toolchain:
    pytest.skip("numba-cuda and its toolkit packages are not installed", allow_module_level=True)

CAPABILITY = (9, 0)
MOST_STACK = 32  # bytes: some addresses, but no array that should be in registers


class Compiler(cudasim.Executor):
    """Compiles what it should run, for the types it is started with, and keeps what the assembler says."""

    def __init__(self):
        super().__init__()
        self.reports = []

    def compile(self, function, bounds):
        return function, bounds

    def run(self, kernel, blocks, threads, args):
        function, bounds = kernel
        ptx = compiled(function, tuple(map(type_of, args)), bounds)
        self.reports.append({"kernel": function.__name__, "ptx": ptx, **assembled(ptx)})

    def to_host(self, array):
        return np.zeros(array.shape, array.dtype)


def type_of(argument):
    """Numba's type of a kernel's argument."""
    if isinstance(argument, cudasim.DeviceArray):
        return numba.from_dtype(argument.dtype)[::1]
    return numba.typeof(argument)


@functools.cache
def compiled(function, signature, bounds):
    """PTX of a kernel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cuda.compile(
            function, signature, cc=CAPABILITY, device=False, output="ptx", abi="numba", launch_bounds=bounds
        )[0]


@functools.cache
def assembled(ptx):
    """Registers and bytes of local memory of each thread."""
    options = [f"-arch=sm_{CAPABILITY[0]}{CAPABILITY[1]}", "-Xptxas=-v", "-verbose"]
    linker = nvjitlink.create(len(options), options)
    nvjitlink.add_data(linker, nvjitlink.InputType.PTX, ptx.encode(), len(ptx.encode()), "kernel")
    nvjitlink.complete(linker)
    log = bytearray(nvjitlink.get_info_log_size(linker))
    nvjitlink.get_info_log(linker, log)
    text = log.decode()
    return {
        "registers": int(re.search(r"Used (\d+) registers", text)[1]),
        "stack": int(re.search(r"(\d+) bytes stack frame", text)[1]),
    }


COMPILER = Compiler()  # one for all tests: a kernel that several of them need is compiled once


@pytest.fixture
def compiler(monkeypatch):
    # A device function called from a kernel asks the driver what to compile for.
    device = types.SimpleNamespace(compute_capability=CAPABILITY, id=0)
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: device)
    COMPILER.reports.clear()
    with backend.run_on(COMPILER):
        yield COMPILER


def check(compiler, dtype):
    assert compiler.reports
    for report in compiler.reports:
        print({key: report[key] for key in ("kernel", "registers", "stack")})
        assert report["stack"] <= MOST_STACK, report["kernel"]
        if dtype == "float32":
            assert ".f64" not in report["ptx"], f"{report['kernel']} computes in float64"


CONV_CASES = [case for case in problems.CONV_CASES if str(case) in ("whole steps of channels", "groups", "3-D edge")]
POOL_CASES = [case for case in problems.POOL_CASES if str(case) == "overlapping, padded"]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("method", problems.METHODS)
@pytest.mark.parametrize("op", problems.CONVOLUTIONS)
@pytest.mark.parametrize("case", CONV_CASES, ids=str)
def test_convolutions_compile(compiler, case, op, method, channels_last):
    problems.convolve(op, method, case, channels_last)
    check(compiler, "float32")


@pytest.mark.parametrize("method", problems.METHODS)
@pytest.mark.parametrize("op", problems.CONVOLUTIONS)
def test_float64_compiles(compiler, op, method):
    problems.convolve(op, method, CONV_CASES[2], True, "float64")
    check(compiler, "float64")


@numba.njit
def halved(v):
    return v / 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", problems.METHODS)
@pytest.mark.parametrize(
    "activation", ["relu", "leaky_relu", "sigmoid", "tanh", halved], ids=lambda a: getattr(a, "__name__", a)
)
def test_activations_compile(compiler, activation, method, dtype):
    problems.convolve("conv", method, CONV_CASES[0], False, dtype, activation=activation)
    y = backend.empty((2, 3, 4), dtype)
    pointwise.finish(y, backend.empty((3,), dtype), activation, False)
    check(compiler, dtype if isinstance(activation, str) else "float64")


@pytest.mark.parametrize("tile", range(5))
@pytest.mark.parametrize("op", problems.CONVOLUTIONS)
def test_every_tile_compiles(compiler, op, tile, monkeypatch):
    monkeypatch.setattr(tune, "float_tile", lambda *sizes: tune.TILES[tile])
    problems.convolve(op, "im2col", CONV_CASES[0], False, "float32")
    check(compiler, "float32")


@pytest.mark.parametrize("op", problems.CONVOLUTIONS)
@pytest.mark.parametrize("method", problems.METHODS)
def test_wide_indices_compile(compiler, op, method, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    problems.convolve(op, method, CONV_CASES[2], False, "float32")
    check(compiler, "float32")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("op", problems.POOLS)
def test_pools_compile(compiler, op, wide, dtype, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1 if wide else 1 << 30)
    for p in (1.0, 2.0, 3.0, np.inf) if op.startswith("lp") else (2.0,):
        problems.pool(op, POOL_CASES[0], False, dtype, p=p)
    for divisor in (None, 3.0) if op.startswith("avg") else (None,):
        problems.pool(op, POOL_CASES[0], True, dtype, divisor=divisor)
    check(compiler, dtype)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
def test_max_pool_of_integers_compiles(compiler, dtype):
    problems.pool("max_pool", POOL_CASES[0], False, dtype)
    check(compiler, "float32")


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_cast_compiles(compiler, dtype):
    backend.as_device(backend.to_device(np.zeros(3, dtype)), np.float32)
    backend.as_device(backend.to_device(np.zeros(3, np.float32)), dtype)
    check(compiler, "float64")
