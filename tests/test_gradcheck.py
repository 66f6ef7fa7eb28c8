"""Every registered VJP against central differences; an operation without a case here fails the first test."""

import numpy as np
import pytest

import fastconv as fc
from fastconv.autograd import PRIMITIVES, VJPS, Tensor, gradcheck, primitive
from fastconv.autograd import functional as F
from fastconv.errors import InvalidArgument
from fastconv.spec import LAYOUTS


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def away_from_zero(*shape):
    x = normal(*shape)
    return x + 0.3 * np.sign(x)


def positive(*shape):
    return np.abs(normal(*shape)) + 0.3


def distinct(*shape):
    """No two elements closer than 0.1: a maximum stays the maximum under a small step."""
    return np.random.default_rng(len(shape)).permutation(int(np.prod(shape))).reshape(shape) * 0.1


def probabilities(*shape):
    p = positive(*shape)
    return p / p.sum(axis=-1, keepdims=True)


def images(rank, layout, channels=2, batch=2, make=normal):
    size = (5, 4, 3)[:rank]
    return make(batch, *size, channels) if layout[-1] == "C" else make(batch, channels, *size)


def filters(rank, layout, inner, outer, seed=1):
    taps = (3, 2, 2)[:rank]
    return normal(*taps, inner, outer, seed=seed) if layout[-1] == "C" else normal(outer, inner, *taps, seed=seed)


def conv_cases(rank):
    operation = getattr(F, f"conv{rank}d")
    for layout in LAYOUTS[rank]:
        x, w, b = images(rank, layout), filters(rank, layout, 2, 3), normal(3)
        yield lambda x, w, b, k=layout: operation(x, w, b, layout=k, padding="same", stride=2), (x, w, b)
        yield lambda x, w, k=layout: operation(x, w, layout=k, padding=1, activation="tanh"), (x, w)
    grouped = filters(rank, LAYOUTS[rank][0], 1, 4)
    yield lambda x, w: operation(x, w, groups=2, padding=2, dilation=2), (images(rank, LAYOUTS[rank][0]), grouped)
    for activation in ("relu", "leaky_relu", "sigmoid"):
        yield (
            lambda x, w, b, a=activation: operation(x, w, b + 20, activation=a),
            (
                images(rank, LAYOUTS[rank][0]),
                filters(rank, LAYOUTS[rank][0], 2, 3),
                normal(3),
            ),
        )


def transposed_cases(rank):
    operation = getattr(F, f"conv_transpose{rank}d")
    for layout in LAYOUTS[rank]:
        x, b = images(rank, layout), normal(3)
        taps = (3, 2, 2)[:rank]
        w = normal(*taps, 3, 2) if layout[-1] == "C" else normal(2, 3, *taps)
        yield (
            lambda x, w, b, k=layout: operation(x, w, b, layout=k, stride=2, padding=1, output_padding=1),
            (x, w, b),
        )
        yield lambda x, w, k=layout: operation(x, w, layout=k, stride=2, padding="same"), (x, w)
        # more output padding than stride: the convolution behind it would give one element more than x has
        yield lambda x, w, k=layout: operation(x, w, layout=k, dilation=2, output_padding=1, activation="tanh"), (x, w)


def pool_cases(name, rank, make, options):
    operation = getattr(F, f"{name}{rank}d")
    for layout in LAYOUTS[rank]:
        for option in options:
            yield lambda x, k=layout, o=option: operation(x, layout=k, **o), (images(rank, layout, make=make),)


def relu_pool_cases(rank):
    """Maxima on both sides of 0; the bias's gradient is that of a bias that x holds already."""
    operation = getattr(F, f"relu_max_pool{rank}d")

    def signed(*shape):
        x = distinct(*shape)
        return x - (x.size // 2 - 0.5) * 0.1

    for layout in LAYOUTS[rank]:
        x = images(rank, layout, make=signed)
        axis = 1 if layout == LAYOUTS[rank][0] else rank + 1
        form = [x.shape[a] if a == axis else 1 for a in range(rank + 2)]
        for option in WINDOWS:
            yield lambda x, k=layout, o=option: operation(x, layout=k, **o), (x,)
            yield (
                lambda x, b, k=layout, o=option, s=form: operation(x + b.detach().reshape(s), b, layout=k, **o),
                (x, normal(x.shape[axis]) * 0.005),
            )


def labels():
    return np.eye(4)[[0, 3, 1]]


PRODUCTS = (
    ((3, 4), (4, 2)), ((4,), (4,)), ((4,), (4, 2)), ((3, 4), (4,)), ((2, 3, 4), (4, 2)), ((2, 3, 4), (2, 4, 2)),
    ((5, 1, 3, 4), (2, 4, 2)), ((4,), (2, 4, 3)), ((2, 3, 4), (4,)), ((3, 4), (2, 4, 2)),
)  # fmt: skip
SUMS = {
    "ij,jk->ik": ((2, 3), (3, 4)),
    "ij,jk": ((2, 3), (3, 4)),
    "bij,bjk->bik": ((2, 3, 9), (2, 9, 4)),
    "bij,bkj->bki": ((2, 3, 9), (2, 4, 9)),
    "bhqd,bhkd->bhqk": ((2, 2, 3, 4), (2, 2, 3, 4)),
    "...ij,...jk->...ik": ((2, 1, 3, 4), (5, 4, 2)),
    "...i,i->...": ((2, 3), (3,)),
    "i,j->ji": ((2,), (3,)),
    "i,i->i": ((3,), (3,)),
    "i,i": ((3,), (3,)),
    "ii": ((3, 3),),
    "iij->ji": ((3, 3, 2),),
    "ij->": ((2, 3),),
    "ij->ji": ((2, 3),),
    "ij,jk,kl->il": ((2, 3), (3, 4), (4, 2)),
    "ij,ik,il->jkl": ((3, 2), (3, 2), (3, 2)),
    "ij,k->i": ((2, 3), (4,)),
    "ij,jk,jk->i": ((2, 1), (3, 4), (1, 4)),
}

CASES = {
    **{name: [(getattr(F, name), (away_from_zero(9),))] for name in ("selu", "silu", "mish", "softplus", "softsign")},
    "elu": [(F.elu, (away_from_zero(9),)), (lambda x: F.elu(x, alpha=0.5), (away_from_zero(9),))],
    "gelu": [(F.gelu, (normal(9),)), (lambda x: F.gelu(x, approximate=True), (normal(9),))],
    "layer_norm": [
        (F.layer_norm, (normal(5, 37), normal(37), normal(37, seed=1))),
        (lambda x, g, b: F.layer_norm(x, g, b, axis=(1, 3)), (normal(2, 3, 4, 5), normal(3, 5), normal(3, 5, seed=1))),
        (lambda x, g, b: F.layer_norm(x, g, b, centred=False), (normal(5, 6), normal(6), normal(6, seed=1))),
    ],
    "group_norm": [
        (lambda x, g, b: F.group_norm(x, g, b, groups=2), (normal(2, 3, 5, 4), normal(4), normal(4, seed=1))),
        (lambda x, g, b: F.group_norm(x, g, b, groups=3, axis=1), (normal(2, 6, 5), normal(6), normal(6, seed=1))),
        (lambda x, g, b: F.group_norm(x, g, b, groups=5, axis=2), (normal(2, 3, 5, 4), normal(5), normal(5, seed=1))),
    ],
    "repeat": [(lambda x: F.repeat(x, counts=(1, 2, 3)), (normal(2, 3, 2),))],
    "resize": [
        (lambda x, i=i: F.resize(x, size=(7, 3), layout="NHWC", interpolation=i), (normal(2, 4, 5, 2),))
        for i in ("nearest", "bilinear", "bicubic", "lanczos3")
    ]
    + [(lambda x: F.resize(x, size=3, antialias=True), (normal(2, 1, 8),))],
    "embedding": [(lambda w: F.embedding(np.array([[1, 2, 1], [0, 1, 4]]), w), (normal(5, 3),))],
    "affine_transform": [
        (lambda x, m=m: F.affine_transform(x, maps=2 * normal(2, 6), layout="NHWC", fill_mode=m), (normal(2, 4, 5, 3),))
        for m in ("constant", "nearest", "wrap", "reflect")
    ]
    + [(lambda x: F.affine_transform(x, maps=normal(2, 6), interpolation="nearest"), (normal(2, 3, 4, 5),))],
    "add": [(F.add, (normal(2, 3), normal(3))), (lambda a: a + 2.0, (normal(2),))],
    "subtract": [(F.subtract, (normal(2, 1), normal(4))), (lambda a: 1.0 - a, (normal(2),))],
    "multiply": [(F.multiply, (normal(2, 3), normal(2, 1))), (lambda a: -a, (normal(2),))],
    "divide": [(F.divide, (normal(2, 3), positive(3))), (lambda a: 2.0 / a, (positive(2),))],
    "power": [
        (lambda x: x**3, (normal(4),)),
        (lambda x: F.power(x, exponent=-0.5), (positive(4),)),
        (lambda x, e: x**e, (positive(2, 3), normal(3))),
        (lambda e: 2.0**e, (normal(3),)),
        (lambda x: x ** np.array([0.0, 1.0, 2.0]), (normal(2, 3),)),
    ],
    "maximum": [(F.maximum, (normal(2, 3), normal(3) + 0.01)), (lambda a: F.maximum(a, 0.1), (normal(4),))],
    "minimum": [(F.minimum, (normal(2, 3), normal(2, 1) + 0.01)), (lambda a: F.minimum(0.1, a), (normal(4),))],
    "clip": [(lambda a: F.clip(a, low=-0.5, high=0.4), (normal(20),)), (lambda a: a.clip(high=0.0), (normal(5),))],
    "where": [
        (lambda a, b: F.where(normal(2, 3) > 0, a, b), (normal(3), normal(2, 1))),
        (lambda a: F.where(a > 0, a * a, 0.0), (normal(4),)),
    ],
    "sqrt": [(F.sqrt, (positive(5),))],
    "sin": [(F.sin, (normal(5),))],
    "cos": [(F.cos, (normal(5),))],
    "astype": [(lambda x: F.astype(x, dtype="float64") ** 2, (normal(5),))],
    "exp": [(F.exp, (normal(5),))],
    "log": [(F.log, (positive(5),))],
    "absolute": [(F.absolute, (away_from_zero(5),))],
    "sum": [
        (lambda x: x.sum(), (normal(2, 3),)),
        (lambda x: x.sum(axis=0), (normal(2, 3),)),
        (lambda x: F.sum(x, axis=(0, -1), keepdims=True), (normal(2, 3, 4),)),
    ],
    "var": [
        (lambda x: x.var(), (normal(2, 3),)),
        (lambda x: F.var(x, axis=(0, -1), ddof=1, keepdims=True), (normal(2, 3, 4),)),
    ],
    "std": [(lambda x: x.std(axis=0), (normal(4, 3),)), (lambda x: F.std(x, axis=-1, ddof=1), (normal(2, 3),))],
    "max": [
        (lambda x: x.max(), (distinct(2, 3),)),
        (lambda x: F.max(x, axis=(0, 2)), (distinct(2, 3, 4),)),
        (lambda x: x.max(axis=-1, keepdims=True), (distinct(2, 3),)),
    ],
    "min": [(lambda x: x.min(), (distinct(2, 3),)), (lambda x: x.min(axis=1), (distinct(2, 3, 4),))],
    "mean": [(lambda x: x.mean(), (normal(2, 3),)), (lambda x: F.mean(x, axis=-1), (normal(2, 3),))],
    "reshape": [(lambda x: x.reshape(3, -1), (normal(2, 6),)), (F.flatten, (normal(2, 3, 2),))],
    "transpose": [(lambda x: F.transpose(x, axes=(2, 0, 1)), (normal(2, 3, 4),))],
    "squeeze": [(lambda x: x.squeeze() ** 2, (normal(1, 3, 1),)), (lambda x: x.squeeze(-1), (normal(1, 3, 1),))],
    "unsqueeze": [(lambda x: x.unsqueeze((0, -1)) ** 2, (normal(2, 3),))],
    "expand": [(lambda x: x.expand(4, -1, 3) ** 2, (normal(2, 1),)), (lambda x: F.expand(x, (2,)), (normal(),))],
    "stack": [(lambda a, b: F.stack(a, b, axis=-2) ** 2, (normal(2, 3), normal(2, 3)))],
    "pad": [(lambda x: F.pad(x, widths=((0, 1), (2, 0)), value=3.0), (normal(2, 3),))],
    "concatenate": [(lambda a, b: F.concatenate(a, b, axis=1), (normal(2, 3), normal(2, 2)))],
    "getitem": [
        (lambda x: F.getitem(x, index=(slice(None), 1)), (normal(3, 2),)),
        (lambda x: F.getitem(x, index=[0, 0, 2]), (normal(3, 2),)),
        (lambda x: x[::-2, None, ..., 1] ** 2, (normal(5, 2, 3),)),
        (lambda x: x[np.array([[0, 1], [1, 1]]), :, [0, 1]] ** 2, (normal(3, 2, 4),)),
        (lambda x: x[x > 0] ** 2, (away_from_zero(3, 2),)),
    ],
    "to_host": [(lambda x: fc.to_host(x) ** 2, (normal(3),))],
    "penalty": [(lambda w: F.penalty(w, l1=0.3, l2=0.2), (away_from_zero(3, 2),))],
    "matmul": [
        *((lambda a, b: a @ b, (normal(*a), normal(*b))) for a, b in PRODUCTS),
        *(
            (
                lambda a, b, t=t, u=u: F.matmul(a, b, transpose_a=t, transpose_b=u),
                (normal(2, 1, *((4, 3) if t else (3, 4))), normal(3, *((5, 4) if u else (4, 5)))),
            )
            for t in (False, True)
            for u in (False, True)
        ),
        (lambda a, b, c: F.matmul(a, b, c, activation="tanh"), (normal(2, 3, 4), normal(4, 2), normal(2))),
        (lambda a, b: F.matmul(a, b, transpose_a=True, transpose_b=True), (normal(2, 4, 3), normal(5, 4))),
    ],
    "einsum": [
        (lambda *inputs, s=s: F.einsum(s, *inputs), tuple(normal(*shape, seed=i) for i, shape in enumerate(shapes)))
        for s, shapes in SUMS.items()
    ],
    "dense": [
        (F.dense, (normal(3, 4), normal(4, 2), normal(2))),
        (lambda x, w: F.dense(x, w, activation="tanh"), (normal(2, 3, 4), normal(4, 2))),
        (lambda x, w, b: F.dense(x, w, b, activation="sigmoid"), (normal(3, 4), normal(4, 2), normal(2))),
    ],
    "bias_add": [
        (F.bias_add, (normal(2, 3, 4), normal(4))),
        (lambda x, b: F.bias_add(x, b, axis=1), (normal(2, 3, 4), normal(3))),
    ],
    "relu": [(F.relu, (away_from_zero(4, 5),))],
    "leaky_relu": [(lambda x: F.leaky_relu(x, slope=0.2), (away_from_zero(4, 5),))],
    "sigmoid": [(F.sigmoid, (normal(4, 5),))],
    "tanh": [(F.tanh, (normal(4, 5),))],
    "softmax": [(F.softmax, (normal(4, 5),)), (lambda x: F.softmax(x, axis=1), (normal(2, 3, 4),))],
    "log_softmax": [(F.log_softmax, (normal(4, 5),)), (lambda x: F.log_softmax(x, axis=0), (normal(3, 4),))],
    "dropout": [(lambda x: F.dropout(x, rate=0.4, seed=3), (normal(4, 50),))],
    "batch_norm": [
        (F.batch_norm, (normal(3, 4, 5), positive(5), normal(5))),
        (lambda x, g, b: F.batch_norm(x, g, b, axis=1), (normal(3, 5, 2, 2), positive(5), normal(5))),
        (lambda x, g, b: F.batch_norm(x, g, b, relu=True), (away_from_zero(6, 3), positive(3), normal(3))),
        (
            lambda x, g, b: F.batch_norm(x, g, b, running=(normal(3), positive(3)), training=False, relu=True),
            (away_from_zero(6, 3), positive(3), normal(3)),
        ),
        *(
            (
                lambda x, g, b, held, relu=relu: F.batch_norm(F.add(x, held.detach()), g, b, held, relu=relu),
                (away_from_zero(6, 3), positive(3), normal(3), 0.1 * probabilities(3)),
            )
            for relu in (False, True)
        ),
        *(
            (
                lambda x, g, b, held, options=options: F.batch_norm(
                    F.bias_add(x, held.detach(), axis=options.get("axis", -1)), g, b, held, **options
                ),
                (distinct(*shape), positive(3), normal(3), 0.001 * probabilities(3)),
            )
            for shape, options in (
                ((2, 5, 4, 3), {"relu": True, "pool": {"size": 2}}),
                ((2, 3, 5, 4), {"axis": 1, "pool": {"size": 3, "stride": 2, "padding": 1}}),
                ((2, 7, 3), {"relu": True, "pool": {"size": 3, "stride": 1}}),
                ((2, 4, 2, 4, 3), {"pool": {"size": 2}}),
                ((2, 4, 4, 3), {"running": (normal(3), positive(3)), "training": False, "pool": {"size": 2}}),
            )
        ),
    ],
    "softmax_cross_entropy": [
        (lambda z: F.softmax_cross_entropy(z, target=labels()), (normal(3, 4),)),
        (lambda z: F.softmax_cross_entropy(z, target=0.5 * probabilities(2, 3, 4)), (normal(2, 3, 4),)),
    ],
    "categorical_cross_entropy": [
        (lambda p: F.categorical_cross_entropy(p, target=labels()), (probabilities(3, 4),)),
        (lambda p: F.categorical_cross_entropy(p, target=probabilities(3, 4)), (positive(3, 4),)),
    ],
    "binary_cross_entropy": [
        (lambda p: F.binary_cross_entropy(p, target=labels()), (probabilities(3, 4),)),
        (lambda z: F.binary_cross_entropy(z, target=labels(), from_logits=True), (normal(3, 4),)),
    ],
}
WINDOWS = [{"size": 2}, {"size": 2, "stride": 1, "padding": 1, "ceil_mode": True}]
AVG_WINDOWS = [*WINDOWS, {"size": 3, "stride": 2, "padding": 1, "count_include_pad": False}, {"size": 2, "divisor": 3}]


def gradient_cases(rank):
    """The gradients of convolutions and pools are functions of ``fastconv`` with gradients themselves."""
    geometry = {"stride": 2, "padding": ((1, 0),) * rank, "padding_mode": "edge"}
    of = {name: getattr(fc, f"{name}{rank}d") for name in ("conv", "max_pool", "avg_pool", "unfold")}
    back = {name: getattr(fc, name.format(f"{rank}d")) for name in GRADIENTS}
    cases = {name.format(f"{rank}d"): [] for name in GRADIENTS}
    add = {name: cases[name.format(f"{rank}d")].append for name in GRADIENTS}
    for layout in LAYOUTS[rank]:
        x, w = images(rank, layout, make=distinct), filters(rank, layout, 2, 3)
        at = {"layout": layout}
        dy = normal(*of["conv"](x, w, **at, **geometry).shape)
        of_w, of_x = back["conv{}_weight_grad"], back["conv{}_input_grad"]
        add["conv{}_input_grad"]((lambda dy, w, f=of_x, s=x.shape, k=at: f(dy, w, s, **k, **geometry), (dy, w)))
        add["conv{}_weight_grad"]((lambda x, dy, f=of_w, s=w.shape, k=at: f(x, dy, s, **k, **geometry), (x, dy)))
        y, where = of["max_pool"](x, 2, padding=1, return_indices=True, **at)
        add["max_pool{}_grad"](
            (lambda dy, i=where, s=x.shape, k=at: back["max_pool{}_grad"](dy, i, s, **k), (normal(*y.shape),))
        )
        window = {**at, "stride": 1, "padding": 1, "count_include_pad": False}
        y = of["avg_pool"](x, 3, **window)
        add["avg_pool{}_grad"](
            (lambda dy, s=x.shape, k=window: back["avg_pool{}_grad"](dy, s, 3, **k), (normal(*y.shape),))
        )
        dy = images(rank, layout)
        dy = dy[:, :2, ...] if layout[-1] == "C" else dy[:, :, :2]
        add["adaptive_avg_pool{}_grad"](
            (lambda dy, s=x.shape, k=at: back["adaptive_avg_pool{}_grad"](dy, s, **k), (dy,))
        )
    x, window = images(rank, LAYOUTS[rank][0]), {"stride": 2, "padding": 1}
    add["unfold{}"]((lambda x: of["unfold"](x, 2, **window), (x,)))
    add["fold{}"](
        (lambda c, s=x.shape: back["fold{}"](c, s, 2, **window), (normal(*of["unfold"](x, 2, **window).shape),))
    )
    return cases


GRADIENTS = (
    "conv{}_input_grad", "conv{}_weight_grad", "max_pool{}_grad", "avg_pool{}_grad", "adaptive_avg_pool{}_grad",
    "unfold{}", "fold{}",
)  # fmt: skip
for r in (1, 2, 3):
    CASES |= gradient_cases(r)
    CASES[f"conv{r}d"] = list(conv_cases(r))
    CASES[f"conv_transpose{r}d"] = list(transposed_cases(r))
    CASES[f"max_pool{r}d"] = list(pool_cases("max_pool", r, distinct, WINDOWS))
    CASES[f"relu_max_pool{r}d"] = list(relu_pool_cases(r))
    CASES[f"avg_pool{r}d"] = list(pool_cases("avg_pool", r, normal, AVG_WINDOWS))
    CASES[f"lp_pool{r}d"] = list(
        pool_cases("lp_pool", r, away_from_zero, [{"size": 2}, {"size": 2, "p": 3.0, "stride": 1}])
    )
    CASES[f"adaptive_avg_pool{r}d"] = [
        *pool_cases("adaptive_avg_pool", r, normal, [{"size": 2}]),
        *pool_cases("global_avg_pool", r, normal, [{}]),
    ]
    CASES[f"adaptive_max_pool{r}d"] = [
        *pool_cases("adaptive_max_pool", r, distinct, [{"size": 2}]),
        *pool_cases("global_max_pool", r, distinct, [{}]),
    ]


def test_every_operation_has_a_gradient_and_a_case():
    assert set(VJPS) == set(PRIMITIVES)
    assert set(CASES) | {"to_device"} == set(VJPS)  # which needs one: test_cuda_autograd


@pytest.mark.parametrize("name", sorted(CASES))
def test_gradient(name):
    for f, inputs in CASES[name]:
        assert gradcheck(f, *inputs)


def test_composite_losses():
    target = normal(3, 4, seed=9)
    assert gradcheck(lambda y: F.mean_squared_error(y, target=target), normal(3, 4))
    assert gradcheck(lambda y: F.mean_absolute_error(y, target=target), normal(3, 4))


def test_a_wrong_gradient_is_found():
    @primitive
    def wrong(x):
        return x * x, (x,)

    @wrong.vjp
    def _(dy, needs, x):
        return (dy * x * 1.999,)

    try:
        with pytest.raises(AssertionError, match="the gradient to input 0"):
            gradcheck(wrong, normal(3))
    finally:
        del PRIMITIVES["wrong"], VJPS["wrong"]


def test_a_gradient_of_the_wrong_shape_is_found():
    @primitive
    def wrong(x):
        return x.sum(), ()

    @wrong.vjp
    def _(dy, needs):
        return (np.ones(1),)

    try:
        with pytest.raises(AssertionError, match="has shape"):
            gradcheck(wrong, normal(3))
    finally:
        del PRIMITIVES["wrong"], VJPS["wrong"]


def test_gradcheck_is_seeded_and_leaves_its_inputs_alone():
    x = normal(3)
    before = x.copy()
    calls = []

    def f(t):
        calls.append(t.data.copy())
        return t * t

    gradcheck(f, x, seed=4)
    first, calls = calls, []
    gradcheck(f, x, seed=4)
    assert np.array_equal(first, calls)
    assert np.array_equal(x, before)


def test_gradcheck_refuses_what_it_cannot_check():
    with pytest.raises(InvalidArgument, match="input 0 has dtype int64"):
        gradcheck(F.exp, np.arange(3))
    with pytest.raises(InvalidArgument, match="needs a Tensor"):
        gradcheck(lambda x: 3.0, normal(2))


def test_an_input_that_plays_no_part_has_gradient_zero():
    assert gradcheck(lambda a, b: a * 2.0, normal(2), normal(2))
    assert isinstance(F.add(Tensor(normal(2)), 1.0), Tensor)
