"""The names of things in `fastconv.nn`: looked up with one message for every kind, and made of names of classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...errors import InvalidArgument, nearest, shown


def find(kind: str, name: Any, known: Mapping[str, Any]) -> Any:
    """``known[name]``, or an `InvalidArgument` that lists what is known.

    Examples
    --------
    >>> find("optimizer", "sdg", {"sgd": 1, "adam": 2})
    Traceback (most recent call last):
        ...
    fastconv.errors.InvalidArgument: unknown optimizer 'sdg'; did you mean 'sgd'? Known: adam, sgd
    """
    if isinstance(name, str) and name in known:
        return known[name]
    hint = nearest(name, known) or "."
    raise InvalidArgument(f"unknown {kind} {shown(name)}{hint} Known: {', '.join(sorted(known))}")


def snake_case(name: str) -> str:
    """Keras's name for what a class makes.

    >>> snake_case("MaxPooling2D"), snake_case("Conv2DTranspose"), snake_case("TopKCategoricalAccuracy")
    ('max_pooling2d', 'conv2d_transpose', 'top_k_categorical_accuracy')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def camel_case(name: str) -> str:
    """Keras's name for the class of what a function does.

    >>> camel_case("log_softmax"), camel_case("relu6")
    ('LogSoftmax', 'Relu6')
    """
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def by_snake_case(*kinds: Any) -> dict[str, Any]:
    """Classes by their names in snake case, functions by their own."""
    return {snake_case(kind.__name__): kind for kind in kinds}
