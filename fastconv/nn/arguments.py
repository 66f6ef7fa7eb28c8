"""The arguments of everything in `fastconv.nn`, declared and checked in one way.

Each function takes who was called (an object, a function's name, or None where many may be), the argument's name and
its value, and returns the value in its plain form. What does not fit is one `InvalidArgument`, such as
"`Adam`: epsilon is nan; expected a finite number of at least 0".
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..errors import InvalidArgument, nearest, quoted, shown
from ..ops._reading import refuse_mask
from ..spec.arguments import MOST, MOST_AXES, index_of
from .basics.names import find

REAL = "iuf"  # kinds of dtypes that are real numbers
MANY = 1000  # bounds beyond are told only to who passed them
LARGEST = MOST - 1  # of sizes: numbers of filters, of classes, of pixels


def wrong(owner: Any, name: str, value: Any, expected: str) -> InvalidArgument:
    """The error for an argument that does not fit."""
    return InvalidArgument(f"{called(owner)}{name} is {shown(value)}; expected {expected}")


def called(owner: Any) -> str:
    """How a message begins: with the function, or the class of the object, that was called, if it is known."""
    if owner is None:
        return ""
    return f"`{owner if isinstance(owner, str) else type(owner).__name__}`: "


def whole(owner: Any, name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """A whole number within bounds; not a boolean, and not a float.

    Examples
    --------
    >>> whole("Dense", "units", np.int8(3), least=1)
    3
    >>> whole("Dense", "units", 2.5, least=1)
    Traceback (most recent call last):
        ...
    fastconv.errors.InvalidArgument: `Dense`: units is 2.5; expected a whole number of at least 1
    """
    number = index_of(value)
    if number is not None and most is not None and number > most > MANY:
        raise wrong(owner, name, value, f"a whole number of at most {most:,}")
    if number is None or (least is not None and number < least) or (most is not None and number > most):
        raise wrong(owner, name, value, f"a whole number{_range(least, most if most is None or most < MANY else None)}")
    return number


def size(owner: Any, name: str, value: Any) -> int:
    """A whole number of at least 1 that an axis of an array can have."""
    return whole(owner, name, value, 1, LARGEST)


def real(
    owner: Any,
    name: str,
    value: Any,
    least: float | None = None,
    most: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
    finite: bool = True,
    note: str = "",
) -> float:
    """A number within bounds; NaN never is, and infinity only where `finite` is False. `note` says what else may be.

    Examples
    --------
    >>> real("SGD", "momentum", 0.9, 0, 1)
    0.9
    >>> real("Dropout", "rate", 1, 0, below=1)
    Traceback (most recent call last):
        ...
    fastconv.errors.InvalidArgument: `Dropout`: rate is 1; expected a number from 0 up to, but not including, 1
    """
    number = _float(value)
    fits = (
        number is not None
        and not math.isnan(number)
        and (math.isfinite(number) or not finite)
        and (least is None or number >= least)
        and (most is None or number <= most)
        and (above is None or number > above)
        and (below is None or number < below)
    )
    if number is None or not fits:
        kind = "a number" if not finite or most is not None or below is not None else "a finite number"
        raise wrong(owner, name, value, f"{kind}{_range(least, most, above, below)}{note}")
    return number + 0.0  # -0.0 is 0.0: NumPy's generators take it for a negative number


def flag(owner: Any, name: str, value: Any) -> bool:
    """True or False; 1 and 0 mean the same."""
    if isinstance(value, (bool, np.bool_)) or index_of(value) in (0, 1):
        return bool(value)
    raise wrong(owner, name, value, "True or False")


def verbosity(owner: Any, value: Any) -> int:
    """How much is printed: 0, 1 or 2, or a flag."""
    number = int(value) if isinstance(value, (bool, np.bool_)) else index_of(value)
    if number not in (0, 1, 2):
        raise wrong(owner, "verbose", value, "0, 1 or 2")
    return number


def choice(owner: Any, name: str, value: Any, known: Sequence[str]) -> str:
    """One of a few words.

    Examples
    --------
    >>> choice("Conv2D", "padding", "smae", ("valid", "same"))
    Traceback (most recent call last):
        ...
    fastconv.errors.InvalidArgument: `Conv2D`: padding is 'smae'; expected 'valid' or 'same'; did you mean 'same'?
    """
    if isinstance(value, str) and value in known:
        return value
    *others, last = map(repr, known)
    expected = f"{', '.join(others)} or {last}" if others else last
    raise wrong(owner, name, value, expected + nearest(value, known))


def text(owner: Any, name: str, value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise wrong(owner, name, value, "a string")
    return value


def path(owner: Any, name: str, value: Any) -> Path:
    """A path: a string, or what ``os.fspath`` makes one of."""
    try:
        given = os.fspath(value)
    except TypeError:
        given = b""
    if not isinstance(given, str) or "\0" in given:
        raise wrong(owner, name, value, "a path")
    return Path(given)


def function(owner: Any, name: str, value: Any, parameters: Sequence[str]) -> Callable[..., Any]:
    """Something that can be called with as many positional arguments as `parameters` names.

    Examples
    --------
    >>> function("compile", "loss", lambda y: y, ("y_true", "y_pred"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    fastconv.errors.InvalidArgument: `compile`: loss is <function <lambda> at ...>; expected a function (y_true, y_pred)
    """
    if not callable(value) or not takes(value, len(parameters)):
        raise wrong(owner, name, value, f"a function ({', '.join(parameters)})")
    return value


def takes(function: Callable[..., Any], count: int, if_unknown: bool = True) -> bool:
    """Whether a function can be called with `count` positional arguments; `if_unknown` where it does not tell."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of some built-in functions
        return if_unknown
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def result_of(owner: Any, name: str, function: Callable[..., Any], *given: Any) -> Any:
    """What a user's function returns; that it cannot be called so is said as of any argument.

    What is raised inside of it is the user's own.
    """
    try:
        return function(*given)
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # no line of it was run
            raise InvalidArgument(
                f"{called(owner)}{name} {shown(function)} cannot be called: {quoted(error)}"
            ) from error
        raise


def of_weights(kind: str, identifier: Any, known: Mapping[str, Any]) -> Any:
    """What is done to weights, a "constraint" or a "regularizer": None, or a function of one by its name or itself."""
    owner = f"{kind}s.get"
    if identifier is None:
        return None
    if isinstance(identifier, type) and takes(identifier, 0):
        identifier = result_of(owner, "identifier", identifier)
    if callable(identifier):
        return function(owner, "identifier", identifier, ("w",))
    return find(kind, identifier, known)()


def items(owner: Any, name: str, value: Any, expected: str) -> list[Any]:
    """The elements of a list, a tuple or any other series; text is none."""
    if isinstance(value, (str, bytes, bytearray, Mapping)):
        raise wrong(owner, name, value, expected)
    try:
        iterator = iter(value)
    except Exception:  # nothing that has elements, an array without an axis, or whatever somebody's class raises
        raise wrong(owner, name, value, expected) from None
    return list(iterator)


def shape(owner: Any, name: str, value: Any, expected: str, least: int = 1) -> tuple[int, ...]:
    """A tuple of sizes; one whole number is a tuple of one."""
    numbers = [index_of(value)]
    if numbers[0] is None:
        numbers = [index_of(item) for item in items(owner, name, value, expected)]
    if len(numbers) > MOST_AXES or any(n is None or not least <= n <= LARGEST for n in numbers):
        raise wrong(owner, name, value, expected)
    return tuple(n for n in numbers if n is not None)


def per_axis(owner: Any, name: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """A whole number for each of `rank` spatial axes, or one for all."""
    several = isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim == 1)
    given = list(value) if several else [value] * rank
    numbers = [n for n in map(index_of, given) if n is not None and least <= n <= LARGEST]
    if not len(numbers) == len(given) == rank:
        each = f", or {rank} of them" if rank > 1 else ""
        raise wrong(owner, name, value, f"a whole number of at least {least}{each}")
    return tuple(numbers)


def axis(owner: Any, name: str, value: Any) -> int:
    """The number of an axis, from the front or, below 0, from the back."""
    return whole(owner, name, value, -MOST_AXES, MOST_AXES - 1)


def axes(owner: Any, name: str, value: Any) -> int | tuple[int, ...] | None:
    """One axis, a tuple of them, or None for all."""
    if value is None:
        return None
    if isinstance(value, (tuple, list)):
        return tuple(axis(owner, name, item) for item in value)
    return axis(owner, name, value)


def check_axes(owner: Any, name: str, value: int | tuple[int, ...] | None, shape: Sequence[Any]) -> None:
    """`value`, of `axis` or `axes`, must name axes that an array of `shape` has, each once."""
    chosen = value if isinstance(value, tuple) else () if value is None else (value,)
    ndim = len(shape)
    if any(not -ndim <= a < ndim for a in chosen) or len({a % ndim for a in chosen}) < len(chosen):
        raise InvalidArgument(f"{called(owner)}{name} is {value}; the array has shape {tuple(shape)}")


def numbers(owner: Any, name: str, value: Any) -> Any:
    """Finite numbers in an array of float64, or one by itself."""
    found = np.asarray(host_array(owner, name, value), np.float64)
    if not np.isfinite(found).all():
        raise wrong(owner, name, value, "finite numbers")
    return found if found.ndim else float(found)


def interval(owner: Any, name: str, value: Any, least: float, most: float) -> tuple[float, float]:
    """Two numbers in order, of two, or of one that means so much in both directions, within bounds."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise wrong(owner, name, value, "a number or two, the bounds of what is drawn")
        low, high = sorted(real(owner, name, v, least, most) for v in value)
        return low, high
    size = abs(real(owner, name, value, least, most))
    return max(-size, least), size


def dtype(owner: Any, name: str, value: Any, kinds: str = REAL) -> np.dtype:
    """A dtype of real numbers, or what a policy computes in."""
    try:
        found = np.dtype(getattr(value, "compute_dtype", value))
    except Exception:  # NumPy raises what its parts raise
        found = None
    if value is None or found is None or found.kind not in kinds:
        raise wrong(owner, name, value, "a dtype of real numbers, such as 'float32'")
    return found


def tensor(owner: Any, name: str, value: Any) -> Tensor:
    """A tensor of real numbers, of anything that is an array, a number or a list of these, on whatever device."""
    if isinstance(value, Tensor) or hasattr(type(value), "__fastconv_operation__"):  # a symbolic one
        return value
    refuse_mask(value, name)
    try:
        found = Tensor(np.asarray(value) if isinstance(value, (list, tuple)) else value)
    except InvalidArgument:
        raise
    except (ValueError, TypeError) as error:  # lists of different lengths, most often
        raise InvalidArgument(
            f"{called(owner)}{name} is {shown(value)}, which cannot be read as an array; all items must have the same "
            f"shape ({quoted(error)})"
        ) from error
    if found.dtype.kind not in REAL + "b" and found.dtype.name != "bfloat16":
        raise InvalidArgument(
            f"{called(owner)}{name} has shape {found.shape} and dtype {found.dtype}; expected an array of numbers"
        )
    return found


def array(owner: Any, name: str, value: Any) -> Any:
    """An array of real numbers; a GPU's stays there."""
    return tensor(owner, name, value).data


def host_array(owner: Any, name: str, value: Any) -> np.ndarray:
    """An array of real numbers on the host."""
    if type(value) is np.ndarray and value.dtype.kind in REAL + "b":
        return value
    return tensor(owner, name, value).numpy()


def _float(value: Any) -> float | None:
    """A real number as a float, None for anything else."""
    if isinstance(value, (bool, str, bytes, bytearray, complex)):
        return None
    try:
        if getattr(value, "shape", ()) != () or getattr(getattr(value, "dtype", None), "kind", "f") not in REAL:
            return None
        return float(value)
    except Exception:  # no number, or one that no float can be
        return None


def _range(least: float | None, most: float | None, above: float | None = None, below: float | None = None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    if least is not None and below is not None:
        return f" from {least} up to, but not including, {below}"
    if least is not None:
        return f" of at least {least}"
    lower = "" if above is None else f" above {above}"
    upper = f" of at most {most}" if most is not None else "" if below is None else f" below {below}"
    return f"{lower} and{upper}" if lower and upper else lower + upper
