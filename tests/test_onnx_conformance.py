"""ONNX's own cases for its operators: the package onnx brings models, inputs and results for each."""

import warnings
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import onnx
from onnx import numpy_helper

import fastconv as fc
from fastconv.errors import FastconvError, Unsupported
from fastconv.onnx.operators import OPERATORS

OPERATORS_IN_LOWER_CASE = {name.lower() for name in OPERATORS if name != "Cast"} | {"batchnorm", "poolopcommon"}
#: Cases that are not served, by parts of their names, and why.
NOT_SERVED = {
    "linear": "resizing by interpolation",
    "layer_normalization": "mean and deviation beside the result",
    "cubic": "resizing by interpolation",
    "tf_crop": "resizing of a part",
    "not_larger": "sizes that depend on others",
    "not_smaller": "sizes that depend on others",
    "training": "networks in training",
    "mask": "networks in training",
    "argmax_2d_precomputed_strides": "maxima numbered by columns",
    "identity_sequence": "values that are no arrays",
    "identity_opt": "values that are no arrays",
    "reduce_max_empty": "the largest of no elements",
    "reduce_min_empty": "the least of no elements",
}


@cache
def cases():
    """{name: case} of the operators that fastconv serves, but for those that are written out in terms of others."""
    node = import_module("onnx.backend.test.case.node")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _, name, _ in iter_modules(node.__path__):
            if name.replace("_", "") in OPERATORS_IN_LOWER_CASE:
                import_module(f"{node.__name__}.{name}")
    found = {case.name: case for case in node._NodeTestCases}
    return {
        name: case
        for name, case in found.items()
        if not name.endswith("_expanded") and {node.op_type for node in case.model.graph.node} <= set(OPERATORS)
    }


def array(value):
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def run(case, inputs, constants):
    """The results; of the inputs those from number `constants` on are constants of the model."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    for port, value in list(zip(model.graph.input, inputs, strict=True))[constants:]:
        model.graph.initializer.append(numpy_helper.from_array(value, port.name))
    results = fc.onnx.load(model)(*inputs[:constants])
    return results if isinstance(results, tuple) else (results,)


def check(case):
    """A case as it is, and with all inputs, or all but the first, as constants: where that is served, once at least."""
    for given, expected in case.data_sets:
        inputs, expected = [array(value) for value in given], [array(value) for value in expected]
        served = 0
        for constants in {0, min(1, len(inputs)), len(inputs)}:
            try:
                results = run(case, inputs, constants)
            except Unsupported as error:
                if "depends on the data" not in str(error):
                    raise
                continue
            served += 1
            for y, wanted in zip(results, expected, strict=True):
                assert (y.shape, y.dtype) == (wanted.shape, wanted.dtype)
                np.testing.assert_allclose(y, wanted, rtol=case.rtol, atol=case.atol)
        assert served


def is_served(case):
    """Whether a case whose name says that it is not served is."""
    try:
        run(case, [array(value) for value in case.data_sets[0][0]], 1)
    except FastconvError:
        return False
    return True


def test_cases_of_onnx():
    """In one test: most of the time goes into making the cases."""
    refused = {name for name in cases() if any(part in name for part in NOT_SERVED)}
    failed = []
    for name, case in cases().items():
        try:
            if name not in refused:
                check(case)
            elif is_served(case):
                failed.append(f"{name}: is served")
        except Exception as error:  # all that fail are shown
            failed.append(f"{name}: {error!r:.300}")
    assert not failed, "\n".join(failed)
    assert len(cases()) - len(refused) > 200
