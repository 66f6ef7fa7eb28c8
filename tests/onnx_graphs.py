"""ONNX models for tests and benchmarks, made node by node with random weights, and what onnxruntime makes of them."""

from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import onnxruntime
from onnx import helper, numpy_helper


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


def inception(size=17, batch="N"):
    """Branches that are concatenated, a squeeze and excitation, a transposed convolution, a shape that is computed.

    The last is what PyTorch writes for ``x.view(x.size(0), -1)``.
    """
    net = Network(seed=3)
    x = net.input(batch, 3, size, size)
    y = net.add("LeakyRelu", net.conv(x, 3, 8, 3), alpha=0.2)
    for _ in range(2):
        channels = 8
        a = net.add("Relu", net.conv(y, channels, 4, 1))
        b = net.add("Relu", net.norm(net.conv(net.conv(y, channels, 3, 1), 3, 4, (1, 5)), 4))
        pooled = net.add("AveragePool", y, kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1])
        c = net.add("Tanh", net.conv(pooled, channels, 4, 1))
        d = net.add("MaxPool", y, kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1])
        y = net.conv(net.add("Concat", a, b, c, d, axis=1), 20, 8, 1)
    s = net.conv(net.add("GlobalAveragePool", y), 8, 4, 1)
    s = net.add("Sigmoid", net.conv(net.add("Relu", s), 4, 8, 1))
    y = net.add("Mul", y, s)
    up = net.add("ConvTranspose", y, net.floats(8, 4, 2, 2, scale=0.3), strides=[2, 2])
    near = net.add("Resize", y, "", np.array([1, 1, 2, 2], np.float32), mode="nearest")
    y = net.add("Concat", up, near, axis=1)
    count = net.add("Gather", net.add("Shape", y), np.array(0))
    shape = net.add("Concat", net.add("Unsqueeze", count, np.array([0])), np.array([-1]), axis=0)
    y = net.add("Reshape", y, shape)
    features = 12 * 4 * size * size
    y = net.add("Add", net.add("MatMul", y, net.floats(features, 5, scale=features**-0.5)), net.floats(5))
    return net.model(net.add("Softmax", y), s)


def channels_last(batch="N"):
    """As TensorFlow's converter writes networks: images (N, H, W, C), axes turned round every layer."""
    net = Network(seed=4, opset=11)
    x = net.input(batch, 8, 9, 3)
    y = net.add("Transpose", x, perm=[0, 3, 1, 2])
    y = net.add("Pad", y, np.array([0, 0, 1, 0, 0, 0, 2, 1]), mode="constant")
    y = net.add("Relu", net.add("Add", net.conv(y, 3, 4, 3, 2, bias=False, pads=[0] * 4), net.floats(1, 4, 1, 1)))
    y = net.add("Transpose", y, perm=[0, 2, 3, 1])
    y = net.add("Mul", y, net.floats(4))
    y = net.add("Transpose", net.add("Softmax", y, axis=3), perm=[0, 3, 1, 2])
    y = net.add("ReduceMean", y, axes=[2, 3], keepdims=0)
    return net.model(net.add("Gemm", y, net.floats(4, 3), net.floats(1, 3), alpha=0.5, beta=2.0))


def alexnet(batch="N", opset=7):
    """Local response normalisation, groups, attributes as old files have them, initialisers among the inputs."""
    net = Network(seed=5, opset=opset)
    y = net.add("Relu", net.conv(net.input(batch, 3, 35, 35), 3, 8, 5, 2))
    y = net.add("LRN", y, size=5, alpha=0.3, beta=0.75, bias=1.5)
    y = net.add("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2])
    y = net.add("Clip", net.norm(net.conv(y, 8, 12, 3, groups=2), 12), min=-0.5, max=2.0)
    y = net.add("Pad", y, pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="reflect")
    y = net.add("Upsample", y, mode="nearest", scales=[1.0, 1.0, 2.0, 3.0])
    y = net.add("GlobalMaxPool", net.add("Dropout", y, ratio=0.4))
    y = net.add("Dropout", net.add("Gemm", net.add("Flatten", y), net.floats(12, 6), net.floats(6)))
    model = net.model(net.add("Softmax", y, axis=1))
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return model


def zoo(name):
    """A network of the ONNX zoo, as the package onnx brings it, with random weights in the place of its constants."""
    path = Path(onnx.backend.test.__file__).parent / "data" / "light" / f"light_{name}.onnx"
    model = onnx.load(path)
    rng = np.random.default_rng(6)
    known = {n.output[0]: numpy_helper.to_array(n.attribute[0].t) for n in model.graph.node if n.op_type == "Constant"}
    known |= {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = known[node.input[0]].tolist()
        if len(shape) > 1:
            weights = rng.standard_normal(shape, dtype=np.float32) * np.float32(2 / np.prod(shape[1:])) ** 0.5
        else:
            weights = rng.random(shape, dtype=np.float32) + np.float32(0.5)
        model.graph.initializer.append(numpy_helper.from_array(weights, node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.ir_version = 8  # whose initialisers need not be inputs
    return model
