"""The zoo's networks that make images of images: sizes, what they refuse, the examples' networks, Keras's losses."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from fastconv import nn
from fastconv.errors import InvalidArgument
from fastconv.nn import zoo

EXAMPLES = Path(__file__).parent.parent / "examples"
OF_EXAMPLES = {
    "segmentation_unet": lambda: zoo.unet((24, 24, 1), filters=8, depth=2),
    "autoencoder": lambda: zoo.autoencoder((16, 16, 1)),
}


def test_sizes():
    """Weights by the formula: k*k*C*O + O of each convolution."""
    model = zoo.unet((16, 16, 1), classes=2, filters=16, depth=4)
    down = [(1, 16), (16, 32), (32, 64), (64, 128), (128, 256)]
    levels = sum(9 * (c + o) * o + 2 * o for c, o in [*down, *((o, c) for c, o in down[1:])])
    up = sum(4 * c * o + c for c, o in down[1:])
    assert model.count_params() == levels + up + 16 * 2 + 2
    assert model.output_shape == (None, 16, 16, 2) and model.layers[-1].activation is nn.activations.softmax
    assert zoo.autoencoder((8, 12, 3), (4,)).output_shape == (None, 8, 12, 3)
    for name, architecture in zoo.PIXELWISE.items():
        assert zoo.by_name(name) is architecture and name not in zoo.ARCHITECTURES
        assert len(architecture.make(seed=0).input_shape) == architecture.rank + 1


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: zoo.unet((20, 24, 1)), "multiples of 8"),
        (lambda: zoo.unet((24, 24)), "expected \\(H, W, C\\)"),
        (lambda: zoo.unet(depth=0), "depth"),
        (lambda: zoo.unet(classes=0), "classes"),
        (lambda: zoo.autoencoder((30, 28, 1)), "multiples of 4"),
        (lambda: zoo.autoencoder(filters=()), "numbers of filters"),
        (lambda: zoo.autoencoder(filters=(1,)), "numbers of filters"),
    ],
)
def test_refused(make, text):
    with pytest.raises(InvalidArgument, match=text):
        make()


def outline(model):
    """Layers by their arguments, without their names."""
    return [{k: v for k, v in layer.get_config().items() if k != "name"} for layer in model.layers]


@pytest.mark.parametrize("name", OF_EXAMPLES)
def test_the_examples_write_out_the_zoos_networks(name, monkeypatch):
    monkeypatch.setattr(nn.Model, "fit", lambda *_, **__: None)  # their network alone is looked at
    shown = runpy.run_path(str(EXAMPLES / f"{name}.py"))["model"]
    ours = OF_EXAMPLES[name]()
    assert outline(shown) == outline(ours) and shown.get_weights()[0].shape == ours.get_weights()[0].shape


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of Keras's own
@pytest.mark.parametrize(
    ("name", "options", "loss"),
    [
        ("u-net", {"filters": 4, "depth": 2}, "binary_crossentropy"),
        ("u-net", {"filters": 4, "depth": 2, "classes": 3}, "categorical_crossentropy"),
        ("autoencoder", {"filters": (8, 16)}, "mean_squared_error"),
    ],
)
def test_losses_are_kerass(name, options, loss):
    """200 steps from the same weights, of the same batches."""
    keras = pytest.importorskip("keras")
    shape = (8, 12, 2)
    ours = zoo.by_name(name).make(shape, seed=1, **options)
    theirs = keras.models.model_from_json(ours.to_json())
    theirs.set_weights(ours.get_weights())
    for model, optimizers in ((ours, nn.optimizers), (theirs, keras.optimizers)):
        model.compile(optimizers.SGD(0.1), loss)
    rng = np.random.default_rng(0)
    images = [rng.random((8, *shape), np.float32) for _ in range(4)]
    wanted = {
        "binary_crossentropy": lambda x: (x[..., :1] > 0.5).astype("float32"),
        "categorical_crossentropy": lambda x: np.eye(3, dtype="float32")[np.digitize(x[..., 0], (0.3, 0.7))],
        "mean_squared_error": lambda x: x,
    }[loss]
    for step in range(200):
        x = images[step % 4]
        theirs.reset_metrics()  # or it returns the mean of all steps
        mine, other = (float(np.ravel(model.train_on_batch(x, wanted(x)))[0]) for model in (ours, theirs))
        assert abs(mine - other) < 1e-3 * abs(other), step
