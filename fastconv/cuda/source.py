"""Kernels are written as plain functions; two things they need are done to their syntax tree before compilation.

* ``for k in unrolled(n):`` is written out n times. NVVM keeps a loop around a large body, and each trip around the
  register tile's loop then costs address arithmetic: 10 % of the instructions of a GEMM.
* ``cuda.shared.array(size, dtype, alignment)`` loses its alignment where the target knows none (Numba's own target and
  its simulator).

As plain Python a kernel means the same: `unrolled` is `range`.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable
from types import FunctionType
from typing import Any


def unrolled(n: int) -> range:
    """A loop over 0..n-1 that `specialise` writes out; n must be a constant of the kernel's factory."""
    return range(n)


def specialise(function: Callable[..., None], alignment: bool) -> Callable[..., None]:
    """`function` with its `unrolled` loops written out and, unless `alignment`, unaligned shared arrays.

    The constants of its factory (closure variables) become globals of the result.
    """
    assert isinstance(function, FunctionType)
    names = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    lines, first = inspect.getsourcelines(function)
    tree = ast.parse(textwrap.dedent("".join(lines)))
    tree = ast.fix_missing_locations(_Specialise(names, alignment).visit(tree))
    ast.increment_lineno(tree, first - 1)
    exec(compile(tree, inspect.getsourcefile(function) or "<kernel>", "exec"), names)
    return names[function.__name__]


class _Specialise(ast.NodeTransformer):
    def __init__(self, names: dict[str, Any], alignment: bool) -> None:
        self.names, self.alignment = names, alignment

    def visit_For(self, node: ast.For) -> Any:
        self.generic_visit(node)
        if not (isinstance(node.iter, ast.Call) and ast.unparse(node.iter.func) == unrolled.__name__):
            return node
        assert isinstance(node.target, ast.Name)
        count = eval(compile(ast.Expression(node.iter.args[0]), "<unrolled>", "eval"), self.names)
        return [
            _Replace(node.target.id, k).visit(copy.deepcopy(statement)) for k in range(count) for statement in node.body
        ]

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        if not self.alignment and ast.unparse(node.func) == "cuda.shared.array":
            node.args = node.args[:2]
        return node


class _Replace(ast.NodeTransformer):
    def __init__(self, name: str, value: int) -> None:
        self.name, self.value = name, value

    def visit_Name(self, node: ast.Name) -> Any:
        if node.id == self.name and isinstance(node.ctx, ast.Load):
            return ast.copy_location(ast.Constant(self.value), node)
        return node


def inlined(function: Callable[..., Any]) -> Any:
    """A part of a kernel as a device function that is always inlined, so that arrays it gets stay in registers."""
    from .backend import cuda

    written = specialise(function, True)
    if getattr(cuda, "implementation", "") == "NVIDIA" and not hasattr(cuda, "simulator"):
        return cuda.jit(device=True, forceinline=True)(written)
    return cuda.jit(device=True)(written)
