"""Threads of our own: every share is done once, by whoever is there, and an error comes out of the call."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fastconv import workers

SHARES = [(i, 10 * i, 10 * i + 10) for i in range(7)]


@pytest.fixture(autouse=True)
def no_workers(monkeypatch):
    """Each test begins without any."""
    monkeypatch.setattr(workers, "_workers", [])
    monkeypatch.setattr(workers, "_jobs", workers.SimpleQueue())
    monkeypatch.setattr(workers, "MOST", 6)


def test_every_share_is_done_once():
    done = []
    for _ in range(200):
        workers.do(lambda *share: done.append(share), SHARES, ("x",))
    assert sorted(done) == sorted([(*share, "x") for share in SHARES] * 200)
    assert len(workers._workers) == 6


def test_no_more_workers_than_processors(monkeypatch):
    monkeypatch.setattr(workers, "MOST", 2)
    done = []
    workers.do(lambda *share: done.append(share), SHARES, ())
    assert sorted(done) == SHARES
    assert len(workers._workers) == 2


def test_shares_run_at_the_same_time():
    """Each waits until all have begun."""
    meeting = threading.Barrier(len(SHARES), timeout=60)
    workers.do(lambda *share: meeting.wait(), SHARES, ())


def test_callers_share_the_workers():
    counts = [0] * 8

    def call(number):
        def count(*share):
            counts[number] += share[2] - share[1]

        for _ in range(50):
            workers.do(count, SHARES[:1] * 5, ())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(8)))
    assert len(workers._workers) == 4
    assert min(counts) > 0


def test_calls_within_calls_do_not_wait_for_each_other():
    done = []
    inner = lambda *share: done.append(share)  # noqa: E731
    workers.do(lambda *share: workers.do(inner, SHARES, ()), SHARES, ())
    assert len(done) == len(SHARES) ** 2


@pytest.mark.parametrize("guilty", [0, 3, 6])
@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_comes_out_when_all_shares_are_done(guilty, kind):
    done = []

    def work(number, first, last):
        if number == guilty:
            raise kind
        done.append(number)

    with pytest.raises(kind):
        workers.do(work, SHARES, ())
    assert len(done) == 6
    workers.do(lambda *share: done.append(share), SHARES, ())
    assert len(done) == 13


def test_of_several_errors_the_first_in_order_comes_out():
    meeting = threading.Barrier(len(SHARES), timeout=60)

    def work(number, first, last):
        meeting.wait()
        if number in (2, 4, 5):
            raise ValueError(number)

    for _ in range(20):
        with pytest.raises(ValueError, match="2"):
            workers.do(work, SHARES, ())


def test_a_system_that_gives_no_threads(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done = []
    workers.do(lambda *share: done.append(share), SHARES, ())
    assert done == SHARES


def test_arguments_are_let_go():
    """Scratch memory is used again when nobody holds it."""
    big = [object()]
    before = sys.getrefcount(big)
    workers.do(lambda *share: None, SHARES, (big,))
    for _ in SHARES:
        workers._jobs.put(workers._Job(lambda *share: None, [], ()))  # workers are past the last one
    while not workers._jobs.empty():
        pass
    assert sys.getrefcount(big) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_starts_its_own():
    workers.do(lambda *share: None, SHARES, ())
    child = os.fork()
    if child == 0:
        done = []
        try:
            workers.do(lambda *share: done.append(share), SHARES, ())
        finally:
            os._exit(0 if sorted(done) == SHARES else 1)
    assert os.waitpid(child, 0)[1] == 0
