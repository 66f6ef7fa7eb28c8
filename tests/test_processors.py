"""How many threads are used by default: affinity, cores and the quotas of both versions of control groups."""

import os
import subprocess
import sys

import pytest

from fastconv import processors


def machine(root, siblings=(), groups="", **limits):
    """Files as Linux shows them; names of limits are paths with __ for / and _dot_ for dots."""
    for number, text in enumerate(siblings):
        write(root / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list", text)
    write(root / "proc/self/cgroup", groups)
    for path, text in limits.items():
        write(root / "sys/fs/cgroup" / path.replace("__", "/").replace("_dot_", "."), text)
    return root


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def count(root, processors_=range(8)):
    return processors.count(frozenset(processors_), root)


PAIRS = ["0-1", "0-1", "2-3", "2-3", "4-5", "4-5", "6-7", "6-7"]  # two hardware threads of a core
V2 = "0::/user.slice/app.scope"
V1 = "5:memory:/\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc"


def test_two_hardware_threads_of_a_core_count_once(tmp_path):
    root = machine(tmp_path, PAIRS)
    assert count(root) == 4
    assert count(root, [0, 1]) == 1
    assert count(root, [1, 2, 7]) == 3


def test_where_nothing_is_said_every_processor_counts(tmp_path):
    assert count(tmp_path) == 8
    assert count(tmp_path, [5]) == 1


@pytest.mark.parametrize(
    "groups, limits, expected",
    [
        (V2, {"user.slice__app.scope__cpu_dot_max": "200000 100000"}, 2),
        (V2, {"user.slice__app.scope__cpu_dot_max": "max 100000"}, 8),
        (V2, {"user.slice__app.scope__cpu_dot_max": "150000 100000"}, 2),  # a half is used too
        (V2, {"user.slice__app.scope__cpu_dot_max": "10000 100000"}, 1),
        (V2, {"user.slice__cpu_dot_max": "300000 100000", "user.slice__app.scope__cpu_dot_max": "max 100000"}, 3),
        (V2, {"cpu_dot_max": "300000 100000"}, 3),  # a container that sees its group as the root
        ("0::/", {"unified__cpu_dot_max": "300000 100000"}, 3),  # beside version 1
        ("0::/../../other", {"cpu_dot_max": "300000 100000"}, 3),
        (V2, {"cpu_dot_max": "nonsense"}, 8),
        (V2, {"cpu_dot_max": ""}, 8),
        (V1, {"cpu,cpuacct__docker__abc__cpu.cfs_quota_us": "250000"}, 8),  # no period
        (V1, {"cpu__docker__abc__cpu.cfs_quota_us": "250000", "cpu__docker__abc__cpu.cfs_period_us": "100000"}, 3),
        (V1, {"cpu,cpuacct__cpu.cfs_quota_us": "100000", "cpu,cpuacct__cpu.cfs_period_us": "100000"}, 1),
        (V1, {"cpu__cpu.cfs_quota_us": "-1", "cpu__cpu.cfs_period_us": "100000"}, 8),
        ("1:cpuset:/\n2:cpuacct:/", {"cpu__cpu.cfs_quota_us": "100000", "cpu__cpu.cfs_period_us": "100000"}, 8),
        ("", {"cpu_dot_max": "100000 100000"}, 8),  # no group at all
        ("nonsense", {}, 8),
    ],
)
def test_quota(tmp_path, groups, limits, expected):
    assert count(machine(tmp_path, groups=groups, **limits)) == expected


def test_the_lesser_of_quota_and_cores(tmp_path):
    assert count(machine(tmp_path, PAIRS, V2, cpu_dot_max="600000 100000")) == 4
    assert count(machine(tmp_path, PAIRS, V2, cpu_dot_max="200000 100000")) == 2


@pytest.mark.parametrize(
    "sizes, expected",
    [
        (["32K", "32K", "1024K", "32768K"], 32 << 20),
        (["48K", "2M"], 2 << 20),
        (["nonsense", ""], None),
        ([], None),
    ],
)
def test_the_last_cache(tmp_path, sizes, expected):
    for number, text in enumerate(sizes):
        write(tmp_path / f"sys/devices/system/cpu/cpu3/cache/index{number}/size", text)
    write(tmp_path / "sys/devices/system/cpu/cpu0/cache/index3/size", "64M")  # of a processor elsewhere
    assert processors.largest_cache(3, tmp_path) == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity mask")
def test_affinity_of_this_process():
    assert threads_of("import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})") == 1


def test_the_variable_comes_first():
    assert threads_of("", FASTCONV_NUM_THREADS="7") == 7


def threads_of(before, **variables):
    """Of a new process, in which `before` is run first."""
    return int(
        subprocess.run(
            [sys.executable, "-c", f"{before}\nimport fastconv\nprint(fastconv.get_num_threads())"],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
