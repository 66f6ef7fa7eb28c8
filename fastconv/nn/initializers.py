"""Initial weights. An initializer is called with a shape and, where it scales with them, fan-in and fan-out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from ..memory import check_room
from . import arguments
from .basics import seeding
from .basics.names import by_snake_case, find
from .configs import Configured, resolved

Fans = tuple[float, float]
FANS = {"fan_in": 0, "fan_out": 1, "fan_avg": 2}
FURTHEST = 1e300  # of the ends of an interval, so that its length is a finite number


class Initializer(Configured):
    """Base of all initializers: ``initializer(shape)`` returns an array.

    Parameters
    ----------
    seed : int, optional
        Makes this initializer repeatable by itself; without one it draws from the model's generator.
    """

    family = "initializers"
    fixed = {"input_axes": None, "output_axes": None}

    def __init__(self, seed: int | None = None) -> None:
        self.seed = None if seed is None else arguments.whole(self, "seed", seed, 0)

    def __call__(
        self, shape: Any, dtype: Any = "float32", *, rng: np.random.Generator | None = None, fans: Fans | None = None
    ) -> np.ndarray:
        """An array of initial values; `fans` defaults to what the shape says for a kernel (..., in, out)."""
        if self.seed is not None:
            rng = seeding.make_generator(self.seed, self)
        if rng is not None and not isinstance(rng, np.random.Generator):
            raise arguments.wrong(self, "rng", rng, "a numpy.random.Generator")
        dtype = arguments.dtype(self, "dtype", dtype)
        shape = arguments.shape(self, "shape", shape, "a tuple of whole numbers", least=0)
        check_room(8 * math.prod(shape), f"a weight of shape {shown(shape)}, made in float64,")
        fans = kernel_fans(shape) if fans is None else self._both(fans)
        return self.fill(shape, rng or seeding.generator(), fans).astype(dtype)

    def _both(self, fans: Any) -> Fans:
        """Fan-in and fan-out that were given, checked."""
        expected = "fan-in and fan-out, two numbers"
        given = arguments.items(self, "fans", fans, expected)
        if len(given) != 2:
            raise arguments.wrong(self, "fans", fans, expected)
        return arguments.real(self, "fans", given[0], 0), arguments.real(self, "fans", given[1], 0)

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator, fans: Fans) -> np.ndarray:
        """Values in float64; what subclasses define."""
        raise NotImplementedError


def kernel_fans(shape: tuple[int, ...]) -> Fans:
    """Fan-in and fan-out of a kernel (..., in, out): channels times taps."""
    if len(shape) < 2:
        return (float(shape[0]),) * 2 if shape else (1.0, 1.0)
    taps = math.prod(shape[:-2])
    return float(taps * shape[-2]), float(taps * shape[-1])


class Constant(Initializer):
    """The same number everywhere."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.value = arguments.real(self, "value", value)

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator, fans: Fans) -> np.ndarray:
        return np.full(shape, self.value, np.float64)


class Zeros(Constant):
    """All 0."""

    def __init__(self) -> None:
        super().__init__(0.0)


class Ones(Constant):
    """All 1."""

    def __init__(self) -> None:
        super().__init__(1.0)


class Identity(Initializer):
    """`gain` times the identity: for matrices alone."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = arguments.real(self, "gain", gain)

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator, fans: Fans) -> np.ndarray:
        if len(shape) != 2:
            raise InvalidArgument(f"`Identity`: shape is {shape}; expected that of a matrix")
        return self.gain * np.eye(*shape)


class RandomNormal(Initializer):
    """Normal distribution."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = arguments.real(self, "mean", mean), arguments.real(self, "stddev", stddev, 0)

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator, fans: Fans) -> np.ndarray:
        return rng.normal(self.mean, self.stddev, shape)


class TruncatedNormal(RandomNormal):
    """Normal distribution without what lies more than two standard deviations away."""

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator, fans: Fans) -> np.ndarray:
        return self.mean + self.stddev * _truncated(shape, rng)


class RandomUniform(Initializer):
    """Uniform distribution."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval = arguments.real(self, "minval", minval, -FURTHEST, FURTHEST)
        self.maxval = arguments.real(self, "maxval", maxval, self.minval, FURTHEST)

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator, fans: Fans) -> np.ndarray:
        return rng.uniform(self.minval, self.maxval, shape)


class VarianceScaling(Initializer):
    """Variance scale/fan, so that signals keep their size from layer to layer (Glorot & Bengio 2010, He et al. 2015).

    Parameters
    ----------
    scale : float
    mode : {"fan_in", "fan_out", "fan_avg"}
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
    seed : int, optional

    Examples
    --------
    >>> w = VarianceScaling(2.0, "fan_in", "uniform", seed=1)((3, 3, 8, 4))
    >>> w.shape, bool(abs(w.std() - (2 / 72) ** 0.5) < 0.02)
    ((3, 3, 8, 4), True)
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        find("mode", mode, FANS)
        self.mode = mode
        find("distribution", distribution, {"truncated_normal": 0, "untruncated_normal": 0, "uniform": 0})
        self.scale, self.distribution = arguments.real(self, "scale", scale, above=0), distribution

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator, fans: Fans) -> np.ndarray:
        variance = self.scale / max(1.0, (*fans, sum(fans) / 2)[FANS[self.mode]])
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return rng.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return rng.normal(0, math.sqrt(variance), shape)
        return _truncated(shape, rng) * (math.sqrt(variance) / 0.87962566103423978)  # its own standard deviation


class Orthogonal(Initializer):
    """`gain` times a matrix of orthonormal columns, or rows if they are fewer (Saxe et al. 2014, arXiv:1312.6120).

    All axes but the last are taken for one: a kernel (KH, KW, in, out) is a matrix (KH*KW*in, out).

    Parameters
    ----------
    gain : float
    seed : int, optional

    Examples
    --------
    >>> w = Orthogonal(seed=1)((3, 3, 2, 4), "float64").reshape(18, 4)
    >>> (w.T @ w).round(6).tolist() == np.eye(4).tolist()
    True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = arguments.real(self, "gain", gain)

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator, fans: Fans) -> np.ndarray:
        if len(shape) < 2:
            raise InvalidArgument(f"`Orthogonal`: shape is {shape}; expected two axes at least")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q *= np.sign(np.diagonal(r))  # so that all of them are equally likely
        return self.gain * np.reshape(q if rows >= columns else q.T, shape)


def _truncated(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    values = rng.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = rng.standard_normal(int(outside.sum()))
    return values


def _scaled(name: str, scale: float, mode: str, distribution: str) -> type[VarianceScaling]:
    def __init__(self: VarianceScaling, seed: int | None = None) -> None:
        VarianceScaling.__init__(self, scale, mode, distribution, seed)

    doc = f"`VarianceScaling` with scale {scale:g}, mode {mode!r} and distribution {distribution!r}."
    return type(name, (VarianceScaling,), {"__init__": __init__, "__doc__": doc, "__module__": __name__})


GlorotUniform = _scaled("GlorotUniform", 1.0, "fan_avg", "uniform")
GlorotNormal = _scaled("GlorotNormal", 1.0, "fan_avg", "truncated_normal")
HeUniform = _scaled("HeUniform", 2.0, "fan_in", "uniform")
HeNormal = _scaled("HeNormal", 2.0, "fan_in", "truncated_normal")
LecunUniform = _scaled("LecunUniform", 1.0, "fan_in", "uniform")
LecunNormal = _scaled("LecunNormal", 1.0, "fan_in", "truncated_normal")

glorot_uniform, glorot_normal = GlorotUniform, GlorotNormal
he_uniform, he_normal = HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal
zeros, ones, constant = Zeros, Ones, Constant
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
orthogonal, identity, variance_scaling = Orthogonal, Identity, VarianceScaling

KNOWN = by_snake_case(
    Zeros, Ones, Constant, RandomNormal, RandomUniform, TruncatedNormal,
    GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal, VarianceScaling, Orthogonal, Identity,
) | {"zero": Zeros, "one": Ones, "normal": RandomNormal, "uniform": RandomUniform}  # fmt: skip


def get(identifier: Any) -> Any:
    """An initializer from a name, a class, or anything callable with a shape."""
    identifier = resolved(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if callable(identifier):
        return arguments.function("initializers.get", "identifier", identifier, ("shape",))
    return find("initializer", identifier, KNOWN)()
