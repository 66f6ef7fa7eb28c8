"""The networks of the zoo: their sizes as published, their data, least squares, transfer learning."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from fastconv import nn
from fastconv.errors import InvalidArgument
from fastconv.nn import datasets, zoo


def test_the_zoo_is_where_it_is_looked_for():
    from fastconv.nn import applications, models

    assert models.zoo is zoo is nn.zoo
    for name in applications.__all__:
        assert getattr(applications, name) is getattr(zoo, name)
    made = {architecture.make for architecture in (zoo.ARCHITECTURES | zoo.PIXELWISE).values()}
    assert made == {getattr(zoo, name) for name in applications.__all__}


def test_summary_of_the_mnist_lecture():
    lines = []
    zoo.mnist_cnn().summary(print_fn=lines.append)
    text = "\n".join(lines)
    for number in ("320", "18,496", "36,928", "650", "93,322"):
        assert number in text


def sizes(model):
    return [layer.count_params() for layer in model.layers if layer.count_params()]


def test_sizes():
    assert sizes(zoo.lenet5()) == [156, 2416, 48_120, 10_164, 850]
    assert zoo.fashion_cnn().count_params() == zoo.lecture_cnn().count_params() == 1_679_082
    alexnet = zoo.alexnet(units=4, classes=3)
    assert sizes(alexnet)[:5] == [34_944, 307_456, 885_120, 663_936, 442_624]  # two groups, as on two GPUs
    shapes = [(55, 55, 96), (27, 27, 96), (27, 27, 256), (13, 13, 256), (13, 13, 384), (13, 13, 384), (13, 13, 256)]
    shape = (None, 227, 227, 3)
    for layer, expected in zip(alexnet.layers, [*shapes, (6, 6, 256), (9216,)], strict=False):
        shape = layer.compute_output_shape(shape)
        assert shape[1:] == expected
    dense = (9216 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 1000
    assert sum(sizes(alexnet)[:5]) + dense == 60_965_224


@pytest.mark.parametrize("make", [zoo.resnet20, zoo.unet, zoo.lenet5])
def test_a_seed_says_all_weights(make):
    first, same, other = (make(seed=seed).get_weights() for seed in (1, 1, 2))
    drawn = [w.std() > 0 for w in first]
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True)) and any(drawn)
    assert not any(np.array_equal(a, b) for a, b, d in zip(first, other, drawn, strict=True) if d)


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("lenet-5", "series-cnn", "video-cnn") else pytest.param(name, marks=pytest.mark.slow)
        for name in zoo.ARCHITECTURES
    ],
)
def test_each_learns_what_it_is_made_for(name):
    """A step makes the loss of its batch smaller, and other sizes and classes will do."""
    architecture = zoo.by_name(name)
    shape = {2: (32, 2), 3: (28, 28, 3), 4: (4, 8, 8, 2)}[architecture.rank]
    options = {"units": 16} if name == "alexnet" else {}
    shape = (67, 67, 3) if name == "alexnet" else shape
    model = architecture.make(shape, 4, seed=1, **options)
    assert architecture.make(shape, 4, seed=1, **options).get_weights()[0].tobytes() == model.get_weights()[0].tobytes()
    for layer in model.layers:
        if isinstance(layer, nn.layers.Dropout):
            layer.rate = 0.0
    model.compile(nn.optimizers.SGD(1e-3), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    x, y = rng.random((4, *shape), np.float32), np.arange(4)
    first = model.train_on_batch(x, y)
    assert np.isfinite(first) and model.train_on_batch(x, y) < first
    assert model.predict(x).shape == (4, 4)


# Drawn data

DRAWN = {
    "cylinder-bell-funnel": ((128, 1), np.float32, "bf297e587deea7627556384536a79fd9"),
    "motion-sketch": ((8, 20, 20, 1), np.uint8, "5064b4c24e5bd711519591c7916ecf2c"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_data_are_the_same_everywhere(name):
    shape, dtype, digest = DRAWN[name]
    module = datasets.by_name(name)
    (x, y), (x_test, y_test) = module.load_data(n_train=100, n_test=7)
    assert x.shape == (100, *shape) and x_test.shape == (7, *shape) and x.dtype == dtype
    counts = np.bincount(y, minlength=len(module.CLASS_NAMES))
    assert counts.max() - counts.min() <= 1 and set(y_test) <= set(range(len(counts)))
    assert hashlib.md5(module.load_data(n_train=100, n_test=0)[0][0].tobytes()).hexdigest() == digest
    assert not np.array_equal(module.load_data(n_train=7, n_test=7, seed=1)[0][0], x[:7])
    (empty, none), _ = module.load_data(n_train=0, n_test=0)
    assert empty.shape == (0, *shape) and none.shape == (0,)
    for wrong in ({"n_train": -1}, {"n_test": 1.5}, {"seed": -1}):
        with pytest.raises(InvalidArgument):
            module.load_data(**wrong)


def test_series_are_what_their_names_say():
    """Means over many series, of the formula: (6 + n) inside, times a rise or a fall."""
    (x, y), _ = datasets.by_name("cylinder-bell-funnel").load_data(n_train=3000, n_test=0)
    x = x[..., 0].astype(np.float64)
    means = [x[y == label].mean(axis=0) for label in range(3)]
    for mean in means:
        assert abs(mean[:10]).max() < 0.15 and abs(mean[-1]) < 0.4  # outside: noise only
    assert abs(means[0][34:46] - 6).max() < 0.25  # b is 48 at least, a 32 at most
    assert means[1][20] < 1 < 2 < means[1][48] and means[2][34] > 4 and means[2][90] < 1
    assert x[:, :10].std() == pytest.approx(1, abs=0.02)


def test_motion_is_seen_in_time_only():
    """The middle of what is bright goes where the class says."""
    (x, y), _ = datasets.by_name("motion-sketch").load_data(n_train=300, n_test=0)
    bright = np.maximum(x[..., 0].astype(float) - np.median(x, axis=(2, 3, 4))[:, :, None, None] - 30, 0)
    total = bright.sum(axis=(2, 3))
    centre = [(bright.sum(axis=axis) * np.arange(20)).sum(axis=-1) / total for axis in (2, 3)]
    steps = [c[:, 5] - c[:, 2] for c in centre]  # to the right, down
    area = (bright > 0).sum(axis=(2, 3))
    for label, (step, sign) in enumerate([(steps[0], -1), (steps[0], 1), (steps[1], -1), (steps[1], 1)]):
        assert (sign * step[y == label] > 1).mean() > 0.95
    assert (area[y == 4, 6] > 1.3 * area[y == 4, 1]).mean() > 0.95
    assert (area[y == 5, 1] > 1.3 * area[y == 5, 6]).mean() > 0.95


# Least squares


def test_least_squares_is_numpys(rng):
    x, y = rng.normal(size=(200, 4, 5)), rng.integers(0, 3, 200)
    fitted = zoo.least_squares(x, y)
    rows = np.concatenate([x.reshape(200, -1), np.ones((200, 1))], axis=1)
    expected = np.linalg.lstsq(rows, np.eye(3)[y], rcond=None)[0]
    assert np.abs(fitted.weights - expected).max() < 1e-10
    assert np.array_equal(fitted.predict(x), (rows @ expected).argmax(axis=1))
    assert fitted.accuracy(x, y[:, None]) == np.mean(fitted.predict(x) == y)
    assert fitted.predict(x[:0]).shape == (0,)


def test_least_squares_of_pixels_that_never_change(rng):
    x = rng.integers(0, 256, (50, 6, 6, 1), np.uint8)
    x[:, 0] = 0
    x[:, 1] = x[:, 2]
    y = np.arange(50) % 2
    fitted = zoo.least_squares(x, y, 4)
    rows = np.concatenate([x.reshape(50, -1), np.ones((50, 1))], axis=1)
    expected = np.linalg.lstsq(rows, np.eye(4)[y], rcond=None)[0]  # the shortest of all
    assert np.abs(fitted.weights - expected).max() < 1e-8 * np.abs(expected).max() + 1e-10


def test_least_squares_refuses():
    for call, text in (
        (lambda: zoo.least_squares(np.zeros(3), [0, 1, 2]), "an array of samples"),
        (lambda: zoo.least_squares(np.zeros((3, 2)), [0, 1]), "3 samples but y has 2"),
        (lambda: zoo.least_squares(np.zeros((2, 2)), [0, 5], 3), r"y\[1\] is 5"),
        (lambda: zoo.least_squares(np.eye(2), [0, 1]).predict(np.eye(3)), "3 values a sample; this was fitted to 2"),
    ):
        with pytest.raises(InvalidArgument, match=text):
            call()


# Transfer


def test_transfer_keeps_what_was_learned():
    base = zoo.lecture_cnn((12, 12, 1), 3, seed=1)
    base.compile("sgd", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    x, y = rng.random((12, 12, 12, 1), np.float32), np.arange(12) % 3
    base.fit(x, y, verbose=0)
    before = base.get_weights()
    new = zoo.transfer(base, 5, hidden=8, dropout=0.2, seed=2)
    assert [type(layer).__name__ for layer in new.layers[-4:]] == ["Flatten", "Dense", "Dropout", "Dense"]
    new.compile("adam", "sparse_categorical_crossentropy")
    frozen = [w.numpy().copy() for layer in new.layers[:-4] for w in layer.weights]
    new.fit(x, np.arange(12) % 5, epochs=2, verbose=0)
    after = [w.numpy() for layer in new.layers[:-4] for w in layer.weights]
    assert frozen and all(a.tobytes() == b.tobytes() for a, b in zip(frozen, after, strict=True))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(before, base.get_weights(), strict=True))
    assert new.predict(x).shape == (12, 5)
    maps = [base.feature_maps(x)[base.layers[-8].name], new.feature_maps(x)[new.layers[-5].name]]
    assert np.array_equal(*maps)  # batch statistics stay, too
    new.layers[0].trainable = True  # fine-tuning
    new.compile("adam", "sparse_categorical_crossentropy")
    new.fit(x, np.arange(12) % 5, verbose=0)
    assert not np.array_equal(new.layers[0].weights[0].numpy(), frozen[0])


def test_transfer_below_a_global_pool_and_without_hidden_layers():
    base = zoo.series_cnn((16, 1), 3, seed=1)
    new = zoo.transfer(base, 2, hidden=0)
    assert [type(layer).__name__ for layer in new.layers[-2:]] == ["GlobalAveragePooling1D", "Dense"]
    for wrong, text in (
        (nn.Sequential([nn.layers.Dense(2, input_shape=(3,))]), "no layer before its dense ones"),
        (nn.Sequential([nn.layers.Conv2D(2, 3)]), "no weights yet"),
        ("mnist-cnn", "a Sequential model"),
    ):
        with pytest.raises(InvalidArgument, match=text):
            zoo.transfer(wrong, 2)
