"""Random calls of every public function: right and wrong values for each parameter, and what may come of a call.

The functions are found by looking at the package, and what is right for a parameter goes by its name: a function with
a parameter of a new name has to say here what is right for it (`test_every_parameter_has_right_values`).
"""

import contextlib
import inspect
import signal
from types import FunctionType, ModuleType

import numba
import numpy as np
from onnx import helper

import fastconv as fc
from fastconv import measure, memory
from fastconv.autograd import Primitive, Tensor
from fastconv.errors import FastconvError, shown

LONGEST = 600  # characters of a message
SECONDS = 60  # for one call, compilation included
MEMORY = 1 << 26  # bytes this machine is said to have: legal problems beyond are refused, not computed
APART = {"nn", "blockwise", "gradcheck", "primitive"}  # layers have tests of their own; the others call what is given
APART |= {"signal", "ndimage"}  # what is wrong with a call is for SciPy to say, and tested against what it says


def functions():
    """Every public function of the package, by its dotted name."""
    return dict(_functions(fc, ""))


def _functions(module, prefix):
    for name in sorted(module.__all__ if prefix else dir(fc)):
        value = getattr(module, name)
        if name in APART:
            continue
        if isinstance(value, (FunctionType, Primitive)):
            if not prefix or value.__module__.startswith("fastconv." + prefix.rstrip(".")):
                yield prefix + name, value
        elif isinstance(value, ModuleType) and hasattr(value, "__all__"):
            yield from _functions(value, f"{prefix}{name}.")


# What is no argument for anything, or for a few things only


class Recorded:
    """As a tensor of PyTorch that records a gradient, or is conjugate."""

    shape, dtype, ndim, size = (1, 2, 6, 5), np.dtype("f4"), 4, 60

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")


class Raising:
    """Whatever is asked of it raises."""

    def __getattr__(self, name):
        raise RuntimeError(f"no {name}")

    def __repr__(self):
        raise RuntimeError("no repr")

    def __index__(self):
        raise RuntimeError("no index")

    def __float__(self):
        raise RuntimeError("no float")

    def __len__(self):
        raise RuntimeError("no length")


class Masked:
    """An array-like that is masked underneath."""

    def __array__(self, dtype=None, copy=None):
        return np.ma.array(np.ones((1, 2, 6, 5)), mask=True)


@numba.njit
def of_two(a, b):
    return a + b


@numba.njit
def a_pair(v):
    return v, v


@numba.njit
def a_word(v):
    return "word"


@numba.njit
def nothing(v):
    return None


@numba.njit
def imaginary(v):
    return v * 1j


@numba.njit
def untypable(v):
    return v.nothing_of_that_name


@numba.njit
def shifted(v):
    return v + 1


def plain(v):
    return v


@numba.njit
def first_of(window):
    return window.flat[0]


BAD_ACTIVATIONS = [of_two, a_pair, a_word, nothing, imaginary, untypable, plain, abs, 5]


def _itself():
    value = []
    value.append(value)
    return value


def _deep():
    value = 1.0
    for _ in range(200):
        value = [value]
    return value


RAGGED = [[1.0, 2.0], [3.0]]
ODD = [
    None, True, False, 0, 1, 2, 3, -1, -2, 7, 1.0, 1.5, -0.5, float("nan"), float("inf"), 1j, 2**31 - 1, 2**31,
    -(2**31), 2**63, 10**20, 10**30, -(10**30), 10**400, np.int8(3), np.uint64(2), np.float32(1.0), np.float64("nan"),
    np.bool_(True), np.array(2), np.array(1.5), np.array([2]), np.array([1, 1]), np.array([[1, 1], [0, 2]]),
    "", "a", "same", "valid", "float32", "NCHW", "x" * 10_000, b"", b"ab", bytearray(b"abc"), (), [], {}, set(), (1,),
    [2], (1, 2), [1, 2], (1, 2, 3), ((1, 2), (0, 1)), ((1, 1),), [[1]], (1, (2, 3)), (None,), ("a",), ("a", "b"),
    (1, True), (True, False), (1.0, 2.0), (2**40, 2**40, 2**40), {"a": 1}, {1, 2}, range(3), RAGGED, _itself(), _deep(),
    [10**30], (10**30, 10**30), list(range(100)), object, object(), np.ndarray, np.float32, np.dtype("f4"), int,
    len, plain, of_two, a_pair, Ellipsis, NotImplemented, slice(None), memoryview(b"abcd"), np.datetime64("2020-01-01"),
    np.array("text"), np.array(None), np.array([], "f4"), np.zeros((0, 2, 3)), np.zeros((1, 1)), np.zeros((2, 2, 2)),
    np.array(["a", "b"]), np.array([object()]), np.zeros(3, [("a", "f4")]), np.ma.array([1.0, 2.0], mask=[True, False]),
    np.ma.masked, [np.ma.array([1.0, 2.0], mask=[True, False])], Recorded(), Raising(), Masked(), fc, fc.conv2d,
]  # fmt: skip
DURATIONS = ("seconds", "settle")  # a call takes as long as they say
SHAPES = {1: (1, 2, 8), 2: (1, 2, 6, 5), 3: (1, 2, 4, 3, 3)}


def _array(shape, dtype="f4", order="C"):
    values = np.arange(np.prod(shape, dtype=int)) % 7
    return np.asarray(values.reshape(shape), dtype, order=order)


def _frozen(array):
    array.setflags(write=False)
    return array


def _arrays(shape):
    """An array of this shape in the forms that are right, and in some that are nearly so."""
    fine = _array(shape, "f8")
    return [
        _array(shape), fine, fine.tolist(), _array(shape, ">f4"), _array(shape, "f4", "F"), _frozen(_array(shape)),
        np.ma.array(fine), np.full(shape, np.nan, "f4"), _array(shape, "f2"), _array(shape, "i8"), _array(shape, "?"),
        _array(shape, "c16"), np.ma.array(fine, mask=fine > 3), np.ma.array(fine, mask=False), fine.astype(object),
        fine.astype(str), _array(shape)[0], _array(shape)[..., None], fine[..., :0], fine[:0], [fine, fine],
    ]  # fmt: skip


def _network():
    """A model of ONNX: y = relu(x)."""
    x, y = (helper.make_tensor_value_info(name, 1, [2]) for name in "xy")
    return helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y]))


def _window(rank):
    ones = (1,) * rank
    return [1, 2, 3, ones, list(ones), (2, *ones[1:]), np.array(ones), np.int64(2), (1,), 0, -1, "2", np.array(2)]


def right(name, rank):
    """Values that are right for a parameter of this name, each alone; most calls with them alone go through."""
    shape = SHAPES[rank]
    w_shape = (2, 2, *(2,) * rank)
    y_shape = (1, 2, *(n - 1 for n in shape[2:]))
    problem = measure.parse_problem("n1c2h5w5_o3k3")
    fine = _array(shape, "f8")
    values = {
        "x": lambda: _arrays(shape),
        "dy": lambda: _arrays(y_shape) + _arrays(shape),
        "y": lambda: _arrays(y_shape),
        "w": lambda: _arrays(w_shape),
        "b": lambda: [None, *_arrays((2,))] + _arrays((3, 2)),
        "a": lambda: _arrays((2, 3)),
        "bias": lambda: [None, *_arrays((2,))],
        "cols": lambda: _arrays((1, 2 * 2**rank, int(np.prod(y_shape[2:])))),
        "indices": lambda: [*(_array(y_shape, dtype) for dtype in ("i8", "i4", "u8")), RAGGED, -_array(y_shape)],
        "out": lambda: [None, *_arrays(y_shape), np.empty((2, 2)), Recorded()],
        "x_shape": lambda: [shape, list(shape), np.array(shape), shape[1:], (*shape[:-1], 10**20), (0, *shape[1:])],
        "w_shape": lambda: [w_shape, list(w_shape), w_shape[1:], (*w_shape[:-1], True), (*w_shape[:-1], 2**40)],
        "size": lambda: _window(rank),
        "stride": lambda: [None, *_window(rank)],
        "dilation": lambda: _window(rank),
        "padding": lambda: [0, 1, "same", "valid", ((0, 1),) * rank, *_window(rank), 2**31 - 1, (2**31 - 1,) * rank],
        "output_padding": lambda: [0, 0, 1, (0,) * rank],
        "groups": lambda: [1, 2, np.uint8(2), 3],
        "layout": lambda: [None, "NCW", "NWC", "NCHW", "NHWC", "NCDHW", "NDHWC", "CHWN"],
        "padding_mode": lambda: ["zeros", "edge", "reflect", "symmetric", "wrap", "mirror"],
        "activation": lambda: [None, "relu", "tanh", shifted, *BAD_ACTIVATIONS],
        "fn": lambda: [first_of, first_of, first_of, *BAD_ACTIVATIONS],
        "mode": lambda: ["full", "same", "valid", "zeros", "constant", "edge", "wrap", "mirror"],
        "cval": lambda: [0, 1.5, True, np.float32(2), "a", np.ones(2), 1j],
        "args": lambda: [(), (1,), (np.ones(2),), [1], (object(),)],
        "method": lambda: ["auto", "direct", "im2col", "winograd", "fft", "fastest"],
        "device": lambda: [None, "cpu", "cuda", "gpu"],
        "pool": lambda: [None, {"size": 2}, {"size": 2, "stride": 1}, {}, 5],
        "op": lambda: ["conv", "conv_input_grad", "conv_weight_grad", "pool"],
        "dtype": lambda: ["float32", np.float64, "f4", "float16", "bfloat16", "int8", object, "complex64", []],
        "dtypes": lambda: [[], "float32", ["float16"], [[]], np.array([1, 2]), iter(["f"])],
        "p": lambda: [1, 2, 3.5, np.inf, 0, "2"],
        "divisor": lambda: [None, 1, 2.5, 0, np.inf],
        "n": lambda: [1, 2, 0, -1, 2**31],
        "seconds": lambda: [0, 0.0, -1, np.nan, np.inf, "a"],
        "settle": lambda: [0, 0.0, -1, np.nan, np.inf, "a"],
        "rounds": lambda: [1, 0],
        "samples": lambda: [2, 5, 0],
        "seed": lambda: [0, 1, -1],
        "problem": lambda: [problem, measure.parse_problem("max_pool:n1c2h5w5_k2"), str(problem)],
        "arrays": lambda: [measure.make_arrays(problem), {}],
        "text": lambda: [str(problem), "max_pool:n1c2w9_k3", "n0c1w1_o1k1", "n1c1h9w9_o1k0", f"n1c1w{'9' * 5000}_o1k1"],
        "name": lambda: [*measure.SUITES, "most"],
        "names": lambda: [None, (), ("scipy",), ("torch", "other")],
        "rivals": lambda: [(), [], ["scipy"]],
        "methods": lambda: [("auto",), ["direct"], ["fastest"]],
        "calls": lambda: [{}, {"a": int}, [int], {"a": 1}],
        "values": lambda: [[1.0, 2.0], [], [0.0], ["a"], 5],
        "rows": lambda: [[], (), [1], 5],
        "announce": lambda: [None, 5],
        "z": lambda: _arrays((3, 4)),
        "target": lambda: _arrays((3, 4)) + _arrays(shape),
        "tensors": lambda: _arrays(shape),
        "tensor": lambda: [Tensor([1.0]), Tensor([1.0], requires_grad=True), Tensor([2.0], requires_grad=True) * 2],
        "exponent": lambda: [2, 0.5, np.float32(3), "2", fine],
        "condition": lambda: [fine > 2, fine > 2, True, fine],
        "low": lambda: [None, 0, 1.5, "a"],
        "high": lambda: [None, 3, 2.5, np.nan],
        "ddof": lambda: [0, 1, 0.5, 10**6, None],
        "subscripts": lambda: ["ij,ij->i", "...,...->...", "...,...", "ij,jk", "ij->ij,", "ij,kj->ik", "", 5],
        "operands": lambda: _arrays((2, 2)),
        "promised": lambda: [True, False],
        "axis": lambda: [-1, 0, 1, 7, -9, (0, 1), 1.0],
        "shape": lambda: [(-1,), (2, -1), (7, 7), (-1, -1), 60, shape, (2, *shape)],
        "axes": lambda: [tuple(range(len(shape))), (0, 0, 1, 2), (0,)],
        "widths": lambda: [((0, 1),) * len(shape), ((1, 1),), ((0, -1),) * len(shape), 1],
        "value": lambda: [0.0, 2, "a"],
        "index": lambda: [0, slice(1), (0, 1), 99, [0, 0], np.array([True]), "a", 1.5],
        "path": lambda: [_network(), _network().SerializeToString(), b"ab", "/nowhere/m.onnx"],
        "alpha": lambda: [1.0, 0.5, -1, "a"],
        "counts": lambda: [1, 2, (1,) * len(shape), (0,), "a"],
        "interpolation": lambda: ["nearest", "bilinear", "bicubic", "lanczos3", "linear"],
        "fill_mode": lambda: ["constant", "nearest", "wrap", "reflect", "mirror"],
        "fill_value": lambda: [0.0, 1, np.nan, "a"],
        "maps": lambda: [np.ones((1, 6)), np.eye(1, 6), [[1, 0, 0, 0, 1, 0]], np.full((1, 6), np.nan), np.ones(6)],
        "rate": lambda: [0.0, 0.5, 1.0, -1, "a"],
        "slope": lambda: [0.01, 1, 0, -1, np.nan, "a"],
        "l1": lambda: [0.0, 0.1, "a"],
        "l2": lambda: [0.0, 0.1, None],
        "gamma": lambda: _arrays(shape[-1:]) + _arrays((2,)),
        "beta": lambda: _arrays(shape[-1:]) + _arrays((2,)),
        "running": lambda: [None, (np.zeros(shape[-1]), np.ones(shape[-1])), (1, 2), 5],
        "momentum": lambda: [0.9, 0, None],
        "part": lambda: [None],
        "first": lambda: [0, 3, np.int64(9000), -1],
        "epsilon": lambda: [1e-3, 0, "a"],
    }  # fmt: skip
    values |= _of_images()
    flags = (
        "allowed transpose_a transpose_b ceil_mode return_indices count_include_pad prepared tiny keepdims training "
        "relu logarithm from_logits pad_input flip preserve_range gradient full gaussian_weights use_sample_covariance "
        "approximate antialias centred"
    )
    if name in flags.split():
        return [True, False, np.True_, 1, "", None]
    return values[name]()


def _of_images():
    """What is right for the parameters of fastconv.image."""
    images = _arrays((7, 9)) + _arrays((8, 8)) + _arrays((9,)) + _arrays((7, 8, 7))
    return {
        "image": lambda: images,
        "im1": lambda: images,
        "im2": lambda: images,
        "template": lambda: [*_arrays((3, 4)), *_arrays((2, 3, 3)), _array((3,)), _array((10, 10))],
        "mask": lambda: [None, *_arrays((3, 4)), np.zeros((3, 4))],
        "kernels": lambda: [[_array((3, 3)), _array((2, 5), "c16")], *_arrays((2, 3, 3)), [_array(3)], [[1], 5]],
        "mode": lambda: ["reflect", "constant", "nearest", "mirror", "wrap", "edge", "mean", "linear_ramp"],
        "constant_values": lambda: [0, 1.5, (1, 2), ((1, 2), (3, 4)), np.nan, "a"],
        "cval": lambda: [0, 2.5, np.nan, np.inf, "a"],
        "channel_axis": lambda: [None, 0, -1, 1, 3, "a"],
        "frequency": lambda: [0.2, 0.5, [0.1, 0.3], 0, -0.1, 1e-9, np.nan],
        "theta": lambda: [0, 1.0, [0, 0.5], np.zeros((7, 9)), [], "a"],
        "bandwidth": lambda: [1, 0.5, 0, -1, 1e9],
        "sigma": lambda: [1, 0.5, 3.0, 0, -1, 1e9, np.nan],
        "sigma_x": lambda: [None, 1, 0.5, 0, -1, 1e9],
        "sigma_y": lambda: [None, 1, 0.5, 0, -1, 1e9],
        "n_stds": lambda: [3, 1.5, 0, -1, 1e9],
        "offset": lambda: [0, 0.5, np.inf],
        "order": lambda: [1, 2, 0, 3, 1.0],
        "truncate": lambda: [4.0, 2, 0, -1, 1e9],
        "radius": lambda: [1.0, (1, 2), 0, -1, (1, 2, 3, 4), 1e9],
        "amount": lambda: [1.0, 0, -2, np.nan],
        "low_sigma": lambda: [1.0, (1, 2), 0, -1, 1e9],
        "high_sigma": lambda: [None, 2.0, (2, 3), 0.5],
        "win_size": lambda: [None, 3, 5, 4, 0, 99],
        "data_range": lambda: [None, 1.0, 255, 0, -1, np.inf],
        "K1": lambda: [0.01, 0, -1],
        "K2": lambda: [0.03, 0, -1],
    }


def parameters(function):
    """A function's parameters; ``**window`` of a differentiable pool is what the pool of that name takes."""
    found = inspect.signature(function).parameters
    return {name: p for name, p in found.items() if p.kind != p.VAR_KEYWORD}


def rank_of(name):
    return next((int(c) for c in name if c in "123"), 2)


class Calls:
    """Random calls of some functions; which, and with what, depends on the seed alone."""

    def __init__(self, seed, chosen=None):
        self.rng = np.random.default_rng(seed)
        self.functions = list((chosen or functions()).items())
        self.refused = self.served = 0
        self.threads = fc.get_num_threads()

    def pick(self, values):
        return values[self.rng.integers(len(values))]

    def value(self, function, name):
        if self.rng.random() < 0.8:
            return self.pick(right(name, rank_of(function)))
        return self.pick(self.odd(function, name))

    def odd(self, function, name):
        """Values of all kinds but those with which a call would do what takes long."""
        if name in DURATIONS:
            return [value for value in ODD if not _is_time(value)]
        return [value for value in ODD if not callable(value)] if name == "announce" else ODD

    def arguments(self, name, function):
        given = {}
        for parameter in parameters(function).values():
            required = parameter.default is parameter.empty
            if required or parameter.name == "announce" or self.rng.random() < 0.3:
                given[parameter.name] = self.value(name, parameter.name)
            elif parameter.name in DURATIONS:
                given[parameter.name] = 0
        return given

    def one_by_one(self, name, function):
        """For each parameter every value there is, with right values for what else is required."""
        given = {
            parameter.name: None if parameter.name == "announce" else right(parameter.name, rank_of(name))[0]
            for parameter in parameters(function).values()
            if parameter.default is parameter.empty or parameter.name in ("announce", *DURATIONS)
        }
        for parameter in parameters(function):
            yield from ({**given, parameter: value} for value in self.odd(name, parameter))
            if parameter != "announce":
                yield from ({**given, parameter: value} for value in right(parameter, rank_of(name)))

    def one(self):
        """Make one call; raises AssertionError for whatever a caller should not see."""
        name, function = self.pick(self.functions)
        self.judge(name, function, self.arguments(name, function))

    def judge(self, name, function, given):
        """One call with these arguments by name."""
        bound = _bound(function, given)
        before = {key: _bytes(value) for key, value in given.items() if key != "out"}
        try:
            with _watch():
                result = function(*bound.args, **bound.kwargs)
                fc.set_num_threads(self.threads)  # it may have been what was called
        except FastconvError as error:
            self.refused += 1
            assert 15 < len(str(error)) < LONGEST, f"{_call(name, given)}: a message of {len(str(error))}: {error}"
        except Exception as error:
            error.add_note(f"by {_call(name, given)}")
            raise
        else:
            self.served += 1
            if isinstance(result, fc.ops.ConvPlan):
                self.judge(f"{name}(...)", result, {"x": self.value(name, "x"), "out": self.value(name, "out")})
        changed = [key for key, value in before.items() if _bytes(given[key]) != value]
        assert not changed, f"{_call(name, given)} changed {changed}"


def _bound(function, given):
    """What Python passes for arguments by name; of ``*inputs`` there are two."""
    kinds = {name: parameter.kind for name, parameter in parameters(function).items()}
    several = inspect.Parameter.VAR_POSITIONAL
    by_place = [v for n, v in given.items() if kinds[n] == several for _ in range(2)]
    by_name = {n: v for n, v in given.items() if kinds[n] != several}
    if by_place:  # and what stands before them
        first = [n for n in by_name if kinds[n] == inspect.Parameter.POSITIONAL_OR_KEYWORD]
        by_place = [by_name.pop(n) for n in first] + by_place
    return inspect.signature(function).bind(*by_place, **by_name)


def _call(name, given):
    return f"{name}({', '.join(f'{key}={shown(value)}' for key, value in given.items())})"


def _is_time(value):
    return isinstance(value, (int, float, np.number, np.ndarray)) and not isinstance(value, (bool, np.bool_))


def _bytes(value):
    """What a call must leave as it is: the elements of arrays."""
    return np.asarray(value).tobytes() if isinstance(value, np.ndarray) and value.dtype != object else None


@contextlib.contextmanager
def small_machine(monkeypatch):
    """A machine of little memory, and every setting as it was at the end."""
    monkeypatch.setattr(memory, "total_bytes", lambda: MEMORY)
    threads = fc.get_num_threads()
    try:
        with fc.allow_tf32(False):
            yield
    finally:
        fc.set_num_threads(threads)


@contextlib.contextmanager
def _watch():
    """Raise `TimeoutError` in a call that does not end, where the system can."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def late(*_):
        raise TimeoutError(f"no end after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
