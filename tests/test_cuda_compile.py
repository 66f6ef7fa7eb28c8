"""Every CUDA kernel goes through the real compiler for real GPUs, without one: types, registers, local memory.

Needs numba-cuda with its toolkit packages (``pip install 'fastconv[cuda13]'``) but no driver; skipped where they are
not installed.
"""

import cuda_compiler
import cuda_problems as problems
import numba
import numpy as np
import pytest
from cuda_compiler import Compiler

import fastconv as fc
from fastconv.cuda import backend, launch, pointwise, tune

if cuda_compiler.missing:
    pytest.skip(cuda_compiler.missing, allow_module_level=True)

MOST_REGISTERS = 65536  # of a multiprocessor
ARCHITECTURES = [(7, 5), (8, 0), (8, 6), (8, 9), (9, 0, "a"), (10, 0, "a"), (12, 0, "a")]
COMPILER = Compiler()  # one for all tests: a kernel that several of them need is compiled once

needs_disassembler = pytest.mark.skipif(
    not cuda_compiler.disassembler(), reason="nvdisasm is not installed: pip install nvidia-cuda-nvdisasm"
)


@pytest.fixture
def compiler(monkeypatch):
    COMPILER.install(monkeypatch)
    with backend.run_on(COMPILER):
        yield COMPILER


@pytest.fixture(params=ARCHITECTURES, ids=lambda target: "sm_" + "".join(map(str, target)))
def architecture(request, monkeypatch):
    compiler = Compiler(request.param)
    compiler.install(monkeypatch)
    with backend.run_on(compiler):
        yield compiler


def check(compiler, dtype):
    assert compiler.reports
    for report in compiler.reports:
        print({key: report[key] for key in ("kernel", "registers", "stack")})
        threads, resident = report["bounds"]
        assert report["stack"] == 0, f"{report['kernel']} keeps {report['stack']} bytes outside of registers"
        assert report["registers"] * threads * resident <= MOST_REGISTERS, report["kernel"]
        if dtype == "float32":
            assert ".f64" not in report["ptx"], f"{report['kernel']} computes in float64"


def find(compiler, kernel):
    return next(report for report in compiler.reports if report["kernel"] == kernel)


CONV_CASES = [case for case in problems.CONV_CASES if str(case) in ("whole steps of channels", "groups", "3-D edge")]
TENSOR_CASE = problems.Case("tensor cores", (1, 64, 5, 6), (64, 64, 3, 3), {"padding": 1})
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


@pytest.mark.parametrize("channels_last", [False, True])
def test_winograd_compiles(compiler, channels_last):
    case = problems.Case("3x3", (1, 8, 6, 7), (8, 8, 3, 3), {"padding": 1})
    problems.convolve("conv", "winograd", case, channels_last, activation="relu")
    check(compiler, "float32")


# --- tensor cores


@pytest.mark.parametrize("tile", range(4))
def test_every_tensor_tile_compiles(compiler, tile, monkeypatch):
    monkeypatch.setattr(tune, "tensor_tile", lambda *sizes: tune.TENSOR_TILES[tile])
    with fc.allow_tf32():
        problems.convolve("conv", "im2col", TENSOR_CASE, False)
    check(compiler, "float32")
    assert find(compiler, "gemm_tensor")["registers"] <= 128


@pytest.mark.parametrize("op", ["conv", "conv_input_grad"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_compile(compiler, op, dtype):
    tensor_problem(op, dtype)
    check(compiler, "float32")
    assert find(compiler, "gemm_tensor")["registers"] <= 128


@needs_disassembler
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_tensor_cores_and_asynchronous_copies_are_used(compiler, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr(tune, "tensor_tile", lambda *sizes: tune.TENSOR_TILES[0])
    tensor_problem("conv", dtype)
    report = find(compiler, "gemm_tensor")
    lines = cuda_compiler.instructions(report["cubin"], tmp_path)
    kind = {"float32": "HMMA.1688.F32.TF32", "float16": "HMMA.16816.F32", "bfloat16": "HMMA.16816.F32.BF16"}[dtype]
    assert any(line.startswith(kind) for line in lines)
    loop = cuda_compiler.main_loop(lines, "HMMA")
    print(loop)
    tile = tune.TENSOR_TILES[0]
    assert loop["HMMA"] == 2 * tile.MT * tile.NT
    assert loop["LDSM"] == 2 * (tile.MT + tile.NT // 2)
    assert loop["LDGSTS.128"] == 4
    assert not {"LDS", "STS", "LDL", "STL"} & loop.keys()


def tensor_problem(op, dtype):
    x, w, y = TENSOR_CASE.x_shape, TENSOR_CASE.w_shape, TENSOR_CASE.y_shape
    dtype = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype
    x, w, y = (np.zeros(shape, dtype) for shape in (x, w, y))
    options = {"device": "cuda", "method": "im2col", "padding": 1}
    with fc.allow_tf32():
        if op == "conv":
            fc.conv2d(x, w, w[:, 0, 0, 0].copy(), **options)
        else:
            fc.conv2d_input_grad(y, w, x.shape, **options)


@needs_disassembler
@pytest.mark.parametrize("channels_last", [False, True])
def test_the_float32_gemm_mostly_multiplies(compiler, channels_last, tmp_path, monkeypatch):
    """Its main loop: 512 multiplications, fed by 16-byte loads from shared memory, in at most 128 registers."""
    monkeypatch.setattr(tune, "float_tile", lambda *sizes: tune.TILES[0])
    problems.convolve("conv", "im2col", CONV_CASES[0], channels_last)
    report = find(compiler, "gemm")
    assert report["registers"] <= 128
    loop = cuda_compiler.main_loop(cuda_compiler.instructions(report["cubin"], tmp_path), "FFMA")
    print(loop)
    assert loop["FFMA"] == 512 and loop["LDS.128"] == 32
    assert not {"LDS", "LDL", "STL"} & loop.keys()
    assert loop["FFMA"] >= 0.75 * loop.total()


# --- every architecture


@pytest.mark.parametrize("op", problems.CONVOLUTIONS)
def test_convolutions_on_every_architecture(architecture, op, monkeypatch):
    monkeypatch.setattr(tune, "float_tile", lambda *sizes: tune.TILES[0])
    for method in problems.METHODS:
        problems.convolve(op, method, CONV_CASES[0], op == "conv")
    check(architecture, "float32")


def test_tensor_cores_on_every_architecture(architecture):
    """From sm_80 on; before, 16-bit numbers are computed in float32."""
    tensor_problem("conv", "float32")
    if architecture.capability() >= (8, 0):
        tensor_problem("conv_input_grad", "bfloat16")
    else:
        tensor_problem("conv_input_grad", "float16")
    check(architecture, "float32")
    names = {report["kernel"] for report in architecture.reports}
    assert ("gemm_tensor" in names) == (architecture.capability() >= (8, 0))


def test_pools_on_every_architecture(architecture):
    for op in problems.POOLS:
        problems.pool(op, POOL_CASES[0], op.endswith("grad"))
    check(architecture, "float32")
