"""Matrix products on CUDA, in the simulator: every transposition and dtype against NumPy, errors, planted bugs."""

import cuda_problems as problems
import cudasim
import ml_dtypes
import naive
import numpy as np
import pytest
from planting import assert_noticed, mutated

import fastconv as fc
from fastconv.cuda import backend, gemm, launch
from fastconv.cuda.gemm import plain, tensor, tiles
from fastconv.errors import DeviceMissing, InvalidArgument, Unsupported

EXECUTOR = cudasim.Executor()
SHAPES = [(5, 7, 6), (16, 12, 20), (1, 9, 1), (3, 1, 4)]  # rows, columns, depth
BF16 = np.dtype(ml_dtypes.bfloat16)
ways = pytest.mark.parametrize("ways", [(False, False), (True, False), (False, True), (True, True)], ids=str)


@pytest.fixture
def simulator(monkeypatch):
    monkeypatch.setattr(tiles, "TILES", (tiles.Tile(16, 16, 4, 4, 4),))
    monkeypatch.setattr(tiles, "TENSOR_TILES", (tiles.TensorTile(32, 16, 1, 1),))
    with backend.run_on(EXECUTOR):
        yield EXECUTOR


@pytest.fixture
def tensor_cores(monkeypatch):
    """For products of any size."""
    choose = tensor.choose_numbers
    monkeypatch.setattr(tensor, "choose_numbers", lambda *a, zeros: choose(*a[:3], 1000, 1000, zeros))


@pytest.fixture
def started(monkeypatch):
    """Names of the factories whose kernels are started."""
    names, start = [], launch.launch
    for module in (plain, tensor):
        monkeypatch.setattr(module, "launch", lambda f, *a, **o: (names.append(f.__name__), start(f, *a, **o)))
    return names


def factors(shape, ways, dtype):
    """Two factors of small whole numbers as they are passed, a bias, and the product's float64 value."""
    rows, columns, depth = shape
    a, b, bias = problems.draw(f"{shape}", (rows, depth), (depth, columns), (columns,))
    given = [np.ascontiguousarray(f.T if turned else f, dtype) for f, turned in zip((a, b), ways, strict=True)]
    return *given, bias.astype(dtype), a @ b + bias


def multiply(a, b, bias, ways, **options):
    return fc.matmul(a, b, bias, transpose_a=ways[0], transpose_b=ways[1], device="cuda", **options)


@ways
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products(simulator, started, shape, ways, dtype):
    """Transposed factors are read as they lie: one kernel is started."""
    a, b, bias, expected = factors(shape, ways, dtype)
    y = multiply(a, b, bias, ways)
    assert y.dtype == dtype and started == ["make_gemm_plain"]
    np.testing.assert_array_equal(y, expected)


@ways
def test_tf32(simulator, tensor_cores, started, ways):
    a, b, bias, expected = factors((35, 17, 20), ways, "float32")
    with fc.allow_tf32():
        np.testing.assert_array_equal(multiply(a, b, bias, ways), expected)
    staged = "make_stage", "make_stage_planes"
    assert started == [staged[ways[0]], staged[not ways[1]], "make_gemm_tensor"]


@ways
@pytest.mark.parametrize("dtype", [np.dtype(np.float16), BF16], ids=str)
def test_halves(simulator, tensor_cores, started, ways, dtype):
    a, b, bias, expected = factors((9, 7, 6), ways, dtype)
    y = multiply(a, b, bias, ways)
    assert y.dtype == dtype and "make_gemm_tensor" in started
    np.testing.assert_array_equal(y, expected.astype(dtype))


def test_halves_that_are_words_already_are_not_copied(simulator, started):
    """Both factors with the summed index side by side, a multiple of 32 of them."""
    a, b, bias, expected = factors((5, 17, 64), (False, True), np.float16)
    np.testing.assert_array_equal(multiply(a, b, bias, (False, True)), expected.astype(np.float16))
    assert started == ["make_gemm_tensor"]


def test_halves_that_tensor_cores_do_not_serve(simulator, started):
    a, b, bias, expected = factors((5, 7, 6), (True, False), BF16)
    y = multiply(a, b, bias, (True, False))
    assert y.dtype == BF16 and started == ["make_gemm_plain"]
    np.testing.assert_array_equal(y, expected.astype(BF16))


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("with_bias", [False, True])
def test_bias_and_activation(simulator, activation, with_bias):
    a, b, bias, expected = factors((5, 7, 6), (False, True), "float32")
    y = multiply(a, b, bias if with_bias else None, (False, True), activation=activation)
    expected = naive.activate(expected - (0 if with_bias else bias), activation)
    np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_error_is_within_its_bound(simulator):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((9, 33), np.float32), rng.standard_normal((33, 10), np.float32)
    y = fc.matmul(a, b, device="cuda")
    bound = 33 * np.finfo(np.float32).eps * (np.abs(a) @ np.abs(b))
    assert (np.abs(y - a.astype(float) @ b.astype(float)) <= bound).all()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_nothing_to_sum(simulator, dtype):
    a, b, bias = np.zeros((3, 0), dtype), np.zeros((0, 2), dtype), np.array([-1, 2], dtype)
    np.testing.assert_array_equal(fc.matmul(a, b, bias, activation="relu", device="cuda"), [[0, 2]] * 3)
    np.testing.assert_array_equal(fc.matmul(a, b, device="cuda"), np.zeros((3, 2)))


def test_nothing_to_compute(simulator):
    assert fc.matmul(np.zeros((0, 3)), np.zeros((3, 4)), device="cuda").shape == (0, 4)
    assert fc.matmul(np.zeros((2, 3)), np.zeros((3, 0)), device="cuda").shape == (2, 0)


def test_nan_reaches_its_row_and_column_alone(simulator):
    """Not what pads the last step."""
    a, b = np.ones((5, 6), np.float32), np.ones((6, 7), np.float32)
    a[4, 5], b[5, 6] = np.nan, np.inf
    y = fc.matmul(a, b, device="cuda")
    assert np.isnan(y[4]).all() and np.isinf(y[:4, 6]).all()
    np.testing.assert_array_equal(y[:4, :6], 6)


def test_device_arrays(simulator):
    a, b, bias, expected = factors((5, 7, 6), (False, False), "float32")
    y = fc.matmul(*map(backend.to_device, (a, b, bias)))
    assert isinstance(y, cudasim.DeviceArray)
    np.testing.assert_array_equal(backend.to_host(y), expected)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_out(simulator, dtype):
    a, b, bias, expected = factors((5, 7, 6), (False, False), dtype)
    out = np.empty((5, 7), dtype)
    assert fc.matmul(a, b, bias, device="cuda", out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_wide_indices(simulator, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    a, b, bias, expected = factors((5, 7, 6), (True, True), "float32")
    np.testing.assert_array_equal(multiply(a, b, bias, (True, True)), expected)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: fc.matmul(np.ones((2, 3)), np.ones((4, 5)), device="cuda"), InvalidArgument, "3 columns but b has 4"),
        (lambda: fc.matmul(np.ones((2, 3)), None, device="cuda"), InvalidArgument, "b is None"),
        (lambda: fc.matmul(np.ones((2, 3)), None), InvalidArgument, "b is None"),
        (lambda: fc.matmul(3.0, np.ones((3, 1)), device="cuda"), InvalidArgument, "factors with axes"),
        (lambda: fc.matmul(np.ones((2, 3)), np.ones((3, 4)), np.ones(3), device="cuda"), InvalidArgument, "bias has"),
        (lambda: fc.matmul(np.ones((2, 3)), np.ones((3, 4)), device="gpu"), InvalidArgument, "device is 'gpu'"),
        (lambda: fc.matmul(np.ones((2, 3), complex), np.ones((3, 4)), device="cuda"), Unsupported, "complex"),
        (
            lambda: fc.matmul(np.ones((2, 3)), np.ones((3, 4)), device="cuda", out=np.ones((2, 3))),
            InvalidArgument,
            "out has shape",
        ),
        (lambda: fc.matmul(backend.to_device(np.ones((2, 3))), np.ones((3, 4))), InvalidArgument, "mixed"),
    ],
)
def test_errors(simulator, call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_without_a_gpu(monkeypatch):
    def missing():
        raise DeviceMissing("looked for a GPU")

    monkeypatch.setattr(backend, "executor", missing)
    with pytest.raises(DeviceMissing, match="looked for"):
        fc.matmul(np.ones((2, 3)), np.ones((3, 4)), device="cuda")


BUGS = {
    "a not transposed": ("(1, rows) if transposed else (depth, 1)", "(depth, 1)"),
    "b not transposed": ("column, channel = (1, depth) if transpose_b else", "column, channel ="),
    "rows of y too near": ("Target(0, 0, 0, columns, 1, 0)", "Target(0, 0, 0, depth, 1, 0)"),
    "a step too few": ("Factor(column, channel, 0, columns, depth)", "Factor(column, channel, 0, columns, depth - 1)"),
    "bias before the sum": ("finish(y, bias, activation, True)", "finish(y, None, activation, True)"),
}


def every_way(run):
    pairs = []
    for ways in ((False, False), (True, True)):
        a, b, bias, expected = factors((5, 7, 6), ways, "float32")
        a, b, bias = map(backend.to_device, (a, b, bias))
        y = backend.empty((5, 7), "float32")
        run(a, b, bias, y, transpose_a=ways[0], transpose_b=ways[1], activation=None)
        pairs.append((backend.to_host(y), expected))
    y, bias = backend.empty((2, 2), "float32"), backend.to_device(np.ones(2, np.float32))
    nothing = backend.empty((0, 2), "float32"), backend.empty((0, 2), "float32")
    run(*nothing, bias, y, transpose_a=True, transpose_b=False, activation=None)
    return [*pairs, (backend.to_host(y), 1)]


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs(simulator, bug, tmp_path):
    run = mutated(gemm, *BUGS[bug], tmp_path).matmul
    assert_noticed(lambda: every_way(run))


def test_no_mutant_is_noticed_without_a_bug(simulator, tmp_path):
    run = mutated(gemm, "    elif depth == 0:", "    elif 0 == depth:", tmp_path).matmul
    for actual, expected in every_way(run):
        np.testing.assert_array_equal(actual, np.broadcast_to(expected, actual.shape))


def test_stacks(simulator):
    rng = np.random.default_rng(0)
    for a_shape, b_shape in (((3, 2, 4), (4, 5)), ((3, 1, 2, 4), (2, 4, 3)), ((4,), (3, 4, 2)), ((3, 2, 4), (4,))):
        a, b = rng.standard_normal(a_shape), rng.standard_normal(b_shape)
        y = fc.matmul(fc.to_device(a), fc.to_device(b))
        assert y.shape == np.matmul(a, b).shape
        np.testing.assert_allclose(y.numpy(), np.matmul(a, b), rtol=1e-12, atol=1e-12)
        halves = [fc.to_device(v.astype(np.float16)) for v in (a, b)]
        np.testing.assert_allclose(fc.matmul(*halves).numpy(), np.matmul(a, b), atol=0.02)
