"""That no CUDA kernel escapes the tests: every row runs in the simulator, every family has bugs planted in it."""

import ast
import re
from functools import cache
from pathlib import Path

import cuda_problems as problems
import cuda_rows
import cuda_transforms
import cudasim
import numpy as np
import pytest
from tolerances import EXACT, tolerance

from fastconv.cuda import backend
from fastconv.cuda.gemm import tiles

TESTS = Path(__file__).parent
KERNELS = TESTS.parent / "fastconv" / "cuda"
EXECUTOR = cudasim.Executor()
CASES = [case for case in problems.CONV_CASES if str(case) in ("groups", "odd tails", "depthwise", "1x1")]
POOL = next(case for case in problems.POOL_CASES if str(case) == "overlapping, padded")
LARGEST = 4  # times the standard deviation of normal numbers: what whole numbers of a test are


def problem_of(row):
    """A small problem that a row serves."""
    if row.op not in problems.CONVOLUTIONS:
        assert row.op in problems.POOLS, f"tests/cuda_rows.py does not know how to run {row.op}"
        return POOL
    return next(case for case in CASES if cuda_rows.serves(row, case))


ROWS = [
    pytest.param(row, dtype, last, id=f"{cuda_rows.id_of(row)}-{dtype}-{'last' if last else 'first'}")
    for row in cuda_rows.ROWS
    for dtype in cuda_rows.dtypes_of(row)
    for last in (False, True)
]


@pytest.mark.parametrize("row, dtype, channels_last", ROWS)
def test_every_row_runs_in_the_simulator(row, dtype, channels_last, monkeypatch):
    monkeypatch.setattr(tiles, "TILES", (tiles.Tile(8, 8, 4, 2, 2),))
    monkeypatch.setattr(tiles, "TENSOR_TILES", (tiles.TensorTile(32, 16, 1, 1),))
    cuda_transforms.install(monkeypatch)
    case = problem_of(row)
    arrays, expected = cuda_rows.whole_numbers(row, case, unsigned=dtype.startswith("u"))
    with backend.run_on(EXECUTOR):
        launches = EXECUTOR.launches
        actual = cuda_rows.run(row, case, channels_last, dtype, arrays)
        assert EXECUTOR.launches > launches
    dtype = cuda_rows.dtype_of(dtype)
    assert actual.dtype == dtype
    expected = expected.reshape(actual.shape).astype(dtype)
    if row.op in problems.CONVOLUTIONS and row.method in EXACT:
        np.testing.assert_array_equal(actual, expected)
    else:
        allowed = LARGEST * tolerance("winograd", dtype, 100) if dtype.kind not in "iu" else 0
        np.testing.assert_allclose(actual.astype(float), expected.astype(float), rtol=0, atol=allowed)


# --- planted bugs


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def factories(path):
    """Functions of a module that return a kernel: their inner function asks for its thread."""
    for node in tree_of(path).body:
        if (
            isinstance(node, ast.FunctionDef)
            and node.name.startswith("make_")
            and "cuda.threadIdx" in ast.unparse(node)
        ):
            yield node


def name_of(path):
    """A module's name below fastconv.cuda; a package's is its folder's."""
    parts = path.relative_to(KERNELS).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in KERNELS.rglob("*.py")}
FAMILIES = sorted(name for name, path in MODULES.items() if any(factories(path)))


@cache
def planted():
    """Pairs (module of fastconv.cuda, text that is replaced in it), of all test files."""
    return {pair for path in TESTS.glob("test_*.py") for pair in planted_in(tree_of(path))}


def planted_in(tree):
    """From every function that calls `mutated`: the modules and the texts it names itself or takes from a table."""
    top = [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
    named = {node.targets[0].id: node.value for node in top}
    modules = {
        alias.asname or alias.name: f"{node.module}.{alias.name}".removeprefix("fastconv.cuda.")
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fastconv.cuda")
        for alias in node.names
    }
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        calls = [n for n in ast.walk(function) if isinstance(n, ast.Call) and ast.unparse(n.func) == "mutated"]
        words = list(mentioned([*function.body, *function.decorator_list], named)) if calls else []
        names = {n.id for n in mentioned((call.args[0] for call in calls), named) if isinstance(n, ast.Name)}
        yield from ((modules[name], n.value) for name in names & modules.keys() for n in words if is_code(n))


def mentioned(nodes, named):
    """Names and constants in a piece of code and in the tables it refers to, but not the keys of tables."""
    for node in nodes:
        if isinstance(node, ast.Dict):
            yield from mentioned(node.values, named)
        elif isinstance(node, ast.Name) and node.id in named:
            yield from mentioned([named[node.id]], {name: value for name, value in named.items() if name != node.id})
        elif isinstance(node, (ast.Name, ast.Constant)):
            yield node
        else:
            yield from mentioned(ast.iter_child_nodes(node), named)


def is_code(node):
    """A text of more than a word."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(re.search(r"\w\W+\w", node.value))


@pytest.mark.parametrize("family", FAMILIES)
def test_bugs_are_planted_in_every_family(family):
    """Some text of a table of bugs is a piece of one of the family's kernels."""
    lines = MODULES[family].read_text(encoding="utf-8").splitlines(keepends=True)
    without = []
    for node in factories(MODULES[family]):
        source = "".join(lines[node.lineno - 1 : node.end_lineno])
        if not any(text in source for module, text in planted() if module == family):
            without.append(node.name)
    assert not without, f"no bug is planted in {', '.join(without)} of {MODULES[family]}"


def test_families_are_found():
    """What looks for kernels finds those that are known."""
    known = {"gemm.gathered", "gemm.tensor.gathered", "pool", "pool.gradients", "direct", "winograd.transforms"}
    assert known <= set(FAMILIES)
    named = {node.name for path in MODULES.values() for node in factories(path)}
    started = set(re.findall(r"launch\(\s*(make_\w+)", "".join(p.read_text("utf-8") for p in MODULES.values())))
    assert started and started <= named
