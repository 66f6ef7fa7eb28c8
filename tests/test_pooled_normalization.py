"""Batch normalisation, and relu, before max pools whose windows tile the image: one pass, without places."""

import numpy as np
import pytest

import fastconv as fc
from fastconv.autograd import Tensor
from fastconv.autograd import functional as F
from fastconv.autograd.functional import _tiles, normalization, pooling
from fastconv.ops import _exactness
from fastconv.ops.normalization import batch_norm, batch_norm_training
from fastconv.spec import conv_problem

CASES = [
    ((3, 8, 8, 32), (2, 2)),
    ((2, 9, 7, 20), (2, 3)),
    ((2, 9, 7, 5), (3, 2)),
    ((1, 64, 48, 40), (2, 2)),
    ((2, 4, 5, 1), (4, 1)),
]


def plainly(monkeypatch):
    """The pools by places."""
    for module in (normalization, pooling):
        monkeypatch.setattr(module, "tiles_of", lambda *_: None)


def normalized(x, dy, size, relu):
    channels = x.shape[-1]
    gamma, beta = np.linspace(0.5, 1.5, channels, dtype=x.dtype), np.linspace(-1, 1, channels, dtype=x.dtype)
    operands = [Tensor(a.copy(), requires_grad=True) for a in (x, gamma, beta, np.zeros_like(beta))]
    running = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    y = F.batch_norm(*operands, running=running, relu=relu, pool={"size": size})
    y.backward(dy)
    return [y.numpy(), *(t.grad for t in operands), *running]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("shape", "size"), CASES)
def test_normalised_and_pooled(rng, monkeypatch, dtype, relu, shape, size):
    x = rng.standard_normal(shape).astype(dtype)
    dy = rng.standard_normal((shape[0], shape[1] // size[0], shape[2] // size[1], shape[3])).astype(dtype)
    assert _tiles.tiles_of(x, {"size": size}) == size
    found = []
    for threads in (1, 2, 3):
        with fc.threads(threads):
            found.append(normalized(x, dy, size, relu))
    for other in found[1:]:
        for a, b in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(a, b)
    plainly(monkeypatch)
    tolerance = 1e-4 if dtype == np.float32 else 1e-11
    for a, b in zip(found[0], normalized(x, dy, size, relu), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "size"), CASES)
def test_relu_and_pool(rng, monkeypatch, dtype, shape, size):
    """The first of equal elements gets what came to its window, and the first NaN, as where places are kept."""
    x = rng.integers(-2, 3, shape).astype(dtype)
    x[0, 0, 0, 0], x[-1, 2, 2, -1], x[0, 3, 0, 0] = np.nan, np.inf, -np.inf
    dy = rng.standard_normal((shape[0], shape[1] // size[0], shape[2] // size[1], shape[3])).astype(dtype)

    def run():
        operands = [Tensor(a, requires_grad=True) for a in (x, np.zeros(shape[-1], dtype))]
        y = F.relu_max_pool2d(*operands, size=size, layout="NHWC")
        y.backward(dy)
        return [y.numpy(), *(t.grad for t in operands)]

    found = []
    for threads in (1, 2, 3):
        with fc.threads(threads):
            found.append(run())
    for other in found[1:]:
        for a, b in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(a, b)
    plainly(monkeypatch)
    y, dx, db = run()
    np.testing.assert_array_equal(found[0][0], y)
    np.testing.assert_array_equal(found[0][1], dx)
    np.testing.assert_allclose(found[0][2], db, rtol=1e-4, atol=1e-4)


def test_windows_that_do_not_tile_are_pooled_by_places():
    x = np.zeros((1, 7, 8, 2))
    for pool in ({"size": 2, "stride": 1}, {"size": 3, "stride": 2}, {"size": 2, "padding": "same"}, {"size": 5}):
        assert _tiles.tiles_of(x, pool) is None, pool
    assert _tiles.tiles_of(x, {"size": (2, 4), "padding": "valid"}) == (2, 4)
    assert _tiles.tiles_of(np.zeros((1, 8, 8, 2)), {"size": 2, "padding": "same"}) == (2, 2)
    assert _tiles.tiles_of(np.zeros((1, 8, 8)), {"size": 2}) is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_a_normalisation_notes_is_what_a_look_at_its_result_tells(rng, dtype):
    """Where anything is noted, it is the judgement of a pass over the array; NaN, and groups, are looked at."""
    x = rng.standard_normal((3, 9, 8, 64)).astype(dtype)
    weights = np.ones(64, dtype), np.zeros(64, dtype)
    for place, value in ((None, 0), ((1, 2, 3, 4), np.nan), ((0, 0, 0, 0), np.inf), ((2, 5, 5, 63), 1e30)):
        given = x.copy()
        if place is not None:
            given[place] = value
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        with _exactness.noting(True):
            y = batch_norm(given, mean, var, *weights, 1e-3, -1, True)
            noted = _exactness._noted(y)
        for groups in (1, 4):
            problem = conv_problem(x.shape, (3, 3, 64 // groups, 8), rank=2, layout="NHWC", groups=groups)
            judged = _exactness._judge_images(problem, "winograd", y, False)
            assert groups > 1 or noted is None or noted == judged
            with _exactness.noting(True):
                again = batch_norm(given, mean, var, *weights, 1e-3, -1, True)
                assert _exactness._judge_images(problem, "winograd", again, False) == judged
        assert (noted is None) == (place is not None)
    assert _exactness._noted(y) is None  # outside of the block


def test_nothing_is_noted_without_a_promise(rng):
    x = rng.standard_normal((2, 4, 4, 64)).astype(np.float32)
    with _exactness.noting(False):
        y, *_ = batch_norm_training(x, np.ones(64, np.float32), np.zeros(64, np.float32), None, 0.9, 1e-3, -1)
        assert _exactness._noted(y) is None
