"""Layers beside the usual ones, against their formulas in float64: activations, normalisation, sizes, noise."""

import math

import numpy as np
import pytest
from scipy import special

from fastconv import nn as keras
from fastconv.autograd import Tensor, gradcheck
from fastconv.autograd import functional as F
from fastconv.errors import InvalidArgument
from fastconv.ops import resampling

L, A = keras.layers, keras.activations
LAST, FIRST = "channels_last", "channels_first"


def double(layer, x, training=False):
    """The layer's result in float64, with weights that are random."""
    rng = np.random.default_rng(5)
    layer.dtype = np.dtype(np.float64)
    layer(x)
    layer.set_weights([rng.random(w.shape) + 0.3 for w in layer.get_weights()])
    return layer(x, training=training).numpy()


# --- activations ------------------------------------------------------------------------------------------------------

SIGMOID = special.expit
FORMULAS = {
    "relu6": lambda x: np.clip(x, 0, 6),
    "elu": lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1),
    "celu": lambda x: np.maximum(x, 0) + np.minimum(0, np.exp(x) - 1),
    "selu": lambda x: 1.05070098735548 * np.where(x > 0, x, 1.67326324235438 * (np.exp(np.minimum(x, 0)) - 1)),
    "gelu": lambda x: x * (1 + special.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x * SIGMOID(x),
    "swish": lambda x: x * SIGMOID(x),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "log_sigmoid": lambda x: np.log(SIGMOID(x)),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "tanh_shrink": lambda x: x - np.tanh(x),
    "hard_shrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "soft_shrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
    "sparse_plus": lambda x: np.where(x <= -1, 0, np.where(x < 1, (x + 1) ** 2 / 4, x)),
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FORMULAS)
def test_activations(name, dtype):
    x = np.linspace(-9, 9, 4001).astype(dtype)
    y = A.get(name)(x)
    assert y.dtype == dtype
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(y.numpy(), FORMULAS[name](x.astype(np.float64)), rtol=8 * eps, atol=8 * eps)
    if dtype == "float64":
        inner = np.array([-7.3, -2.1, -0.7, -0.3, 0.2, 0.8, 1.4, 6.5])
        assert gradcheck(A.get(name), inner)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_smooth_activations_at_the_ends(dtype):
    far = np.array([-1e30, -1000.0, -90.0, 1000.0, 1e30], dtype)
    low = np.array([0, 0, 0, *far[3:]], dtype)
    for name in ("gelu", "silu", "mish", "softplus"):
        np.testing.assert_allclose(A.get(name)(far).numpy()[1:], low[1:], rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(F.elu(far).numpy(), [-1, -1, -1, *far[3:]])
    for name in F.__all__:
        if name in ("elu", "gelu", "mish", "selu", "silu", "softplus", "softsign"):
            assert np.isnan(getattr(F, name)(np.array([np.nan, 1.0], dtype)).numpy()).tolist() == [True, False]


def test_activations_with_numbers_of_their_own(rng):
    x = rng.standard_normal((4, 6)) * 3
    np.testing.assert_allclose(A.celu(x, 0.5).numpy(), np.maximum(x, 0) + np.minimum(0, 0.5 * (np.exp(2 * x) - 1)))
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    np.testing.assert_allclose(A.gelu(x, approximate=True).numpy(), x * (1 + np.tanh(inner)) / 2, atol=1e-14)
    np.testing.assert_allclose(A.threshold(x, 0.3, 7.0).numpy(), np.where(x > 0.3, x, 7))
    np.testing.assert_allclose(A.glu(x).numpy(), x[:, :3] * SIGMOID(x[:, 3:]))
    np.testing.assert_allclose(A.glu(x, axis=0).numpy(), x[:2] * SIGMOID(x[2:]))
    bent = np.where(x >= 0.5, np.minimum(x, 2), 0.1 * (x - 0.5))
    np.testing.assert_allclose(A.relu(x, negative_slope=0.1, max_value=2, threshold=0.5).numpy(), bent, atol=1e-15)
    assert gradcheck(lambda t: A.relu(t, negative_slope=0.1, max_value=2, threshold=0.5), x)
    with pytest.raises(InvalidArgument, match="6 elements along axis -1; expected an even|5 elements"):
        A.glu(np.ones((2, 5)))


def test_activation_layers(rng):
    x = rng.standard_normal((3, 4, 5))
    np.testing.assert_allclose(L.ELU(0.5, dtype="float64")(x).numpy(), np.where(x > 0, x, 0.5 * (np.exp(x) - 1)))
    layer = L.PReLU(shared_axes=[1])
    y = double(layer, x)
    assert layer.alpha.shape == (1, 5)
    np.testing.assert_allclose(y, np.where(x > 0, x, layer.alpha.numpy() * x))
    assert L.PReLU()(x).shape == x.shape
    relu = L.ReLU(6.0, 0.1, 0.2)
    assert (relu.max_value, relu.negative_slope, relu.threshold) == (6.0, 0.1, 0.2)
    with pytest.raises(InvalidArgument, match="negative_slope is -1"):
        L.ReLU(negative_slope=-1)
    with pytest.raises(InvalidArgument, match="shared_axes"):
        L.PReLU(shared_axes=[3])(x)


# --- normalisation ----------------------------------------------------------------------------------------------------


def normalised(x, axes, epsilon):
    return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + epsilon)


@pytest.mark.parametrize("axis", [-1, 1, (1, 3), (1, 2, 3), (-1, -2)])
def test_layer_normalization(axis, rng):
    x = rng.standard_normal((3, 4, 5, 7)) * 2 + 10
    layer = L.LayerNormalization(axis, epsilon=0.1)
    y = double(layer, x)
    axes = tuple(sorted(a % 4 for a in np.atleast_1d(axis).tolist()))
    form = [x.shape[a] if a in axes else 1 for a in range(4)]
    gamma, beta = (w.reshape(form) for w in layer.get_weights())
    np.testing.assert_allclose(y, normalised(x, axes, 0.1) * gamma + beta, atol=1e-13)
    assert layer.gamma.shape == tuple(x.shape[a] for a in axes)
    assert [w.name for w in layer.weights] == ["gamma", "beta"]


@pytest.mark.parametrize("shape, axis", [((3, 4, 5, 6), -1), ((3, 6, 5), 1), ((2, 6, 90, 100), 1), ((2, 6), -1)])
@pytest.mark.parametrize("groups", [1, 3, -1])
def test_group_normalization(shape, axis, groups, rng):
    x = rng.standard_normal(shape) * 2 + 10
    layer = L.GroupNormalization(groups, axis=axis, epsilon=0.1)
    y = double(layer, x)
    G = 6 if groups == -1 else groups
    parts = np.moveaxis(x, axis, 1).reshape(shape[0], G, -1)
    expected = np.moveaxis(normalised(parts, 2, 0.1).reshape(np.moveaxis(x, axis, 1).shape), 1, -1)
    gamma, beta = layer.get_weights()
    np.testing.assert_allclose(y, np.moveaxis(expected * gamma + beta, -1, axis), atol=1e-12)


@pytest.mark.parametrize("K", [1, 15, 33, 70, 8200])
def test_rows_of_all_lengths(K, rng):
    x, dy = rng.standard_normal((2, 5, K))
    gamma, beta = rng.standard_normal((2, K))
    tensors = [Tensor(a.astype(np.float32), requires_grad=True) for a in (x, gamma, beta)]
    y = F.layer_norm(*tensors, epsilon=0.1)
    y.backward(dy.astype(np.float32))
    z = normalised(x, 1, 0.1)
    np.testing.assert_allclose(y.numpy(), z * gamma + beta, atol=2e-5)
    g = dy * gamma
    dx = (g - g.mean(1, keepdims=True) - z * (g * z).mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 0.1)
    for tensor, expected in zip(tensors, (dx, (dy * z).sum(0), dy.sum(0)), strict=True):
        np.testing.assert_allclose(tensor.grad, expected, atol=5e-5)


def test_a_large_offset_costs_no_accuracy(rng):
    """Means and variances are of double precision; x itself has what float32 leaves of it."""
    x = (rng.standard_normal((4, 6, 5, 8)) + 1000).astype(np.float32)
    exact = x.astype(np.float64)
    y = L.LayerNormalization((1, 2, 3), epsilon=0.0)(x).numpy()
    np.testing.assert_allclose(y, normalised(exact, (1, 2, 3), 0), atol=2e-4)
    y = L.GroupNormalization(2, epsilon=0.0)(x).numpy()
    parts = normalised(exact.reshape(4, 30, 2, 4), (1, 3), 0).reshape(x.shape)
    np.testing.assert_allclose(y, parts, atol=2e-4)


def test_other_normalisation(rng):
    x = rng.standard_normal((3, 4, 5))
    layer = L.RMSNormalization((1, 2), epsilon=0.1)
    y = double(layer, x)
    size = np.sqrt(np.square(x).mean(axis=(1, 2), keepdims=True) + 0.1)
    np.testing.assert_allclose(y, x / size * layer.get_weights()[0], atol=1e-14)
    assert layer.weights[0].name == "scale"
    unit = L.UnitNormalization(axis=1, dtype="float64")(x).numpy()
    np.testing.assert_allclose(unit, x / np.linalg.norm(x, axis=1, keepdims=True))
    assert (L.UnitNormalization()(np.zeros((1, 3))).numpy() == 0).all()


def test_wrong_normalisation():
    x = np.ones((2, 4, 6))
    for layer in (L.LayerNormalization(0), L.LayerNormalization([1, 0]), L.GroupNormalization(2, axis=0)):
        with pytest.raises(InvalidArgument, match="axis"):
            layer(x)
    with pytest.raises(InvalidArgument, match="groups=4, which must divide the 6 channels"):
        L.GroupNormalization(4)(x)
    with pytest.raises(InvalidArgument, match="groups is 0"):
        L.GroupNormalization(0)
    with pytest.raises(InvalidArgument, match="axis is None"):
        L.LayerNormalization(None)
    with pytest.raises(InvalidArgument, match="gamma has shape"):
        F.layer_norm(x, np.ones(5), np.ones(6))


# --- convolutions -----------------------------------------------------------------------------------------------------


def depthwise(x, w, stride, dilation):
    """Plain loops: x (N, H, W, C), w (KH, KW, C, M) -> (N, OH, OW, C*M)."""
    (_, H, W, _), (KH, KW, C, M) = x.shape, w.shape
    OH, OW = ((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip((H, W), (KH, KW), stride, dilation, strict=True))
    y = np.zeros((len(x), OH, OW, C, M))
    for i in range(OH):
        for j in range(OW):
            for u in range(KH):
                for v in range(KW):
                    pixel = x[:, i * stride[0] + u * dilation[0], j * stride[1] + v * dilation[1]]
                    y[:, i, j] += pixel[:, :, None] * w[u, v]
    return y.reshape(len(x), OH, OW, C * M)


@pytest.mark.parametrize("strides, dilation, data_format", [(1, 1, LAST), (2, 1, FIRST), (1, 2, LAST)])
def test_separable_convolution(strides, dilation, data_format, rng):
    x = rng.standard_normal((2, 7, 6, 3))
    given = x if data_format == LAST else np.moveaxis(x, -1, 1)
    layer = L.SeparableConv2D(
        5, (3, 2), strides, dilation_rate=dilation, depth_multiplier=2, activation="tanh", data_format=data_format
    )
    y = double(layer, given)
    assert [w.name for w in layer.weights] == ["depthwise_kernel", "pointwise_kernel", "bias"]
    first, second, bias = layer.get_weights()
    assert first.shape == (3, 2, 3, 2) and second.shape == (1, 1, 6, 5)
    expected = np.tanh(depthwise(x, first, (strides,) * 2, (dilation,) * 2) @ second[0, 0] + bias)
    np.testing.assert_allclose(y if data_format == LAST else np.moveaxis(y, 1, -1), expected, atol=1e-12)


def test_separable_and_depthwise_signals(rng):
    x = rng.standard_normal((2, 9, 3))
    layer = L.SeparableConv1D(4, 3, padding="causal", dilation_rate=2, depth_multiplier=2)
    y = double(layer, x)
    first, second, bias = layer.get_weights()
    padded = np.pad(x, ((0, 0), (4, 0), (0, 0)))[:, None]
    expected = depthwise(padded, first[None], (1, 1), (1, 2))[:, 0] @ second[0] + bias
    np.testing.assert_allclose(y, expected, atol=1e-12)
    layer = L.DepthwiseConv1D(3, strides=2, depth_multiplier=2)
    y = double(layer, x)
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(y, depthwise(x[:, None], kernel[None], (1, 2), (1, 1))[:, 0] + bias, atol=1e-12)


def transposed_row(x, w, stride, before, size):
    """One axis: every element adds its kernel at stride*i - before of a row of `size`; x (n,), w (k,)."""
    y = np.zeros(size)
    for i, value in enumerate(x):
        for u, weight in enumerate(w):
            if 0 <= stride * i + u - before < size:
                y[stride * i + u - before] += value * weight
    return y


@pytest.mark.parametrize(
    "k, stride, more", [(3, 2, 1), (3, 2, 0), (4, 2, 0), (4, 2, 1), (5, 3, 1), (5, 3, 2), (2, 2, 1)]
)
def test_transposed_same_with_output_padding_as_in_keras(k, stride, more, rng):
    """(n - 1)*stride + k%2 + more rows; TensorFlow's and JAX's border: the smaller half of what is cut, before."""
    x = rng.standard_normal(5)
    layer = L.Conv1DTranspose(1, k, stride, "same", output_padding=more, use_bias=False)
    y = double(layer, x.reshape(1, 5, 1))[0, :, 0]
    size = 4 * stride + k % 2 + more
    length = k + k % 2 - 2 + more  # what dilated convolution pads: the larger half in front
    before = k - 1 - min(length // 2 + length % 2, k - 1)
    np.testing.assert_allclose(y, transposed_row(x, layer.get_weights()[0].ravel(), stride, before, size), atol=1e-12)


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_upsampling_repeats_and_cropping_cuts(rng):
    x = rng.standard_normal((2, 4, 5, 3))
    np.testing.assert_array_equal(
        L.UpSampling2D((2, 3), dtype="float64")(x).numpy(), x.repeat(2, axis=1).repeat(3, axis=2)
    )
    first = L.UpSampling2D((2, 3), data_format=FIRST, dtype="float64")(x).numpy()
    np.testing.assert_array_equal(first, x.repeat(2, axis=2).repeat(3, axis=3))
    np.testing.assert_array_equal(L.UpSampling1D(2, dtype="float64")(x[0]).numpy(), x[0].repeat(2, axis=1))
    np.testing.assert_array_equal(L.Cropping2D(((1, 2), (0, 3)), dtype="float64")(x).numpy(), x[:, 1:2, :2])
    np.testing.assert_array_equal(L.Cropping1D((1, 0), dtype="float64")(x[0]).numpy(), x[0][:, 1:])
    np.testing.assert_array_equal(L.Cropping2D(dtype="float64")(x).numpy(), x)
    with pytest.raises(InvalidArgument, match="leaves nothing"):
        L.Cropping2D(2)(x)
    with pytest.raises(InvalidArgument, match="cropping is"):
        L.Cropping2D("a")


@pytest.mark.parametrize("n, m", [(4, 8), (8, 3), (5, 7), (1, 3), (7, 1)])
def test_bilinear_is_numpy_interp_between_middles(n, m, rng):
    x = rng.standard_normal(n)
    middles = (np.arange(m) + 0.5) * n / m - 0.5
    y = F.resize(x.reshape(1, n, 1), size=m, layout="NWC").numpy().ravel()
    np.testing.assert_allclose(y, np.interp(middles, np.arange(n), x), atol=1e-14)
    y = F.resize(x.reshape(1, 1, n), size=m, interpolation="nearest").numpy().ravel()
    np.testing.assert_array_equal(y, x[np.clip(np.floor(middles + 0.5).astype(int), 0, n - 1)])


@pytest.mark.parametrize("interpolation", resampling.INTERPOLATIONS)
@pytest.mark.parametrize("antialias", [False, True])
def test_interpolations_keep_constants_and_straight_lines(interpolation, antialias):
    for n, m in ((6, 12), (12, 5), (9, 9)):
        matrix = resampling.interpolated(n, m, interpolation, antialias).matrix
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
        transposed = resampling.interpolated(n, m, interpolation, antialias).transposed.matrix
        np.testing.assert_array_equal(transposed, matrix.T)
    if interpolation in ("bilinear", "bicubic"):
        line = resampling.interpolated(12, 24, interpolation).matrix @ np.arange(12.0)
        np.testing.assert_allclose(line[4:-4], ((np.arange(24) + 0.5) / 2 - 0.5)[4:-4], atol=1e-12)


def test_what_is_repeated_is_summed_in_order():
    """The same bits as a plain loop over the copies."""
    dy = np.random.default_rng(3).standard_normal((1, 6, 5, 2)).astype(np.float32)
    x = Tensor(np.ones((1, 2, 5, 2), np.float32), requires_grad=True)
    F.repeat(x, counts=(1, 3, 1, 1)).backward(dy)
    total = dy.reshape(1, 2, 3, 5, 2)
    np.testing.assert_array_equal(x.grad, (total[:, :, 0] + total[:, :, 1]) + total[:, :, 2])


def test_aspect_ratios():
    x = np.arange(24.0, dtype=np.float32).reshape(1, 4, 6, 1)
    crop = L.Resizing(2, 2, crop_to_aspect_ratio=True)(x).numpy()
    np.testing.assert_allclose(crop, L.Resizing(2, 2)(x[:, :, 1:5]).numpy())
    pad = L.Resizing(3, 3, "nearest", pad_to_aspect_ratio=True, fill_value=-1)(x).numpy()[0, :, :, 0]
    np.testing.assert_array_equal(pad, L.Resizing(3, 3, "nearest")(np.pad(
        x, ((0, 0), (1, 1), (0, 0), (0, 0)), constant_values=-1)).numpy()[0, :, :, 0])  # fmt: skip
    np.testing.assert_array_equal(L.CenterCrop(2, 3)(x).numpy(), x[:, 1:3, 1:4])
    with pytest.raises(InvalidArgument, match="are True; one may be"):
        L.Resizing(2, 2, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True)


# --- embedding, functions, vectors ------------------------------------------------------------------------------------


def test_embedding_and_its_gradient(rng):
    numbers, dy = rng.integers(0, 5, (3, 4)), rng.standard_normal((3, 4, 6))
    layer = L.Embedding(5, 6, dtype="float64")
    y = layer(numbers)
    w = layer.get_weights()[0]
    np.testing.assert_array_equal(y.numpy(), w[numbers])
    y.backward(dy)
    expected = np.zeros_like(w)
    for place in np.ndindex(*numbers.shape):
        expected[numbers[place]] += dy[place]
    np.testing.assert_array_equal(layer.embeddings.grad, expected)  # added in the order of x
    for wrong in (5, -1, 0.5):
        with pytest.raises(InvalidArgument, match="whole numbers from 0 to 4"):
            layer(np.full((1, 2), wrong))


def test_lambda():
    layer = L.Lambda(lambda x, factor: x[:, ::2] * factor, arguments={"factor": 3.0})
    assert layer(np.ones((2, 4))).numpy().tolist() == [[3, 3], [3, 3]]
    assert layer.output_shape == (None, 2)
    assert L.Lambda(lambda x: x, output_shape=(7,)).compute_output_shape((None, 4)) == (None, 7)
    with pytest.raises(InvalidArgument, match="function is 3"):
        L.Lambda(3)
    with pytest.raises(InvalidArgument, match="cannot be called"):
        L.Lambda(lambda x: x, arguments={"other": 1})(np.ones((1, 2)))


@pytest.mark.slow
def test_a_model_of_them_trains(rng):
    x, y = rng.random((32, 8, 8, 3), dtype=np.float32) * 255, rng.integers(0, 3, 32)
    model = keras.Sequential([
        L.Rescaling(1 / 255, input_shape=(8, 8, 3)), L.RandomFlip("horizontal"), L.RandomRotation(0.1),
        L.SeparableConv2D(8, 3, padding="same", use_bias=False), L.GroupNormalization(2), L.Activation("swish"),
        L.UpSampling2D(), L.Cropping2D(1), L.SpatialDropout2D(0.1), L.GlobalAveragePooling2D(),
        L.LayerNormalization(), L.Dense(16, activation="gelu"), L.GaussianNoise(0.01), L.Dense(3, activation="softmax"),
    ], seed=1)  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy")
    losses = model.fit(x, y, epochs=12, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


# --- noise ------------------------------------------------------------------------------------------------------------


def test_noise_has_the_promised_moments():
    x = np.ones((2000, 50), np.float32)
    added = L.GaussianNoise(0.5, seed=1)(x, training=True).numpy() - 1
    assert abs(added.mean()) < 0.01 and abs(added.std() - 0.5) < 0.01
    times = L.GaussianDropout(0.2, seed=1)(x, training=True).numpy()
    assert abs(times.mean() - 1) < 0.01 and abs(times.std() - 0.5) < 0.01
    z = np.random.default_rng(1).standard_normal((2000, 50)).astype(np.float32)
    kept = L.AlphaDropout(0.3, seed=1)(z, training=True).numpy()
    assert abs(kept.mean()) < 0.02 and abs(kept.std() - 1) < 0.02
    low = -1.0507009873554805 * 1.6732632423543772
    dropped = low * 0.7 / math.sqrt(0.7 * (1 + 0.3 * low**2))
    assert abs(np.isclose(kept, dropped, atol=1e-6).mean() - 0.3) < 0.01
    for layer in (L.GaussianNoise(0.5), L.GaussianDropout(0.2), L.AlphaDropout(0.3), L.SpatialDropout1D(0.5)):
        given = z[None] if isinstance(layer, L.SpatialDropout1D) else z
        np.testing.assert_array_equal(layer(given).numpy(), given)


@pytest.mark.parametrize("data_format", [LAST, FIRST])
def test_spatial_dropout_drops_whole_channels(data_format):
    x = np.ones((200, 3, 5, 4), np.float32)
    y = L.SpatialDropout2D(0.25, data_format=data_format, seed=2)(x, training=True).numpy()
    y = y if data_format == LAST else np.moveaxis(y, 1, -1)
    assert (y == y[:, :1, :1]).all()
    assert sorted(set(y.ravel().tolist())) == pytest.approx([0, 4 / 3])
    assert abs((y[:, 0, 0] == 0).mean() - 0.25) < 0.07


def test_dropout_with_a_shape():
    y = L.Dropout(0.5, noise_shape=(None, 1, None), seed=1)(np.ones((5, 6, 7)), training=True).numpy()
    assert (y == y[:, :1]).all() and len(set(y[0, 0].tolist())) == 2
    with pytest.raises(InvalidArgument, match="each size must be 1, None or the input's"):
        L.Dropout(0.5, noise_shape=(None, 2))(np.ones((5, 6)))


# --- initializers and regularizers ------------------------------------------------------------------------------------


def test_initializers_of_matrices():
    for shape in ((6, 4), (4, 6), (3, 3, 2, 5)):
        w = keras.initializers.Orthogonal(2.0, seed=1)(shape, "float64").reshape(-1, shape[-1])
        product = w.T @ w if len(w) >= shape[-1] else w @ w.T
        np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)
    np.testing.assert_array_equal(keras.initializers.get("identity")((2, 3)), np.eye(2, 3))
    for wrong in (keras.initializers.Orthogonal(), keras.initializers.Identity()):
        with pytest.raises(InvalidArgument, match=r"shape is \(3,\)"):
            wrong((3,))


def test_regularizers():
    assert keras.regularizers.l1_l2()(Tensor(np.ones(3))).item() == 0  # as in Keras 3
    w = np.random.default_rng(1).standard_normal((3, 4))
    for mode, rows in (("rows", w), ("columns", w.T)):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        cosines = np.abs(unit @ unit.T)[np.triu_indices(len(rows), 1)]
        found = keras.regularizers.OrthogonalRegularizer(0.5, mode)(Tensor(w)).item()
        assert found == pytest.approx(0.5 * cosines.mean())
