"""Parallel regions: every task is done once, by whoever is there, and nobody waits for one who is not."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastconv import workers
from fastconv.simd import parallel
from fastconv.simd.parallel import parallel_kernel
from fastconv.simd.region import serve
from fastconv.threads import MEMBERS
from fastconv.workers import Team, Word


@parallel_kernel
def count(thread, first, last, visits, by):
    for task in range(first, last):
        visits[task] += 1
        by[task] = thread


@parallel_kernel
def member_one_waits(thread, first, last, visits, seen):
    """Member 1 does not begin what it claimed until all else is done, or it gives up: with fixed shares it would."""
    if thread == 1:
        rounds = 0
        while visits.sum() < visits.size - (last - first) and rounds < 20_000_000:
            rounds += 1
        seen[:] = last - first, visits.sum()
    for task in range(first, last):
        visits[task] += 1


def run(members, tasks):
    visits, by = np.zeros(tasks, np.int64), np.full(tasks, -1, np.int64)
    count(members, tasks, visits, by)
    assert visits.tolist() == [1] * tasks, (members, tasks)
    return by


@pytest.fixture
def team(monkeypatch):
    """A team of its own, which has no workers yet, and may have three."""
    monkeypatch.setattr(workers, "MOST", 3)
    run(2, 2)
    lead = parallel._team()[1]
    own = Team(serve)
    monkeypatch.setattr(parallel, "_team", lambda: (own, lead))
    return own


@pytest.mark.parametrize("tasks", [2, 3, 7, 100, 1013])
def test_every_task_is_done_once(tasks, team):
    for members in (2, 3, 4, 7, MEMBERS):
        for _ in range(20):
            by = run(members, tasks)
            assert by.min() >= 0 and by.max() <= team.size
    assert team.size == 3


def test_members_begin_with_their_own_run(team):
    by = run(2, 64)
    assert by[0] == 0  # the caller is there from the start


def test_a_member_that_is_held_up_holds_up_nobody(team):
    until, seen = time.monotonic() + 30, np.zeros(2, np.int64)
    while seen[0] == 0:
        assert time.monotonic() < until, "member 1 never came"
        visits = np.zeros(64, np.int64)
        member_one_waits(2, 64, visits, seen)
        assert visits.tolist() == [1] * 64
    claimed, done = seen
    assert done == 64 - claimed


def test_workers_fall_asleep_and_are_woken(team):
    flag = Word.FIRST + Word.EACH + Word.ASLEEP
    run(2, 8)
    for _ in range(20):
        until = time.monotonic() + 30
        while not team.words[flag] and time.monotonic() < until:
            time.sleep(0.001)
        assert team.words[flag]
        while run(2, 10_000).max() == 0:
            assert time.monotonic() < until


def test_another_caller_works_alone(team):
    run(2, 8)
    team.words[Word.CALLERS] += 1
    for _ in range(100):
        assert set(run(2, 1000)) == {0}
    assert team.words[Word.CALLERS] == 1
    team.words[Word.CALLERS] -= 1
    until = time.monotonic() + 30
    while set(run(2, 10_000)) == {0}:
        assert time.monotonic() < until


def test_one_who_works_alone_learns_of_errors_too(team):
    @parallel_kernel
    def fail(thread, first, last, values):
        for task in range(first, last):
            if values[task]:
                raise ValueError("task failed")

    for callers in (0, 1):
        team.words[Word.CALLERS] = callers
        with pytest.raises(ValueError, match="task failed"):
            fail(2, 8, np.arange(8))
        fail(2, 8, np.zeros(8, np.int64))
    team.words[Word.CALLERS] = 0


def test_callers_leave_no_trace(team):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: run(2, 100 + i), range(200)))
    assert team.words[Word.CALLERS] == team.words[Word.INSIDE] == 0 and team.words[Word.GENERATION] % 2 == 0


def test_many_callers():
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: [run(2 + i % 3, 50 + i) for _ in range(50)], range(16)))


def test_a_system_that_gives_no_threads(team, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert set(run(4, 100)) == {0} and team.size == 0


def test_a_system_that_gives_no_semaphores(team, monkeypatch):
    monkeypatch.setattr(team._system, "semaphore", lambda: 0)
    assert set(run(4, 100)) == {0} and team.size == 0


def test_workers_wake_each_other(team):
    """The caller wakes the first two, the first of these the third."""
    team.grow(4)
    asleep = [Word.FIRST + Word.EACH * number + Word.ASLEEP for number in (1, 2, 3)]
    for _ in range(5):
        until, seen = time.monotonic() + 30, set()
        while not all(team.words[flag] for flag in asleep) and time.monotonic() < until:
            time.sleep(0.001)
        while seen < {0, 1, 2, 3}:
            seen |= set(run(4, 10_000))
            assert time.monotonic() < until, seen


def test_workers_look_for_about_the_time_they_shall(team):
    look = team.words[Word.SPINS]
    assert look >= 1
    before = time.perf_counter()
    serve(team.address, 0, 1)  # no job comes: returns when it would sleep
    assert time.perf_counter() - before < 1000 * workers.SPIN


def test_arguments_are_let_go():
    import sys

    visits, by = np.zeros(9, np.int64), np.zeros(9, np.int64)
    before = sys.getrefcount(visits)
    for _ in range(10):
        count(3, 9, visits, by)
    assert sys.getrefcount(visits) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_its_tasks_alone():
    run(2, 8)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            from fastconv.threads import team

            assert team(100, 10**12) == 1
            assert set(run(2, 100)) == {0}  # even if it is told otherwise
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
