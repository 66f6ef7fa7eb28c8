"""What `fit`, `evaluate` and `predict` take beside plain arrays: weights of samples and classes, and loaders."""

import numpy as np
import pytest

from fastconv import nn as keras
from fastconv.errors import InvalidArgument
from fastconv.nn.fitting.loaders import is_loader
from fastconv.nn.fitting.weighting import beside, by_class

L = keras.layers
RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((24, 3)), RNG.integers(0, 2, 24)
W = RNG.random(24) + 0.1


def made(loss="sparse_categorical_crossentropy", units=2, activation="softmax", rate=0.5, **options):
    model = keras.Sequential([L.Dense(units, activation=activation, input_shape=(3,), dtype="float64")], seed=1)
    model.set_weights([np.linspace(-1, 1, 3 * units).reshape(3, units), np.zeros(units)])
    model.compile(keras.optimizers.SGD(rate), loss, **options)
    return model


def one_step(weights, rate=0.5):
    """A softmax layer after one step on all samples, and the loss before it, in plain NumPy."""
    w = np.linspace(-1, 1, 6).reshape(3, 2)
    z = X @ w
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(24), Y])
    dz = (p - np.eye(2)[Y]) * weights[:, None] / 24
    return w - rate * X.T @ dz, np.mean(loss * weights)


@pytest.mark.parametrize("given", ["sample_weight", "class_weight", "column"])
def test_a_weighted_step(given):
    weights = np.where(Y == 1, 5.0, 1.0) if given == "class_weight" else W
    options = {"class_weight": {1: 5.0}} if given == "class_weight" else {"sample_weight": weights}
    if given == "column":
        options = {"sample_weight": weights[:, None]}
    expected, loss = one_step(weights)
    model = made()
    history = model.fit(X, Y, 24, shuffle=False, verbose=0, **options).history
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-6)
    assert history["loss"] == [pytest.approx(loss, rel=1e-6)]
    again = made()
    assert again.train_on_batch(X, Y, **options) == pytest.approx(loss, rel=1e-6)
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize("loss", ["mse", "mae", "binary_crossentropy", "huber"])
def test_weights_are_those_of_the_values(loss):
    """Weights of whole numbers count a sample as often as it would be repeated, but for the divisor."""
    counts = RNG.integers(0, 3, 24)
    y = Y.astype(float)
    model = made(loss, 1, "sigmoid")
    found = model.evaluate(X, y, sample_weight=counts)
    repeated = model.evaluate(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert found == pytest.approx(repeated * counts.sum() / 24, rel=1e-6)


def test_weights_of_ones_change_nothing():
    plain, weighted = made(metrics=["accuracy"]), made(metrics=["accuracy"], weighted_metrics=["accuracy", "mse"])
    first = plain.fit(X, Y, 8, 3, verbose=0).history
    for of_ones in ({"sample_weight": np.ones(24)}, {"class_weight": {0: 1, 1: 1.0}}):
        weighted = made(metrics=["accuracy"], weighted_metrics=["acc"])
        second = weighted.fit(X, Y, 8, 3, verbose=0, **of_ones).history
        np.testing.assert_allclose(first["loss"], second["loss"], rtol=1e-6)
        assert first["accuracy"] == second["accuracy"] == second["acc"]


def test_weighted_metrics():
    model = made(metrics=["accuracy"], weighted_metrics=["acc"])
    hits = model.predict(X).argmax(axis=1) == Y
    values = model.evaluate(X, Y, 7, sample_weight=W, return_dict=True)
    assert values["accuracy"] == pytest.approx(hits.mean())
    assert values["acc"] == pytest.approx(np.average(hits, weights=W))
    assert model.metrics_names == ["loss", "accuracy", "acc"]
    assert model.evaluate(X, Y, sample_weight=W) == pytest.approx(list(values.values()), rel=1e-6)
    assert model.test_on_batch(X, Y, W, return_dict=True) == pytest.approx(values, rel=1e-6)


def test_weights_of_places():
    """One weight for each pixel, or one for each image, of a loss with a value for each pixel."""
    y, p = RNG.integers(0, 3, (4, 5, 6)), RNG.random((4, 5, 6, 3))
    values = -np.log(np.take_along_axis(p / p.sum(axis=-1, keepdims=True), y[..., None], -1))[..., 0]
    loss = keras.losses.SparseCategoricalCrossentropy()
    for weights in (RNG.random((4, 5, 6)), RNG.random((4, 5, 6, 1)), RNG.random(4), RNG.random((4, 1))):
        spread = weights.reshape(weights.shape[:3] + (1,) * (3 - weights.ndim) if weights.ndim < 4 else (4, 5, 6))
        assert loss(y, p, sample_weight=weights) == pytest.approx(np.mean(values * spread))
    with pytest.raises(InvalidArgument, match="one weight for each sample"):
        loss(y, p, sample_weight=np.ones((4, 6)))
    with pytest.raises(InvalidArgument, match="one number for the batch"):
        keras.losses.Dice()(Y[:, None], np.ones((24, 1)), sample_weight=W)


class Pieces:
    """Keras's idiom of batches by number."""

    def __init__(self, size=8, weights=None):
        self.size, self.weights, self.ended, self.asked = size, weights, 0, []

    def __len__(self):
        return -(-len(X) // self.size)

    def __getitem__(self, i):
        if not 0 <= i < len(self):
            raise IndexError(i)
        self.asked.append(i)
        rows = slice(i * self.size, (i + 1) * self.size)
        given = (X[rows], Y[rows])
        return given if self.weights is None else (*given, self.weights[rows])

    def on_epoch_end(self):
        self.ended += 1


class Loader:
    """What PyTorch's loader is to `fit`: read again from the beginning each time, with a length."""

    def __len__(self):
        return 3

    def __iter__(self):
        return iter([[X[i : i + 8], Y[i : i + 8]] for i in (0, 8, 16)])


def endless(size=8):
    while True:
        for i in range(0, 24, size):
            yield X[i : i + size], Y[i : i + size]


@pytest.mark.parametrize(
    "source, options",
    [
        (lambda: Pieces(), {}),
        (lambda: Loader(), {}),
        (lambda: endless(), {"steps_per_epoch": 3}),
        (lambda: Pieces(), {"steps_per_epoch": 3}),
        (lambda: (batch for _ in range(3) for batch in Pieces()), {"steps_per_epoch": 3}),
    ],
)
def test_all_sources_train_as_arrays_do(source, options):
    arrays, other = made(metrics=["accuracy"]), made(metrics=["accuracy"])
    expected = arrays.fit(X, Y, 8, 3, shuffle=False, verbose=0, validation_data=(X, Y), validation_batch_size=8)
    found = other.fit(source(), epochs=3, shuffle=False, verbose=0, validation_data=Loader(), **options)
    assert found.history == expected.history
    np.testing.assert_array_equal(arrays.get_weights()[0], other.get_weights()[0])
    assert other.evaluate(Pieces()) == arrays.evaluate(X, Y, 8)
    assert other.evaluate(endless(), steps=3) == arrays.evaluate(X, Y, 8)
    for of_inputs in (Pieces(), Loader(), (X[i : i + 5] for i in range(0, 24, 5))):
        np.testing.assert_allclose(other.predict(of_inputs), arrays.predict(X), rtol=1e-12)
    assert other.predict(endless(), steps=2).shape == (16, 2)
    assert other.predict(X, 8, steps=2).shape == (16, 2)


def test_weights_in_batches():
    arrays, pieces = made(), made()
    arrays.fit(X, Y, 8, 2, shuffle=False, verbose=0, sample_weight=W, validation_data=(X, Y, W))
    found = pieces.fit(Pieces(weights=W), epochs=2, shuffle=False, verbose=0, validation_data=Pieces(weights=W))
    assert found.history["loss"] == arrays.history.history["loss"]
    assert found.history["val_loss"] == pytest.approx(arrays.history.history["val_loss"])
    classes, by_number = made(), made()
    classes.fit(X, Y, 8, shuffle=False, verbose=0, class_weight={0: 3})
    by_number.fit(Pieces(), shuffle=False, verbose=0, class_weight=[3, 1])
    np.testing.assert_array_equal(classes.get_weights()[0], by_number.get_weights()[0])


def test_a_sequence_is_shuffled_batch_by_batch_and_told_of_the_end():
    pieces, model = Pieces(), made()
    model.fit(pieces, epochs=3, verbose=0)
    assert pieces.ended == 3
    assert pieces.asked[0] == 0  # for the shapes
    passes = [pieces.asked[1 + 3 * e : 4 + 3 * e] for e in range(3)]
    assert all(sorted(asked) == [0, 1, 2] for asked in passes)
    assert len({tuple(asked) for asked in passes}) > 1


def test_a_model_is_built_for_the_first_batch_of_a_generator():
    model = keras.Sequential([L.Dense(2, activation="softmax")], seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(endless(), steps_per_epoch=2, verbose=0)
    assert model.input_shape == (None, 3)
    assert model.predict(endless(), steps=1).shape == (8, 2)


def test_steps_of_an_epoch_go_on_where_the_last_one_stopped():
    model, seen = made(), []

    class Seen(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append((batch, logs["size"]))

    history = model.fit(X, Y, 10, 3, verbose=0, steps_per_epoch=2, callbacks=[Seen()])
    assert history.params["steps"] == 2
    assert seen == [(0, 10), (1, 10), (0, 4), (1, 10), (0, 10), (1, 4)]


def test_a_generator_that_ends_stops_training_with_a_warning():
    model = made()
    with pytest.warns(UserWarning, match="2 batches left for an epoch of at least 5: training stops"):
        history = model.fit((b for b in [(X, Y)] * 7), epochs=4, steps_per_epoch=5, verbose=0).history
    assert len(history["loss"]) == 2
    with pytest.warns(UserWarning, match="0 batches left"):
        model.fit(iter([(X, Y)] * 3), epochs=2, verbose=0)
    assert model.fit(iter([(X, Y)] * 3), verbose=0).params["steps"] is None
    with pytest.raises(InvalidArgument, match="gives no batch"):
        model.fit(iter(()), verbose=0)


@pytest.mark.parametrize(
    "freq, expected", [(1, [0, 1, 2, 3, 4]), (2, [1, 3]), ([1, 4], [0, 3]), (np.int64(5), [4]), (9, [])]
)
def test_validation_freq(freq, expected):
    validated = []

    class Listener(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            validated.extend([epoch] if "val_loss" in logs else [])

    made().fit(X, Y, 24, 5, verbose=0, validation_data=(X, Y), validation_freq=freq, callbacks=[Listener()])
    assert validated == expected


def test_validation_steps():
    model = made(rate=0.0)
    history = model.fit(X, Y, verbose=0, validation_data=(X, Y), validation_batch_size=5, validation_steps=2).history
    assert history["val_loss"] == [pytest.approx(model.evaluate(X[:10], Y[:10]))]
    history = model.fit(X, Y, epochs=2, verbose=0, validation_data=endless(), validation_steps=2).history
    parts = [model.evaluate(np.roll(X, s, 0)[:16], np.roll(Y, s)[:16]) for s in (0, -16)]
    assert history["val_loss"] == pytest.approx(parts)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: m.fit(X, Y, sample_weight=W[:5]), "expected one weight for each"),
        (lambda m: m.fit(X, Y, sample_weight=np.full(24, np.nan)), r"sample_weight\[0\] is nan"),
        (lambda m: m.fit(X, Y, sample_weight=W, class_weight={0: 1}), "sample_weight or class_weight, not both"),
        (lambda m: m.fit(X, Y, class_weight={0.5: 1}), "class_weight's key is 0.5"),
        (lambda m: m.fit(X, Y, class_weight={0: "much"}), r"class_weight\[0\] is 'much'"),
        (lambda m: m.fit(Pieces(), Y), "y cannot be given beside a generator"),
        (lambda m: m.fit(Pieces(), batch_size=3), "batch_size cannot be given beside"),
        (lambda m: m.fit(Pieces(), validation_split=0.5), "validation_split cannot be given beside"),
        (lambda m: m.fit(iter([(X, Y, W, W)])), "a series of 4; expected x, "),
        (lambda m: m.fit(iter([X])), "y is missing"),
        (lambda m: m.fit(X, Y, steps_per_epoch=0), "steps_per_epoch is 0"),
        (lambda m: m.fit(X, Y, validation_freq=0), "validation_freq is 0"),
        (lambda m: m.predict(Pieces(), batch_size=3), "batch_size cannot be given beside"),
        (lambda m: m.fit(X, Y, validation_data=X), r"\(x, y, sample_weight\), or a loader"),
    ],
)
def test_what_cannot_be_is_said(call, message):
    with pytest.raises(InvalidArgument, match=message):
        call(made())


def test_what_a_loader_is():
    assert not any(is_loader(x) for x in (X, X.tolist(), (X,), "x", range(3), {"x": X}, {1}, 3, None, memoryview(b"x")))
    assert all(is_loader(x) for x in (iter([X]), Pieces(), Loader(), endless(), map(len, [X]), zip(X, Y, strict=True)))


def test_classes_of_rows_and_of_columns():
    table = {0: 0.5, 2: 4.0}
    expected = [0.5, 1.0, 4.0, 0.5]
    for y in ([0, 1, 2, 0], [[0], [1], [2], [0]], np.eye(3)[[0, 1, 2, 0]], [0.0, 1.0, 2.0, 0.0]):
        assert by_class(np.array(y), table).tolist() == expected
    assert beside(np.ones(3), (3, 4), np.zeros(1)).shape == (3, 1)
