"""The programs in examples/ with Keras in place of fastconv, where it is installed: they run and give the same numbers.

Only the import lines are changed. What is random by design is made the same on both sides from outside of the programs:
initial weights are drawn here, batches come in the order of the arrays, and layers that augment pass images on.

Training lets rounding grow, by how much depends on the program: it is measured by running fastconv's side once more
from weights that are changed by their last bit, and what differs from Keras has to be of that size.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from test_examples import REACHED

from fastconv import nn
from fastconv.nn.folders import ImageFolder

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # Keras's own warnings

EXAMPLES = Path(__file__).parent.parent / "examples"
IMPORTS = {
    "from fastconv import nn as keras": "import keras",
    "from fastconv.autograd import no_grad": "from torch import no_grad",
}
AUGMENTING = ("RandomFlip", "RandomTranslation")

PROGRAMS = sorted(REACHED)
ULP = 2.0**-23
SPREAD = 30  # by how much more the rounding of every step may differ than that of the initial weights


def drawn(shape, change):
    """Glorot's initial weights: by the shape alone, for Keras builds layers inside of layers more than once."""
    rng, area = np.random.default_rng(shape), int(np.prod(shape[:-2]))
    limit = np.sqrt(6 / (area * (shape[-2] + shape[-1])))
    return rng.uniform(-limit, limit, shape) * (1 + change * rng.choice([-1, 1], shape))


def in_order(fit, told):
    def wrapped(self, *args, **keywords):
        history = fit(self, *args, **{**keywords, "shuffle": False})
        told.append({key: np.asarray(values) for key, values in history.history.items()})
        return history

    return wrapped


def run(name, keras, patch, capsys, change=0.0):
    """What a program trains and prints, from initial weights times 1 +- change."""
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
        lambda self, shape, dtype="float32", **_: as_weight(drawn(tuple(shape), change), dtype),
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


def growth(histories, others):
    """The largest relative difference of any value up to each epoch, one row for all that a program trains."""
    rows = []
    for mine, other in zip(histories, others, strict=True):
        assert set(mine) == set(other) and all(len(mine[key]) == len(other[key]) for key in mine)
        of_keys = [abs(mine[key] - other[key]) / abs(other[key]).clip(1e-3) for key in mine]
        rows.append(np.maximum.accumulate(np.max(of_keys, axis=0)))
    return rows


@pytest.mark.parametrize("name", PROGRAMS)
def test_numbers_are_kerass(name, monkeypatch, capsys):
    keras = pytest.importorskip("keras")
    runs = []
    for how in ((nn,), (nn, ULP), (keras,)):
        with monkeypatch.context() as patch:
            runs.append(run(name, how[0], patch, capsys, *how[1:]))
    (ours, printed), (changed, printed_changed), (theirs, expected) = runs
    rounding, difference = growth(changed, ours), growth(ours, theirs)
    print(name, rounding, difference, printed, printed_changed, expected, sep="\n")
    for mine, allowed in zip(difference, rounding, strict=True):
        assert mine[0] < 1e-3 + SPREAD * allowed[0]
        assert np.all(mine < 1e-4 + SPREAD * allowed)
    share = max((float(row[-1]) for row in rounding), default=0.0)
    assert printed and printed == pytest.approx(expected, abs=2e-3, rel=SPREAD * share)
