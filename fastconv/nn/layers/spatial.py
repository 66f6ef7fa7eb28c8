"""What layers over one, two or three spatial axes share: the number of these axes, and where the channels are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...spec import LAYOUTS
from .. import arguments
from .base import Layer, Shape
from .sizes import check_axes, known_axis, known_size

DATA_FORMATS = ("channels_last", "channels_first")


class Spatial(Layer):
    """Base of these layers; a class says its `rank`, and what else tells it from its family, in its head."""

    rank = 2

    def __init_subclass__(cls, **attributes: Any) -> None:
        super().__init_subclass__()
        for name, value in attributes.items():
            setattr(cls, name, value)

    def __init__(self, data_format: str | None = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.channels_last = parse_data_format(self, data_format)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if not (self.channels_last and "data_format" in self.extensions):
            config["data_format"] = DATA_FORMATS[not self.channels_last]
        for name in ("padding", "cropping"):  # a pair for each axis; of one axis Keras wants the pair alone
            if self.rank == 1 and isinstance(config.get(name), tuple):
                (config[name],) = config[name]
        return config

    @property
    def layout(self) -> str:
        """The layout's name in `fastconv`'s functions."""
        return LAYOUTS[self.rank][self.channels_last]

    def _image(self, input_shape: Shape) -> tuple[int, ...]:
        """The shape of one image; its axes must be those of the layer."""
        return known_size(self, input_shape, self.rank + 2, self._takes())

    def _takes(self) -> str:
        """What an input must be, in words."""
        return f"{self.rank} spatial axes beside batch and channels"

    def _channels(self, input_shape: Shape) -> int:
        """The number of channels of an input."""
        check_axes(self, input_shape, self.rank + 2, self._takes())
        return known_axis(self, input_shape, -1 if self.channels_last else 1)

    def _arranged(self, channels: int, size: Sequence[int]) -> Shape:
        """A batch's shape from channels and spatial size."""
        return (None, *size, channels) if self.channels_last else (None, channels, *size)


def parse_data_format(layer: Layer, data_format: Any) -> bool:
    """True for channels-last, which None means too."""
    if data_format is None:
        return True
    return arguments.choice(layer, "data_format", data_format, DATA_FORMATS) == "channels_last"


def parse_border(layer: Layer, padding: Any, known: Sequence[str] = ("valid", "same")) -> str:
    """A border by its name, in whatever case."""
    return arguments.choice(layer, "padding", padding.lower() if isinstance(padding, str) else padding, known)
