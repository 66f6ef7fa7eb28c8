"""What a model does with files and configurations: its weights, its state, and the model itself."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

from ...errors import InvalidArgument, shown
from .. import arguments
from ..configs import deserialize
from ..files.checkpoints import load_state, load_weights, save_state, save_weights
from ..fitting.training import Trainer
from ..formats.weights import checked_path
from ..saving import architecture, save_model

NOT_OURS = ("run_eagerly", "steps_per_execution", "jit_compile", "auto_scale_loss")
"""Arguments of Keras's `compile` that say how its backends work, and change no result."""


class ModelFiles(Trainer):
    """A model that can be written to files and described."""

    def to_json(self, **options: Any) -> str:
        """The model's layers as text, without weights and how it is compiled; `options` as for ``json.dumps``.

        Examples
        --------
        >>> from fastconv import nn as keras
        >>> model = keras.Sequential([keras.layers.Dense(2, input_shape=(3,))])
        >>> keras.models.model_from_json(model.to_json()).output_shape
        (None, 2)
        """
        return json.dumps(architecture(self), **options)

    def save(self, filepath: Any, overwrite: bool = True, include_optimizer: bool = True) -> None:
        """Write the whole model, complete or not at all: its layers, weights, and all that its training goes on from.

        Parameters
        ----------
        filepath : path
            Ends with .keras: the file is one that Keras 3 reads where it has the layers, and the other way round. With
            .h5 or .hdf5 it is written in the older layout, which Keras 3 reads as well.
        overwrite : bool
            Whether a file that is there may be replaced.
        include_optimizer : bool
            Whether to write how it is compiled, and the optimizer's state.

        Raises
        ------
        InvalidArgument
            The suffix is another one, the model is not built, or something in it cannot be described, such as a lambda.
        MissingExtra
            The package h5py is not installed.
        DataUnavailable
            The file cannot be written.

        Examples
        --------
        >>> model.save("model.keras")  # doctest: +SKIP
        >>> model = keras.models.load_model("model.keras")  # doctest: +SKIP
        >>> model.fit(x, y, epochs=4, initial_epoch=2)  # goes on bit for bit  # doctest: +SKIP
        """
        save_model(self, filepath, overwrite, include_optimizer)

    def get_build_config(self) -> dict[str, Any] | None:
        """For what shape the model is built; None if it is not."""
        return None if self.input_shape is None else {"input_shape": self.input_shape}

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Build for the shape of a configuration."""
        shape = _mapping("build_from_config", config).get("input_shape")
        if shape is not None and not self.built:
            self.build(shape)

    def get_compile_config(self) -> dict[str, Any] | None:
        """How the model is compiled, with the optimizer as it is now; None if it is not."""
        given = vars(self).get("_recorded")
        return None if given is None else {**given, "optimizer": self.optimizer}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile as a configuration says, ours or Keras's."""
        families = {"optimizer": "optimizers", "loss": "losses", "metrics": "metrics", "weighted_metrics": "metrics"}
        known = inspect.signature(type(self).compile).parameters
        told = _mapping("compile_from_config", config)
        given = {k: deserialize(v, family=families.get(k)) for k, v in told.items() if k in known or k not in NOT_OURS}
        others = {k: v for k, v in given.items() if k not in known and v is not None}
        if others:
            raise InvalidArgument(
                f"the model was compiled with {shown(others)}, which fastconv cannot do; load it with compile=False"
            )
        self.compile(**{k: v for k, v in given.items() if k in known})

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write all weights to a file, complete or not at all.

        Parameters
        ----------
        filepath : path
            Ends with .npz or .safetensors; with .weights.h5 for Keras 3's layout, in which a compiled model's optimizer
            is written too, or with .h5 for Keras 2's. Keras reads both.
        overwrite : bool
            Whether a file that is there may be replaced.

        Raises
        ------
        InvalidArgument
            The suffix names no format, the model is not built, or the file is there and may not be replaced.
        MissingExtra
            The format needs a package that is not installed.
        DataUnavailable
            The file cannot be written.
        """
        self._must_be_built()
        if not arguments.flag("save_weights", "overwrite", overwrite) and checked_path(filepath).exists():
            raise InvalidArgument(f"{filepath} is there already; pass overwrite=True to replace it")
        save_weights(self, filepath)

    def load_weights(self, filepath: Any) -> None:
        """Read weights that `save_weights` or Keras wrote; the model stays as it is if anything is wrong with them.

        Parameters
        ----------
        filepath : path
            As for `save_weights`, or a whole model's, .keras or .h5. The optimizer's state is left alone: `load_model`
            and `load_state` bring it back.

        Raises
        ------
        InvalidArgument
            The file's layers or shapes are not the model's: the message names the layer.
        DataUnavailable
            The file does not exist or is damaged.
        """
        if not self.built:
            self.build()
        self._must_be_built()
        load_weights(self, filepath)

    def export(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the model, as it predicts, to an ONNX file, complete or not at all.

        Parameters
        ----------
        filepath : path
            Ends with .onnx.
        overwrite : bool
            Whether a file that is there may be replaced.

        Raises
        ------
        Unsupported
            ONNX has no word for what a layer of your own, or an activation, computes: the message names the layer.
        InvalidArgument
            The suffix is another one, the model is not built, or the file is there and may not be replaced.
        MissingExtra
            The package onnx is not installed.
        DataUnavailable
            The file cannot be written.

        Notes
        -----
        Input and output have the model's own layout, channels-last or -first, and batches of any size; opset 17. What
        other runtimes compute differs from `predict` by rounding. `fastconv.onnx.load` reads the file again.

        Examples
        --------
        >>> model.export("model.onnx")  # doctest: +SKIP
        """
        path = arguments.path("export", "filepath", filepath)
        if path.suffix != ".onnx":
            raise InvalidArgument(f"filepath is {shown(str(path))}; end the name with .onnx")
        self._must_be_built()
        if not arguments.flag("export", "overwrite", overwrite) and path.exists():
            raise InvalidArgument(f"{path} is there already; pass overwrite=True to replace it")
        from ..exporting import export  # here, for few models are exported

        export(self, path)

    def save_state(self, filepath: Any) -> None:
        """Write all that a training run needs to be continued: weights, the optimizer's state, random generators.

        Parameters
        ----------
        filepath : path
            Ends with .npz or .safetensors.

        Examples
        --------
        Four epochs, or two and, later, two more, come to the same:

        >>> model.save_state("run.npz")  # doctest: +SKIP
        >>> model.load_state("run.npz")  # doctest: +SKIP
        >>> model.fit(x, y, epochs=4, initial_epoch=2)  # doctest: +SKIP
        """
        self._compiled()
        self._must_be_built()
        save_state(self, filepath)

    def load_state(self, filepath: Any) -> None:
        """Read what `save_state` wrote, into a model that was built and compiled in the same way."""
        self._compiled()
        if not self.built:
            self.build()
        self._must_be_built()
        load_state(self, filepath)

    def _must_be_built(self) -> None:
        if not self.built:
            raise InvalidArgument("the model has no weights yet; build it first")
        self.passes  # noqa: B018  the layers have their names


def _mapping(owner: str, config: Any) -> Mapping[str, Any]:
    if not isinstance(config, Mapping):
        raise arguments.wrong(owner, "config", config, "a dict, as get_config gives it")
    return config
