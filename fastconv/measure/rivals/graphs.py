"""Libraries that compile a model before they run it: ONNX Runtime, OpenVINO, JAX. All weights are packed beforehand."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import numpy as np

from ...problem import ConvProblem
from ..oracle import Arrays
from ..problems import Problem
from .base import Candidate, channels_first, from_channels_first, plain_convolution, window

OPSET, IR = 13, 8  # of ONNX: old enough for any runtime of these years


def onnxruntime_ways(problem: Problem, arrays: Arrays, threads: int) -> list[Candidate] | str:
    """A session of one Conv, with all of its optimizations; its layout is channels first."""
    reason = plain_convolution(problem)
    if reason or problem.spec.dtype != "float32":
        return reason or "float32 only"
    runtime: Any = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    model = _onnx_model(problem, channels_first(problem, arrays["w"], weights=True))
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {"x": channels_first(problem, arrays["x"])}
    call = lambda: session.run(["y"], feed)[0]  # noqa: E731
    return [Candidate("session", call, lambda y: from_channels_first(problem, y), prepared=True)]


def _onnx_model(problem: Problem, w: np.ndarray) -> bytes:
    """A model of one convolution."""
    helper, numbers = import_module("onnx.helper"), import_module("onnx.numpy_helper")
    spec, options = problem.spec, window(problem)
    assert isinstance(spec, ConvProblem)
    node = helper.make_node(
        "Conv",
        ["x", "w"],
        ["y"],
        strides=options["stride"],
        dilations=options["dilation"],
        pads=[side for sides in zip(*options["padding"], strict=True) for side in sides],
        group=spec.groups,
    )
    first = 3 - spec.rank
    kind = import_module("onnx").TensorProto.FLOAT
    x = helper.make_tensor_value_info("x", kind, [spec.N, spec.C, *spec.size[first:]])
    y = helper.make_tensor_value_info("y", kind, [spec.N, spec.O, *spec.out[first:]])
    graph = helper.make_graph([node], "convolution", [x], [y], [numbers.from_array(w, "w")])
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=IR).SerializeToString()


def openvino_ways(problem: Problem, arrays: Arrays, threads: int) -> list[Candidate] | str:
    """A compiled model of one convolution, held to float32, whose tensors are shared with NumPy."""
    reason = plain_convolution(problem)
    if reason or problem.spec.dtype != "float32":
        return reason or "float32 only"
    openvino: Any = import_module("openvino")
    operations: Any = import_module(f"openvino.opset{OPSET}")
    spec, options = problem.spec, window(problem)
    assert isinstance(spec, ConvProblem)
    x, w = channels_first(problem, arrays["x"]), channels_first(problem, arrays["w"], weights=True)
    before, after = ([pair[side] for pair in options["padding"]] for side in (0, 1))
    given = operations.parameter(list(x.shape), np.float32, name="x")
    convolution = operations.convolution
    if spec.groups > 1:  # weights have an axis for the groups
        convolution = operations.group_convolution
        w = w.reshape(spec.groups, -1, *w.shape[1:])
    y = convolution(given, operations.constant(w), options["stride"], before, after, options["dilation"])
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    model = openvino.Core().compile_model(openvino.Model([y], [given], "convolution"), "CPU", settings)
    request = model.create_infer_request()
    call = lambda: request.infer([x], share_inputs=True, share_outputs=True)[0]  # noqa: E731
    return [Candidate("compiled model", call, lambda y: from_channels_first(problem, np.array(y)), prepared=True)]


def jax_ways(problem: Problem, arrays: Arrays, threads: int) -> list[Candidate] | str:
    """XLA's program for one convolution whose weights are constants of it, in the problem's own layout."""
    reason = plain_convolution(problem)
    if reason or problem.spec.dtype != "float32":
        return reason or "float32 only"
    if threads < (os.cpu_count() or 1):
        return "it uses all processors, however many threads are asked for"
    jax: Any = import_module("jax")
    spec, options = problem.spec, window(problem)
    assert isinstance(spec, ConvProblem)
    axes = "DHW"[3 - spec.rank :]
    layouts = (f"N{axes}C", f"{axes}IO", f"N{axes}C") if spec.channels_last else (f"NC{axes}", f"OI{axes}", f"NC{axes}")
    processor = jax.devices("cpu")[0]
    x, w = (jax.device_put(arrays[name], processor) for name in ("x", "w"))

    def convolution(x: Any) -> Any:
        return jax.lax.conv_general_dilated(
            x, w, options["stride"], options["padding"], rhs_dilation=options["dilation"],
            dimension_numbers=layouts, feature_group_count=spec.groups, precision=jax.lax.Precision.HIGHEST,
        )  # fmt: skip

    compiled = jax.jit(convolution).lower(x).compile()
    return [Candidate("jit", lambda: compiled(x).block_until_ready(), np.asarray, prepared=True)]
