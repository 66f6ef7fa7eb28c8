"""The disk cache of compiled kernels: whatever happens to it costs compiling again, and nothing else.

Each test compiles a function of a line in a folder of its own; another dispatcher of the same function then stands for
the next process. What needs a real one is in the second half, and, at length, in test_faults_cache.py.
"""

import errno
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest

import fastconv
from fastconv import config
from fastconv.simd import jit, kernel_cache, sources
from fastconv.simd.jit import callable_kernel
from fastconv.simd.libraries import LinkedLibrary


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "settings", replace(config.settings, cache_dir=tmp_path / "cache"))
    monkeypatch.setattr(kernel_cache, "_problem", None)
    return tmp_path / "cache"


def _double(x):
    return 2 * x


def _square(x):
    return x * x


def kernel(function=_double):
    """A dispatcher that knows of no compiled code, as in a new process."""
    copy = FunctionType(function.__code__, globals(), function.__name__)
    copy.__module__ = "fastconv.cpu.magnitude"  # kernels outside of the package are not kept
    return callable_kernel(copy)


def call(function=_double, x=21):
    """The result of a new dispatcher, and how many functions it had to compile."""
    before = kernel_cache.compiled()
    result = kernel(function)(x)
    return result, kernel_cache.compiled() - before


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_the_next_process_compiles_nothing(folder):
    assert call() == (42, 1)
    assert call() == (42, 0)
    assert call(x=1.5) == (3.0, 1)
    assert call(x=1.5) == (3.0, 0)
    assert [path.suffix for path in files(folder)] == [".nbc"] * 2


# Kernels that only kernels call

reciprocal = None  # such a kernel, in each process a new one


def _reciprocal(x):
    if x == 0:
        raise ZeroDivisionError("no reciprocal of 0")
    return 1 / x


def _of_a_sum(x):
    return reciprocal(x + 1)


def _of_a_difference(x):
    return reciprocal(x - 1)


def in_new_process(monkeypatch, function, x):
    """The result of a function that calls `reciprocal`, and how many functions had to be compiled."""
    copy = FunctionType(_reciprocal.__code__, globals(), "reciprocal")
    copy.__module__ = "fastconv.cpu.magnitude"
    monkeypatch.setitem(globals(), "reciprocal", jit.kernel(copy))
    return call(function, x)


def test_a_kernel_for_kernels_is_kept_as_what_its_callers_link(folder, monkeypatch):
    assert in_new_process(monkeypatch, _of_a_sum, 1) == (0.5, 2)
    assert in_new_process(monkeypatch, _of_a_sum, 1) == (0.5, 0)
    assert in_new_process(monkeypatch, _of_a_difference, 3) == (0.5, 1)  # the kernel came from the disk
    assert len(files(folder)) == 3


def test_a_kernel_for_kernels_raises_through_its_caller(folder, monkeypatch):
    for _ in range(2):  # compiled, then from the disk
        with pytest.raises(ZeroDivisionError, match="no reciprocal of 0"):
            in_new_process(monkeypatch, _of_a_sum, -1)
    with pytest.raises(ZeroDivisionError, match="no reciprocal of 0"):
        in_new_process(monkeypatch, _of_a_difference, 1)


def test_a_kernel_for_kernels_has_no_machine_code_of_its_own(folder, monkeypatch):
    in_new_process(monkeypatch, _of_a_sum, 1)
    (compiled,) = globals()["reciprocal"].overloads.values()
    library, name = compiled.library, compiled.fndesc.llvm_func_name
    assert isinstance(library, LinkedLibrary)
    assert library.get_pointer_to_function(name) == 0
    assert library.get_function(name).name == name  # what is linked


# Damage


def flipped(data, seed):
    """One bit of the other value."""
    place = int(np.random.default_rng(seed).integers(8 * len(data)))
    changed = bytearray(data)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


DAMAGE = {
    "empty": lambda data: b"",
    "one byte": lambda data: data[:1],
    "the checksum alone": lambda data: data[: kernel_cache.CHECKSUM],
    "half": lambda data: data[: len(data) // 2],
    "a byte short": lambda data: data[:-1],
    "a byte more": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
    "text": lambda data: b"not a kernel\n" * 99,
    "a pickle": lambda data: pickle.dumps(({}, 1)),
    **{f"flipped bit {seed}": lambda data, seed=seed: flipped(data, seed) for seed in range(20)},
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_compiled_again_and_replaced(damage, folder):
    call()
    (path,) = files(folder)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert call() == (42, 1)
    assert files(folder) == [path]
    assert call() == (42, 0)


def test_a_file_with_another_kernels_content_is_noticed(folder):
    """The checksum is right, and so is the signature."""
    call(_double)
    (double,) = files(folder)
    call(_square)
    (square,) = set(files(folder)) - {double}
    content = double.read_bytes()
    double.write_bytes(square.read_bytes())
    square.write_bytes(content)
    assert call(_double) == (42, 1)
    assert call(_square) == (441, 1)
    assert call(_double) == (42, 0)


def test_a_file_whose_content_cannot_be_rebuilt(folder):
    """Whole, and under the right key: as if Numba had changed what it keeps without changing its version."""
    made = kernel()
    made(21)
    (path,) = files(folder)
    key, _ = pickle.loads(path.read_bytes()[kernel_cache.CHECKSUM :])
    kernel_cache._write(os.fspath(path), pickle.dumps((key, ("something", "else"))))
    assert call() == (42, 1)
    assert call() == (42, 0)


def test_a_folder_in_place_of_a_file(folder):
    call()
    (path,) = files(folder)
    path.unlink()
    path.mkdir()
    assert call() == (42, 1)
    assert call() == (42, 1)
    assert "cannot be written" in kernel_cache.problem()
    assert files(folder) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to this user")
def test_a_file_that_may_not_be_read_is_replaced(folder):
    call()
    (path,) = files(folder)
    path.chmod(0)
    assert call() == (42, 1)
    assert call() == (42, 0)


@pytest.mark.parametrize("which", ["numba", "llvmlite"])
def test_files_of_other_versions_of_the_compiler_are_left_alone(which, monkeypatch, folder):
    call()
    with monkeypatch.context() as other:
        other.setattr(getattr(kernel_cache, which), "__version__", "0.1.2")
        assert call() == (42, 1)
    assert len(files(folder)) == 2
    assert call() == (42, 0)


@pytest.mark.parametrize("setting, value", [("OPT", 1), ("BOUNDSCHECK", 1), ("USING_SVML", "other")])
def test_settings_of_numba_that_change_the_code_have_files_of_their_own(setting, value, monkeypatch, folder):
    """A debugging session must not leave its slow kernels to everyday's processes, nor get their unchecked ones."""
    call()
    monkeypatch.setattr(kernel_cache.config, setting, value)
    made = kernel()
    key = made._cache._key((), made.targetctx.codegen())
    monkeypatch.undo()
    assert key != made._cache._key((), made.targetctx.codegen())


# Where nothing can be kept


def test_the_folder_may_go_while_the_process_runs(folder):
    made = kernel()
    assert made(21) == 42
    shutil.rmtree(folder)
    assert made(1.5) == 3.0
    assert len(files(folder)) == 1
    shutil.rmtree(folder)
    assert call() == (42, 1)
    assert call() == (42, 0)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_file_where_a_folder_should_be(depth, folder):
    place = [folder, folder / "kernels", Path(kernel()._cache.cache_path)][depth]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("")
    assert call() == (42, 1)
    assert call() == (42, 1)
    assert kernel_cache.problem()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO, errno.EDQUOT])
def test_a_system_that_refuses_to_write(number, monkeypatch, folder):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(kernel_cache.os, "replace", refuse)
        assert call() == (42, 1)
        assert os.strerror(number) in kernel_cache.problem()
        assert files(folder) == []
    assert call() == (42, 1)
    assert kernel_cache.problem() is None
    assert call() == (42, 0)


def test_what_killed_processes_left_is_deleted(folder):
    """With the next file of the same name; no other is touched."""
    call()
    (path,) = files(folder)
    path.unlink()
    for name in (f"{path.name}.0123.tmp", f"{path.name}.4567.tmp", "other.nbc.89ab.tmp"):
        (path.parent / name).write_bytes(b"half a ker")
    call()
    assert files(folder) == sorted([path, path.parent / "other.nbc.89ab.tmp"])


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are text here")
@pytest.mark.parametrize("name", [b"with spaces ", b"[a-z]*?", b"caf\xe9 \xff\xfe", b"'\"$(x)\n"])
def test_odd_names_of_the_folder(name, monkeypatch, tmp_path):
    place = tmp_path / os.fsdecode(name)
    monkeypatch.setattr(config, "settings", config.load({"FASTCONV_CACHE_DIR": os.fspath(place)}))
    assert call() == (42, 1)
    (path,) = files(place)
    left = Path(f"{path}.0123.tmp")
    left.write_bytes(b"")
    path.unlink()
    assert call() == (42, 1)
    assert call() == (42, 0)
    assert files(place) == [path]


def test_what_nobody_has_used_for_long_is_deleted(folder):
    """Files of another compiler, and halves of killed processes; what is loaded counts as used."""
    call()
    (path,) = files(folder)
    for name in ("double-of-another-numba.nbc", "half.nbc.0123.tmp"):
        (path.parent / name).write_bytes(b"")
        os.utime(path.parent / name, (0, 0))
    os.utime(path, (0, 0))
    assert call() == (42, 0)
    kernel_cache._delete_unused.cache_clear()
    assert call(x=1.5) == (3.0, 1)
    assert len(files(folder)) == 2
    assert path in files(folder)


# Sources


def test_kernels_outside_of_the_package_are_not_kept(folder):
    """Nobody knows what they are made of."""
    assert sources.stamp("somebody.cpu.magnitude") is None
    assert sources.stamp("fastconv.measure.machine") is None
    assert callable_kernel(_double)(21) == 42
    assert files(folder) == []


def test_a_stamp_follows_the_imports():
    """fft.transform is made of simd.vector; pool.pairs does not know the transforms."""
    assert {"cpu/fft/transform.py", "simd/vector.py", "simd/jit.py"} <= reached("cpu/fft/planes.py")
    assert "cpu/fft/transform.py" not in reached("cpu/magnitude.py")


def reached(file):
    found, waiting = set(), {sources.PACKAGE / file}
    while waiting:
        found |= waiting
        waiting = {used for path in waiting for used in sources._imported(path)} - found
    return {path.relative_to(sources.PACKAGE).as_posix() for path in found}


# In processes of their own

SCRIPT = """
import sys
import numpy as np
from fastconv.cpu import activation
from fastconv.cpu.magnitude import is_finite
from fastconv.simd import kernel_cache
assert is_finite(np.ones(3)) and not is_finite(np.array([1, np.inf]))
y = np.array([-1.0, 0.5])
activation.apply(y, "tanh")
np.testing.assert_allclose(y, [-0.7615941559557649, 0.46211715726000973], rtol=1e-14)
print(kernel_cache.compiled(), kernel_cache.problem())
"""


def process(place, path=None, script=SCRIPT, **environment):
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],  # P: not the modules of the working folder
        env={
            **os.environ,
            "FASTCONV_CACHE_DIR": os.fspath(place),
            "PYTHONPATH": os.fspath(path or Path(fastconv.__file__).parent.parent),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-3000:]
    return done.stdout.strip()


def test_a_second_process_compiles_nothing(tmp_path):
    """A fused activation too, though it is made of another compiled function."""
    assert process(tmp_path) == "3 None"
    kept = files(tmp_path)
    assert process(tmp_path) == "0 None"
    assert files(tmp_path) == kept


@pytest.mark.parametrize("variables", [{"NUMBA_OPT": "0"}, {"NUMBA_DISABLE_JIT": "1"}], ids=str)
def test_settings_of_numba_under_which_kernels_are_compiled_all_the_same(variables, tmp_path):
    assert process(tmp_path, **variables) == "3 None"


def test_no_folder_to_keep_kernels_in(tmp_path):
    (tmp_path / "file").write_text("")
    compiled, problem = process(tmp_path / "file" / "cache").split(" ", 1)
    assert compiled == "3"
    assert "file" in problem


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """What the script needs of the package, as sources."""
    place = tmp_path_factory.mktemp("package")
    (place / "fastconv").mkdir()
    home = Path(fastconv.__file__).parent
    for path in home.glob("*.py"):
        shutil.copy(path, place / "fastconv")
    for part in ("simd", "cpu", "spec"):
        shutil.copytree(home / part, place / "fastconv" / part, ignore=shutil.ignore_patterns("__pycache__"))
    return place


@pytest.mark.parametrize(
    "packed, bare",
    [(True, False), (False, True), pytest.param(True, True, marks=pytest.mark.slow)],
    ids=["zip", "byte code", "both"],
)
def test_installed_without_files_of_source(packed, bare, package, tmp_path):
    """The second process compiles nothing."""
    place = Path(shutil.copytree(package, tmp_path / "package"))
    if bare:
        subprocess.run([sys.executable, "-m", "compileall", "-q", "-b", place], check=True)
        for path in place.rglob("*.py"):
            path.unlink()
    if packed:
        place = Path(shutil.make_archive(tmp_path / "archive", "zip", place))
    script = SCRIPT + f"assert kernel_cache.__file__.startswith({os.fspath(place)!r}), kernel_cache.__file__"
    assert process(tmp_path / "cache", place, script) == "3 None"
    assert process(tmp_path / "cache", place, script) == "0 None"


def test_frozen(tmp_path):
    """Modules that come from no file and no folder: nothing tells what kernels are made of, so none is kept."""
    freeze = """
import importlib.abc, importlib.util, sys
from importlib.machinery import PathFinder
class Frozen(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] != "fastconv":
            return None
        found = PathFinder.find_spec(name, path)
        if found is None:
            return None
        self.codes[name] = found.loader.get_code(name)
        spec = importlib.util.spec_from_loader(name, self, is_package=found.submodule_search_locations is not None)
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations += found.submodule_search_locations
        spec.origin, spec.has_location = "/nowhere/" + name.replace(".", "/") + ".pyc", True
        return spec
    codes = {}
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        exec(self.codes[module.__name__], module.__dict__)
sys.meta_path.insert(0, Frozen())
"""
    assert process(tmp_path, script=freeze + SCRIPT) == "3 None"
    assert files(tmp_path) == []


def test_two_processes_at_the_same_time(tmp_path):
    """Both are right, and what they keep serves a third."""
    command = [sys.executable, "-c", SCRIPT]
    environment = {**os.environ, "FASTCONV_CACHE_DIR": os.fspath(tmp_path)}
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)
    ]
    for done in both:
        _, said = done.communicate(timeout=600)
        assert (done.returncode, said) == (0, b"")
    assert process(tmp_path) == "0 None"
    assert all(path.suffix == ".nbc" for path in files(tmp_path))
