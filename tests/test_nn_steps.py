"""Labels against outputs, what "accuracy" means, meters that are apart, steps and callbacks of one's own, dtypes."""

import numpy as np
import pytest

from fastconv import nn as keras
from fastconv.autograd import Tensor, operation
from fastconv.errors import InvalidArgument
from fastconv.nn.basics.arrays import one_rank

L, M = keras.layers, keras.metrics


def fixed(units=1, activation="sigmoid", features=3, dtype="float32", **options):
    """A dense layer whose outputs are a formula of its inputs, and that formula in NumPy."""
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((16, features)), rng.standard_normal((features, units))
    model = options.pop("kind", keras.Sequential)(
        [L.Dense(units, activation=activation, use_bias=False, input_shape=(features,), dtype=dtype)]
    )
    model.set_weights([w])
    z = x @ w
    p = 1 / (1 + np.exp(-z)) if activation == "sigmoid" else np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return model, x, p


def own_mse(y_true, y_pred):
    return ((y_pred - y_true) ** 2).mean()


# --- labels (N,) and outputs (N, 1)


@pytest.mark.parametrize("labels", [(3,), (3, 1)])
@pytest.mark.parametrize("outputs", [(3,), (3, 1)])
@pytest.mark.parametrize(
    "metric, expected",
    [(M.MeanAbsoluteError(), 0.0), (M.MeanSquaredError(), 0.0), (M.BinaryAccuracy(), 1.0), (M.get("accuracy"), 1.0)],
)
def test_metrics_compare_each_label_with_its_own_output(metric, expected, labels, outputs):
    metric.reset_state()
    metric.update_state(np.reshape([0, 1, 0], labels), np.reshape([0.0, 1.0, 0.0], outputs))
    assert metric.result() == expected
    assert metric.count == 3


def test_losses_compare_each_label_with_its_own_output():
    y, p = [0.0, 1.0, 0.0], [[0.0], [0.5], [0.0]]
    for loss, expected in (("mse", 0.25 / 3), ("mae", 0.5 / 3), (own_mse, 0.25 / 3)):
        loss = keras.losses.get(loss)
        for true, pred in ((y, p), (p, y), (y, np.ravel(p)), (np.reshape(y, (3, 1)), np.ravel(p))):
            assert loss(true, pred) == pytest.approx(expected)
    np.testing.assert_allclose(keras.losses.mse(y, p), [0, 0.25, 0])
    picture = np.arange(6.0).reshape(2, 3)
    assert keras.losses.MeanSquaredError()(picture, picture[..., None]) == 0
    assert keras.losses.get(own_mse)(picture[..., None], picture) == 0


def test_an_own_loss_of_labels_without_an_axis():
    model, x, p = fixed()
    y = (np.arange(16) % 2).astype(np.float64)
    model.compile(keras.optimizers.SGD(0.1), own_mse, metrics=["mae", "mse"])
    loss, mae, mse = model.evaluate(x, y)
    assert loss == pytest.approx(np.mean((p[:, 0] - y) ** 2), rel=1e-5)
    assert mse == pytest.approx(loss)
    assert mae == pytest.approx(np.mean(np.abs(p[:, 0] - y)), rel=1e-5)
    twin, _, _ = fixed()
    twin.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, y, verbose=0, shuffle=False)
    twin.fit(x, y, verbose=0, shuffle=False)
    np.testing.assert_allclose(model.get_weights()[0], twin.get_weights()[0], rtol=1e-5)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: M.absolute_error([0, 1, 0], np.zeros((3, 3))), r"y_true has \(3,\) and y_pred has \(3, 3\)"),
        (lambda: M.squared_error(np.zeros((3, 1)), np.zeros((3, 3))), "compares arrays of one shape"),
        (lambda: M.binary_accuracy(np.zeros((1, 3)), np.zeros((3, 3))), "compares arrays of one shape"),
        (lambda: M.categorical_accuracy([0, 1, 0], np.zeros((3, 3))), "use sparse_categorical_accuracy"),
        (lambda: M.top_k_categorical_accuracy([0, 1, 0], np.zeros((3, 3))), "use sparse_top_k_categorical_accuracy"),
        (lambda: M.sparse_categorical_accuracy([0], np.zeros((3, 3))), "one class number for each row"),
        (lambda: M.sparse_categorical_accuracy(np.zeros((3, 3)), np.zeros((3, 3))), "one class number for each row"),
        (lambda: keras.losses.MeanSquaredError()([[0.0]], [[1.0], [2.0]]), "y_true has 1 samples but y_pred has 2"),
        (lambda: keras.losses.mse(np.zeros(3), np.zeros((3, 3))), "needs the shape of the model's output"),
    ],
)
def test_what_would_only_broadcast_is_refused(call, message):
    with pytest.raises(InvalidArgument, match=message):
        call()


def test_ranks_are_matched_as_keras_does():
    for true, pred, expected in (
        ((4,), (4, 1), ((4, 1), (4, 1))),
        ((4, 1), (4,), ((4, 1), (4, 1))),
        ((4, 5), (4, 5, 1), ((4, 5), (4, 5))),
        ((4,), (4, 3), ((4,), (4, 3))),
        ((4, 1), (4, 3), ((4, 1), (4, 3))),
        ((4,), (4, 1, 1), ((4,), (4, 1, 1))),
    ):
        assert one_rank(true, pred) == expected


# --- "accuracy"


def test_accuracy_of_one_sigmoid_output_beside_any_loss():
    model, x, p = fixed()
    y = np.arange(16) % 2
    expected = np.mean((p[:, 0] > 0.5) == y)
    assert 0 < expected < 1
    for loss in (own_mse, "mse", "mae", "binary_crossentropy"):
        for labels in (y, y[:, None]):
            model.compile("sgd", loss, metrics=["accuracy"])
            assert model.evaluate(x, labels)[1] == pytest.approx(expected)


def test_accuracy_of_rows_of_one_output_each():
    """(N, H) labels and (N, H, 1) outputs are yes or no H times, as they are in Keras."""
    metric = M.get("accuracy")
    metric.update_state(np.ones((2, 3)), np.array([[[0.9], [0.2], [0.8]]] * 2))
    assert metric.result() == pytest.approx(2 / 3)


def test_accuracy_of_class_numbers_beside_an_own_loss():
    model, x, p = fixed(7, "softmax")
    y = np.arange(16) % 7

    def own(y_true, y_pred):
        return -(Tensor(np.eye(7)[y_true.data.astype(int).reshape(-1)]) * y_pred).sum(axis=-1)

    model.compile("sgd", own, metrics=["acc", "top_k_accuracy"])
    own_class = p[np.arange(16), y][:, None]
    for labels in (y, y[:, None]):
        loss, accuracy, top = model.evaluate(x, labels)
        assert loss == pytest.approx(-own_class.mean(), rel=1e-5)
        assert accuracy == np.mean(p.argmax(axis=1) == y)
        assert top == np.mean((p > own_class).sum(axis=1) < 5)
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy", "top_k_accuracy"])
    assert model.evaluate(x, np.eye(7)[y])[1:] == [accuracy, top]


# --- meters


def test_evaluating_while_training_leaves_the_running_metrics(rng):
    x, y = rng.standard_normal((32, 3)), np.arange(32) % 2

    class Evaluates(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.evaluate(x[:5], y[:5])
            self.model.predict(x[:2])

    class Watched(M.MeanMetricWrapper):
        """Keeps what it saw in a list of its own."""

        def __init__(self):
            super().__init__(M.binary_accuracy, "watched")

        def reset_state(self):
            super().reset_state()
            self.seen = getattr(self, "seen", [])
            self.seen.clear()

        def update_state(self, y_true, y_pred):
            self.seen.extend(M.binary_accuracy(y_true, y_pred))

        def result(self):
            return float(np.mean(self.seen)) if self.seen else 0.0

    histories = []
    for callbacks in ([], [Evaluates()]):
        model = keras.Sequential([L.Dense(1, activation="sigmoid", input_shape=(3,))], seed=1)
        model.compile("sgd", "binary_crossentropy", metrics=["accuracy", Watched()])
        histories.append(model.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=callbacks).history)
    assert histories[0] == histories[1]
    assert histories[0]["accuracy"] == histories[0]["watched"]


def test_a_metric_of_two_models(rng):
    metric = M.BinaryAccuracy()
    samples, zeros = rng.standard_normal((8, 3)), np.zeros(8)
    other = keras.Sequential([L.Dense(1, input_shape=(3,))])
    other.compile("sgd", "mse", metrics=[metric])
    evaluates = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: other.evaluate(samples, zeros))
    model, x, p = fixed()
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=[metric])
    history = model.fit(x, np.ones(16), batch_size=4, verbose=0, callbacks=evaluates).history
    assert history["binary_accuracy"] == [np.mean(p > 0.5)]
    assert metric.result() == np.mean(p > 0.5), "it can still be asked"


# --- steps and callbacks of one's own


def test_own_steps_are_what_fit_evaluate_and_predict_run():
    calls = []

    class Own(keras.Sequential):
        def train_step(self, data):
            calls.append("train")
            logs = super().train_step(data)
            logs["steps"] = float(len(calls))
            return logs

        def test_step(self, data):
            calls.append("test")
            x, y = data
            return {"error": (self(x) - y).mean() * 2}

        def predict_step(self, data):
            return super().predict_step(data) + 1.0

    model, x, p = fixed(kind=Own)
    y = np.zeros((16, 1))
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"])
    history = model.fit(x, y, batch_size=8, epochs=2, verbose=0, validation_data=(x, y)).history
    assert calls == ["train", "train", "test", "train", "train", "test"]
    assert history["mae"] == pytest.approx([p.mean()] * 2, rel=1e-5)
    assert history["steps"] == [2, 5]
    assert history["val_error"] == pytest.approx([2 * p.mean()] * 2, rel=1e-5)
    assert model.evaluate(x, y) == pytest.approx(2 * p.mean(), rel=1e-5)
    np.testing.assert_allclose(model.predict(x), p + 1, rtol=1e-5)
    assert model.train_on_batch(x, y)[-1] == len(calls)


def test_a_step_in_full_as_keras_writes_it():
    class Own(keras.Sequential):
        def train_step(self, data):
            x, y = data
            self.zero_grad()
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
            loss.backward()
            self.optimizer.apply(self.trainable_weights)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

    own, x, p = fixed(kind=Own)
    plain, _, _ = fixed()
    y = np.arange(16) % 2
    histories = []
    for model in (own, plain):
        model.layers[0].kernel.constraint = keras.constraints.MaxNorm(0.5)
        model.compile(keras.optimizers.SGD(0.5), "mse", metrics=["accuracy"])
        histories.append(model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0).history)
    assert list(histories[0]) == ["loss", "accuracy"]
    for key, values in histories[1].items():
        np.testing.assert_allclose(histories[0][key], values, rtol=1e-5)
    np.testing.assert_allclose(own.get_weights()[0], plain.get_weights()[0], rtol=1e-5)


@pytest.mark.parametrize(
    "returned, message",
    [(None, "train_step returned NoneType"), ({"loss": "low"}, "train_step's 'loss' is a str")],
)
def test_what_a_step_may_return(returned, message):
    class Own(keras.Sequential):
        def train_step(self, data):
            return returned

    model, x, _ = fixed(kind=Own)
    model.compile("sgd", "mse")
    with pytest.raises(InvalidArgument, match=message):
        model.fit(x, np.zeros(16), verbose=0)


def test_an_own_compute_loss():
    class Own(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return 3 * super().compute_loss(x, y, y_pred, sample_weight, training)

    own, x, p = fixed(kind=Own)
    plain, _, _ = fixed()
    y = np.arange(16) % 2
    for model, rate in ((own, 0.1), (plain, 0.3)):
        model.layers[0].kernel.regularizer = keras.regularizers.l2(0.1)
        model.compile(keras.optimizers.SGD(rate), "binary_crossentropy")
    expected = plain.evaluate(x, y)
    assert own.evaluate(x, y) == pytest.approx(3 * expected, rel=1e-5)
    own.fit(x, y, verbose=0, shuffle=False)
    plain.fit(x, y, verbose=0, shuffle=False)
    np.testing.assert_allclose(own.get_weights()[0], plain.get_weights()[0], rtol=1e-4)
    none, weighted = (plain.compute_loss(y=y[:, None], y_pred=p, sample_weight=w).item() for w in (0 * y, y))
    assert weighted - none == pytest.approx(-np.mean(y * np.log(p[:, 0])), rel=1e-5)
    with pytest.raises(InvalidArgument, match=r"sample_weight has shape \(3,\)"):
        plain.compute_loss(y=y[:, None], y_pred=p, sample_weight=y[:3])


def test_a_step_by_itself():
    model, x, p = fixed()
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"])
    data = Tensor(x.astype(np.float32)), Tensor(np.zeros((16, 1), np.float32))
    expected = {"loss": pytest.approx(np.mean(p**2), rel=1e-5), "mae": pytest.approx(np.mean(p), rel=1e-5)}
    assert dict(model.train_step(data)) == expected
    assert dict(model.test_step(data)) == expected
    with pytest.raises(InvalidArgument, match="must be a pair"):
        model.train_step(data[0])


class Events(keras.callbacks.Callback):
    def __init__(self):
        self.events = []
        for name in dir(keras.callbacks.Callback):
            if name.startswith("on_"):
                setattr(self, name, lambda *given, name=name: self.events.append((name, given)))

    def names(self, word):
        return [name for name, _ in self.events if word in name]


def test_callbacks_hear_of_tests_and_predictions():
    model, x, p = fixed()
    y = np.zeros(16)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    batches = ["batch_begin", "batch_end"] * 2
    tests = [f"on_test_{event}" for event in ("begin", *batches, "end")]
    heard = Events()
    loss = model.evaluate(x, y, batch_size=8, callbacks=[heard])
    assert heard.names("") == tests
    assert heard.events[-1][1][0] == {"loss": loss}
    assert heard.events[2][1] == (0, {"loss": pytest.approx(np.mean(p[:8] ** 2), rel=1e-5)})
    assert heard.params["steps"] == 2 and heard.model is model

    heard = Events()
    predicted = model.predict(x, batch_size=8, callbacks=heard)
    assert heard.names("") == [f"on_predict_{event}" for event in ("begin", *batches, "end")]
    np.testing.assert_array_equal(heard.events[4][1][1]["outputs"], predicted[8:])

    heard = Events()
    model.fit(x, y, verbose=0, validation_data=(x, y), validation_batch_size=8, callbacks=[heard])
    assert heard.names("test") == tests
    for options, message in (
        ({"callbacks": 5}, "callbacks is 5"),
        ({"validation_split": "a"}, "validation_split is 'a'"),
        ({"validation_batch_size": 0, "validation_split": 0.5}, "validation_batch_size is 0"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            model.fit(x, y, **options)
    with pytest.raises(InvalidArgument, match="metrics is 5"):
        model.compile("sgd", "mse", metrics=5)
    with pytest.raises(InvalidArgument, match="callbacks holds 5"):
        model.predict(x, callbacks=[5])


def test_a_callback_may_change_weights_between_the_batches_of_an_evaluation():
    model, x, _ = fixed()
    model.compile("sgd", "mse")
    zeros = keras.callbacks.LambdaCallback(on_test_batch_end=lambda batch, logs: model.set_weights([np.zeros((3, 1))]))
    first = model.evaluate(x[:8], np.full(8, 0.5))
    assert model.evaluate(x, np.full(16, 0.5), batch_size=8, callbacks=zeros) == pytest.approx(first / 2, rel=1e-5)


# --- dtypes, masks, batches


def test_models_in_float64_are_fed_float64():
    model, x, p = fixed(dtype="float64")
    assert model.predict(x).dtype == np.float64
    np.testing.assert_allclose(model.predict(x), p, rtol=1e-14)
    assert model(x).dtype == np.float64
    np.testing.assert_allclose(model.feature_maps(x)["dense"], p, rtol=1e-14)
    model.compile("sgd", "mse")
    assert model.evaluate(x, np.zeros(16)) == pytest.approx(np.mean(p**2), rel=1e-14)
    seen = []
    model.predict_step = lambda data: seen.append(data[0].dtype) or data[0]
    model.predict(x)
    assert seen == [np.float64]
    model, x, _ = fixed()
    assert model.predict(x).dtype == np.float32


def test_what_has_a_mask_is_refused():
    model, x, _ = fixed()
    y = np.zeros(16)
    model.compile("sgd", "mse", metrics=["mae"])
    masked, labels = np.ma.array(x, mask=x > 0), np.ma.array(y, mask=y == 0)
    for call, name in (
        (lambda: model.fit(masked, y), "x"),
        (lambda: model.fit(x, labels), "y"),
        (lambda: model.fit(x, y, validation_data=(masked, y)), "the x of validation_data"),
        (lambda: model.evaluate(list(masked), y), "x"),
        (lambda: model.predict(masked), "x"),
        (lambda: model(masked), "x"),
        (lambda: L.Dense(2)(masked), "x"),
        (lambda: keras.utils.to_categorical(np.ma.array([0, 1], mask=[0, 1])), "x"),
        (lambda: M.MeanAbsoluteError().update_state(labels, y), "y_true"),
        (lambda: M.binary_accuracy(y, labels), "y_pred"),
        (lambda: M.confusion_matrix(labels, y), "y_true"),
        (lambda: keras.losses.mse(labels, y), "y_true"),
        (lambda: keras.losses.get(own_mse)(y, labels), "y_pred"),
    ):
        with pytest.raises(InvalidArgument, match=f"^{name} is a masked array"):
            call()
    model.compile("sgd", own_mse)
    with pytest.raises(InvalidArgument, match="^y is a masked array"):
        model.fit(x, labels)


def test_one_image_without_a_batch_axis_is_told_so():
    model = keras.Sequential([L.Conv2D(2, 3, input_shape=(8, 8, 1))])
    with pytest.raises(InvalidArgument, match=r"x is one sample without the batch axis; pass x\[None\]"):
        model.predict(np.zeros((8, 8, 1)))
    for call in (model, model.feature_maps, L.Conv2D(2, 3)):
        with pytest.raises(InvalidArgument, match=r"a sample by itself needs a batch axis: x\[None\]"):
            call(np.zeros((8, 8, 1)))


def test_a_loss_class_with_call():
    class Cubed(keras.losses.Loss):
        def __init__(self, power=3, **options):
            super().__init__(name="cubed", **options)
            self.power = power

        def call(self, y_true, y_pred):
            return (y_pred - y_true) ** self.power

    model, x, p = fixed()
    for loss, expected in ((Cubed(), np.mean(p**3)), (Cubed(2, reduction="sum"), np.sum(p**2)), (Cubed, np.mean(p**3))):
        model.compile("sgd", loss)
        assert model.evaluate(x, np.zeros(16)) == pytest.approx(expected, rel=1e-5)
    assert model.loss.name == "cubed"
    model.fit(x, np.zeros(16), verbose=0)
    with pytest.raises(InvalidArgument, match="reduction is .average.; expected"):
        Cubed(reduction="average")
    with pytest.raises(NotImplementedError, match=r"Loss does not define call\(y_true, y_pred\)"):
        keras.losses.Loss()([1.0], [1.0])


def test_a_layer_that_writes_to_its_weights_while_it_is_called():
    """What a layer of one's own does to its weights in a step does not reach the gradients of that step."""

    class Scale(L.Layer):
        def build(self, input_shape):
            self.w = self.add_weight("w", (1,), "ones")

        def call(self, x, training=False):
            y = x * self.w
            if training:
                self.w.data[...] = 100.0
            return y

    model = keras.Sequential([Scale(input_shape=(1,)), L.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(1.0), lambda y_true, y_pred: y_pred)
    model.fit(np.ones((1, 1)), np.ones((1, 1)), verbose=0)
    assert model.get_weights()[1] == 0, "1 - the layer's input, which was 1"


def test_a_step_of_fastconvs_own_code_copies_nothing(monkeypatch):
    model, x, _ = fixed()
    model.compile("sgd", "mse", metrics=["mae"])
    copies = []
    monkeypatch.setattr(operation, "apart", lambda value, lent: copies.append(value) or value)
    model.fit(x, np.zeros(16), verbose=0)
    assert not copies
    model.compile("sgd", own_mse)
    model.fit(x, np.zeros(16), verbose=0)
    assert copies, "an own loss may do what it likes"
