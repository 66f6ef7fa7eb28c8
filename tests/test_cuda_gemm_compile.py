"""Machine code of the GEMMs that `test_cuda_compile` does not know: weight gradients on tensor cores, plain products.

Needs numba-cuda with its toolkit packages (``pip install 'fastconv[cuda13]'``) but no driver; skipped where they are
not installed.
"""

import cuda_compiler
import cuda_problems as problems
import numpy as np
import pytest
from cuda_compiler import architecture, check, compiler, find, needs_disassembler

import fastconv as fc
from fastconv.cuda import launch
from fastconv.cuda.gemm import tiles

if cuda_compiler.missing:
    pytest.skip(cuda_compiler.missing, allow_module_level=True)

__all__ = ["architecture", "compiler"]  # fixtures


def loop_of(compiler, kernel, arithmetic, folder):
    loop = cuda_compiler.main_loop(cuda_compiler.instructions(find(compiler, kernel)["cubin"], folder), arithmetic)
    print(loop, loop[arithmetic] / loop.total())
    return loop


# --- weight gradients on tensor cores


def weight_gradient(dtype):
    dtype = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype
    x, dy = np.zeros((1, 64, 5, 6), dtype), np.zeros((1, 128, 5, 6), dtype)
    with fc.allow_tf32():
        fc.conv2d_weight_grad(x, dy, (128, 64, 3, 3), padding=1, device="cuda", method="im2col")


@pytest.fixture
def tile(request, monkeypatch):
    """The tile that weight gradients get, with the GPU's stages."""
    chosen = tiles.TENSOR_TILES[request.param]
    monkeypatch.setattr(tiles, "TENSOR_TILES", (chosen,))
    return chosen


@pytest.mark.parametrize(
    "tile, dtype", [*((n, d) for n in range(4) for d in ("float32", "bfloat16")), (0, "float16")], indirect=["tile"]
)
def test_every_tile_of_weight_gradients_compiles(compiler, tile, dtype):
    weight_gradient(dtype)
    check(compiler)
    assert find(compiler, "gemm_weights_tensor")["registers"] <= 128


@needs_disassembler
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("tile", [0], indirect=True)
def test_weight_gradients_feed_tensor_cores(compiler, tile, dtype, tmp_path):
    """16-bit fragments come turned, four matrices a load; TF32 words one by one; copies of 16 bytes."""
    weight_gradient(dtype)
    loop = loop_of(compiler, "gemm_weights_tensor", "HMMA", tmp_path)
    assert loop["HMMA"] == 2 * tile.MT * tile.NT and loop["LDGSTS.128"] == 4
    if dtype == "float32":
        assert loop["LDS"] == 2 * (4 * tile.MT + 2 * tile.NT) and "LDSM" not in loop
    else:
        assert loop["LDSM"] == 2 * (tile.MT + tile.NT // 2) and "LDS" not in loop
    assert not {"STS", "LDL", "STL"} & loop.keys()
    assert loop.total() <= 240


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("tile", [0], indirect=True)
def test_weight_gradients_on_every_architecture(architecture, tile, dtype):
    """From sm_80 on; before, 16-bit numbers are computed in float32."""
    if architecture.capability() < (8, 0) and dtype == "bfloat16":
        pytest.skip("bfloat16 conversions need sm_80")
    weight_gradient(dtype)
    check(architecture)
    names = {report["kernel"] for report in architecture.reports}
    assert ("gemm_weights_tensor" in names) == (architecture.capability() >= (8, 0))
    for report in architecture.reports:
        limit = tiles.gpu(architecture.capability()).block << 10
        assert report["shared"] <= limit


def test_wide_indices_compile(compiler, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    weight_gradient("float32")
    problems.convolve("conv", "im2col", PLAIN, True)
    check(compiler)


# --- plain products

PLAIN = problems.Case("1x1", (1, 64, 4, 4), (128, 64, 1, 1))


@needs_disassembler
@pytest.mark.parametrize("op, channels_last", [("conv", False), ("conv", True), ("conv_input_grad", True)])
def test_plain_products_mostly_multiply(compiler, op, channels_last, tmp_path, monkeypatch):
    """No gather: both factors by one load of 16 bytes each a step, in at most 128 registers."""
    monkeypatch.setattr(tiles, "float_tile", lambda *sizes: tiles.TILES[0])
    problems.convolve(op, "im2col", PLAIN, channels_last)
    check(compiler)
    assert [report["kernel"] for report in compiler.reports] == ["gemm_plain"]
    assert find(compiler, "gemm_plain")["registers"] <= 128
    loop = loop_of(compiler, "gemm_plain", "FFMA", tmp_path)
    assert loop["FFMA"] == 512 and loop["LDS.128"] == 32 and loop["LDG.128"] == 2
    assert not {"LDG", "LDS", "LDL", "STL"} & loop.keys()
    assert loop["FFMA"] >= 0.83 * loop.total()


@needs_disassembler
def test_channels_that_lie_side_by_side_are_gathered_by_long_loads(compiler, tmp_path, monkeypatch):
    monkeypatch.setattr(tiles, "float_tile", lambda *sizes: tiles.TILES[0])
    problems.convolve("conv", "im2col", problems.Case("3x3", (1, 64, 4, 4), (128, 64, 3, 3), {"padding": 1}), True)
    check(compiler)
    loop = loop_of(compiler, "gemm", "FFMA", tmp_path)
    assert find(compiler, "gemm")["registers"] <= 128
    assert loop["FFMA"] == 512 and loop["LDG.128"] == 2
    assert loop["FFMA"] >= 0.8 * loop.total()


@pytest.mark.parametrize("number", range(1, 5))
def test_every_plain_tile_compiles(compiler, number, monkeypatch):
    monkeypatch.setattr(tiles, "float_tile", lambda *sizes: tiles.TILES[number])
    problems.convolve("conv", "im2col", PLAIN, number % 2 == 0)
    check(compiler)


def test_plain_products_on_every_architecture(architecture, monkeypatch):
    monkeypatch.setattr(tiles, "float_tile", lambda *sizes: tiles.TILES[0])
    problems.convolve("conv", "im2col", PLAIN, True)
    check(architecture)
    assert find(architecture, "gemm_plain")["registers"] <= (128 if architecture.capability() < (10, 0) else 144)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_matmul_compiles(compiler, dtype):
    a, b = np.zeros((20, 40), dtype), np.zeros((30, 40), dtype)
    fc.matmul(a, b, b[:, 0].copy(), transpose_b=True, activation="relu", device="cuda")
    fc.matmul(a[:, :3].copy(), a, transpose_a=True, device="cuda")
    long = np.zeros((1100, 30), dtype)
    fc.matmul(long, long, long[0], transpose_a=True, activation="relu", device="cuda")
    check(compiler, dtype)
    assert "add_parts" in {report["kernel"] for report in compiler.reports}


def test_staging_compiles(compiler):
    """Both ways an image may lie, and a product of either."""
    with fc.allow_tf32():
        for layout, shape in (("NCHW", (1, 40, 5, 6)), ("NHWC", (1, 5, 6, 40))):
            w = (48, 40, 3, 3) if layout == "NCHW" else (3, 3, 40, 48)
            fc.conv2d(
                np.zeros(shape, np.float32), np.zeros(w, np.float32), layout=layout, device="cuda", method="im2col"
            )
        a = np.zeros((48, 40), np.float32)
        fc.matmul(a, a, transpose_b=True, device="cuda")
    check(compiler)
    assert {"stage", "stage_planes", "pack", "pack_turned", "gemm_tensor"} <= {
        report["kernel"] for report in compiler.reports
    }
