"""The programs in examples/ with Keras in place of fastconv, where it is installed: they run and give the same numbers.

Only the import lines are changed. What is random by design is made the same on both sides from outside of the programs:
initial weights are drawn here, batches come in the order of the arrays, and layers that augment pass images on.

Rounding grows while a network learns, wherever a relu or a maximum changes sides: of `skip_connections`, in float64, a
change of the initial weights by 1e-9 becomes 4e-2 of the loss in 60 steps of Adam, one of 1e-10 stays below 1e-8. Keras
computes Adam's factors and the numbers of normalisation in float32, a relative 1e-7. So the first epoch is compared
closely, and those behind it within a few times what was seen.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from test_examples import REACHED

from fastconv import nn
from fastconv.nn.pictures.folders import ImageFolder

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # Keras's own warnings

EXAMPLES = Path(__file__).parent.parent / "examples"
IMPORTS = {
    "from fastconv import nn as keras": "import keras",
    "from fastconv.autograd import no_grad": "from torch import no_grad",
}
AUGMENTING = ("RandomFlip", "RandomTranslation")

PROGRAMS = sorted(REACHED)

#: The largest relative difference of any epoch's values where it is not below 1e-3, a few times what was seen.
GROWN = {"autoencoder": 0.05, "image_classifier": 0.1, "segmentation_unet": 0.2, "skip_connections": 0.06}


def drawn(shape):
    """Glorot's initial weights: by the shape alone, for Keras builds layers inside of layers more than once."""
    rng, area = np.random.default_rng(shape), int(np.prod(shape[:-2]))
    limit = np.sqrt(6 / (area * (shape[-2] + shape[-1])))
    return rng.uniform(-limit, limit, shape)


def in_order(fit, told):
    def wrapped(self, *args, **keywords):
        history = fit(self, *args, **{**keywords, "shuffle": False})
        told.append({key: np.asarray(values) for key, values in history.history.items()})
        return history

    return wrapped


def run(name, keras, patch, capsys):
    """What a program trains and prints."""
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    if keras is not nn:
        for ours, theirs in IMPORTS.items():
            text = re.sub(f"^{re.escape(ours)}$", theirs, text, flags=re.M)
        assert "fastconv" not in text
        patch.setattr(keras.utils, "image_dataset_from_directory", folders_for(keras))
    as_weight = np.asarray if keras is nn else keras.ops.convert_to_tensor
    patch.setattr(
        keras.initializers.GlorotUniform,
        "__call__",
        lambda self, shape, dtype="float32", **_: as_weight(drawn(tuple(shape)), dtype),
    )
    told = []
    patch.setattr(keras.Model, "fit", in_order(keras.Model.fit, told))
    patch.setattr(ImageFolder, "on_epoch_end", lambda self: None)  # which draws another order
    for layer in AUGMENTING:
        patch.setattr(getattr(keras.layers, layer), "call", lambda self, x, training=False: x)
    exec(compile(text, f"{name}.py", "exec"), {"__name__": "__main__"})
    return told, numbers(capsys.readouterr().out)


def folders_for(keras):
    """fastconv's reader of folders as what Keras can train on: its own needs TensorFlow."""

    class Batches(keras.utils.PyDataset):
        def __init__(self, folder):
            super().__init__()
            self.folder = folder

        def __len__(self):
            return len(self.folder)

        def __getitem__(self, index):
            return self.folder[index]

    return lambda *args, **keywords: [
        Batches(found) for found in nn.utils.image_dataset_from_directory(*args, **keywords)
    ]


def numbers(printed):
    """The numbers of the lines that a program prints itself."""
    lines = [line for line in printed.splitlines() if not re.search(r"━|─|/step|params|Epoch \d+/", line)]
    return [float(number) for line in lines for number in re.findall(r"\d+\.\d+", line)]


@pytest.mark.parametrize("name", PROGRAMS)
def test_numbers_are_kerass(name, monkeypatch, capsys):
    keras = pytest.importorskip("keras")
    with monkeypatch.context() as patch:
        ours, printed = run(name, nn, patch, capsys)
    with monkeypatch.context() as patch:
        theirs, expected = run(name, keras, patch, capsys)
    print(printed, expected)
    allowed = GROWN.get(name, 1e-3)
    for mine, other in zip(ours, theirs, strict=True):
        assert set(mine) == set(other)
        for key, values in other.items():
            difference = abs(mine[key] - values) / abs(values).clip(1e-3)
            print(key, difference)
            assert difference[0] < (1e-3 if "loss" in key else 0.01) and np.all(difference < allowed)
    assert printed and printed == pytest.approx(expected, abs=2e-3, rel=allowed)
