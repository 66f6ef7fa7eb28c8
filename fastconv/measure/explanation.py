"""Why "auto" takes the method it takes: each method's reason not to serve, its predicted and its measured time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .. import dispatch
from ..errors import InvalidArgument
from ..ops.choice import problem_of_shapes
from ..problem import ConvProblem
from ..spec import parse_flag
from .comparison import our_call
from .oracle import make_arrays
from .problems import CONVOLUTIONS, Problem, check_problem
from .timing import interleave, parse_seconds


@dataclass(frozen=True)
class Candidate:
    """One method and one problem; times in seconds, `extra` in bytes beside the operands and the result.

    `reason` tells why the method cannot serve; then there are no figures.
    """

    method: str
    reason: str | None
    predicted: float | None = None
    measured: float | None = None
    extra: int | None = None


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
            mark = "  <- auto" if c.method == self.chosen else ""
            figures = f"{_ms(c.predicted):>11}{_ms(c.measured):>11}{_bytes(c.extra):>11}"
            lines.append(f"{c.method:<10}{figures}{mark}" if c.reason is None else f"{c.method:<10}  {c.reason}")
        return "\n".join(lines)


def explain(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    *,
    op: str = "conv",
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str | None = None,
    padding_mode: str = "zeros",
    dtype: Any = "float32",
    prepared: bool = False,
    seconds: float = 0.5,
) -> Explanation:
    """Show what each method would make of a convolution on this machine's CPU, and which one "auto" takes.

    Parameters
    ----------
    x_shape, w_shape : tuple of int
        Shapes of the input and the weights, as for `conv1d`, `conv2d` or `conv3d`.
    op : {"conv", "conv_input_grad", "conv_weight_grad"}
    stride, padding, dilation, groups, layout, padding_mode
        As for `conv2d`.
    dtype : {"float32", "float64"}
    prepared : bool
        Weights packed or transformed beforehand, as in a plan.
    seconds : float
        Time for measuring all methods, each on random data, in turns; 0 only predicts.

    Returns
    -------
    Explanation
        Per method why it cannot serve, or its predicted time, its measured time and its memory beside the operands and
        the result; `Explanation.chosen`; printed, a table. A prediction is good to a factor of about 1.5; ``fastconv
        warmup --tune`` fits the model to this machine.

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
    """
    spec = problem_of_shapes(
        op, x_shape, w_shape, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        padding_mode=padding_mode, dtype=dtype,
    )  # fmt: skip
    return explain_problem(Problem(_OPS[op], spec), prepared=prepared, seconds=seconds)


_OPS = {"conv" if op == "conv" else f"conv_{op}": op for op in CONVOLUTIONS}


def explain_problem(problem: Problem, *, prepared: bool = False, seconds: float = 0.5) -> Explanation:
    """`explain` for a named problem."""
    check_problem(problem)
    spec, op = problem.spec, problem.table_op
    if not isinstance(spec, ConvProblem):
        raise InvalidArgument(f"problem is {problem}; a pooling has one method only, nothing is chosen")
    if parse_flag(prepared, "prepared") and op != "conv":
        raise InvalidArgument(f"prepared goes with op 'conv'; {op} takes new operands each time")
    seconds = parse_seconds(seconds, least=0)
    spec = replace(spec, prepared=prepared)
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
        extra, predicted = dispatch.work(spec, method).extra, dispatch.predict(spec, method)
        candidates.append(Candidate(method, None, predicted, measured.get(method), extra))
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
