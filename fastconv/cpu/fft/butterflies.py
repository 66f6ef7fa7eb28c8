"""Complex arithmetic on vectors, and discrete Fourier transforms of a few points: what the passes are made of."""

from __future__ import annotations

import math
from typing import Any

from ...simd.emit import Emitter


class Complex:
    """Complex arithmetic on (real, imaginary) pairs of vectors, for transforms with exp(sign * 2j*pi*...)."""

    def __init__(self, emit: Emitter, sign: int) -> None:
        self.emit, self.builder, self.sign = emit, emit.builder, sign

    def add(self, p: Any, q: Any) -> Any:
        return self.builder.fadd(p[0], q[0]), self.builder.fadd(p[1], q[1])

    def subtract(self, p: Any, q: Any) -> Any:
        return self.builder.fsub(p[0], q[0]), self.builder.fsub(p[1], q[1])

    def add_rotated(self, p: Any, q: Any) -> Any:
        """p + sign*1j*q."""
        b = self.builder
        if self.sign < 0:
            return b.fadd(p[0], q[1]), b.fsub(p[1], q[0])
        return b.fsub(p[0], q[1]), b.fadd(p[1], q[0])

    def subtract_rotated(self, p: Any, q: Any) -> Any:
        """p - sign*1j*q."""
        b = self.builder
        if self.sign < 0:
            return b.fsub(p[0], q[1]), b.fadd(p[1], q[0])
        return b.fadd(p[0], q[1]), b.fsub(p[1], q[0])

    def scaled(self, factor: float, q: Any) -> Any:
        return tuple(self.builder.fmul(self.emit.constant(factor), part) for part in q)

    def plus_scaled(self, p: Any, factor: float, q: Any) -> Any:
        """p + factor*q."""
        c = self.emit.constant(factor)
        return tuple(self.emit.multiply_add(c, y, x) for x, y in zip(p, q, strict=True))

    def turned(self, x: Any, w: Any) -> Any:
        """x * w."""
        b, fma = self.builder, self.emit.multiply_add
        return (
            fma(x[0], w[0], b.fneg(b.fmul(x[1], w[1]))),
            fma(x[0], w[1], b.fmul(x[1], w[0])),
        )

    def turned_back(self, x: Any, w: Any) -> Any:
        """x * conj(w)."""
        b, fma = self.builder, self.emit.multiply_add
        return (
            fma(x[0], w[0], b.fmul(x[1], w[1])),
            fma(x[1], w[0], b.fneg(b.fmul(x[0], w[1]))),
        )

    def sums(self, x: list[Any]) -> list[Any]:
        """The discrete Fourier transform of 2, 3, 4, 5 or 8 points."""
        return getattr(self, f"_sums{len(x)}")(x)

    def _sums2(self, x: list[Any]) -> list[Any]:
        return [self.add(*x), self.subtract(*x)]

    def _sums3(self, x: list[Any]) -> list[Any]:
        t, u = self.add(x[1], x[2]), self.scaled(math.sin(2 * math.pi / 3), self.subtract(x[1], x[2]))
        m = self.plus_scaled(x[0], -0.5, t)
        return [self.add(x[0], t), self.add_rotated(m, u), self.subtract_rotated(m, u)]

    def _sums4(self, x: list[Any]) -> list[Any]:
        a, c = self.add(x[0], x[2]), self.subtract(x[0], x[2])
        d, e = self.add(x[1], x[3]), self.subtract(x[1], x[3])
        return [self.add(a, d), self.add_rotated(c, e), self.subtract(a, d), self.subtract_rotated(c, e)]

    def _sums5(self, x: list[Any]) -> list[Any]:
        (c1, s1), (c2, s2) = ((math.cos(2 * math.pi * k / 5), math.sin(2 * math.pi * k / 5)) for k in (1, 2))
        t, u = self.add(x[1], x[4]), self.add(x[2], x[3])
        v, w = self.subtract(x[1], x[4]), self.subtract(x[2], x[3])
        p = self.plus_scaled(self.plus_scaled(x[0], c1, t), c2, u)
        q = self.plus_scaled(self.plus_scaled(x[0], c2, t), c1, u)
        r = self.plus_scaled(self.scaled(s1, v), s2, w)
        s = self.plus_scaled(self.scaled(s2, v), -s1, w)
        return [
            self.add(self.add(x[0], t), u), self.add_rotated(p, r), self.add_rotated(q, s),
            self.subtract_rotated(q, s), self.subtract_rotated(p, r),
        ]  # fmt: skip

    def _sums8(self, x: list[Any]) -> list[Any]:
        """Two of four points; the factor sqrt(1/2) waits for the last sums, where it costs nothing."""
        even, odd = self._sums4(x[::2]), self._sums4(x[1::2])
        root = math.sqrt(0.5)
        p, q = self.add_rotated(odd[1], odd[1]), self.subtract_rotated(odd[3], odd[3])
        return [
            self.add(even[0], odd[0]), self.plus_scaled(even[1], root, p),
            self.add_rotated(even[2], odd[2]), self.plus_scaled(even[3], -root, q),
            self.subtract(even[0], odd[0]), self.plus_scaled(even[1], -root, p),
            self.subtract_rotated(even[2], odd[2]), self.plus_scaled(even[3], root, q),
        ]  # fmt: skip
