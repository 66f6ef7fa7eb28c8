"""ONNX models for the tests and benchmarks, made node by node with random weights, and what onnxruntime makes of them."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


class Network:
    """A model that grows node by node; its methods return the name of a node's result."""

    def __init__(self, seed=0, opset=17, dtype=np.float32):
        self.rng, self.opset, self.dtype = np.random.default_rng(seed), opset, np.dtype(dtype)
        self.nodes, self.initializers, self.inputs = [], [], []

    def input(self, *shape, name="x", dtype=None):
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype or self.dtype))
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, array):
        array = np.asarray(array)
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def floats(self, *shape, scale=1.0, least=None):
        """A constant of normal numbers, or of numbers between `least` and `least` + 1."""
        array = self.rng.standard_normal(shape) * scale if least is None else self.rng.random(shape) + least
        return self.constant(array.astype(self.dtype))

    def add(self, op, *inputs, outputs=1, **attributes):
        names = [f"{op.lower()}{len(self.nodes)}" + (f"_{i}" if i else "") for i in range(outputs)]
        arguments = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        self.nodes.append(helper.make_node(op, arguments, names, f"node_{names[0]}", **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x, channels, filters, kernel, stride=1, groups=1, bias=True, **attributes):
        kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        w = self.floats(filters, channels // groups, *kernel, scale=(channels // groups * np.prod(kernel)) ** -0.5)
        attributes = {"pads": [k // 2 for k in kernel] * 2, "strides": [stride] * len(kernel), **attributes}
        if groups > 1:
            attributes["group"] = groups
        return self.add("Conv", x, w, *([self.floats(filters)] if bias else []), **attributes)

    def norm(self, x, channels):
        scale, shift, mean = self.floats(channels, least=0.5), self.floats(channels), self.floats(channels)
        return self.add("BatchNormalization", x, scale, shift, mean, self.floats(channels, least=0.5))

    def model(self, *outputs):
        """The ModelProto with these outputs."""
        infos = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph(self.nodes, "network", self.inputs, infos, self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 8
        inferred = onnx.shape_inference.infer_shapes(model)
        kinds = {i.name: i for i in inferred.graph.value_info}
        for i, name in enumerate(outputs):
            known = kinds.get(name)
            if known is None or not known.type.tensor_type.elem_type:
                known = helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(self.dtype), None)
            model.graph.output[i].CopyFrom(known)
        return model


def session(model, threads=2, optimized=True):
    """onnxruntime's session of a model, or of the file that it is in."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    return onnxruntime.InferenceSession(source, options, ["CPUExecutionProvider"])


def by_onnxruntime(model, *arrays):
    """All outputs of a model by onnxruntime, node by node as they stand in it."""
    run = session(model, optimized=False)
    return run.run(None, dict(zip((i.name for i in run.get_inputs()), arrays, strict=True)))


def resnet18(width=64, size=224, classes=1000, batch="N"):
    """A ResNet-18 (He et al. 2015): basic blocks, projections where they change the size, batch normalisation."""
    net = Network(seed=18)
    x = net.input(batch, 3, size, size)
    y = net.add("Relu", net.norm(net.conv(x, 3, width, 7, 2, bias=False), width))
    y = net.add("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = width
    for stage in range(4):
        for block in range(2):
            filters, stride = width << stage, 2 if stage and not block else 1
            z = net.add("Relu", net.norm(net.conv(y, channels, filters, 3, stride, bias=False), filters))
            z = net.norm(net.conv(z, filters, filters, 3, bias=False), filters)
            if channels != filters:
                y = net.norm(net.conv(y, channels, filters, 1, stride, bias=False), filters)
            y, channels = net.add("Relu", net.add("Add", z, y)), filters
    y = net.add("Flatten", net.add("GlobalAveragePool", y))
    w = net.floats(classes, channels, scale=channels**-0.5)
    return net.model(net.add("Gemm", y, w, net.floats(classes), transB=1))


def mobilenet_v2(width=1.0, size=224, classes=1000, batch="N"):
    """A MobileNetV2 (Sandler et al. 2018): inverted residuals, depthwise filters, ReLU6."""
    net = Network(seed=2)

    def layer(x, channels, filters, kernel, stride=1, groups=1, clip=True):
        y = net.norm(net.conv(x, channels, filters, kernel, stride, groups, bias=False), filters)
        return net.add("Clip", y, np.float32(0), np.float32(6)) if clip else y

    def scaled(n):
        return max(8, int(n * width + 4) // 8 * 8)

    channels = scaled(32)
    y = layer(net.input(batch, 3, size, size), 3, channels, 3, 2)
    table = (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
    for expansion, filters, repeats, stride in table:
        filters = scaled(filters)
        for block in range(repeats):
            hidden, step = channels * expansion, stride if block == 0 else 1
            z = layer(y, channels, hidden, 1) if expansion > 1 else y
            z = layer(layer(z, hidden, hidden, 3, step, hidden), hidden, filters, 1, clip=False)
            y = net.add("Add", y, z) if step == 1 and channels == filters else z
            channels = filters
    last = max(scaled(1280), 1280 if width >= 1 else 64)
    y = net.add("GlobalAveragePool", layer(y, channels, last, 1))
    y = net.add("Reshape", y, np.array([0, -1]))
    return net.model(net.add("Gemm", y, net.floats(classes, last, scale=last**-0.5), net.floats(classes), transB=1))
