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
    {"config", "processors", "files", "interrupts", "streams", "within"},
    {"kept"},
    {"windows", "borders", "foreign"},
    {"problem"},
    {"spec"},
    {"threads", "memory", "precision"},
    {"workers"},
    {"simd", "cpu", "cuda"},
    {"rates"},
    {"dispatch"},
    {"ops"},
    {"ndimage", "autograd", "njit", "onnx", "warming"},
    {"signal", "image"},
    {"replacing"},
    {"blocks"},
    {"dask"},
    {"nn"},
    {"show"},
    {"measure"},
    {"cli"},
    {"__init__", "__main__"},
]
#: Kernels take a problem and arrays: of what stands above them they may see these alone.
KERNELS = {"simd", "cpu", "cuda"}
KERNELS_SEE = {"errors", "config", "processors", "kept", "windows", "borders", "problem", "foreign"}
KERNELS_SEE |= {"workers", "threads", "memory", "precision", "within"}
SIMD_SEES_NO = {"cpu", "cuda"}
#: These reach kernels, and devices, through ops only.
SEE_NO_KERNELS = {"nn", "autograd", "onnx", "signal", "replacing", "show"}
#: The one table of kernels: of a module's name it may leave even the package open, as f"fastconv.{device}.pool".
NAMES_ANY = {"dispatch"}

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
    """(module, line) of everything of fastconv that a file imports, wherever the statement stands.

    Also what it imports by name, on first use: texts such as "fastconv.cpu.fft", "fastconv.cpu.fft:conv" (not those
    that something is compared with), and relative ones given to `import_module`. A text with a part made at run time,
    such as f"fastconv.cuda.{name}", means the package before that part. What only type checkers see is left out.
    """
    for node in seen_at_run_time(tree_of(path)):
        if isinstance(node, ast.ImportFrom):
            for name in from_import(node, path.relative_to(PACKAGE).parent.parts):
                yield name, node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "fastconv":
                    yield within(alias.name), node.lineno
        elif isinstance(node, (ast.Constant, ast.JoinedStr)):
            name = named_by(node, path)
            if name:
                yield name, node.lineno


def from_import(node, inside):
    """Names of fastconv's modules in a ``from ... import``, in a file of the package `inside`."""
    if node.level:
        base = inside[: len(inside) - node.level + 1]
        module = ".".join((*base, node.module or "")).strip(".")
    elif (node.module or "").split(".")[0] == "fastconv":
        module = node.module.removeprefix("fastconv").strip(".")
    else:
        return
    for alias in node.names:
        longer = f"{module}.{alias.name}".strip(".")
        if longer in modules():
            yield longer
        elif module or alias.name != "__version__":  # the version is there before anything else is
            yield module or "__init__"


def seen_at_run_time(node):
    """The nodes of a tree, without ``if TYPE_CHECKING:``, docstrings, parts of texts, and texts that are compared."""
    yield node
    compared = isinstance(node, ast.Compare) or getattr(getattr(node, "func", None), "attr", "") == "startswith"
    for child in [] if isinstance(node, ast.JoinedStr) else ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            for other in child.orelse:
                yield from seen_at_run_time(other)
        elif not (isinstance(child, ast.Constant) and (compared or isinstance(node, ast.Expr))):
            yield from seen_at_run_time(child)


def named_by(node, path):
    """The module that a text names, None if it names none."""
    inside = ".".join(("fastconv", *path.relative_to(PACKAGE).parent.parts))
    text, whole = "", True
    for part in node.values if isinstance(node, ast.JoinedStr) else [node]:
        if isinstance(part, ast.Constant):
            text += str(part.value)
        elif not text and getattr(part.value, "id", "") == "__name__" and path.name == "__init__.py":
            text = inside
        else:
            whole = False
            break
    if not whole:
        return within(text.rpartition(".")[0]) if re.fullmatch(r"fastconv(\.\w+)*\.\w*", text) else None
    if re.fullmatch(r"(\.\w+)+", text) and within(inside + text) in modules():
        return within(inside + text)
    if not re.fullmatch(r"fastconv(\.\w+)+(:\w+)?", text):
        return None
    name = within(text.partition(":")[0])
    while name not in modules():  # it names something in a module
        name = within(name.rpartition(".")[0])
    return name


def within(dotted):
    """fastconv.cpu.direct -> cpu.direct."""
    return dotted.removeprefix("fastconv").strip(".") or "__init__"


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
    for other, line in imports(modules()[name]):
        other_top = other.split(".")[0]
        if other_top == top or (name in NAMES_ANY and other == "__init__"):
            continue
        legal = layer(other) < layer(name) or (top in KERNELS and other_top in KERNELS)
        if top in KERNELS:
            legal = legal and other_top in KERNELS_SEE | KERNELS
        if top == "simd":
            legal = legal and other_top not in SIMD_SEES_NO
        if top in SEE_NO_KERNELS:
            legal = legal and other_top not in KERNELS
        if not legal:
            breaches.append(f"{within_checkout(modules()[name])}:{line}: imports fastconv.{other}")
    assert not breaches, "\n".join(breaches)


def test_no_circles():
    """Among modules, what is imported on first use counted."""
    lines = {(name, other): line for name, path in modules().items() for other, line in imports(path) if other != name}
    assert not (found := circles(lines)), described(found, lines, modules())


def test_no_circles_among_benchmarks():
    paths = {path.stem: path for path in (PACKAGE.parent / "bench").glob("*.py")}
    lines = {}
    for name, path in paths.items():
        for node in seen_at_run_time(tree_of(path)):
            for other in (
                [a.name for a in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "")]
            ):
                if other in paths:
                    lines[name, other] = node.lineno
    assert not (found := circles(lines)), described(found, lines, paths)


def within_checkout(path):
    return path.relative_to(PACKAGE.parent)


def circles(edges):
    """Sets of modules each of which leads to every other."""
    after = {name: {b for a, b in edges if a == name} for name, _ in edges}

    def reached(name):
        found, waiting = set(), [name]
        while waiting:
            new = after.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return found

    leads = {name: reached(name) for name in after}
    sets = {frozenset(b for b in leads[a] if a in leads.get(b, ())) for a in after if a in leads[a]}
    return sorted(sorted(circle) for circle in sets)


def described(found, lines, paths):
    """Each circle with the imports that make it."""
    text = []
    for circle in found:
        text.append(f"{len(circle)} modules import each other: {', '.join(circle)}")
        text += [
            f"  {within_checkout(paths[a])}:{line}: imports {b}"
            for (a, b), line in lines.items()
            if {a, b} <= set(circle)
        ]
    return "\n".join(text)


def test_what_counts_as_an_import(tmp_path, monkeypatch):
    """The forms that are read, and those that are left out."""
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "nn").mkdir()
    forms = {
        "def f():\n    from ..cpu import direct": "cpu.direct",
        "def f():\n    import fastconv.cpu.direct": "cpu.direct",
        "import_module('fastconv.cuda.pool')": "cuda.pool",
        "Row('direct', 'cpu', 'fastconv.cpu.pool')": "cpu.pool",
        "load_name('fastconv.cpu.magnitude:measure')": "cpu.magnitude",
        "load_name('fastconv.cpu.magnitude.measure')": "cpu.magnitude",
        "import_module('.layers', __name__)": "nn.layers",
        "load(f'fastconv.cuda.{name}')": "cuda",
        "load(f'fastconv.cuda.po{name}')": "cuda",
        "load(f'fastconv.{device}.fft:{op}')": "__init__",
        "if TYPE_CHECKING:\n    from ..cpu import direct": None,
        "'fastconv.cpu.direct'": None,
        "name = '.csv', '.'": None,
        "assert module == 'fastconv.cpu.direct' or module.startswith('fastconv.cpu')": None,
        "raise ValueError(f'fastconv.nn has no layer {name}')": None,
        "import numpy.fft": None,
    }
    for number, (form, expected) in enumerate(forms.items()):
        file = tmp_path / "nn" / f"probe{number}.py"
        file.write_text(form)
        assert [name for name, _ in imports(file)] == ([expected] if expected else []), form


def test_circles_are_found():
    assert circles({("a", "b"): 1, ("b", "c"): 1, ("c", "a"): 1, ("c", "d"): 1}) == [["a", "b", "c"]]
    assert circles({("a", "b"): 1, ("a", "c"): 1, ("b", "c"): 1}) == []


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
        compiled_there = {
            argument.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "c_function"
            for argument in node.args
            if isinstance(argument, ast.Name)
        }
        for function in definitions(tree):
            calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
            if not decorators(function) & compiled and function.name not in compiled_there:
                breaches += [
                    f"{path.name}: {function.name} calls {f.id}" for f in calls if getattr(f, "id", "") in plain
                ]
    assert not breaches
