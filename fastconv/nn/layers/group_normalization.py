"""Normalisation of each image by itself: over axes, and over groups of channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd import Tensor
from ...autograd import functional as F
from ...errors import InvalidArgument, shown
from ...ops.halves import is_half
from .. import arguments
from .base import Elementwise, Shape, weight_options
from .sizes import known_axis


class Scaled(Elementwise):
    """What layers with a learnt `gamma` and `beta` share.

    Parameters
    ----------
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether there are `beta` and `gamma`.
    beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint
        Names or objects of the modules of these names.
    **keywords
        `name`, `input_shape`, `trainable` of every layer.
    """

    def __init__(
        self,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.epsilon = arguments.real(self, "epsilon", epsilon, 0)
        self.center, self.scale = arguments.flag(self, "center", center), arguments.flag(self, "scale", scale)
        self.gamma_options = weight_options(gamma_initializer, gamma_regularizer, gamma_constraint)
        self.beta_options = weight_options(beta_initializer, beta_regularizer, beta_constraint)

    def _add_weights(self, shape: tuple[int, ...]) -> None:
        """gamma and beta; a constant where Keras has no weight."""
        self.gamma: Tensor = Tensor(np.ones(shape, self.dtype))
        if self.scale:
            self.gamma = self.add_weight("gamma", shape, autocast=False, **self.gamma_options)
        self.beta: Tensor = Tensor(np.zeros(shape, self.dtype))
        if self.center:
            self.beta = self.add_weight("beta", shape, autocast=False, **self.beta_options)


def own_axes(layer: Elementwise, axis: Any, input_shape: Shape) -> tuple[int, ...]:
    """The axes of an image, counted from 0 and in order, that a layer's `axis` names."""
    chosen = axis if isinstance(axis, tuple) else (axis,)
    arguments.check_axes(layer, "axis", chosen, input_shape)
    axes = tuple(sorted(a % len(input_shape) for a in chosen))
    if not axes or axes[0] == 0:
        raise InvalidArgument(
            f"layer {shown(layer.name)} has axis={axis}; expected axes of {input_shape} other than the batch's"
        )
    return axes


def some_axes(layer: Elementwise, axis: Any) -> int | tuple[int, ...]:
    """One axis or several."""
    found = arguments.axes(layer, "axis", axis)
    if found is None or found == ():
        raise arguments.wrong(layer, "axis", axis, "the number of an axis, or a list of them")
    return found


class LayerNormalization(Scaled):
    """Bring each image to mean `beta` and standard deviation `gamma` over axes (Ba et al. 2016, arXiv:1607.06450).

    ``(x - mean)/sqrt(variance + epsilon)*gamma + beta``, with mean and (biased) variance over the axes.

    Parameters
    ----------
    axis : int or list of int
        The axes; gamma and beta have their sizes.
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether there are `beta` and `gamma`.
    beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint
        Names or objects of the modules of these names.
    **keywords
        `name`, `input_shape`, `trainable` of every layer.

    Examples
    --------
    >>> LayerNormalization(epsilon=0.0)([[1.0, 3.0], [5.0, 9.0]]).numpy()
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer,
            beta_constraint, gamma_constraint, **keywords,
        )  # fmt: skip
        self.axis = some_axes(self, axis)

    def build(self, input_shape: Shape) -> None:
        self._add_weights(tuple(known_axis(self, input_shape, a) for a in own_axes(self, self.axis, input_shape)))

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        gamma, beta = self.live(self.gamma), self.live(self.beta)
        return F.layer_norm(x, gamma, beta, axis=self.axis, epsilon=self.epsilon)


class GroupNormalization(Scaled):
    """Bring each image's groups of channels to mean `beta` and deviation `gamma` (Wu & He 2018, arXiv:1803.08494).

    Mean and (biased) variance are those of a group over all pixels of an image.

    Parameters
    ----------
    groups : int
        Into how many the channels are divided; -1: each channel is one (instance normalisation).
    axis : int
        Channel axis; -1 for channels-last, 1 for channels-first.
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether there are `beta` and `gamma`.
    beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint
        Names or objects of the modules of these names.
    **keywords
        `name`, `input_shape`, `trainable` of every layer.

    Examples
    --------
    >>> x = np.array([[[1.0, 0.0, 5.0, 5.0], [3.0, 4.0, 7.0, 3.0]]])
    >>> GroupNormalization(2, epsilon=0.0)(x).numpy()[0, :, 2].round(3)
    array([0.   , 1.414], dtype=float32)
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer,
            beta_constraint, gamma_constraint, **keywords,
        )  # fmt: skip
        self.groups = arguments.whole(self, "groups", groups, -1, arguments.LARGEST)
        if self.groups == 0:
            raise arguments.wrong(self, "groups", groups, "a whole number of at least 1, or -1 for each channel")
        self.axis = arguments.axis(self, "axis", axis)

    def build(self, input_shape: Shape) -> None:
        (place,) = own_axes(self, self.axis, input_shape)
        channels = known_axis(self, input_shape, place)
        if channels % self._groups(channels):
            raise InvalidArgument(
                f"layer {shown(self.name)} has groups={self.groups}, which must divide the {channels} channels of its "
                f"input {input_shape}"
            )
        self._add_weights((channels,))

    def _groups(self, channels: int) -> int:
        return channels if self.groups == -1 else self.groups

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        gamma, beta = self.live(self.gamma), self.live(self.beta)
        return F.group_norm(
            x, gamma, beta, groups=self._groups(x.shape[self.axis]), axis=self.axis, epsilon=self.epsilon
        )


class RMSNormalization(Elementwise):
    """x over its root mean square along axes, times a learnt `scale` (Zhang & Sennrich 2019, arXiv:1910.07467).

    Parameters
    ----------
    axis : int or list of int
    epsilon : float
        Added to the mean square.
    **keywords
        `name`, `input_shape`, `trainable` of every layer.

    Examples
    --------
    >>> RMSNormalization(epsilon=0.0)([[3.0, 3.0]]).numpy()
    array([[1., 1.]], dtype=float32)
    """

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.axis, self.epsilon = some_axes(self, axis), arguments.real(self, "epsilon", epsilon, 0)

    def build(self, input_shape: Shape) -> None:
        shape = tuple(known_axis(self, input_shape, a) for a in own_axes(self, self.axis, input_shape))
        self.scale = self.add_weight("scale", shape, "ones", autocast=False)
        self.shift = Tensor(np.zeros(shape, self.dtype))

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return F.layer_norm(x, self.live(self.scale), self.shift, axis=self.axis, epsilon=self.epsilon, centred=False)


class UnitNormalization(Elementwise):
    """x over its length along axes; the length is at least 1e-6.

    Parameters
    ----------
    axis : int or list of int
    **keywords
        `name`, `input_shape` of every layer.

    Examples
    --------
    >>> UnitNormalization()([[3.0, 4.0]]).numpy()
    array([[0.6, 0.8]], dtype=float32)
    """

    def __init__(self, axis: Any = -1, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.axis = some_axes(self, axis)

    def build(self, input_shape: Shape) -> None:
        own_axes(self, self.axis, input_shape)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        half = is_half(x.dtype)
        wide = F.astype(x, dtype=np.float32) if half else x
        y = wide / F.sqrt(F.maximum(F.sum(wide * wide, axis=self.axis, keepdims=True), 1e-12))
        return F.astype(y, dtype=x.dtype) if half else y
