"""Keras's names for files of whole models, and for classes of one's own in them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InvalidArgument, quoted
from ..files import brief, write_file
from . import arguments
from .configs import (
    custom_object_scope,
    deserialize,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize,
    without_compilation,
)
from .files.checkpoints import assign, check_fit, put_state, state_arrays
from .formats import archive, legacy, weights
from .formats.named import Arrays

serialize_keras_object, deserialize_keras_object = serialize, deserialize
CustomObjectScope = custom_object_scope

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "register_keras_serializable",
    "save_model",
    "serialize_keras_object",
]


def save_model(model: Any, filepath: Any, overwrite: bool = True, include_optimizer: bool = True) -> None:
    """``model.save(filepath)``: see there."""
    path, model = _checked_path("save_model", filepath), _checked_model("save_model", model)
    model._must_be_built()
    if not arguments.flag("save_model", "overwrite", overwrite) and path.exists():
        raise InvalidArgument(f"{brief(path)} is there already; pass overwrite=True to replace it")
    is_whole = arguments.flag("save_model", "include_optimizer", include_optimizer)
    described = serialize(model) if is_whole else architecture(model)
    state = state_arrays(model) if is_whole and model.optimizer is not None else None
    if path.suffix == weights.MODEL:
        config, data = json.dumps(described), weights.packed(model, state)
        write_file(path, lambda file: archive.write(file, config, data))
    else:
        data = weights.packed_model(model, described, state)
        write_file(path, lambda file: file.write(data))


def architecture(model: Any) -> dict[str, Any]:
    """The configuration of a model's layers, without how it is compiled: losses and rates may be any functions."""
    with without_compilation():
        described: dict[str, Any] = serialize(model)
    return described


def load_model(filepath: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True) -> Any:
    """Read a whole model, ours or Keras's: its layers, weights, and where its training was.

    Parameters
    ----------
    filepath : path
        Ends with .keras, or with .h5 or .hdf5 for Keras's older layout, that of Keras 2 included.
    custom_objects : dict, optional
        Classes and functions of one's own, by their names; or register them with `register_keras_serializable`.
    compile : bool
        Whether to compile the model as it was, with the optimizer's state.
    safe_mode : bool
        Code in a file is never run, so True is the only value that there is.

    Returns
    -------
    Sequential or another model

    Raises
    ------
    InvalidArgument
        The file needs classes or functions that are not known: all of them are named. Or it holds what fastconv cannot
        do: the message names the layer and the argument.
    DataUnavailable
        It does not exist or is damaged.
    MissingExtra
        The package h5py is not installed.

    Examples
    --------
    >>> from fastconv import nn as keras
    >>> model = keras.models.load_model("model.keras")  # doctest: +SKIP
    """
    path, source = _checked_path("load_model", filepath), brief(filepath)
    compile = arguments.flag("load_model", "compile", compile)
    if not arguments.flag("load_model", "safe_mode", safe_mode):
        raise InvalidArgument("safe_mode is False, but code in a file is never run; pass functions as custom_objects")
    with weights.opened(path, "model") as file:
        if path.suffix == weights.MODEL:
            config, data = archive.read(file, source)
        else:
            data = file.read()
            config = legacy.config(io.BytesIO(data), source)
    if not isinstance(config, Mapping):
        raise InvalidArgument(f"{source} holds no configuration of a model")
    model = _made(config if compile else {**config, "compile_config": None}, custom_objects, source)
    is_compiled = compile and model.optimizer is not None
    arrays, state = weights.unpacked(
        io.BytesIO(data), model, lambda headers: check_fit(model, headers, source), source, is_compiled
    )
    _put(model, arrays, state if is_compiled else {}, source)
    return model


def _made(config: Mapping[str, Any], custom_objects: Any, source: str) -> Any:
    try:
        model = deserialize(config, custom_objects, family="models")
    except (
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RecursionError,
    ) as error:  # parts that are missing or others
        raise InvalidArgument(
            f"{source}: the configuration of the model cannot be read ({type(error).__name__}: {quoted(error)})"
        ) from error
    if not hasattr(model, "layers"):
        raise InvalidArgument(f"{source} holds a {type(model).__name__}, which is no model")
    return model


def _put(model: Any, arrays: Arrays, state: Arrays, source: str) -> None:
    """Give a new model its weights and, where the file has that, the state of its training."""
    if not state:
        assign(model, arrays, source)
        return
    now = {"generators": state_arrays(model)["generators"]}
    put_state(model, {**now, **{f"weights/{name}": array for name, array in arrays.items()}, **state}, source)


def model_from_json(json_string: str, custom_objects: Any = None) -> Any:
    """The model that `to_json` has described, ours or Keras's, with new weights; compiled if the text says how.

    Parameters
    ----------
    json_string : str
    custom_objects : dict, optional
        Classes and functions of one's own, by their names.

    Raises
    ------
    InvalidArgument
        The text is no JSON, or needs what is not known: all of it is named.
    """
    try:
        config = json.loads(arguments.text("model_from_json", "json_string", json_string))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidArgument(f"`model_from_json`: the text is no JSON: {quoted(error)}") from error
    if not isinstance(config, Mapping):
        raise InvalidArgument("`model_from_json`: the text describes no model; expected what to_json gives")
    return _made(config, custom_objects, "the text")


def clone_model(model: Any, input_tensors: Any = None, clone_function: Any = None) -> Any:
    """A model of the same layers, with new weights and not compiled.

    Parameters
    ----------
    model : Sequential or another model
    clone_function : callable, optional
        Gets each layer of a `Sequential` and returns the one that takes its place in the clone.

    Examples
    --------
    >>> from fastconv import nn as keras
    >>> model = keras.Sequential([keras.layers.Dense(2, input_shape=(3,))])
    >>> clone_model(model).layers[0].units
    2
    """
    model = _checked_model("clone_model", model)
    if input_tensors is not None:
        raise InvalidArgument("clone_model: input_tensors cannot be given; call the clone on them instead")
    with without_compilation():
        config = {**model.get_config()}
    if clone_function is None:
        return type(model).from_config(config)
    clone_function = arguments.function("clone_model", "clone_function", clone_function, ("layer",))
    declared = [layer for layer in config["layers"] if layer["class_name"] == "InputLayer"]
    made = type(model).from_config({**config, "layers": declared})
    for layer in model.layers:
        made.add(arguments.result_of("clone_model", "clone_function", clone_function, layer))
    return made


def _checked_model(owner: str, model: Any) -> Any:
    if not hasattr(model, "get_config") or not hasattr(model, "layers"):
        raise arguments.wrong(owner, "model", model, "a model, such as fastconv.nn.Sequential")
    return model


def _checked_path(owner: str, filepath: Any) -> Path:
    path = arguments.path(owner, "filepath", filepath)
    if not weights.can_hold_model(path):
        advice = "; such a file holds weights: see model.load_weights" if path.name.endswith(weights.SUFFIXES) else ""
        raise arguments.wrong(owner, "filepath", str(path), "a name that ends with .keras or .h5" + advice)
    return path
