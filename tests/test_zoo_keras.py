"""Every network of the zoo beside Keras's of the same layers and weights, where Keras is installed: 200 steps."""

import numpy as np
import pytest
import zoo_training as z

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # Keras's own warnings


@pytest.fixture
def keras_in(request):
    keras = pytest.importorskip("keras")
    keras.config.set_floatx(request.param)
    yield keras, request.param
    keras.config.set_floatx("float32")


def kerass(keras, model, name, dtype):
    """Keras's losses, from the same weights; those of `model` are not touched."""
    theirs = keras.models.model_from_json(model.to_json())
    theirs.set_weights(model.get_weights())
    theirs.compile(keras.optimizers.SGD(z.rate_of(name, dtype), momentum=z.MOMENTUM), z.loss_of(name))
    found, compute_loss = [], theirs.compute_loss

    def noted(*batch, training=True):  # what train_on_batch returns went through float32
        loss = compute_loss(*batch, training=training)
        if training:  # and not before the first step, on symbols
            found.append(float(loss.detach()))
        return loss

    theirs.compute_loss = noted
    for x, y in z.batches(name, dtype):
        theirs.train_on_batch(x, y)
    return np.array(found)


@pytest.mark.parametrize("name", z.NETWORKS)
@pytest.mark.parametrize("keras_in", z.TOLERANCES, indirect=True)
def test_losses_are_kerass(name, keras_in):
    keras, dtype = keras_in
    model = z.made(name, dtype)
    expected = kerass(keras, model, name, dtype)
    found = z.losses(model, name, dtype)
    print(name, dtype, expected[0], expected[-1], z.worst(found, expected))
    assert z.worst(found, expected) < z.TOLERANCES[dtype]
