"""The part of ``gpu.py`` that times what memory bounds: pools and depthwise convolution beside a copy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import cuda_problems as problems
import naive
import numpy as np
from cases import Case
from gpu_report import Line
from gpu_times import conv_case, correct, operands, oracle, our_call
from gpu_turns import Call, Target, guarded, rival, take_turns, verdict
from tolerances import tolerance

import fastconv as fc
from fastconv import dispatch
from fastconv.cuda import backend
from fastconv.spec import conv_problem

COPY = Target(0.8, "a copy")
DEPTHWISE = conv_case("depthwise 3x3 128@56", 64, 128, 56, 128, 3, groups=128)
POOL_SHAPE = 64, 64, 112, 112
POOLS = [
    problems.PoolCase("max 2x2", POOL_SHAPE, 2),
    problems.PoolCase("avg 2x2", POOL_SHAPE, 2),
    problems.PoolCase("max 3x3/2", POOL_SHAPE, 3, {"stride": 2, "padding": 1}),
]


def copy_rate(torch: Any, sync: Call, size: int = 1 << 28) -> float:
    """Bytes per second that a copy on the device reads and writes."""
    if torch:
        a, b = (torch.empty(size, dtype=torch.float32, device="cuda") for _ in range(2))
        return 8 * size / take_turns({"copy": lambda: b.copy_(a)}, sync)["copy"]
    a, b = (backend.empty((size,), np.float32) for _ in range(2))
    return 8 * size / take_turns({"copy": lambda: b.copy_to_device(a)}, sync)["copy"]


def pools(torch: Any, sync: Call, rate: float, cases: list[Any]) -> Iterator[Line]:
    """What a pool reads and writes at least, per second, in both layouts; the first plane is checked."""
    verdicts = []
    for case in cases:
        function = getattr(fc, "max_pool2d" if case.name.startswith("max") else "avg_pool2d")
        spec = case.spec(False, count_include_pad=True)
        x = np.random.default_rng(0).standard_normal(case.x_shape, np.float32)
        moved = 4 * (x.size + x.shape[0] * x.shape[1] * int(np.prod(spec.out)))
        plane = x[:1, :1, None].astype(float)
        op = function.__name__.removesuffix("2d")
        exact, _ = problems.reference(op, plane, problems.windows_of(spec), spec.dilation, 2, None)
        for last in (False, True):
            layout = "NHWC" if last else "NCHW"
            there = backend.to_device(naive.to_last(x) if last else x)
            call = partial(function, there, case.size, layout=layout, **case.options)
            y = backend.to_host(call())
            y = y[:1, ..., :1].transpose(0, 3, 1, 2) if last else y[:1, :1]
            good = np.allclose(y, exact[:, :, 0], rtol=0, atol=tolerance("direct", "float32", 9))
            calls = {"ours": call, **({"theirs": _theirs(torch, function, x, case, last)} if torch else {})}
            seconds = take_turns(calls, sync)
            share = moved / seconds["ours"] / rate
            theirs = f"{seconds['theirs'] * 1e3:.4f}" if torch else ""
            figures = f"{seconds['ours'] * 1e3:.4f} | {moved / seconds['ours'] / 1e9:.0f} | {share:.2f} | {theirs}"
            yield Line(f"| {case} | {layout} | {figures} |", "row")
            verdicts.append(verdict(f"{case} {layout}", share, COPY))
            if not good:
                verdicts.append(Line(f"{case} {layout}: wrong", "wrong"))
    yield from verdicts


def _theirs(torch: Any, function: Any, x: np.ndarray, case: Any, last: bool) -> Call:
    form = torch.channels_last if last else torch.contiguous_format
    there = torch.from_numpy(x).cuda().contiguous(memory_format=form)
    return partial(getattr(torch.nn.functional, function.__name__), there, case.size, **case.options)


def depthwise(torch: Any, sync: Call, rate: float, case: Case = DEPTHWISE) -> Iterator[Line]:
    """Forward, by the row that "auto" takes."""
    given, spec = operands(case), conv_problem(case.x_shape, case.w_shape, rank=2, **case.options)
    row = dispatch.find(spec, "auto", "cuda")
    call, read = our_call(row, "conv", case, given, "float32")
    good = correct("conv", case, "float32", f"fastconv {row.method}", call, read, oracle("conv", case, given))
    seconds = take_turns({"ours": call}, sync)["ours"]
    moved = 4 * (given.x.size + given.dy.size)
    yield verdict(f"{case} {row.method}: {seconds * 1e3:.4f} ms, right: {good}", moved / seconds / rate, COPY)
    if not good:
        yield Line(f"{case}: wrong", "wrong")


def memory() -> Iterator[Line]:
    """All of them."""
    torch = rival()
    sync = torch.cuda.synchronize if torch else backend.cuda.synchronize
    rate = copy_rate(torch, sync)
    yield Line(f"a copy on the device: {rate / 1e9:.0f} GB/s read and written")
    yield Line("| problem | layout | ms | GB/s | of a copy | PyTorch ms |", "row")
    yield Line("|---|---|---|---|---|---|", "row")
    yield from guarded(pools(torch, sync, rate, POOLS))
    yield from guarded(depthwise(torch, sync, rate))
