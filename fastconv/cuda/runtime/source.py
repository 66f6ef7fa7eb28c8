"""Kernels are written as plain functions; three things they need are done to their syntax tree before compilation.

* ``for k in unrolled(n):`` is written out n times. NVVM keeps a loop around a large body, and each trip around the
  register tile's loop then costs address arithmetic: 10 % of the instructions of a GEMM.
* ``known(value)`` becomes the value, which must follow from constants and the variables of `unrolled` loops, and
  ``if known(...)`` its body or nothing: what a large table of constants says costs neither compiler nor kernel time.
* ``cuda.shared.array(size, dtype, alignment)`` loses its alignment where the target knows none (Numba's own target and
  its simulator).

As plain Python a kernel means the same: `unrolled` is `range`, `known` returns what it gets.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable
from types import FunctionType
from typing import Any

from ...errors import DeviceMissing
from .targets import target


def unrolled(n: int) -> range:
    """A loop over 0..n-1 that `specialise` writes out; n must be a constant of the kernel's factory."""
    return range(n)


def known(value: Any) -> Any:
    """A number or truth that `specialise` works out from constants."""
    return value


def specialise(function: Callable[..., None], alignment: bool) -> Callable[..., None]:
    """`function` with its `unrolled` loops written out and, unless `alignment`, unaligned shared arrays.

    The constants of its factory (closure variables) become globals of the result.
    """
    assert isinstance(function, FunctionType)
    names = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    try:
        lines, first = inspect.getsourcelines(function)
    except OSError as error:
        raise DeviceMissing(
            'device "cuda" cannot be used here: its kernels are made from the sources of fastconv, and this '
            "installation has byte code only; install the sources too, or leave out device="
        ) from error
    tree = ast.parse(textwrap.dedent("".join(lines)))
    tree = ast.fix_missing_locations(_Specialise(names, alignment).visit(tree))
    ast.increment_lineno(tree, first - 1)
    exec(compile(tree, inspect.getsourcefile(function) or "<kernel>", "exec"), names)
    return names[function.__name__]


class _Specialise(ast.NodeTransformer):
    def __init__(self, names: dict[str, Any], alignment: bool) -> None:
        self.names, self.alignment = names, alignment

    def visit_For(self, node: ast.For) -> Any:
        if not _calls(node.iter, unrolled):
            return self.generic_visit(node)
        assert isinstance(node.target, ast.Name) and isinstance(node.iter, ast.Call)
        body = []
        for k in range(self._value(node.iter.args[0])):
            for statement in node.body:  # inner loops after outer ones, whose variables they may need
                written = self.visit(_Replace(node.target.id, k).visit(copy.deepcopy(statement)))
                body += written if isinstance(written, list) else [written]
        return body

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        if not isinstance(node.test, ast.Constant):
            return node
        return node.body if node.test.value else node.orelse

    def visit_Call(self, node: ast.Call) -> Any:
        if _calls(node, known):
            return ast.copy_location(ast.Constant(self._value(node.args[0])), node)
        self.generic_visit(node)
        if not self.alignment and ast.unparse(node.func) == "cuda.shared.array":
            node.args = node.args[:2]
        return node

    def _value(self, expression: ast.expr) -> Any:
        code = ast.fix_missing_locations(ast.Expression(expression))
        return eval(compile(code, "<constant>", "eval"), self.names)


def _calls(node: ast.expr, function: Callable[..., Any]) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == function.__name__


class _Replace(ast.NodeTransformer):
    def __init__(self, name: str, value: int) -> None:
        self.name, self.value = name, value

    def visit_Name(self, node: ast.Name) -> Any:
        if node.id == self.name and isinstance(node.ctx, ast.Load):
            return ast.copy_location(ast.Constant(self.value), node)
        return node


def inlined(function: Callable[..., Any]) -> Any:
    """A part of a kernel as a device function that is always inlined, so that arrays it gets stay in registers."""
    cuda = target()
    written = specialise(function, True)
    if getattr(cuda, "implementation", "") == "NVIDIA" and not hasattr(cuda, "simulator"):
        return cuda.jit(device=True, forceinline=True)(written)
    return cuda.jit(device=True)(written)
