"""``--augment``: how training images are changed at random, and what of it suits each data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from ..errors import InvalidArgument, nearest, shown

USUAL = "usual"  # what the option means without a value


@dataclass(frozen=True)
class Kind:
    """One kind of change.

    Attributes
    ----------
    words : str
        What is done, with a place for the strength.
    make : callable
        ``make(strength, filling)`` gives the arguments of the layer: its class's name, then its own; `filling` says
        what moves in from beyond the border.
    usual, most : float
        The strength where none is given, and the largest. Both are 0 where there is nothing to choose.
    of_images : bool
        Whether it is for images alone.
    """

    words: str
    make: Callable[[float, dict[str, Any]], tuple[str, tuple[Any, ...], dict[str, Any]]]
    usual: float = 0.0
    most: float = 0.0
    of_images: bool = True


IN_RANGE = {"value_range": (0, 1)}

KINDS = {
    "flip": Kind("mirrored left to right", lambda s, fill: ("RandomFlip", ("horizontal",), {})),
    "vertical-flip": Kind("mirrored top to bottom", lambda s, fill: ("RandomFlip", ("vertical",), {})),
    "shift": Kind("moved by up to {:g} of their size", lambda s, fill: ("RandomTranslation", (s, s), fill), 0.1, 1),
    "rotation": Kind("turned by up to {:g} degrees", lambda s, fill: ("RandomRotation", (s / 360,), fill), 10, 180),
    "zoom": Kind("scaled by up to {:g}", lambda s, fill: ("RandomZoom", (s,), fill), 0.1, 0.9),
    "contrast": Kind("contrast changed by up to {:g}", lambda s, fill: ("RandomContrast", (s,), IN_RANGE), 0.2, 1),
    "brightness": Kind("lighter or darker by up to {:g}", lambda s, fill: ("RandomBrightness", (s,), IN_RANGE), 0.2, 1),
    "noise": Kind("noise of {:g} added", lambda s, fill: ("GaussianNoise", (s,), {}), 0.05, 1, of_images=False),
}  # fmt: skip

#: What leaves a sample in its class: no digit is mirrored, no motion turned round.
SUITED = {
    "fashion-mnist": "flip,shift=0.05",
    "mnist": "shift=0.07,rotation=8,zoom=0.08",
    "cifar10": "flip,shift=0.125",  # four pixels, as the paper of resnet-20 has it
    "cifar100": "flip,shift=0.125",
    "car-truck": "flip,shift=0.1",
    "fashion-sketch": "flip,shift=0.05",
    "cylinder-bell-funnel": "noise=0.3",
    "motion-sketch": "noise=0.03",
    None: "flip,rotation=5,zoom=0.1",  # folders of one's own images
}


class Augmentations(click.ParamType):
    """Names of kinds, with commas between them, each with a strength if wanted: they come back in one spelling."""

    name = "augmentations"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == USUAL:
            return value
        try:
            return written([_read(word) for word in str(value).split(",")])
        except InvalidArgument as error:
            self.fail(str(error), param, ctx)


def suited(given: str | None, dataset: str | None) -> str | None:
    """What is meant by the option: of "usual" that which suits the data set."""
    return SUITED[dataset] if given == USUAL else given


def written(chosen: list[tuple[str, float]]) -> str:
    """Kinds and strengths in one spelling.

    >>> written([("flip", 0.0), ("shift", 0.10)])
    'flip,shift=0.1'
    """
    names = [name for name, _ in chosen]
    for name in names:
        if names.count(name) > 1:
            raise InvalidArgument(f"{name} is named {names.count(name)} times; once will do")
    return ",".join(f"{name}={strength:g}" if KINDS[name].most else name for name, strength in chosen)


def layers(text: str, images: Any) -> list[Any]:
    """The layers that change samples such as these, (N, ...) from 0 to 1, in the order of the names."""
    from .. import nn
    from .images import ground

    colour = ground(images) if images.ndim == 4 else None
    filling = {"fill_mode": "reflect"} if colour is None else {"fill_mode": "constant", "fill_value": colour}
    made = []
    for name, strength in _chosen(text):
        kind, given, options = KINDS[name].make(strength, filling)
        made.append(getattr(nn.layers, kind)(*given, **options))
    return made


def check(text: str | None, samples: str) -> None:
    """Refuse what is for images where the samples are something else."""
    for name, _ in [] if text is None or samples == "images" else _chosen(text):
        if KINDS[name].of_images:
            others = ", ".join(name for name, kind in KINDS.items() if not kind.of_images)
            raise InvalidArgument(
                f"--augment {name} is for images, but these are {samples}; for them there is: {others}"
            )


def in_words(text: str) -> str:
    """What is done to the training images.

    >>> in_words("flip,rotation=8")
    'Training images are changed at random: mirrored left to right, turned by up to 8 degrees'
    """
    done = ", ".join(KINDS[name].words.format(strength) for name, strength in _chosen(text))
    return f"Training images are changed at random: {done}"


def _chosen(text: str) -> list[tuple[str, float]]:
    return [_read(word) for word in text.split(",")]


def _read(word: str) -> tuple[str, float]:
    """A kind and its strength."""
    name, sign, number = (part.strip() for part in word.partition("="))
    if name not in KINDS:
        raise InvalidArgument(f"{shown(name)} is not one of {', '.join(KINDS)}{nearest(name, KINDS)}")
    kind = KINDS[name]
    if not sign:
        return name, kind.usual
    if not kind.most:
        raise InvalidArgument(f"{name} has no strength; write {name} alone")
    try:
        strength = float(number)
    except ValueError:
        strength = -1.0
    if not 0 < strength <= kind.most:
        raise InvalidArgument(
            f"the strength of {name} is {shown(number)}; expected a number above 0, at most {kind.most:g}, such as "
            f"{name}={kind.usual:g}"
        )
    return name, strength
