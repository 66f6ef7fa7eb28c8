"""ONNX files of other frameworks on fastconv's kernels, against onnxruntime and, in float64, onnx's reference."""

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnx_graphs as graphs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from onnx_graphs import Network, by_onnxruntime

import fastconv as fc
from fastconv.errors import DataUnavailable, FastconvError, InvalidArgument, Unsupported
from fastconv.onnx.operators import OPERATORS

NETWORKS = {
    "resnet": lambda: graphs.resnet18(8, 64, 10),
    "mobilenet": lambda: graphs.mobilenet_v2(0.25, 64, 10),
    "inception": graphs.inception,
    "channels last": graphs.channels_last,
    "alexnet, opset 7": graphs.alexnet,
    "alexnet, opset 9": lambda: graphs.alexnet(opset=8),
}


def inputs_of(model, batch, seed=1):
    """Random arrays for the inputs of a model, its initialisers left out."""
    rng, constants = np.random.default_rng(seed), {tensor.name for tensor in model.graph.initializer}
    ports = [port for port in model.graph.input if port.name not in constants]
    sizes = [[d.dim_value or batch for d in port.type.tensor_type.shape.dim] for port in ports]
    return [rng.standard_normal(size, dtype=np.float32) for size in sizes]


def outputs_of(result):
    return result if isinstance(result, tuple) else (result,)


def assert_same(results, expected, rtol=2e-5):
    """Equal to rounding of float32, relative to the largest of a result."""
    for y, wanted in zip(outputs_of(results), expected, strict=True):
        assert (y.shape, y.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_allclose(y, wanted, rtol=rtol, atol=rtol * np.abs(wanted).max(initial=0))


def check(model, *arrays, rtol=2e-5):
    """What fastconv makes of a model, the first time and the second, is what onnxruntime makes of it."""
    network, expected = fc.onnx.load(model), by_onnxruntime(model, *arrays)
    for _ in range(2):
        assert_same(network(*arrays), expected, rtol)
    return network


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    model = NETWORKS[name]()
    network = fc.onnx.load(model)
    for batch in (2, 1, 2):
        arrays = inputs_of(model, batch)
        assert_same(network(*arrays), by_onnxruntime(model, *arrays))


@pytest.mark.parametrize(
    "name",
    [
        "squeezenet",
        "shufflenet",
        *(pytest.param(n, marks=pytest.mark.slow) for n in
          ("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "vgg19", "zfnet512")),
    ],
)  # fmt: skip
def test_networks_of_the_zoo(name):
    model = graphs.zoo(name)
    expected = by_onnxruntime(model, *inputs_of(model, 1))
    assert np.ptp(expected[0]) > 0
    assert_same(fc.onnx.load(model)(*inputs_of(model, 1)), expected, rtol=1e-4)


def test_float64_is_computed_in_float64():
    net = Network(dtype=np.float64)
    y = net.norm(net.conv(net.input("N", 3, 9, 8), 3, 6, 3, 2), 6)
    y = net.add("Add", net.add("Relu", y), net.conv(y, 6, 6, 3, groups=3))
    y = net.add("AveragePool", y, kernel_shape=[2, 2], ceil_mode=1, strides=[2, 2])
    model = net.model(net.add("Gemm", net.add("Flatten", y), net.floats(36, 4), net.floats(4)))
    x = np.random.default_rng(1).standard_normal((2, 3, 9, 8))
    expected = ReferenceEvaluator(model).run(None, {"x": x})
    assert_same(fc.onnx.load(model)(x), expected, rtol=1e-12)


# --- operators --------------------------------------------------------------------------------------------------------


@st.composite
def convolutions(draw):
    """A model of one convolution, or transposed one, of any rank, and the shape of its input."""
    rank, transposed = draw(st.integers(1, 3)), draw(st.booleans())
    groups, inner, outer = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    axis = st.tuples(*(st.integers(1, 3) for _ in range(3)), st.integers(0, 2), st.integers(0, 2), st.integers(0, 4))
    axes = draw(st.lists(axis, min_size=rank, max_size=rank))
    kernel, stride, dilation, before, behind, more = map(list, zip(*axes, strict=True))
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    attributes = {"strides": stride, "dilations": dilation, "group": groups}
    if transposed:
        size = [m + 3 for m in more]
        before, behind = ([min(p, e // 2) for p, e in zip(pads, extent, strict=True)] for pads in (before, behind))
        attributes["output_padding"] = [draw(st.integers(0, s - 1)) for s in stride]  # onnxruntime takes no more
    else:
        size = [e + m for e, m in zip(extent, more, strict=True)]
    auto = "NOTSET" if transposed else draw(st.sampled_from(("NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")))
    if auto == "NOTSET":
        attributes["pads"] = before + behind
    else:
        attributes |= {"auto_pad": auto, "dilations": [1] * rank}
    net = Network(seed=draw(st.integers(0, 99)))
    x = net.input("N", inner * groups, *size)
    channels = (inner * groups, outer) if transposed else (outer * groups, inner)
    bias = [net.floats(outer * groups)] if draw(st.booleans()) else []
    op = "ConvTranspose" if transposed else "Conv"
    y = net.add(op, x, net.floats(*channels, *kernel), *bias, **attributes)
    after = draw(st.sampled_from(("", "Relu", "Sigmoid", "Tanh", "LeakyRelu", "Clip", "norm", "shift", "scale")))
    if after == "norm":
        y = net.norm(y, outer * groups)
    elif after in ("shift", "scale"):
        y = net.add("Add" if after == "shift" else "Mul", net.floats(outer * groups, *[1] * rank), y)
    elif after:
        y = net.add(after, y, *([np.float32(-0.5), np.float32(0.7)] if after == "Clip" else []))
    return net.model(y), (draw(st.integers(1, 2)), inner * groups, *size)


@settings(max_examples=60)
@given(convolutions())
def test_convolutions(case):
    model, shape = case
    check(model, np.random.default_rng(0).standard_normal(shape, dtype=np.float32))


@st.composite
def pools(draw):
    """A model of one pool."""
    rank, op = draw(st.integers(1, 3)), draw(st.sampled_from(("MaxPool", "AveragePool", "LpPool")))
    axis = st.tuples(*(st.integers(1, 3) for _ in range(2)), st.integers(0, 2), st.integers(0, 2), st.integers(0, 4))
    axes = draw(st.lists(axis, min_size=rank, max_size=rank))
    size, stride, before, behind, more = map(list, zip(*axes, strict=True))
    attributes = {"kernel_shape": size, "strides": stride}
    if draw(st.booleans()):
        attributes["auto_pad"] = draw(st.sampled_from(("VALID", "SAME_UPPER", "SAME_LOWER")))
    else:
        attributes["pads"] = [min(p, k - 1) for p, k in zip(before + behind, size * 2, strict=True)]
        if op != "LpPool" and attributes["pads"] == [0] * 2 * rank:
            attributes["ceil_mode"] = draw(st.integers(0, 1))
    if op == "AveragePool":
        attributes["count_include_pad"] = draw(st.integers(0, 1))
    net = Network()
    shape = [k + m for k, m in zip(size, more, strict=True)]
    return net.model(net.add(op, net.input("N", 2, *shape), **attributes)), (2, 2, *shape)


@settings(max_examples=60)
@given(pools())
def test_pools(case):
    model, shape = case
    check(model, np.random.default_rng(0).standard_normal(shape, dtype=np.float32))


def test_places_of_maxima():
    net = Network()
    y, places = net.add(
        "MaxPool", net.input("N", 3, 6, 5), outputs=2, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 0, 1]
    )
    model = net.model(y, places)
    model.graph.output[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
    check(model, np.random.default_rng(0).standard_normal((2, 3, 6, 5), dtype=np.float32))


@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
def test_resize(coordinates, nearest):
    options = {"mode": "nearest", "coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
    x = np.arange(2 * 2 * 4 * 5, dtype=np.float32).reshape(2, 2, 4, 5)
    for scales in ([1, 1, 2, 3], [1, 1, 0.5, 0.6], [1, 1, 1.7, 1]):
        net = Network()
        y = net.conv(net.input("N", 2, 4, 5), 2, 2, 1)
        check(net.model(net.add("Resize", y, "", np.array(scales, np.float32), **options)), x)
    net = Network()
    y = net.add("Resize", net.input("N", 2, 4, 5), "", "", np.array([2, 2, 7, 3]), **options)
    check(net.model(y), x)


def test_products_and_what_follows_them():
    x = np.random.default_rng(0).standard_normal((2, 3, 4), dtype=np.float32)
    for bias in ((5,), (1,), (3, 5), ()):
        net = Network()
        y = net.add("MatMul", net.input("N", 3, 4), net.floats(4, 5))
        check(net.model(net.add("Relu", net.add("Add", y, net.floats(*bias)))), x)
    for c, turned in (((6,), 0), ((1, 6), 1), ((2, 6), 0), ((2, 1), 1), ((1,), 0), (None, 1)):
        net = Network()
        w = net.floats(*((6, 4) if turned else (4, 6)))
        y = net.add(
            "Gemm", net.input(2, 4), w, *([] if c is None else [net.floats(*c)]), transB=turned, alpha=0.3, beta=2.0
        )
        y = net.add("Clip", net.add("Mul", y, net.floats(6)), np.float32(0), np.float32(0.5))
        check(net.model(y), x[:, 0])
    net = Network()
    y = net.add("MatMul", net.input("N", 3, 4, name="a"), net.input("N", 4, 3, name="b"))
    check(net.model(net.add("Softmax", y)), x, np.ascontiguousarray(x.transpose(0, 2, 1)))


def test_constants_beside_images():
    """Constants of fewer axes meet images from the last axis on, also where these are kept channels-last."""
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 6), dtype=np.float32)
    for op in ("Add", "Sub", "Mul", "Div", "Max", "Pow"):
        for shape in ((), (1,), (6,), (5, 1), (4, 1, 1), (1, 4, 1, 1), (2, 1, 5, 6), (1, 4, 5, 6)):
            for first in (False, True):
                net = Network()
                y = net.add("Relu", net.add("MaxPool", net.input("N", 4, 5, 6), kernel_shape=[1, 1]))
                other = net.floats(*shape, least=0.5)
                y = net.add(op, other, y) if first and op != "Div" else net.add(op, y, other)
                check(net.model(y), x)


def test_values_that_are_needed_twice():
    """Nothing is folded into a convolution whose own result something else takes, or is an output."""
    net = Network()
    y = net.conv(net.input("N", 3, 6, 6), 3, 4, 3)
    normal = net.norm(y, 4)
    clipped = net.add("Clip", y, np.float32(0), np.float32(6))
    model = net.model(net.add("Add", net.add("Relu", normal), clipped), y)
    network = check(model, np.random.default_rng(0).standard_normal((2, 3, 6, 6), dtype=np.float32))
    assert sorted(n.op for n in network._graph.nodes) == ["Add", "BatchNormalization", "Clip", "Conv", "Relu"]


def test_what_goes_into_convolutions():
    """Borders, scales, shifts, normalisation and activations are no steps of their own."""
    net = Network()
    y = net.add("Pad", net.input("N", 3, 6, 6), np.array([0, 0, 1, 2, 0, 0, 3, 0]))
    y = net.conv(y, 3, 4, 3, pads=[0] * 4)
    y = net.add("Sub", net.floats(4, 1, 1), net.norm(net.add("Div", y, net.floats(1, 4, 1, 1, least=1.0)), 4))
    y = net.add("Dropout", net.add("Clip", y, np.float32(0), np.float32(6)))
    w = net.floats(4, 2, 3, 3)
    y = net.add("Relu", net.norm(net.add("ConvTranspose", y, w, strides=[2, 2], group=2), 4))
    y = net.add("Relu", net.add("Add", y, net.add("Identity", y)))
    network = check(net.model(y), np.random.default_rng(0).standard_normal((2, 3, 6, 6), dtype=np.float32))
    assert [node.op for node in network._graph.nodes] == ["Conv", "ConvTranspose", "Add"]


def test_every_operator_has_a_place_in_the_documentation():
    text = (Path(__file__).parents[1] / "docs" / "onnx.md").read_text(encoding="utf-8")
    assert [name for name in OPERATORS if f"`{name}`" not in text] == []


def test_bounds_that_cross_and_parts_that_nobody_takes():
    x = np.random.default_rng(0).standard_normal((2, 6, 4, 4), dtype=np.float32)
    net = Network()
    check(net.model(net.add("Clip", net.conv(net.input("N", 6, 4, 4), 6, 2, 3), np.float32(0.5), np.float32(0.2))), x)
    net = Network()
    parts = net.add("Split", net.input("N", 6, 4, 4), outputs=3, axis=1)
    check(net.model(net.add("Relu", parts[1])), x)
    net = Network(opset=8)
    numbers = [net.floats(6, least=0.5) for _ in range(4)]
    y = net.add("BatchNormalization", net.conv(net.input("N", 6, 4, 4), 6, 6, 3), *numbers, outputs=5)[0]
    with pytest.raises(Unsupported, match="its 5 outputs mean training"):
        fc.onnx.load(net.model(y))


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 21])
def test_versions_of_operators(opset):
    net = Network(opset=opset)
    y = net.norm(net.conv(net.input("N", 3, 8, 8), 3, 4, 3), 4)
    bounds = {"min": 0.0, "max": 6.0} if opset < 11 else {}
    y = net.add("Clip", y, *([] if bounds else [np.float32(0), np.float32(6)]), **bounds)
    amounts = [0, 0, 1, 0, 0, 0, 0, 1]
    y = net.add("Pad", y, pads=amounts) if opset < 11 else net.add("Pad", y, np.array(amounts))
    scales = np.array([1, 1, 2, 2], np.float32)
    if opset < 9:
        y = net.add("Upsample", y, scales=scales.tolist())
    else:
        roi = [] if opset < 11 else [np.zeros(0, np.float32)]
        y = net.add("Upsample" if opset < 10 else "Resize", y, *roi, scales)
    y = net.add("Softmax", net.add("Dropout", y))
    y = net.add("Squeeze", net.add("ReduceMean", y, axes=[3]), axes=[3]) if opset < 13 else y
    check(net.model(y), np.random.default_rng(0).standard_normal((2, 3, 8, 8), dtype=np.float32))


# --- models -----------------------------------------------------------------------------------------------------------


def small():
    net = Network(seed=7)
    return net.model(net.add("Relu", net.conv(net.input("N", 2, 5, 5), 2, 3, 3)))


def test_external_data(tmp_path):
    model, x = small(), np.ones((1, 2, 5, 5), np.float32)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    assert_same(fc.onnx.load(tmp_path / "m.onnx")(x), by_onnxruntime(small(), x))
    (tmp_path / "weights").unlink()
    with pytest.raises(DataUnavailable):
        fc.onnx.load(tmp_path / "m.onnx")


def test_files_that_are_none(tmp_path):
    with pytest.raises(DataUnavailable, match="does not exist"):
        fc.onnx.load(tmp_path / "m.onnx")
    whole = small().SerializeToString()
    for name, data in {"empty": b"", "noise": bytes(range(256)) * 9, "half": whole[: len(whole) // 2]}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises((DataUnavailable, InvalidArgument), match="damaged|no sound"):
            fc.onnx.load(tmp_path / name)
    with pytest.raises(DataUnavailable, match="cannot be read"):
        fc.onnx.load(tmp_path)
    for wrong in (None, 3, [], object()):
        with pytest.raises(InvalidArgument, match="expected a path"):
            fc.onnx.load(wrong)
    assert fc.onnx.load(whole)(np.zeros((1, 2, 5, 5))).shape == (1, 3, 5, 5)


def test_damaged_files():
    """Files with a few bytes changed are read, or refused in words."""
    rng, whole = np.random.default_rng(0), graphs.alexnet().SerializeToString()
    for _ in range(150):
        data = np.frombuffer(whole, np.uint8).copy()
        places = rng.integers(0, 3000, rng.integers(1, 4))
        data[places] = rng.integers(0, 256, places.size)
        with contextlib.suppress(FastconvError), np.errstate(all="ignore"):
            fc.onnx.load(data.tobytes())


def test_all_that_is_not_served_is_named():
    net = Network(opset=17)
    x = net.input("N", 2, 6, 6)
    y = net.add("Hardmax", net.add("MeanVarianceNormalization", x))
    for _ in range(5):
        y = net.add("Einsum", y, equation="nchw->nchw")
    y = net.add("Resize", y, "", np.array([1, 1, 2, 2], np.float32), mode="linear")
    with pytest.raises(Unsupported) as error:
        fc.onnx.load(net.model(y))
    text = str(error.value)
    assert re.search(r"Hardmax \(node_hardmax\d\); Einsum \(node_einsum\d(, node_einsum\d){2} and 2 more\)", text)
    assert re.search(r"MeanVarianceNormalization \(node_mean", text)
    assert re.search(r"Resize where mode='linear' is not served \(node_resize\d+\)", text)
    net = Network(opset=6)
    with pytest.raises(Unsupported, match="version 6"):
        fc.onnx.load(net.model(net.add("Relu", net.input(1))))


def test_shapes_that_depend_on_the_data():
    net = Network()
    y = net.add("Reshape", net.input(2, 6), net.input(2, name="shape", dtype=np.int64))
    network = fc.onnx.load(net.model(y))
    with pytest.raises(Unsupported, match="Reshape 'node_reshape0': its input 'shape' depends on the data"):
        network(np.zeros((2, 6)), np.array([3, 4]))


def test_wrong_inputs():
    network = fc.onnx.load(small())
    x = np.zeros((1, 2, 5, 5), np.float32)
    for wrong, message in (
        ((), "needs the input x"),
        ((x, x), "got 2 inputs; it has 1"),
        ((x[0],), r"shape \(2, 5, 5\); expected \('N', 2, 5, 5\)"),
        ((x[:, :1],), "shape"),
        ((x.astype(complex),), "dtype complex128"),
        (("a",), "dtype"),
        (({"y": x},), "no input 'y'"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            network(*wrong)
    with pytest.raises(InvalidArgument, match="batch_size"):
        network.predict(x, batch_size=0)
    net = Network()
    with pytest.raises(InvalidArgument, match=r"Conv 'node_conv0' cannot take inputs \(1, 3, 2, 2\).*empty"):
        fc.onnx.load(net.model(net.conv(net.input("N", 3, "H", "W"), 3, 2, 5, pads=[0] * 4)))(np.zeros((1, 3, 2, 2)))


def test_several_inputs_and_outputs():
    net = Network()
    a, b = net.input("N", 3, name="a"), net.input("N", 3, name="b")
    network = fc.onnx.load(net.model(net.add("Sub", a, b), net.add("Identity", a)))
    x, y = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((2, 3), np.float32)
    for results in (network(x, y), network(x, b=y), network({"b": y, "a": x}), network.predict({"a": x, "b": y}, 1)):
        assert_same(results, (x - y, x))
    results = network(x, y)
    results[1][:] = 9  # is not the caller's own array
    assert x.max() == 5
    assert [port.name for port in network.inputs] == ["a", "b"]
    assert network.inputs[0].shape == ("N", 3)
    assert network.outputs[0].dtype == np.float32


def test_results_are_the_callers():
    """Nothing that a later call computes lies where an earlier result does; constants are not given away."""
    network = fc.onnx.load(graphs.resnet18(8, 64, 10))
    x = np.random.default_rng(0).standard_normal((1, 3, 64, 64), dtype=np.float32)
    first = network(x)
    kept = first.copy()
    for _ in range(3):
        network(-x)
    np.testing.assert_array_equal(first, kept)
    net = Network()
    model = net.model(net.add("Identity", net.constant(np.arange(3, dtype=np.float32))), net.add("Relu", net.input(1)))
    network = fc.onnx.load(model)
    network([1.0])[0][:] = 7
    np.testing.assert_array_equal(network([1.0])[0], [0, 1, 2])


def test_threads():
    """Many threads at once, and the same bits for any number of fastconv's own."""
    network = fc.onnx.load(graphs.inception())
    images = [np.random.default_rng(i).standard_normal((1 + i % 2, 3, 17, 17), dtype=np.float32) for i in range(4)]
    expected = [network(x) for x in images]
    with ThreadPoolExecutor(8) as pool:
        for i, results in enumerate(pool.map(network, images * 8)):
            for y, wanted in zip(results, expected[i % 4], strict=True):
                np.testing.assert_array_equal(y, wanted)
    with fc.threads(1):
        for y, wanted in zip(network(images[1]), expected[1], strict=True):
            np.testing.assert_array_equal(y, wanted)


def test_predict_in_batches_and_programs_that_are_kept():
    network = fc.onnx.load(small())
    x = np.random.default_rng(0).standard_normal((7, 2, 5, 5), dtype=np.float32)
    np.testing.assert_allclose(network.predict(x, 3), network.predict(x), rtol=1e-5)
    assert network.predict(x[:0], 3).shape == (0, 3, 5, 5)
    for n in range(1, 8):
        network(x[:n])
    assert len(network._programs) == 4


def test_summary(capsys):
    network = fc.onnx.load(graphs.mobilenet_v2(0.25, 32, 10))
    network.summary()
    text = capsys.readouterr().out
    assert "x (N, 3, 32, 32) float32" in text
    assert re.search(r"node_conv0 +Conv clip 0.0 6.0 +\(1, 8, 16, 16\) +224", text)
    assert "weights in 66 nodes" in text
    assert "x (N, 3, 32, 32) float32" in repr(network)
    net = Network()
    open_size = fc.onnx.load(net.model(net.add("Relu", net.input("N", "C", "W"))))
    open_size.summary()
    assert "Relu" in capsys.readouterr().out
