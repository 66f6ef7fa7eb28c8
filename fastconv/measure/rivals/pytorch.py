"""PyTorch: as its users call it, and oneDNN behind it with weights packed beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...problem import ConvProblem
from ..oracle import Arrays
from ..problems import Problem
from .base import Candidate, channels_first, from_channels_first, plain_convolution, window

MOST_ALONE = 5e10  # operations of a single channel's convolution that are worth waiting for


def torch_ways(problem: Problem, arrays: Arrays, threads: int) -> list[Candidate] | str:
    spec = problem.spec
    if any(before != after for before, after in spec.padding):
        return "padding differs between the two sides"
    if isinstance(spec, ConvProblem) and spec.padding_mode != "zeros":
        return f"no padding mode {spec.padding_mode} in its functional interface"
    if isinstance(spec, ConvProblem) and spec.C == spec.O == 1 and spec.flops > MOST_ALONE:
        return "a call takes minutes: with one channel there is nothing to keep its units busy"
    import torch

    torch.set_num_threads(threads)
    candidates = [_torch_candidate(torch, problem, arrays, channels_last=False)]
    if spec.rank > 1:
        candidates.append(_torch_candidate(torch, problem, arrays, channels_last=True))
    return candidates


def _torch_candidate(torch: Any, problem: Problem, arrays: Arrays, channels_last: bool) -> Candidate:
    spec = problem.spec
    first = 3 - spec.rank
    form = torch.contiguous_format
    if channels_last:
        form = torch.channels_last if spec.rank == 2 else torch.channels_last_3d

    def tensor(name: str) -> Any:
        array = arrays[name]
        if spec.channels_last:
            array = np.moveaxis(array, (-1, -2), (0, 1)) if name == "w" else np.moveaxis(array, -1, 1)
        if spec.dtype == "bfloat16":  # which PyTorch does not take from NumPy
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).clone(memory_format=form)
        return torch.from_numpy(array).clone(memory_format=form)  # no gradient asked for: nothing is recorded

    def to_numpy(result: Any) -> np.ndarray:
        half = spec.dtype == "bfloat16"
        array = result.view(torch.int16).numpy().view(arrays["x"].dtype) if half else result.numpy()
        if not spec.channels_last:
            return array
        return np.moveaxis(array, (0, 1), (-1, -2)) if problem.op == "weight_grad" else np.moveaxis(array, 1, -1)

    x = tensor("x")
    window = [spec.stride[first:], [p[0] for p in spec.padding[first:]], spec.dilation[first:]]
    call: Callable[[], Any]
    if isinstance(spec, ConvProblem):
        w, dy, groups = tensor("w"), tensor("dy"), spec.groups
        if problem.op == "conv":
            function = getattr(torch.nn.functional, f"conv{spec.rank}d")

            def call() -> Any:
                return function(x, w, None, *window, groups)
        else:
            backward, zeros = torch.ops.aten.convolution_backward, [0] * spec.rank
            which = ("input_grad", "weight_grad").index(problem.op)
            wanted = [which == 0, which == 1, False]

            def call() -> Any:
                return backward(dy, x, w, None, *window, False, zeros, groups, wanted)[which]
    else:
        dy = tensor("dy") if "dy" in arrays else None
        call = _torch_pool(torch, problem.op, spec.rank, x, dy, spec.kernel[first:], *window)
    return Candidate("channels last" if channels_last else "channels first", call, to_numpy)


def _torch_pool(
    torch: Any, op: str, rank: int, x: Any, dy: Any, size: Any, stride: Any, padding: Any, dilation: Any
) -> Callable[[], Any]:
    if op == "max_pool":
        pooling = getattr(torch.nn.functional, f"max_pool{rank}d")
        return lambda: pooling(x, size, stride, padding, dilation)
    if op == "avg_pool":
        pooling = getattr(torch.nn.functional, f"avg_pool{rank}d")
        return lambda: pooling(x, size, stride, padding)
    aten = torch.ops.aten
    if op == "avg_pool_grad":
        backward = getattr(aten, f"avg_pool{rank}d_backward")
        return lambda: backward(dy, x, size, stride, padding, False, True, None)
    _, indices = getattr(aten, f"max_pool{rank}d_with_indices")(x, size, stride, padding, dilation)
    backward = getattr(aten, f"max_pool{rank}d_with_indices_backward")
    return lambda: backward(dy, x, size, stride, padding, dilation, False, indices)


def onednn_ways(problem: Problem, arrays: Arrays, threads: int) -> list[Candidate] | str:
    """The primitive that PyTorch's compiler calls, on weights in the order that oneDNN likes best for them."""
    spec = problem.spec
    reason = plain_convolution(problem, both_sides=False)
    if reason or spec.rank == 1 or spec.dtype != "float32":
        return reason or "float32 images and volumes only"
    import torch

    if not torch.backends.mkldnn.is_available():
        return "this PyTorch is built without oneDNN"
    torch.set_num_threads(threads)
    assert isinstance(spec, ConvProblem)
    options = window(problem)
    stride, padding, dilation = options["stride"], [p[0] for p in options["padding"]], options["dilation"]
    x = torch.from_numpy(channels_first(problem, arrays["x"]))
    w = torch.from_numpy(channels_first(problem, arrays["w"], weights=True)).to_mkldnn()
    reorder = getattr(torch.ops.aten, f"mkldnn_reorder_conv{spec.rank}d_weight")
    packed = reorder(w, padding, stride, dilation, spec.groups, x.shape)
    convolution = torch.ops.mkldnn._convolution_pointwise
    last = torch.channels_last if spec.rank == 2 else torch.channels_last_3d

    def candidate(label: str, x: Any) -> Candidate:
        def call() -> Any:
            return convolution(x, packed, None, padding, stride, dilation, spec.groups, "none", [], "")

        return Candidate(label, call, lambda y: from_channels_first(problem, y.contiguous().numpy()), prepared=True)

    return [candidate("channels first", x), candidate("channels last", x.contiguous(memory_format=last))]
