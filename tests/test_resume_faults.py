"""A training that is killed, stopped or out of room at any step of its files comes, taken up again, to the same bits.

Each training is a copy of this process (fork): it kills itself at a chosen step of writing a file, or finds the disk
full there. Those of many steps are marked ``slow``.
"""

import errno
import json
import os
import random
import signal
import time

import pytest
from click.testing import CliRunner
from small_training import made_small, own_images
from test_faults import leftovers, whole

from fastconv import files
from fastconv.cli import main
from fastconv.interrupts import ENDING

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes of Unix")

DRAWN = ("fashion-sketch", "--batch-size", "30", "--epochs", "4", "--seed", "5", "--model", "lecture-cnn")
OPTIONS = {
    "adam": (*DRAWN, "--optimizer", "adam", "--lr", "0.01", "--schedule", "cosine", "--augment", "--best"),
    "rmsprop": (*DRAWN, "--optimizer", "rmsprop", "--lr", "0.01", "--augment", "shift,noise", "--best"),  # 1st is best
    "sgd": (*DRAWN, "--schedule", "steps", "--early-stop", "2"),
    "folder": ("--folder", "{own}", "--image-size", "16", *DRAWN[1:], "--augment", "--best", "--early-stop", "1"),
}


@pytest.fixture(autouse=True, scope="module")
def small():
    with made_small():
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The words of each training, and the folder of a run of it that nothing disturbed."""
    made = {}

    def run(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            words = [
                str(own_images(folder, dark=(0, 216), light=(40, 256))) if word == "{own}" else word
                for word in OPTIONS[name]
            ]
            made[name] = words, folder / "out"
            done = CliRunner().invoke(main, ["train", *words, "--out", str(folder / "out")])
            assert done.exit_code == 0, done.output
        return made[name]

    return run


def same(folder, other):
    """Weights, history, best epoch and test of two runs are the same bits, and both have all files."""
    assert {path.name for path in folder.iterdir()} == {path.name for path in other.iterdir()}
    for name in ("weights.npz", "history.json", "history.csv", "best.npz", "class-table.csv", "model.json"):
        if (other / name).exists():
            assert (folder / name).read_bytes() == (other / name).read_bytes(), name
    assert end_of(folder) == end_of(other)


def end_of(folder):
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "finished" and record["interrupted"] is None
    return record["test"], len(record["epochs"])


class Steps:
    """The steps of writing files in this process: at each of them `at` is called with its number."""

    def __init__(self, at):
        self.at, self.count = at, 0
        replace, fsync, rename, unlink = files._replace, os.fsync, os.replace, os.unlink
        files._replace = lambda path, write: (self.step(), replace(path, lambda f: write(Steps.File(self, f))))[1]
        os.fsync = lambda handle: (self.step(), fsync(handle))[1]
        os.replace = lambda a, b: (self.step(), rename(a, b), self.step())[1]
        os.unlink = lambda path, **options: (self.step(), unlink(path, **options))[1]

    def step(self, write=None):
        self.count += 1
        self.at(self.count, write)

    class File:
        """A file each write to which is a step."""

        def __init__(self, steps, file):
            self._steps, self._file = steps, file

        def write(self, data):
            def half():
                self._file.write(memoryview(data).cast("B")[: len(data) // 2])
                self._file.flush()

            self._steps.step(half)
            return self._file.write(data)

        def __getattr__(self, name):
            return getattr(self._file, name)


def kill_at(number):
    """Kill this process at a step; in the middle of what is written, where it is that."""

    def at(count, write):
        if count == number:
            if write is not None:
                write()
            os.kill(os.getpid(), signal.SIGKILL)

    return at


def full_from(first, last):
    """No room at these steps: a file that is begun there is not to be had, and of what is written half is."""

    def at(count, write):
        if first <= count <= last and write is not None:
            write()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return at


def start(words, folder, at=None):
    """A training in a copy of this process; its messages go to a file beside the folder."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        for number in ENDING:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        if at is not None:
            Steps(at)
        done = CliRunner().invoke(main, ["train", *words, "--out", str(folder), "--resume"])
        folder.with_suffix(".log").write_text(f"{done.output}\n{done.exc_info}")
        code = done.exit_code
    except KeyboardInterrupt:  # before the command has begun, or behind its end
        code = 128 + signal.SIGINT
    finally:
        os._exit(code)


def ended(pid):
    """The status of a training, below 0 the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def taken_up(words, folder, other):
    """The next process finishes the run, whatever the one before has left."""
    whole(folder)
    assert len(leftovers(folder)) <= 1
    code = ended(start(words, folder))
    assert code == 0, folder.with_suffix(".log").read_text()
    same(folder, other)


def killed_at_step(name, number, undisturbed, folder):
    """Whether there was such a step."""
    words, other = undisturbed(name)
    code = ended(start(words, folder, kill_at(number)))
    assert code in (0, -signal.SIGKILL), folder.with_suffix(".log").read_text()
    if folder.exists():
        taken_up(words, folder, other)
    return code != 0


@pytest.mark.parametrize("number", [23, 141])
def test_killed_while_it_writes(number, undisturbed, tmp_path):
    assert killed_at_step("adam", number, undisturbed, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_killed_at_every_third_step_of_its_files(name, undisturbed, tmp_path):
    """Another third for each training."""
    number = 1 + list(OPTIONS).index(name) % 3
    while killed_at_step(name, number, undisturbed, tmp_path / f"out{number}"):
        number += 3
    assert number > 100


def without_room(name, first, last, undisturbed, folder):
    """A training for which the disk is full at some steps: what is lost is said, and the next process mends it."""
    words, other = undisturbed(name)
    code = ended(start(words, folder, full_from(first, last)))
    log = folder.with_suffix(".log").read_text()
    assert code in (0, 2) and "Traceback" not in log, log
    if code == 2:
        assert "No space left on device" in log
        if folder.exists():
            taken_up(words, folder, other)
        return
    same(folder, other)


@pytest.mark.parametrize(("first", "last"), [(20, 30), (150, 10**9)])
def test_a_disk_that_is_full_for_a_while(first, last, undisturbed, tmp_path):
    without_room("rmsprop", first, last, undisturbed, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_a_disk_that_is_full_from_any_step_on(name, undisturbed, tmp_path):
    rng = random.Random(3)
    for number in range(1, 240, 3):
        for i, last in enumerate((10**9, number + rng.randrange(20))):
            without_room(name, number, last, undisturbed, tmp_path / f"out{number}-{i}")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("name", OPTIONS)
def test_ended_at_random_moments(name, number, undisturbed, tmp_path):
    """Again and again, until one training has come to its end."""
    words, other = undisturbed(name)
    rng = random.Random(name + str(number))
    for round_ in range(6):
        folder, code = tmp_path / f"out{round_}", None
        for _ in range(40):
            pid = start(words, folder)
            time.sleep(rng.uniform(0, 0.6))
            os.kill(pid, number)
            code = ended(pid)
            if code == 1 and number == signal.SIGINT:  # while click reads the words
                assert folder.with_suffix(".log").read_text().startswith("\nAborted!")
            else:
                assert code in (0, -number, 128 + number), folder.with_suffix(".log").read_text()
            if code == 0:
                break
        taken_up(words, folder, other)
