"""Which class or function a name in a configuration means: fastconv's own, those that users registered, and a scope's.

Classes of fastconv enter by themselves when they are defined (`Configured`), under the name of Keras's module that has
them: "layers", "initializers", ... Nothing is looked up by importing what a file names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ...errors import InvalidArgument, nearest, shown
from ...within import Block, Within
from .. import arguments
from ..basics.names import camel_case

Named = TypeVar("Named", bound=Callable[..., Any])
Known = dict[str, dict[str, type]]

BUILT_IN: Known = {}
"""Families (Keras's modules) -> names -> classes."""
REGISTERED: dict[str, Any] = {}
"""What `register_keras_serializable` was given, by its registered name."""
_names: dict[Any, str] = {}


class _Scope(Within):
    objects: Mapping[str, Any] = {}


_scope = _Scope()


MODULES = {"Functional": "keras.src.models.functional", "Sequential": "keras", "DTypePolicy": "keras"}
"""Where Keras has classes that no module named as their family has."""


def enter(family: str, kind: type) -> None:
    """Make a class of fastconv known."""
    BUILT_IN.setdefault(family, {})[name_of(kind)] = kind


OPERATIONS: dict[str, Callable[..., Any]] = {}
"""Keras's functions of tensors by the names that their classes have in files."""
OF_OPERATIONS = "keras.src.ops"
"""The modules of these classes, as files name them."""


def enter_operations(functions: Mapping[str, Callable[..., Any]]) -> None:
    """Make functions of tensors known, by their names."""
    OPERATIONS.update((camel_case(name), function) for name, function in functions.items())


def operation_of(config: Any) -> Callable[..., Any] | None:
    """The function that a configuration means, if it is one of a function."""
    is_one = isinstance(config, Mapping) and str(config.get("module") or "").startswith(OF_OPERATIONS)
    return OPERATIONS.get(config.get("class_name")) if is_one else None


def name_of(kind: type) -> str:
    """What a class is called in configurations: as in Python, where it does not say something else."""
    return vars(kind).get("keras_name", kind.__name__)


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Named], Named]:
    """A decorator for classes and functions of one's own, so that files that name them can be read.

    Parameters
    ----------
    package : str
    name : str, optional
        By default the name of the class or function; it is registered as ``package>name``.

    Examples
    --------
    >>> from fastconv import nn as keras
    >>> @keras.utils.register_keras_serializable(package="lecture")
    ... class Twice(keras.layers.Layer):
    ...     def call(self, x):
    ...         return 2 * x
    >>> keras.utils.get_registered_name(Twice)
    'lecture>Twice'
    """
    package = arguments.text("register_keras_serializable", "package", package)
    if name is not None:
        name = arguments.text("register_keras_serializable", "name", name)

    def register(thing: Named) -> Named:
        if not callable(thing):
            raise arguments.wrong("register_keras_serializable", "the decorated object", thing, "a class or a function")
        if isinstance(thing, type) and not hasattr(thing, "get_config"):
            raise InvalidArgument(
                f"class {thing.__name__[:60]!r} cannot be registered: it has no get_config, which says how to make it "
                "again; derive it from a class of fastconv.nn, or define get_config"
            )
        registered = f"{package}>{name or thing.__name__}"
        REGISTERED[registered] = thing
        _names[thing] = registered
        return thing

    return register


def custom_object_scope(custom_objects: Any) -> Block:
    """Let configurations and names in this ``with`` block mean these classes and functions as well.

    Examples
    --------
    >>> from fastconv import nn as keras
    >>> def cube(x):
    ...     return x**3
    >>> with keras.utils.custom_object_scope({"cube": cube}):
    ...     keras.layers.Activation("cube")([2.0]).numpy()
    array([8.], dtype=float32)
    """
    return _scope.set(objects={**_scope.objects, **checked(custom_objects)})


def checked(custom_objects: Any) -> dict[str, Any]:
    """`custom_objects` as a dict from names to classes and functions."""
    if custom_objects is None:
        return {}
    if not isinstance(custom_objects, Mapping) or not all(
        isinstance(name, str) and callable(thing) for name, thing in custom_objects.items()
    ):
        raise arguments.wrong(None, "custom_objects", custom_objects, "a dict of names and classes or functions")
    return dict(custom_objects)


def get_custom_objects() -> dict[str, Any]:
    """What was registered, by its registered name: a dict that may be changed."""
    return REGISTERED


def get_registered_name(obj: Any) -> str:
    """The name that a class or function is registered under, or its own."""
    return _names.get(obj, obj.__name__) if callable(obj) and hasattr(obj, "__name__") else type(obj).__name__


def get_registered_object(name: Any, custom_objects: Any = None) -> Any:
    """The class or function of a registered name, of `custom_objects` or of the scope; None if there is none."""
    return {**REGISTERED, **_scope.objects, **checked(custom_objects)}.get(name) if isinstance(name, str) else None


def custom(identifier: Any) -> Any:
    """What a name means in the scope, or as a registered one; anything else as it is."""
    found = get_registered_object(identifier)
    return identifier if found is None else found


def module_of(kind: type) -> str:
    """Keras's name for the module that has a class of fastconv, or the module of a class of one's own."""
    for family, kinds in BUILT_IN.items():
        if kinds.get(name_of(kind)) is kind:
            return MODULES.get(name_of(kind), f"keras.{family}")
    return kind.__module__


def class_of(name: str, module: Any = None, registered_name: Any = None, family: str | None = None) -> type | None:
    """The class that a configuration means, None if it is not known."""
    for each in (registered_name, name):
        found = get_registered_object(each)
        if found is not None:
            return found
    if str(module or "").startswith(OF_OPERATIONS):
        return None
    if isinstance(module, str) and not module.startswith("keras"):  # one's own, perhaps registered under another name
        short = [thing for full, thing in REGISTERED.items() if full.rpartition(">")[2] == name]
        return short[-1] if short else None
    families = [f for f in (str(module or "").removeprefix("keras."), family) if f in BUILT_IN and name not in MODULES]
    families = families or list(BUILT_IN)
    return next((BUILT_IN[f][name] for f in families if name in BUILT_IN[f]), None)


def unknown(names: Mapping[str, str]) -> InvalidArgument:
    """The error for classes that are not known, all of them at once: names and what they are."""
    known = {name for kinds in BUILT_IN.values() for name in kinds} | set(REGISTERED) | set(_scope.objects)
    listed = ", ".join(sorted(names))
    hint = nearest(next(iter(names)), known) if len(names) == 1 else ""
    return InvalidArgument(
        f"the configuration needs what fastconv does not know: {shown(listed, 1000)[1:-1]}{hint}; pass classes and "
        "functions of your own as custom_objects={name: class}, or register them with "
        "keras.utils.register_keras_serializable()"
    )
