"""Batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd import Tensor
from ...autograd import functional as F
from ...errors import InvalidArgument, shown
from .. import arguments, initializers
from ..modelling import parts
from .base import Elementwise, Shape, weight_options


class BatchNormalization(Elementwise):
    """Bring each channel to mean `beta` and standard deviation `gamma` (Ioffe & Szegedy 2015, arXiv:1502.03167).

    In training by the batch's mean and variance, which the moving ones follow; otherwise by the moving ones. Where
    several processes share a batch (`fastconv.nn.distribution`), by those of the whole batch.

    Parameters
    ----------
    axis : int
        Channel axis; -1 for channels-last, 1 for channels-first.
    momentum : float
        Share of the old moving value that a training step keeps.
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether there are `beta` and `gamma`.
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer
        Names or objects of `fastconv.nn.initializers`.
    beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint
        Names or objects of the modules of these names.
    **keywords
        `name`, `input_shape`, `trainable` of every layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn as keras
    >>> layer = keras.layers.BatchNormalization(epsilon=0.0)
    >>> layer(np.array([[1.0], [3.0]]), training=True).numpy()
    array([[-1.],
           [ 1.]], dtype=float32)
    >>> layer.moving_mean.numpy()
    array([0.02], dtype=float32)
    """

    fixed = {"renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99, "synchronized": False}

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.axis = arguments.axis(self, "axis", axis)
        self.momentum = arguments.real(self, "momentum", momentum, 0, 1)
        self.epsilon = arguments.real(self, "epsilon", epsilon, 0)
        self.center, self.scale = arguments.flag(self, "center", center), arguments.flag(self, "scale", scale)
        self.gamma_options = weight_options(gamma_initializer, gamma_regularizer, gamma_constraint)
        self.beta_options = weight_options(beta_initializer, beta_regularizer, beta_constraint)
        self.moving_initializers = tuple(map(initializers.get, (moving_mean_initializer, moving_variance_initializer)))

    def build(self, input_shape: Shape) -> None:
        ndim = len(input_shape)
        if not -ndim < self.axis < ndim or self.axis == 0 or (channels := input_shape[self.axis]) is None:
            raise InvalidArgument(
                f"layer {shown(self.name)} has axis={self.axis} but its input has shape {input_shape}"
            )
        # Keras has no weight where there is no gamma or beta; here it then is a constant
        self.gamma: Tensor = Tensor(np.ones(channels, self.dtype))
        if self.scale:
            self.gamma = self.add_weight("gamma", (channels,), autocast=False, **self.gamma_options)
        self.beta: Tensor = Tensor(np.zeros(channels, self.dtype))
        if self.center:
            self.beta = self.add_weight("beta", (channels,), autocast=False, **self.beta_options)
        mean, variance = self.moving_initializers
        self.moving_mean = self.add_weight("moving_mean", (channels,), mean, trainable=False, autocast=False)
        self.moving_variance = self.add_weight(
            "moving_variance", (channels,), variance, trainable=False, autocast=False
        )

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return self.normalize(x, training)

    def increases(self, x: Tensor) -> bool:
        """Whether the layer leaves the largest of numbers the largest; told for arrays of the host only."""
        gamma = self.gamma.values
        on_host = isinstance(x.values, np.ndarray) and isinstance(gamma, np.ndarray)
        return on_host and bool(gamma.min(initial=np.inf) > 0)

    def normalize(
        self, x: Tensor, training: bool, relu: bool = False, bias: Tensor | None = None, pool: Any = None
    ) -> Tensor:
        """The layer, or with `relu` the layer applied to relu(x), in the same passes over memory.

        The gradient to a `bias` that x holds comes out of them too. With `pool`, a max pool's window, what comes out
        is pooled; the layer must be one that `increases`.
        """
        return F.batch_norm(
            x,
            self.live(self.gamma),
            self.live(self.beta),
            bias,
            running=(self.moving_mean.data, self.moving_variance.data),
            training=training and self.trainable,
            momentum=self.momentum,
            epsilon=self.epsilon,
            axis=self.axis,
            relu=relu,
            pool=pool,
            part=parts.current(),
        )
