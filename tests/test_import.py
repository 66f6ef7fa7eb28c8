"""What importing fastconv costs and brings along."""

import json
import os
import subprocess
import sys

import pytest

HEAVY = ("numba.cuda", "matplotlib", "click", "scipy", "torch", "cupy", "tqdm", "rich", "PIL", "pandas")


def python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "statement", ["import fastconv", "import fastconv; from fastconv import conv2d, threads, errors"]
)
def test_import_brings_nothing_heavy(statement):
    loaded = json.loads(python(f"{statement}; import sys, json; print(json.dumps(sorted(sys.modules)))"))
    assert not [name for name in loaded if name in HEAVY]


def test_first_convolution_brings_neither_cuda_nor_plots():
    """SciPy is there because Numba looks for its version."""
    code = """
import fastconv, numpy, sys, json
fastconv.conv2d(numpy.ones((1, 1, 5, 5)), numpy.ones((1, 1, 3, 3)), method="direct")
print(json.dumps(sorted(sys.modules)))
"""
    loaded = json.loads(python(code))
    assert not [name for name in loaded if name in HEAVY and name != "scipy"]


def test_import_leaves_numpy_for_later():
    """It takes most of the time that importing fastconv would."""
    assert python("import fastconv, sys; print('numpy' in sys.modules)").strip() == "False"


def test_import_is_quick():
    """Less than 0.3 s of processor time beyond starting Python, the best of five; others' processes do not count."""

    def best(statement):
        times = []
        for _ in range(5):
            before = os.times()
            python(statement)
            after = os.times()
            times.append(sum(after[2:4]) - sum(before[2:4]))  # of children, user and system
        return min(times)

    assert best("import fastconv") - best("import sys") < 0.3


def test_every_public_name_is_there():
    code = """
import fastconv as fc
print([name for name in fc.__all__ if getattr(fc, name, None) is None])
print(sorted(set(fc.__all__) - set(dir(fc))))
"""
    assert python(code).split("\n")[:2] == ["[]", "[]"]


def test_unknown_name_is_an_attribute_error():
    code = """
import fastconv as fc
try:
    fc.conv4d
except AttributeError as error:
    assert "conv4d" in str(error)
else:
    raise SystemExit("no error")
"""
    python(code)


def test_version():
    assert python("import fastconv; print(fastconv.__version__)").strip()[0].isdigit()


def test_unwritable_cache_only_costs_time(tmp_path):
    """Kernels then are compiled again in each process."""
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    code = """
import fastconv as fc, numpy as np
assert fc.conv1d(np.ones((1, 1, 3)), np.ones((1, 1, 3)), method="direct")[0, 0, 0] == 3
"""
    python(code, FASTCONV_CACHE_DIR=str(blocked / "cache"))


def test_kernels_of_other_versions_are_deleted_when_long_unused(tmp_path):
    """What is new stays, and so does what belongs to other modules."""
    stem = "cpu.magnitude"
    folders = [tmp_path / "kernels" / name for name in (f"{stem}-old", f"{stem}-recent", "cpu.magnitudes-old")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "kernel.nbc").write_text("")
        if folder.name.endswith("old"):
            os.utime(folder, (0, 0))
    code = "import numpy as np; from fastconv.cpu.magnitude import largest; assert largest(np.ones(3)) == 1023"
    python(code, FASTCONV_CACHE_DIR=str(tmp_path))
    left = sorted(path.name for path in (tmp_path / "kernels").glob("cpu.magnitude*"))
    assert len(left) == 3 and f"{stem}-old" not in left and {f.name for f in folders[1:]} <= set(left)
