"""Objects as configurations, in Keras's form, and back: numbers, text, lists and dicts, which JSON can hold.

An object is ``{"module": ..., "class_name": ..., "config": {...}, "registered_name": ...}``; what is in "config" are
the arguments that make it again. Code is never read from a configuration: functions go by their names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...errors import InvalidArgument, shown
from ...within import Block, Within
from . import registry

Config = dict[str, Any]
PLAIN = (str, int, float, bool, type(None))
DEPTH = 200  # of configurations in configurations
TENSOR = "__keras_tensor__"
"""The class, in configurations, of what a layer of a graph takes."""
_OWN = "fastconv.nn."
_SLICE = ("start", "stop", "step")


class _Told(Within):
    """What is written of models beside their layers."""

    compiled = True


_told = _Told()


class _Shared(Within):
    """Objects that occur several times in what is being read, by their ids in it."""

    objects: dict[Any, Any] | None = None


_shared = _Shared()


def serialize(value: Any) -> Any:
    """A value as JSON can hold it; tuples stay tuples.

    Parameters
    ----------
    value : object
        A number, text, None, an array, a list, tuple or dict of such, a layer, model, initializer, ..., or a function
        with a name.

    Returns
    -------
    object
        The configuration, in Keras's form.

    Raises
    ------
    InvalidArgument
        It is none of these, or a function without a name.

    Examples
    --------
    >>> from fastconv import nn as keras
    >>> serialize(keras.regularizers.L2(0.5))
    {'module': 'keras.regularizers', 'class_name': 'L2', 'config': {'l2': 0.5}, 'registered_name': None}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, (list, tuple)):
        return type(value)(map(serialize, value)) if type(value) in (list, tuple) else list(map(serialize, value))
    if isinstance(value, Mapping):
        return {_key(key): serialize(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return {"class_name": "__numpy__", "config": {"value": value.tolist(), "dtype": value.dtype.name}}
    if isinstance(value, Tensor):
        return {"class_name": "__tensor__", "config": {"value": value.numpy().tolist(), "dtype": value.dtype.name}}
    if isinstance(value, slice):
        return {"class_name": "__slice__", "config": {k: serialize(getattr(value, k)) for k in _SLICE}}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (FunctionType, BuiltinFunctionType, type)):
        return _named(value)
    if hasattr(value, "get_config"):
        return _described(value)
    raise InvalidArgument(
        f"{shown(value)} cannot be written as a configuration; expected numbers, text, lists, or what has get_config"
    )


def without_compilation() -> Block:
    """In this ``with`` block models, also those in others, are written without how they are compiled."""
    return _told.set(compiled=False)


def serialize_or_keep(value: Any) -> Any:
    """`serialize`, or the value itself where that cannot be: whoever writes it to a file will be told."""
    try:
        return serialize(value)
    except InvalidArgument:
        return value


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise InvalidArgument(f"a dict with the key {shown(key)} cannot be written as a configuration; use strings")
    return key


def _named(thing: Any) -> Any:
    """A function, or a class that stands for what it makes, by its name."""
    name = thing.__name__
    if "<" in name or "<" in getattr(thing, "__qualname__", name).rpartition(".<locals>.")[2]:
        raise InvalidArgument(
            f"{shown(thing)} cannot be written as a configuration, for it has no name; write it as a function with "
            "def, and register it with keras.utils.register_keras_serializable()"
        )
    if (thing.__module__ or "").startswith(_OWN):
        return name
    registered = registry.get_registered_name(thing)
    kind = "__class__" if isinstance(thing, type) else "function"
    return {"module": thing.__module__, "class_name": kind, "config": registered, "registered_name": registered}


def _described(value: Any) -> Config:
    """An object with `get_config`."""
    kind = type(value)
    config = value.get_config()
    if not isinstance(config, Mapping):
        raise InvalidArgument(f"get_config of {kind.__name__} returned {shown(config)}; expected a dict")
    module = registry.module_of(kind)
    is_ours = (kind.__module__ or "").startswith(_OWN)
    described: Config = {
        "module": module,
        "class_name": registry.name_of(kind),
        "config": serialize(dict(config)),
        "registered_name": None if is_ours else registry.get_registered_name(kind),
    }
    for name in ("build_config", "compile_config") if _told.compiled else ("build_config",):
        more = getattr(value, f"get_{name}", lambda: None)()
        if more:
            described[name] = serialize(more)
    return described


def deserialize(config: Any, custom_objects: Any = None, family: str | None = None) -> Any:
    """What `serialize` wrote, or Keras.

    Parameters
    ----------
    config : object
    custom_objects : dict, optional
        Classes and functions of one's own, by their names.
    family : str, optional
        Where classes without a module are looked for first: "layers", "losses", ...

    Raises
    ------
    InvalidArgument
        Classes or functions are not known (all are named), or the configuration does not fit them.
    """
    objects = {} if _shared.objects is None else _shared.objects
    with registry.custom_object_scope(custom_objects), _shared.set(objects=objects):
        missing = _missing(config, family, 0)
        if missing:
            raise registry.unknown(missing)
        return _made(config, family)


def resolved(identifier: Any, family: str | None = None) -> Any:
    """What a ``get`` was given, with configurations made into objects, and names of users' own into what they mean."""
    if isinstance(identifier, Mapping) and "class_name" in identifier:
        return deserialize(identifier, family=family)
    return registry.custom(identifier)


def _made(config: Any, family: str | None = None) -> Any:
    if isinstance(config, (list, tuple)):
        return type(config)(_made(item, family) for item in config)
    if not isinstance(config, Mapping):
        return config
    name, inner = config.get("class_name"), config.get("config")
    if not isinstance(name, str) or "config" not in config:
        return {key: _made(value, family) for key, value in config.items()}
    if name in _SPECIAL:
        return _SPECIAL[name](inner)
    if name in ("function", "__class__"):
        found = registry.get_registered_object(config.get("registered_name")) or registry.get_registered_object(inner)
        return inner if found is None else found
    shared = config.get("shared_object_id")
    objects = _shared.objects
    if shared is None or objects is None:
        return _instance(config, name, inner, family)
    if shared not in objects:
        objects[shared] = _instance(config, name, inner, family)
    return objects[shared]


def _instance(config: Mapping[str, Any], name: str, inner: Any, family: str | None) -> Any:
    kind: Any = registry.class_of(name, config.get("module"), config.get("registered_name"), family)
    if not hasattr(kind, "from_config"):  # a function that makes it
        return kind(**_made(inner or {}))
    if not isinstance(inner, Mapping):
        raise InvalidArgument(f"the configuration of {name[:80]} is {shown(inner)}; expected a dict")
    try:
        made = kind.from_config(dict(inner))
    except TypeError as error:
        raise InvalidArgument(
            f"{name[:80]} cannot be made of its configuration {shown(inner)}: {error}; its from_config must take what "
            "get_config returns"
        ) from error
    for part in ("build_config", "compile_config"):
        method = getattr(made, part.replace("config", "from_config"), None)
        if isinstance(config.get(part), Mapping) and config[part] and method is not None:
            method(dict(config[part]))
    return made


def _array(inner: Any) -> np.ndarray:
    try:
        return np.array(inner["value"], inner["dtype"])
    except (TypeError, ValueError, KeyError) as error:
        raise InvalidArgument(f"the configuration holds an array that cannot be read: {error!s:.100}") from error


_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "__numpy__": _array,
    "__tensor__": lambda inner: Tensor(_array(inner)),
    "__slice__": lambda inner: slice(*(inner.get(name) for name in _SLICE)),
    "__ellipsis__": lambda _: ...,
    "__tuple__": tuple,
}
_LATER = (TENSOR,)  # what a graph's configuration reads by itself


def _missing(config: Any, family: str | None, depth: int) -> dict[str, str]:
    """All classes and functions in a configuration that are not known: names and kinds."""
    if depth > DEPTH:
        raise InvalidArgument(f"the configuration has more than {DEPTH} objects within one another")
    if isinstance(config, (list, tuple)):
        return {k: v for item in config for k, v in _missing(item, family, depth + 1).items()}
    if not isinstance(config, Mapping):
        return {}
    name, inner = config.get("class_name"), config.get("config")
    if not isinstance(name, str) or "config" not in config:
        return {k: v for item in config.values() for k, v in _missing(item, None, depth + 1).items()}
    if name in _SPECIAL or name in _LATER:
        return {}
    if name == "__lambda__":
        return {"a lambda, which is code in a file and is not run": "function"}
    if name in ("function", "__class__"):
        return _missing_function(config, inner)
    known = registry.operation_of(config) or registry.class_of(
        name, config.get("module"), config.get("registered_name"), family
    )
    found = {} if known is not None else {name: "class"}
    return found | _missing([inner, config.get("compile_config")], None, depth + 1)


def _missing_function(config: Mapping[str, Any], inner: Any) -> dict[str, str]:
    for name in (config.get("registered_name"), inner):
        if registry.get_registered_object(name) is not None:
            return {}
    module = str(config.get("module") or "")
    return {} if module == "builtins" or module.startswith("keras") else {str(inner)[:80]: "function"}
