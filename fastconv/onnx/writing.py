"""ONNX files made node by node: what `fastconv.nn`'s models are exported with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InvalidArgument, quoted
from ..files import write_file
from .package import onnx_package

OPSET, IR = 17, 8  # of 2022: runtimes of these years read them


class Writer:
    """A model in the making; its methods return the names of values.

    Parameters
    ----------
    name : str
    """

    def __init__(self, name: str) -> None:
        self._onnx = onnx_package()
        self._name = name
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._constants: dict[str, np.ndarray] = {}
        self._names: set[str] = set()

    def add(self, op: str, title: str, *inputs: str, **attributes: Any) -> str:
        """A node with one result, whose name, and that of the result, is `title` or begins so."""
        name = self._free(title)
        self._nodes.append(self._onnx.helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def constant(self, title: str, array: Any) -> str:
        """An array of the file."""
        name = self._free(title)
        self._constants[name] = np.asarray(array, order="C")
        return name

    def _free(self, title: str) -> str:
        """A name that no other value has."""
        names = (title, *(f"{title}_{i}" for i in range(1, len(self._names) + 2)))
        name = next(n for n in names if n not in self._names)
        self._names.add(name)
        return name

    def input(self, name: str, shape: tuple[Any, ...], dtype: np.dtype) -> str:
        """An input of the model; None is an open size."""
        self._inputs.append(self._port(self._free(name), shape, dtype))
        return self._inputs[-1].name

    def save(self, path: Any, results: Sequence[tuple[str, tuple[Any, ...]]], dtype: np.dtype) -> None:
        """Check the model, whose outputs are `results`, names and shapes, and write it whole or not at all."""
        helper = self._onnx.helper
        tensors = [self._onnx.numpy_helper.from_array(a, name) for name, a in self._constants.items()]
        ports = [self._port(name, shape, dtype) for name, shape in results]
        graph = helper.make_graph(self._nodes, self._name, self._inputs, ports, tensors)
        model = helper.make_model(
            graph, producer_name="fastconv", ir_version=IR, opset_imports=[helper.make_opsetid("", OPSET)]
        )
        try:
            self._onnx.checker.check_model(model)
            data = model.SerializeToString()
        except ValueError as error:  # protobuf's limit of 2 GiB
            raise InvalidArgument(f"the model cannot be written as one ONNX file: {quoted(error)}") from error
        write_file(path, lambda file: file.write(data))

    def _port(self, name: str, shape: tuple[Any, ...], dtype: np.dtype) -> Any:
        helper = self._onnx.helper
        sizes = [(f"{name}_{axis}" if axis else "N") if n is None else n for axis, n in enumerate(shape)]
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), sizes)
