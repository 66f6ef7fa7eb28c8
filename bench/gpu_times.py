"""The part of ``gpu.py`` that times convolutions and their gradients beside cuDNN, and one large filter beside CuPy.

Every result is compared with float64 before anything is timed. Our kernels read channels-last arrays and write to
arrays that exist, PyTorch's results come from its pool; cuDNN may have either layout, the better one counts.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import cuda_rows
import naive
import numpy as np
from cases import Case
from gpu_report import Line
from gpu_turns import Call, Target, guarded, optional, rival, take_turns, verdict
from tolerances import tolerance

import fastconv as fc
from fastconv import dispatch
from fastconv.cuda import backend, halves
from fastconv.errors import MissingExtra
from fastconv.spec import conv_problem

BUDGET = 170.0  # seconds for all the times: what does not fit is left out, and said to be
CUDNN = {"float32": Target(0.6, "cuDNN"), "tf32": Target(0.35, "cuDNN"), "bfloat16": Target(0.35, "cuDNN")}


class Problem(NamedTuple):
    """What is timed: a convolution with its gradients or without, and whether the targets are meant for it."""

    case: Case
    ops: tuple[str, ...]
    dtypes: tuple[str, ...]
    counts: bool


HALVES = ("bfloat16", "float16")
EVERY = ("float32", "tf32", *HALVES)
ALL = ("conv", "conv_input_grad", "conv_weight_grad")


def conv_case(name: str, N: int, C: int, size: int, O: int, kernel: int, **options: Any) -> Case:  # noqa: E741, N803
    shape = (O, C // options.get("groups", 1), kernel, kernel)
    return Case(name, (N, C, size, size), shape, {"padding": kernel // 2, **options})


PROBLEMS = [
    Problem(conv_case("3x3 128@28", 128, 128, 28, 128, 3), ALL, EVERY, True),
    Problem(conv_case("3x3 256@14", 128, 256, 14, 256, 3), ALL, EVERY, True),
    Problem(conv_case("1x1 256-64@56", 64, 256, 56, 64, 1), ("conv",), EVERY, False),
    Problem(conv_case("3x3/2 128@56", 64, 128, 56, 128, 3, stride=2), ALL[:2], EVERY[:3], False),
    Problem(conv_case("7x7/2 3-64@224", 64, 3, 224, 64, 7, stride=2), ("conv",), EVERY[:2], False),
]
FILTER = conv_case("filter 15x15 of 2048x2048", 1, 1, 2048, 1, 15)


# --- convolutions


class Operands(NamedTuple):
    """Arrays of a problem on the host, channels-first, and the oracle's result of the first image, or of all."""

    x: np.ndarray
    w: np.ndarray
    dy: np.ndarray


def operands(case: Case) -> Operands:
    """Normal numbers that all dtypes hold exactly."""
    rng = np.random.default_rng(0)
    shapes = case.x_shape, case.w_shape, case.y_shape
    return Operands(*(np.round(rng.standard_normal(s, np.float32) * 16) / 16 for s in shapes))


def oracle(op: str, case: Case, given: Operands) -> np.ndarray:
    """In float64; of a forward convolution and an input gradient the first image alone."""
    if op == "conv":
        return naive.conv(given.x[:1], given.w, **case.plain)
    if op == "conv_input_grad":
        return naive.conv_input_grad(given.dy[:1], given.w, case.size, **case.plain)
    return naive.conv_weight_grad(given.x, given.dy, case.kernel, **case.plain)


def our_call(
    row: dispatch.Row, op: str, case: Case, given: Operands, dtype: str
) -> tuple[Call, Callable[[], np.ndarray]]:
    """A row's kernel on device arrays, channels-last, and what it wrote, channels-first."""
    problem = replace(conv_problem(case.x_shape, case.w_shape, rank=2, op=op, **case.options), channels_last=True)
    host = {"x": naive.to_last(given.x)[:, None], "w": naive.weights_to_last(given.w)[None]}
    host["dy"] = naive.to_last(given.dy)[:, None]
    names = {"conv": ("x", "w", "dy"), "conv_input_grad": ("dy", "w", "x"), "conv_weight_grad": ("x", "dy", "w")}
    *read_names, written = names[op]
    inputs = [_there(host[name], dtype) for name in read_names]
    result = _empty(host[written].shape, dtype)
    operator, options = row.operator(op), {}
    if op == "conv":
        inputs, options = [*inputs, None], {"activation": None}

    def call() -> None:
        with fc.allow_tf32(dtype == "tf32"):
            operator(problem, *inputs, result, **options)

    def read() -> np.ndarray:
        host = np.asarray(_home(result), np.float32)
        return naive.weights_to_first(host[0]) if op == "conv_weight_grad" else naive.to_first(host[:, 0])

    return call, read


def their_call(torch: Any, op: str, case: Case, given: Operands, dtype: str, last: bool) -> tuple[Call, Call]:
    """PyTorch's function in one of its two layouts of memory."""
    kind = {"tf32": "float32"}.get(dtype, dtype)
    form = {"memory_format": torch.channels_last if last else torch.contiguous_format}
    x, w, dy = (torch.from_numpy(a).cuda().to(getattr(torch, kind)).contiguous(**form) for a in given)
    plain = case.plain
    sizes = list(plain["stride"]), [before for before, _ in plain["padding"]], list(plain["dilation"])
    wanted = {"conv_input_grad": [True, False, False], "conv_weight_grad": [False, True, False]}
    kept: list[Any] = []

    def call() -> None:
        torch.backends.cudnn.allow_tf32 = dtype == "tf32"
        if op == "conv":
            result = torch.nn.functional.conv2d(x, w, None, *sizes, plain["groups"])
        else:
            arguments = (None, *sizes, False, [0, 0], plain["groups"], wanted[op])
            both = torch.ops.aten.convolution_backward(dy, x, w, *arguments)
            result = both[0] if op == "conv_input_grad" else both[1]
        kept[:] = [result]

    return call, lambda: kept[0].float().cpu().numpy()


def convolution(problem: Problem, op: str, dtype: str, torch: Any, sync: Call) -> Iterator[Line]:
    """The lines of one table's group: each contender, then the verdict."""
    case, given = problem.case, operands(problem.case)
    exact = oracle(op, case, given)
    calls: dict[str, tuple[Call, Callable[[], np.ndarray]]] = {}
    whole = conv_problem(case.x_shape, case.w_shape, rank=2, op=op, **case.options)
    for row in dispatch.rows(op, "cuda"):
        slow = row.method == "direct" and case.plain["groups"] == 1
        if row.reason(whole) is None and not slow and (row.method != "winograd" or dtype == "float32"):
            calls[f"fastconv {row.method}"] = our_call(row, op, case, given, dtype)
    if torch:
        calls["cuDNN NCHW"] = their_call(torch, op, case, given, dtype, False)
        calls["cuDNN NHWC"] = their_call(torch, op, case, given, dtype, True)
    calls = {name: (call, read) for name, (call, read) in calls.items() if runs(call)}
    wrong = {name for name, (call, read) in calls.items() if not correct(op, case, dtype, name, call, read, exact)}
    seconds = take_turns({name: call for name, (call, _) in calls.items()}, sync)
    best = {
        ours: min((s for n, s in seconds.items() if n.startswith("fastconv") == ours), default=0) for ours in (1, 0)
    }
    flops = 2 * case.y_shape[0] * case.y_shape[1] * np.prod(case.out) * case.w_shape[1] * np.prod(case.kernel)
    for name, s in seconds.items():
        ratio = f"{best[0] / s:.2f}" if best[0] else ""
        text = f"| {op} {case} | {dtype} | {name} | {s * 1e3:.4f} | {flops / s / 1e12:.2f} | {ratio} |"
        yield Line(text, "row")
    for name in sorted(wrong):
        yield Line(f"{op} {case} {dtype}: {name} is further from float64 than its bound", "wrong")
    if best[0] and problem.counts and dtype in CUDNN and op == "conv":
        yield verdict(f"{op} {case} {dtype}", best[0] / best[1], CUDNN[dtype])


def runs(call: Call) -> bool:
    """False where a library that the call needs is not installed."""
    try:
        call()
    except MissingExtra:
        return False
    return True


def correct(op: str, case: Case, dtype: str, name: str, call: Call, read: Callable[[], np.ndarray], exact: Any) -> bool:
    """Is the result within the bound of its method and dtype? cuDNN has the laxest: it chooses methods by itself."""
    call()
    result = read()[: len(exact)].astype(np.float64)
    taps = int(np.prod(case.kernel))
    summed = {"conv": case.w_shape[1] * taps, "conv_input_grad": case.w_shape[0] // case.plain["groups"] * taps}
    terms = summed.get(op, case.x_shape[0] * int(np.prod(case.out)))
    method = name.split()[1] if name.startswith("fastconv") else "auto"
    return bool(np.abs(result - exact).max() <= tolerance(method, dtype, terms))


def filtering(sync: Call, case: Case = FILTER) -> Iterator[Line]:
    """One large filter on one image, beside CuPy."""
    given, cupy = operands(case), optional("cupyx.scipy.ndimage")
    rows = {row.method: row for row in dispatch.rows("conv", "cuda")}
    calls = {
        f"fastconv {m}": our_call(rows[m], "conv", case, given, "float32")[0] for m in ("direct", "fft") if m in rows
    }
    if cupy:
        image, taps = (importlib.import_module("cupy").asarray(a[0, 0]) for a in (given.x, given.w))
        calls["CuPy correlate"] = lambda: cupy.correlate(image, taps, mode="constant")
    calls = {name: call for name, call in calls.items() if runs(call)}
    for name, seconds in take_turns(calls, sync, 5).items():
        yield Line(f"{case}: {name} {seconds * 1e3:.3f} ms")


def times() -> Iterator[Line]:
    """All of them, until the time is used up."""
    torch, start = rival(), time.monotonic()
    versions = [f"{name} {getattr(optional(name), '__version__', 'is not installed')}" for name in ("torch", "cupy")]
    yield Line(f"rivals: {', '.join(versions)}")
    sync = torch.cuda.synchronize if torch else backend.cuda.synchronize
    yield Line("| problem | dtype | contender | ms | TFLOP/s | cuDNN's best / this |", "row")
    yield Line("|---|---|---|---|---|---|", "row")
    late, verdicts = [], []
    tasks = [(p, op, dtype) for p in PROBLEMS for op in p.ops for dtype in p.dtypes]
    for problem, op, dtype in tasks:
        if time.monotonic() - start > BUDGET:
            late.append(f"{op} {problem.case} {dtype}")
            continue
        for line in guarded(convolution(problem, op, dtype, torch, sync)):
            if line.state == "row":
                yield line
            else:
                verdicts.append(line)
    yield from verdicts
    yield from guarded(filtering(sync))
    if late:
        yield Line(f"left out for want of time: {', '.join(late)}", "missed")


# --- arrays on the device


def _there(a: np.ndarray, dtype: str) -> Any:
    if dtype in HALVES:
        return halves.half_of(np.ascontiguousarray(a), cuda_rows.dtype_of(dtype))
    return backend.to_device(np.ascontiguousarray(a, np.float32))


def _empty(shape: tuple[int, ...], dtype: str) -> Any:
    return halves.empty(shape, cuda_rows.dtype_of(dtype)) if dtype in HALVES else backend.empty(shape, np.float32)


def _home(array: Any) -> np.ndarray:
    return halves.to_host(array) if isinstance(array, halves.Half) else backend.to_host(array)
