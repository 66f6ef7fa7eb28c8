"""The Fourier transform of method "fft": one butterfly for all lanes of a vector, so nothing is ever shuffled.

A *point* is one vector of real parts and one of imaginary parts, `imaginary` elements further on; its lanes are
independent signals (neighbouring columns of an image, or channels). A transform of n points in place,

    X[f] = sum over i of x[i] * exp(-2j*pi*f*i/n)          and back, unscaled:  x[i] = sum over f of X[f] * exp(+...)

runs forward by decimation in frequency and back by decimation in time, with radices 8, 5, 4, 3 and 2. Spectra stay in
the order in which the forward passes leave them (`frequencies` tells it): products of spectra do not care, and no pass
reorders anything.

Cost: about 4 n log2(n) flops a lane. Error: below eps * log2(n) of the largest |X|, typically a third of that.

All passes are one C function per dtype, called by address (see `simd.family`): their lengths and strides are
arguments, so that no size needs code of its own.
Source: Van Loan, "Computational Frameworks for the Fast Fourier Transform" (1992), sections 1.9 (decimation in
frequency) and 2.1 (general radix); Gentleman & Sande (1966).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ...borders import frozen
from ...kept import kept
from ...simd.emit import I64, Emitter
from ...simd.family import Family
from ...simd.host import host
from ...simd.lanes import inlined
from .butterflies import Complex

RADICES = (2, 3, 4, 5, 8)
FORWARD, BACK = 0, 1
CACHE_BYTES = 40 << 10  # points that stay in a core's first-level cache while all passes go over them
_HEAD = 3  # numbers that begin a table: its passes, how many of them go over all points at once, the parts after that
_PASS = 4  # numbers that describe a pass: its function, its butterflies, their repetitions, where its twiddles begin


@dataclass(frozen=True, eq=False)
class Passes:
    """What the compiled transform of `n` points needs: a table of passes and the twiddle factors between them."""

    n: int
    radices: tuple[int, ...]
    table: np.ndarray
    twiddles: np.ndarray


def is_smooth(n: int) -> bool:
    """True where 2, 3 and 5 are all prime factors of n: a length that can be transformed."""
    for prime in (2, 3, 5):
        while n % prime == 0:
            n //= prime
    return n == 1


@kept
def passes(n: int, itemsize: int) -> Passes:
    """The passes of a transform of `n` points, for float32 (4) or float64 (8)."""
    radices = factors(n, host().registers)
    table: list[int] = []
    twiddles: list[np.ndarray] = []
    length, used = n, 0
    for radix in radices:
        m = length // radix
        twiddled = m > 1
        table += [2 * RADICES.index(radix) + twiddled, m, n // length, used]
        if twiddled:
            angles = np.outer(np.arange(m), np.arange(1, radix)) * (-2 * np.pi / length)
            part = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
            twiddles.append(part.reshape(-1))
            used += part.size
        length = m
    factor = np.concatenate([*twiddles, np.ones(1)]).astype(f"f{itemsize}")
    # What the first pass leaves are independent transforms: where all points do not fit in the first-level cache, they
    # are finished one by one.
    large = len(radices) > 2 and 2 * n * host().vector_bytes > CACHE_BYTES
    head = (len(radices), 1, radices[0]) if large else (len(radices), 0, 1)
    return Passes(n, radices, frozen(np.array([*head, *table], np.int64)), frozen(factor))


@lru_cache(maxsize=256)
def factors(n: int, registers: int) -> tuple[int, ...]:
    """Radices of the passes; the last needs no twiddle factors, so the largest comes last."""
    if not is_smooth(n):
        raise ValueError(f"a transform of {n} points; expected no prime factors but 2, 3 and 5")
    found = []
    for odd in (5, 3):
        while n % odd == 0:
            found.append(odd)
            n //= odd
    levels = n.bit_length() - 1
    eights = levels // 3 if registers == 32 else 0  # with 16 registers a butterfly of 8 points would spill
    left = levels - 3 * eights
    if left == 1 and eights:  # 8*2 as 4*4
        eights, left = eights - 1, 4
    found += [2] * (left % 2) + [4] * (left // 2) + [8] * eights
    return tuple(found)


@kept
def frequencies(n: int) -> np.ndarray:
    """The frequency that stands at each position of a spectrum, int64 (n,)."""
    position, frequency, length, step = np.arange(n), np.zeros(n, np.int64), n, 1
    for radix in factors(n, host().registers):
        length //= radix
        frequency += position // length * step
        position, step = position % length, step * radix
    return frozen(frequency)


PASSES = Family(
    "fft",
    "data twiddles m repeats step imaginary",
    elements="data twiddles",
    integers="table",
    kind=range(2 * len(RADICES)),
    back=(FORWARD, BACK),
)
transform_address = PASSES.address


@PASSES.caller
def transform(address, back, table, twiddles, data, data0, count, hop, step, imaginary):
    """Transform `count` sets of lanes in place with the function at `address` (see `transform_address`).

    Point i of set q lies at ``data[data0 + q*hop + i*step:]``, its imaginary parts `imaginary` elements on; `table` and
    `twiddles` are those of `Passes`; `back` is FORWARD or BACK.
    """


@PASSES.member
def _pass(emit: Emitter, arg: Any, kind: int, back: int) -> None:
    """One pass: `m` different butterflies, each with its own twiddle factors, repeated along the array."""
    b, radix, twiddled = emit.builder, RADICES[kind // 2], kind % 2
    distance = b.mul(arg.m, arg.step)
    whole, leg = b.mul(I64(radix), distance), emit.steps(distance, radix)

    def butterfly(j: Any) -> None:
        start = emit.at(arg.data, (j, arg.step))
        factors = _factors(emit, emit.at(arg.twiddles, (j, 2 * (radix - 1))), radix) if twiddled else []

        def once(_: Any, real: Any, other: Any) -> None:
            points = [(emit.load(leg(real, q)), emit.load(leg(other, q))) for q in range(radix)]
            for q, (x, y) in enumerate(_butterfly(emit, points, factors, back)):
                emit.store(x, leg(real, q))
                emit.store(y, leg(other, q))

        emit.repeat(arg.repeats, [], once, along=[(start, whole), (emit.at(start, arg.imaginary), whole)])

    emit.repeat(arg.m, [], butterfly)


def _factors(emit: Emitter, at: Any, radix: int) -> list[Any]:
    """The twiddle factors of a butterfly, real and imaginary parts in every lane."""
    numbers = [emit.broadcast(emit.at(at, i)) for i in range(2 * (radix - 1))]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _butterfly(emit: Emitter, points: list[Any], factors: list[Any], back: int) -> list[Any]:
    """Forward the sums are turned by the twiddle factors, back the points are turned before they are summed."""
    math = Complex(emit, 1 if back == BACK else -1)
    if not factors:
        return math.sums(points)
    if back == BACK:
        return math.sums([points[0], *map(math.turned_back, points[1:], factors)])
    results = math.sums(points)
    return [results[0], *map(math.turned, results[1:], factors)]


_call_pass = PASSES.switch()


@PASSES.entry
def _transform(back, table, twiddles, data, count, hop, step, imaginary):
    number, whole, parts = table[0], table[1], table[2]
    leg = table[_HEAD + 1] * step if parts > 1 else 0
    for q in range(count):
        if back == FORWARD:
            for i in range(whole):
                _run_pass(i, 1, back, table, twiddles, data, q * hop, step, imaginary)
        for part in range(parts):
            for i in range(whole, number):
                j = number - 1 - i + whole if back == BACK else i
                _run_pass(j, parts, back, table, twiddles, data, q * hop + part * leg, step, imaginary)
        if back == BACK:
            for i in range(whole):
                _run_pass(i, 1, back, table, twiddles, data, q * hop, step, imaginary)


@inlined
def _run_pass(i, parts, back, table, twiddles, data, base, step, imaginary):
    """Pass `i` over one of `parts` equal parts of the points."""
    at = _HEAD + _PASS * i
    repeats = table[at + 2] // parts
    _call_pass(table[at], back, data, base, twiddles, table[at + 3], table[at + 1], repeats, step, imaginary)
