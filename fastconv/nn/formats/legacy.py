"""Whole models as Keras wrote them before ``.keras`` files, and still does (``.h5``).

Configurations are text in attributes of the file, weights lie in Keras 2's layout below ``model_weights``, and what the
optimizer keeps below ``optimizer_weights``, in the order of a list of names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from ...errors import InvalidArgument, shown
from ..configs import legacy
from . import hdf5, keras2, variables
from .named import Arrays

CONFIG, TRAINING, OPTIMIZER = "model_config", "training_config", "optimizer_weights"
VERSION = "3.0.0"  # of Keras, which has written such configurations since


def write(root: Any, model: Any, described: Mapping[str, Any], names: Mapping[int, str], state: Arrays | None) -> None:
    """Write a model's configuration, its weights and, if they are given, the arrays of its training."""
    root.attrs["keras_version"], root.attrs["backend"] = VERSION, "fastconv"
    root.attrs[CONFIG] = json.dumps(legacy.model_config(described)).encode()
    keras2.write(root.create_group(keras2.MODEL), model)
    if described.get("compile_config"):
        root.attrs[TRAINING] = json.dumps(legacy.training_config(described["compile_config"])).encode()
    if state is None:
        return
    outer, inner = variables.in_order(model, names, state)
    titled = [(model.optimizer, outer), (variables.inner_of(model.optimizer), inner)]
    keras2.put(root.create_group(OPTIMIZER), {_path(o.name, key): array for o, part in titled for key, array in part})
    variables.write_rest(root, state, outer + inner)


def _path(title: str, key: str) -> str:
    """Where an optimizer's array lies: those of weights by themselves, for a layer may be called anything."""
    name = key.removeprefix(variables.OF_OPTIMIZER)
    return f"{title}/{'weights/' if '/' in name else ''}{name}"


def config(file: IO[bytes], source: str) -> dict[str, Any]:
    """The configuration of a model and of how it is compiled, in the form of ``.keras`` files.

    Raises
    ------
    InvalidArgument
        The file holds weights alone.
    """
    with hdf5.reading(file, source) as root:
        if CONFIG not in root.attrs:
            raise InvalidArgument(
                f"{source} holds weights without the model that has them: build the model, and model.load_weights "
                "takes them from it"
            )
        training = _parsed(root, TRAINING, source) if TRAINING in root.attrs else None
        return legacy.modern(_parsed(root, CONFIG, source), training)


def _parsed(root: Any, name: str, source: str) -> Any:
    try:
        return json.loads(root.attrs[name], object_hook=legacy.untupled)
    except (ValueError, TypeError, RecursionError) as error:
        raise hdf5.damaged(source, f"{name} is no JSON: {shown(error)}") from error


def of_optimizer(root: Any, found: Mapping[str, Any], source: str) -> list[Any]:
    """What the optimizer keeps, in Keras's order."""
    if OPTIMIZER not in root:
        return []
    paths = [f"{OPTIMIZER}/{name}" for name in hdf5.texts(root[OPTIMIZER], keras2.WEIGHTS)]
    missing = [path for path in paths if path not in found]
    if missing:
        raise hdf5.damaged(source, f"{shown(missing[0])} is missing")
    return [found[path] for path in paths]
