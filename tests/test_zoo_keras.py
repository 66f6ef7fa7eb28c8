"""Every network of the zoo beside Keras's of the same layers and weights, where Keras is installed: 200 steps."""

import numpy as np
import pytest

from fastconv import nn
from fastconv.nn import zoo

pytestmark = pytest.mark.slow

#: Sizes at which 200 steps take seconds.
SHAPES = {"alexnet": (67, 67, 3), "car-truck-cnn": (32, 32, 3), "mobilenet": (16, 16, 3), "resnet-20": (16, 16, 3)}
SHAPES |= {"series-cnn": (32, 2), "video-cnn": (4, 8, 8, 2)}

#: Rates at which rounding does not grow within 200 steps to what is looked for: small normalised batches amplify it.
RATES = {"car-truck-cnn": 3e-4, "series-cnn": 5e-4, "mobilenet": 1e-6, "resnet-20": 1e-5}
RATES |= {"lecture-cnn": 1e-7, "fashion-cnn": 1e-7}


@pytest.mark.filterwarnings("default")  # of Keras's own
@pytest.mark.parametrize("name", zoo.ARCHITECTURES)
def test_losses_are_kerass(name):
    keras = pytest.importorskip("keras")
    shape = SHAPES.get(name, (28, 28, 1))
    options = {"units": 32} if name == "alexnet" else {}
    ours = zoo.by_name(name).make(shape, 4, seed=1, **options)
    for layer in ours.layers:
        if isinstance(layer, nn.layers.Dropout):
            layer.rate = 0.0  # its random numbers are not Keras's
    theirs = keras.models.model_from_json(ours.to_json())
    theirs.set_weights(ours.get_weights())
    for model, optimizers in ((ours, nn.optimizers), (theirs, keras.optimizers)):
        model.compile(optimizers.SGD(RATES.get(name, 1e-3), momentum=0.9), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    batches = [(rng.random((8, *shape), np.float32), rng.integers(0, 4, 8)) for _ in range(4)]
    for step in range(200):
        x, y = batches[step % 4]
        theirs.reset_metrics()  # or it returns the mean of all steps
        mine, other = float(np.ravel(ours.train_on_batch(x, y))[0]), float(np.ravel(theirs.train_on_batch(x, y))[0])
        assert abs(mine - other) < 1e-3 * abs(other), step
