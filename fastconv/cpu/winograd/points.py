"""Winograd's minimal filtering F(m, 3) as polynomials: three 1-D transforms, written with as few operations as can be.

Multiplying polynomials by their values at points 0, ±p, ... and infinity gives, for t = m + 2 points,

    y = A^T [(G w) * (B^T x)]        x: t inputs, w: 3 taps, y: m outputs

(Toom-Cook; Winograd, "Arithmetic Complexity of Computations", 1980; Lavin & Gray, arXiv:1509.09308). The points come in
pairs ±p, so each pair of rows of a transform is an even part plus and minus an odd part: half the multiplications.
With N(x) the product of x^2 - p^2 over all pairs, and N_p(x) = N(x)/(x^2 - p^2), the transforms are

* `spread` B^T: the coefficients of N, x*N and x*(x ± p)*N_p, applied to x;
* `evaluate`: a polynomial's values at the points: G, scaled by 1/N(0) and 1/(2*p^2*N_p(p)), or A;
* `combine`: the transpose of `evaluate`: A^T, or G^T.

The points ±3/4 and ±3/2 of F(4, 3) keep all these numbers near 1: the rounding error is a quarter of that of the usual
±1 and ±2 (cf. Barabasz et al., arXiv:1803.10986).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from fractions import Fraction
from math import prod
from typing import Any, NamedTuple

from llvmlite import ir

Values = dict[int, Any]
Terms = Iterable[tuple[Fraction, Any]]

# F(m, 3): the positive points of each pair.
PAIRS = {2: (Fraction(1),), 4: (Fraction(3, 4), Fraction(3, 2))}
TAPS = 3
ADDED = -1  # among the inputs of a transform: what is added to each of its outputs


class Part(NamedTuple):
    """Some outputs of a 1-D transform, and the inputs they need: computed part by part, values stay in registers."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    compute: Callable[[Any, Values], list[Any]]


Transform = tuple[Part, ...]


def spread(m: int) -> Transform:
    """B^T: t inputs to t values."""
    pairs, t = PAIRS[m], m + 2
    whole = _product(pairs)

    def end(first: int) -> Part:
        inputs = tuple(range(first, t, 2))

        def compute(emit: Any, d: Values) -> list[Any]:
            return [_sum(emit, [(c, d[i]) for c, i in zip(whole, inputs, strict=True)])]

        return Part(inputs, (first * (t - 1),), compute)

    def pair(p: Fraction) -> Callable[[Any, Values], list[Any]]:
        rest = _product(q for q in pairs if q != p)

        def compute(emit: Any, d: Values) -> list[Any]:
            even, odd = (_sum(emit, [(c, d[2 * k + i]) for k, c in enumerate(rest)]) for i in (2, 1))
            return _plus_minus(emit, even, p, odd)

        return compute

    parts = [Part(tuple(range(1, t - 1)), (2 * q + 1, 2 * q + 2), pair(p)) for q, p in enumerate(pairs)]
    return (end(0), *parts, end(1))


def evaluate(m: int, size: int, scaled: bool) -> Transform:
    """The values of a polynomial of `size` coefficients: G for the taps (`scaled`), A for a gradient's m elements."""
    pairs, t = PAIRS[m], m + 2
    first, scales = _scales(m, scaled)

    def pair(p: Fraction, scale: Fraction) -> Callable[[Any, Values], list[Any]]:
        def compute(emit: Any, c: Values) -> list[Any]:
            even = _sum(emit, [(scale * p**k, c[k]) for k in range(0, size, 2)])
            odd = _sum(emit, [(p ** (k - 1), c[k]) for k in range(1, size, 2)])
            return _plus_minus(emit, even, scale * p, odd)

        return compute

    everything = tuple(range(size))
    parts = [
        Part(everything, (2 * q + 1, 2 * q + 2), pair(p, scale))
        for q, (p, scale) in enumerate(zip(pairs, scales, strict=True))
    ]
    nought = Part((0,), (0,), lambda emit, c: [_sum(emit, [(first, c[0])])])
    infinity = Part((size - 1,), (t - 1,), lambda emit, c: [c[size - 1]])
    return (nought, *parts, infinity)


def combine(m: int, size: int, scaled: bool) -> Transform:
    """The transpose of `evaluate`: t values to `size` numbers, plus what stands at ADDED, if anything does.

    The even ones need sums of pairs, the odd ones differences.
    """
    pairs, t = PAIRS[m], m + 2
    first, scales = _scales(m, scaled)

    def half(parity: int) -> Part:
        outputs = tuple(range(parity, size, 2))
        with_last = size - 1 in outputs
        inputs = tuple(range(1, t - 1)) + ((0,) if parity == 0 else ()) + ((t - 1,) if with_last else ())

        def compute(emit: Any, v: Values) -> list[Any]:
            join = emit.builder.fsub if parity else emit.builder.fadd
            joined = [join(v[2 * q + 1], v[2 * q + 2]) for q in range(len(pairs))]
            results = []
            for k in outputs:
                terms = [(scale * p**k, value) for p, scale, value in zip(pairs, scales, joined, strict=True)]
                terms += [(first, v[0])] if k == 0 else []
                terms += [(Fraction(1), v[t - 1])] if k == size - 1 else []
                terms += [(Fraction(1), v[ADDED])] if ADDED in v else []
                results.append(_sum(emit, terms))
            return results

        return Part(inputs, outputs, compute)

    return half(0), half(1)


class Role(IntEnum):
    """What a 2-D transform is for."""

    INPUT = 0  # B^T
    FILTER = 1  # G
    GRADIENT = 2  # A, of output gradients
    OUTPUT = 3  # A^T
    WEIGHTS = 4  # G^T, to weight gradients


def scheme(role: Role, m: int) -> tuple[Transform, int, int]:
    """The 1-D transform of a role, how many values it gives, and from how many."""
    t = m + 2
    if role is Role.INPUT:
        return spread(m), t, t
    if role is Role.FILTER:
        return evaluate(m, TAPS, scaled=True), t, TAPS
    if role is Role.GRADIENT:
        return evaluate(m, m, scaled=False), t, m
    if role is Role.OUTPUT:
        return combine(m, m, scaled=False), m, t
    return combine(m, TAPS, scaled=True), TAPS, t


def apply(emit: Any, transform: Transform, values: Values) -> Iterator[tuple[int, Any]]:
    """The 1-D transform of values: each output's number, and the output."""
    for part in transform:
        inputs = {i: values[i] for i in (*part.inputs, ADDED) if i in values}
        yield from zip(part.outputs, part.compute(emit, inputs), strict=True)


def sandwich(
    emit: Any,
    transform: Transform,
    size: int,
    load: Callable[[int, int], Any],
    store: Callable[[int, int, Any], None],
    added: Any = None,
) -> None:
    """Emit T d T^T for a 2-D block d of `size` columns: part by part, so that no part's values leave the registers.

    What is `added` to each result is so by the second T^T, mostly at no cost.
    """
    extra = {} if added is None else {ADDED: added}
    for part in transform:
        columns = [part.compute(emit, {i: load(i, j) for i in part.inputs}) for j in range(size)]
        for row, values in zip(part.outputs, zip(*columns, strict=True), strict=True):
            for column, value in apply(emit, transform, dict(enumerate(values)) | extra):
                store(row, column, value)


def _plus_minus(emit: Any, even: Any, p: Fraction, odd: Any) -> list[Any]:
    """even + p*odd and even - p*odd."""
    return [_sum(emit, [(Fraction(1), even), (sign * p, odd)]) for sign in (1, -1)]


def _product(points: Iterable[Fraction]) -> list[Fraction]:
    """Coefficients, in powers of x^2, of the product of x^2 - p^2."""
    coefficients = [Fraction(1)]
    for p in points:
        shifted, lower = [Fraction(0), *coefficients], [*coefficients, Fraction(0)]
        coefficients = [a - p * p * b for a, b in zip(shifted, lower, strict=True)]
    return coefficients


def _scales(m: int, scaled: bool) -> tuple[Fraction, list[Fraction]]:
    """What G's rows are multiplied by: that of 0, and those of the pairs."""
    pairs = PAIRS[m]
    if not scaled:
        return Fraction(1), [Fraction(1)] * len(pairs)
    rows = [1 / (2 * p * p * prod((p * p - q * q for q in pairs if q != p), start=Fraction(1))) for p in pairs]
    return 1 / _product(pairs)[0], rows


def _sum(emit: Any, terms: Terms) -> Any:
    """The sum of coefficient * vector: factors of 1 first, so that it takes as many operations as other terms."""
    builder, total = emit.builder, None
    for factor, value in sorted(terms, key=lambda term: (term[0] != 1, term[0] != -1)):
        if total is None:
            total = value if factor == 1 else builder.fmul(_constant(emit, factor), value)
        elif abs(factor) == 1:
            total = (builder.fadd if factor == 1 else builder.fsub)(total, value)
        else:
            total = emit.multiply_add(_constant(emit, factor), value, total)
    return total


def _constant(emit: Any, number: Fraction) -> Any:
    return ir.Constant(emit.vector, [float(number)] * emit.lanes)
