"""The libraries fastconv is compared with: how each does a problem, at its best.

An adapter imports its library only when asked for. Everything that can be done before the call is done before it, in
the rival's favour: PyTorch gets tensors in its own types and both of its layouts, SciPy its worker threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from ..problem import ConvProblem
from ..spec import parse_word
from .oracle import Arrays
from .problems import Problem


@dataclass(frozen=True)
class Candidate:
    """One way of a library to do a problem: a call to time, and how to get its result in the problem's layout."""

    label: str
    call: Callable[[], Any]
    to_numpy: Callable[[Any], np.ndarray]


@dataclass(frozen=True)
class Rival:
    """A library; `candidates(problem, arrays, threads)` is a list, or the reason why it cannot do the problem."""

    name: str
    module: str
    install: str
    candidates: Callable[[Problem, Arrays, int], list[Candidate] | str]

    def installed(self) -> bool:
        """Whether its module can be found (it is not imported)."""
        return find_spec(self.module) is not None


def _torch(problem: Problem, arrays: Arrays, threads: int) -> list[Candidate] | str:
    spec = problem.spec
    if any(before != after for before, after in spec.padding):
        return "padding differs between the two sides"
    if isinstance(spec, ConvProblem) and spec.padding_mode != "zeros":
        return f"no padding mode {spec.padding_mode} in its functional interface"
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
        return torch.from_numpy(array).clone(memory_format=form)  # no gradient asked for: nothing is recorded

    def to_numpy(result: Any) -> np.ndarray:
        array = result.numpy()
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


def _one_image(problem: Problem) -> str | None:
    """Why an image or signal library cannot do a problem: it filters one plane, and leaves its size as it is."""
    spec = problem.spec
    if not isinstance(spec, ConvProblem) or problem.op != "conv":
        return "filters only"
    if (spec.N, spec.C, spec.O) != (1, 1, 1):
        return "one image of one channel only"
    if max(spec.stride) > 1 or max(spec.dilation) > 1:
        return "neither stride nor dilation"
    if spec.out != spec.size or any(before != after for before, after in spec.padding) or spec.padding_mode != "zeros":
        return 'zero padding of "same" size only'
    return None


def _plane(problem: Problem, arrays: Arrays) -> tuple[np.ndarray, np.ndarray, Callable[[Any], np.ndarray]]:
    """The image, the filter, and how a filtered image gets the problem's shape."""
    spec = problem.spec
    first = 3 - spec.rank
    assert isinstance(spec, ConvProblem)
    image = arrays["x"].reshape(spec.size[first:])
    return image, arrays["w"].reshape(spec.kernel[first:]), lambda y: np.asarray(y).reshape(spec.y_shape)


def _scipy(problem: Problem, arrays: Arrays, threads: int) -> list[Candidate] | str:
    reason = _one_image(problem)
    if reason:
        return reason
    fft, ndimage, signal = (import_module(f"scipy.{name}") for name in ("fft", "ndimage", "signal"))
    image, w, to_numpy = _plane(problem, arrays)
    flipped = np.flip(w).copy()

    def transformed(function: Any) -> Callable[[], Any]:
        def call() -> Any:
            with fft.set_workers(threads):
                return function(image, flipped, mode="same")

        return call

    candidates = [
        Candidate("signal.fftconvolve", transformed(signal.fftconvolve), to_numpy),
        Candidate("signal.oaconvolve", transformed(signal.oaconvolve), to_numpy),
    ]
    if w.size > 81:  # beyond, the direct ones take seconds and the transforms are far ahead
        return candidates
    candidates.append(Candidate("ndimage.correlate", lambda: ndimage.correlate(image, w, mode="constant"), to_numpy))
    if image.ndim == 2:
        candidates.append(Candidate("signal.correlate2d", lambda: signal.correlate2d(image, w, "same"), to_numpy))
    return candidates


def _opencv(problem: Problem, arrays: Arrays, threads: int) -> list[Candidate] | str:
    reason = _one_image(problem) or (None if problem.spec.rank == 2 else "images only")
    if reason:
        return reason
    cv2: Any = import_module("cv2")
    cv2.setNumThreads(threads)
    image, w, to_numpy = _plane(problem, arrays)
    call = lambda: cv2.filter2D(image, -1, w, borderType=cv2.BORDER_CONSTANT)  # noqa: E731
    return [Candidate("filter2D", call, to_numpy)]


RIVALS = {
    "torch": Rival("torch", "torch", "pip install torch", _torch),
    "scipy": Rival("scipy", "scipy", "pip install scipy", _scipy),
    "opencv": Rival("opencv", "cv2", "pip install opencv-python-headless", _opencv),
}


def find_rivals(names: tuple[str, ...] | None = None) -> tuple[list[Rival], list[Rival]]:
    """The rivals of these names (default: all) that are installed, and those that are not."""
    if names is not None and not isinstance(names, (tuple, list)):
        raise InvalidArgument(f"names is {shown(names)}; expected a list of some of {', '.join(RIVALS)}")
    words = [parse_word(name, "rival", tuple(RIVALS)) for name in (RIVALS if names is None else names)]
    chosen = [RIVALS[name] for name in dict.fromkeys(words)]
    return [rival for rival in chosen if rival.installed()], [rival for rival in chosen if not rival.installed()]
