"""nn on CUDA, in the simulator: what the CPU computes to rounding, nothing copied to the host, few launches."""

import copy
import json
import pickle

import cudasim
import numpy as np
import pytest
from child import run_script
from click.testing import CliRunner
from cuda_small import carried, shrink, simulator
from planting import assert_noticed, mutated

from fastconv import nn
from fastconv.cli import main
from fastconv.config import settings
from fastconv.cuda import backend, rows, samples
from fastconv.errors import DeviceMissing, InvalidArgument
from fastconv.nn.fitting import feeding, meters
from fastconv.show import figures

__all__ = ["simulator"]
layers, optimizers, metrics = nn.layers, nn.optimizers, nn.metrics
K = 3
MOST_LAUNCHES = 75  # of a step of the lecture's network


class Watching(cudasim.Executor):
    """Keeps the sizes of what is copied to the host and to the device."""

    def __init__(self):
        super().__init__()
        self.to_hosts, self.to_devices = [], []

    def to_host(self, array):
        self.to_hosts.append(array.size)
        return super().to_host(array)

    def to_device(self, array):
        self.to_devices.append(array.size)
        return super().to_device(array)


class Counting(Watching):
    """Computes nothing: counts what it should run, so that large networks take no time."""

    def empty(self, shape, dtype):
        return cudasim.DeviceArray((), shape, dtype)

    def to_device(self, array):
        self.to_devices.append(array.size)
        return self.empty(array.shape, array.dtype)

    def to_host(self, array):
        self.to_hosts.append(array.size)
        return np.zeros(array.shape, array.dtype)

    def compile(self, function, bounds):
        return function.__name__

    def run(self, kernel, blocks, threads, args, shared=0):
        self.launches += 1


@pytest.fixture
def watching(monkeypatch):
    shrink(monkeypatch)
    with backend.run_on(Watching()) as executor:
        yield executor


@pytest.fixture
def counting():
    with backend.run_on(Counting()) as executor:
        yield executor


def small_model(**options):
    """Every kind of step that the lecture's network has."""
    return nn.Sequential(
        [
            layers.Conv2D(3, (3, 3), padding="same", input_shape=(4, 5, 1), **options),
            layers.Activation("relu"),
            layers.BatchNormalization(momentum=0.5),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(4, activation="relu", **options),
            layers.Dropout(0.5),
            layers.Dense(K, activation="softmax"),
        ],
        seed=3,
    )


def data(n=6, shape=(4, 5, 1), classes=K):
    rng = np.random.default_rng(5)
    return rng.random((n, *shape)).astype(np.float32), nn.utils.to_categorical(np.arange(n) % classes, classes)


def agree(cuda, cpu, tolerance=1e-5):
    for one, other in zip(cuda.get_weights(), cpu.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=10 * tolerance, atol=tolerance)


def both(make, optimizer, loss="categorical_crossentropy", measured=("accuracy",), xy=None, **fit):
    """A model trained on CUDA and its twin trained on the CPU, with their histories."""
    x, y = xy or data()
    found = []
    for device in ("cuda", "cpu"):
        model = make()
        model.compile(optimizer(), loss, list(measured))
        model.to(device)
        history = model.fit(x, y, **{"batch_size": 4, "epochs": 1, "verbose": 0} | fit).history
        found.append((model, history))
    return found


def same_history(cuda, cpu):
    assert list(cuda) == list(cpu)
    for key, values in cpu.items():
        np.testing.assert_allclose(cuda[key], values, rtol=1e-4, err_msg=key)


OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(0.1),
    "nesterov": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optimizers.Adam(0.01, epsilon=1e-2),  # with less, rounding decides where a gradient is nearly 0
    "rmsprop": lambda: optimizers.RMSprop(0.01, epsilon=1e-2),
    "clipped": lambda: optimizers.SGD(0.1, clipnorm=0.1, clipvalue=0.5, decay=0.1),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_is_that_of_the_cpu(simulator, optimizer):
    (cuda, history), (cpu, expected) = both(small_model, OPTIMIZERS[optimizer], batch_size=2)
    agree(cuda, cpu)
    same_history(history, expected)
    x, y = data()
    np.testing.assert_allclose(cuda.predict(x), cpu.predict(x), atol=1e-5)
    assert isinstance(cuda.predict(x), np.ndarray)
    np.testing.assert_allclose(cuda.evaluate(x, y), cpu.evaluate(x, y), rtol=1e-4)
    np.testing.assert_allclose(cuda.train_on_batch(x, y), cpu.train_on_batch(x, y), rtol=1e-4)


def test_a_step_copies_nothing_to_the_host(watching):
    """But loss and metrics, all steps' at once, when the epoch is over."""
    model, (x, y) = small_model().to("cuda"), data(8)
    model.compile(optimizers.SGD(0.1, momentum=0.9, clipnorm=1.0), "categorical_crossentropy", ["accuracy", "mse"])
    model.train_on_batch(x[:2], y[:2])
    watching.to_hosts.clear()
    model.fit(x, y, batch_size=2, epochs=1, verbose=0, validation_data=(x[:2], y[:2]))
    assert watching.to_hosts == [4 * 3, 3]


def test_samples_are_copied_once(watching):
    model, (x, y) = small_model().to("cuda"), data(8)
    model.compile("sgd", "categorical_crossentropy")
    model.train_on_batch(x[:2], y[:2])
    watching.to_devices.clear()
    model.fit(x, y, batch_size=2, epochs=2, verbose=0)
    whole = [n for n in watching.to_devices if n > 1]
    assert whole == [x.size, y.size, len(x), len(x)]  # and an order for each epoch


def test_a_callback_that_looks_reads_one_row_a_step(watching):
    model, (x, y) = small_model().to("cuda"), data(6)
    model.compile("sgd", "categorical_crossentropy", ["accuracy"])
    seen = []
    look = nn.callbacks.LambdaCallback(on_batch_end=lambda batch, logs: seen.append(dict(logs)))
    watching.to_hosts.clear()
    history = model.fit(x, y, batch_size=2, verbose=0, callbacks=[look]).history
    assert watching.to_hosts == [2, 2, 2]
    assert seen[-1] == {key: values[0] for key, values in history.items()}


def test_the_lecture_network_takes_few_launches(counting):
    model, (x, y) = nn.applications.lecture_cnn(seed=0).to("cuda"), data(128, (28, 28, 1), 10)
    model.compile(optimizers.SGD(0.05, momentum=0.9), "categorical_crossentropy", ["accuracy"])
    model.fit(x, y, batch_size=64, verbose=0)
    before = counting.launches
    model.fit(x, y, batch_size=64, verbose=0)
    assert (counting.launches - before) / 2 <= MOST_LAUNCHES


@pytest.mark.parametrize("limit", [1, 1 << 20])
def test_a_data_set_that_does_not_fit_is_copied_batch_by_batch(simulator, monkeypatch, limit):
    monkeypatch.setattr(feeding, "settings", type(settings)(resident_bytes=limit))
    x, y = data()
    (cuda, history), (cpu, expected) = both(small_model, OPTIMIZERS["sgd"], xy=((x * 255).astype(np.uint8), y))
    agree(cuda, cpu, 1e-4)
    same_history(history, expected)


def test_regularizers_and_constraints(simulator):
    def make():
        return small_model(kernel_regularizer=nn.regularizers.l1_l2(0.01, 0.02), kernel_constraint="max_norm")

    (cuda, history), (cpu, expected) = both(make, OPTIMIZERS["nesterov"])
    agree(cuda, cpu)
    same_history(history, expected)
    np.testing.assert_allclose(cuda.evaluate(*data()), cpu.evaluate(*data()), rtol=1e-4)


# --- losses and metrics


def outputs_model(units, activation):
    return lambda: nn.Sequential([layers.Dense(units, activation=activation, input_shape=(4,))], seed=1)


@pytest.mark.parametrize(
    "activation, loss",
    [
        ("softmax", "categorical_crossentropy"),
        ("sigmoid", "categorical_crossentropy"),
        ("softmax", nn.losses.CategoricalCrossentropy(label_smoothing=0.25)),
        ("softmax", "sparse_categorical_crossentropy"),
        ("sigmoid", "binary_crossentropy"),
        ("softmax", "binary_crossentropy"),
        ("tanh", "mse"),
        (None, "mae"),
        (None, lambda y, p: ((y - p) * (y - p)).sum()),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_losses(simulator, activation, loss):
    x, y = data(6, (4,))
    if loss == "sparse_categorical_crossentropy":
        y = y.argmax(axis=1)
    (cuda, history), (cpu, expected) = both(outputs_model(K, activation), OPTIMIZERS["sgd"], loss, (), (x, y))
    agree(cuda, cpu)
    same_history(history, expected)


MEASURED = [
    "categorical_accuracy",
    "binary_accuracy",
    "mse",
    "mae",
    metrics.TopKCategoricalAccuracy(2),
    metrics.BinaryAccuracy(threshold=0.25),
]


@pytest.mark.parametrize("enough", [1 << 14, 8])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_metrics(simulator, activation, enough, monkeypatch):
    """Of one block and of several."""
    monkeypatch.setattr(rows, "ENOUGH", enough)
    rows._share.cache_clear()
    found = both(outputs_model(K, activation), OPTIMIZERS["sgd"], measured=MEASURED, xy=data(21, (4,)), batch_size=11)
    same_history(found[0][1], found[1][1])
    rows._share.cache_clear()


def test_metrics_of_class_numbers(simulator):
    x, y = data(7, (4,))
    measured = ["accuracy", metrics.SparseTopKCategoricalAccuracy(2)]
    found = both(
        outputs_model(K, "softmax"),
        OPTIMIZERS["sgd"],
        "sparse_categorical_crossentropy",
        measured,
        (x, y.argmax(axis=1)),
    )
    same_history(found[0][1], found[1][1])


def test_accuracy_follows_from_the_shapes(simulator):
    """One sigmoid output beside an own loss, whose labels lack an axis; class numbers beside one."""

    def own(y_true, y_pred):
        return ((y_pred - 0.5) ** 2).mean()

    x, y = data(7, (4,))
    for units, activation in ((1, "sigmoid"), (K, "softmax")):
        labels = y.argmax(axis=1) % (units + 1)
        found = both(
            outputs_model(units, activation), OPTIMIZERS["sgd"], own, ["accuracy"], (x, labels), validation_split=0.4
        )
        same_history(found[0][1], found[1][1])


def test_class_numbers_that_a_metric_would_look_up_are_checked(simulator):
    model = outputs_model(K, "softmax")()
    model.compile("sgd", lambda y_true, y_pred: y_pred.mean(), metrics=["top_k_accuracy"])
    model.to("cuda")
    with pytest.raises(InvalidArgument, match=r"y\[1\] is 7; labels must be whole numbers from 0 to 2"):
        model.evaluate(np.zeros((2, 4)), np.array([0, 7]))


def test_models_in_float64(simulator):
    x, y = data(5, (4,))
    x = x.astype(np.float64) + 1e-9
    found = both(
        lambda: nn.Sequential([nn.layers.Dense(K, activation="softmax", dtype="float64", input_shape=(4,))], seed=1),
        OPTIMIZERS["sgd"],
        xy=(x, y),
    )
    np.testing.assert_allclose(found[0][0].get_weights()[0], found[1][0].get_weights()[0], rtol=1e-12)
    predicted = found[0][0].predict(x)
    assert predicted.dtype == np.float64
    np.testing.assert_allclose(predicted, found[1][0].predict(x), rtol=1e-12)


def test_evaluating_while_training_and_steps_of_ones_own(simulator):
    x, y = data(6, (4,))

    class Own(nn.Sequential):
        def train_step(self, data):
            logs = super().train_step(data)
            logs["twice"] = 2 * logs["loss"]
            return logs

    histories = []
    for kind in (nn.Sequential, Own):
        model = kind([nn.layers.Dense(K, activation="softmax", input_shape=(4,))], seed=1)
        model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
        model.to("cuda")
        evaluates = nn.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, model=model: model.evaluate(x[:1], y[:1])
        )
        fit = {"batch_size": 4, "verbose": 0, "shuffle": False, "callbacks": evaluates if kind is Own else None}
        histories.append(model.fit(x, y, **fit).history)
    assert histories[1].pop("twice") == [2 * histories[0]["loss"][0]]
    same_history(histories[1], histories[0])


def test_a_metric_of_ones_own_sees_host_arrays(simulator):
    def hits(y_true, y_pred):
        assert isinstance(y_true, np.ndarray) and isinstance(y_pred, np.ndarray)
        return (y_true.argmax(axis=1) == y_pred.argmax(axis=1)).astype(float)

    found = both(outputs_model(K, "softmax"), OPTIMIZERS["sgd"], measured=["accuracy", hits], xy=data(5, (4,)))
    same_history(found[0][1], found[1][1])
    assert found[0][1]["hits"] == found[0][1]["accuracy"]


def test_many_steps_are_read_in_pieces(simulator, monkeypatch):
    monkeypatch.setattr(meters, "ROWS", 2)
    found = both(outputs_model(K, "softmax"), OPTIMIZERS["sgd"], xy=data(5, (4,)), batch_size=1)
    same_history(found[0][1], found[1][1])


@pytest.mark.parametrize("kind", ["categorical", "sparse", "top_k"])
def test_ties_and_nan_count_as_on_the_cpu(simulator, kind):
    nan = np.nan
    p = np.array([[1, 1, 0], [0, nan, nan], [2, nan, 0], [nan, 0, 1], [0, 0, 0], [3, 2, 1]], np.float32)
    labels = np.array([0, 1, 0, 2, 0, 2])
    y = np.eye(3, dtype=np.float32)[labels]
    function = {"categorical": "categorical_accuracy", "sparse": "sparse_categorical_accuracy"}
    if kind == "top_k":
        expected = metrics.top_k_categorical_accuracy(y, p, 2)
    else:
        expected = getattr(metrics, function[kind])(labels if kind == "sparse" else y, p)
    scores, q, target = carried(np.zeros(1, np.float32), p, labels.astype(np.int32) if kind == "sparse" else y)
    samples.add_scores(target.handle, q.handle, scores.handle, 0, kind=kind, number=2)
    assert scores.numpy()[0] == expected.sum()


# --- layers


def first(layer):
    return lambda: [layer()]


LAYERS = {
    "Conv1D causal": ((6, 2), lambda: layers.Conv1D(3, 2, padding="causal", dilation_rate=2)),
    "Conv2D first": ((2, 4, 5), lambda: layers.Conv2D(4, 3, data_format="channels_first", activation="tanh", groups=2)),
    "Conv3D": ((3, 3, 3, 1), lambda: layers.Conv3D(2, 2, strides=2, padding="same", activation="sigmoid")),
    "DepthwiseConv2D": ((4, 4, 2), lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, activation="leaky_relu")),
    "Conv2DTranspose": ((3, 3, 2), lambda: layers.Conv2DTranspose(3, 3, strides=2, padding="same")),
    "Conv1DTranspose": ((4, 2), lambda: layers.Conv1DTranspose(3, 2, strides=3)),
    "MaxPooling1D": ((6, 2), lambda: layers.MaxPooling1D(2)),
    "MaxPooling2D": ((5, 5, 2), lambda: layers.MaxPooling2D(3, strides=2, padding="same")),
    "AveragePooling2D": ((5, 5, 2), lambda: layers.AveragePooling2D(3, strides=2, padding="same")),
    "AveragePooling3D": ((2, 2, 4, 1), lambda: layers.AveragePooling3D(2)),
    "GlobalAveragePooling2D": ((3, 4, 2), lambda: layers.GlobalAveragePooling2D()),
    "GlobalMaxPooling2D": ((3, 4, 2), lambda: layers.GlobalMaxPooling2D()),
    "Permute": ((3, 4, 2), lambda: layers.Permute((2, 3, 1))),
    "Reshape": ((3, 4, 2), lambda: layers.Reshape((6, -1))),
    "ZeroPadding2D": ((3, 4, 2), lambda: layers.ZeroPadding2D(((1, 0), (2, 1)))),
    "ReLU": ((3, 4), lambda: layers.ReLU(negative_slope=0.25)),
    "LeakyReLU": ((3, 4), lambda: layers.LeakyReLU()),
    "PReLU ELU": ((3, 2), lambda: layers.PReLU()),
    "ELU": ((3, 2), lambda: layers.ELU()),
    "SeparableConv2D": ((3, 3, 2), lambda: layers.SeparableConv2D(2, 2, activation="gelu")),
    "LayerNormalization": ((2, 3, 2), lambda: layers.LayerNormalization([1, -1])),
    "RMSNormalization": ((3, 2), lambda: layers.RMSNormalization()),
    "UnitNormalization": ((3, 2), lambda: layers.UnitNormalization()),
    "GroupNormalization": ((2, 3, 4), lambda: layers.GroupNormalization(2)),
    "GroupNormalization first": ((4, 3), lambda: layers.GroupNormalization(2, axis=1)),
    "Cropping2D": ((3, 4, 2), lambda: layers.Cropping2D(((1, 0), (0, 1)))),
    "UpSampling2D": ((2, 2, 2), lambda: layers.UpSampling2D(2)),
    "Resizing": ((2, 3, 2), lambda: layers.Resizing(3, 2)),
    "RepeatVector": ((4,), lambda: layers.RepeatVector(2)),
    "Lambda": ((4,), lambda: layers.Lambda(lambda x: x * 2.0)),
    "Rescaling": ((3, 2), lambda: layers.Rescaling([1.0, 2.0], 0.5)),
    "Normalization": ((3, 2), lambda: layers.Normalization(mean=[0.0, 1.0], variance=[1.0, 2.0])),
    "RandomRotation RandomFlip RandomTranslation RandomZoom": (
        (3, 3, 1),
        lambda: layers.RandomRotation(0.1, seed=1),
    ),
    "RandomContrast RandomBrightness": ((3, 3, 1), lambda: layers.RandomContrast(0.1, (-9, 9), seed=1)),
    "CenterCrop RandomCrop": ((3, 3, 1), lambda: layers.RandomCrop(2, 2, seed=1)),
    "SpatialDropout1D": ((3, 2), lambda: layers.SpatialDropout1D(0.5, seed=1)),
    "GaussianNoise GaussianDropout": ((3, 2), lambda: layers.GaussianNoise(0.1, seed=1)),
    "AlphaDropout": ((3, 2), lambda: layers.AlphaDropout(0.5, seed=1)),
    "Softmax axis 1": ((3, 4), lambda: layers.Softmax(axis=1)),
    "log_softmax": ((3, 4), lambda: layers.Activation("log_softmax")),
    "exponential": ((3, 4), lambda: layers.Activation("exponential")),
    "BatchNormalization first": ((2, 4, 3), lambda: layers.BatchNormalization(axis=1, scale=False)),
    "Dense on images": ((3, 4), lambda: layers.Dense(2, activation="relu")),
    "Flatten first": ((2, 3, 4), lambda: layers.Flatten(data_format="channels_first")),
}


def test_embedding(simulator):
    """Rows of numbers, some of which occur twice."""

    def model():
        return nn.Sequential([layers.Embedding(5, 2, input_shape=(3,)), layers.Flatten(), layers.Dense(K)], seed=2)

    x = np.array([[0, 1, 1], [4, 0, 2], [2, 2, 2]], np.float32)
    (cuda, history), (cpu, expected) = both(model, OPTIMIZERS["sgd"], "mse", (), (x, data(3)[1]), batch_size=3)
    agree(cuda, cpu)
    same_history(history, expected)


@pytest.mark.parametrize("name", LAYERS)
def test_layers(simulator, name):
    """With something to learn before them, so that gradients pass through; as they are after it."""
    shape, make = LAYERS[name]

    def model():
        return nn.Sequential(
            [layers.BatchNormalization(input_shape=shape), make(), layers.Flatten(), layers.Dense(K)], seed=2
        )

    (cuda, history), (cpu, expected) = both(model, OPTIMIZERS["sgd"], "mse", (), data(3, shape), batch_size=3)
    agree(cuda, cpu)
    same_history(history, expected)


def test_every_layer_is_tried():
    tried = (
        " ".join(LAYERS)
        + " Embedding Identity Activation Conv2D Dropout Flatten Input InputLayer Layer Parameter BatchNormalization"
        + " Dense ActivityRegularization"
    )
    merging = {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot", "add", "subtract"}
    merging |= {"multiply", "average", "maximum", "minimum", "concatenate", "dot"}  # of operations that are tried
    families = {
        "Conv1DTranspose": "Conv2DTranspose",
        "Conv3DTranspose": "Conv2DTranspose",
        "GlobalMaxPooling2D": "GlobalMaxPooling2D",
    }
    for name in sorted(set(nn.layers.__all__) - merging):
        stem = name.replace("Convolution", "Conv").replace("Pool1", "Pooling1")
        stem = stem.replace("Avg", "Average").replace("Pool2", "Pooling2").replace("Pool3", "Pooling3")
        stem = families.get(stem, stem)
        ranks = {stem[:-2] + f"{n}D" for n in (1, 2, 3)} if stem.endswith("D") else {stem}
        assert any(rank in tried for rank in ranks), name


# --- moving, saving, continuing


def test_moving_there_and_back_keeps_everything(simulator):
    """Weights, constants that are no weights, moving statistics and the optimizer's state."""
    x, y = data()
    models = []
    for way in ((), ("cuda", "cpu"), ("cuda",)):
        model = small_model()
        model.add(layers.BatchNormalization(center=False))
        model.compile(OPTIMIZERS["nesterov"](), "mse")
        model.fit(x, y, batch_size=4, verbose=0)
        for device in way:
            assert model.to(device) is model and model.device == device
        model.fit(x, y, batch_size=4, verbose=0)
        models.append(model)
    for one, other in zip(models[1].get_weights(), models[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    agree(models[2], models[0])
    assert all(isinstance(w, np.ndarray) for w in models[2].get_weights())


def test_files_are_the_same_from_either_device(simulator, tmp_path):
    x, y = data()
    cuda = small_model().to("cuda")
    cuda.compile(OPTIMIZERS["nesterov"](), "categorical_crossentropy")
    cuda.fit(x, y, batch_size=4, verbose=0)
    cuda.save_weights(tmp_path / "weights.npz")
    cuda.save_state(tmp_path / "state.npz")
    cpu = small_model()
    cpu.load_weights(tmp_path / "weights.npz")
    np.testing.assert_allclose(cpu.predict(x), cuda.predict(x), atol=1e-6)
    cpu.compile(OPTIMIZERS["nesterov"](), "categorical_crossentropy")
    again = small_model().to("cuda")
    again.compile(OPTIMIZERS["nesterov"](), "categorical_crossentropy")
    for model in (cpu, again):
        model.load_state(tmp_path / "state.npz")
        model.fit(x, y, batch_size=4, verbose=0)
    cuda.fit(x, y, batch_size=4, verbose=0)
    agree(cpu, cuda)
    agree(again, cuda, 1e-7)


def test_callbacks_that_keep_weights(simulator, tmp_path):
    x, y = data()
    stop = nn.callbacks.EarlyStopping("loss", patience=0, restore_best_weights=True, mode="max")
    save = nn.callbacks.ModelCheckpoint(tmp_path / "{epoch}.npz", "loss")
    model = outputs_model(K, "softmax")().to("cuda")
    model.compile("sgd", "mse")
    x = x.reshape(6, -1)[:, :4]
    model.fit(x, y, epochs=3, verbose=0, callbacks=[stop, save])
    best = np.load(tmp_path / "1.npz")
    for array, name in zip(model.get_weights(), best.files, strict=True):
        np.testing.assert_array_equal(array, best[name])


def test_layers_made_later_lie_there_too(simulator):
    model = nn.Sequential(seed=1).to("cuda")
    model.add(layers.Dense(2))
    x = data(2, (4,))[0]
    cpu = nn.Sequential([layers.Dense(2)], seed=1)
    np.testing.assert_allclose(model.predict(x), cpu.predict(x), atol=1e-6)
    assert model(x).numpy().shape == (2, 2)
    assert list(model.feature_maps(x)) == ["dense"]
    model.set_weights([w + 1 for w in model.get_weights()])
    cpu.set_weights([w + 1 for w in cpu.get_weights()])
    np.testing.assert_allclose(model.predict(x), cpu.predict(x), atol=1e-5)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["copy", "pickle"])
def test_a_copy_goes_its_own_way_there(simulator, duplicate):
    x, y = data(4, (4,))
    model = outputs_model(K, "softmax")().to("cuda")
    model.compile(OPTIMIZERS["nesterov"](), "mse")
    model.fit(x, y, batch_size=2, verbose=0)
    best = duplicate(model)
    assert best.device == "cuda" and not isinstance(best.layers[0].kernel.data, np.ndarray)
    before = best.predict(x)
    history = model.fit(x, y, batch_size=2, verbose=0).history
    np.testing.assert_array_equal(best.predict(x), before)
    assert best.fit(x, y, batch_size=2, verbose=0).history == history
    agree(best, model, 0)


class Inside(layers.Layer):
    """Layers inside, one of them made when it is called."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.first, self.rest = layers.Dense(4), [layers.BatchNormalization(scale=False)]
        self.inner = nn.Sequential([layers.Dense(3, activation="relu")])

    def compute_output_shape(self, input_shape):
        return (None, 3)

    def call(self, x, training=False):
        return self.inner(self.rest[0](self.first(x), training=training), training=training)


def test_layers_inside_of_layers_lie_there_too(simulator):
    x, y = data(4, (4,))
    models = []
    for early in (None, True, False):
        model = nn.Sequential(seed=1)
        if early is False:
            model.to("cuda")
        model.add(Inside(input_shape=(4,)))
        if early:
            model.to("cuda")
        model.compile(OPTIMIZERS["nesterov"](), "mse")
        model.fit(x, y, batch_size=2, verbose=0)
        models.append(model)
    for model in models[1:]:
        assert not any(isinstance(w.data, np.ndarray) for w in model.weights)
        agree(model, models[0])
        model.to("cpu")
        assert all(isinstance(w.data, np.ndarray) for w in model.weights)
        np.testing.assert_allclose(model.predict(x), models[0].predict(x), atol=1e-5)


def test_a_layer_of_two_models_lies_where_the_running_one_is(simulator):
    x, y = data(4, (4,))
    cuda = outputs_model(K, None)()
    cuda.compile(OPTIMIZERS["nesterov"](), "mse")
    cpu = nn.Sequential(list(cuda.layers), seed=1)
    cpu.compile(OPTIMIZERS["nesterov"](), "mse")
    cuda.to("cuda")
    for model in (cpu, cuda, cpu, cuda):
        before = cpu.get_weights()
        model.fit(x, y, verbose=0)
        assert not any(map(np.array_equal, before, cpu.get_weights()))
        np.testing.assert_allclose(cpu.predict(x), cuda.predict(x), atol=1e-6)
    cuda.layers.append(layers.Dense(2))
    assert cuda.build() is None and cuda.predict(x).shape == (4, 2)


def test_an_optimizer_with_a_step_of_its_own(simulator):
    class Signs(optimizers.SGD):
        def step(self, w, g, rate, *state):
            w -= rate * np.sign(g)

    (cuda, _), (cpu, _) = both(outputs_model(K, None), lambda: Signs(0.125), "mse", (), data(4, (4,)))
    agree(cuda, cpu)


def test_wrong_devices(monkeypatch):
    model = small_model()
    with pytest.raises(InvalidArgument, match="device is 'gpu3'; expected 'cpu' or 'cuda'"):
        model.to("gpu3")

    def missing():
        raise DeviceMissing("looked for a GPU")

    monkeypatch.setattr(backend, "_numba_executor", missing)
    with pytest.raises(DeviceMissing, match="looked for"):
        model.to("cuda")
    assert model.device == "cpu" and all(isinstance(w.data, np.ndarray) for w in model.layers[0].weights)


# --- the command


def test_train_on_cuda_says_so(counting, tmp_path, monkeypatch):
    images = np.zeros((70, 28, 28), np.uint8), np.arange(70) % 10
    monkeypatch.setattr(nn.datasets.fashion_sketch, "load_data", lambda data_dir: (images, images))
    monkeypatch.setattr(figures, "available", lambda: False)
    arguments = ["train", "fashion-sketch", "--device", "cuda", "--epochs", "1", "--limit", "64", "--out"]
    result = CliRunner().invoke(main, [*arguments, str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["device"] == {"kind": "cuda", "name": counting.name}


def test_train_without_a_gpu_leaves_nothing(monkeypatch, tmp_path):
    def missing():
        raise DeviceMissing("looked for a GPU")

    monkeypatch.setattr(backend, "_numba_executor", missing)
    result = CliRunner().invoke(main, ["train", "fashion-sketch", "--device", "cuda", "--out", str(tmp_path / "run")])
    assert result.exit_code != 0
    assert not (tmp_path / "run").exists()


# --- planted bugs


def samples_of(module):
    rng = np.random.default_rng(2)
    x, order = rng.integers(0, 9, (9, 5)).astype(np.float32), rng.permutation(9).astype(np.int32)
    p = np.array([[2, 2, 0, 1], [1, 2, 2, 0], [0, 1, 1, 1], [3, 2, 1, 0], [0, 1, 2, 3]], np.float32)
    y = np.eye(4, dtype=np.float32)[[0, 1, 1, 1, 1]]
    device = carried(x, order, np.empty((4, 5), np.float32), y, p, np.zeros(3, np.float32))
    data, rows_, batch, labels, outputs, scores = (a.handle for a in device)
    module.gather(data, rows_, batch, 3)
    module.add_scores(labels, outputs, scores, 0, kind="categorical")
    module.add_scores(labels, outputs, scores, 1, kind="top_k", number=2)
    module.add_scores(labels, outputs, scores, 2, kind="squared")
    functions = metrics.categorical_accuracy, metrics.top_k_categorical_accuracy, metrics.squared_error
    right = [f(y, p, 2) if "top_k" in f.__name__ else f(y, p) for f in functions]
    return [(device[2].numpy(), x[order[3:7]]), (device[5].numpy(), [r.sum() for r in right])]


@pytest.mark.parametrize(
    "old, new",
    [
        ("row = U(order[U(U(first) + r)])", "row = U(order[r])"),
        ("return a > b or (a == b and i < j)", "return a >= b"),
        ("< T(S(most)) and own", "<= T(S(most)) and own"),
        ("if real and lane == U(0) and right:", "if lane == U(0) and right:"),
        ("score += T(d * d) if squared else T(abs(d))", "score += T(abs(d))"),
    ],
)
def test_planted_bugs_are_noticed(simulator, tmp_path, old, new):
    assert_noticed(lambda: samples_of(mutated(samples, old, new, tmp_path)))


def test_without_a_bug_nothing_is_noticed(simulator):
    with pytest.raises(pytest.fail.Exception):
        assert_noticed(lambda: samples_of(samples))


IN_NUMBAS_SIMULATOR = """
import sys
sys.path.insert(0, sys.argv[1])

import numpy as np
from cuda_small import TILE
from fastconv import nn
from fastconv.cuda import backend, channels, rows
from fastconv.cuda.gemm import tiles

channels.THREADS, rows.THREADS, tiles.TILES = 16, 8, (TILE,)
x, y = np.random.default_rng(0).random((4, 4)).astype(np.float32), np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
models = []
for device in ("cpu", "cuda"):
    models.append(nn.Sequential(seed=1))
    for layer in (
        nn.layers.Dense(3, input_shape=(4,)), nn.layers.Activation("relu"), nn.layers.BatchNormalization(),
        nn.layers.Dropout(0.5), nn.layers.Dense(3, activation="softmax"),
    ):
        models[-1].add(layer)
    models[-1].compile(nn.optimizers.SGD(0.1, momentum=0.9), "categorical_crossentropy", ["accuracy"])
    models[-1].to(device).train_on_batch(x, y)
for one, other in zip(*(model.get_weights() for model in models), strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
assert "simulator" in backend.require()
"""


@pytest.mark.slow
def test_a_step_in_numbas_own_simulator():
    """Through the executor that drives a GPU."""
    run_script({"NUMBA_ENABLE_CUDASIM": "1"}, IN_NUMBAS_SIMULATOR)
