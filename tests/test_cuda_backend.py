"""Broken, missing and several CUDA installations: the CPU does not mind, device="cuda" says what is wrong."""

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

from fastconv import config
from fastconv.cuda.runtime import targets
from fastconv.errors import InvalidArgument

USE = """
import json, sys
import numpy as np
{before}
import fastconv as fc
x, w = np.ones((1, 1, 5, 5), np.float32), np.ones((1, 1, 3, 3), np.float32)
said = {{"cpu": float(fc.conv2d(x, w, method="direct")[0, 0, 0, 0]), "numba.cuda": "numba.cuda" in sys.modules}}
try:
    fc.conv2d(x, w, device="cuda", method="direct")
    said["error"] = None
except Exception as error:
    said["error"] = type(error).__name__
    said["message"] = str(error)
said["target"] = fc.info()["cuda"]["target"]
print(json.dumps(said))
"""
RAISES = """
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "numba.cuda":
            raise {error}("{message}")
sys.meta_path.insert(0, Finder())
"""
#: A target that says it is numba-cuda: the hook that Python runs at its start, and what it leads to.
HOOK = """
import importlib.util, pathlib, sys
class NumbaCudaFinder:
    def find_spec(self, name, path=None, target=None):
        if name == "numba.cuda":
            file = pathlib.Path(__file__).parent / "numba_cuda" / "fake.py"
            return importlib.util.spec_from_file_location(name, file)
sys.meta_path.insert(0, NumbaCudaFinder())
"""
FAKE = """
implementation = "NVIDIA"
class gpus: pass
gpus = ()
def is_available(): return False
def jit(*a, **o): return lambda f: f
"""


def use(before="", folder=None, **environment):
    """What a process says that convolves on the CPU and then on CUDA."""
    path = [str(folder)] if folder else []
    path += [os.path.dirname(os.path.dirname(__file__)), os.environ.get("PYTHONPATH", "")]
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    done = subprocess.run(
        [sys.executable, "-c", USE.format(before=textwrap.dedent(before))],
        env={**kept, "PYTHONPATH": os.pathsep.join(path), **environment},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["cpu"] == 9 and not said["numba.cuda"]
    return said


@pytest.mark.parametrize("error, message", [("ImportError", "no library"), ("RuntimeError", "driver mismatch")])
def test_a_target_that_cannot_be_imported(error, message):
    said = use(RAISES.format(error=error, message=message))
    assert said["error"] == "DeviceMissing" and message in said["message"] and "pip install" in said["message"]
    assert message in said["target"]


@pytest.mark.parametrize("hook", ["", "raise OSError('libnvrtc is broken')"], ids=["no hook", "a broken hook"])
def test_half_of_numba_cuda(tmp_path, hook):
    """The target in Numba takes over."""
    (tmp_path / "numba_cuda").mkdir()
    (tmp_path / "numba_cuda" / "__init__.py").write_text("")
    if hook:
        (tmp_path / "_numba_cuda_redirector.py").write_text(hook)
    said = use(folder=tmp_path, NUMBA_DISABLE_CUDA="1")
    assert said["error"] == "DeviceMissing" and said["target"].startswith("numba ")


@pytest.mark.parametrize(
    "choice, expected", [("auto", "numba-cuda"), ("numba-cuda", "numba-cuda"), ("numba", "numba ")]
)
def test_the_hook_is_put_in(tmp_path, choice, expected):
    """Where Python has not run it, as in a folder of ``pip --target``; and taken out where Numba's own is asked for."""
    (tmp_path / "numba_cuda").mkdir()
    (tmp_path / "numba_cuda" / "__init__.py").write_text("")
    (tmp_path / "numba_cuda" / "fake.py").write_text(FAKE)
    (tmp_path / "_numba_cuda_redirector.py").write_text(HOOK)
    before = """
    sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != "NumbaCudaFinder"]
    sys.modules.pop("_numba_cuda_redirector", None)
    """
    said = use(before, tmp_path, FASTCONV_CUDA_BACKEND=choice, NUMBA_DISABLE_CUDA="1")
    assert said["error"] == "DeviceMissing" and said["target"].startswith(expected)


def test_libraries_are_loaded_from_a_folder(tmp_path, monkeypatch):
    """NVIDIA's loader looks into site-packages alone, and ``pip --target`` may have put them elsewhere."""
    (tmp_path / "numba_cuda").mkdir()
    (tmp_path / "numba_cuda" / "__init__.py").write_text("")
    libraries = tmp_path / "nvidia" / "cu13" / "lib"
    libraries.mkdir(parents=True)
    for name in ("libnvrtc.so.13", "libnvrtc-builtins.so.13.0", "libnvJitLink.so.13"):
        (libraries / name).write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "numba_cuda", raising=False)
    loaded = []
    monkeypatch.setattr(targets.ctypes, "CDLL", lambda path, mode: loaded.append(os.path.basename(path)))
    targets.load_libraries()
    assert loaded == ["libnvJitLink.so.13", "libnvrtc.so.13"]
    monkeypatch.setattr(targets.site, "getsitepackages", lambda: [str(tmp_path)])
    targets.load_libraries()
    assert len(loaded) == 2


def test_a_driver_that_is_no_library(tmp_path):
    library = tmp_path / "libcuda.so"
    library.write_text("nothing")
    said = use(NUMBA_CUDA_DRIVER=str(library))
    assert said["error"] == "DeviceMissing"
    for looked_for in ("driver (", "device (", "compiler (", "package numba-cuda ("):
        assert looked_for in said["message"]


def test_cuda_that_is_disabled():
    said = use(NUMBA_DISABLE_CUDA="1")
    assert said["error"] == "DeviceMissing" and "NUMBA_DISABLE_CUDA is set" in said["message"]


def test_numbas_simulator_is_a_device():
    assert use(NUMBA_ENABLE_CUDASIM="1")["error"] is None


@pytest.mark.parametrize(
    "choice, reason",
    [("numba-cuda-mlir", "cannot compile fastconv's kernels.*intrinsics"), ("numba-cuda", "numba-cuda")],
)
def test_a_target_that_is_asked_for_and_missing(tmp_path, choice, reason):
    said = use(FASTCONV_CUDA_BACKEND=choice, NUMBA_DISABLE_CUDA="1")
    assert said["error"] == "DeviceMissing"
    assert re.search(reason, said["message"]), said["message"]


def test_the_setting():
    assert config.load({}).cuda_backend == "auto"
    assert config.load({"FASTCONV_CUDA_BACKEND": "numba"}).cuda_backend == "numba"
    with pytest.raises(InvalidArgument, match="FASTCONV_CUDA_BACKEND is 'cupy'; expected one of auto, numba-cuda"):
        config.load({"FASTCONV_CUDA_BACKEND": "cupy"})


def test_a_target_that_numpy_is_too_new_for_is_not_available(monkeypatch):
    """numba-cuda finds its GPU, but the part that lowers kernels cannot be imported: said at once, not by a kernel."""
    monkeypatch.setattr(targets, "simulator_asked_for", lambda: False)

    def refuse(name):
        raise AttributeError("module 'numpy' has no attribute 'row_stack'")

    class Target:
        implementation, gpus = "NVIDIA", (0,)
        is_available = staticmethod(lambda: True)
        current_context = staticmethod(lambda: None)

    monkeypatch.setattr(targets, "import_module", refuse)
    assert not targets.is_available(Target)
    assert "row_stack" in targets.why_unavailable(Target)
