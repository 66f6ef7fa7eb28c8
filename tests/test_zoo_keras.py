"""Every network of the zoo beside Keras's of the same layers and weights, where Keras is installed: 200 steps.

Keras computes products and means of float64 arrays in float32, for to it the two together are float32
(`dtypes.result_type`): dense layers differ by 5e-8 then, moments by 2e-6. For the comparison in float64 that is mended.
"""

import numpy as np
import pytest
import zoo_training as z

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # Keras's own warnings


@pytest.fixture
def keras_in(request, monkeypatch):
    keras = pytest.importorskip("keras")
    keras.config.set_floatx(request.param)
    if request.param == "float64":
        backend = keras.src.backend
        usual = backend.result_type
        for place in (backend, backend.common.dtypes):
            monkeypatch.setattr(
                place, "result_type", lambda *given: "float64" if "float64" in str(given) else usual(*given)
            )
    yield keras, request.param
    keras.config.set_floatx("float32")


def kerass(keras, model, name, dtype):
    """Keras's losses, from the same weights; those of `model` are not touched."""
    theirs = keras.models.model_from_json(model.to_json())
    theirs.set_weights(model.get_weights())
    theirs.compile(keras.optimizers.SGD(z.rate_of(name, dtype), momentum=z.MOMENTUM), z.loss_of(name))
    found, compute_loss = [], theirs.compute_loss

    def noted(x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if training:  # and not before the first step, on symbols
            found.append(z.loss_by_hand(name, np.asarray(y), y_pred.detach().numpy()))
        return compute_loss(x, y, y_pred, sample_weight, training=training)

    theirs.compute_loss = noted
    for x, y in z.batches(name, dtype):
        try:
            theirs.train_on_batch(x, y)
        except RuntimeError as error:  # of Keras's autoencoder in float64, on PyTorch
            if "must be contiguous" not in str(error):
                raise
            pytest.skip(f"PyTorch: {error}")
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
