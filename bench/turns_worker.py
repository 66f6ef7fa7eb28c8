"""One side of ``turns.py``: a process that has one checkout's fastconv and times the problems it is told to.

A request is a line of JSON, ``{"problem": [...], "seconds": s}``; the answer is a line with the seconds of a call, the
shortest of those that were taken. Only what is public is called, so that two commits that differ inside can be timed.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

BATCH = 0.001  # seconds of a batch of calls at least: a clock is no part of a call
WARMED = 0.03  # seconds of calls before the first is timed: threads of the other process have come to rest by then
Call = Callable[[], Any]


def main() -> None:
    """Answer until there is nothing more to read."""
    import fastconv

    answers = sys.stdout
    sys.stdout = sys.stderr  # what a model prints is no answer
    named = dict(own_problems())
    hello = {"fastconv": fastconv.__file__, "named": {group: list(problems) for group, problems in named.items()}}
    print(json.dumps(hello), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        kind, *rest = request["problem"]
        call = of_suite(*rest) if kind == "suite" else named[kind][rest[0]]()
        print(json.dumps({"seconds": shortest(call, request["seconds"])}), file=answers, flush=True)
        del call


def shortest(call: Call, seconds: float) -> float:
    """Seconds of a call in the fastest batch of as many batches as fill `seconds`, three at least."""
    call()
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < WARMED:
        call()
        count += 1
    size = max(1, round(count / WARMED * BATCH))
    best, turns, started = float("inf"), 0, time.perf_counter()
    while turns < 3 or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        for _ in range(size):
            call()
        best = min(best, (time.perf_counter() - before) / size)
        turns += 1
    return best


def of_suite(text: str, layout: str, dtype: str) -> Call:
    """The call of a problem of ``fastconv bench``, as `listed` names it."""
    from fastconv import measure

    problem = measure.parse_problem(text, layout=layout, dtype=dtype)
    return measure.our_call(problem, measure.make_arrays(problem))


def listed(suite: str) -> list[tuple[str, str, str]]:
    """What names the problems of a suite: text, layout and dtype."""
    from fastconv import measure

    return [(str(p), p.layout, str(p.spec.dtype)) for p in measure.suite(suite)]


def own_problems() -> Iterator[tuple[str, dict[str, Callable[[], Call]]]]:
    """What no suite holds: tiny calls, where all is overhead, and whatever else runs a kernel."""
    yield "small", small()
    yield "medium", {**pooling(), **products_and_layers(), **training()}


def normal(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def on(function: Callable[..., Any], *shapes: tuple[int, ...], dtype: str = "float32") -> Callable[[], Call]:
    """What makes the call of a function on arrays of these shapes."""

    def make() -> Call:
        arrays = [normal(*shape, dtype=dtype) for shape in shapes]
        return lambda: function(*arrays)

    return make


def on_tape(operation: Callable[..., Any], *shapes: tuple[int, ...], back: bool = True) -> Callable[[], Call]:
    """The same for a recorded operation; with its gradients."""
    from fastconv.autograd import Tensor

    def make() -> Call:
        tensors = [Tensor(normal(*shape), requires_grad=True) for shape in shapes]
        dy = np.ones(operation(*tensors).shape, np.float32)
        return (lambda: operation(*tensors).backward(dy)) if back else (lambda: operation(*tensors))

    return make


def small() -> dict[str, Callable[[], Call]]:
    """Tiny calls: what one costs before its kernel runs."""
    import fastconv as fc
    from fastconv.autograd import functional as F

    image, filters, pooled = (1, 8, 8, 8), (8, 8, 3, 3), (1, 8, 16, 16)

    def conv(**options: Any) -> Callable[..., Any]:
        return lambda x, w, b=None: fc.conv2d(x, w, b, padding=1, **options)

    def planned() -> Call:
        plan, x = fc.plan_conv2d(normal(*filters), image, padding=1), normal(*image)
        return lambda: plan(x)

    return {
        "conv2d": on(conv(), image, filters),
        "conv2d, bias and relu": on(conv(activation="relu"), image, filters, (8,)),
        "conv2d, channels last": on(conv(layout="NHWC"), image, (3, 3, 8, 8)),
        "conv2d, im2col": on(conv(method="im2col"), image, filters),
        "conv2d, winograd": on(conv(method="winograd"), image, filters),
        "conv2d, reflect": on(conv(padding_mode="reflect"), image, filters),
        "conv2d, float64": on(conv(), image, filters, dtype="float64"),
        "conv2d, depthwise": on(conv(groups=8), image, (8, 1, 3, 3)),
        "conv2d, 1x1": on(fc.conv2d, image, (8, 8, 1, 1)),
        "conv2d, one channel": on(conv(), (1, 1, 8, 8), (1, 1, 3, 3)),
        "plan_conv2d": planned,
        "conv1d": on(lambda x, w: fc.conv1d(x, w, padding=1), (1, 8, 64), (8, 8, 3)),
        "conv3d": on(lambda x, w: fc.conv3d(x, w, padding=1), (1, 4, 4, 4, 4), (4, 4, 3, 3, 3)),
        "conv_transpose2d": on(lambda x, w: fc.conv_transpose2d(x, w, stride=2), image, filters),
        "conv2d_input_grad": on(lambda dy, w: fc.conv2d_input_grad(dy, w, image, padding=1), image, filters),
        "conv2d_weight_grad": on(lambda x, dy: fc.conv2d_weight_grad(x, dy, filters, padding=1), image, image),
        "max_pool2d": on(lambda x: fc.max_pool2d(x, 2), pooled),
        "max_pool2d with indices": on(lambda x: fc.max_pool2d(x, 2, return_indices=True), pooled),
        "max_pool1d": on(lambda x: fc.max_pool1d(x, 2), (1, 8, 64)),
        "avg_pool2d": on(lambda x: fc.avg_pool2d(x, 2), pooled),
        "avg_pool2d_grad": on(lambda dy: fc.avg_pool2d_grad(dy, pooled, 2), image),
        "lp_pool2d": on(lambda x: fc.lp_pool2d(x, 2), pooled),
        "global_avg_pool2d": on(fc.global_avg_pool2d, pooled),
        "adaptive_avg_pool2d": on(lambda x: fc.adaptive_avg_pool2d(x, 4), pooled),
        "unfold2d": on(lambda x: fc.unfold2d(x, 3), image),
        "matmul": on(fc.matmul, (8, 8), (8, 8)),
        "choose_method": on(lambda: fc.choose_method(image, filters, padding=1)),
        "F.conv2d": on_tape(lambda x, w: F.conv2d(x, w, padding=1), image, filters, back=False),
        "F.conv2d and back": on_tape(lambda x, w: F.conv2d(x, w, padding=1), image, filters),
        "F.max_pool2d": on_tape(lambda x: F.max_pool2d(x, size=2), pooled, back=False),
        "F.softmax": on_tape(F.softmax, (8, 8), back=False),
        "F.batch_norm": on_tape(F.batch_norm, (8, 8), (8,), (8,), back=False),
    }


def pooling() -> dict[str, Callable[[], Call]]:
    """Pools and convolutions that no suite holds, unfolding, and long signals."""
    import fastconv as fc

    image, signal = (8, 64, 56, 56), (1, 1, 2_000_000)
    return {
        "max_pool2d with indices": on(lambda x: fc.max_pool2d(x, 3, stride=2, return_indices=True), image),
        "max_pool2d, dilated": on(lambda x: fc.max_pool2d(x, 3, stride=1, dilation=2, padding=2), image),
        "lp_pool2d": on(lambda x: fc.lp_pool2d(x, 2), image),
        "avg_pool2d, stride 1": on(lambda x: fc.avg_pool2d(x, 5, stride=1, padding=2), image),
        "global_avg_pool2d": on(fc.global_avg_pool2d, image),
        "global_max_pool2d": on(fc.global_max_pool2d, image),
        "adaptive_avg_pool2d": on(lambda x: fc.adaptive_avg_pool2d(x, 7), image),
        "max_pool3d": on(lambda x: fc.max_pool3d(x, 2), (2, 16, 16, 28, 28)),
        "max_pool1d of a signal": on(lambda x: fc.max_pool1d(x, 5, stride=2), signal),
        "avg_pool1d of a signal": on(lambda x: fc.avg_pool1d(x, 101, stride=1), signal),
        "unfold2d": on(lambda x: fc.unfold2d(x, 3, padding=1), (4, 32, 28, 28)),
        "fold2d": on(lambda x: fc.fold2d(x, (4, 32, 28, 28), 3, padding=1), (4, 288, 784)),
        "conv1d of a signal": on(lambda x, w: fc.conv1d(x, w, padding=4), signal, (1, 1, 9)),
        "conv1d, dilated": on(lambda x, w: fc.conv1d(x, w, dilation=16), (4, 64, 4096), (64, 64, 2)),
        "conv_transpose2d": on(
            lambda x, w: fc.conv_transpose2d(x, w, stride=2, padding=1), (8, 64, 28, 28), (64, 32, 4, 4)
        ),
        "conv2d, reflect": on(
            lambda x, w: fc.conv2d(x, w, padding=1, padding_mode="reflect"), (8, 32, 56, 56), (32, 32, 3, 3)
        ),
        "conv2d, complex": on(
            lambda x, w: fc.conv2d(x, w, padding=1), (2, 16, 32, 32), (16, 16, 3, 3), dtype="complex64"
        ),
    }


def products_and_layers() -> dict[str, Callable[[], Call]]:
    """Matrix products, and what layers do beside convolutions, forward and back."""
    import fastconv as fc
    from fastconv.autograd import functional as F

    maps = (32, 28, 28, 64)
    return {
        "matmul 512x512x512": on(fc.matmul, (512, 512), (512, 512)),
        "matmul 64x512x3136": on(fc.matmul, (64, 3136), (3136, 512)),
        "matmul 128x10x512, transposed": on(lambda a, b: fc.matmul(a, b, transpose_b=True), (128, 512), (10, 512)),
        "softmax": on_tape(F.softmax, (256, 1000)),
        "batch_norm": on_tape(F.batch_norm, maps, (64,), (64,)),
        "batch_norm, relu": on_tape(lambda x, g, b: F.batch_norm(x, g, b, relu=True), maps, (64,), (64,)),
        "dropout": on_tape(lambda x: F.dropout(x, rate=0.5, seed=1), maps),
        "relu": on_tape(F.relu, maps),
        "tanh": on_tape(F.tanh, maps),
    }


def training() -> dict[str, Callable[[], Call]]:
    """A step of training, and prediction, of the lectures' network."""

    def model() -> Any:
        from fastconv import nn

        made = nn.applications.lecture_cnn(seed=1)
        made.compile(optimizer="adam", loss="categorical_crossentropy")
        return made

    x, y = normal(64, 28, 28, 1), np.eye(10, dtype=np.float32)[np.arange(64) % 10]

    def step() -> Call:
        made = model()
        return lambda: made.train_on_batch(x, y)

    def predict() -> Call:
        made = model()
        return lambda: made.predict(x, verbose=0)

    return {"a training step": step, "prediction": predict}


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(listed(sys.argv[1])))
    else:
        main()
