"""Processes killed at random moments, full disks and damaged files: the next process has right results, and no more.

The small kernels of `SCRIPT` stand for all. test_kernel_cache.py has what needs no process of its own.
"""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
import numpy as np
from fastconv.cpu import activation
from fastconv.cpu.magnitude import is_finite
from fastconv.simd import kernel_cache
for dtype in ("f4", "f8"):
    for name, expected in (("relu", 2), ("leaky_relu", 2), ("sigmoid", 0.880797077978), ("tanh", 0.964027580076)):
        y = np.full(5, 2, dtype)
        activation.apply(y, name)
        np.testing.assert_allclose(y, expected, rtol=1e-6)
    assert is_finite(y) and not is_finite(y * np.array([1, 1, np.nan, 1, 1], dtype))
print(kernel_cache.compiled())
"""
KERNELS = 18  # compiled functions: four activations and the loops around them, the test for NaN; in two dtypes
#: Puts the files of a cache in their places again and again.
WRITER = """
import sys
from pathlib import Path
from fastconv.simd import kernel_cache
contents = {str(path): path.read_bytes()[kernel_cache.CHECKSUM :] for path in Path(sys.argv[1]).rglob("*.nbc")}
print("ready", flush=True)
while True:
    for path, content in contents.items():
        kernel_cache._write(path, content)
"""


def start(folder, script=SCRIPT):
    environment = {**os.environ, "FASTCONV_CACHE_DIR": os.fspath(folder)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", script, os.fspath(folder)], env=environment, **pipes)


def compiled(folder, script=SCRIPT):
    """What a process had to compile; it ends well and says nothing."""
    process = start(folder, script)
    out, said = process.communicate(timeout=900)
    assert (process.returncode, said) == (0, ""), (process.returncode, said[-3000:])
    return int(out)


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A cache as it should be, for copies."""
    folder = tmp_path_factory.mktemp("whole")
    assert compiled(folder) == KERNELS
    assert compiled(folder) == 0
    return {path.relative_to(folder): path.read_bytes() for path in files(folder)}


@pytest.fixture
def cache(whole, tmp_path):
    for path, content in whole.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    return tmp_path


# Killed


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this platform does not kill")
def test_killed_while_it_compiles(tmp_path, rng):
    """30 processes, each at a random moment between its start and its end, go on where the last one was stopped."""
    started = time.monotonic()
    compiled(tmp_path / "timed")
    length = time.monotonic() - started
    for moment in rng.uniform(0, 1.1 * length, 30):
        process = start(tmp_path / "cache")
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if rng.random() < 0.3:
            compiled(tmp_path / "cache")
            remove_some(tmp_path / "cache", rng)
    assert compiled(tmp_path / "cache") <= KERNELS
    assert compiled(tmp_path / "cache") == 0
    assert all(path.suffix == ".nbc" for path in files(tmp_path / "cache"))


def remove_some(folder, rng):
    for path in files(folder):
        if rng.random() < 0.5:
            path.unlink()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this platform does not kill")
def test_killed_while_it_writes(cache, rng):
    """50 processes that do nothing but write; what they leave half-written never counts and does not pile up."""
    left = 0
    for moment in rng.uniform(0, 0.05, 50):
        process = start(cache, WRITER)
        assert process.stdout.readline() == "ready\n"
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        parts = [path for path in files(cache) if path.suffix == ".tmp"]
        left += len(parts)
        assert len({path.name.split(".")[0] for path in parts}) == len(parts), "the next file of a name deletes others"
    assert compiled(cache) == 0
    assert left > 0, "no process was killed between the first and the last byte"


# Full


@pytest.mark.skipif(sys.platform == "win32", reason="this platform does not limit the size of files")
@pytest.mark.parametrize("most", [0, 1, 100, 8000, 23000, 10**6])
def test_a_disk_that_is_full(most, tmp_path):
    """Some files find room and some do not; when there is room again all are kept."""
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))\n" + SCRIPT
    assert compiled(tmp_path, limited) == KERNELS
    kept = files(tmp_path)
    assert all(path.suffix == ".nbc" and path.stat().st_size <= most for path in kept)
    assert compiled(tmp_path, limited) == KERNELS - len(kept)
    assert compiled(tmp_path) == KERNELS - len(kept)
    assert compiled(tmp_path) == 0


# Damaged


def cut(content, rng):
    return content[: rng.integers(len(content))]


def flip(content, rng):
    changed = bytearray(content)
    changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def flip_many(content, rng):
    for _ in range(1 + int(rng.integers(20))):
        content = flip(content, rng)
    return content


def blank_a_page(content, rng):
    """What a power cut leaves of a file whose length was written before its data."""
    place = 4096 * int(rng.integers(1 + len(content) // 4096))
    return content[:place] + bytes(len(content[place : place + 4096])) + content[place + 4096 :]


DAMAGE = {
    "empty": lambda content, rng: b"",
    "cut": cut,
    "flipped": flip,
    "flipped often": flip_many,
    "a blank page": blank_a_page,
    "garbage": lambda content, rng: rng.bytes(len(content)),
    "garbage behind": lambda content, rng: content + rng.bytes(9),
    "zeros": lambda content, rng: bytes(len(content)),
}


@pytest.mark.parametrize("repetition", range(2))
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_files(damage, repetition, whole, cache, rng):
    """Those damaged, and only those, are compiled again."""
    victims = 0
    for path in files(cache):
        if rng.random() < 0.5:
            content = damage(path.read_bytes(), rng)
            victims += content != path.read_bytes()
            path.write_bytes(content)
    assert compiled(cache) <= victims  # what only other kernels call is not looked for where those are whole
    compiled_again = compiled(cache)
    assert compiled_again == 0
    assert {path.relative_to(cache) for path in files(cache)} == set(whole)


def test_all_files_damaged(whole, cache, rng):
    for path in files(cache):
        path.write_bytes(flip(path.read_bytes(), rng))
    assert compiled(cache) == KERNELS
    assert compiled(cache) == 0


def test_files_in_each_others_place(cache, rng):
    """Within a module, and across modules."""
    paths = files(cache)
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, contents[1:] + contents[:1], strict=True):
        path.write_bytes(content)
    assert compiled(cache) == KERNELS
    assert compiled(cache) == 0


def test_folders_in_place_of_files(cache, rng):
    for path in files(cache)[::3]:
        path.unlink()
        path.mkdir()
    again = compiled(cache)
    assert 0 < again <= KERNELS
    assert compiled(cache) == again


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to this user")
@pytest.mark.parametrize("mode", [0o000, 0o400, 0o500, 0o300])
def test_folders_without_permissions(mode, cache):
    folders = list((cache / "kernels").iterdir())
    try:
        for folder in folders:
            folder.chmod(mode)
        assert compiled(cache) in (0, KERNELS)
    finally:
        for folder in folders:
            folder.chmod(0o700)
    assert compiled(cache) == 0


def test_four_processes_at_the_same_time(tmp_path):
    processes = [start(tmp_path) for _ in range(4)]
    for process in processes:
        _, said = process.communicate(timeout=900)
        assert (process.returncode, said) == (0, "")
    assert compiled(tmp_path) == 0
    assert all(path.suffix == ".nbc" for path in files(tmp_path))


def test_a_cache_that_is_deleted_all_the_time(tmp_path):
    """While a process compiles into it."""
    process = start(tmp_path / "cache")
    while process.poll() is None:
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        time.sleep(0.01)
    out, said = process.communicate()
    assert (process.returncode, said, out) == (0, "", f"{KERNELS}\n")
