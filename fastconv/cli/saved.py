"""A training's folder as what it holds: the network, its test images, its figures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataUnavailable, InvalidArgument, nearest, quoted, shown
from ..files import brief
from ..nn import datasets
from ..nn.models import model_from_json
from ..nn.utils import image_dataset_from_directory
from ..show import Labelled, Subject
from . import inputs
from .artifacts import HISTORY, NETWORK, RECORD, WEIGHTS


class SavedRun:
    """A run that ``fastconv train`` left behind.

    Parameters
    ----------
    path : Path
        Its folder.
    data_dir : Path, optional
        Folder of the data files, where the run's data set is not found by itself.

    Raises
    ------
    InvalidArgument
        There is no run.
    DataUnavailable
        Its record is damaged.
    """

    def __init__(self, path: Path, data_dir: Path | None = None) -> None:
        self.path, self._data_dir = path, data_dir
        if not (path / RECORD).exists():
            raise InvalidArgument(f"{brief(path)} holds no {RECORD}: give the folder that fastconv train saved in")
        self.record = self._read(RECORD)
        network: Any = self.record.get("network")
        try:
            self.shape: tuple[int, ...] = tuple(int(n) for n in network["input_shape"])
            self.names: tuple[str, ...] = tuple(str(name) for name in network["classes"])
        except (KeyError, TypeError, ValueError):
            raise self._damaged(RECORD, "it names no network") from None

    @property
    def background(self) -> float | None:
        """How bright the background of the training images was."""
        value = self.record["network"].get("background")
        return float(value) if isinstance(value, (int, float)) else None

    @property
    def dataset(self) -> str:
        """The name of the run's data set."""
        name = self.record.get("arguments", {}).get("dataset")
        if name not in datasets.BY_NAME:
            raise self._damaged(RECORD, f"its data set is {shown(name)}")
        return str(name)

    @cached_property
    def model(self) -> Any:
        """The network with the weights that the run ended with, compiled."""
        for name in (NETWORK, WEIGHTS):
            if not (self.path / name).exists():
                raise InvalidArgument(f"{brief(self.path)} holds no {name}: the run has not saved its network yet")
        try:
            model = model_from_json((self.path / NETWORK).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, InvalidArgument) as error:
            raise self._damaged(NETWORK, f"it describes no network ({quoted(error)})") from error
        model.load_weights(self.path / WEIGHTS)
        model.compile(loss="categorical_crossentropy", metrics=["accuracy"])
        return model

    @cached_property
    def test(self) -> Labelled:
        """The run's own test images."""
        arguments = self.record.get("arguments", {})
        if not arguments.get("folder"):
            return self.labelled(self.dataset)
        x, y = inputs.load({**arguments, "folder": Path(arguments["folder"])}).test
        return Labelled(x, y.argmax(axis=1), self.names)

    def labelled(self, dataset: str) -> Labelled:
        """The test images of a data set, which must be such as the network takes."""
        module = datasets.by_name(dataset)
        _, (x, y) = module.load_data(data_dir=self._data_dir)
        if len(module.CLASS_NAMES) != len(self.names):
            raise InvalidArgument(
                f"{dataset} has {len(module.CLASS_NAMES)} classes but the network of {brief(self.path)} knows "
                f"{len(self.names)}; give a data set with its classes"
            )
        images = inputs.scaled(x, len(self.shape))
        if images.shape[1:] != self.shape:
            raise InvalidArgument(
                f"{dataset} has images {images.shape[1:]} but the network of {brief(self.path)} takes {self.shape}"
            )
        return Labelled(images, y.reshape(-1).astype(np.int64), self.names)

    def folder(self, path: Path) -> Labelled:
        """Image files in folders that are named after classes of the network."""
        if len(self.shape) != 3 or self.shape[2] not in (1, 3):
            raise InvalidArgument(f"the network of {brief(self.path)} takes {self.shape}, which image files are not")
        made = image_dataset_from_directory(
            path, color_mode="grayscale" if self.shape[2] == 1 else "rgb", image_size=self.shape[:2], shuffle=False,
            verbose=False,
        )  # fmt: skip
        for name in made.class_names:
            if name not in self.names:
                raise InvalidArgument(
                    f"{brief(path / name)} is no class of the network{nearest(name, self.names)}; its classes are "
                    f"{', '.join(self.names)}"
                )
        x, y = made.arrays()
        labels = np.array([self.names.index(name) for name in made.class_names])[y]
        return Labelled(x.astype(np.float32) / np.float32(255), labels, self.names)

    @cached_property
    def history(self) -> Mapping[str, Sequence[float]]:
        """The figures of each epoch."""
        held = self._read(HISTORY)
        try:
            return {n: [math.nan if v is None else float(v) for v in values] for n, values in held.items()}
        except (TypeError, ValueError):
            raise self._damaged(HISTORY, "it does not hold lists of numbers") from None

    def subject(self) -> Subject:
        """What pictures of this run show; data are loaded when a picture needs them."""
        return _RunSubject(self)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            data = json.loads((self.path / name).read_bytes())
        except (ValueError, RecursionError):
            raise self._damaged(name, "it is no JSON") from None
        except OSError as error:
            raise self._damaged(name, f"it cannot be read: {error.strerror}") from error
        if not isinstance(data, dict):
            raise self._damaged(name, "it is no JSON object")
        return data

    def _damaged(self, name: str, found: str) -> DataUnavailable:
        return DataUnavailable(f"{brief(self.path / name)} is damaged: {found}; train again")


class _RunSubject(Subject):
    """A run in place of the lectures' example."""

    def __init__(self, run: SavedRun) -> None:
        super().__init__(given_model=run.model)
        self._run = run

    @property
    def labelled(self) -> Labelled:
        return self._run.test

    @property
    def history(self) -> Mapping[str, Sequence[float]]:
        return self._run.history
