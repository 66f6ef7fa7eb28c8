"""Measure one problem: check every result, then time fastconv's methods and its rivals in turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from .. import dispatch, ops
from ..dispatch import choose_method
from ..errors import InvalidArgument, Unsupported, shown
from ..problem import ConvProblem, PoolProblem
from ..spec import parse_flag, parse_word
from ..threads import get_num_threads
from .oracle import Arrays, Expected, check_arrays, expect, make_arrays
from .problems import CONVOLUTIONS, Problem, check_problem
from .rivals import Rival
from .rows import METHODS, PLAN, Entry, Row
from .timing import interleave_undisturbed, parse_seconds

Contender = tuple[Entry, Callable[[], Any] | None]  # without a call it is not timed

MOST = 64  # rivals and methods that are looked at


def our_call(
    problem: Problem, arrays: Arrays, method: str = "auto", *, prepared: bool = False
) -> Callable[[], np.ndarray]:
    """The call a user of fastconv would write for a problem: NumPy in, NumPy out; `prepared` with a plan's weights."""
    spec = check_problem(problem).spec
    check_arrays(problem, arrays)
    prepared = parse_flag(prepared, "prepared")
    if not isinstance(spec, ConvProblem):
        return _our_pool(problem, spec, arrays)
    window = _window(problem)
    window |= {"groups": spec.groups, "padding_mode": spec.padding_mode, "method": method}
    x, w, dy = arrays["x"], arrays["w"], arrays["dy"]
    if prepared:
        plan = getattr(ops, f"plan_conv{spec.rank}d")(w, x.shape, **window)
        return lambda: plan(x)
    if problem.op == "conv":
        conv = getattr(ops, f"conv{spec.rank}d")
        return lambda: conv(x, w, **window)
    gradient = getattr(ops, f"conv{spec.rank}d_{problem.op}")
    if problem.op == "input_grad":
        return lambda: gradient(dy, w, x.shape, **window)
    return lambda: gradient(x, dy, w.shape, **window)


def _our_pool(problem: Problem, spec: PoolProblem, arrays: Arrays) -> Callable[[], np.ndarray]:
    size, window, x = spec.kernel[3 - spec.rank :], _window(problem), arrays["x"]
    if problem.op.startswith("avg"):
        window["count_include_pad"] = True
    pooling = getattr(ops, f"{problem.op.replace('pool', f'pool{spec.rank}d')}")
    if problem.op == "max_pool_grad":
        _, indices = getattr(ops, f"max_pool{spec.rank}d")(x, size, return_indices=True, **window)
        return lambda: pooling(arrays["dy"], indices, x.shape, layout=problem.layout)
    if problem.op == "avg_pool_grad":
        return lambda: pooling(arrays["dy"], x.shape, size, **window)
    return lambda: pooling(x, size, **window)


def _window(problem: Problem) -> dict[str, Any]:
    """The arguments that say how windows lie on the input."""
    spec = problem.spec
    first = 3 - spec.rank
    options = {"stride": spec.stride, "padding": spec.padding, "dilation": spec.dilation}
    return {**{name: value[first:] for name, value in options.items()}, "layout": problem.layout}


def compare(
    problem: Problem,
    rivals: Iterable[Rival] = (),
    *,
    methods: Iterable[str] = METHODS,
    seconds: float = 1.0,
    seed: int = 0,
) -> Row:
    """Check, then time, fastconv's `methods` and the `rivals` on one problem, for about `seconds` in all.

    Every result is compared at sampled positions with float64 values computed from the definition, and as a whole with
    fastconv's. Who is wrong is not timed.
    """
    check_problem(problem)
    rivals, methods, seconds = _checked(rivals, methods, seconds)
    arrays = make_arrays(problem, seed)
    expected = expect(problem, arrays)
    chosen = _chosen(problem)
    ours = {method: _variant(problem, method) for method in _wanted(problem, methods)}
    contenders, reference = _our_contenders(problem, arrays, expected, dict.fromkeys(ours.values()))
    for rival in rivals:
        contenders += _rival_contenders(rival, problem, arrays, expected, reference)
    calls = {i: call for i, (_, call) in enumerate(contenders) if call is not None}
    timings, disturbance = interleave_undisturbed(calls, seconds)
    entries = [replace(entry, timing=timings.get(i)) for i, (entry, _) in enumerate(contenders)]
    found = {entry.variant: entry for entry in entries if entry.who == "fastconv"}
    others: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.who != "fastconv":
            others.setdefault(entry.who, []).append(entry)
    own = {method: found[variant] for method, variant in ours.items()}
    return Row(problem, chosen, expected.tolerance, own, others, disturbance)


def _checked(rivals: Any, methods: Any, seconds: Any) -> tuple[list[Rival], list[str], float]:
    try:
        given = list(islice(rivals, MOST)), list(islice(methods, MOST))
    except Exception:  # of what cannot be iterated over
        raise InvalidArgument(
            f"rivals is {shown(rivals)} and methods {shown(methods)}; expected what find_rivals found, and names"
        ) from None
    for rival in given[0]:
        if not isinstance(rival, Rival):
            raise InvalidArgument(f"a rival is {shown(rival)}; expected what find_rivals found")
    words = [parse_word(method, "method", (*dispatch.METHODS, PLAN)) for method in given[1]]
    return given[0], words, parse_seconds(seconds, least=0)


def _chosen(problem: Problem, prepared: bool = False) -> str:
    spec = problem.spec
    return choose_method(replace(spec, prepared=True) if prepared and isinstance(spec, ConvProblem) else spec)


def _wanted(problem: Problem, methods: Iterable[str]) -> Iterable[str]:
    """Of the methods asked for those that make a difference: there are plans for convolutions, one way to pool."""
    if problem.op not in CONVOLUTIONS:
        return ("auto",)
    return tuple(method for method in methods if method != PLAN or problem.op == "conv")


def _variant(problem: Problem, method: str) -> str:
    """How a method is named in a report: auto by what it chose."""
    if method == PLAN:
        return f"{PLAN}: {_chosen(problem, prepared=True)}"
    return _chosen(problem) if method == "auto" else method


def _judge(who: str, variant: str, result: np.ndarray, expected: Expected, reference: np.ndarray | None) -> Entry:
    """Compare a result with the sampled values, and as a whole with a result already found right."""
    error = expected.error(result)
    if error <= expected.tolerance and reference is not None:
        wide = np.result_type(result, np.float32)
        difference = float(np.max(np.abs(result.astype(wide, copy=False) - reference), initial=0.0))
        if not difference <= 2 * expected.tolerance:
            error = math.inf if math.isnan(difference) else difference
    note = "" if error <= expected.tolerance else f"wrong result (error {error:.3g})"
    return Entry(who, variant, error, note=note)


def _our_contenders(
    problem: Problem, arrays: Arrays, expected: Expected, methods: Iterable[str]
) -> tuple[list[Contender], np.ndarray | None]:
    """fastconv's methods, and the first right result."""
    contenders: list[Contender] = []
    reference = None
    for method in methods:
        planned = method.removeprefix(f"{PLAN}: ")
        try:
            call = our_call(problem, arrays, planned, prepared=planned != method)
            result = call()
        except Unsupported as error:
            contenders.append((Entry("fastconv", method, note=str(error)), None))
            continue
        entry = _judge("fastconv", method, result, expected, reference)
        contenders.append((entry, None if entry.note else call))
        if reference is None and not entry.note:
            reference = result
    return contenders, reference


def _rival_contenders(
    rival: Rival, problem: Problem, arrays: Arrays, expected: Expected, reference: np.ndarray | None
) -> list[Contender]:
    """The rival's ways, or the reason why it has none."""
    candidates = rival.candidates(problem, arrays, get_num_threads())
    if isinstance(candidates, str):
        return [(Entry(rival.name, "", note=candidates), None)]
    contenders: list[Contender] = []
    for candidate in candidates:
        result = candidate.to_numpy(candidate.call())
        entry = replace(_judge(rival.name, candidate.label, result, expected, reference), prepared=candidate.prepared)
        contenders.append((entry, None if entry.note else candidate.call))
    return contenders
