"""Dtype policies: what dtype a layer's weights have, and what dtype it computes in."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import MissingExtra
from ..foreign import dtype_named
from ..ops.halves import is_floating, is_half
from . import arguments
from .configs import Configured

FLOATX = ("bfloat16", "float16", "float32", "float64")
MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
SINGLE = np.dtype(np.float32)


class DTypePolicy(Configured):
    """What dtype a layer's weights have, and what dtype it computes in.

    Parameters
    ----------
    name : str, optional
        "mixed_float16" or "mixed_bfloat16": weights, and what optimizers keep for them, are float32, and what layers
        compute and keep for gradients has 16 bits. Or the name of one dtype for both. By default the policy that
        `set_dtype_policy` has set.

    Attributes
    ----------
    name, compute_dtype, variable_dtype : str

    Raises
    ------
    InvalidArgument
        There is no such policy.
    MissingExtra
        bfloat16 without the package ml_dtypes.

    Examples
    --------
    >>> policy = DTypePolicy("mixed_float16")
    >>> policy, policy.compute_dtype, policy.variable_dtype
    (<DTypePolicy "mixed_float16">, 'float16', 'float32')
    """

    family = "dtype_policies"

    name: str

    def __init__(self, name: str | None = None) -> None:
        name = str(dtype_policy().name if name is None else arguments.text(self, "name", name))
        computes = MIXED.get(name)
        self.variable = SINGLE if computes else _dtype(self, "name", name)
        self.compute = dtype_named(computes) if computes else self.variable
        self.name = name if computes else self.variable.name

    @property
    def compute_dtype(self) -> str:
        """What layers compute in, and make."""
        return self.compute.name

    @property
    def variable_dtype(self) -> str:
        """What weights have."""
        return self.variable.name

    @property
    def is_mixed(self) -> bool:
        """Whether weights are converted before they are used."""
        return self.compute != self.variable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> Any:
        """Of float16 and bfloat16 too the name says it all."""
        return DTypePolicy, (self.name,)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


class FloatDTypePolicy(DTypePolicy):
    """Another name of `DTypePolicy`, which files have."""


class _Global:
    """What layers are made with that are given no dtype; one setting per process."""

    floatx = "float32"
    policy: DTypePolicy | None = None


_global = _Global()


def get(identifier: Any, owner: Any = None) -> DTypePolicy:
    """A policy from None, the one that is set, its name, a dtype, or a policy or its configuration.

    Examples
    --------
    >>> get("mixed_bfloat16").compute_dtype, get(np.float64).name
    ('bfloat16', 'float64')
    """
    if isinstance(identifier, DTypePolicy):
        return identifier
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, dict) and isinstance(identifier.get("config"), dict):
        identifier = identifier["config"].get("name")
    is_mixed = isinstance(identifier, str) and identifier in MIXED
    return DTypePolicy(identifier if is_mixed else _dtype(owner, "dtype", identifier).name)


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are given no dtype: what `set_dtype_policy` set, else that of `backend.floatx`.

    Examples
    --------
    >>> dtype_policy()
    <DTypePolicy "float32">
    """
    return _global.policy or DTypePolicy(_global.floatx)


def set_dtype_policy(policy: Any) -> None:
    """Set the policy of layers that are made from now on, in the whole process, and are given no dtype.

    Parameters
    ----------
    policy : str or DTypePolicy
        "mixed_bfloat16", ...; None goes back to `backend.floatx`.

    Examples
    --------
    >>> from fastconv import nn as keras
    >>> keras.mixed_precision.set_dtype_policy("mixed_float16")
    >>> layer, last = keras.layers.Dense(8), keras.layers.Dense(2, dtype="float32")
    >>> keras.mixed_precision.set_dtype_policy(None)
    >>> layer.compute_dtype, layer.variable_dtype, last.compute_dtype
    ('float16', 'float32', 'float32')
    >>> layer(np.ones((1, 3))).dtype
    dtype('float16')
    """
    if not isinstance(policy, (str, DTypePolicy, type(None))):
        raise arguments.wrong("set_dtype_policy", "policy", policy, "a policy, or its name such as 'mixed_bfloat16'")
    found = None if policy is None else get(policy, "set_dtype_policy")
    if found is not None and not is_floating(found.compute):
        raise arguments.wrong("set_dtype_policy", "policy", found.name, "one that computes in floating-point numbers")
    _global.policy = found


def floatx() -> str:
    """The dtype of inputs, and of layers, that are given none, where no policy was set.

    Examples
    --------
    >>> floatx()
    'float32'
    """
    return _global.floatx


def set_floatx(value: str) -> None:
    """Set what `floatx` says: "float16", "bfloat16", "float32" or "float64".

    Examples
    --------
    >>> from fastconv import nn as keras
    >>> keras.backend.set_floatx("float64")
    >>> keras.layers.Dense(2)(np.ones((1, 3))).dtype
    dtype('float64')
    >>> keras.backend.set_floatx("float32")
    """
    value = arguments.choice("set_floatx", "value", value, FLOATX)
    dtype_named(value)
    _global.floatx = value


def described(policy: DTypePolicy) -> Any:
    """A policy in configurations, as Keras 3 writes it."""
    config = {"name": policy.name}
    return {"module": "keras", "class_name": "DTypePolicy", "config": config, "registered_name": None}


def of_arrays(dtype: np.dtype) -> np.dtype:
    """The dtype that arrays are read in where one is computed in: float32 for 16 bits, which would round numbers."""
    return SINGLE if is_half(dtype) else dtype


def converts(given: Any, wanted: Any) -> bool:
    """Whether a layer that computes in one dtype converts what it takes: where one of the two has 16 bits.

    What is float64 stays so in a layer of float32.
    """
    return given != wanted and is_floating(given) and (is_half(given) or is_half(wanted))


def _dtype(owner: Any, name: str, value: Any) -> np.dtype:
    """A dtype for weights and results."""
    try:
        found = dtype_named(value) if isinstance(value, str) and value == "bfloat16" else np.dtype(value)
    except MissingExtra:
        raise
    except Exception:  # NumPy raises what its parts raise
        found = None
    if value is None or found is None or not (found.kind in arguments.REAL or is_half(found)):
        mixed = ", ".join(map(repr, MIXED))
        raise arguments.wrong(owner, name, value, f"a dtype of real numbers, such as 'float32', or a policy: {mixed}")
    return found
