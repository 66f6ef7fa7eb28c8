"""Plans: weights packed or transformed once, for many convolutions of inputs of one shape."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .. import memory
from ..dispatch import operator
from ..errors import InvalidArgument, shown
from ..foreign import is_device_array
from ..problem import ConvProblem
from ..spec import LAYOUTS, known_problem, parse_shape
from ._arrays import Operands, are_ready, as_array, contiguous, converted
from ._complex import is_complex
from ._exactness import ZEROS, in_range, judge_filters, suits
from ._kernels import Bound, bind, check_activation
from ._ranks import ranked
from ._repeated import Repeats


class ConvPlan:
    """A convolution whose weights are ready: ``plan(x)`` equals the function it stands for, called with x and w.

    Made by `plan_conv1d`, `plan_conv2d` and `plan_conv3d`. It holds copies of the weights, so later changes to the
    caller's arrays do not reach it, and may be called from several threads at once.

    Attributes
    ----------
    method : str
        The method that serves it, such as "winograd".
    x_shape, y_shape : tuple of int
    dtype : numpy.dtype
        Of x and of the result.
    nbytes : int
        Bytes of memory that the plan keeps: weights as given and as its method needs them.
    """

    def __init__(self, problem: ConvProblem, method: str, operands: Operands, activation: Any) -> None:
        w, b = operands.arrays
        self.dtype = operands.result
        self._bound = bind(problem, method, operands.device)
        self._problem = problem = self._bound.problem
        self._operands, self._activation = operands, activation
        kept = operands.given if problem.dtype == operands.given.name else operands.compute
        self._w, self._b = (w.copy() if w.dtype == kept else converted(w, kept)), None if b is None else b.copy()
        self._filters = None  # what is known of the weights, where "auto" has to look at the data
        if self._bound.guarded:
            self._filters = judge_filters(problem, self.method, self._w)
            if not (self._filters.even and in_range(problem, self._filters, ZEROS)):
                self._bound, self._filters = bind(problem, "direct", operands.device), None
        self._ready = self._bound.prepare(self._w)
        self._repeats = Repeats(noted=self._filters is None)
        self._safe: tuple[Bound, Any] | None = None

    @property
    def method(self) -> str:
        return self._bound.row.method

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self._problem.x_shape

    @property
    def y_shape(self) -> tuple[int, ...]:
        return self._problem.y_shape

    @property
    def nbytes(self) -> int:
        kept = [self._w, self._b, self._ready, self._safe[1] if self._safe else None]
        return sum(_nbytes(item) for item in kept)

    def is_of(self, w: np.ndarray, b: np.ndarray | None = None) -> bool:
        """Whether the plan's weights are these arrays' of float32 or float64, to the last bit.

        Reading both takes a fraction of the time that preparing them anew does.

        Examples
        --------
        >>> import fastconv as fc
        >>> w = np.ones((1, 1, 3, 3))
        >>> plan = fc.plan_conv2d(w, (1, 1, 8, 8))
        >>> plan.is_of(w), plan.is_of(2 * w), plan.is_of(w, np.ones(1))
        (True, False, False)
        """
        return _are_same(self._w, w) and (b is None if self._b is None else b is not None and _are_same(self._b, b))

    def __call__(self, x: Any, *, out: Any = None) -> np.ndarray:
        """The convolution of `x`, of shape `x_shape`, in `out` if that is given."""
        if out is None and are_ready((x,)) and x.dtype == self.dtype == self._w.dtype and x.shape == self.x_shape:
            y = memory.empty(self.y_shape, self.dtype)
            run = self._repeats.run
            if run is None or run(x, x, x, y):
                self._perform(x, None, None, y)
                self._repeats.count(self._perform, x, None, None, y)
            return y
        operands = Operands("x w", self._checked(x), self._w, halves=True)
        operands.result = self.dtype
        y = operands.output(self.y_shape, out)
        self._perform(operands.arrays[0], None, None, y)
        return operands.finish(y, out)

    def _perform(self, x: np.ndarray, _: None, __: None, y: np.ndarray) -> None:
        bound, ready = self._bound, self._ready
        if self._filters is not None and not suits(self._problem, self.method, x, self._filters):
            bound, ready = self._direct()
        bound.run(x, ready, self._b, y, self._activation)

    def __repr__(self) -> str:
        layout = LAYOUTS[self._problem.rank][self._problem.channels_last]
        return f"<ConvPlan {self._problem} {layout} {self.dtype} {self.method}, {self.nbytes:,} bytes>"

    def _checked(self, x: Any) -> np.ndarray:
        x = as_array(x, "x")
        if x.shape != self._problem.x_shape:
            raise InvalidArgument(
                f"x has shape {shown(x.shape)}; this plan is for {self._problem.x_shape}: make another for other shapes"
            )
        if x.dtype != self.dtype and not np.can_cast(x.dtype, self.dtype, "same_kind"):
            raise InvalidArgument(f"x has dtype {x.dtype}; this plan computes in {self.dtype}: cast x, or plan anew")
        return contiguous(x, self._w.dtype)

    def _direct(self) -> tuple[Bound, Any]:
        """What serves input that is not for a transform, under "auto": made when the first such input comes."""
        if self._safe is None:
            bound = bind(self._problem, "direct", self._operands.device)
            self._safe = bound, bound.prepare(self._w)
        return self._safe


@ranked("plan_conv{}d")
def _plan(
    rank: int,
    w: Any,
    x_shape: tuple[int, ...],
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str | None = None,
    padding_mode: str = "zeros",
    activation: Any = None,
    method: str = "auto",
) -> ConvPlan:
    """Prepare `conv2d` with weights `w` for inputs of shape `x_shape`: ``plan(x)`` is then ``conv2d(x, w, b, ...)``.

    Worth it wherever the same weights meet many inputs, as in inference or in filtering the frames of a film: packing
    or transforming the weights costs as much as a tenth of a call for many channels (direct), or more than half of it
    (winograd, fft).

    Parameters
    ----------
    w : array_like, (O, C/groups, KH, KW), or (KH, KW, C/groups, O) with ``layout="NHWC"``
        Filters, float16, float32 or float64; copied. Their dtype is that of the computation.
    x_shape : tuple of int
        Shape of the inputs to come, (N, C, H, W) or (N, H, W, C).
    b : array_like, (O,), optional
        Offset of each output channel; copied.
    stride, padding, dilation, groups, layout, padding_mode, activation, method
        As for `conv2d`. "auto" chooses knowing that the weights cost nothing; input that transforms would spoil (NaN,
        Inf, mixed magnitudes) is still handed to "direct" by it, for which weights are packed when the first comes.

    Returns
    -------
    ConvPlan
        Call it with x, and ``out=`` if y has its place already. `ConvPlan.nbytes` is the memory it keeps: for
        "direct" and "im2col" about the weights again, for "winograd" up to four times, for "fft" the filters' spectra.

    Raises
    ------
    InvalidArgument
        As `conv2d`; or w is complex or on a CUDA device, which plans do not serve.
    Unsupported
        The method named cannot serve this problem.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> w = np.full((1, 1, 3, 3), 1 / 9)
    >>> blur = fc.plan_conv2d(w, (1, 1, 4, 4), padding=1, padding_mode="edge")
    >>> blur(np.ones((1, 1, 4, 4))).round(12)
    array([[[[1., 1., 1., 1.],
             [1., 1., 1., 1.],
             [1., 1., 1., 1.],
             [1., 1., 1., 1.]]]])

    >>> difference = fc.plan_conv1d([[[1.0, -1.0]]], (1, 1, 4))
    >>> difference([[[1.0, 2.0, 4.0, 8.0]]])
    array([[[-1., -2., -4.]]])

    >>> fc.plan_conv3d(np.ones((1, 1, 2, 2, 2)), (1, 1, 2, 2, 2))(np.ones((1, 1, 2, 2, 2)))
    array([[[[[8.]]]]])
    """
    if is_device_array(w) or is_device_array(b):
        raise InvalidArgument("w or b is a CUDA array; plans serve NumPy arrays: call the function itself")
    operands = Operands("w b", w, b, halves=True)
    if is_complex(operands):
        raise InvalidArgument(f"w has dtype {operands.compute}; plans serve real numbers: call the function itself")
    w, b = operands.arrays
    b_shape = None if b is None else b.shape
    shape = parse_shape(x_shape, "x")
    problem = known_problem(
        "conv", shape, w.shape, b_shape, rank, stride, padding, dilation, groups, layout, padding_mode,
        operands.given,
    )  # fmt: skip
    problem = replace(problem, prepared=True)
    return ConvPlan(problem, method, operands, check_activation(activation, operands.compute))


plan_conv1d, plan_conv2d, plan_conv3d = _plan


def _are_same(kept: np.ndarray, array: np.ndarray) -> bool:
    if kept.shape != array.shape or kept.dtype != array.dtype:
        return False
    return operator("same_bits")(kept, np.asarray(array, order="C"))  # type: ignore[no-any-return]


def _nbytes(item: Any) -> int:
    """Bytes of the arrays in what a method prepared."""
    if isinstance(item, np.ndarray):
        return item.nbytes
    return sum(_nbytes(part) for part in item) if isinstance(item, (tuple, list)) else 0
