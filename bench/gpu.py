"""Everything there is to do on a machine with a GPU, in one run: ``python bench/gpu.py`` (or ``make gpu``).

Runs every CUDA row of the dispatch table on every small problem of the tests against the oracle; runs the tests' GPU
part under compute-sanitizer where that is installed; times convolutions against PyTorch/cuDNN and CuPy where they are
installed, each result checked first; trains a small network on Fashion-MNIST where the data are. Writes all of it, with
date, card and versions, to docs/gpu/. Exit status: 0 if all that ran was right, 1 if not, 2 if there is no GPU.
"""

from __future__ import annotations

import datetime
import importlib
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import fastconv as fc
from fastconv import config, dispatch
from fastconv.cuda import backend
from fastconv.errors import DataUnavailable, DeviceMissing

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
PACKAGES = ("fastconv", "numpy", "numba", "numba-cuda", "cuda-bindings", "torch", "cupy-cuda13x", "cupy-cuda12x")
#: N, C, height and width, O, kernel: layers of ResNet-50 and VGG-16.
SHAPES = [
    (32, 64, 56, 64, 3), (32, 128, 28, 128, 3), (32, 256, 14, 256, 3), (32, 512, 7, 512, 3), (32, 256, 56, 64, 1),
    (32, 3, 224, 64, 7), (16, 256, 56, 256, 3),
]  # fmt: skip
ROUNDS = 20
Line = tuple[str, bool]  # text, and whether it is as it should be


def correctness() -> Iterator[Line]:
    """Every row, case and layout against float64."""
    problems = importlib.import_module("cuda_problems")
    methods = {op: [row.method for row in dispatch.rows(op, "cuda")] for op in problems.CONVOLUTIONS}
    for op in problems.CONVOLUTIONS:
        for method in methods[op]:
            wrong, ran = [], 0
            for case in problems.CONV_CASES:
                if method == "winograd" and not _is_winograd(case):
                    continue
                for last in (False, True):
                    ran += 1
                    actual, expected = problems.convolve(op, method, case, last)
                    tolerance = 2e-5 * np.abs(expected).max(initial=1) if method == "winograd" else 0
                    if not np.allclose(actual, expected, rtol=0, atol=tolerance):
                        wrong.append(f"{case} ({'NHWC' if last else 'NCHW'})")
            yield (
                f"{op} {method}: {ran - len(wrong)} of {ran} right{': wrong: ' if wrong else ''}{', '.join(wrong)}",
                not wrong,
            )
    for op in problems.POOLS:
        pairs = [pair for case in problems.POOL_CASES for last in (0, 1) for pair in problems.pool(op, case, last)]
        wrong = sum(not np.allclose(*pair, rtol=1e-6, atol=1e-6, equal_nan=True) for pair in pairs)
        yield f"{op}: {len(pairs) - wrong} of {len(pairs)} right", not wrong


def _is_winograd(case: Any) -> bool:
    plain = case.plain
    ones = (1,) * case.rank
    return case.w_shape[2:] == (3, 3) and tuple(plain["stride"]) == tuple(plain["dilation"]) == ones


def sanitizer() -> Iterator[Line]:
    """One small test run under each tool of compute-sanitizer."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        yield "compute-sanitizer is not installed: not run", True
        return
    for check in ("memcheck", "racecheck"):
        command = [tool, "--tool", check, "--error-exitcode", "9", sys.executable, "-m", "pytest", "-q", "-x"]
        done = subprocess.run(
            [*command, "tests/test_cuda.py", "-k", "on_a_gpu"], cwd=ROOT, capture_output=True, text=True
        )
        yield f"{check}: {'nothing found' if done.returncode == 0 else done.stdout[-500:]}", done.returncode == 0


def timings() -> Iterator[Line]:
    """Milliseconds, median of rounds in which all contenders take turns; each is checked before."""
    yield "| problem | contender | ms | TFLOP/s | greatest error / greatest result |", True
    yield "|---|---|---|---|---|", True
    for N, C, size, O, kernel in SHAPES:
        rng = np.random.default_rng(0)
        x, w = (
            rng.standard_normal((N, C, size, size), np.float32),
            rng.standard_normal((O, C, kernel, kernel), np.float32),
        )
        exact = fc.conv2d(x[:1].astype(float), w.astype(float), padding=kernel // 2)
        contenders = dict(_contenders(x, w, kernel // 2))
        errors = {}
        for name, call in contenders.items():
            result = np.asarray(_to_host(call()))[:1].astype(float)
            errors[name] = np.abs(result - exact).max() / np.abs(exact).max()
        times = _take_turns(contenders)
        for name, seconds in times.items():
            rate = 2 * N * O * size * size * C * kernel * kernel / seconds / 1e12
            problem, error = f"n{N}c{C}h{size}w{size}_o{O}k{kernel}", errors[name]
            text = f"| {problem} | {name} | {seconds * 1e3:.3f} | {rate:.2f} | {error:.1e} |"
            yield text, bool(error < 0.02)


def _contenders(x: np.ndarray, w: np.ndarray, padding: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    there, weights = backend.to_device(x), backend.to_device(w)

    def ours(method: str, tf32: bool) -> Any:
        with fc.allow_tf32(tf32):
            return fc.conv2d(there, weights, padding=padding, method=method)

    yield "fastconv im2col", lambda: ours("im2col", False)
    yield "fastconv im2col TF32", lambda: ours("im2col", True)
    if w.shape[2] == 3:
        yield "fastconv winograd", lambda: ours("winograd", False)
    half, half_weights = backend.to_device(x.astype(np.float16)), backend.to_device(w.astype(np.float16))
    yield "fastconv im2col float16", lambda: fc.conv2d(half, half_weights, padding=padding, method="im2col")
    torch = _optional("torch")
    if torch and torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True
        a, b = torch.from_numpy(x).cuda(), torch.from_numpy(w).cuda()

        def theirs(a: Any, b: Any, tf32: bool) -> Any:
            torch.backends.cudnn.allow_tf32 = tf32
            return torch.nn.functional.conv2d(a, b, padding=padding)

        yield "PyTorch (cuDNN)", lambda: theirs(a, b, False)
        yield "PyTorch (cuDNN) TF32", lambda: theirs(a, b, True)
        yield "PyTorch (cuDNN) float16", lambda: theirs(a.half(), b.half(), False)
    cupy = _optional("cupyx.scipy.signal")
    if cupy and x.shape[1] == w.shape[0] == 1:
        import cupy as cp

        image, taps = cp.asarray(x[0, 0]), cp.asarray(w[0, 0])
        yield "CuPy correlate2d", lambda: cupy.correlate2d(image, taps, mode="same")


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _to_host(result: Any) -> Any:
    if hasattr(result, "copy_to_host"):
        return result.copy_to_host()
    return result.cpu().numpy() if hasattr(result, "cpu") else result.get() if hasattr(result, "get") else result


def _take_turns(contenders: dict[str, Callable[[], Any]]) -> dict[str, float]:
    from numba import cuda

    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, call in contenders.items():
            cuda.synchronize()
            start = time.perf_counter()
            call()
            cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def training(images: np.ndarray, labels: np.ndarray, epochs: int = 1, batch: int = 128) -> float:
    """Train convolution, ReLU, max-pooling and a dense layer, kernels on CUDA; the accuracy on the last tenth."""
    rng = np.random.default_rng(0)
    images = images.reshape(len(images), 1, *images.shape[1:3]).astype(np.float32) / images.max()
    held = len(images) // 10
    size = (images.shape[2] // 2) * (images.shape[3] // 2)
    w = rng.standard_normal((16, 1, 3, 3), np.float32) / 3
    dense = rng.standard_normal((16 * size, labels.max() + 1), np.float32) / np.sqrt(16 * size)

    def forward(x: np.ndarray) -> tuple[np.ndarray, ...]:
        y = fc.conv2d(x, w, padding=1, activation="relu", device="cuda")
        pooled, where = fc.max_pool2d(y, 2, return_indices=True, device="cuda")
        z = pooled.reshape(len(x), -1) @ dense
        e = np.exp(z - z.max(1, keepdims=True))
        return y, pooled, where, e / e.sum(1, keepdims=True)

    for _ in range(epochs):
        order = rng.permutation(len(images) - held)
        for first in range(0, len(order), batch):
            chosen = order[first : first + batch]
            x = images[chosen]
            y, pooled, where, p = forward(x)
            p[np.arange(len(x)), labels[chosen]] -= 1
            p /= len(x)
            back = (p @ dense.T).reshape(pooled.shape).astype(np.float32)
            dense -= 0.3 * (pooled.reshape(len(x), -1).T @ p)
            dy = fc.max_pool2d_grad(back, where, y.shape, device="cuda") * (y > 0)
            w -= 0.3 * fc.conv2d_weight_grad(x, dy, w.shape, padding=1, device="cuda")
    guesses = [forward(images[-held:][i : i + batch])[3].argmax(1) for i in range(0, held, batch)]
    return float((np.concatenate(guesses) == labels[-held:]).mean())


def fashion_mnist() -> Iterator[Line]:
    """One epoch; more than 80 % must be right."""
    from fastconv.nn.datasets import fashion_mnist as data

    if config.data_dir() is None:
        yield "FASTCONV_DATA is not set: not trained", True
        return
    try:
        (images, labels), _ = data.load_data()
    except DataUnavailable as error:
        yield f"not trained: {error}", True
        return
    start = time.perf_counter()
    accuracy = training(images, labels.astype(np.int64))
    yield f"one epoch: {time.perf_counter() - start:.1f} s, {accuracy:.1%} of held-back images right", accuracy > 0.8


def machine(name: str) -> list[str]:
    """Card, driver and versions."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.max.sm", "--format=csv,noheader"]
    smi = subprocess.run(query, capture_output=True, text=True).stdout.strip() if shutil.which(query[0]) else ""
    lines = [f"- card: {name}", f"- nvidia-smi: {smi or 'not installed'}", f"- Python {sys.version.split()[0]}"]
    for package in PACKAGES:
        try:
            lines.append(f"- {package} {version(package)}")
        except PackageNotFoundError:
            lines.append(f"- {package}: not installed")
    return lines


def report(name: str, folder: Path) -> bool:
    """Run all parts and write what they say; True if all of it is as it should be."""
    today = datetime.datetime.now(datetime.UTC)
    text, right = [f"# {name}, {today:%Y-%m-%d %H:%M} UTC", "", *machine(name)], True
    parts = {"Correctness": correctness, "Sanitizer": sanitizer, "Times": timings, "Fashion-MNIST": fashion_mnist}
    for title, part in parts.items():
        text += ["", f"## {title}", ""]
        try:
            for line, good in part():
                print(line, flush=True)
                is_row = line.startswith("|")
                text.append(
                    line if is_row and good else f"{'' if is_row else '- '}{line}{'' if good else ' **WRONG**'}"
                )
                right &= good
        except Exception as error:  # one part that fails must not cost the others
            text.append(f"- **FAILED**: {type(error).__name__}: {error}")
            right = False
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{today:%Y-%m-%d}-{name.replace(' ', '-').lower()}.md"
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    print(path)
    return right


def main() -> int:
    """Report where there is a GPU; else say in one line what is missing."""
    try:
        if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"):
            raise DeviceMissing("NUMBA_ENABLE_CUDASIM is set: that is a simulator, not a GPU")
        name = backend.require()
    except DeviceMissing as error:
        print(f"no GPU: {error}", file=sys.stderr)
        return 2
    return 0 if report(name, ROOT / "docs" / "gpu") else 1


if __name__ == "__main__":
    sys.exit(main())
