"""From a file to a network that can be run."""

from __future__ import annotations

import os
from typing import Any

from ..errors import DataUnavailable, FastconvError, InvalidArgument, Unsupported, quoted, shown
from ..files import brief
from .graph import Graph, graph_of
from .model import Model
from .operators import OPERATORS
from .package import onnx_package
from .simplify import simplify

OLDEST = 7  # version of ONNX's operators: before, broadcasting and BatchNormalization meant something else
NAMED = 3  # nodes that a message names of one kind


def load(path: Any) -> Model:
    """Read a convolution network from an ONNX file, to run it on fastconv's kernels.

    Parameters
    ----------
    path : path, bytes or onnx.ModelProto
        The file, what stands in it, or the model as the package onnx has it. External data are read from the folder of
        the file.

    Returns
    -------
    Model
        Call it with arrays in the layout of the file, (N, C, H, W): see there.

    Raises
    ------
    Unsupported
        Operators, or attributes of theirs, that are not served: all of them at once, with the names of their nodes; or
        operators of a version before 7.
    DataUnavailable
        The file is not there, or is damaged.
    InvalidArgument
        `path` is nothing of the kind, or the file breaks the rules of ONNX.
    MissingExtra
        The package onnx is not installed.

    Notes
    -----
    Scales and shifts behind convolutions, batch normalisation among them, go into their weights, activations into the
    store of the kernel before them. Results differ from those of other runtimes by rounding, about as these do among
    themselves. The weights are kept as in the file, and packed for each shape of the input (see `Model`).

    Examples
    --------
    >>> from fastconv import nn as keras
    >>> model = keras.Sequential([keras.layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1))])
    >>> model.export("model.onnx")  # doctest: +SKIP
    >>> network = load("model.onnx")  # doctest: +SKIP
    >>> network.predict(np.zeros((2, 8, 8, 1), "float32")).shape  # doctest: +SKIP
    (2, 6, 6, 4)
    """
    model, title = _read(path)
    onnx = onnx_package()
    version = max((e.version for e in model.opset_import if e.domain in ("", "ai.onnx")), default=1)
    if version < OLDEST:
        raise Unsupported(
            f"{title} uses version {version} of ONNX's operators; fastconv.onnx reads {OLDEST} and later: convert it "
            "by onnx.version_converter"
        )
    try:
        graph = graph_of(model)
        _check_served(graph, title)
        if model.ByteSize() < onnx.checker.MAXIMUM_PROTOBUF:
            onnx.checker.check_model(model)
        simplify(graph)
    except FastconvError:
        raise
    except Exception as error:  # the checker's own, and what is made of damaged tensors, texts and attributes
        raise InvalidArgument(f"{title} is no sound ONNX model: {quoted(error)}") from error
    return Model(graph)


def _read(path: Any) -> tuple[Any, str]:
    """The ModelProto, and what to call it in messages."""
    onnx = onnx_package()
    if isinstance(path, onnx.ModelProto):
        return path, "the model"
    if isinstance(path, bytes):
        path, title, read = path, "the model", onnx.load_model_from_string
    else:
        try:
            path = os.fspath(path)
            title, read = brief(path), onnx.load_model
        except TypeError:
            raise InvalidArgument(
                f"path is {shown(path)}; expected a path, bytes or a ModelProto of the package onnx"
            ) from None
    try:
        model = read(path)
    except FileNotFoundError as error:
        raise DataUnavailable(f"{title}: {error.filename or title} does not exist; check the name") from None
    except OSError as error:
        raise DataUnavailable(f"{title} cannot be read: {error.strerror or quoted(error)}; check the name") from error
    except Exception as error:  # protobuf's DecodeError, and the checker's for external data
        raise DataUnavailable(f"{title} is damaged or no ONNX file ({quoted(error)}); write it again") from error
    if not model.HasField("graph"):
        raise DataUnavailable(f"{title} is damaged or no ONNX file: it holds no graph; write it again")
    return model, title


def _check_served(graph: Graph, title: str) -> None:
    """All that is not served, in one message."""
    found: dict[str, list[str]] = {}
    for node in graph.nodes:
        if node.op not in OPERATORS:
            found.setdefault(node.op, []).append(node.name)
        elif reason := OPERATORS[node.op].refuses(node):
            found.setdefault(f"{node.op} where {reason}", []).append(node.name)
    if found:
        listed = "; ".join(f"{what} ({_names(nodes)})" for what, nodes in found.items())
        raise Unsupported(f"{title} needs what fastconv.onnx does not serve: {listed}; docs/onnx.md lists what it does")


def _names(nodes: list[str]) -> str:
    more = len(nodes) - NAMED
    return ", ".join(quoted(name, 60) for name in nodes[:NAMED]) + (f" and {more} more" if more > 0 else "")
