"""Arguments that mean something else than they seem to, and what is said of them: masks, axes, classes, sizes."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
import wrong_calls

import fastconv as fc
from fastconv import config, measure, memory
from fastconv.autograd import Tensor
from fastconv.autograd import functional as F
from fastconv.cpu.fft.tiling import fast_length
from fastconv.cpu.fft.transform import is_smooth
from fastconv.errors import InvalidArgument, TooLarge

X, W = np.arange(60.0).reshape(1, 2, 6, 5), np.ones((2, 2, 2, 2))
ARRAYS = ("x", "w", "b", "dy", "y", "a", "bias", "cols", "indices")


def required(name):
    """A call that goes through: the first right value of each parameter that has no default."""
    given = wrong_calls.parameters(wrong_calls.functions()[name]).values()
    values = {p.name: wrong_calls.right(p.name, wrong_calls.rank_of(name))[0] for p in given if p.default is p.empty}
    return values | ({"b": np.ones((3, 2))} if name == "matmul" else {})


TAKES_ARRAYS = [
    (name, parameter)
    for name, function in wrong_calls.functions().items()
    for parameter in wrong_calls.parameters(function)
    if parameter in ARRAYS and "." not in name and not (name == "matmul" and parameter == "b")
]


# Masks


@pytest.mark.parametrize(("name", "parameter"), TAKES_ARRAYS)
def test_masked_arrays_are_refused_everywhere(name, parameter):
    """A mask was dropped without a word; one that masks nothing is refused too, so that data decide nothing."""
    function, given = getattr(fc, name), required(name)
    plain = np.asarray(next(v for v in wrong_calls.right(parameter, wrong_calls.rank_of(name)) if v is not None))
    for mask in (plain > 0, False):
        masked = np.ma.array(plain, mask=mask)
        for value in (masked, list(masked))[
            : 1 if mask is False else 2
        ]:  # a list's numbers carry no mask but a true one
            with pytest.raises(InvalidArgument, match=rf"^{parameter} is a masked array.*{parameter}\.filled\(0\)"):
                function(**{**given, parameter: value})


def test_masked_arrays_without_a_mask_are_arrays():
    np.testing.assert_array_equal(fc.conv2d(np.ma.array(X), np.ma.array(W)), fc.conv2d(X, W))
    np.testing.assert_array_equal(fc.to_host(np.ma.array(X)), X)
    assert type(fc.to_host(np.ma.array(X))) is np.ndarray


def test_masks_of_plans_outputs_and_what_an_object_returns():
    plan = fc.plan_conv2d(W, X.shape)
    with pytest.raises(InvalidArgument, match="x is a masked array"):
        plan(np.ma.array(X, mask=X > 3))
    for call in (plan, lambda x, out: fc.conv2d(x, W, out=out)):
        with pytest.raises(InvalidArgument, match="out is a masked array"):
            call(X, out=np.ma.zeros((1, 2, 5, 4)).copy() + np.ma.array(np.zeros((1, 2, 5, 4)), mask=True))
    with pytest.raises(InvalidArgument, match="x is a masked array"):
        fc.conv2d(wrong_calls.Masked(), W)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: F.relu(m),
        lambda m: F.concatenate(m, m),
        lambda m: F.conv2d(m, W),
        lambda m: F.max_pool2d(m, size=2),
        lambda m: F.matmul(m[0, 0], X[0, 0].T),
        lambda m: F.add(m, 1.0),
        lambda m: F.sum(m),
        lambda m: F.mean_squared_error(X, target=m),
        lambda m: F.categorical_cross_entropy(X, target=m),
        lambda m: F.batch_norm(X, m[0, 0, 0], np.ones(5)),
    ],
)
def test_masks_do_not_reach_the_tape(call):
    with pytest.raises(InvalidArgument, match="masked"):
        call(np.ma.array(X, mask=X > 3))


# Axes that are missing


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda: fc.conv2d(X[0], W), "add the batch axis with x[None]"),
        (lambda: fc.conv2d(X[0, 0], W), "add the batch and channel axes with x[None, None]"),
        (lambda: fc.conv2d(X[0, 0], W, layout="NHWC"), "add the batch and channel axes with x[None, ..., None]"),
        (lambda: fc.conv1d(X[0, 0], W[:, :, 0]), "add the batch axis with x[None]"),
        (lambda: fc.conv3d(X, W[..., None]), "add the batch axis with x[None]"),
        (lambda: fc.conv_transpose2d(X[0], W), "add the batch axis with x[None]"),
        (lambda: fc.max_pool2d(X[0], 2), "add the batch axis with x[None]"),
        (lambda: fc.adaptive_avg_pool2d(X[0], 2), "add the batch axis with x[None]"),
        (lambda: fc.global_max_pool1d(X[0, 0]), "add the batch axis with x[None]"),
        (lambda: fc.unfold2d(X[0], 2), "add the batch axis with x[None]"),
        (lambda: fc.conv2d_input_grad(X[0, :, :5, :4], W, X.shape), "add the batch axis with dy[None]"),
        (lambda: fc.conv2d_weight_grad(X[0], X[:, :, :5, :4], W.shape), "add the batch axis with x[None]"),
        (lambda: fc.adaptive_avg_pool2d_grad(X[0], X.shape), "add the batch axis with dy[None]"),
        (lambda: fc.plan_conv2d(W, X.shape[1:]), "add the batch axis with x[None]"),
    ],
)
def test_one_image_is_told_about_its_batch_axis(call, advice):
    with pytest.raises(InvalidArgument) as caught:
        call()
    assert advice in str(caught.value)


def test_what_the_advice_gives():
    np.testing.assert_array_equal(fc.conv2d(X[0][None], W), fc.conv2d(X, W))
    last = fc.conv2d(X[0, 0][None, ..., None], np.ones((2, 2, 1, 1)), layout="NHWC")
    assert last[0, 0, 0, 0] == X[0, 0, :2, :2].sum()


# Things that are no arrays and no numbers


@pytest.mark.parametrize("name", ["stride", "dilation", "padding", "groups"])
def test_arrays_without_axes_are_no_numbers(name):
    with pytest.raises(InvalidArgument, match=rf"{name} is a 0-d array.*int\({name}\)"):
        fc.conv2d(X, W, **{name: np.array(1)})
    with pytest.raises(InvalidArgument, match="size is a 0-d array"):
        fc.max_pool2d(X, np.array(2))


@pytest.mark.parametrize("kind", [np.ndarray, np.float32, Tensor, list])
def test_classes_are_no_arrays(kind):
    for call in (
        lambda: fc.conv2d(kind, W),
        lambda: fc.conv2d(X, kind),
        lambda: fc.to_host(kind),
        lambda: Tensor(kind),
    ):
        if call.__code__.co_names[-1:] == ("Tensor",):
            continue
        with pytest.raises(InvalidArgument, match=r"is the class <class .*expected an array"):
            call()


def test_arrays_that_raise_are_told_what_they_said():
    for call in (lambda: fc.conv2d(wrong_calls.Recorded(), W), lambda: fc.max_pool2d(wrong_calls.Recorded(), 2)):
        with pytest.raises(InvalidArgument, match=r"x cannot be read as an array.*tensor\.detach\(\)\.numpy\(\)"):
            call()
    with pytest.raises(InvalidArgument, match="x cannot be read as an array"):
        fc.conv2d(wrong_calls.Raising(), W)


def test_results_go_to_arrays_of_numpy_only():
    y = np.empty((1, 2, 5, 4))
    for out in (wrong_calls.Recorded(), y.tolist(), np.ndarray, memoryview(y)):
        with pytest.raises(InvalidArgument, match=r"out is .*expected an array of shape \(1, 2, 5, 4\)"):
            fc.conv2d(X, W, out=out)


def test_tensors_of_pytorch():
    torch = pytest.importorskip("torch")
    x = torch.ones(1, 2, 6, 5, dtype=torch.float64)
    np.testing.assert_array_equal(fc.conv2d(x, W), fc.conv2d(np.ones(X.shape), W))
    for wrong in (x.clone().requires_grad_(), torch.ones(1, 2, 6, 5, dtype=torch.complex64).conj(), torch.Tensor):
        with pytest.raises(InvalidArgument, match=r"^x (cannot be read as an array|is the class)"):
            fc.conv2d(wrong, W)
    out = torch.empty(1, 2, 5, 4, dtype=torch.float64)
    with pytest.raises(InvalidArgument, match=r"out is torch\.Tensor.*out\.numpy\(\)"):
        fc.conv2d(x, W, out=out)
    fc.conv2d(x, W, out=out.numpy())
    assert float(out[0, 0, 0, 0]) == 8.0


def test_ragged_indices_and_indices_beyond_int64():
    dy = np.ones((1, 2, 3, 2))
    with pytest.raises(InvalidArgument, match="indices cannot be read as an array"):
        fc.max_pool2d_grad(dy, [[1], [2, 3]], X.shape)
    with pytest.raises(InvalidArgument, match="indices holds 18446744073709551615"):  # it was taken for -1: no element
        fc.max_pool2d_grad(dy, np.full(dy.shape, 2**64 - 1, np.uint64), X.shape)


# Activations and flags


@pytest.mark.parametrize("activation", wrong_calls.BAD_ACTIVATIONS)
@pytest.mark.parametrize(
    "call",
    [
        lambda a: fc.conv2d(X, W, activation=a),
        lambda a: fc.conv_transpose2d(X, W, activation=a),
        lambda a: fc.plan_conv2d(W, X.shape, activation=a),
        lambda a: fc.matmul(X[0, 0], X[0, 0].T, activation=a),
    ],
)
def test_activations_take_a_number_and_return_one(call, activation):
    with pytest.raises(InvalidArgument, match=r"^activation .*expected .*compiled with numba\.njit"):
        call(activation)


def test_an_activation_that_returns_whole_numbers_or_was_compiled_for_float64():
    import numba

    step = numba.njit(lambda v: 1 if v > 60 else 0)
    np.testing.assert_array_equal(fc.conv2d(X, W, activation=step), fc.conv2d(X, W) > 60)
    half = numba.njit("float64(float64)")(lambda v: v / 2)
    x = X.astype(np.float32)
    np.testing.assert_array_equal(fc.conv2d(x, W.astype(np.float32), activation=half), fc.conv2d(X, W) / 2)


@pytest.mark.parametrize("flag", ["", 1, 0, None, "yes", np.ones(2)])
def test_transposing_is_true_or_false(flag):
    for name in ("transpose_a", "transpose_b"):
        with pytest.raises(InvalidArgument, match=f"^{name} is .*expected True or False"):
            fc.matmul(np.eye(2), np.eye(2), **{name: flag})
    with pytest.raises(InvalidArgument, match="^allowed is"):
        fc.allow_tf32(flag)


# Sizes


@pytest.mark.parametrize(
    "call",
    [
        lambda: fc.conv2d(X, W, padding=2**31 - 1),
        lambda: fc.conv1d(X[:, 0], W[:1, :, 0].repeat(3, 1), padding=2**31 - 1, stride=2**31 - 1),
        lambda: fc.conv2d(X, W, padding=2**31 - 1, method="fft", stride=2**30),
        lambda: fc.unfold2d(X, 2, padding=2**31 - 1),
        lambda: fc.adaptive_max_pool2d(X, 2**31 - 1),
        lambda: fc.max_pool2d_grad(X, X.astype(int), (1, 2, 2**20, 2**20)),
        lambda: fc.matmul(np.ones((10**6, 0)), np.ones((0, 10**6))),
        lambda: fc.conv2d(np.broadcast_to(1.0, (1, 1, 2**20, 2**10)), np.ones((1, 1, 1, 1))),
        lambda: fc.conv1d_input_grad(np.ones((1, 1, 1)), np.ones((1, 1, 1)), (1, 1, 2**30), stride=2**30),
        lambda: measure.make_arrays(measure.parse_problem("n1c1h2097152w2097152_o1k3")),
        lambda: measure.compare(measure.parse_problem("n1c1h2097152w2097152_o1k3")),
        lambda: fc.explain((1, 1, 2**21, 2**21), (1, 1, 3, 3)),
    ],
)
def test_what_does_not_fit_is_said_before_it_is_allocated(monkeypatch, call):
    monkeypatch.setattr(memory, "total_bytes", lambda: 1 << 30)
    with pytest.raises(TooLarge, match=r"takes .* of memory but this machine has 1\.0 GiB") as caught:
        call()
    assert isinstance(caught.value, MemoryError) and len(str(caught.value)) < 300


def test_total_memory_is_that_of_this_machine():
    assert 1 << 27 < memory.total_bytes() <= sys.maxsize
    assert memory.check_room(1 << 20, "an array") is None


@pytest.mark.parametrize("shape", [(1, 1, 10**20, 8), (1, 1, 2**30, 2**31), (1, 1, 8, 2**61), (10**400, 1, 8, 8)])
def test_shapes_that_no_array_has(shape):
    w = (1, 1, 3, 3)
    for call in (
        lambda: fc.choose_method(shape, w),
        lambda: fc.explain(shape, w, seconds=0),
        lambda: fc.plan_conv2d(np.ones(w), shape),
        lambda: fc.conv2d_input_grad(np.ones(w), np.ones(w), shape),
        lambda: fc.fold2d(np.ones((1, 1, 1)), shape, 2),
        lambda: fc.avg_pool2d_grad(np.ones(w), shape, 2),
    ):
        with pytest.raises(InvalidArgument, match=r"the shape of x is .*2\*\*60 elements"):
            call()


@pytest.mark.parametrize("op", ["conv", "conv_input_grad", "conv_weight_grad"])
def test_long_signals_are_explained_at_once(op):
    """The next length that can be transformed was looked for one by one: for 10**17 that did not end."""
    started = time.perf_counter()
    for n in (10**12, 10**17):
        assert fc.choose_method((1, 1, n, 8), (1, 1, 3, 3), op=op) in ("direct", "im2col", "winograd", "fft")
        assert fc.explain((1, 1, n), (1, 1, 101), op=op, seconds=0).chosen
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize("unit", [1, 2, 8, 16])
def test_fast_length_is_the_least(unit):
    for n in (*range(1, 700), 10**6 + 1):
        many = -(-n // unit)
        while not is_smooth(many):
            many += 1
        assert fast_length(n, unit) == many * unit


# Questions about convolutions


@pytest.mark.parametrize("ask", [fc.choose_method, fc.explain])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dtype": "int8"}, "dtype is 'int8'; expected the dtype of the computation"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"dtype": object}, "dtype is <class 'object'>"),
        ({"dtype": "complex64"}, "dtype is 'complex64'"),
        ({"dtype": []}, r"dtype is \[\]"),
        ({"dtype": None}, "dtype is None"),
        ({"x_shape": 5}, "the shape of x is 5"),
        ({"x_shape": (5,)}, r"x_shape is \(5,\); expected three to five axes"),
        ({"x_shape": "abcd"}, "the shape of x is 'abcd'"),
        ({"x_shape": b"abcd"}, "the shape of x is b'abcd'"),
        ({"x_shape": (1, True, 9, 9)}, "the shape of x is"),
        ({"w_shape": None}, "the shape of w is None"),
        ({"op": "pool"}, "op is 'pool'"),
        ({"op": np.ones(2)}, "op is ndarray"),
        ({"stride": 0}, "stride is 0"),
    ],
)
def test_questions_are_checked_as_the_convolution_is(ask, wrong, message):
    with pytest.raises(InvalidArgument, match=message):
        ask(**{"x_shape": (1, 2, 6, 5), "w_shape": (2, 2, 2, 2), **wrong})


def test_devices_and_times_of_questions():
    shapes = (1, 2, 6, 5), (2, 2, 2, 2)
    for device in ("gpu", None, 5, ["cpu"]):
        with pytest.raises(InvalidArgument, match="device is .*expected one of 'cpu', 'cuda'"):
            fc.choose_method(*shapes, device=device)
    for seconds in ("a", np.inf, np.nan, -1, None, True, 1j):
        with pytest.raises(InvalidArgument, match="^seconds is"):
            fc.explain(*shapes, seconds=seconds)
    for prepared in (1, "", None):
        with pytest.raises(InvalidArgument, match="^prepared is"):
            fc.explain(*shapes, prepared=prepared, seconds=0)


@pytest.mark.parametrize(
    "text", ["conv:n0c3h8w8_o4k3s1p1", "n1c1w99999999999999999999_o1k1", f"n{'1' * 5000}c1w1_o1k1"]
)
def test_problem_strings_that_cannot_be_measured(text):
    with pytest.raises(InvalidArgument, match="^problem is") as caught:
        measure.parse_problem(text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("options", [{"layout": ""}, {"layout": "HWC"}, {"layout": 5}, {"dtype": "int8"}])
def test_problems_have_a_layout_and_a_dtype(options):
    with pytest.raises(InvalidArgument, match="^(layout|dtype) is"):
        measure.parse_problem("n1c2h9w9_o3k3", **options)
    change = measure.in_layout if "layout" in options else measure.in_dtype
    with pytest.raises(InvalidArgument, match="^(layout|dtype) is"):
        change(measure.parse_problem("n1c2h9w9_o3k3"), *options.values())


@pytest.mark.parametrize("wrong", [{"dtypes": None}, {"dtypes": "float32"}, {"dtypes": ["int8"]}, {"dtypes": [[]]},
                                   {"dtypes": [np.ones(2)]}, {"dtypes": [], "announce": 5}])  # fmt: skip
def test_warmup_says_what_it_takes(wrong):
    with pytest.raises(InvalidArgument, match="^(dtypes|dtype|announce) is"):
        fc.warmup(**wrong)


@pytest.mark.parametrize("n", [None, "2", 1.0, True, 0, -1, 2**31, 10**30, [2], np.ndarray])
def test_numbers_of_threads(n):
    for call in (fc.set_num_threads, lambda n: fc.threads(n).__enter__()):
        with pytest.raises(InvalidArgument, match="^the number of threads is"):
            call(n)


def test_a_number_of_threads_that_raises():
    with pytest.raises(InvalidArgument, match="^the number of threads is"):
        fc.set_num_threads(wrong_calls.Raising())


# Messages


@pytest.mark.parametrize(
    "call",
    [
        lambda big: fc.conv2d(X, W, stride=big),
        lambda big: fc.conv2d(X, W, layout=big),
        lambda big: fc.conv2d(X, W, method=big),
        lambda big: fc.conv2d(X, W, padding_mode=big),
        lambda big: fc.conv2d(X, W, activation=big),
        lambda big: fc.conv2d(X, W, device=big),
        lambda big: fc.conv2d(big, W),
        lambda big: fc.conv2d_input_grad(X, W, big),
        lambda big: fc.avg_pool2d(X, 2, divisor=big),
        lambda big: fc.lp_pool2d(X, 2, p=big),
        lambda big: fc.choose_method(X.shape, W.shape, op=big),
        lambda big: measure.parse_problem(big),
        lambda big: fc.warmup(big),
        lambda big: config.load({"FASTCONV_NUM_THREADS": str(big)}),
        lambda big: config.load({"FASTCONV_CUDA_BACKEND": str(big)}),
    ],
)
@pytest.mark.parametrize("big", ["x" * 10**6, list(range(10**5)), ("ab",) * 10**5], ids=["text", "list", "tuple"])
def test_no_message_repeats_more_than_some_of_what_was_given(call, big):
    with pytest.raises(InvalidArgument) as caught:
        call(big)
    assert len(str(caught.value)) < 500


# Settings


def test_a_wrong_setting_is_one_line_of_the_command_line():
    """The import fails no more: the first call that needs a setting says which variable is wrong."""
    script = "import fastconv as fc, numpy as np\nfc.choose_method\nfc.conv1d(np.ones((1, 1, 3)), np.ones((1, 1, 1)))"
    for variable, value in (("FASTCONV_NUM_THREADS", "auto"), ("FASTCONV_TILE_BYTES", "1e6")):
        environment = {**os.environ, variable: value}
        words = ["-m", "fastconv", "explain", "--predict", "n1c2h9w9_o3k3"]
        done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith(f"Error: {variable} is {value!r}")
        assert "Traceback" not in done.stderr
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
        )
        assert f"fastconv.errors.InvalidArgument: {variable} is {value!r}" in done.stderr.splitlines()[-1]
