"""From a checked problem to its kernel: the steps that all convolution functions share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from .. import dispatch, memory
from ..errors import InvalidArgument, shown
from ..problem import ConvProblem
from ..spec import is_plain, known_problem, without_lists
from ._arrays import Operands, converted
from ._complex import by_parts, is_complex
from ._exactness import suits
from ._repeated import Repeated

BITS, SINGLE = np.dtype(np.uint16), np.dtype(np.float32)
ACTIVATIONS = ("relu", "leaky_relu", "sigmoid", "tanh")


class Bound(NamedTuple):
    """A problem and the method that serves it: what a call looks up, and a plan keeps.

    The problem is of float32 where a method does not multiply bfloat16 as it is: the caller converts the arrays.
    """

    problem: ConvProblem
    row: dispatch.Row
    operator: Callable[..., Any]
    guarded: bool  # whether "auto" has to look at the data: a transform of the CPU was chosen by it

    def suited(self, first: Any, second: Any) -> Bound:
        """This, or the direct method where "auto" keeps data away from a transform that would spoil them."""
        if self.guarded and not suits(self.problem, self.row.method, first, second):
            return _bind(self.problem, "direct", self.row.device)
        return self

    def run(self, first: Any, second: Any, b: Any, result: Any, activation: Any = None) -> None:
        """Call the operator on arrays in the caller's shape; a gradient with a bias is a transposed convolution."""
        if self.problem.dtype == "bfloat16":
            self._run_bits(first, second, b, result, activation)
        else:
            self._run(first, second, b, result, activation)

    def _run_bits(self, first: Any, second: Any, b: Any, result: Any, activation: Any) -> None:
        """Arrays of bfloat16 as kernels see them; an activation that they do not fuse gets sums not yet rounded."""
        first, second = first.view(BITS), second if self.problem.prepared else second.view(BITS)
        if activation is None or activation == "relu":
            self._run(first, second, b, result.view(BITS), activation)
            return
        sums = memory.scratch(result.shape, SINGLE)
        self._run(first, second, b, sums, activation)
        dispatch.operator("narrow")(sums, result)

    def _run(self, first: Any, second: Any, b: Any, result: Any, activation: Any) -> None:
        p = self.problem
        if p.op == "conv":
            w = second if p.prepared else second.reshape(p.w_shape3)
            self.operator(p, first.reshape(p.x_shape3), w, b, result.reshape(p.y_shape3), activation=activation)
        elif p.op == "conv_weight_grad":
            self.operator(p, first.reshape(p.x_shape3), second.reshape(p.y_shape3), result.reshape(p.w_shape3))
        else:
            self.operator(p, first.reshape(p.y_shape3), second.reshape(p.w_shape3), result.reshape(p.x_shape3))
            finish_output(result, b, activation, p.channels_last, self.row.device)

    def prepare(self, w: Any) -> Any:
        """The weights as the operator takes them where the problem is prepared."""
        w = w.view(BITS) if self.problem.dtype == "bfloat16" else w
        with memory.lasting():
            return self.row.load().prepare(self.problem, w.reshape(self.problem.w_shape3))


def compute(
    problem: ConvProblem, method: str, operands: Operands, first: Any, second: Any, b: Any, result: Any,
    activation: Any = None,
) -> None:  # fmt: skip
    """A convolution or a gradient, from checked arrays to `result`; complex ones by their parts."""
    bound = bind(problem, method, operands.device)
    if problem.dtype == "bfloat16":
        _compute_halves(bound, first, second, b, result, activation)
        return
    bound = bound.suited(first, second)
    if is_complex(operands):
        by_parts(bound.run, (first, second), result, b, activation)
    else:
        bound.run(first, second, b, result, activation)


def _compute_halves(bound: Bound, first: Any, second: Any, b: Any, result: Any, activation: Any) -> None:
    """`compute` for arrays of bfloat16 on the CPU: as they are where the method takes them, else by way of float32.

    So are weights that hold NaN or Inf in gradients to the input, which float32's kernels sum apart.
    """
    if bound.problem.op == "conv_input_grad" and bound.problem.dtype == "bfloat16" and not np.isfinite(second).all():
        bound = _bind(replace(bound.problem, dtype="float32"), bound.row.method, bound.row.device)
    if bound.problem.dtype == "bfloat16":
        bound.run(first, second, b, result, activation)
        return
    first, second = (converted(a, SINGLE, memory.scratch) for a in (first, second))
    sums = memory.scratch(result.shape, SINGLE)
    bound.suited(first, second).run(first, second, b, sums, activation)
    dispatch.operator("narrow")(sums, result)


def bind(problem: ConvProblem, method: Any, device: str) -> Bound:
    """The method that serves a problem on a device."""
    if type(method) is not str:
        dispatch.check_method(method)  # what cannot be looked up is no method
    return _bind(problem, method, device)


@dispatch.remembered
def _bind(problem: ConvProblem, method: str, device: str) -> Bound:
    needed = 24 * sum(map(sum, problem.padding))  # a table of where its elements come from, and what it is made of
    memory.check_room(needed, f"the border of {problem}, {problem.padding[3 - problem.rank :]},")
    row = dispatch.find(problem, method, device)
    guarded = method == "auto" and row.device == "cpu" and row.method in dispatch.SPREADING
    return Bound(row.given(problem), row, row.operator(problem.op), guarded)


class Known(NamedTuple):
    """What serves calls like an earlier one: ``run(first, second, b, empty())``, on arrays that are `are_ready`."""

    bound: Bound
    empty: Callable[[], np.ndarray]  # makes the result
    run: Repeated


def known(
    op: str, rank: int, x_shape: Any, w_shape: Any, b_shape: Any, dtype: np.dtype, options: tuple[Any, ...]
) -> Known:  # fmt: skip
    """The method for arrays that are `are_ready`: all that a call like an earlier one has to know, in one look.

    `options` are stride, padding, dilation, groups, layout, padding_mode, activation and method.
    """
    if is_plain(options):
        return _known(op, rank, x_shape, w_shape, b_shape, dtype, options)
    tuples = without_lists(options)
    if tuples is not None:
        with suppress(InvalidArgument):  # which shows what was given below
            return _known(op, rank, x_shape, w_shape, b_shape, dtype, tuples)
    return _find(op, rank, x_shape, w_shape, b_shape, dtype, options)


def _find(
    op: str, rank: int, x_shape: Any, w_shape: Any, b_shape: Any, dtype: np.dtype, options: tuple[Any, ...]
) -> Known:  # fmt: skip
    *window, activation, method = options
    stride, padding, dilation, groups, layout, padding_mode = window
    problem = known_problem(
        op, x_shape, w_shape, b_shape, rank, stride, padding, dilation, groups, layout, padding_mode, dtype
    )
    check_activation(activation, dtype)
    bound = bind(problem, method, "cpu")

    def perform(first: Any, second: Any, b: Any, result: Any) -> None:
        bound.suited(first, second).run(first, second, b, result, activation)

    p = bound.problem
    shape = {"conv": p.y_shape, "conv_weight_grad": p.w_shape}.get(op, p.x_shape)
    return Known(bound, memory.maker(shape, dtype), Repeated(perform, noted=not bound.guarded))


_known = dispatch.remembered(_find)


def check_activation(activation: Any, dtype: np.dtype) -> Any:
    """None, a known name, or a compiled function of one number of `dtype` that returns a real number."""
    if activation is None or (isinstance(activation, str) and activation in ACTIVATIONS):
        return activation
    if is_compiled(activation):
        if dtype.kind == "f":
            _check_function(activation, dtype)
        return activation
    known = ", ".join(map(repr, ACTIVATIONS))
    advice = "; put @numba.njit above it" if type(activation) is FunctionType else ""
    raise InvalidArgument(
        f"activation is {shown(activation)}; expected None, {known} or a function compiled with numba.njit{advice}"
    )


def is_compiled(function: Any) -> bool:
    """Whether this is a function compiled with ``numba.njit``."""
    return type(function).__module__.partition(".")[0] == "numba" and hasattr(function, "py_func")


@lru_cache(maxsize=64)
def _check_function(activation: Any, dtype: np.dtype) -> None:
    """Compile a user's activation, as the kernel that calls it would, and look at what it returns."""
    from numba import from_dtype, typeof, types
    from numba.core.registry import cpu_target

    name, kind = shown(getattr(activation, "__name__", activation)), from_dtype(dtype)
    expected = "expected a function compiled with numba.njit of one real number that returns one"
    try:
        signature = typeof(activation).get_call_type(cpu_target.typing_context, (kind,), {})
    except Exception as error:  # Numba's own, or TypeError for another number of arguments
        raise InvalidArgument(f"activation {name} cannot take a {dtype}: {shown(error, 200)}; {expected}") from None
    result = None if signature is None else types.unliteral(signature.return_type)
    if not isinstance(result, (types.Integer, types.Float, types.Boolean)):
        raise InvalidArgument(f"activation {name} makes {shown(str(result))} of a {dtype}; {expected}")


def finish_output(y: Any, b: Any, activation: Any, channels_last: bool, device: str) -> None:
    """Add a bias to a finished output and apply the activation, in place, where the kernel has done neither."""
    if b is not None or activation is not None:
        dispatch.operator("finish", device)(y, b, activation, channels_last)
