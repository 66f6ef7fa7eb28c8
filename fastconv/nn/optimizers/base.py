"""What an optimizer is: how gradients change weights, and what it keeps for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...errors import InvalidArgument
from .. import arguments
from ..configs import resolved
from ..modelling.parts import current as part_of_batch
from .changing import Changing


class Optimizer(Changing):
    """Base of all optimizers.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
        A number, or a function of the number of steps done, such as those of `fastconv.nn.optimizers.schedules`.
    decay : float
        Step t uses ``learning_rate/(1 + decay*t)``.
    weight_decay : float, optional
        Before each step weights become ``(1 - learning_rate*weight_decay)`` times themselves.
    clipnorm : float, optional
        Gradients of one weight array that are longer are scaled to this length.
    clipvalue : float, optional
        Each gradient is brought into [-clipvalue, clipvalue].
    global_clipnorm : float, optional
        Where all gradients together are longer, they are scaled to this length.
    use_ema : bool
        Whether to keep the exponential moving average of every weight, which takes the weights' places when `fit` ends.
    ema_momentum : float
        Share of an average that a step leaves.
    ema_overwrite_frequency : int, optional
        After every so many steps the averages take the weights' places.
    loss_scale_factor : float, optional
        Training multiplies the loss by it, and the step divides the gradients: small ones survive in float16.
    gradient_accumulation_steps : int, optional
        Gradients of so many steps are added up, and the last one changes the weights by their mean.
    lr : float, optional
        Old name of `learning_rate`.
    name : str, optional
    """

    family = "optimizers"
    aliases = ("lr",)
    extensions = ("decay",)
    fills: Mapping[str, float] = {}
    """What slots begin with, where it is not 0."""

    def __init__(
        self,
        learning_rate: Any = 0.01,
        *,
        decay: float = 0.0,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        lr: Any = None,
        name: str | None = None,
    ) -> None:
        def above_zero(name: str, value: Any) -> float | None:
            return None if value is None else arguments.real(self, name, value, above=0, finite=False)

        def whole(name: str, value: Any, least: int) -> int | None:
            return None if value is None else arguments.whole(self, name, value, least)

        self.learning_rate = learning_rate if lr is None else lr
        self.decay = arguments.real(self, "decay", decay, 0)
        self.weight_decay = None if weight_decay is None else arguments.real(self, "weight_decay", weight_decay, 0)
        self.clipnorm, self.clipvalue = above_zero("clipnorm", clipnorm), above_zero("clipvalue", clipvalue)
        self.global_clipnorm = above_zero("global_clipnorm", global_clipnorm)
        if self.global_clipnorm is not None and (self.clipnorm or self.clipvalue):
            raise InvalidArgument(f"`{type(self).__name__}`: pass global_clipnorm, or clipnorm and clipvalue, not both")
        self.use_ema = arguments.flag(self, "use_ema", use_ema)
        self.ema_momentum = arguments.real(self, "ema_momentum", ema_momentum, 0, 1)
        self.ema_overwrite_frequency = whole("ema_overwrite_frequency", ema_overwrite_frequency, 1)
        self.loss_scale_factor = above_zero("loss_scale_factor", loss_scale_factor)
        self.gradient_accumulation_steps = whole("gradient_accumulation_steps", gradient_accumulation_steps, 2)
        self.name = type(self).__name__.lower() if name is None else arguments.text(self, "name", name)
        super().__init__()
        self._undecayed: tuple[set[int], tuple[str, ...]] = set(), ()

    @property
    def learning_rate(self) -> Any:
        """The learning rate, before decay; may be set at any time, to a number or a schedule.

        Of a schedule it is the rate of the next step.
        """
        return self._scheduled() if callable(self._learning_rate) else self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._learning_rate: Any
        value = resolved(value, "optimizers.schedules")
        if callable(value):
            self._learning_rate = arguments.function(self, "learning_rate", value, ("step",))
        else:
            self._learning_rate = arguments.real(self, "learning_rate", value, 0, note=" or a function of the step")

    @property
    def schedule(self) -> Callable[..., Any] | None:
        """The function that gives the learning rate, if there is one."""
        return self._learning_rate if callable(self._learning_rate) else None

    @property
    def all_slots(self) -> tuple[str, ...]:
        more = ("accumulated",) if self.gradient_accumulation_steps else ()
        return (*self.slots, *more, *(("average",) if self.use_ema else ()))

    @property
    def lr(self) -> Any:
        """Old name of `learning_rate`."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        self.learning_rate = value

    def current_rate(self) -> float:
        """The rate of the next step."""
        return self.learning_rate / (1 + self.decay * self.iterations)

    def _scheduled(self) -> float:
        rate = arguments.result_of(self, "learning_rate", self._learning_rate, self.iterations)
        return arguments.real(self, f"learning_rate({self.iterations})", rate, 0)

    def apply(self, weights: Sequence[Any], trainable_variables: Sequence[Tensor] | None = None) -> None:
        """One step: change every weight by its gradient; in a `DataParallel` training, by that of the whole batch.

        What is kept for a weight stays with it: weights may be left out and come back, and new ones may come.

        Parameters
        ----------
        weights : list of Tensor
        trainable_variables : list of Tensor, optional
            Where they are given they are the weights, and what comes first are their gradients, as in Keras.

        Examples
        --------
        >>> from fastconv.nn.optimizers import SGD
        >>> w = Tensor(np.array([1.0]), requires_grad=True)
        >>> (w * w).sum().backward()
        >>> SGD(0.25).apply([w])
        >>> w.data
        array([0.5])
        """
        if trainable_variables is not None:
            return self.apply_gradients(_pairs(weights, trainable_variables))
        if not isinstance(weights, Sequence) or not all(isinstance(w, Tensor) for w in weights):
            raise arguments.wrong(self, "weights", weights, "a list of tensors")
        part = part_of_batch()
        if part is not None:
            part.sum_gradients(weights)
        self._change_all(weights)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Tensor]]) -> None:
        """One step by gradients that are given: pairs (gradient, weight), as Keras's `zip(grads, weights)`.

        Examples
        --------
        >>> from fastconv.nn.optimizers import SGD
        >>> w = Tensor(np.array([1.0]), requires_grad=True)
        >>> SGD(0.25).apply_gradients([(np.array([2.0]), w)])
        >>> w.data
        array([0.5])
        """
        pairs = arguments.items(self, "grads_and_vars", grads_and_vars, "pairs (gradient, weight)")
        for pair in pairs:
            if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[1], Tensor):
                raise arguments.wrong(self, "grads_and_vars", pair, "pairs (gradient, weight), weights being tensors")
        for gradient, w in pairs:
            grad = None if gradient is None else arguments.tensor(self, "a gradient", gradient).values
            if grad is not None and grad.shape != w.shape:
                raise InvalidArgument(
                    f"`{type(self).__name__}`: a gradient has shape {grad.shape} for a weight {w.shape}"
                )
            w.grad = None if grad is None else grad.astype(w.dtype, copy=False)
        self.apply([w for _, w in pairs])

    @property
    def variables(self) -> list[Any]:
        """What the next step depends on: the number of steps, the learning rate, and the arrays kept for weights."""
        return [np.array(self.iterations), np.array(self.learning_rate), *self._states.arrays()]

    def scale_loss(self, loss: Any) -> Any:
        """The loss, or a tensor of it, times `loss_scale_factor`, for gradients that `apply` divides by it."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def exclude_from_weight_decay(self, var_list: Iterable[Tensor] = (), var_names: Iterable[str] = ()) -> None:
        """Let `weight_decay` leave these weights alone, and those whose names hold one of these words."""
        weights = arguments.items(self, "var_list", var_list or (), "a list of weights")
        names = arguments.items(self, "var_names", var_names or (), "a list of names")
        self._undecayed = {id(w) for w in weights}, tuple(arguments.text(self, "var_names", n) for n in names)


def _pairs(gradients: Any, weights: Any) -> list[tuple[Any, Any]]:
    gradients, weights = (
        arguments.items(None, n, v, "a list") for n, v in (("grads", gradients), ("weights", weights))
    )
    if len(gradients) != len(weights):
        raise InvalidArgument(f"there are {len(gradients)} gradients for {len(weights)} weights; expected one for each")
    return list(zip(gradients, weights, strict=True))
