"""Objects that remember the arguments they were made with, and so can be described and made again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, ClassVar, NamedTuple, TypeVar

from ...errors import InvalidArgument, nearest, shown
from . import registry
from .objects import Config, deserialize, serialize_or_keep

Self = TypeVar("Self", bound="Configured")


class Configured:
    """Base of layers, initializers, losses, ...: `get_config` and `from_config` by the arguments of `__init__`.

    An argument is what it is now where fastconv's own class keeps it in an attribute of its name, else what was given.

    Notes
    -----
    A class says in its head what differs from that: `family`, the name of Keras's module for it; `aliases`, arguments
    that are other names of others, or that it passes to its base by itself, and that are left out; `extensions`, those
    that Keras lacks, which are written only where they are not the default; `fixed`, Keras's arguments that have one
    possible value here; `settable`, attributes that may be set where a class of one's own does not take them.
    """

    family: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    extensions: ClassVar[tuple[str, ...]] = ()
    fixed: ClassVar[Mapping[str, Any]] = {}
    settable: ClassVar[tuple[str, ...]] = ()
    _given: tuple[tuple[Any, ...], Config]

    def __new__(cls: type[Self], *places: Any, **keywords: Any) -> Self:
        self = super().__new__(cls)
        vars(self)["_given"] = places, keywords
        return self

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if cls.family and cls.__module__.startswith("fastconv.nn.") and not cls.__name__.startswith("_"):
            registry.enter(cls.family, cls)

    def get_config(self) -> Config:
        """The arguments that make such an object again, as JSON can hold them.

        Examples
        --------
        >>> from fastconv import nn as keras
        >>> keras.initializers.RandomNormal(stddev=0.1).get_config()
        {'mean': 0.0, 'stddev': 0.1, 'seed': None}
        """
        kind = type(self)
        given, extensions = _bound(kind, *vars(self).get("_given", ((), {}))), _all(kind, "extensions")
        config: Config = {n: getattr(self, n) for n in self.settable if n not in _all(kind, "aliases")}
        for name, argument in parameters_of(kind).items():
            value = given.get(name, argument.default)
            if argument.is_ours and hasattr(self, name):
                value = getattr(self, name)
            if name not in extensions or not _same(value, argument.default):
                config[name] = value
        return {name: serialize_or_keep(value) for name, value in config.items()}

    @classmethod
    def from_config(cls: type[Self], config: Config) -> Self:
        """Make what `get_config` has described, ours or Keras's.

        Raises
        ------
        InvalidArgument
            It has an argument that the class does not take, or cannot do.
        """
        if not isinstance(config, Mapping):
            raise InvalidArgument(f"the configuration of {cls.__name__} is {shown(config)}; expected a dict")
        takes, anything = {*parameters_of(cls), *_all(cls, "aliases")}, _takes_anything(cls)
        given: Config = {key: deserialize(value) for key, value in config.items()}
        later = {key: given.pop(key) for key in cls.settable if key in given and not (key in takes or anything)}
        for key in [key for key in given if not (key in takes or (anything and not _is_ours(cls)))]:
            if (value := given.pop(key)) is not None and value is not False:  # not an option of a version that is off
                refuse_others(cls, {key: value})
        made = cls(**given)
        for key, value in later.items():
            setattr(made, key, value)
        return made


def refuse_others(kind: type[Configured], others: Mapping[str, Any]) -> None:
    """Arguments that a class does not take must have the one value, if there is one, that says what it does anyhow."""
    fixed = {k: v for each in reversed(kind.__mro__) for k, v in vars(each).get("fixed", {}).items()}
    for key, value in others.items():
        if key not in fixed:
            hint = nearest(key, parameters_of(kind)) or "."
            known = ", ".join(parameters_of(kind))
            raise InvalidArgument(f"`{kind.__name__}` has no argument {shown(key)}{hint} It takes {known}")
        if not _same(value, fixed[key]):
            raise InvalidArgument(
                f"`{kind.__name__}`: {key} is {shown(value)}, which fastconv cannot do; leave it {fixed[key]!r}"
            )


class Argument(NamedTuple):
    """An argument of a constructor: its default, and whether a class of fastconv names it."""

    default: Any
    is_ours: bool


def parameters_of(kind: type) -> dict[str, Argument]:
    """The arguments that make an object of a class, those that its bases take as ``**keywords`` included."""
    found: dict[str, Argument] = {}
    for each, signature in _constructors(kind):
        for p in signature:
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
                found.setdefault(p.name, Argument(None if p.default is p.empty else p.default, _is_ours(each)))
    return {name: argument for name, argument in found.items() if name not in _all(kind, "aliases")}


def _constructors(kind: type) -> Iterable[tuple[type, list[inspect.Parameter]]]:
    """The constructors that keywords reach, each with its parameters but `self`."""
    for each in kind.__mro__:
        init = vars(each).get("__init__")
        if init is None or each is object:
            continue
        signature = list(inspect.signature(init).parameters.values())[1:]
        yield each, signature
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature):
            return


def _takes_anything(kind: type) -> bool:
    *_, (_, last) = [(None, []), *_constructors(kind)]
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in last)


def _bound(kind: type, places: tuple[Any, ...], keywords: dict[str, Any]) -> Config:
    """What was given, by name."""
    first = next(iter(_constructors(kind)), (kind, []))[1]
    names = [p.name for p in first if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return {**dict(zip(names, places, strict=False)), **keywords}


def _all(kind: type, attribute: str) -> tuple[str, ...]:
    """What a class and its bases say in their heads, together."""
    return tuple(name for each in kind.__mro__ for name in vars(each).get(attribute, ()))


def _is_ours(kind: type) -> bool:
    return kind.__module__.startswith("fastconv.nn.")


def _same(value: Any, other: Any) -> bool:
    """Whether two arguments say the same; arrays do never."""
    same = value == other
    return isinstance(same, bool) and same


def recorded(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method, such as `compile`, whose arguments are kept once it has returned, in ``_recorded``."""
    signature = inspect.signature(method)

    @wraps(method)
    def recording(self: Any, *places: Any, **keywords: Any) -> Any:
        result = method(self, *places, **keywords)
        given = signature.bind(self, *places, **keywords)
        given.apply_defaults()
        self._recorded = dict(list(given.arguments.items())[1:])
        return result

    return recording
