"""Kernels that are not GEMMs go through the real compiler: no local memory, no float64 where float32 is computed."""

import cuda_compiler
import cuda_problems as problems
import numpy as np
import pytest
from cuda_compiler import architecture, compiler, needs_disassembler

import fastconv as fc
from fastconv.cuda import backend, halves, launch
from fastconv.cuda.arrays import layout
from fastconv.cuda.fft import spectra

if cuda_compiler.missing:
    pytest.skip(cuda_compiler.missing, allow_module_level=True)

__all__ = ["architecture", "compiler"]  # fixtures


def check(compiler, *kernels, single=True, registers=255):
    """All that was compiled, and these kernels among it, keep everything in registers."""
    assert set(kernels) <= {report["kernel"] for report in compiler.reports}
    for report in compiler.reports:
        print({key: report[key] for key in ("kernel", "registers", "stack")})
        assert report["stack"] == 0, f"{report['kernel']} keeps {report['stack']} bytes outside of registers"
        assert report["registers"] <= registers, report["kernel"]
        assert not single or ".f64" not in report["ptx"], f"{report['kernel']} computes in float64"


# --- layouts


def permute(shape, axes, dtype="float32"):
    layout.permute(backend.empty(shape, dtype), axes)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "int64", "bool", "complex64"])
def test_layouts_compile(compiler, dtype):
    permute((2, 16, 5, 7), (0, 2, 3, 1), dtype)
    permute((2, 3, 4, 5, 6, 7), (5, 3, 0, 4, 2, 1), dtype)
    check(compiler, "transpose", "move", single=False, registers=64)


def test_wide_layouts_compile(compiler, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    permute((2, 16, 5, 7), (0, 2, 3, 1))
    permute((2, 3, 5, 7), (0, 2, 3, 1))
    check(compiler, "transpose", "move", registers=64)


def test_layouts_on_every_architecture(architecture):
    permute((2, 16, 5, 7), (0, 2, 3, 1))
    permute((2, 3, 5, 7), (0, 2, 3, 1))
    check(architecture, "transpose", "move", registers=64)


# --- convolutions


def convolve(op, method, x_shape, w_shape, channels_last, dtype="float32", **options):
    """Start a row's kernels on arrays without contents; `activation` and `numbers` (16 bits) are options too."""
    activation, numbers = options.pop("activation", None), options.pop("numbers", None)
    case = problems.Case("", x_shape, w_shape, options)
    problem, missing = problems.problem_of(op, case, channels_last, dtype), 3 - case.rank

    def array(shape, weights=False):
        shape = shape[:2] + (1,) * missing + shape[2:]
        if channels_last:
            shape = (*shape[2:], shape[1], shape[0]) if weights else (shape[0], *shape[2:], shape[1])
        return backend.empty(shape, dtype) if numbers is None else halves.empty(shape, np.dtype(numbers))

    x, w, y = array(case.x_shape), array(case.w_shape, True), array(case.y_shape)
    run = problems.kernel(op, method)
    if op == "conv":
        run(problem, x, w, backend.empty(w_shape[:1], dtype), y, activation=activation)
    elif op == "conv_input_grad":
        run(problem, y, w, x)
    else:
        run(problem, x, y, w)


DEPTHWISE = {"conv": "depthwise", "conv_input_grad": "depthwise", "conv_weight_grad": "depthwise_grad"}
each_op = pytest.mark.parametrize("op", problems.CONVOLUTIONS)
each_layout = pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])


DEPTHWISE_CASES = [
    (3, 64, {"activation": "relu"}, problems.CONVOLUTIONS),
    (3, 128, {"stride": 2}, problems.CONVOLUTIONS[1:]),
    (5, 64, {}, problems.CONVOLUTIONS[:1]),
    (7, 64, {}, problems.CONVOLUTIONS),
]


@each_layout
@pytest.mark.parametrize(("size", "outputs", "options", "ops"), DEPTHWISE_CASES, ids=str)
def test_depthwise_compiles(compiler, size, outputs, options, ops, channels_last):
    for op in ops:
        shapes = (64, 64, 56, 56), (outputs, 1, size, size)
        convolve(op, "direct", *shapes, channels_last, groups=64, padding=size // 2, **options)
    check(compiler, *map(DEPTHWISE.get, ops))


@each_op
def test_depthwise_in_other_numbers_compiles(compiler, op, monkeypatch):
    problem = (8, 32, 56, 56), (64, 1, 3, 3), True
    convolve(op, "direct", *problem, "float64", groups=32)
    check(compiler, DEPTHWISE[op], single=False)
    if op != "conv_weight_grad":
        convolve(op, "direct", *problem, groups=32, numbers="float16")
    monkeypatch.setattr(launch, "NARROW", 1)
    convolve(op, "direct", *problem, groups=32)
    check(compiler, DEPTHWISE[op], single=False)


def test_depthwise_on_every_architecture(architecture):
    for op in problems.CONVOLUTIONS[1:]:
        convolve(op, "direct", (64, 64, 56, 56), (64, 1, 3, 3), op == "conv_input_grad", groups=64, padding=1)
    check(architecture, *DEPTHWISE.values())


@needs_disassembler
@pytest.mark.parametrize(("channels_last", "most"), [(False, 56), (True, 40)])
def test_depthwise_has_few_instructions_for_an_output(compiler, channels_last, most, tmp_path):
    """An H200 copies 540e9 numbers a second while its lanes run 28e12 instructions: 52 for each."""
    convolve("conv", "direct", (64, 64, 56, 56), (64, 1, 3, 3), channels_last, groups=64, padding=1)
    lines = cuda_compiler.instructions(compiler.reports[0]["cubin"], tmp_path)
    outputs = sum(line.startswith("STG") for line in lines)
    print(len(lines) / outputs, "instructions for an output")
    assert outputs in (16, 32) and len(lines) <= most * outputs


@each_layout
@pytest.mark.parametrize(
    ("op", "size", "dtype", "stride"),
    [
        ("conv", 3, "float32", 1),
        ("conv", 5, "float32", 1),
        ("conv_input_grad", 3, "float32", 2),
        ("conv", 3, "float64", 1),
    ],
)
def test_direct_tiled_compiles(compiler, op, size, dtype, stride, channels_last):
    options = {"padding": size // 2, "stride": stride}
    convolve(op, "direct", (64, 4, 224, 224), (4, 4, size, size), channels_last, dtype, **options)
    check(compiler, "direct_tiled", single=dtype == "float32")


def test_wide_direct_tiled_compiles(compiler, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    convolve("conv", "direct", (64, 4, 224, 224), (4, 4, 3, 3), True, activation="relu")
    check(compiler, "direct_tiled")


def test_direct_tiled_on_every_architecture(architecture):
    convolve("conv", "direct", (64, 4, 224, 224), (4, 4, 3, 3), True)
    check(architecture, "direct_tiled")


# --- Winograd's gradients


@each_layout
@pytest.mark.parametrize("op", problems.CONVOLUTIONS[1:])
def test_winograd_gradients_compile(compiler, op, channels_last):
    convolve(op, "winograd", (2, 8, 9, 10), (8, 8, 3, 3), channels_last, padding=1)
    kernels = {"conv_input_grad": ("to_values",), "conv_weight_grad": ("gradient_to_points", "to_taps")}[op]
    check(compiler, "to_points", *kernels)


def test_winograd_gradients_on_every_architecture(architecture):
    for op in problems.CONVOLUTIONS[1:]:
        convolve(op, "winograd", (2, 8, 9, 10), (8, 8, 3, 3), True, padding=1)
    check(architecture, "gradient_to_points", "to_taps")


# --- im2col and col2im


@pytest.mark.parametrize("wide", [False, True])
def test_unfolding_compiles(compiler, wide, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1 if wide else 1 << 30)
    for dtype in ("float32", "float16", "bool", "int64"):
        fc.unfold2d(backend.empty((2, 3, 9, 8), dtype), 3, stride=2, padding=1)
    fc.fold2d(backend.empty((2, 27, 20), "float32"), (2, 3, 9, 8), 3, stride=2, padding=1)
    check(compiler, "unfold", "fold")


def test_unfolding_on_every_architecture(architecture):
    fc.unfold2d(backend.empty((2, 3, 9, 8), "float32"), 3, stride=2, padding=1)
    fc.fold2d(backend.empty((2, 27, 20), "float32"), (2, 3, 9, 8), 3, stride=2, padding=1)
    check(architecture, "unfold", "fold")


# --- Fourier transforms: what surrounds them


@pytest.fixture
def transforms(monkeypatch):
    """Arrays of the right shapes in place of transforms."""

    def rfftn(a, axes):
        return backend.empty((*spectra.spectrum_shape(a.shape, axes), 2), a.dtype)

    monkeypatch.setattr(spectra, "rfftn", rfftn)
    monkeypatch.setattr(spectra, "irfftn", lambda spectrum, shape, axes: backend.empty(shape, spectrum.dtype))


@each_op
@pytest.mark.parametrize(("dtype", "wide"), [("float32", False), ("float64", False), ("float32", True)])
def test_fft_compiles(compiler, transforms, op, dtype, wide, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1 if wide else 1 << 30)
    convolve(op, "fft", (4, 4, 40, 40), (4, 4, 9, 9), True, dtype, padding=4)
    convolve(op, "fft", (4, 4, 40, 40), (4, 1, 9, 9), False, dtype, stride=2, groups=4)
    check(compiler, "lay", "sum_products", "take", single=dtype == "float32")


def test_fft_on_every_architecture(architecture, transforms):
    convolve("conv_input_grad", "fft", (4, 4, 40, 40), (4, 4, 9, 9), False, padding=4, stride=2)
    check(architecture, "lay", "sum_products", "take")
