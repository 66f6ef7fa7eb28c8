"""Arguments of `fastconv.nn`: what each check accepts, what it says, and that wrong ones are refused where given."""

from decimal import Decimal
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from fastconv import nn as keras
from fastconv.autograd import Tensor
from fastconv.errors import InvalidArgument, TooLarge
from fastconv.nn import arguments

L, C = keras.layers, keras.callbacks
X, Y = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)


def model(**compiled):
    net = keras.Sequential([L.Dense(2, input_shape=(3,))], seed=1)
    net.compile(**{"optimizer": "sgd", "loss": "mse", **compiled})
    return net


def fit(**given):
    return model().fit(X, Y, **{"verbose": 0, **given})


MESSAGES = {
    "`SGD`: momentum is None; expected a number from 0 to 1": lambda: keras.optimizers.SGD(momentum=None),
    "`SGD`: momentum is True; expected a number": lambda: keras.optimizers.SGD(0.1, True),
    "`SGD`: nesterov is 'no'; expected True or False": lambda: keras.optimizers.SGD(nesterov="no"),
    "`Adam`: epsilon is nan; expected a finite number of at least 0": lambda: keras.optimizers.Adam(epsilon=np.nan),
    "`Adam`: beta_2 is 1; expected a number from 0 up to, but not including, 1": lambda: keras.optimizers.Adam(
        beta_2=1
    ),
    "`Adam`: clipnorm is nan; expected a number above 0": lambda: keras.optimizers.Adam(clipnorm=float("nan")),
    "`Adam`: learning_rate is [0.1]; expected a finite number of at least 0 or a function": (
        lambda: keras.optimizers.Adam([0.1])
    ),
    "`LeakyReLU`: negative_slope is 'a'; expected a finite number": lambda: L.LeakyReLU("a"),
    "`BatchNormalization`: axis is 1.0; expected a whole number": lambda: L.BatchNormalization(axis=1.0),
    "`Softmax`: axis is 7; the array has shape (None, 3)": lambda: L.Softmax(axis=7)(X),
    "`softmax`: axis is 7; the array has shape (4, 3)": lambda: keras.activations.softmax(X, axis=7),
    "`MaxNorm`: axis is 2; the array has shape (4, 3)": lambda: keras.constraints.MaxNorm(axis=2)(X),
    "`Conv2D`: filters is 2.0; expected a whole number of at least 1": lambda: L.Conv2D(2.0, 3),
    "`Conv2D`: filters is 10000000000; expected a whole number of at most 2,147,483,647": lambda: L.Conv2D(10**10, 3),
    "`Conv2D`: kernel_size is (3, 0); expected a whole number of at least 1, or 2 of them": lambda: L.Conv2D(2, (3, 0)),
    "`Conv2D`: padding is 'smae'; expected 'valid' or 'same'; did you mean 'same'?": lambda: L.Conv2D(
        2, 3, padding="smae"
    ),
    "`Conv1D`: padding is 3; expected 'valid', 'same' or 'causal'": lambda: L.Conv1D(2, 3, padding=3),
    "`Conv2D`: method is 'ftt'; expected": lambda: L.Conv2D(2, 3, method="ftt"),
    "`Conv2D`: use_bias is 'no'; expected True or False": lambda: L.Conv2D(2, 3, use_bias="no"),
    "unknown activation 'rleu'; did you mean 'relu'?": lambda: L.Conv2D(2, 3, activation="rleu"),
    "`Dense`: name is 5; expected a string": lambda: L.Dense(2, name=5),
    "`Dense`: dtype is 'complex64'; expected a dtype of real numbers": lambda: L.Dense(2, dtype="complex64"),
    "layer 'dense' has dtype int32; weights need": lambda: L.Dense(2, dtype="int32")(X),
    "`Dense`: input_shape is 'ab'; expected the shape of one image": lambda: L.Dense(2, input_shape="ab"),
    "`Dense`: x has shape () and dtype complex128; expected an array of numbers": lambda: L.Dense(2)(1j),
    "`activations.get`: identifier is <function": lambda: L.Dense(2, activation=lambda: 0),
    "the activation <function": lambda: L.Dense(2, activation=lambda x: 0)(X),
    "the constraint <function": lambda: train(kernel_constraint=lambda w: w[0]),
    "the regularizer <function": lambda: train(kernel_regularizer=lambda w: w),
    "`Dense`: what the initializer of 'kernel' made has shape ()": lambda: L.Dense(
        2, kernel_initializer=lambda shape: "a"
    )(X),
    "`losses.get`: identifier is <function": lambda: model(loss=lambda y: y),
    "`MeanMetricWrapper`: fn is <function": lambda: model(metrics=[lambda y: y]),
    "callbacks is 5; expected a list": lambda: fit(callbacks=5),
    "`fit`: shuffle is 'batch'; expected True or False": lambda: fit(shuffle="batch"),
    "`fit`: verbose is 'loud'; expected 0, 1 or 2": lambda: fit(verbose="loud"),
    "`fit`: validation_batch_size is 0; expected a whole number of at least 1": lambda: fit(validation_batch_size=0),
    "`evaluate`: return_dict is None; expected True or False": lambda: model().evaluate(X, Y, return_dict=None),
    "`predict`: verbose is 3": lambda: model().predict(X, verbose=3),
    "`compile`: metrics is 5; expected a list": lambda: model(metrics=5),
    "`summary`: line_length is 'wide'; expected a whole number": lambda: model().summary(line_length="wide"),
    "`summary`: print_fn is 3; expected a function (line)": lambda: model().summary(print_fn=3),
    "no layer named 'dens'; did you mean 'dense'?; there are dense": lambda: model().get_layer("dens"),
    "`get_layer`: index is 0.5; expected a whole number": lambda: model().get_layer(index=0.5),
    "`save_weights`: overwrite is 'yes'": lambda: model().save_weights("w.npz", overwrite="yes"),
    "device is 'gpu'; expected 'cpu' or 'cuda'": lambda: model().to("gpu"),
    "`Sequential`: layers is 3; expected a list of layers": lambda: keras.Sequential(3),
    "`EarlyStopping`: patience is '3'; expected a whole number of at least 0": lambda: C.EarlyStopping(patience="3"),
    "`EarlyStopping`: monitor is None; expected a string": lambda: C.EarlyStopping(monitor=None),
    "`CSVLogger`: separator is ';;'; expected one character": lambda: C.CSVLogger("log.csv", separator=";;"),
    "`LambdaCallback`: on_epoch_end is <function": lambda: C.LambdaCallback(on_epoch_end=lambda epoch: None),
    "`LambdaCallback`: on_epoch_end is 5; expected a function (epoch, logs)": lambda: C.LambdaCallback(on_epoch_end=5),
    "`LearningRateScheduler`: schedule(0) is None; expected a finite number": (
        lambda: fit(callbacks=C.LearningRateScheduler(lambda epoch: None))
    ),
    "`set_random_seed`: seed is 1.5; expected a whole number of at least 0": lambda: keras.utils.set_random_seed(1.5),
    "`to_categorical`: num_classes is 0; expected a whole number": lambda: keras.utils.to_categorical([0], 0),
    "`RandomUniform`: maxval is -1; expected": lambda: keras.initializers.RandomUniform(0, -1),
    "`lecture_cnn`: dropout is 1": lambda: keras.applications.lecture_cnn(dropout=1),
    "data set 'mnits' is not known; expected one of": lambda: keras.datasets.by_name("mnits"),
    "`load_data`: data_dir is 5; expected a path": lambda: keras.datasets.mnist.load_data(5),
}


def train(**options):
    net = keras.Sequential([L.Dense(2, input_shape=(3,), **options)])
    net.compile("sgd", "mse")
    net.fit(X, Y, verbose=0)


@pytest.mark.parametrize("message", MESSAGES)
def test_wrong_arguments_are_told(message):
    with pytest.raises(InvalidArgument) as caught:
        MESSAGES[message]()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("rate", [np.nan, np.inf, None, "0.1", -1.0, 1j, [0.1]])
def test_a_learning_rate_of_a_function_is_checked_at_each_step(rate):
    net = model(optimizer=keras.optimizers.SGD(lambda step: 0.1 if step < 1 else rate))
    net.train_on_batch(X, Y)
    before = net.get_weights()
    with pytest.raises(
        InvalidArgument, match=r"`SGD`: learning_rate\(1\) is .*; expected a finite number of at least 0"
    ):
        net.train_on_batch(X, Y)
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))


def test_long_arguments_are_not_repeated():
    for wrong in ("x" * 10**6, list(range(10**6)), 10**5000, np.zeros((100, 100))):
        for call in (
            partial(L.Dense, wrong),
            partial(L.Dense, 2, activation=wrong),
            partial(L.Conv2D, 2, wrong),
            partial(L.Conv2D, 2, 3, padding=wrong),
            partial(keras.optimizers.SGD, wrong),
            partial(keras.optimizers.get, wrong),
            partial(keras.datasets.by_name, wrong),
            partial(model().get_layer, wrong),
            partial(model().fit, X, Y, callbacks=[wrong]),
            partial(model().load_weights, wrong),
        ):
            with pytest.raises(InvalidArgument) as caught:
                call()
            assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)


def test_numbers_of_every_kind_are_accepted():
    for half in (0.5, np.float32(0.5), np.float16(0.5), np.array(0.5), Fraction(1, 2), Decimal("0.5")):
        given = arguments.real("test", "x", half, 0, 1)
        assert type(given) is float and given == 0.5
    for three in (3, np.int8(3), np.uint64(3), np.array(3)):
        given = arguments.whole("test", "n", three, 1)
        assert type(given) is int and given == 3
        assert arguments.real("test", "x", three) == 3.0
        assert arguments.per_axis("test", "size", three, 2) == (3, 3)
    for yes in (True, np.bool_(True), 1, np.int64(1)):
        assert arguments.flag("test", "f", yes) is True
    for size in ((2, 3), [2, 3], np.array([2, 3])):
        assert arguments.per_axis("test", "size", size, 2) == arguments.shape("test", "size", size, "") == (2, 3)
    assert arguments.real("test", "x", np.inf, 0, finite=False) == np.inf
    assert keras.optimizers.SGD(clipnorm=np.inf, clipvalue=np.inf, learning_rate=0).clipnorm == np.inf


def test_bounds_are_those_that_are_told():
    accepted = {
        "least": [0, 0.5, 1],
        "above": [0.5, 1],
        "below": [-1, 0, 0.5],
        "most": [-1, 0, 0.5, 1],
    }
    bounds = {"least": 0, "above": 0, "below": 1, "most": 1}
    for kind, right in accepted.items():
        for number in (-1, 0, 0.5, 1):
            if number in right:
                assert arguments.real("test", "x", number, **{kind: bounds[kind]}) == number
            else:
                with pytest.raises(InvalidArgument, match=f"x is {number}; expected a (finite )?number"):
                    arguments.real("test", "x", number, **{kind: bounds[kind]})


def test_a_failed_compile_changes_nothing():
    net = model(metrics=["mae"])
    optimizer, loss = net.optimizer, net.loss
    for wrong in ({"optimizer": "sdg"}, {"loss": "mes"}, {"metrics": ["mea"]}):
        with pytest.raises(InvalidArgument, match="did you mean"):
            net.compile(**{"optimizer": "adam", "loss": "mae", **wrong})
        assert net.optimizer is optimizer and net.loss is loss and net.metrics_names == ["loss", "mae"]


def test_what_a_user_function_raises_is_its_own():
    def broken(x):
        raise TypeError("mine")

    for use in (
        lambda: L.Dense(2, activation=broken)(X),
        lambda: train(kernel_regularizer=broken),
        lambda: train(kernel_constraint=broken),
        lambda: L.Dense(2, kernel_initializer=broken)(X),
        lambda: model(optimizer=keras.optimizers.SGD(broken)).train_on_batch(X, Y),
        lambda: fit(callbacks=C.LambdaCallback(on_train_begin=broken)),
    ):
        with pytest.raises(TypeError, match="mine") as caught:
            use()
        assert not isinstance(caught.value, InvalidArgument)


def test_users_functions_work_as_before():
    def half(x):
        return x * 0.5

    layer = L.Dense(2, activation=half, kernel_initializer=np.ones)
    assert layer.activation is half
    assert (layer(X).numpy() == 1.5).all()
    seen = []
    callback = C.LambdaCallback(on_epoch_end=lambda epoch, logs=None: seen.append(epoch), on_batch_end=None)
    fit(callbacks=callback, epochs=2)
    fit(callbacks=(callback,), verbose=np.int64(0))
    assert seen == [0, 1, 0]
    assert model(metrics=keras.metrics.squared_error).metrics_names == ["loss", "squared_error"]
    assert keras.constraints.get(keras.constraints.MaxNorm)(np.full((4, 1), 2.0)).max() == pytest.approx(1.0)


def test_labels_that_no_row_can_hold_are_refused():
    for label in (2**31, 2**63, 1e300):
        with pytest.raises(InvalidArgument, match=r"x\[0\] is .*labels must be whole numbers"):
            keras.utils.to_categorical(np.array([label]))
    for huge in (
        lambda: keras.utils.to_categorical(np.zeros(10**6, int), 2**31 - 1),
        lambda: keras.metrics.confusion_matrix([0], [0], 2**31 - 1),
        lambda: keras.initializers.GlorotUniform()((2**31 - 1, 2**31 - 1)),
        lambda: L.Dense(2**31 - 1)(np.zeros((1, 10**6))),
    ):
        with pytest.raises(TooLarge, match="of memory but this machine has"):
            huge()


def test_rows_of_labels_are_no_class_numbers():
    """The first column used to be taken for them."""
    with pytest.raises(InvalidArgument, match="one class number for each row"):
        keras.metrics.sparse_categorical_accuracy([[0, 1], [1, 0]], [[0.2, 0.8], [0.3, 0.7]])
    assert keras.metrics.sparse_categorical_accuracy([[1], [0]], [[0.2, 0.8], [0.3, 0.7]]).tolist() == [1.0, 0.0]


def test_an_activation_must_return_a_tensor_in_a_model_too():
    net = keras.Sequential([L.Dense(2, input_shape=(3,), activation=lambda x: x.numpy())])
    with pytest.raises(InvalidArgument, match="must return a tensor"):
        net.predict(X)
    assert isinstance(keras.activations.relu([-1.0, 2.0]), Tensor)


def test_minus_zero_is_zero():
    made = keras.initializers.RandomNormal(stddev=-0.0)((2, 2))
    np.testing.assert_array_equal(made, np.zeros((2, 2)))
