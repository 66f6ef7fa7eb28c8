"""The zoo's networks, data and rates for comparisons with other frameworks: 200 steps of SGD with momentum.

Rates are such that rounding does not grow to what is looked for. In float32 that is soon: a relu or a maximum that
falls on the other side of a tie changes a gradient by a whole share, and small normalised batches amplify it; in
float64 no such tie is met in 200 steps, and losses fall to a fraction.
"""

import numpy as np

from fastconv import nn
from fastconv.nn import optimizers, zoo

STEPS, BATCH, CLASSES = 200, 8, 4
NETWORKS = list(zoo.ARCHITECTURES | getattr(zoo, "PIXELWISE", {}))
TOLERANCES = {"float32": 1e-3, "float64": 1e-9}

#: Sizes at which 200 steps take seconds.
SHAPES = {"alexnet": (67, 67, 3), "car-truck-cnn": (32, 32, 3), "mobilenet": (16, 16, 3), "resnet-20": (16, 16, 3)}
SHAPES |= {"series-cnn": (32, 2), "video-cnn": (4, 8, 8, 2), "u-net": (16, 16, 1), "autoencoder": (16, 16, 1)}

#: Keras on PyTorch rounds numbers that it gets from Python to float32, in float64 too: such as float32 can hold.
RATE, MOMENTUM, EPSILON = 2.0**-10, 0.875, 2.0**-10
RATES = {
    "float32": {
        "car-truck-cnn": 2.0**-13,
        "series-cnn": 2.0**-11,
        "mobilenet": 2.0**-20,
        "resnet-20": 2.0**-17,
        "lecture-cnn": 2.0**-23,
        "fashion-cnn": 2.0**-23,
    },
    "float64": {"lecture-cnn": 2.0**-13, "fashion-cnn": 2.0**-13},
}


def shape_of(name):
    return SHAPES.get(name, (28, 28, 1))


def options_of(name):
    """What makes a network smaller."""
    return {"alexnet": {"units": 32}, "u-net": {"filters": 4, "depth": 2}}.get(name, {})


def is_pixelwise(name):
    return name not in zoo.ARCHITECTURES


def rate_of(name, dtype):
    return RATES[dtype].get(name, RATE)


def loss_of(name):
    if name == "autoencoder":
        return "mse"
    return "binary_crossentropy" if is_pixelwise(name) else "sparse_categorical_crossentropy"


def made(name, dtype):
    """A network, the same every time, without dropout, whose random numbers are nobody else's."""
    nn.utils.set_random_seed(1)
    classes = () if is_pixelwise(name) else (CLASSES,)
    model = zoo.by_name(name).make(shape_of(name), *classes, seed=1, **options_of(name))
    weights = model.get_weights()
    text = model.to_json().replace('"float32"', f'"{dtype}"').replace('"epsilon": 0.001', f'"epsilon": {EPSILON}')
    model = nn.models.model_from_json(text)
    model.set_weights(weights)
    assert {w.dtype.name for w in model.get_weights()} == {dtype}
    for layer in model.layers:
        if isinstance(layer, nn.layers.Dropout):
            layer.rate = 0.0
    return model


def batches(name, dtype):
    """The samples and labels of every step."""
    rng, shape = np.random.default_rng(0), shape_of(name)
    few = []
    for _ in range(4):
        x = rng.random((BATCH, *shape), np.float32).astype(dtype)
        masks = (x > 0.7).astype(dtype)
        few.append((x, masks if is_pixelwise(name) else rng.integers(0, CLASSES, BATCH)))
    return [few[step % 4] for step in range(STEPS)]


def losses(model, name, dtype):
    """What fastconv's model is told step by step."""
    model.compile(optimizers.SGD(rate_of(name, dtype), momentum=MOMENTUM), loss_of(name))
    return np.array([model.train_on_batch(x, y) for x, y in batches(name, dtype)])


def loss_by_hand(name, y, p):
    """The mean loss of a batch, in float64."""
    p, kind = p.astype(np.float64), loss_of(name)
    if kind == "mse":
        return np.mean((p - y) ** 2)
    if kind == "binary_crossentropy":
        return -np.mean(y * np.log(p) + (1 - y) * np.log1p(-p))
    return -np.mean(np.log(p[np.arange(len(y)), y.ravel()]))


def worst(found, expected):
    """The largest relative difference."""
    assert found.shape == expected.shape == (STEPS,) and np.isfinite(expected).all()
    return np.max(abs(found - expected) / abs(expected))
