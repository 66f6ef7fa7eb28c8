"""Why "auto" takes the method it takes: each method's reason not to serve, its predicted and its measured time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .. import dispatch
from ..errors import InvalidArgument, shown
from ..ops.choice import problem_of_shapes
from ..problem import ConvProblem
from ..spec import LAYOUTS, parse_dtype, parse_flag, parse_shape, parse_word, pool_problem
from .comparison import our_call
from .oracle import make_arrays
from .problems import CONVOLUTIONS, POOLS, Problem, check_problem
from .timing import interleave, parse_seconds


@dataclass(frozen=True)
class Candidate:
    """One method and one problem; times in seconds, `extra` in bytes beside the operands and the result.

    `reason` tells why the method cannot serve; then there are no figures. `kernel` names what it serves with.
    """

    method: str
    reason: str | None
    predicted: float | None = None
    measured: float | None = None
    extra: int | None = None
    kernel: str | None = None


@dataclass(frozen=True)
class Explanation:
    """Every method on one problem, and which of them "auto" takes. Its text is a table."""

    problem: Problem
    prepared: bool
    chosen: str
    candidates: tuple[Candidate, ...]

    @property
    def fastest(self) -> str | None:
        """The method with the least measured time, None where nothing was measured."""
        timed = [c for c in self.candidates if c.measured is not None]
        return min(timed, key=lambda c: c.measured or 0.0).method if timed else None

    def __str__(self) -> str:
        plan = ", weights prepared" if self.prepared else ""
        lines = [f"{self.problem} {self.problem.layout} {self.problem.spec.dtype}{plan}: auto takes {self.chosen}"]
        lines.append(f"{'method':<10}{'predicted':>11}{'measured':>11}{'memory':>11}")
        for c in self.candidates:
            mark = "  <- auto" if c.method == self.chosen else " " * 9
            figures = f"{_ms(c.predicted):>11}{_ms(c.measured):>11}{_bytes(c.extra):>11}"
            told = f"{figures}{mark}  {c.kernel or ''}".rstrip() if c.reason is None else f"  {c.reason}"
            lines.append(f"{c.method:<10}{told}")
        return "\n".join(lines)


def explain(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    *,
    op: str = "conv",
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str | None = None,
    padding_mode: str = "zeros",
    dtype: Any = "float32",
    prepared: bool = False,
    seconds: float = 0.5,
) -> Explanation:
    """Show what each method would make of a convolution or a pool on this machine's CPU, and which one "auto" takes.

    Parameters
    ----------
    x_shape, w_shape : tuple of int
        Shapes of the input and the weights, as for `conv1d`, `conv2d` or `conv3d`; of a pool and its gradient the shape
        of the input and the size of the window, such as (2, 2).
    op : {"conv", "conv_input_grad", "conv_weight_grad", "max_pool", "avg_pool", "max_pool_grad", "avg_pool_grad"}
    stride, padding, dilation, groups, layout, padding_mode
        As for `conv2d` or, without groups and padding mode, `max_pool2d`; a stride of None is 1, of a pool the window.
        An average counts its border.
    dtype : {"float32", "float64", "bfloat16"}
        bfloat16 for convolutions: multiplied as it is by some methods, where the processor can, else converted to
        float32 and back; `Candidate.kernel` tells.
    prepared : bool
        Weights packed or transformed beforehand, as in a plan.
    seconds : float
        Time for measuring all methods, each on random data, in turns; 0 only predicts.

    Returns
    -------
    Explanation
        Per method why it cannot serve, or its predicted time (of convolutions), its measured time, its memory beside
        the operands and the result, and the kernel that serves; `Explanation.chosen`; printed, a table. A prediction is
        good to a factor of about 1.5; ``fastconv warmup --tune`` fits the model to this machine.

    Raises
    ------
    InvalidArgument
        No method can serve such a problem, or an argument is wrong.
    TooLarge
        The arrays to measure with do not fit into this machine's memory; `seconds` = 0 needs none.

    Examples
    --------
    >>> import fastconv as fc
    >>> report = fc.explain((1, 1, 512, 512), (1, 1, 63, 63), seconds=0)
    >>> report.chosen
    'fft'
    >>> [c.method for c in report.candidates if c.reason]
    ['winograd']
    >>> fc.explain((8, 64, 112, 112), (2, 2), op="max_pool", seconds=0).candidates[0].kernel
    'reduce_pairs: windows of 2, or 3 around every other column, everything in registers'
    """
    if parse_word(op, "op", (*_OPS, *POOLS)) in POOLS:
        return explain_problem(
            _pool(op, x_shape, w_shape, stride, padding, dilation, groups, layout, padding_mode, dtype),
            prepared=prepared,
            seconds=seconds,
        )
    spec = problem_of_shapes(
        op, x_shape, w_shape, stride=1 if stride is None else stride, padding=padding, dilation=dilation,
        groups=groups, layout=layout, padding_mode=padding_mode, dtype=dtype,
    )  # fmt: skip
    return explain_problem(Problem(_OPS[op], spec), prepared=prepared, seconds=seconds)


def _pool(
    op: str, x_shape: Any, size: Any, stride: Any, padding: Any, dilation: Any, groups: Any, layout: Any, mode: Any,
    dtype: Any,
) -> Problem:  # fmt: skip
    """The pool of a question; what belongs to convolutions must not have been asked for."""
    if groups != 1 or mode != "zeros":
        raise InvalidArgument(
            f"groups is {shown(groups)} and padding_mode {shown(mode)}; {op} has neither: leave 1 and 'zeros'"
        )
    rank = len(parse_shape(x_shape, "x")) - 2
    if rank not in LAYOUTS:
        raise InvalidArgument(f"x_shape is {shown(x_shape)}; expected three to five axes")
    spec = pool_problem(
        x_shape, size, rank=rank, stride=stride, padding=padding, dilation=dilation, layout=layout,
        dtype=parse_dtype(dtype), op=op, count_include_pad=op.startswith("avg"),
    )  # fmt: skip
    return Problem(op, spec)


_OPS = {"conv" if op == "conv" else f"conv_{op}": op for op in CONVOLUTIONS}


def explain_problem(problem: Problem, *, prepared: bool = False, seconds: float = 0.5) -> Explanation:
    """`explain` for a named problem."""
    check_problem(problem)
    spec, op = problem.spec, problem.table_op
    if parse_flag(prepared, "prepared") and op != "conv":
        raise InvalidArgument(f"prepared goes with op 'conv'; {op} takes new operands each time")
    seconds = parse_seconds(seconds, least=0)
    if prepared and isinstance(spec, ConvProblem):
        spec = replace(spec, prepared=True)
    reasons = {row.method: row.reason(spec) for row in dispatch.rows(op) if row.by_auto}
    able = [method for method, reason in reasons.items() if reason is None]
    measured: dict[str, float] = {}
    if seconds > 0:
        arrays = make_arrays(problem, seed=0)
        calls = {method: our_call(problem, arrays, method, prepared=prepared) for method in able}
        measured = {method: timing.minimum for method, timing in interleave(calls, seconds).items()}
    candidates = []
    for method, reason in reasons.items():
        if reason is not None:
            candidates.append(Candidate(method, reason))
            continue
        extra, kernel = dispatch.work(spec, method).extra, dispatch.describe(spec, method)
        predicted = dispatch.predict(spec, method) if isinstance(spec, ConvProblem) else None
        candidates.append(Candidate(method, None, predicted, measured.get(method), extra, kernel))
    chosen = dispatch.choose_method(spec)
    return Explanation(problem, prepared, chosen, tuple(candidates))


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.3g} ms"


def _bytes(count: int | None) -> str:
    if count is None:
        return "-"
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
