"""The parts of ``gpu.py`` that ask whether results are right: a smoke test, every row on every case, a small set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cuda_problems as problems
import cuda_rows
import numpy as np
from gpu_report import Line
from tolerances import EXACT, tolerance

from fastconv.cuda import backend, launch
from fastconv.cuda.backend import cuda
from fastconv.errors import MissingExtra

SIZE = 4.0  # of whole numbers from -3 to 3, and their products, in standard deviations of normal numbers'
LARGE_BLOCK = 64 << 10  # bytes of shared memory: more than 48 KB needs leave
SMALL = ("odd tails", "groups", "depthwise")  # one of these for each row under the sanitizer


def row_names() -> list[str]:
    """The CUDA rows of the dispatch table."""
    return [cuda_rows.id_of(row) for row in cuda_rows.ROWS]


# --- smoke


def smoke() -> Iterator[Line]:
    """Does the device compute at all; may a block have more than 48 KB of shared memory?"""
    yield Line(f"device: {backend.require()}, compute capability {backend.executor().capability()}")
    x = np.arange(1000, dtype=np.float32)
    y = backend.empty((1000,), np.float32)
    launch.launch(make_double, (), 4, (backend.to_device(x), y, 1000), dtype="float32", wide=False)
    good = np.array_equal(backend.to_host(y), 2 * x)
    yield Line("a kernel doubles 1,000 numbers", "right" if good else "wrong")
    yield from large_block()


def large_block() -> Iterator[Line]:
    """A block that uses 64 KB."""
    words = LARGE_BLOCK // 4
    y = backend.empty((launch.BLOCK,), np.float32)
    launch.launch(make_large, (words,), 1, (y,), dtype="float32", wide=False, shared=LARGE_BLOCK)
    expected = np.add.reduceat(np.arange(words, dtype=np.float64), np.arange(0, words, words // launch.BLOCK))
    good = np.array_equal(backend.to_host(y), expected.astype(np.float32))
    yield Line(f"a block uses {LARGE_BLOCK >> 10} KB of shared memory", "right" if good else "wrong")


def make_double(T: Any, S: Any, U: Any) -> Any:
    """y = 2 x, one thread per element."""

    def double(x: Any, y: Any, total: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(cuda.blockDim.x) + U(cuda.threadIdx.x))
        if i < U(total):
            y[i] = T(x[i] + x[i])

    return double


def make_large(T: Any, S: Any, U: Any, words: int) -> Any:
    """Thread t writes every BLOCK-th word its own number, then sums its run of words: others have written these."""
    BLOCK, RUN = launch.BLOCK, words // launch.BLOCK

    def large(y: Any) -> None:
        s = cuda.shared.array(0, T)
        t = U(cuda.threadIdx.x)
        for k in range(RUN):
            s[U(U(k * BLOCK) + t)] = T(U(U(k * BLOCK) + t))
        cuda.syncthreads()
        total = T(0)
        for k in range(RUN):
            total += s[U(t * U(RUN) + U(k))]
        y[t] = total

    return large


# --- every row


def one_row(name: str) -> Iterator[Line]:
    """A row on every case and layout, in each dtype."""
    row = next(row for row in cuda_rows.ROWS if cuda_rows.id_of(row) == name)
    cases = problems.CONV_CASES if row.op in problems.CONVOLUTIONS else problems.POOL_CASES
    cases = [case for case in cases if cuda_rows.serves(row, case)]
    try:
        error_share(row, cases[0], False, "float32")
    except MissingExtra as error:
        yield Line(f"{name}: not run: {error}")
        return
    for dtype in cuda_rows.dtypes_of(row):
        wrong: list[str] = []
        worst = 0.0
        for case in cases:
            for last in (False, True):
                share = error_share(row, case, last, dtype)
                worst = max(worst, share)
                if not share <= 1:
                    wrong.append(f"{case} ({'last' if last else 'first'}): {share:.2g}")
        total = 2 * len(cases)
        text = f"{name} {dtype}: {total - len(wrong)} of {total} right, worst {worst:.2g} of what is allowed"
        yield Line(text + (f"; wrong: {', '.join(wrong)}" if wrong else ""), "wrong" if wrong else "right")


def error_share(row: Any, case: Any, channels_last: bool, dtype: str) -> float:
    """The greatest error of a result, as a share of what its method and dtype may have; infinite for a NaN."""
    arrays, expected = cuda_rows.whole_numbers(row, case, unsigned=dtype.startswith("u"))
    result = cuda_rows.run(row, case, channels_last, dtype, arrays)
    kind = cuda_rows.dtype_of(dtype)
    if kind.kind in "iu":  # a window in the padding alone has no maximum: the lowest number stands for it
        expected = np.maximum(expected, np.iinfo(kind).min)
    expected = expected.reshape(result.shape).astype(kind)
    if result.size == 0:
        return 0.0
    with np.errstate(invalid="ignore"):
        error = np.where(result == expected, 0, abs(result.astype(float) - expected.astype(float))).max()
    if np.isnan(error):
        return np.inf
    if kind.kind in "iu" or (row.op in problems.CONVOLUTIONS and row.method in EXACT):
        return np.inf if error else 0.0
    method = row.method if row.op in problems.CONVOLUTIONS and row.method != "direct" else "direct"
    return float(error / (SIZE * tolerance(method, dtype, terms_of(row, case))))


def terms_of(row: Any, case: Any) -> int:
    """Products in a sum, at most."""
    if row.op not in problems.CONVOLUTIONS:
        return int(np.prod(case.x_shape[2:]))
    taps = int(np.prod(case.kernel))
    pixels = case.x_shape[0] * int(np.prod(case.out))
    outputs = case.w_shape[0] // case.plain["groups"]
    return max(1, {"conv": case.w_shape[1] * taps, "conv_input_grad": outputs * taps}.get(row.op, pixels))


def small() -> Iterator[Line]:
    """Every row once, in float32 and what tensor cores multiply: what the sanitizer watches."""
    count = 0
    for row in cuda_rows.ROWS:
        cases = [c for c in problems.CONV_CASES if str(c) in SMALL] if row.op in problems.CONVOLUTIONS else []
        case = next((case for case in cases if cuda_rows.serves(row, case)), problems.POOL_CASES[1])
        for dtype in ("float32", "tf32", "float16"):
            if dtype not in cuda_rows.dtypes_of(row):
                continue
            try:
                share = error_share(row, case, False, dtype)
            except MissingExtra:
                continue
            count += 1
            if not share <= 1:
                yield Line(f"{cuda_rows.id_of(row)} {dtype}: a wrong result", "wrong")
    yield Line(f"{count} small problems run, nothing else found")
