"""Training: it learns, it is repeatable, it can be stopped, and it says what is wrong."""

import os
import signal

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn as keras
from fastconv.errors import InvalidArgument

L = keras.layers


@pytest.fixture(scope="module")
def images():
    """64 small images of 4 classes: a bright spot in one of four places, and noise."""
    rng = np.random.default_rng(7)
    labels = np.arange(64) % 4
    x = rng.random((64, 8, 8, 1)).astype(np.float32) * 0.5
    for image, label in zip(x, labels, strict=True):
        image[1 + 4 * (label // 2), 1 + 4 * (label % 2)] += 1
    return x, labels


def small(seed=1, loss="categorical_crossentropy", optimizer=None, **options):
    model = keras.models.Sequential(seed=seed)
    model.add(L.Conv2D(8, (3, 3), padding="same", input_shape=(8, 8, 1)))
    model.add(L.Activation("relu"))
    model.add(L.BatchNormalization())
    model.add(L.MaxPooling2D((2, 2)))
    model.add(L.Dropout(0.1))
    model.add(L.Conv2D(8, 3, activation="relu"))
    model.add(L.Flatten())
    model.add(L.Dense(4))
    model.add(L.Activation("softmax"))
    model.compile(
        loss=loss, optimizer=optimizer or keras.optimizers.SGD(0.05, momentum=0.9), metrics=["accuracy"], **options
    )
    return model


def test_lecture_listing_runs_unchanged(images, capsys):
    x, labels = images
    x = np.pad(x, ((0, 0), (10, 10), (10, 10), (0, 0)))
    y = keras.utils.to_categorical(labels, 10)

    model = keras.models.Sequential()
    model.add(keras.layers.Conv2D(32, (3, 3), padding="same", input_shape=(28, 28, 1)))
    model.add(keras.layers.Activation("relu"))
    model.add(keras.layers.BatchNormalization(axis=-1))
    model.add(keras.layers.MaxPooling2D(pool_size=(2, 2)))
    model.add(keras.layers.Dropout(0.25))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(10))
    model.add(keras.layers.Activation("softmax"))
    opt = keras.optimizers.SGD(lr=0.01, momentum=0.9, decay=0.01 / 2)
    model.compile(loss=keras.losses.categorical_crossentropy, optimizer=opt, metrics=["accuracy"])
    model.summary()
    history = model.fit(x, y, validation_data=(x, y), batch_size=32, epochs=2, verbose=1)
    loss, accuracy = model.evaluate(x, y)
    predictions = model.predict(x)

    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert all(len(values) == 2 for values in history.history.values())
    assert history.history["val_loss"][-1] == loss
    assert history.history["val_accuracy"][-1] == accuracy
    assert predictions.shape == (64, 10)
    np.testing.assert_allclose(predictions.sum(axis=1), 1, rtol=1e-5)
    printed = capsys.readouterr().out
    assert "Epoch 2/2" in printed
    assert "2/2 - " in printed
    assert "val_accuracy: " in printed
    assert "Total params: 63,178" in printed


def test_datasets_are_where_keras_has_them():
    assert callable(keras.datasets.fashion_mnist.load_data)


def test_overfits_64_images(images):
    x, labels = images
    model = small()
    history = model.fit(x, keras.utils.to_categorical(labels), batch_size=16, epochs=30, verbose=0)
    assert history.history["loss"][-1] < 0.2 * history.history["loss"][0]
    assert model.evaluate(x, keras.utils.to_categorical(labels))[1] == 1.0
    matrix = keras.metrics.confusion_matrix(labels, model.predict(x), 4)
    assert np.array_equal(matrix, 16 * np.eye(4))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "mse"])
def test_optimizers_and_losses_learn(optimizer, loss, images):
    x, labels = images
    y = labels if loss.startswith("sparse") else keras.utils.to_categorical(labels)
    model = small(loss=loss, optimizer=optimizer)
    model.optimizer.lr = 0.1 if optimizer == "sgd" else 0.005
    values = model.fit(x, y, batch_size=16, epochs=8, verbose=0).history["loss"]
    assert values[-1] < 0.6 * values[0]


def test_binary_crossentropy_learns(images):
    x, labels = images
    model = keras.Sequential([L.Flatten(input_shape=(8, 8, 1)), L.Dense(1, activation="sigmoid")], seed=2)
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy", "mae"])
    history = model.fit(x, labels % 2, epochs=30, verbose=0).history
    assert history["accuracy"][-1] > 0.9
    assert history["mae"][-1] < history["mae"][0]


def run(threads, images, **options):
    x, labels = images
    with fc.threads(threads):
        model = small(seed=3)
        history = model.fit(x, keras.utils.to_categorical(labels), batch_size=24, epochs=2, verbose=0, **options)
        return history.history, [w.tobytes() for w in model.get_weights()]


def test_same_seed_same_history_bit_for_bit(images):
    first = run(1, images)
    assert run(1, images) == first
    assert run(2, images) == first


def test_large_layers_do_not_depend_on_threads_either():
    """Large enough for every kernel to go parallel."""
    rng = np.random.default_rng(0)
    x, y = rng.random((64, 28, 28, 1)).astype(np.float32), rng.integers(0, 10, 64)
    weights = []
    for n in (1, 2):
        with fc.threads(n):
            model = keras.applications.lecture_cnn(seed=1)
            model.compile("sgd", "sparse_categorical_crossentropy")
            model.fit(x, y, epochs=1, verbose=0, batch_size=32)
            weights.append([w.tobytes() for w in model.get_weights()])
    assert weights[0] == weights[1]


def test_set_random_seed_makes_unseeded_models_repeatable(images):
    x, labels = images
    results = []
    for _ in range(2):
        keras.utils.set_random_seed(11)
        model = small(seed=None)
        model.fit(x, keras.utils.to_categorical(labels), epochs=1, verbose=0)
        results.append([w.tobytes() for w in model.get_weights()])
    assert results[0] == results[1]
    with pytest.raises(InvalidArgument, match="seed is -1"):
        keras.utils.set_random_seed(-1)


def test_fused_steps_compute_what_the_layers_do(images):
    x, _ = images
    model = small()
    maps = model.feature_maps(x)
    assert list(maps) == [layer.name for layer in model.layers]
    np.testing.assert_allclose(model.predict(x), maps["activation_1"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("data_format, axis", [("channels_last", -1), ("channels_first", 1), ("channels_last", 2)])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("use_bias", [False, True])
def test_the_gradient_of_a_bias_comes_out_of_the_normalisation_behind_it(data_format, axis, relu, use_bias, rng):
    """As if layers stood apart, along the layer's own channels or another axis."""
    x, y = rng.standard_normal((8, 4, 5, 4)).astype(np.float32), rng.integers(0, 3, 8)
    trained = []
    for apart in (False, True):
        kinds = [lambda: L.Activation("relu")] if relu else []
        if apart:  # a layer of the user's, which no pass takes in
            kinds.append(type("Same", (L.Layer,), {"call": lambda self, x, training=False: x}))
        kinds.append(lambda: L.BatchNormalization(axis=axis))
        linear = [L.Conv2D(5, 3, padding="same", data_format=data_format, use_bias=use_bias), L.Dense(6)]
        layers = [part for layer in linear for part in (layer, *(kind() for kind in kinds))]
        model = keras.Sequential([L.Input((4, 5, 4)), *layers, L.Flatten(), L.Dense(3, "softmax")], seed=1)
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        for _ in range(2):
            model.train_on_batch(x, y)
        trained.append(model.get_weights())
    for a, b in zip(*trained, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("pool_size, strides, padding", [(2, None, "valid"), (3, 2, "same")])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_pool_behind_a_normalisation_may_come_before_it(data_format, pool_size, strides, padding, sign, rng):
    """The same model with a layer of the user's between; negative scales, for which it may not, included."""
    x, y = rng.standard_normal((6, 9, 8, 2)).astype(np.float32), rng.integers(0, 3, 6)
    axis = -1 if data_format == "channels_last" else 1
    if axis == 1:
        x = x.transpose(0, 3, 1, 2)
    results = []
    for apart in (False, True):
        layers = [
            L.Conv2D(5, 3, data_format=data_format),
            L.Activation("relu"),
            L.BatchNormalization(axis=axis),
            *([type("Same", (L.Layer,), {"call": lambda self, x, training=False: x})()] if apart else []),
            L.MaxPooling2D(pool_size, strides, padding, data_format=data_format),
            L.Flatten(),
            L.Dense(3, "softmax"),
        ]
        model = keras.Sequential([L.Input(x.shape[1:]), *layers], seed=1)
        model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
        gamma = model.layers[2].gamma
        gamma.put(np.array([sign, 1, 2, 1, 1], np.float32))
        before = model.predict(x)
        losses = [model.train_on_batch(x, y) for _ in range(3)]
        results.append([before, np.array(losses), *model.get_weights(), model.predict(x)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(results[0][0], results[1][0])


def test_normalisation_pools_for_positive_scales_only(rng):
    from fastconv.autograd import functional as F

    with pytest.raises(InvalidArgument, match="for gamma above 0"):
        F.batch_norm(rng.standard_normal((1, 4, 4, 2)), np.array([1.0, 0.0]), np.zeros(2), pool={"size": 2})


def test_training_step_against_torch(images):
    torch = pytest.importorskip("torch")
    x, labels = images
    model = keras.Sequential(
        [
            L.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1)),
            L.BatchNormalization(epsilon=1e-5),
            L.MaxPooling2D(2),
            L.Flatten(data_format="channels_last"),
            L.Dense(4, activation="softmax"),
        ],
        seed=1,
    )
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), "sparse_categorical_crossentropy")
    kernel, bias, gamma, beta, _, _, dense, offset = (torch.tensor(w) for w in model.get_weights())
    for w in (kernel, bias, gamma, beta, dense, offset):
        w.requires_grad_()
    step = torch.optim.SGD([kernel, bias, gamma, beta, dense, offset], lr=0.1, momentum=0.9, nesterov=True)
    t = torch.from_numpy(x).permute(0, 3, 1, 2)
    for _ in range(3):
        h = torch.relu(torch.nn.functional.conv2d(t, kernel.permute(3, 2, 0, 1), bias))
        h = torch.nn.functional.batch_norm(h, None, None, gamma, beta, training=True, eps=1e-5)
        h = torch.nn.functional.max_pool2d(h, 2).permute(0, 2, 3, 1).flatten(1)
        loss = torch.nn.functional.cross_entropy(h @ dense + offset, torch.tensor(labels))
        step.zero_grad()
        loss.backward()
        step.step()
        assert abs(model.train_on_batch(x, labels) - loss.item()) < 1e-5
    ours = [w for w in model.get_weights() if w.shape != (4,)]
    for a, b in zip(ours, (kernel, dense), strict=True):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-3, atol=1e-5)


def test_adam_and_rmsprop_follow_their_formulas(rng):
    from fastconv.autograd import Tensor

    for optimizer in (
        keras.optimizers.Adam(0.1, epsilon=1e-3),
        keras.optimizers.RMSprop(0.1, momentum=0.5, epsilon=1e-3),
    ):
        w = Tensor(np.array([1.0, -2.0]), requires_grad=True)
        expected, m, v = w.data.copy(), np.zeros(2), np.zeros(2)
        for t in range(1, 5):
            w.grad = g = rng.standard_normal(2)
            optimizer.apply([w])
            if isinstance(optimizer, keras.optimizers.Adam):
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
                expected -= 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-3)
            else:
                v = 0.9 * v + 0.1 * g * g
                m = 0.5 * m + 0.1 * g / np.sqrt(v + 1e-3)
                expected -= m
            np.testing.assert_allclose(w.data, expected, rtol=1e-12)


def test_sgd_decay_clipping_and_schedules():
    from fastconv.autograd import Tensor

    w = Tensor(np.zeros(2), requires_grad=True)
    optimizer = keras.optimizers.SGD(1.0, decay=1.0, clipvalue=2.0)
    for _ in range(2):
        w.grad = np.array([1.0, -5.0])
        optimizer.apply([w])
    np.testing.assert_allclose(w.data, [-1.5, 3.0])
    w.data[:] = 0
    optimizer = keras.optimizers.SGD(lambda step: 10.0**-step, clipnorm=5.0)
    for _ in range(2):
        w.grad = np.array([6.0, 8.0])
        optimizer.apply([w])
    np.testing.assert_allclose(w.data, [-3.3, -4.4])


def test_optimizer_state_round_trip(images):
    x, labels = images
    y = keras.utils.to_categorical(labels)
    for make in (lambda: keras.optimizers.SGD(0.05, momentum=0.9), keras.optimizers.Adam, keras.optimizers.RMSprop):
        whole, first, second = small(optimizer=make()), small(optimizer=make()), small(optimizer=make())
        for model in (whole, first):
            model.train_on_batch(x, y)
        second.set_weights(first.get_weights())
        second.optimizer.set_state(first.optimizer.get_state())
        second._rng = first._rng
        a, b = whole.train_on_batch(x, y), second.train_on_batch(x, y)
        assert a == b
        assert all(np.array_equal(p, q) for p, q in zip(whole.get_weights(), second.get_weights(), strict=True))
    with pytest.raises(InvalidArgument, match="not one of Adam"):
        keras.optimizers.Adam().set_state({})


def test_regularizers_and_constraints(images):
    x, labels = images
    model = keras.Sequential(
        [
            L.Flatten(input_shape=(8, 8, 1)),
            L.Dense(
                4, kernel_regularizer=keras.regularizers.l2(0.5), kernel_constraint=keras.constraints.max_norm(0.5)
            ),
        ],
        seed=1,
    )
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    kernel = model.get_weights()[0]
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, model.predict(x))
    assert abs(model.evaluate(x, labels) - plain - 0.5 * (kernel**2).sum()) < 1e-4
    model.fit(x, labels, epochs=1, verbose=0)
    assert np.sqrt((model.get_weights()[0] ** 2).sum(axis=0)).max() <= 0.5 + 1e-5
    for name, check in (
        ("unit_norm", lambda w: np.allclose(np.sqrt((w**2).sum(axis=0)), 1, atol=1e-5)),
        ("non_neg", lambda w: (w >= 0).all()),
        ("min_max_norm", lambda w: np.sqrt((w**2).sum(axis=0)).max() <= 1 + 1e-5),
    ):
        assert check(keras.constraints.get(name)(np.random.default_rng(1).standard_normal((5, 3)) * 3))


def test_metrics():
    y, p = np.array([0, 1, 2, 2]), np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5], [0.5, 0.4, 0.1], [0.1, 0.2, 0.7]])
    one_hot = keras.utils.to_categorical(y)
    M = keras.metrics
    assert M.sparse_categorical_accuracy(y, p).tolist() == [1, 0, 0, 1]
    assert M.categorical_accuracy(one_hot, p).tolist() == [1, 0, 0, 1]
    assert M.top_k_categorical_accuracy(one_hot, p, k=2).tolist() == [1, 1, 0, 1]
    assert M.sparse_top_k_categorical_accuracy(y[:, None], p, k=1).tolist() == [1, 0, 0, 1]
    assert M.confusion_matrix(y, p).tolist() == [[1, 0, 0], [0, 0, 1], [1, 0, 1]]
    assert M.confusion_matrix(one_hot, p).sum() == 4
    metric = M.TopKCategoricalAccuracy(k=2)
    metric.update_state(one_hot, p)
    assert metric.result() == 0.75
    assert M.BinaryAccuracy(threshold=0.3).function([1.0], [0.4]).tolist() == [1]
    with pytest.raises(InvalidArgument, match="TopKCategoricalAccuracy takes k, name"):
        M.TopKCategoricalAccuracy(top=2)
    with pytest.raises(InvalidArgument, match="y_true has 4 samples but y_pred has 3"):
        M.confusion_matrix(y, p[:3])


def test_metric_names_and_own_functions(images):
    x, labels = images

    def certainty(y_true, y_pred):
        return y_pred.max(axis=-1)

    model = small(loss="sparse_categorical_crossentropy")
    model.compile(
        "sgd",
        "sparse_categorical_crossentropy",
        metrics=["acc", "top_k_accuracy", certainty, keras.metrics.MeanAbsoluteError],
    )
    assert model.metrics_names == ["loss", "acc", "top_k_accuracy", "certainty", "mean_absolute_error"]
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["acc", "top_k_accuracy", certainty])
    values = model.evaluate(x, labels, return_dict=True)
    assert values["top_k_accuracy"] == 1.0, "there are fewer classes than k"
    assert 0.25 <= values["certainty"] <= 1, "metrics see probabilities, not logits"
    assert model.evaluate(x, labels, batch_size=7) == pytest.approx(list(values.values()), rel=1e-5)


def test_own_loss_function(images):
    x, labels = images

    def error(y_true, y_pred):
        return (y_pred - y_true) ** 2

    model = small(loss=error)
    same = small(loss="mse")
    y = keras.utils.to_categorical(labels)
    np.testing.assert_allclose(model.train_on_batch(x, y)[0], same.train_on_batch(x, y)[0], rtol=1e-6)
    model.compile("sgd", lambda y_true, y_pred: 1.0)
    with pytest.raises(InvalidArgument, match="must return a tensor"):
        model.train_on_batch(x, y)


def test_losses_of_arrays():
    p, y = np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    expected = -np.log([0.9, 0.8])
    K = keras.losses
    np.testing.assert_allclose(K.categorical_crossentropy(y, p), expected)
    np.testing.assert_allclose(K.sparse_categorical_crossentropy([1, 0], p), expected)
    np.testing.assert_allclose(K.binary_crossentropy(y, p), expected, rtol=1e-6)
    np.testing.assert_allclose(K.mse(y, p), [0.01, 0.04])
    np.testing.assert_allclose(K.mae(y, p), [0.1, 0.2])
    np.testing.assert_allclose(K.CategoricalCrossentropy(from_logits=True)(y, np.log(p)), expected.mean())
    smooth = K.CategoricalCrossentropy(label_smoothing=0.2)(y, p)
    np.testing.assert_allclose(smooth, -(0.9 * np.log([0.9, 0.8]) + 0.1 * np.log([0.1, 0.2])).mean(), rtol=1e-6)
    with pytest.raises(InvalidArgument, match="label_smoothing is 2"):
        K.CategoricalCrossentropy(label_smoothing=2)


def test_validation_split_takes_the_end(images):
    x, labels = images
    model = small()
    history = model.fit(x, keras.utils.to_categorical(labels), validation_split=0.25, epochs=1, verbose=0)
    loss, _ = model.evaluate(x[48:], keras.utils.to_categorical(labels)[48:])
    assert history.history["val_loss"] == [loss]


def test_uint8_images_and_ragged_last_batch(images):
    x, labels = images
    small().fit((x[:50] * 100).astype(np.uint8), keras.utils.to_categorical(labels[:50]), batch_size=16, verbose=0)


def test_nan_in_x_is_allowed(images):
    x, labels = images
    x = x.copy()
    x[3] = np.nan
    model = small()
    history = model.fit(x, keras.utils.to_categorical(labels), epochs=1, verbose=0)
    assert np.isnan(history.history["loss"][0])


ERRORS = [
    (
        lambda m, x, y: m.fit(x[..., 0], y),
        r"samples of shape \(8, 8\) but the model takes \(8, 8, 1\); add the channel axis",
    ),
    (lambda m, x, y: m.fit(x[:, :7], y), "the model takes"),
    (lambda m, x, y: m.fit(x[:10], y), "x has 10 samples but y has 64"),
    (lambda m, x, y: m.fit(x[:0], y[:0]), "x is empty"),
    (lambda m, x, y: m.fit(x), "y is missing"),
    (lambda m, x, y: m.fit("images", y), "x has shape"),
    (lambda m, x, y: m.fit([np.zeros(2), np.zeros(3)], y), "same shape"),
    (lambda m, x, y: m.fit(x, y.argmax(axis=1)), "to_categorical or sparse_categorical_crossentropy"),
    (lambda m, x, y: m.fit(x, y[:, :3]), r"y has shape \(64, 3\)"),
    (lambda m, x, y: m.fit(x, np.where(np.arange(64)[:, None] == 5, np.nan, y)), r"y\[\(5, 0\)\] is nan"),
    (lambda m, x, y: m.fit(x, -y), "labels must be from 0 to 1"),
    (lambda m, x, y: m.fit(x, y * 2), "is 2.0; labels must be from 0 to 1"),
    (lambda m, x, y: m.fit(x, y, batch_size=0), "batch_size is 0"),
    (lambda m, x, y: m.fit(x, y, batch_size=2.5), "batch_size is 2.5"),
    (lambda m, x, y: m.fit(x, y, epochs=-1), "epochs is -1"),
    (lambda m, x, y: m.fit(x, y, verbose=7), "verbose is 7"),
    (lambda m, x, y: m.fit(x, y, validation_split=1.5), "validation_split is 1.5"),
    (lambda m, x, y: m.fit(x[:1], y[:1], validation_split=0.5), "no sample on one side"),
    (lambda m, x, y: m.fit(x, y, validation_data=x), "must be a pair"),
    (lambda m, x, y: m.fit(x, y, validation_data=(x[:, :5], y)), "the x of validation_data holds samples"),
    (
        lambda m, x, y: m.fit(x, y, validation_data=(x, y[:5])),
        "the x of validation_data has 64 samples but its y has 5",
    ),
    (lambda m, x, y: m.fit(x, y, callbacks=[print]), "callbacks holds"),
    (lambda m, x, y: m.predict(x[:, :5]), "the model takes"),
    (lambda m, x, y: m.compile("sdg", "mse"), "unknown optimizer 'sdg'; did you mean 'sgd'"),
    (lambda m, x, y: m.compile("sgd", "crossentropy"), "Known: bce, binary_crossentropy"),
    (lambda m, x, y: m.compile("sgd", "mse", ["accurcy"]), "unknown metric 'accurcy'; did you mean 'accuracy'"),
    (lambda m, x, y: m.add("Dense"), "expected a layer"),
    (lambda m, x, y: m.add(L.Input((3,))), "must be the first"),
    (lambda m, x, y: m.add(m.layers[0]), "in this model already"),
    (lambda m, x, y: m.add(L.Dense(3, name="dense")), "names must differ"),
    (lambda m, x, y: m.add(L.Conv2D(3, 3)), "needs images"),
    (lambda m, x, y: m.get_layer("conv9"), "no layer named 'conv9'"),
    (lambda m, x, y: m.get_layer(index=99), "index is 99"),
    (lambda m, x, y: m.set_weights([1]), "the model has 10 weights but 1 were given"),
    (lambda m, x, y: keras.Sequential().fit(x, y), "not compiled"),
    (lambda m, x, y: keras.Sequential().build((None, 3)), "no layers"),
    (lambda m, x, y: keras.Sequential().pop(), "no layer to take off"),
    (lambda m, x, y: keras.Sequential([L.Dense(3)]).build(), "shape is not known"),
    (lambda m, x, y: keras.Sequential(seed=1.5), "seed is 1.5"),
    (lambda m, x, y: keras.optimizers.SGD(-1), "learning_rate is -1"),
    (lambda m, x, y: keras.optimizers.SGD("fast"), "learning_rate is 'fast'"),
    (lambda m, x, y: keras.optimizers.SGD(momentum=2), "momentum is 2"),
    (lambda m, x, y: keras.optimizers.SGD(decay=-1), "decay is -1"),
    (lambda m, x, y: keras.optimizers.SGD(clipnorm=0), "clipnorm is 0"),
    (lambda m, x, y: keras.optimizers.Adam(beta_1=1), "beta_1 is 1"),
    (lambda m, x, y: keras.optimizers.RMSprop(rho=1), "rho is 1"),
    (lambda m, x, y: keras.regularizers.l2(-1), "l2 is -1"),
    (lambda m, x, y: keras.constraints.MinMaxNorm(2, 1), "min_value is 2"),
    (lambda m, x, y: keras.utils.to_categorical([0.5]), r"x\[0\] is 0.5; labels must be whole numbers"),
    (lambda m, x, y: keras.utils.to_categorical([0, 3], 3), r"x\[1\] is 3; labels must be whole numbers from 0 to 2"),
    (lambda m, x, y: keras.utils.to_categorical(["a"]), "dtype"),
]


@pytest.mark.parametrize("case", range(len(ERRORS)))
def test_errors_say_what_to_do(case, images):
    x, labels = images
    act, message = ERRORS[case]
    model = small()
    before = model.get_weights()
    with pytest.raises(InvalidArgument, match=message):
        act(model, x, keras.utils.to_categorical(labels))
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("bad", [np.nan, -1, 4, 1.5, np.inf])
def test_bad_class_numbers_are_refused(bad, images):
    x, labels = images
    y = labels.astype(np.float64)
    y[9] = bad
    with pytest.raises(InvalidArgument, match=r"y\[9\] is .*labels must be whole numbers from 0 to 3"):
        small(loss="sparse_categorical_crossentropy").fit(x, y)


def test_other_losses_check_their_labels(images):
    x, labels = images
    y = keras.utils.to_categorical(labels)
    with pytest.raises(InvalidArgument, match="nan"):
        small(loss="mse").fit(x, y * np.nan)
    with pytest.warns(UserWarning, match="compared with each"):
        small(loss="mse").fit(x, labels)
    with pytest.raises(InvalidArgument, match="for rows of probabilities use categorical_crossentropy"):
        small(loss="sparse_categorical_crossentropy").fit(x, y)
    with pytest.raises(InvalidArgument, match="from 0 to 1"):
        small(loss="binary_crossentropy").fit(x, y + 1)


def test_a_model_may_be_built_by_its_first_data(images):
    x, labels = images
    model = keras.Sequential([L.Flatten(), L.Dense(4, activation="softmax")], seed=1)
    lines = []
    model.summary(print_fn=lines.append)
    assert any("not built" in line for line in lines)
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert model.input_shape is model.output_shape is None
    model.fit(x, labels, verbose=0)
    assert model.input_shape == (None, 8, 8, 1)
    assert model.pop().name == "dense"
    assert model(x).shape == (64, 64)


@pytest.fixture
def interruptible():
    """SIGINT raises KeyboardInterrupt, as in a terminal: background processes ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_leaves_the_weights_of_the_last_step(images, interruptible):
    """The signal comes in the middle of a step: the step is finished, then KeyboardInterrupt is raised."""
    x, labels = images
    y = keras.utils.to_categorical(labels)

    class Interrupt(L.Layer):
        calls = 0

        def call(self, x, training=False):
            Interrupt.calls += training
            if Interrupt.calls == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return x

        def compute_output_shape(self, input_shape):
            return input_shape

    def model_with(layer):
        model = keras.Sequential([L.Flatten(input_shape=(8, 8, 1)), layer, L.Dense(4, activation="softmax")], seed=1)
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "categorical_crossentropy")
        return model

    class Stop(keras.callbacks.Callback):
        def on_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 2

    handler = signal.getsignal(signal.SIGINT)
    stopped = model_with(Interrupt())
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(x, y, batch_size=8, verbose=0)
    assert signal.getsignal(signal.SIGINT) is handler
    whole = model_with(L.Activation("linear"))
    whole.fit(x, y, batch_size=8, verbose=0, callbacks=[Stop()])
    assert stopped.optimizer.iterations == whole.optimizer.iterations == 3
    assert all(np.array_equal(a, b) for a, b in zip(stopped.get_weights(), whole.get_weights(), strict=True))


def test_training_in_another_thread(images):
    import threading

    x, labels = images
    results = []
    thread = threading.Thread(target=lambda: results.append(run(1, (x, labels))))
    thread.start()
    thread.join()
    assert results == [run(1, images)]


def test_buffers_are_used_again():
    from fastconv.memory import Pool, empty, recycled

    pool = Pool()
    with recycled(pool):
        a = empty((100, 1000), np.float32)
        view = a[50:].reshape(-1)
        address = a.ctypes.data
        assert address % 64 == 0
        del a
        b = empty((100, 1000), np.float32)
        assert b.ctypes.data != address, "a view of it is still alive"
        del view
        c = empty((90, 1000), np.float32)
        assert c.ctypes.data == address
        d = empty((10, 1000), np.float32)
        assert pool.nbytes < 3 * 400_000
    held = pool.nbytes
    outside = empty((100, 1000), np.float32)
    assert outside.ctypes.data % 64 == 0
    assert pool.nbytes == held
    pool.clear()
    assert pool.nbytes == 0
    c[:] = 1
    assert d.shape == (10, 1000)
