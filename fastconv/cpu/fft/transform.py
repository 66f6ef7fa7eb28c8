"""The Fourier transform of method "fft": one butterfly for all lanes of a vector, so nothing is ever shuffled.

A *point* is one vector of real parts and one of imaginary parts, `imaginary` elements further on; its lanes are
independent signals (neighbouring columns of an image, or channels). A transform of n points in place,

    X[f] = sum over i of x[i] * exp(-2j*pi*f*i/n)          and back, unscaled:  x[i] = sum over f of X[f] * exp(+...)

runs forward by decimation in frequency and back by decimation in time, with radices 8, 5, 4, 3 and 2. Spectra stay in
the order in which the forward passes leave them (`frequencies` tells it): products of spectra do not care, and no pass
reorders anything.

Cost: about 4 n log2(n) flops a lane. Error: below eps * log2(n) of the largest |X|, typically a third of that.

All passes are one C function per dtype, called by address (see `simd.microkernel`): their lengths and strides are
arguments, so that no size needs code of its own.
Source: Van Loan, "Computational Frameworks for the Fast Fourier Transform" (1992), sections 1.9 (decimation in
frequency) and 2.1 (general radix); Gentleman & Sande (1966).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ...borders import frozen
from ...kept import kept
from ...simd.host import host
from ...simd.jit import c_function
from ...simd.lanes import inlined
from ...simd.vector import I64, INTP, Emitter, keep_rolled
from .butterflies import Complex

RADICES = (2, 3, 4, 5, 8)
FORWARD, BACK = 0, 1
CACHE_BYTES = 40 << 10  # points that stay in a core's first-level cache while all passes go over them
_VOID = ir.VoidType()
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


@intrinsic
def transform(typingctx, address, back, table, twiddles, data, base, count, hop, step, imaginary):  # type: ignore[no-untyped-def]
    """Transform `count` sets of lanes in place with the function at `address` (see `transform_address`).

    Point i of set q lies at ``data[base + q*hop + i*step:]``, its imaginary parts `imaginary` elements on; `table` and
    `twiddles` are those of `Passes`; `back` is FORWARD or BACK.
    """
    signature = types.void(INTP, INTP, table, twiddles, data, INTP, INTP, INTP, INTP, INTP)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit = Emitter(context, builder, signature.args[4])
        kinds = signature.args
        pointers = [
            emit.pointer(kinds[2], args[2], I64(0)), emit.pointer(kinds[3], args[3], I64(0)),
            emit.pointer(kinds[4], args[4], args[5]),
        ]  # fmt: skip
        values = [args[1], *pointers, *args[6:]]
        function = ir.FunctionType(_VOID, [value.type for value in values])
        builder.call(builder.inttoptr(args[0], function.as_pointer()), values)
        return context.get_dummy_value()

    return signature, codegen


@lru_cache(maxsize=2)
def transform_address(itemsize: int) -> int:
    """Address of the compiled transform for float32 (4 bytes) or float64 (8), the same for all kernels."""
    element = types.CPointer({4: types.float32, 8: types.float64}[itemsize])
    return c_function(types.void(INTP, types.CPointer(types.int64), element, element, *[INTP] * 4), _transform).address


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
    _pass(2 * table[at] + back, data, base, twiddles, table[at + 3], table[at + 1], repeats, step, imaginary)


@intrinsic
def _pass(typingctx, which, data, base, twiddles, first, m, repeats, step, imaginary):  # type: ignore[no-untyped-def]
    """Call the function for one radix, direction, and with or without twiddles; all of them are emitted here."""
    return types.void(INTP, data, INTP, twiddles, INTP, INTP, INTP, INTP, INTP), _emit_switch


def _emit_switch(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    emit = Emitter(context, builder, signature.args[1])
    which, data, base, twiddles, first, *rest = args
    values = [builder.gep(data, [base]), builder.gep(twiddles, [first]), *rest]
    done = builder.append_basic_block("pass.done")
    switch = builder.switch(which, done)
    for i, radix in enumerate(RADICES):
        for twiddled in (False, True):
            for back in (FORWARD, BACK):
                function = _pass_function(builder.module, emit, radix, twiddled, back, [v.type for v in values])
                with builder.goto_block(done):
                    case = builder.append_basic_block(f"pass.{radix}.{twiddled}.{back}")
                switch.add_case(I64(2 * (2 * i + twiddled) + back), case)
                builder.position_at_end(case)
                builder.call(function, values)
                builder.branch(done)
    builder.position_at_end(done)
    return context.get_dummy_value()


def _pass_function(module: Any, outer: Emitter, radix: int, twiddled: bool, back: int, kinds: list[Any]) -> Any:
    name = f"fastconv_fft_{outer.suffix}_{radix}_{int(twiddled)}_{back}"
    function = ir.Function(module, ir.FunctionType(_VOID, kinds), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    _Pass(outer.within(builder), radix, twiddled, back == BACK).emit(*function.args)
    builder.ret_void()
    return function


class _Pass:
    """Emits one pass: `m` different butterflies, each with its own twiddle factors, repeated along the array."""

    def __init__(self, emit: Emitter, radix: int, twiddled: bool, back: bool) -> None:
        self.emit_, self.builder, self.radix, self.twiddled, self.back = emit, emit.builder, radix, twiddled, back
        self.math = Complex(emit, 1 if back else -1)

    def emit(self, data: Any, twiddles: Any, m: Any, repeats: Any, step: Any, imaginary: Any) -> None:
        b, emit, radix = self.builder, self.emit_, self.radix
        leg = b.mul(m, step)
        whole = b.mul(I64(radix), leg)
        legs = [b.mul(I64(q), leg) for q in range(radix)]
        before, outer, inner, latch, done = b.block, *map(b.append_basic_block, ("butterfly", "repeat", "next", "done"))
        b.branch(outer)

        b.position_at_end(outer)
        j = b.phi(I64)
        j.add_incoming(I64(0), before)
        start = b.gep(data, [b.mul(j, step)])
        factors = []
        if self.twiddled:
            at = b.gep(twiddles, [b.mul(j, I64(2 * (radix - 1)))])
            numbers = [emit.splat(b.load(emit.at(at, i))) for i in range(2 * (radix - 1))]
            factors = list(zip(numbers[::2], numbers[1::2], strict=True))
        b.branch(inner)

        b.position_at_end(inner)
        k, place = b.phi(I64), b.phi(data.type)
        k.add_incoming(I64(0), outer)
        place.add_incoming(start, outer)
        real = [b.gep(place, [offset]) for offset in legs]
        other = [b.gep(p, [imaginary]) for p in real]
        points = [(emit.load(p), emit.load(q)) for p, q in zip(real, other, strict=True)]
        for p, q, (x, y) in zip(real, other, self._butterfly(points, factors), strict=True):
            emit.store(x, p)
            emit.store(y, q)
        k_next = b.add(k, I64(1))
        k.add_incoming(k_next, inner)
        place.add_incoming(b.gep(place, [whole]), inner)
        keep_rolled(b, b.cbranch(b.icmp_signed("<", k_next, repeats), inner, latch))

        b.position_at_end(latch)
        j_next = b.add(j, I64(1))
        j.add_incoming(j_next, latch)
        keep_rolled(b, b.cbranch(b.icmp_signed("<", j_next, m), outer, done))
        b.position_at_end(done)

    def _butterfly(self, points: list[Any], factors: list[Any]) -> list[Any]:
        """Forward the sums are turned by the twiddle factors, back the points are turned before they are summed."""
        if not factors:
            return self.math.sums(points)
        if self.back:
            return self.math.sums([points[0], *map(self.math.turned_back, points[1:], factors)])
        results = self.math.sums(points)
        return [results[0], *map(self.math.turned, results[1:], factors)]
