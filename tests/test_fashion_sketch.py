"""The drawn garments: the same bytes everywhere, balanced, as hard as intended; and the names of all data sets."""

from __future__ import annotations

import hashlib
import time

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from fastconv.errors import InvalidArgument
from fastconv.nn import datasets
from fastconv.nn.datasets import fashion_mnist, fashion_sketch
from fastconv.nn.datasets.garments import DRAWINGS
from fastconv.nn.datasets.sketch import Canvas, Random, coverage, ellipse, polygon, stroke, wave


@pytest.fixture(scope="module")
def sketch():
    return fashion_sketch.load_data(n_train=2500, n_test=500)


def test_form_and_balance(sketch):
    for (x, y), n in zip(sketch, (2500, 500), strict=True):
        assert x.shape == (n, 28, 28) and y.shape == (n,) and x.dtype == y.dtype == np.uint8
        assert np.bincount(y).tolist() == [n // 10] * 10
        assert not np.array_equal(y, np.sort(y))
    (x, y), empty = fashion_sketch.load_data(n_train=17, n_test=0)
    assert sorted(np.bincount(y, minlength=10)) == [1] * 3 + [2] * 7
    assert empty[0].shape == (0, 28, 28) and empty[1].shape == (0,)


def test_the_same_bytes_on_every_machine():
    (x_train, y_train), (x_test, y_test) = fashion_sketch.load_data(n_train=300, n_test=50)
    digest = hashlib.sha256(b"".join(a.tobytes() for a in (x_train, y_train, x_test, y_test))).hexdigest()
    assert digest == "e501fa800372b1f0506583f3ef4a1912d88dbe9529ebdf9b8133b0d49196df70"


def test_seed_and_splits_are_independent():
    (x, _), (x_test, _) = fashion_sketch.load_data(n_train=50, n_test=50)
    (other, _), _ = fashion_sketch.load_data(n_train=50, n_test=50, seed=1)
    pictures = np.concatenate([x, x_test, other]).reshape(150, -1)
    assert len(np.unique(pictures, axis=0)) == 150
    again = fashion_sketch.load_data("ignored", n_train=50, n_test=0)[0][0]
    assert np.array_equal(x, again)


def test_pictures_are_garments_on_a_dark_ground(sketch):
    (x, y), _ = sketch
    assert x.min() == 0 and x.max() == 255
    assert np.median(x[:, [0, -1]][:, :, [0, -1]]) < 5
    ink = np.array([(x[y == k] > 40).mean() for k in range(10)])
    assert (ink > 0.08).all() and (ink < 0.6).all()
    assert ink[[5, 7]].max() < ink[[0, 2, 4, 6]].min()  # shoes are smaller than coats


@pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda drawing: drawing.__name__)
def test_drawings_stay_single_precision_and_finite(drawing):
    canvas = Canvas(Random(3), 20)
    drawing(canvas)
    for field in (canvas.x, canvas.ink, canvas.tone):
        assert field.dtype == np.float32 and np.isfinite(field).all() and field.shape == (20, 28, 28)
    assert canvas.ink.min() >= 0 and canvas.ink.max() == 1
    assert canvas.tone.min() >= 0


def test_shapes_measure_distance_and_area():
    axis = np.arange(28, dtype=np.float32) - 13.5
    x, y = np.meshgrid(axis, axis)
    box = polygon(x, y, (-5.0, -3.0), (5.0, -3.0), (5.0, 3.0), (-5.0, 3.0))
    assert np.allclose(box, np.maximum(np.abs(x) - 5, np.abs(y) - 3))
    assert coverage(box).sum() == pytest.approx(60, abs=0.5)
    disc = ellipse(x, y, (0.5, 0.0), (6.0, 6.0))
    assert np.allclose(disc, np.hypot(x - 0.5, y) - 6, atol=1e-5)
    assert coverage(disc).sum() == pytest.approx(36 * np.pi, rel=0.02)
    line = stroke(x, y, (-4.0, -3.0), (4.0, 3.0), 2.0)
    assert coverage(line).sum() == pytest.approx(10 * 2 + np.pi, rel=0.05)


def test_random_numbers_have_their_moments():
    random = Random(1, 2)
    u = random.uniform(20_000, -2.0, 4.0)
    assert u.shape == (20_000, 1, 1) and u.min() >= -2 and u.max() < 4
    assert u.mean() == pytest.approx(1.0, abs=0.05) and u.std() == pytest.approx(6 / 12**0.5, rel=0.02)
    noise = random.noise((99, 101))
    assert noise.shape == (99, 101) and noise.mean() == pytest.approx(0, abs=0.05)
    assert noise.std() == pytest.approx(1, rel=0.03)
    t = np.linspace(-2, 2, 400, dtype=np.float32)
    assert np.abs(wave(t) - np.sin(2 * np.pi * t)).max() < 0.06


def linear_accuracy(x, y, x_test, y_test, ridge: float = 0.1) -> float:
    """Test accuracy of the least-squares linear classifier (logistic regression gets some 10 % more)."""
    a, b = (np.c_[v.reshape(len(v), -1), np.ones(len(v), np.float32)] for v in (x, x_test))
    target = np.eye(10, dtype=np.float32)[y]
    w = np.linalg.solve(a.T @ a + ridge * len(a) * np.eye(a.shape[1], dtype=np.float32), a.T @ target)
    return float(((b @ w).argmax(1) == y_test).mean())


def filtered(x, filters: int = 12):
    """The largest answers, in 4x4 blocks, to random 5x5 filters: a convolution layer that has learnt nothing."""
    w = np.random.default_rng(0).standard_normal((25, filters), dtype=np.float32)
    x = (x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True)
    answers = [
        np.abs(sliding_window_view(part, (5, 5), (1, 2)).reshape(-1, 25) @ (w - w.mean(0))) for part in x[:, None]
    ]
    return np.stack(answers).reshape(len(x), 6, 4, 6, 4, filters).max((2, 4))


def test_a_linear_classifier_learns_and_a_convolution_beats_it(sketch):
    (x, y), (x_test, y_test) = sketch
    x, x_test = x / np.float32(255), x_test / np.float32(255)
    linear = linear_accuracy(x, y, x_test, y_test)
    assert 0.52 < linear < 0.72
    assert linear_accuracy(filtered(x), y, filtered(x_test), y_test) > max(0.82, linear + 0.15)


def test_drawing_is_fast():
    start = time.perf_counter()
    fashion_sketch.load_data(n_train=1000, n_test=200)
    assert time.perf_counter() - start < 1.5  # about 0.08 s


@pytest.mark.parametrize("wrong", [{"n_train": -1}, {"n_test": 2.5}, {"seed": "x"}, {"seed": -3}])
def test_wrong_numbers(wrong):
    (name, value), *_ = wrong.items()
    with pytest.raises(InvalidArgument, match=rf"{name} is {value!r}; expected a whole number of at least 0"):
        fashion_sketch.load_data(**{"n_train": 1, "n_test": 1, **wrong})


def test_data_sets_by_name():
    assert list(datasets.BY_NAME)[:5] == ["fashion-mnist", "mnist", "cifar10", "cifar100", "car-truck"]
    assert list(datasets.BY_NAME)[5:] == ["fashion-sketch", "cylinder-bell-funnel", "motion-sketch"]
    for name, module in datasets.BY_NAME.items():
        assert datasets.by_name(name) is module and callable(module.load_data)
        few = {"car-truck": 2, "cifar100": 100, "cylinder-bell-funnel": 3, "motion-sketch": 6}
        assert len(module.CLASS_NAMES) == few.get(name, 10)
    assert fashion_sketch.CLASS_NAMES is fashion_mnist.CLASS_NAMES
    with pytest.raises(InvalidArgument, match="'cifar' is not known; expected one of fashion-mnist, mnist"):
        datasets.by_name("cifar")
