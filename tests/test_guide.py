"""What the guide says is there, and its pictures are those that their script draws."""

import ast
import doctest
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "guide"
PAGES = sorted(GUIDE.glob("*.md"))
#: `cpu/direct.py`, `cpu/direct.py::conv`, `cpu/planar/`
NAMED = re.compile(r"`([a-z_0-9/]+(?:\.py|/))(?:::(\w+))?`")


def named():
    found = {match.groups() for page in PAGES for match in NAMED.finditer(page.read_text(encoding="utf-8"))}
    return sorted((path, name or "") for path, name in found)


def names_in(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize(("path", "name"), named(), ids=str)
def test_what_a_page_names_is_there(path, name):
    file = ROOT / "fastconv" / path
    assert file.exists()
    if name:
        assert name in names_in(file)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if ">>> " in page.read_text(encoding="utf-8")], ids=lambda p: p.stem
)
def test_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    text = re.sub(r"^```.*$", "", page.read_text(encoding="utf-8"), flags=re.M)
    examples = doctest.DocTestParser().get_doctest(text, {}, page.stem, str(page), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(examples)
    assert runner.summarize().failed == 0


def test_pages_name_files():
    assert len(named()) > 10


@pytest.mark.parametrize(
    ("script", "page"),
    [("draw_direct", "how-direct-works.md"), ("draw_matching", "matching-and-filter-banks.md")],
)
def test_pictures_are_current(script, page):
    spec = importlib.util.spec_from_file_location(script, GUIDE / f"{script}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, draw in module.PICTURES.items():
        assert (GUIDE / name).read_text(encoding="utf-8") == draw(), f"run python docs/guide/{script}.py"
        assert f"({name})" in (GUIDE / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["images-and-signals", "kernels", "learning", "matching-and-filter-banks"])
def test_python_of_pages_runs(name):
    """The Python of a page that is a program, from its top to its end; others show parts of one."""
    page = GUIDE / f"{name}.md"
    code = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    exec(compile("\n".join(code), str(page), "exec"), {})
