"""Convolution by Fourier transforms on CUDA: in the simulator, with NumPy's transforms in cuFFT's place."""

import dataclasses
import itertools
import sys
import types
from dataclasses import replace

import cuda_problems as problems
import cuda_transforms
import cudasim
import naive
import numpy as np
import pytest
from planting import assert_noticed, mutated

import fastconv as fc
from fastconv import config, dispatch
from fastconv.cuda import backend, fft, launch
from fastconv.cuda.fft import grid, kernels, spectra
from fastconv.errors import MissingExtra
from fastconv.spec import conv_problem

EXECUTOR = cudasim.Executor()


def _case(name, x, w, **options):
    return problems.Case(name, x, w, options)


CASES = [
    _case("odd tails", (2, 3, 5, 6), (2, 3, 3, 4), padding=1),
    _case("groups, strides by axis", (1, 4, 7, 8), (6, 2, 3, 2), groups=2, stride=(2, 3), padding=((1, 0), (2, 1))),
    _case("dilation", (1, 2, 8, 7), (2, 2, 3, 2), dilation=(2, 3), stride=2, padding=2),
    _case("depthwise", (2, 3, 5, 5), (3, 1, 3, 3), groups=3, padding=1),
    _case("padding beyond kernel", (1, 2, 3, 4), (2, 2, 2, 2), padding=(4, 3), stride=3),
    _case("stride beyond kernel", (1, 2, 8, 9), (2, 2, 2, 1), stride=(3, 4)),
    _case("stride beyond image", (1, 2, 3, 4), (3, 2, 2, 2), stride=9, padding=1),
    _case("filter = image", (2, 2, 4, 3), (2, 2, 4, 3)),
    _case("columns only", (1, 2, 6, 1), (2, 2, 3, 1), padding=((1, 1), (0, 0))),
    _case("1-D", (2, 2, 21), (2, 2, 5), padding=((3, 1),)),
    _case("3-D", (1, 2, 3, 4, 3), (2, 2, 2, 3, 2), stride=(2, 1, 1), dilation=(1, 1, 2), padding=(1, 0, 2)),
    _case("reflect", (1, 2, 4, 5), (2, 2, 3, 3), padding=2, padding_mode="reflect"),
    _case("empty batch", (0, 2, 4, 5), (2, 2, 3, 3)),
]
each_op = pytest.mark.parametrize("op", problems.CONVOLUTIONS)
each_layout = pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])


@pytest.fixture
def simulator(monkeypatch):
    cuda_transforms.install(monkeypatch)
    with backend.run_on(EXECUTOR):
        yield EXECUTOR


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of two reaches, a few at a time."""
    monkeypatch.setattr(grid, "TILES", (2,))
    small = dataclasses.replace(config.settings, scratch_bytes=6000)
    for module in (config, fft):  # mutants take it from the first
        monkeypatch.setattr(module, "settings", small)
    whole = grid._axis_cuts
    monkeypatch.setattr(grid, "_axis_cuts", lambda *axis: whole(*axis)[-1:])
    grid.tiling.cache_clear()
    yield
    grid.tiling.cache_clear()


def agree(actual, expected, tolerance=2e-6):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max(initial=10))


def case_named(name):
    return next(case for case in CASES if str(case) == name)


@each_layout
@each_op
@pytest.mark.parametrize("case", CASES, ids=str)
def test_fft(simulator, case, op, channels_last):
    agree(*problems.convolve(op, "fft", case, channels_last))


@each_op
@pytest.mark.parametrize("name", ["odd tails", "groups, strides by axis", "1-D", "padding beyond kernel"])
def test_tiles(simulator, small_tiles, name, op):
    """Several overlapping tiles along each axis, in several rounds."""
    agree(*problems.convolve(op, "fft", case_named(name), False))


@each_op
def test_float64_and_wide_indices(simulator, op, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    agree(*problems.convolve(op, "fft", case_named("groups, strides by axis"), True, "float64"), 1e-14)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_activation_and_no_bias(simulator, activation):
    for bias in (True, False):
        agree(*problems.convolve("conv", "fft", case_named("1-D"), True, activation=activation, bias=bias))


def test_error_is_within_its_bound(simulator):
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((1, 3, 12, 12), np.float32), rng.standard_normal((2, 3, 5, 5), np.float32)
    exact = naive.conv(
        x.astype(float), w.astype(float), None, stride=(1, 1), dilation=(1, 1), padding=((0, 0), (0, 0)), groups=1
    )
    y = fc.conv2d(x, w, device="cuda", method="fft")
    norms = np.sqrt((x**2).sum((0, 2, 3))) * np.sqrt((w**2).sum((2, 3)))
    bound = 4 * 2**-24 * np.log2(144) * norms.sum(1)
    assert (np.abs(y - exact) <= bound.reshape(1, -1, 1, 1)).all()


@pytest.mark.parametrize("n", [1, 2, 11, 97, 1000, 1025])
def test_fast_lengths(n):
    length = grid.fast_length(n)
    assert length >= n and length < 2 * n
    assert 210**20 % length == 0


def test_cuts_hold_all_results():
    for results, reach, step in [((1, 50, 60), (0, 6, 4), (1, 3, 1)), ((9, 9, 9), (2, 8, 0), (1, 1, 2))]:
        for weights in (1, 100, 10_000):
            c = grid.tiling(results, reach, step, 2, 3, weights, 1 << 20)
            for n, k, s, length, move, tiles in zip(results, reach, step, *c, strict=True):
                assert length >= move + k and move % s == 0 and (tiles - 1) * move < n <= tiles * move


def test_many_filters_take_small_tiles():
    one = grid.tiling((1, 2048, 2048), (0, 30, 30), (1, 1, 1), 1, 2, 1, 1 << 27)
    many = grid.tiling((1, 2048, 2048), (0, 30, 30), (1, 1, 1), 1, 128, 4096, 1 << 27)
    assert many.points < one.points and many.points * 4096 <= 1 << 27


def test_auto_never_takes_it():
    spec = conv_problem((1, 8, 200, 200), (8, 8, 63, 63), rank=2)
    assert dispatch.choose_method(replace(spec, op="conv"), "cuda") == "im2col"
    assert dispatch.find(replace(spec, op="conv"), "fft", "cuda").module == "fastconv.cuda.fft"


# --- CuPy


def test_without_cupy_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    spectra._cupy.cache_clear()
    with backend.run_on(EXECUTOR), pytest.raises(MissingExtra, match=r"fastconv\[cufft\]"):
        fc.conv2d(np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 2, 2), np.float32), device="cuda", method="fft")


class FakeCupy(types.ModuleType):
    """NumPy under CuPy's name; keeps what was asked for."""

    def __init__(self):
        super().__init__("cupy")
        self.asked, self.streams = [], []
        self.fft = types.SimpleNamespace(rfftn=self._rfftn, irfftn=self._irfftn)
        null = self._entered("null")
        self.cuda = types.SimpleNamespace(Stream=types.SimpleNamespace(null=null), ExternalStream=self._entered)
        self.ascontiguousarray = np.ascontiguousarray

    def asarray(self, a):
        return backend.to_host(a)

    def _rfftn(self, a, axes):
        self.asked.append(("rfftn", a.dtype, a.shape, axes))
        return np.fft.rfftn(a, axes=axes)  # complex128: what comes back is to have the arrays' precision

    def _irfftn(self, a, s, axes):
        self.asked.append(("irfftn", a.dtype, a.shape, s, axes))
        return np.fft.irfftn(a, s, axes)

    def _entered(self, pointer):
        class Stream:
            def __enter__(_):
                self.streams.append(pointer)

            def __exit__(_, *error):
                return None

        return Stream()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cupy_is_asked_for_the_right_transforms(monkeypatch, dtype):
    cupy = FakeCupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(EXECUTOR, "adopt", lambda a: EXECUTOR.to_device(a), raising=False)
    spectra._cupy.cache_clear()
    with backend.run_on(EXECUTOR):
        agree(*problems.convolve("conv", "fft", _case("", (2, 3, 5, 6), (4, 3, 2, 3)), False, dtype))
    spectra._cupy.cache_clear()
    values = {"float32": np.complex64, "float64": np.complex128}[dtype]
    assert cupy.asked == [
        ("rfftn", np.dtype(dtype), (4, 3, 1, 5, 6), (3, 4)),
        ("rfftn", np.dtype(dtype), (2, 3, 1, 5, 6), (3, 4)),
        ("irfftn", values, (2, 4, 1, 5, 4), (5, 6), (3, 4)),
    ]
    assert cupy.streams == ["null"] * 3


def test_cupy_works_on_the_callers_stream(monkeypatch):
    cupy = FakeCupy()
    monkeypatch.setattr(spectra, "current_stream", lambda: 1234)
    with spectra._on_stream(cupy):
        assert cupy.streams == [1234]


# --- planted bugs

KERNEL_BUGS = {
    "not conjugated": ("bi[j] = -bi[j]", "bi[j] = bi[j]"),
    "real parts alone": ("ar[i] * br[j] - ai[i] * bi[j]", "ar[i] * br[j]"),
    "what was there is lost": ("if add and U(n0", "if not add and U(n0"),
    "a column too many": ("(columns):\n                    br", "(columns + 1):\n                    br"),
    "tiles do not move": ("th * U(s.move_h) + jh", "jh"),
    "between the places": (" and rest_h == U(0)", ""),
    "beyond a tile of dy": ("jh < U(s.limit_h)", "True"),
    "before the first place": ("real = real and S(d) >= 0 and S(h) >= 0 and S(w) >= 0", "real = True"),
    "results of one tile": ("h = U(th * U(t.count_h) + kh - U(t.shift_h))", "h = U(kh - U(t.shift_h))"),
    "beyond the image": ("if d < U(t.D) and h < U(t.H) and w", "if d < U(t.D) and w"),
    "no stride": ("kw * U(t.step_w) + U(t.start_w)", "kw + U(t.start_w)"),
    "another channel's bias": ("v + b[c]", "v + b[0]"),
}


LONG = _case("several strided results in a tile", (1, 1, 3, 15), (2, 1, 1, 5), stride=(1, 2))


def run_all(module):
    yield problems.convolve("conv", "fft", LONG, False, function=module.conv)
    for name in ("odd tails", "groups, strides by axis"):
        for op in problems.CONVOLUTIONS:
            yield problems.convolve(op, "fft", case_named(name), False, function=getattr(module, op))


@pytest.mark.parametrize("bug", KERNEL_BUGS)
def test_planted_bugs(simulator, small_tiles, bug, tmp_path, monkeypatch):
    mutant = mutated(kernels, *KERNEL_BUGS[bug], tmp_path)
    for name in ("make_lay", "make_sum_products", "make_take"):
        monkeypatch.setattr(fft, name, getattr(mutant, name))
    assert_noticed(lambda: run_all(fft), 2e-5)  # one after the other, until one is


BUGS = {
    "correlated instead of convolved": ("tiles * p.C, sums, p.groups, False)", "tiles * p.C, sums, p.groups, True)"),
    "reach": ("axis.extent - 1 for axis", "axis.kernel - 1 for axis"),
    "strides of filters exchanged": ("return f.o, f.c, kernel", "return f.c, f.o, kernel"),
    "first tiles again": ("yield first, min(", "yield 0, min("),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_in_the_arithmetic(simulator, small_tiles, bug, tmp_path):
    mutant = mutated(fft, *BUGS[bug], tmp_path)
    case = case_named("dilation")
    dilated = (problems.convolve("conv", "fft", case, False, function=mutant.conv) for _ in range(1))
    assert_noticed(lambda: itertools.chain(run_all(mutant), dilated), 2e-5)


def test_no_mutant_is_noticed_without_a_bug(simulator, small_tiles, tmp_path, monkeypatch):
    mutant = mutated(kernels, "    return take\n", "    return take  # the same\n", tmp_path)
    monkeypatch.setattr(fft, "make_take", mutant.make_take)
    for actual, expected in run_all(fft):
        agree(actual, expected)
