"""The code's shape, read from its text: who imports whom, how long files and functions are, what is documented."""

import ast
import importlib
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "fastconv"

#: A module imports only from groups above its own, or from its own group without a circle.
LAYERS = [
    {"errors"},
    {"config", "files", "interrupts", "streams", "within"},
    {"kept"},
    {"windows", "borders", "foreign"},
    {"problem"},
    {"spec"},
    {"workers"},
    {"threads", "memory", "precision"},
    {"simd", "cpu", "cuda"},
    {"rates"},
    {"dispatch"},
    {"ops"},
    {"signal", "ndimage", "autograd", "njit", "warming"},
    {"nn"},
    {"measure"},
    {"cli"},
    {"__init__", "__main__"},
]
#: Kernels take a problem and arrays: of what stands above them they may see these alone.
KERNELS = {"simd", "cpu", "cuda"}
KERNELS_SEE = {"errors", "config", "kept", "windows", "borders", "problem", "foreign", "threads", "memory", "precision"}
SIMD_SEES_NO = {"cpu", "cuda"}

MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 80


def files():
    return sorted(path for path in PACKAGE.rglob("*.py"))


def name_of(path):
    """cpu/direct.py -> cpu.direct, __init__ dropped below the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path):
    """Names of fastconv's modules that a file imports, wherever the statement stands, or the text of it."""
    inside = path.relative_to(PACKAGE).parent.parts
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = inside[: len(inside) - node.level + 1]
                module = ".".join((*base, node.module or "")).strip(".")
            elif (node.module or "").split(".")[0] == "fastconv":
                module = node.module.removeprefix("fastconv").strip(".")
            else:
                continue
            for alias in node.names:
                longer = f"{module}.{alias.name}".strip(".")
                if longer in modules() or (PACKAGE / longer.replace(".", "/")).is_dir():
                    yield longer
                elif module or alias.name != "__version__":  # the version is there before anything else is
                    yield module or "__init__"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "fastconv":
                    yield alias.name.removeprefix("fastconv").strip(".") or "__init__"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            text = text_of(node.args[0], f"fastconv.{name_of(path)}")
            if text and text.startswith("fastconv."):
                yield text.removeprefix("fastconv.")


def text_of(node, own):
    """What a text stands for that a module, named `own`, may say its own name in; None where it hangs on more."""
    if isinstance(node, ast.JoinedStr):
        values = (part.value if isinstance(part, ast.FormattedValue) else part for part in node.values)
        parts = [text_of(value, own) for value in values]
        return None if None in parts else "".join(parts)
    if isinstance(node, ast.Name) and node.id == "__name__":
        return own
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


@cache
def modules():
    return {name_of(path): path for path in files()}


def layer(name):
    top = name.split(".")[0]
    for depth, group in enumerate(LAYERS):
        if top in group:
            return depth
    pytest.fail(f"fastconv.{name} stands in no layer; give it its place in LAYERS")


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_go_one_way(name):
    top = name.split(".")[0]
    breaches = []
    for other in imports(modules()[name]):
        other_top = other.split(".")[0]
        if other_top == top:
            continue
        legal = layer(other) < layer(name) or (top in KERNELS and other_top in KERNELS)
        if top in KERNELS:
            legal = legal and other_top in KERNELS_SEE | KERNELS
        if top == "simd":
            legal = legal and other_top not in SIMD_SEES_NO
        if not legal:
            breaches.append(f"fastconv.{name} imports fastconv.{other}")
    assert not breaches


def test_no_circles():
    """Among modules, counting imports inside of functions and by text too."""
    graph = {name: set(imports(path)) - {name} for name, path in modules().items()}
    state = {}

    def visit(name, trail):
        if state.get(name) == "done" or name not in graph:
            return
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        for other in sorted(graph[name]):
            visit(other, (*trail, name))
        state[name] = "done"

    for name in graph:
        visit(name, ())


def test_training_reaches_devices_through_ops():
    """Lazy imports are counted too."""
    above = {name: path for name, path in modules().items() if name.split(".")[0] in ("autograd", "nn", "cli")}
    assert not [(name, other) for name, path in above.items() for other in imports(path) if other.startswith("cuda")]


def test_only_cuda_names_numba_cuda():
    guilty = [
        f"{name}:{node.lineno}"
        for name, path in modules().items()
        if name.split(".")[0] != "cuda"
        for node in ast.walk(tree_of(path))
        if (isinstance(node, ast.Import) and any(a.name.startswith(("numba.cuda", "cupy")) for a in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("numba.cuda", "cupy")))
        or (isinstance(node, ast.ImportFrom) and node.module == "numba" and any(a.name == "cuda" for a in node.names))
        or (isinstance(node, ast.Attribute) and ast.unparse(node).startswith("numba.cuda"))
    ]
    assert not guilty


@pytest.mark.parametrize("name", sorted(modules()))
def test_files_and_functions_stay_short(name):
    path = modules()[name]
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES_OF_A_FILE, f"{path.name} has {lines} lines: it has two jobs"
    long = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            body = node.body[1:] if documented and len(node.body) > 1 else node.body
            length = node.end_lineno - body[0].lineno + 1
            if length > MOST_LINES_OF_A_FUNCTION:
                long.append(f"{node.name} ({length} lines)")
    assert not long


def test_no_fastmath():
    """``fastmath=True`` deletes tests for NaN."""
    guilty = [
        f"{name}:{node.value.lineno}"
        for name, path in modules().items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.keyword) and node.arg == "fastmath" and getattr(node.value, "value", None) is True
    ]
    assert not guilty


def test_every_module_says_what_it_is():
    silent = [name for name, path in modules().items() if path.stat().st_size and not ast.get_docstring(tree_of(path))]
    assert not silent


# Documentation of the public names


@cache
def public():
    fc = importlib.import_module("fastconv")
    return {name: getattr(fc, name) for name in fc.__all__}


def functions():
    return {name: value for name, value in public().items() if inspect.isfunction(value)}


def documented_parameters(doc):
    """The names in a numpydoc Parameters section."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}\n|\Z)", doc, re.M | re.S)
    if section is None:
        return None
    names = []
    for line in section[1].splitlines():
        if line and not line[0].isspace():
            names += [part.strip().lstrip("*") for part in line.split(" : ")[0].split(",")]
    return names


def test_all_is_sorted_out():
    names = importlib.import_module("fastconv").__all__
    assert len(set(names)) == len(names)
    assert not [name for name in names if name.startswith("_") and name != "__version__"]


def test_public_functions_have_docstrings_with_examples():
    silent = [name for name, function in functions().items() if not inspect.getdoc(function)]
    assert not silent
    without = [
        name
        for name, function in functions().items()
        if not re.search(r"^Examples\n-+\n", inspect.getdoc(function), re.M)
    ]
    assert not without
    unrunnable = [name for name, function in functions().items() if ">>> " not in inspect.getdoc(function)]
    assert not unrunnable


def test_documented_parameters_are_those_of_the_signature():
    """Every parameter is documented under its own name."""
    wrong = {}
    for name, function in functions().items():
        parameters = [p.lstrip("*") for p in inspect.signature(function).parameters]
        documented = documented_parameters(inspect.getdoc(function))
        if documented is not None and sorted(documented) != sorted(parameters):
            wrong[name] = sorted(set(documented) ^ set(parameters)) or documented
    assert not wrong


def test_parameters_are_documented_here_or_where_the_docstring_points():
    """``conv1d`` may say "as for `conv2d`"."""
    silent = []
    for name, function in functions().items():
        doc = inspect.getdoc(function)
        pointed = [functions()[other] for other in re.findall(r"`(\w+)`", doc) if other in functions()]
        parameters = inspect.signature(function).parameters
        if len(parameters) > 1 and not any(documented_parameters(inspect.getdoc(f)) for f in (function, *pointed)):
            silent.append(name)
    assert not silent


def decorators(function):
    return {getattr(getattr(d, "func", d), "id", getattr(d, "attr", "")) for d in function.decorator_list}


def definitions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def test_kernels_are_called_by_kernels_only():
    """A plain `kernel` has no wrapper for Python: such a call would crash the process."""
    compiled = {"kernel", "callable_kernel", "parallel_kernel", "inlined", "intrinsic", "njit", "jit"}
    paths = [*modules().values(), *Path(__file__).parent.glob("*.py")]
    trees = {path: ast.parse(path.read_text()) for path in paths if "cuda" not in str(path)}
    home = {}  # (module's last name, kernel)
    for path, tree in trees.items():
        home |= {(path.stem, f.name): path for f in definitions(tree) if "kernel" in decorators(f)}
    breaches = []
    for path, tree in trees.items():
        plain = {name for stem, name in home if stem == path.stem and home[stem, name] == path}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                stem = node.module.split(".")[-1]
                plain |= {alias.asname or alias.name for alias in node.names if (stem, alias.name) in home}
        for function in definitions(tree):
            calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
            if not decorators(function) & compiled:
                breaches += [
                    f"{path.name}: {function.name} calls {f.id}" for f in calls if getattr(f, "id", "") in plain
                ]
    assert not breaches
