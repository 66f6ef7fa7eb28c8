"""What layers add to the loss, and models that are compiled without one."""

import copy

import numpy as np
import pytest

from fastconv import nn as keras
from fastconv.errors import InvalidArgument

L = keras.layers
X = np.random.default_rng(0).standard_normal((16, 4)).astype("float32")


class Small(L.Layer):
    """Its input; the mean of squares, times a number, is added to the loss."""

    def __init__(self, factor=1.0, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, x):
        self.add_loss(self.factor * (x * x).mean())
        return x


def model_of(*layers, **how):
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(keras.optimizers.SGD(0.1), **how)
    return model


def test_what_layers_add_is_minimised_beside_the_loss():
    model = model_of(L.Dense(2, use_bias=False), Small(0.5), loss="mse")
    w, y = model.get_weights()[0].astype(float), np.ones((16, 2), "float32")
    z = X @ w
    dz = 2 * (z - y) / z.size + 0.5 * 2 * z / z.size
    loss = model.train_on_batch(X, y)
    assert loss == pytest.approx(((z - y) ** 2).mean() + 0.5 * (z**2).mean(), rel=1e-5)
    np.testing.assert_allclose(model.get_weights()[0], w - 0.1 * X.T @ dz, rtol=1e-5, atol=1e-6)


def test_without_a_loss_what_is_added_is_all():
    model = model_of(L.Dense(2), Small())
    before = model.evaluate(X, verbose=0)
    assert before == pytest.approx((model.predict(X, verbose=0) ** 2).mean(), rel=1e-5)
    history = model.fit(X, epochs=3, batch_size=16, verbose=0).history["loss"]
    assert history[0] == pytest.approx(before, rel=1e-5) and history == sorted(history, reverse=True)
    assert model.fit((X[:8] for _ in range(2)), verbose=0).history["loss"][0] < before  # batches of samples alone
    assert model.fit(X, X, verbose=0).history["loss"][0] < before, "labels may be given; nothing looks at them"


def test_without_a_loss_regularizers_are_minimised_and_metrics_measured():
    model = model_of(L.Dense(4, kernel_initializer="ones", kernel_regularizer="l2"), metrics=["mae"])
    loss, error = model.train_on_batch(X, np.zeros((16, 4)))
    assert loss == pytest.approx(0.01 * 16)
    assert error == pytest.approx(np.abs(X.sum(axis=1)).mean(), rel=1e-5)


def test_several_outputs_without_a_loss():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, [L.Dense(1)(inputs), Small()(L.Dense(4, kernel_initializer="identity")(inputs))])
    model.compile("sgd")
    assert model.fit(X, verbose=0).history["loss"][0] == pytest.approx((X**2).mean(), rel=1e-5)


def test_a_step_of_ones_own_gets_the_samples_alone():
    class Coder(keras.Sequential):
        def train_step(self, data):
            assert data.shape == (16, 4)
            self.zero_grad()
            loss = ((self(data, training=True) - data) ** 2).mean() + sum(self.losses)
            loss.backward()
            self.optimizer.apply(self.trainable_weights)
            return {"loss": loss}

    model = Coder([keras.Input((4,)), L.Dense(4, kernel_regularizer=keras.regularizers.L2(0.5)), Small()])
    model.compile("sgd")
    w = model.get_weights()[0].astype(float)
    expected = ((X @ w - X) ** 2).mean() + 0.5 * (w**2).sum() + ((X @ w) ** 2).mean()
    assert model.fit(X, batch_size=16, verbose=0).history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_losses_of_a_model_of_ones_own():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(3, kernel_regularizer="l1", activity_regularizer="l2")
            self.small = Small()

        def call(self, x):
            y = self.small(self.dense(x))
            self.add_loss([2 * y.sum(), y])  # of each the sum
            return y

    model = Own()
    y = model(X).numpy().astype(float)
    w = model.get_weights()[0].astype(float)
    added = [0.01 * np.abs(w).sum(), 2 * y.sum(), y.sum(), (y**2).mean()]
    assert [float(loss) for loss in model.losses] == pytest.approx(added, rel=1e-4)
    model(X)
    assert len(model.losses) == 4, "those of the last call"
    assert len(copy.deepcopy(model).losses) == 1
    model.compile("sgd")
    added.append(0.01 * (y**2).sum() / 16)  # which is computed where a loss is
    assert model.test_on_batch(X) == pytest.approx(sum(added), rel=1e-4)


def test_where_there_is_nothing_to_minimise():
    model = model_of(L.Dense(2))
    assert model.evaluate(X, verbose=0) == 0
    with pytest.raises(InvalidArgument, match="compiled without a loss, and no layer adds one"):
        model.fit(X, verbose=0)
    with pytest.raises(InvalidArgument, match="y is missing"):
        model_of(L.Dense(2), loss="mse").fit(X, verbose=0)
    with pytest.raises(InvalidArgument, match="add_loss"):
        Small().add_loss("small")
