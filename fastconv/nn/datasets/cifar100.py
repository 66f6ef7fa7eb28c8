"""CIFAR-100: 50,000 + 10,000 colour 32x32 pictures of a hundred things in twenty groups (Krizhevsky, 2009: see
`cifar10`)."""

from __future__ import annotations

import os

from .. import arguments
from . import cifar, locate
from .files import Split
from .sources import CIFAR100 as SOURCE

BATCHES = ("train.bin", "test.bin")
#: Keras's names for the two kinds of labels, and their place among an image's.
MODES = {"coarse": 0, "fine": 1}

_FINE = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
    man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
    pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
_COARSE = """
    aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
    household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes
    large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees
    vehicles_1 vehicles_2
"""
CLASS_NAMES, COARSE_NAMES = tuple(_FINE.split()), tuple(_COARSE.split())


def load_data(label_mode: str = "fine", data_dir: str | os.PathLike[str] | None = None) -> tuple[Split, Split]:
    """Load CIFAR-100 in its original order, in Keras's shapes.

    Parameters
    ----------
    label_mode : {"fine", "coarse"}
        Whether labels are those of the hundred classes, `CLASS_NAMES`, or of the twenty groups, `COARSE_NAMES`.
    data_dir : path, optional
        Folder that holds ``train.bin`` and ``test.bin``, the pickles ``train`` and ``test``, or the official archive of
        either; or a folder ``cifar100``, ``cifar-100-binary`` or ``cifar-100-python`` with them. Without it they are
        looked for in $FASTCONV_DATA and the cache folder, then the official archive (169 MB) is downloaded to the cache
        folder.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : arrays of uint8
        Images (50000, 32, 32, 3) and (10000, 32, 32, 3), red green blue; labels (50000, 1) and (10000, 1).

    Raises
    ------
    DataUnavailable
        The files are nowhere to be had, or one of them is damaged. Of pickles no code is run.
    InvalidArgument
        There is no such label_mode.

    Examples
    --------
    >>> from fastconv.nn.datasets import cifar100
    >>> (x_train, y_train), (x_test, y_test) = cifar100.load_data()  # doctest: +SKIP
    >>> cifar100.CLASS_NAMES[y_train[0, 0]]  # doctest: +SKIP
    'cattle'
    """
    which = MODES[arguments.choice("load_data", "label_mode", label_mode, tuple(MODES))]
    files = locate.find(SOURCE, data_dir)
    (x, y), (x_test, y_test) = cifar.read_batches(list(files.values()), BATCHES, cifar.CIFAR100)
    return (x, y[:, which, None]), (x_test, y_test[:, which, None])
