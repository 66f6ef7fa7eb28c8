"""Every CUDA kernel goes through the real compiler for real GPUs, without one: types, registers, local memory.

Needs numba-cuda with its toolkit packages (``pip install 'fastconv[cuda-compile]'``) but no driver; skipped where they
are not installed. Nothing is computed here, so the problems have real sizes and get the tiles that a GPU would run.
"""

import functools
import tempfile

import cuda_compiler
import cuda_problems as problems
import cuda_rows
import cuda_transforms
import numba
import numpy as np
import pytest
from cuda_compiler import ARCHITECTURES, Compiler, check, compiler, find, needs_disassembler

import fastconv as fc
from fastconv.cuda import backend, exchange, launch, pointwise
from fastconv.cuda.gemm import tiles

if cuda_compiler.missing:
    pytest.skip(cuda_compiler.missing, allow_module_level=True)

__all__ = ["compiler"]  # fixtures


# --- every row, dtype and layout on every architecture

LARGE = problems.Case("large", (8, 64, 56, 56), (256, 64, 3, 3), {"padding": 1})
#: Problems that together need every kernel of a row; a row gets those that it serves.
CASES = [
    LARGE,
    problems.Case("depthwise", (8, 64, 56, 56), (64, 1, 3, 3), {"padding": 1, "groups": 64}),
    problems.Case("few channels, stride", (8, 3, 64, 64), (64, 3, 7, 7), {"padding": 3, "stride": 2}),
    problems.Case("edge", (2, 8, 12, 12), (8, 8, 3, 3), {"padding": 1, "padding_mode": "edge"}),
]
POOL = problems.PoolCase("3x3/2", (8, 64, 56, 56), 3, {"stride": 2, "padding": 1})
#: What the machine code of a kernel promises, by its name: instructions that it holds on every architecture.
PROMISED = {"gemm": ("LDS.128",), "gemm_weights": ("LDS.128",), "gemm_tensor": ("HMMA", "LDSM", "LDGSTS")}
#: Where kernels differ most in what the compiler makes of them: for the problems beyond a row's first.
FURTHER = [(9, 0, "a"), (12, 0, "a")]


def cases_of(row, dtype, channels_last, target):
    """The first problem that the row serves; float32 channels-first gets all of them on some architectures."""
    if row.op not in problems.CONVOLUTIONS:
        assert row.op in problems.POOLS, f"tests/cuda_rows.py does not know how to run {row.op}"
        return [POOL]
    cases = [case for case in CASES if cuda_rows.serves(row, case)]
    assert cases, f"no problem is for {cuda_rows.id_of(row)}"
    return cases if dtype == "float32" and not channels_last and target in FURTHER else cases[:1]


@pytest.mark.parametrize("row", cuda_rows.ROWS, ids=cuda_rows.id_of)
def test_every_row_compiles_on_every_architecture(row, monkeypatch):
    """In each dtype that it serves and both layouts; one test, for these share most kernels."""
    faults = []
    cuda_transforms.install(monkeypatch)
    for dtype in cuda_rows.dtypes_of(row):
        for channels_last in (False, True):
            for target in ARCHITECTURES:
                compiler = Compiler(target)
                compiler.install(monkeypatch)
                with backend.run_on(compiler):
                    for case in cases_of(row, dtype, channels_last, target):
                        start(row, case, channels_last, dtype)
                assert compiler.reports, f"nothing was started for {dtype}"
                name = f"{dtype} {'last' if channels_last else 'first'} {cuda_compiler.name_of(target)}"
                print(name, {report["kernel"]: report["registers"] for report in compiler.reports})
                faults += [f"{name}: {fault}" for report in compiler.reports for fault in faults_in(report, dtype)]
    assert not faults, "\n".join(faults)


def start(row, case, channels_last, dtype):
    """Call the row's function with arrays of zeros."""
    arrays = [np.zeros(shape, cuda_rows.dtype_of(dtype)) for shape in cuda_rows.shapes(row, case)]
    if row.op == "max_pool_grad":
        arrays[1] = arrays[1].astype(np.int64)
    cuda_rows.run(row, case, channels_last, dtype, arrays)


def faults_in(report, dtype):
    """What must not be, and promises that are not kept."""
    yield from (f"{report['kernel']} {fault}" for fault in cuda_compiler.faults_of(report, dtype))
    if report["kernel"] in PROMISED and dtype != "float64" and cuda_compiler.disassembler():
        for promised in PROMISED[report["kernel"]]:
            if promised not in names_in(report["cubin"]):
                yield f"{report['kernel']} has no {promised}"


@functools.cache
def names_in(cubin):
    """Names of a kernel's instructions, with their width where it is 128 bits."""
    with tempfile.TemporaryDirectory() as folder:
        lines = cuda_compiler.instructions(cubin, folder)
    names = (line.split()[0].split(".") for line in lines if not line.startswith("."))
    return {name[0] for name in names} | {f"{line.split('.')[0]}.128" for line in lines if ".128" in line.split()[0]}


# --- what else a kernel can be made of: on the architecture of an H200


def case_named(name, cases=problems.CONV_CASES):
    return next(case for case in cases if str(case) == name)


WHOLE_STEPS, DEEP, POOL_CASE = case_named("whole steps of channels"), case_named("3-D edge"), problems.POOL_CASES[1]
TENSOR_CASE = problems.Case("tensor cores", (1, 64, 5, 6), (64, 64, 3, 3), {"padding": 1})


@numba.njit
def halved(v):
    return v / 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", problems.CONVOLUTIONS)
@pytest.mark.parametrize("method", problems.METHODS)
def test_three_axes_and_wide_indices_compile(compiler, op, method, dtype, monkeypatch):
    problems.convolve(op, method, DEEP, dtype == "float64", dtype)
    if dtype == "float32":
        monkeypatch.setattr(launch, "NARROW", 1)
        problems.convolve(op, method, DEEP, False, dtype)
    check(compiler, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "activation", ["relu", "leaky_relu", "sigmoid", "tanh", halved], ids=lambda a: getattr(a, "__name__", a)
)
def test_activations_compile(compiler, activation, dtype):
    """In the smallest kernel that applies one; once in the GEMM."""
    y = backend.empty((2, 3, 4), dtype)
    pointwise.finish(y, backend.empty((3,), dtype), activation, False)
    if activation == "tanh":
        for method in problems.METHODS:
            problems.convolve("conv", method, WHOLE_STEPS, False, dtype, activation=activation)
    check(compiler, dtype if isinstance(activation, str) else "float64")


@pytest.mark.parametrize("tile", range(len(tiles.TILES)))
@pytest.mark.parametrize("op", ["conv", "conv_weight_grad"])
def test_every_tile_compiles(compiler, op, tile, monkeypatch):
    monkeypatch.setattr(tiles, "float_tile", lambda *sizes: tiles.TILES[tile])
    problems.convolve(op, "im2col", WHOLE_STEPS, False, "float32")
    check(compiler, "float32")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", problems.POOLS)
def test_kinds_of_pools_compile(compiler, op, dtype, monkeypatch):
    for p in (1.0, 2.0, 3.0, np.inf) if op.startswith("lp") else (2.0,):
        problems.pool(op, POOL_CASE, False, dtype, p=p)
    if op.startswith("avg"):
        problems.pool(op, POOL_CASE, True, dtype, divisor=3.0)
    if dtype == "float32":
        monkeypatch.setattr(launch, "NARROW", 1)
        problems.pool(op, POOL_CASE, False, dtype)
    check(compiler, dtype)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_cast_compiles(compiler, dtype):
    exchange.as_device(backend.to_device(np.zeros(3, dtype)), np.float32)
    exchange.as_device(backend.to_device(np.zeros(3, np.float32)), dtype)
    check(compiler, "float64")


# --- tensor cores


@pytest.mark.parametrize("tile", range(len(tiles.TENSOR_TILES)))
def test_every_tensor_tile_compiles(compiler, tile, monkeypatch):
    monkeypatch.setattr(tiles, "tensor_tile", lambda *sizes: tiles.TENSOR_TILES[tile])
    with fc.allow_tf32():
        problems.convolve("conv", "im2col", TENSOR_CASE, False)
    check(compiler, "float32")
    assert find(compiler, "gemm_tensor")["registers"] <= 128


@needs_disassembler
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_tensor_cores_and_asynchronous_copies_are_used(compiler, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr(tiles, "tensor_tile", lambda *sizes: tiles.TENSOR_TILES[0])
    tensor_problem(dtype)
    report = find(compiler, "gemm_tensor")
    assert report["registers"] <= 128
    lines = cuda_compiler.instructions(report["cubin"], tmp_path)
    kind = {"float32": "HMMA.1688.F32.TF32", "float16": "HMMA.16816.F32", "bfloat16": "HMMA.16816.F32.BF16"}[dtype]
    assert any(line.startswith(kind) for line in lines)
    loop = cuda_compiler.main_loop(lines, "HMMA")
    print(loop)
    tile = tiles.TENSOR_TILES[0]
    assert loop["HMMA"] == 2 * tile.MT * tile.NT
    assert loop["LDSM"] == 2 * (tile.MT + tile.NT // 2)
    assert loop["LDGSTS.128"] == 4
    assert not {"LDS", "STS", "LDL", "STL"} & loop.keys()


def tensor_problem(dtype):
    dtype = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype
    x, w = (np.zeros(shape, dtype) for shape in (TENSOR_CASE.x_shape, TENSOR_CASE.w_shape))
    with fc.allow_tf32():
        fc.conv2d(x, w, w[:, 0, 0, 0].copy(), device="cuda", method="im2col", padding=1)


@needs_disassembler
@pytest.mark.parametrize("channels_last", [False, True])
def test_the_float32_gemm_mostly_multiplies(compiler, channels_last, tmp_path, monkeypatch):
    """Its main loop: 512 multiplications, fed by 16-byte loads from shared memory, in at most 128 registers."""
    monkeypatch.setattr(tiles, "float_tile", lambda *sizes: tiles.TILES[0])
    problems.convolve("conv", "im2col", WHOLE_STEPS, channels_last)
    report = find(compiler, "gemm")
    assert report["registers"] <= 128
    loop = cuda_compiler.main_loop(cuda_compiler.instructions(report["cubin"], tmp_path), "FFMA")
    print(loop)
    assert loop["FFMA"] == 512 and loop["LDS.128"] == 32
    assert not {"LDS", "LDL", "STL"} & loop.keys()
    assert loop["FFMA"] >= 0.75 * loop.total()


def test_the_shared_front_end_changes_nothing(monkeypatch):
    """A kernel typed once for all architectures is what it is when compiled for one alone."""
    target = ARCHITECTURES[-1]
    compiler = Compiler(target)
    compiler.install(monkeypatch)
    started = []
    with backend.run_on(compiler):
        monkeypatch.setattr(
            compiler, "run", lambda kernel, blocks, threads, args, shared=0: started.append((kernel, args))
        )
        problems.pool("max_pool", POOL_CASE, False)
    (function, bounds), args = started[0]
    signature = tuple(map(cuda_compiler.type_of, args))
    alone, _ = numba.cuda.compile(
        function, signature, cc=target, device=False, output="ptx", abi="numba", launch_bounds=bounds
    )
    shared = cuda_compiler.compiled(function, signature, bounds, target)
    kept = ("registers", "stack")
    one, other = (cuda_compiler.assembled(ptx, target) for ptx in (alone, shared))
    assert [one[k] for k in kept] == [other[k] for k in kept]
