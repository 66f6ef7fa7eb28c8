"""What pictures show: a model, images with labels, a training's history; examples in place of what is not given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from ..nn.metrics import confusion_matrix
from . import examples
from .examples import Labelled
from .still_life import still_life


@dataclass
class Subject:
    """What pictures are asked to show; the rest is the lectures' network, trained for seconds on drawn garments.

    Parameters
    ----------
    given_model : Sequential, optional
    data : Labelled, optional
        Images that the model has not been trained on.
    given_image : ndarray, optional
        For feature maps: the shape of the model's input without the batch.
    given_photograph : ndarray, optional
        Grey, (H, W), in [0, 1].
    given_history : mapping of lists, optional
    """

    given_model: Any = None
    data: Labelled | None = None
    given_image: np.ndarray | None = None
    given_photograph: np.ndarray | None = None
    given_history: Mapping[str, Sequence[float]] | None = None

    @property
    def model(self) -> Any:
        """The network."""
        return examples.trained()[0] if self.given_model is None else self.given_model

    @property
    def models(self) -> list[Any]:
        """The network; without one the lectures' two, with pools and without."""
        if self.given_model is not None:
            return [self.given_model]
        return [examples.three_convolutions(pooled) for pooled in (True, False)]

    @property
    def labelled(self) -> Labelled:
        """Images with labels, for the network."""
        if self.data is not None:
            return self.data
        if self.given_model is not None:
            raise InvalidArgument("this picture shows images with labels; give those that the model is meant for")
        return examples.garments()

    @property
    def images(self) -> np.ndarray:
        """Images of the test."""
        return self.labelled.images

    @property
    def labels(self) -> np.ndarray:
        """Their classes."""
        return self.labelled.labels

    @property
    def names(self) -> Sequence[str]:
        """The names of the classes."""
        return self.labelled.names

    @property
    def image(self) -> np.ndarray:
        """One image for the network."""
        return self.images[0] if self.given_image is None else self.given_image

    @property
    def backdrop(self) -> np.ndarray | None:
        """An image to draw frames on, where there is one of grey or three colours."""
        if self.given_image is None and self.given_model is not None and self.data is None:
            return None
        image = self.image
        return image if image.ndim == 3 and image.shape[-1] in (1, 3) else None

    @property
    def photograph(self) -> np.ndarray:
        """A grey image with edges and curves."""
        return still_life() if self.given_photograph is None else self.given_photograph

    @property
    def history(self) -> Mapping[str, Sequence[float]]:
        """The figures of each epoch."""
        if self.given_history is not None:
            return self.given_history
        if self.given_model is not None:
            raise InvalidArgument("this picture shows a training; give its history")
        return examples.trained()[1]

    @cached_property
    def shares(self) -> np.ndarray:
        """What the network says of each image: rows of probabilities."""
        return np.asarray(self.model.predict(self.images, verbose=0))

    @cached_property
    def counts(self) -> np.ndarray:
        """The confusion matrix."""
        return confusion_matrix(self.labels, self.shares, len(self.names))
