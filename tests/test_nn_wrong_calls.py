"""Wrong arguments, to everything that `fastconv.nn` exports: only fastconv's own errors may come out.

What is called is found by looking, so that a new class is tried too; it needs an example here for each argument without
a default. What a constructor has accepted is then used: a layer runs and is trained, an optimizer steps.
"""

import contextlib
import inspect
import os
import random
import sys
import types
import warnings

import numpy as np
import pytest

from fastconv import config
from fastconv import nn as keras
from fastconv.autograd import Tensor
from fastconv.errors import FastconvError, InvalidArgument, shown
from fastconv.nn.datasets import locate

L = keras.layers


class Broken:
    """An object whose methods all fail."""

    def __repr__(self):
        raise RuntimeError("no words")

    def __index__(self):
        raise ZeroDivisionError("no number")

    __float__ = __len__ = __iter__ = __index__


NUMBERS = [float("nan"), float("inf"), -float("inf"), -1, 0, 1, 2, 0.5, 1.5, -0.0, 10**30, -(10**30), 2**63, 10**400]
NUMBERS += [
    1e300,
    1j,
    np.float32(0.25),
    np.int8(1),
    np.bool_(True),
    np.complex64(1j),
    np.datetime64("2020"),
    True,
    False,
]
WORDS = ["a", "", "relu", "same", "causal", "zeros", "\0", "x" * 5000, b"x", "~nobody/x"]
SERIES = [[], {}, (), [[1], [1, 2]], [1, 2], (2, 2), (1, -1), (1.5, 2), [None], ["a"], {"a": 1}, {1}, range(3)]
ARRAYS = [np.array([]), np.array(1.0), np.array(2), np.array([1, 2]), np.zeros((2, 2)), np.array(["a"]), Tensor([1.0])]
FUNCTIONS = [lambda: 0, lambda x: x, lambda a, b: a, lambda *a, **k: None, len, object, type, np.ndarray]
THINGS = [None, np.datetime64("2020"), object(), Broken(), slice(1), ..., NotImplemented]
POOL = NUMBERS + WORDS + SERIES + ARRAYS + FUNCTIONS + THINGS

#: Arguments without a default, by what takes them, or for all.
EXAMPLES = {
    "set_distribution.value": None,
    "filters": 2,
    "kernel_size": 2,
    "units": 2,
    "activation": "relu",
    "rate": 0.5,
    "stddev": 0.5,
    "factor": 0.5,
    "height_factor": 0.5,
    "width_factor": 0.5,
    "height": 3,
    "width": 2,
    "scale": 2.0,
    "n": 2,
    "input_dim": 3,
    "output_dim": 2,
    "threshold": 0.5,
    "default_value": 1.0,
    "glu.x": np.ones((2, 4), np.float32),
    "adapt.data": np.ones((4, 3), np.float32),
    "dims": (1,),
    "axes": -1,
    "x1": np.ones((2, 2), np.float32),
    "x2": np.ones((2, 2), np.float32),
    "where.condition": [[True], [False]],
    "x_min": 0.0,
    "x_max": 1.0,
    "xs": [np.ones((2, 3), np.float32)] * 2,
    "stack.x": [np.ones((2, 3), np.float32)] * 2,
    "subscripts": "",
    "cast.dtype": "float32",
    "expand_dims.axis": 1,
    "repeat.axis": 1,
    "repeats": 2,
    "newshape": (-1,),
    "broadcast_to.shape": (2, 4, 3),
    "pad_width": ((0, 1), (1, 0)),
    "axis1": 0,
    "axis2": 1,
    "source": 0,
    "destination": 1,
    "inputs": [np.ones((2, 3), np.float32)] * 2,
    "target_shape": (-1,),
    "shape": (4, 4, 2),
    "filepath": "weights.npz",
    "filename": "log.csv",
    "schedule": lambda epoch: 0.1,
    "losses.function": lambda y_true, y_pred: (y_pred - y_true) * (y_pred - y_true),
    "fn": keras.metrics.squared_error,
    "num_classes": 2,
    "target_class_ids": [0],
    **dict.fromkeys(("sensitivity", "specificity", "precision", "recall"), 0.5),
    "backup_dir": "backup",
    "set_value.x": Tensor(np.zeros(2)),
    "set_value.value": [1, 2],
    "inner_optimizer": keras.optimizers.SGD(),
    **dict.fromkeys(("initial_learning_rate", "decay_rate"), 0.5),
    **dict.fromkeys(("decay_steps", "first_decay_steps"), 10),
    "boundaries": [1],
    "PiecewiseConstantDecay.values": [0.5, 0.25],
    "step": 3,
    "categorical_generalized_cross_entropy.y_true": [0, 1],
    "Lambda.function": lambda x: x,
    "verbose": 0,
    "callbacks": (),
    "model": None,
    "plot_model.model": keras.Sequential([L.Dense(2, input_shape=(3,))]),
    "clone_model.model": keras.Sequential([L.Dense(2, input_shape=(3,))]),
    "save_model.model": keras.Sequential([L.Dense(2, input_shape=(3,))]),
    "save_model.filepath": "model.keras",
    "load_model.filepath": "model.keras",
    "save.filepath": "model.keras",
    "json_string": keras.Sequential([L.Dense(2, input_shape=(3,))]).to_json(),
    "custom_objects": {},
    "build_from_config.config": {"input_shape": (None, 3)},
    "compile_from_config.config": {"optimizer": "sgd", "loss": "mse"},
    "config": {},
    "value": [1, None],
    "obj": len,
    "params": {},
    "seed": 1,
    "name": "mnist",
    "architectures.name": "mnist-cnn",
    "classes": 3,
    "transfer.model": keras.zoo.series_cnn((16, 1)),
    "least_squares.y": [0, 1, 1, 0],
    "path": "image.png",
    "directory": "images",
    "img": np.zeros((4, 4, 1)),
    "array_to_img.x": np.zeros((4, 4, 1)),
    "save_img.x": np.zeros((4, 4, 1)),
    "data": [1.0, 2.0],
    "identifier": None,
    "initializers.identifier": "zeros",
    "losses.identifier": "mse",
    "metrics.identifier": "mae",
    "optimizers.identifier": "sgd",
    "layer": L.ReLU,
    "device": "cpu",
    "index": 0,
    "x": np.ones((4, 3), np.float32),
    "y": np.ones((4, 2), np.float32),
    "y_true": [[0.0, 1.0], [1.0, 0.0]],
    "y_pred": [[0.5, 0.5], [0.25, 0.75]],
    "w": np.ones((3, 2)),
    "optimizer": "sgd",
    "loss": "mse",
    "weights": [],
    "values": [1.0],
    "train_step.data": (np.ones((4, 3), np.float32), np.ones((4, 2), np.float32)),
    "test_step.data": (np.ones((4, 3), np.float32), np.ones((4, 2), np.float32)),
    "predict_step.data": (np.ones((4, 3), np.float32),),
    "state": {"iterations": np.array(1)},
    "initializer": "zeros",
    "n_train": 10,
    "n_test": 10,
    "build.input_shape": (None, 4),
    "set_dtype_policy.policy": None,
    "set_floatx.value": "float32",
    "add_weight.name": "w",
    "add_weight.shape": (2, 2),
    "initializers.shape": (3, 2),
    "to_categorical.x": [0, 1],
    "Parameter.name": "w",
    "confusion_matrix.y_true": [0, 1],
    "confusion_matrix.y_pred": [1, 1],
    "sparse_categorical_crossentropy.y_true": [0, 1],
    "sparse_categorical_accuracy.y_true": [0, 1],
    "sparse_top_k_categorical_accuracy.y_true": [0, 1],
}
#: Right, and never done: epochs without end, and functions that stop a program or read from the keyboard.
ENDLESS = {"epochs"}
#: What belongs to the machinery, not to its users.
INNER = {
    "ByShape",
    "accuracy_for",
    "crossentropy_for",
    "top_k_accuracy_for",
    "class_numbers",
    "refuse_bad",
    "kernel_fans",
    "apply",
    "penalty",
    "constrained",
    "KerasTensor",
    "alexnet",  # right, and half a gigabyte at every call
    "einsum",  # what it needs goes by place
    "Architecture",
    "splits",
    "LeastSquares",
    "Recipe",
}
INNER_METHODS = {
    "note_device",
    "ensure_built",
    "refit",
    "arranged",
    "operands",
    "as_tensor",
    "call_of",
    "live",
    "biases",
}
INNER_METHODS |= {"converted", "weights_are_used_as", "check_number", "shape_of_result", "compute_output_shape", "call"}
METHODS = {"__call__", "update_state", "apply", "set_state", "set_weights", "add_weight"}


def members(module):
    """The classes and functions that a module offers, by where they are found."""
    names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
    for name in names:
        thing = getattr(module, name)
        if isinstance(thing, types.ModuleType) and thing.__name__.startswith("fastconv.nn"):
            if module is keras or thing.__name__.startswith(module.__name__):
                yield from members(thing)
        elif (
            callable(thing)
            and name not in INNER
            and (hasattr(module, "__all__") or thing.__module__ == module.__name__)
        ):
            yield thing


PUBLIC = sorted(dict.fromkeys(members(keras)), key=lambda thing: (thing.__module__, thing.__qualname__))
BASES = tuple(kind for kind in PUBLIC if isinstance(kind, type) and kind.__subclasses__())


def parameters(thing):
    """What can be given by name: of a class also what its bases take as keywords."""
    found = dict(inspect.signature(thing).parameters)
    if isinstance(thing, type):
        for base in thing.__mro__[1:-1]:
            if any(p.kind is p.VAR_KEYWORD for p in found.values()):
                own = vars(base).get("__init__")
                more = inspect.signature(own).parameters if own else {}
                found = {k: p for k, p in found.items() if p.kind is not p.VAR_KEYWORD} if own else found
                optional = {k: p for k, p in more.items() if p.default is not p.empty or p.kind is p.VAR_KEYWORD}
                found = {**optional, **found}
    return {k: p for k, p in found.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


def example(thing, name):
    """A right value for an argument that must be given."""
    module = thing.__module__.split(".")[-1]
    for key in (f"{thing.__name__}.{name}", f"{module}.{name}", name):
        if key in EXAMPLES:
            return EXAMPLES[key]
    pytest.fail(f"{thing.__qualname__} needs {name}: add an example of a right one to EXAMPLES")


def right(thing):
    """Right values for all arguments that must be given."""
    needed = {"shape"} if thing in (L.Input, L.InputLayer) else set()
    return {n: example(thing, n) for n, p in parameters(thing).items() if p.default is p.empty or n in needed}


def spoiled(thing, draw, count):
    """Right arguments, but for some that are drawn."""
    given, known = right(thing), parameters(thing)
    for name in draw.sample(sorted(known), min(count, len(known))):
        given[name] = draw.choice(POOL)
    for name in ENDLESS & set(given):
        given[name] = 1
    return {name: value for name, value in given.items() if known[name].kind is not known[name].POSITIONAL_ONLY}


@contextlib.contextmanager
def only_documented_errors(what, given):
    """Whatever else is raised fails the test, with the call that did; that 1e300 is no float32, NumPy may warn of."""
    try:
        with np.errstate(all="ignore"):
            yield
    except FastconvError as error:
        message = str(error)
        assert "\n" not in message or type(error).__name__ == "DataUnavailable", message
        assert len(message) < 1000 and "x" * 200 not in message, message
    except NotImplementedError:
        assert isinstance(what, BASES) or what in BASES, f"{what} is no base class"
    except Exception as error:
        call = f"{getattr(what, '__qualname__', what)}({', '.join(f'{k}={shown(v)}' for k, v in given.items())})"
        raise AssertionError(f"{call} raised {type(error).__name__}: {error}") from error


IMAGES = [np.linspace(0, 1, 2 * int(np.prod(s)), dtype=np.float32).reshape(2, *s) for s in ((4,), (4, 2), (4, 4, 2))]
IMAGES.append(np.ones((2, 4, 4, 4, 2), np.float32))


def use(thing):
    """Put what a constructor accepted to its work."""
    if isinstance(thing, keras.Sequential):
        thing.add(L.Dense(2))
        thing.compile("sgd", "mse")
        thing.fit(EXAMPLES["x"], EXAMPLES["y"], verbose=0)
    elif isinstance(thing, L.Layer):
        use_layer(thing)
    elif isinstance(thing, keras.optimizers.Optimizer):
        w = Tensor(np.ones((2, 2)), requires_grad=True)
        for _ in range(2):
            (w * w).sum().backward()
            thing.apply([w])
        thing.set_state(thing.get_state())
    elif isinstance(thing, keras.callbacks.Callback):
        model = trained()
        if isinstance(thing, keras.callbacks.SwapEMAWeights):
            model.compile(keras.optimizers.SGD(use_ema=True), "mse")
        model.fit(EXAMPLES["x"], EXAMPLES["y"], callbacks=[thing], verbose=0, epochs=2, validation_split=0.5)
    elif isinstance(thing, keras.losses.Loss):
        y_true = [0, 1] if isinstance(thing, keras.losses.SparseCategoricalCrossentropy) else EXAMPLES["y_true"]
        assert np.isfinite(thing(y_true, EXAMPLES["y_pred"])).all()
    elif isinstance(thing, keras.metrics.Metric):
        y_true, y_pred = [0, 1] if "Sparse" in type(thing).__name__ else EXAMPLES["y_true"], EXAMPLES["y_pred"]
        if isinstance(thing, keras.metrics.IoU):  # of class numbers
            y_true, y_pred = ([0, 1], [1, 1]) if thing.sparse_y_true else (EXAMPLES["y_true"], y_pred)
        thing.update_state(y_true, Tensor(y_pred))
        assert np.asarray(thing.result()).dtype == np.float64
    elif isinstance(thing, keras.initializers.Initializer):
        assert np.isfinite(thing((3, 2), "float64")).all()
    elif callable(thing) and type(thing).__module__ == "fastconv.nn.constraints":
        assert thing(np.ones((3, 2))).shape == (3, 2)
    elif callable(thing) and type(thing).__module__ == "fastconv.nn.regularizers":
        assert np.isfinite(thing(Tensor(np.ones((3, 2)))).item())


def use_layer(layer):
    for x in IMAGES:
        if layer.declared_shape not in (None, x.shape[1:]):
            continue
        try:
            y = layer(x)
        except InvalidArgument:
            continue
        model = keras.Sequential([layer, L.Flatten()] if isinstance(layer, L.InputLayer) else [layer])
        model.compile("sgd", "mse")
        model.fit(x, np.zeros((len(x), *(model.output_shape or y.shape)[1:]), np.float32), verbose=0)
        assert model.predict(x).size == y.size
        model.summary(print_fn=str)
        model.set_weights(model.get_weights())
        return


def trained():
    model = keras.Sequential([L.Dense(3, input_shape=(3,), activation="relu"), L.Dense(2)], seed=1)
    model.compile("sgd", "mse", ["mae"])
    return model


@pytest.fixture(autouse=True)
def quiet_place(tmp_path, monkeypatch):
    """A folder for what is written, no network, no warnings of numbers that overflow."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTCONV_DATA", str(tmp_path))
    monkeypatch.setattr(locate, "config", types.SimpleNamespace(cache_dir=lambda: tmp_path, data_dir=config.data_dir))
    monkeypatch.setattr(locate.Mirrors, "fetch", lambda *given: False)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def try_constructors(draw, calls):
    for _ in range(calls):
        thing = draw.choice(PUBLIC)
        given = spoiled(thing, draw, draw.choice((1, 1, 1, 2, 4)))
        inspect.signature(thing).bind(**given)
        with only_documented_errors(thing, given):
            made = thing(**given)
            if isinstance(thing, type):
                use(made)


def methods():
    for kind in PUBLIC:
        if isinstance(kind, type):
            names = dir(kind) if kind is keras.Sequential else METHODS
            for name in sorted(names):
                if inspect.isfunction(getattr(kind, name, None)) and (
                    name == "__call__" or (name[0] != "_" and name not in INNER_METHODS)
                ):
                    yield kind, name


def try_methods(draw, calls):
    known = list(methods())
    for _ in range(calls):
        kind, name = draw.choice(known)
        thing = trained() if kind is keras.Sequential else kind(**right(kind))
        bound = getattr(thing, name)
        given = spoiled(bound, draw, draw.choice((1, 1, 2)))
        for key, value in given.items():
            given[key] = value() if value is L.ReLU else value
        with only_documented_errors(thing, given):
            bound(**given)
        if kind is keras.Sequential:
            with only_documented_errors(thing, given):
                thing.predict(EXAMPLES["x"])


def test_everything_public_is_found():
    names = {thing.__name__ for thing in PUBLIC}
    assert {"Conv2D", "Adam", "Softmax", "to_categorical", "load_data", "EarlyStopping", "L1L2", "MaxNorm"} <= names
    assert {"HeNormal", "TopKCategoricalAccuracy", "lecture_cnn", "Sequential", "get", "set_random_seed"} <= names
    assert len(PUBLIC) > 120


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: f"{thing.__module__.split('.')[-1]}.{thing.__name__}")
def test_right_arguments_are_accepted_and_work(thing):
    if (
        thing.__name__
        in ("load_data", "load_img", "image_dataset_from_directory", "TensorBoard", "CallbackList", "load_model")
        and thing.__module__ != "fastconv.nn.datasets"
    ):
        pytest.skip("needs files, a package, or a model")
    if thing.__name__ == "DataParallel":
        pytest.importorskip("mpi4py")
    made = thing(**right(thing))
    if isinstance(thing, type) and thing not in BASES:
        use(made)


def test_wrong_arguments_raise_documented_errors():
    try_constructors(random.Random(1), 2500)


def test_wrong_arguments_of_methods_raise_documented_errors():
    try_methods(random.Random(2), 800)


@pytest.mark.slow
def test_many_wrong_arguments_raise_documented_errors():
    seed = int(os.environ.get("FUZZ_SEED", random.SystemRandom().randrange(2**32)))
    print("FUZZ_SEED", seed, file=sys.stderr)
    draw = random.Random(seed)
    try_constructors(draw, 30_000)
    try_methods(draw, 10_000)
