"""Every network of the zoo beside the same one in torch.nn, where PyTorch is installed: 200 steps, same weights."""

import numpy as np
import pytest
import zoo_training as z

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # PyTorch's own warnings


def torchs(model, name, dtype):
    """PyTorch's losses, from the same weights; those of `model` are not touched."""
    torch = pytest.importorskip("torch")
    import zoo_torch

    network = zoo_torch.NETWORKS[name](model.input_shape[-1], z.CLASSES, **z.options_of(name)).to(getattr(torch, dtype))
    for parameter, weight in zip(network.parameters(), model.trainable_weights, strict=True):
        parameter.data = torch.tensor(zoo_torch.channels_first(weight.numpy(), parameter.shape, weight.name))
    loss_of = zoo_torch.LOSSES[z.loss_of(name)]
    optimizer = torch.optim.SGD(network.parameters(), z.rate_of(name, dtype), momentum=z.MOMENTUM)
    found = []
    for x, y in z.batches(name, dtype):
        x, y = (torch.tensor(np.moveaxis(a, -1, 1).copy() if a.ndim > 1 else a) for a in (x, y))
        optimizer.zero_grad()
        loss = loss_of(network(x), y)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return np.array(found)


@pytest.mark.parametrize("name", z.NETWORKS)
@pytest.mark.parametrize("dtype", z.TOLERANCES)
def test_losses_are_pytorchs(name, dtype):
    model = z.made(name, dtype)
    expected = torchs(model, name, dtype)
    found = z.losses(model, name, dtype)
    print(name, dtype, expected[0], expected[-1], z.worst(found, expected))
    assert z.worst(found, expected) < z.TOLERANCES[dtype]
