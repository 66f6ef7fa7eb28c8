"""Data sets with Keras's ``load_data()``: Fashion-MNIST, MNIST, CIFAR-10 and -100, the cars and trucks of CIFAR-10, and
some that are drawn on the spot: garments, time series, small videos."""

from __future__ import annotations

from types import ModuleType

from ...errors import InvalidArgument, nearest, shown
from . import car_truck, cifar10, cifar100, cylinder_bell_funnel, fashion_mnist, fashion_sketch, mnist, motion_sketch

__all__ = [
    "BY_NAME",
    "by_name",
    "car_truck",
    "cifar10",
    "cifar100",
    "cylinder_bell_funnel",
    "fashion_mnist",
    "fashion_sketch",
    "mnist",
    "motion_sketch",
]

BY_NAME: dict[str, ModuleType] = {
    "fashion-mnist": fashion_mnist,
    "mnist": mnist,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "car-truck": car_truck,
    "fashion-sketch": fashion_sketch,
    "cylinder-bell-funnel": cylinder_bell_funnel,
    "motion-sketch": motion_sketch,
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
