"""Einstein's sums: products over axes that are named by letters, summed over those that the result lacks."""

from __future__ import annotations

import math
import string
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import ops
from ...errors import InvalidArgument, shown
from ..operation import Saved
from ..tensor import Tensor, as_data
from ._defined import Single, defined

TINY = 64  # multiplications of a pair of matrices, up to which a stack is multiplied element by element


class Factor(NamedTuple):
    """An array whose axes have names."""

    array: Any
    axes: str

    def in_order(self, axes: str) -> Any:
        """The array with its axes in the order of `axes`, of size 1 where it lacks one."""
        own = [a for a in axes if a in self.axes]
        array = self.array if "".join(own) == self.axes else np.transpose(self.array, [self.axes.index(a) for a in own])
        sizes = dict(zip(own, array.shape, strict=True))
        return np.reshape(array, tuple(sizes.get(a, 1) for a in axes)) if len(own) < len(axes) else array


def einsum(subscripts: str, *operands: Any) -> Tensor:
    """The sum of products that `subscripts` name, such as "ij,jk->ik", as ``np.einsum`` reads them.

    Letters are axes, "..." those that are not named, which are broadcast; without "->" the result has the letters that
    occur once, in alphabetical order. Pairs of operands are multiplied by `fastconv.matmul`, in the order that
    ``np.einsum_path`` finds: fast, and with the same bits for any number of threads.
    """
    if not isinstance(subscripts, str):
        raise InvalidArgument(f"subscripts is {shown(subscripts)}; expected a text such as 'ij,jk->ik'")
    return _einsum(*operands, subscripts=subscripts)


def _forward(*operands: Any, subscripts: str) -> Saved:
    """The sum of products that `subscripts` name."""
    arrays = [as_data(a) for a in operands]
    inputs, result = _parsed(subscripts, [a.ndim for a in arrays])
    sizes = _sizes(inputs, arrays, subscripts)
    factors = [_factor(a, axes, sizes) for a, axes in zip(arrays, inputs, strict=True)]
    if np.result_type(*(a.dtype for a in arrays)).kind in "biu":  # no products of floats, nor gradients
        return np.einsum(f"{','.join(f.axes for f in factors)}->{result}", *(f.array for f in factors)), ()
    shapes = [a.shape for a in arrays]
    return _contracted(factors, result), ([f.array for f in factors], [f.axes for f in factors], inputs, shapes, result)


def _vjp(
    dy: Any, needs: Any, arrays: Any, axes: list[str], inputs: list[str], shapes: Any, result: str
) -> tuple[Any, ...]:
    """The gradient to a factor is the sum of products of all others and dy, over the axes which that factor lacks."""
    gradients: list[Any] = []
    factors = [Factor(*pair) for pair in zip(arrays, axes, strict=True)]
    for i, (factor, need) in enumerate(zip(factors, needs, strict=True)):
        if not need:
            gradients.append(None)
            continue
        others = [*(f for j, f in enumerate(factors) if j != i), Factor(dy, result)]
        there = "".join(a for a in factor.axes if any(a in other.axes for other in others))
        dx = Factor(_contracted(others, there), there).in_order(factor.axes)
        dx = np.broadcast_to(dx, factor.array.shape)  # an axis of its own was summed
        if len(set(inputs[i])) < len(inputs[i]):
            dx = _on_diagonal(dx, factor.axes, inputs[i], shapes[i])
        gradients.append(np.reshape(dx, shapes[i]))
    return tuple(gradients)


_einsum = defined("einsum", "The sum of products that `subscripts` name.", _forward, _vjp, Single)


def _parsed(subscripts: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """A letter for each axis of each operand, and those of the result."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks) or any(
        set(t.replace("...", "", 1)) - set(string.ascii_letters) for t in (*terms, right)
    ):
        raise InvalidArgument(
            f"subscripts is {shown(subscripts)} with {len(ranks)} operands; expected letters for the axes of each, "
            "between commas, such as 'ij,jk->ik'"
        )
    free = [a for a in string.ascii_letters if a not in text]
    unnamed = [rank - len(t.replace("...", "")) for t, rank in zip(terms, ranks, strict=True)]
    for t, n, rank in zip(terms, unnamed, ranks, strict=True):
        if n < 0 or (n > 0 and "..." not in t):
            raise InvalidArgument(f"subscripts is {shown(subscripts)}, but the operand of {t!r} has {rank} axes")
    most = max([0, *(n for t, n in zip(terms, unnamed, strict=True) if "..." in t)])
    if most > len(free):
        raise InvalidArgument(f"subscripts is {shown(subscripts)} with {most} axes that are not named: too many")
    named = [t.replace("...", "".join(free[most - n : most])) for t, n in zip(terms, unnamed, strict=True)]
    if arrow:
        result = right.replace("...", "".join(free[:most]))
    else:
        letters = "".join(t.replace("...", "") for t in terms)
        result = "".join(free[:most]) + "".join(sorted(a for a in set(letters) if letters.count(a) == 1))
    if len(set(result)) < len(result) or set(result) - set("".join(named)):
        raise InvalidArgument(f"subscripts is {shown(subscripts)}; its result names an axis twice, or one nobody has")
    return named, result


def _sizes(inputs: list[str], arrays: list[Any], subscripts: str) -> dict[str, int]:
    """The size of every axis; one of size 1 is repeated where others are longer."""
    sizes: dict[str, int] = {}
    for axes, array in zip(inputs, arrays, strict=True):
        for a, n in zip(axes, array.shape, strict=True):
            before = sizes.get(a, 1)
            if n != before and 1 not in (n, before):
                shapes = ", ".join(str(tuple(each.shape)) for each in arrays)
                raise InvalidArgument(f"axis {a!r} of {shown(subscripts)} has sizes {before} and {n} (shapes {shapes})")
            sizes[a] = before if n == 1 else n
    return sizes


def _factor(array: Any, axes: str, sizes: dict[str, int]) -> Factor:
    """An operand without axes of size 1 that are repeated, and of equal letters the diagonal."""
    kept = [i for i, a in enumerate(axes) if array.shape[i] == sizes[a]]
    array, axes = np.reshape(array, tuple(array.shape[i] for i in kept)), "".join(axes[i] for i in kept)
    for a in dict.fromkeys(axes):
        while axes.count(a) > 1:
            first = axes.index(a)
            second = axes.index(a, first + 1)
            array = np.diagonal(array, axis1=first, axis2=second)  # which becomes the last axis
            axes = "".join(b for i, b in enumerate(axes) if i not in (first, second)) + a
    return Factor(array, axes)


def _on_diagonal(dx: Any, axes: str, own: str, shape: tuple[int, ...]) -> Any:
    """The gradient to an operand of which a diagonal was taken: zeros beside it."""
    whole = np.zeros(shape, dx.dtype)
    index = []
    for a, n in zip(own, shape, strict=True):
        place = axes.index(a) if a in axes else None
        along = tuple(n if i == place else 1 for i in range(len(axes)))
        index.append(np.arange(n).reshape(along) if place is not None else 0)
    whole[tuple(index)] = dx
    return whole


def _contracted(factors: Sequence[Factor], result: str) -> Any:
    """The sum of products of all factors: two at a time."""
    left = [_summed(f, {*result, *"".join(o.axes for o in factors if o is not f)}) for f in factors]
    for together in _order(left, result):
        taken = [left[i] for i in together]
        left = [f for i, f in enumerate(left) if i not in together]
        product = taken[0]
        for n, factor in enumerate(taken[1:], 2):
            needed = {*result, *"".join(f.axes for f in (*left, *taken[n:]))}
            product = _product(product, factor, needed)
        left.append(product)
    return _summed(left[0], set(result)).in_order(result)


def _order(factors: list[Factor], result: str) -> Iterable[tuple[int, ...]]:
    if len(factors) < 3:
        return [tuple(range(len(factors)))]
    likes = [np.broadcast_to(np.float32(0), f.array.shape) for f in factors]
    path = np.einsum_path(f"{','.join(f.axes for f in factors)}->{result}", *likes, optimize="greedy")[0]
    return path[1:]


def _summed(factor: Factor, needed: set[str]) -> Factor:
    """Over the axes that nobody needs."""
    gone = tuple(i for i, a in enumerate(factor.axes) if a not in needed)
    if not gone:
        return factor
    return Factor(np.sum(factor.array, axis=gone), "".join(a for a in factor.axes if a in needed))


def _product(f: Factor, g: Factor, needed: set[str]) -> Factor:
    """Of two factors, summed over their common axes that nobody else needs."""
    both = [a for a in f.axes if a in g.axes]
    stack, inner = ("".join(a for a in both if (a in needed) is kept) for kept in (True, False))
    rows, columns = ("".join(a for a in each.axes if a not in both) for each in (f, g))
    sizes = {**dict(zip(f.axes, f.array.shape, strict=True)), **dict(zip(g.axes, g.array.shape, strict=True))}
    count = {axes: math.prod(sizes[a] for a in axes) for axes in (stack, rows, columns, inner)}
    is_tiny = stack and count[rows] * count[columns] * count[inner] <= TINY
    if not inner or is_tiny or not (rows or columns):
        axes = stack + rows + columns + inner
        return _summed(Factor(f.in_order(axes) * g.in_order(axes), axes), needed)
    a = np.reshape(f.in_order(stack + rows + inner), (count[stack], count[rows], count[inner]))
    b = np.reshape(g.in_order(stack + inner + columns), (count[stack], count[inner], count[columns]))
    y = ops.matmul(a, b) if stack else ops.matmul(a[0], b[0])
    axes = stack + rows + columns
    return Factor(np.reshape(y, tuple(sizes[a] for a in axes)), axes)
