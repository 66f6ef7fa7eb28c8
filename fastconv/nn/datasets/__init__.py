"""Data sets with Keras's ``load_data()``: Fashion-MNIST, MNIST, the cars and trucks of CIFAR-10, and drawn garments."""

from __future__ import annotations

from types import ModuleType

from ...errors import InvalidArgument, nearest, shown
from . import car_truck, fashion_mnist, fashion_sketch, mnist

__all__ = ["BY_NAME", "by_name", "car_truck", "fashion_mnist", "fashion_sketch", "mnist"]

BY_NAME: dict[str, ModuleType] = {
    "fashion-mnist": fashion_mnist,
    "mnist": mnist,
    "car-truck": car_truck,
    "fashion-sketch": fashion_sketch,
}


def by_name(name: str) -> ModuleType:
    """The module of a data set, with `load_data` and `CLASS_NAMES`, by the name the command line uses.

    Examples
    --------
    >>> from fastconv.nn import datasets
    >>> datasets.by_name("car-truck").CLASS_NAMES
    ('automobile', 'truck')
    """
    if isinstance(name, str) and name in BY_NAME:
        return BY_NAME[name]
    hint = nearest(name, BY_NAME)
    raise InvalidArgument(f"data set {shown(name)} is not known; expected one of {', '.join(BY_NAME)}{hint}")
