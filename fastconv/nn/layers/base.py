"""What every layer is: weights with names, a build step, shapes."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from ...autograd import Tensor
from ...autograd import functional as F
from ...errors import InvalidArgument, shown
from ...ops.halves import cast, is_floating
from .. import arguments, constraints, initializers, policies, regularizers
from ..basics import seeding
from ..basics.names import snake_case
from ..basics.structures import is_shape, mapped_shapes
from ..basics.tracking import Holder, Parameter, Way, found_in, walk
from ..basics.unknown import through_unknown
from ..configs import refuse_others
from .calling import Calling
from .custom import described, once
from .sizes import input_image_shape, missing_batch
from .symbols import Shape

_numbers = itertools.count()  # of layers, in the order in which they are made


class Layer(Calling):
    """Base of all layers.

    A layer of your own defines `call`, and `build` and `compute_output_shape` where it has weights or changes shapes.
    Shapes start with None, the batch. Layers and models that it keeps in attributes, or in lists, tuples and dicts
    there, belong to it: they are built, trained, counted, saved, frozen and moved with it.

    Parameters
    ----------
    name : str, optional
        By default the class's name; a model makes it unique.
    input_shape : tuple of int, optional
        Shape of one image, for the first layer of a model.
    trainable : bool
        Whether training changes the weights.
    dtype : str or DTypePolicy, optional
        Of weights and results, or a policy of mixed precision; see `fastconv.nn.mixed_precision`. By default the one
        that is set.
    autocast : bool
        Whether results of 16 bits, and what a layer of 16 bits takes, are converted to what the layer computes in.
    activity_regularizer : str or callable, optional
        What of each result, divided by the number of samples, is added to the loss; see `fastconv.nn.regularizers`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn as keras
    >>> class Double(keras.layers.Layer):
    ...     def call(self, x, training=False):
    ...         return x * 2
    >>> Double()(np.ones((1, 2))).numpy()
    array([[2., 2.]], dtype=float32)
    """

    family = "layers"
    aliases: ClassVar[tuple[str, ...]] = ("input_shape", "batch_input_shape", "autocast")
    extensions: ClassVar[tuple[str, ...]] = ("activity_regularizer",)
    builds_once = True
    """Whether the class's own `build` makes weights, once; that of a model may be called again."""
    graph: Any = None
    """What a model runs; a layer has none."""

    activity_regularizer: Any = None
    _building = _filled = _in_model = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.is_builtin = cls.__module__.startswith(f"{__package__}.")
        if "build" in vars(cls) and vars(cls).get("builds_once", True):
            cls.build = once(cls.build)  # type: ignore[method-assign, assignment]
        own = vars(cls).get("compute_output_shape")
        if inspect.isfunction(own):
            cls.compute_output_shape = through_unknown(own)  # type: ignore[method-assign]

    def __init__(
        self,
        *,
        name: str | None = None,
        input_shape: Any = None,
        batch_input_shape: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        activity_regularizer: Any = None,
        **others: Any,
    ) -> None:
        refuse_others(type(self), others)
        self.name = snake_case(type(self).__name__) if name is None else arguments.text(self, "name", name)
        self.is_named = name is not None
        self.number = next(_numbers)
        self._own: list[Parameter] = vars(self).get("_own", [])
        self._trainable = arguments.flag(self, "trainable", trainable)
        self._policy = policies.get(dtype, self)
        self.autocast = arguments.flag(self, "autocast", autocast)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        if batch_input_shape is not None and input_shape is None:
            expected = "the shape of a batch, such as (None, 28, 28, 1)"
            input_shape = tuple(arguments.items(self, "batch_input_shape", batch_input_shape, expected)[1:])
        self.declared_shape = None if input_shape is None else input_image_shape(self, "input_shape", input_shape)
        self.input_shape: Any = None
        self.output_shape: Any = None

    def __setattr__(self, name: str, value: Any) -> None:
        """A parameter that takes another one's place does so among the weights too."""
        if isinstance(value, Parameter):
            own, old = vars(self).get("_own", []), vars(self).get(name)
            kept = [value if w is old else w for w in own]
            if not any(w is value for w in kept):
                kept.append(value)
            object.__setattr__(self, "_own", list({id(w): w for w in kept}.values()))
        object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        """A copy of a layer is in no model, and in no graph."""
        return {**vars(self), "_in_model": False, "_calls": (), "_homes": (), "_added": ()}

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "dtype": policies.described(self._policy)} if "dtype" in config else config

    @property
    def dtype_policy(self) -> policies.DTypePolicy:
        """What dtypes weights have and the layer computes in; may be set, but for the dtype of weights that are there.

        Examples
        --------
        >>> layer = Layer(dtype="mixed_float16")
        >>> layer.dtype_policy, layer.dtype, layer.compute_dtype
        (<DTypePolicy "mixed_float16">, dtype('float32'), 'float16')
        """
        return self._policy

    @dtype_policy.setter
    def dtype_policy(self, policy: Any) -> None:
        policy = policies.get(policy, self)
        if self._own and policy.variable != self.dtype:
            raise InvalidArgument(
                f"layer {shown(self.name)} has weights of {self.dtype}, so that its policy cannot become "
                f"{shown(policy.name)}; make another layer"
            )
        self._policy = policy

    @property
    def dtype(self) -> np.dtype:
        """The dtype of weights; NumPy's, which equals its name. It is set as `dtype_policy` is."""
        return self._policy.variable

    @dtype.setter
    def dtype(self, value: Any) -> None:
        self.dtype_policy = value

    @property
    def variable_dtype(self) -> str:
        """The name of the dtype of weights."""
        return self._policy.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The name of the dtype that the layer computes in, and makes."""
        return self._policy.compute_dtype

    @property
    def built(self) -> bool:
        """Whether the layer knows its shapes and has its weights; a `build` of your own need not set it to True."""
        return self.input_shape is not None

    @built.setter
    def built(self, value: bool) -> None:
        if value is not True:
            raise InvalidArgument(
                f"built of layer {shown(self.name)} cannot be set to {value!r:.60}; make another layer"
            )

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape; called once."""

    def call(self, x: Any, training: bool = False) -> Any:
        """The layer's result; a layer that does the same in training may leave out the argument `training`."""
        raise NotImplementedError(f"{type(self).__name__} does not define call(x, training)")

    @through_unknown
    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the result for inputs of this shape; by default that of the result for an image of zeros.

        A class need not think of unknown sizes, None: it is asked with two sizes in their place.
        """
        zeros = mapped_shapes(lambda shape: Tensor(np.zeros((1, *shape[1:]), self.dtype)), input_shape)
        return self.shape_of_result(zeros)

    def ensure_built(self, input_shape: Any, result_shape: Callable[[], Any] | None = None) -> None:
        """Build once; afterwards, check that the input still fits.

        Parameters
        ----------
        input_shape : shape, or a structure of shapes
        result_shape : callable, optional
            Finds out the result's, where a layer takes more than one argument; by default `compute_output_shape` does.
        """
        self.check_number(input_shape)
        if self.built:
            self._check_rank(input_shape)
            return
        fresh, own = not self._filled, self._own
        try:
            self.build(input_shape)
            self.output_shape = result_shape() if result_shape else self.compute_output_shape(input_shape)
            inside = (inner for _, inner in walk(self) if inner is not self and isinstance(inner, Layer))
            if not (result_shape or all(inner.built for inner in inside)):
                Layer.compute_output_shape(self, input_shape)  # inner layers are built where they are called
        except BaseException:
            self.output_shape = None
            if fresh:  # what was made for this shape must not stay for the next one
                self._own, self._filled = own, False
            raise
        self.input_shape = input_shape

    def _check_rank(self, input_shape: Any) -> None:
        known = self.input_shape
        if is_shape(input_shape) and is_shape(known) and len(input_shape) != len(known or ()):
            raise InvalidArgument(
                f"layer {shown(self.name)} was built for inputs {known} but gets {input_shape}"
                + missing_batch(input_shape, len(known or ()))
            )

    def refit(self, input_shape: Shape) -> None:
        """Take other shapes with the same weights; built layers that were put into another place need it."""
        if input_shape == self.input_shape:
            return
        before = self.output_shape
        try:
            self.output_shape = None
            self.output_shape = Layer.compute_output_shape(self, input_shape)
        except InvalidArgument as error:
            raise InvalidArgument(
                f"layer {shown(self.name)} was built for inputs {self.input_shape} and cannot take "
                f"{input_shape}: {error}"
            ) from None
        finally:
            self.output_shape = self.output_shape or before
        self.input_shape = input_shape

    def rng(self) -> np.random.Generator:
        """Where random numbers come from: the generator of the model that is being built or run."""
        return seeding.generator()

    def add_weight(
        self,
        *places: Any,
        name: str | None = None,
        shape: Any = None,
        initializer: Any = None,
        regularizer: Any = None,
        constraint: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        fans: tuple[float, float] | None = None,
    ) -> Parameter:
        """Make a weight and keep it in `weights`.

        Parameters
        ----------
        name : str, optional
            May come first; a name that the layer has given already gets a number.
        shape : tuple of int
            Comes first, or after the name; none means a single number.
        initializer : optional
            Comes after the shape; by default "glorot_uniform".
        regularizer, constraint : optional
        trainable : bool
        dtype : dtype, optional
            By default the layer's.
        autocast : bool
            Whether a layer of mixed precision converts it before it computes with it.

        Examples
        --------
        >>> layer = Layer()
        >>> layer.add_weight("scale", (3,), "ones").name, layer.add_weight(shape=(2, 3)).name
        ('scale', 'variable')
        >>> layer.add_weight((2, 2), "zeros", name="scale").name
        'scale_1'
        """
        name, shape, initializer = described(self, places, {"name": name, "shape": shape, "initializer": initializer})
        initializer = initializers.get("glorot_uniform" if initializer is None else initializer)
        dtype = self.dtype if dtype is None else policies.get(dtype, "add_weight").variable
        trainable, autocast = (
            arguments.flag("add_weight", n, v) for n, v in (("trainable", trainable), ("autocast", autocast))
        )
        if not is_floating(dtype):
            raise InvalidArgument(f"layer {shown(self.name)} has dtype {dtype}; weights need one such as 'float32'")
        if isinstance(initializer, initializers.Initializer):
            data = initializer(shape, policies.of_arrays(dtype), rng=self.rng(), fans=fans)
        else:
            made = arguments.result_of(self, "initializer", initializer, shape)
            data = arguments.host_array(self, f"what the initializer of {shown(name)} made", made)
        if data.shape != shape:
            raise InvalidArgument(f"the initializer of {self.name}/{name} made shape {data.shape}; expected {shape}")
        taken = {w.name for w in self.own_weights}
        name = next(n for n in (name, *(f"{name}_{i}" for i in range(1, len(taken) + 2))) if n not in taken)
        weight = Parameter(
            name, np.asarray(cast(data, dtype), order="C"), trainable, regularizers.get(regularizer),
            constraints.get(constraint), autocast,
        )  # fmt: skip
        self._own = [*self._own, weight]
        return weight

    @property
    def own_weights(self) -> list[Parameter]:
        if self.is_builtin:
            return self._own
        listed = {id(w): w for w in self._own}
        listed.update((id(w), w) for _, w in found_in(self._attributes(), Parameter))
        return list(listed.values())

    def held(self) -> Iterator[tuple[Way, Holder]]:
        if not self.is_builtin:
            return found_in(self._attributes(), Holder)
        activation = vars(self).get("activation")  # which may be a layer
        return iter([(("activation",), activation)] if isinstance(activation, Holder) else ())

    def _attributes(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_own", "_given")}

    def live(self, weight: Tensor) -> Tensor:
        """The weight as `call` shall use it: in the dtype that it computes in, and without a gradient while frozen."""
        used = weight if self.trainable else weight.detach()
        dtype = self.weights_are_used_as()
        return F.astype(used, dtype=dtype) if dtype is not None and getattr(weight, "autocast", False) else used

    def weights_are_used_as(self) -> np.dtype | None:
        """The dtype that operations in `call` take weights in which they are given as they are; None: their own."""
        return self._policy.compute if self._policy.is_mixed and self.autocast else None

    def _result_dtype(self, given: np.dtype) -> np.dtype:
        """The dtype of results, for inputs of one."""
        computes = self._policy.compute
        return computes if self.weights or policies.converts(given, computes) else given

    def biases(self, grad: bool = True) -> tuple[Tensor, ...]:
        """The bias, if the layer has one, as an operand; without `grad` as a constant."""
        bias: Tensor | None = vars(self).get("bias")
        if bias is None:
            return ()
        return (self.live(bias) if grad else self.live(bias).detach(),)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.input_shape} -> {self.output_shape}>"


def weight_options(initializer: Any, regularizer: Any, constraint: Any) -> dict[str, Any]:
    """Keywords of `Layer.add_weight`; a name that is not known is refused here, when the layer is made."""
    return {
        "initializer": initializers.get(initializer),
        "regularizer": regularizers.get(regularizer),
        "constraint": constraints.get(constraint),
    }


class Elementwise(Layer):
    """Base of layers whose result has the shape of their input."""

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape
