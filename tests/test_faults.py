"""What goes wrong while a training runs, and between two: kills, signals, full disks, damaged files, lost output.

After each fault the next process works, nothing finished is lost, and what is said is a sentence. The job of many
rounds is marked ``slow``.
"""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from small_training import made_small

from fastconv.cli import artifacts, main
from fastconv.files import LEFTOVER
from fastconv.interrupts import ENDING
from fastconv.nn.optimizers.schedules import LearningRateSchedule

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits of Unix")

HERE = Path(__file__).parent
RUN = ["--batch-size", "20", "--lr", "0.05", "--seed", "3"]
EVERYTHING = {"weights.npz", "model.json", "history.json", "history.csv", "run.json", "class-table.csv", "report.html"}
EVERYTHING |= {"model.keras"} if find_spec("h5py") else set()
BENCH = ["bench", "--problem", "conv:n1c3h12w12_o4k3s1p1", "--seconds", "0.01", "--against", "none"]
PICTURES = {"learning-curve.png", "confusion-matrix.png", "filters.png", "misclassified.png"}


@pytest.fixture(autouse=True, scope="module")
def small():
    with made_small():
        yield


def train(*words, **options):
    """``fastconv train fashion-sketch`` in this process."""
    return CliRunner().invoke(main, ["train", "fashion-sketch", *map(str, words)], **options)


def start(*words, stdout=subprocess.PIPE, ignored=(), **variables):
    """The same in a process of its own, which is as a shell starts it, however these tests were started."""
    paths = [str(HERE), str(HERE.parent)]

    def reset():
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, str(HERE / "small_training.py"), "train", "fashion-sketch", *map(str, words)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **{k: str(v) for k, v in variables.items()}},
        stdout=stdout,
        stderr=subprocess.PIPE,
        preexec_fn=reset,
    )


def after(process, text):
    """Read what a process says until a line begins with `text`."""
    for line in process.stderr:
        if line.startswith(text.encode()):
            return
    pytest.fail(f"it ended with {process.wait()} before it said {text!r}")


def one_sentence(stderr):
    """The last line is the only error, and there is no traceback."""
    text = stderr.decode() if isinstance(stderr, bytes) else stderr
    assert "Traceback" not in text and "Exception ignored" not in text, text
    errors = [line for line in text.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1 and text.splitlines()[-1] == errors[0] and len(errors[0]) < 700, text
    return errors[0]


def results(folder):
    """What must not depend on how often a run was interrupted."""
    history = json.loads((folder / "history.json").read_text())
    with np.load(folder / "weights.npz") as weights:
        arrays = {name: weights[name].tobytes() for name in weights.files}
    return history, arrays, json.loads((folder / "run.json").read_text())["test"]


def whole(folder):
    """Every file is whole: a kill leaves the file before or the file after, and a hidden one that is no file's."""
    from fastconv.nn.formats.named import load_arrays

    for path in folder.iterdir():
        assert path.name in artifacts.FILES or LEFTOVER.fullmatch(path.name), path.name
        if path.suffix == ".npz":
            load_arrays(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".png":
            assert path.read_bytes().endswith(b"IEND\xaeB`\x82")


def leftovers(folder):
    return [path.name for path in folder.iterdir() if LEFTOVER.fullmatch(path.name)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Folders of runs of some epochs that nothing disturbed."""
    made = {}

    def run(epochs):
        if epochs not in made:
            made[epochs] = tmp_path_factory.mktemp("undisturbed") / "out"
            done = train(*RUN, "--epochs", epochs, "--out", made[epochs])
            assert done.exit_code == 0, done.output
        return made[epochs]

    return run


# Signals


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_a_signal_leaves_what_the_next_process_goes_on_from(number, tmp_path):
    folder = tmp_path / "out"
    process = start(*RUN, "--epochs", 300, "--out", folder)
    after(process, "epoch 2/300  loss")
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert b"Stopping after this batch" in errors and b"Traceback" not in errors
    assert f"go on with: fastconv train fashion-sketch --out {folder} --resume".encode() in output
    record, history = (json.loads((folder / name).read_text()) for name in ("run.json", "history.json"))
    assert record["status"] == "interrupted"
    assert len(history["loss"]) == len(record["epochs"]) >= 2
    assert (folder / "weights.npz").exists() and not leftovers(folder)


@pytest.mark.parametrize("where", ["in an epoch", "at its end"])
@pytest.mark.parametrize("epoch", [0, 2])
def test_a_continued_run_comes_to_the_same_bits(where, epoch, undisturbed, tmp_path, monkeypatch):
    """Weights, history and test of a run that was stopped, in its first epoch or later, and taken up again."""
    from fastconv.cli.interruption import Interruption

    folder = tmp_path / "out"
    event = "on_epoch_end" if where == "at its end" else "on_train_batch_end"
    original = getattr(Interruption, event)
    seen = []

    def stop(self, number, logs=None):
        seen.append(number)
        if (number == epoch) if event == "on_epoch_end" else (len(seen) == epoch * 6 + 3):
            self.number = signal.SIGTERM
        original(self, number, logs)

    monkeypatch.setattr(Interruption, event, stop)
    stopped = train(*RUN, "--epochs", 4, "--out", folder)
    assert stopped.exit_code == 143, stopped.output
    record = json.loads((folder / "run.json").read_text())
    done = epoch + (where == "at its end")
    assert len(record["epochs"]) == done and (folder / "state.npz").exists() == (done > 0)
    assert record["interrupted"] is None if where == "at its end" else record["interrupted"]["batches"] == 3
    monkeypatch.undo()
    continued = train("--out", folder, "--resume")
    assert continued.exit_code == 0, continued.output
    assert (f"Going on after epoch {done} of 4" if done else "it begins again") in continued.stderr
    assert results(folder) == results(undisturbed(4))
    assert {path.name for path in folder.iterdir()} == {path.name for path in undisturbed(4).iterdir()}
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "finished" and record["interrupted"] is None and len(record["epochs"]) == 4
    again = train("--out", folder, "--resume")
    assert again.exit_code == 0 and "is finished: 4 epochs are done" in again.stdout
    assert results(folder) == results(undisturbed(4))


@pytest.fixture
def heard_signals():
    """Signals do what they do in a terminal: these tests may have been started with some of them ignored (nohup)."""
    usual = dict.fromkeys(ENDING, signal.SIG_DFL) | {signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_before_there_is_anything_to_save_the_folder_goes(heard_signals, tmp_path, monkeypatch):
    from fastconv.nn.datasets import fashion_sketch

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        monkeypatch.setattr(fashion_sketch, "load_data", lambda n=number, **_: os.kill(os.getpid(), n))
        stopped = train("--out", tmp_path / "out")
        assert stopped.exit_code == 128 + number and stopped.stderr == "Interrupted.\n"
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_signal_that_is_ignored_stays_so(tmp_path):
    """nohup: the terminal closes, the training goes on."""
    folder = tmp_path / "out"
    process = start(*RUN, "--epochs", 40, "--out", folder, ignored=[signal.SIGHUP])
    after(process, "epoch 2/40  loss")
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"


# Folders that hold a run


def test_two_runs_are_not_mixed(tmp_path):
    folder = tmp_path / "out"
    assert train(*RUN, "--epochs", 2, "--out", folder).exit_code == 0
    before = results(folder)
    refused = train(*RUN, "--epochs", 1, "--out", folder)
    assert refused.exit_code == 2
    message = one_sentence(refused.stderr)
    assert "holds a run already" in message and "--resume" in message and "--overwrite" in message
    failed = train("--lr", "1e30", "--epochs", 1, "--out", folder, "--overwrite")
    assert failed.exit_code == 2 and "use a smaller --lr" in one_sentence(failed.stderr)
    assert results(folder) == before  # replaced only once there is something new
    for name in ("notes.txt", *PICTURES):
        (folder / name).write_text("old")
    replaced = train(*RUN, "--epochs", 1, "--out", folder, "--overwrite")
    assert replaced.exit_code == 0, replaced.output
    assert {path.name for path in folder.iterdir()} == EVERYTHING | {"notes.txt"}
    assert len(json.loads((folder / "history.json").read_text())["loss"]) == 1


def test_folders_without_a_name_of_their_own_are_numbered(tmp_path, monkeypatch):
    from fastconv.cli.artifacts import OutputFolder

    with (
        OutputFolder(tmp_path / "run", numbered=True) as first,
        OutputFolder(tmp_path / "run", numbered=True) as second,
    ):
        assert [first.path.name, second.path.name] == ["run", "run-2"]
    assert not list(tmp_path.iterdir())


def test_two_processes_do_not_write_one_run(tmp_path):
    from fastconv.cli.artifacts import OutputFolder

    (tmp_path / "out").mkdir()
    with OutputFolder(tmp_path / "out"):
        for words in ((), ("--resume",), ("--overwrite",)):
            refused = train("--out", tmp_path / "out", *words)
            assert refused.exit_code == 2 and "is in use by another run" in one_sentence(refused.stderr)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--resume"], "--resume needs --out"),
        (["--out", "{run}", "--resume", "--overwrite"], "cannot go with --overwrite"),
        (["--out", "{run}", "--resume", "--lr", "0.1"], "begun with lr 0.05, not 0.1"),
        (["--out", "{run}", "--resume", "--epochs", "9"], "begun with epochs 3, not 9"),
        (["--out", "{run}", "--resume", "--limit", "9"], "begun with limit None, not 9"),
    ],
)
def test_resuming_another_run_is_refused(words, text, half_done):
    refused = train(*(word.format(run=half_done) for word in words))
    assert refused.exit_code == 2
    assert text in one_sentence(refused.stderr)


@pytest.fixture
def half_done(tmp_path, monkeypatch):
    """A run of three epochs, stopped after the second."""
    from fastconv.cli.interruption import Interruption

    def stop(self, epoch, logs=None):
        self.number = signal.SIGINT if epoch == 1 else None
        original(self, epoch, logs)

    original = Interruption.on_epoch_end
    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "on_epoch_end", stop)
        assert train(*RUN, "--epochs", 3, "--out", tmp_path / "run").exit_code == 130
    return tmp_path / "run"


def test_resuming_nothing_begins(tmp_path, undisturbed):
    """Who starts a job again and again need not know whether it has been begun."""
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "none", tmp_path / "empty"):
        begun = train(*RUN, "--epochs", 2, "--out", folder, "--resume")
        assert begun.exit_code == 0 and "There is nothing to go on with" in begun.stderr
        assert results(folder) == results(undisturbed(2))
        (folder / "run.json").unlink()
        refused = train(*RUN, "--out", folder, "--resume")
        assert refused.exit_code == 2 and "holds weights but no run.json" in one_sentence(refused.stderr)


def test_another_number_of_pictures_is_another_run(half_done, monkeypatch):
    from fastconv.nn.datasets import fashion_sketch

    load = fashion_sketch.load_data
    monkeypatch.setattr(fashion_sketch, "load_data", lambda **k: tuple((x[:30], y[:30]) for x, y in load(**k)))
    refused = train("--out", half_done, "--resume")
    assert refused.exit_code == 2 and "not begun with these 30 training images" in one_sentence(refused.stderr)


# Numbers that are none


class Exploding(LearningRateSchedule):
    """So small a rate, and in the third epoch so large a one."""

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate if step < 12 else 1e30


def test_a_loss_that_is_no_number_keeps_the_epochs_before_it(tmp_path, monkeypatch):
    from fastconv.cli import recipes

    monkeypatch.setitem(recipes.SCHEDULES, "linear", lambda lr, steps: Exploding(lr))
    with np.errstate(all="ignore"):
        done = train(*RUN, "--epochs", 4, "--out", tmp_path / "out")
    assert done.exit_code == 2
    message = one_sentence(done.stderr)
    assert "of epoch 3; use a smaller --lr (saved in " in message
    history, arrays, test = results(tmp_path / "out")
    assert len(history["loss"]) == 2 and test is None
    assert all(np.isfinite(np.frombuffer(data, np.float32)).all() for data in arrays.values())  # those after epoch 2
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["status"] == "diverged" and record["interrupted"]["epoch"] == 3


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_test_loss_that_is_no_number_is_written_as_null(tmp_path, monkeypatch):
    """One batch: the loss is that before the step, so only the test shows what the step did."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("fastconv.show.figures.available", lambda: True)
    done = train("--lr", "1e30", "--epochs", 1, "--batch-size", 200, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "val_loss is nan after the last epoch; use a smaller --lr (saved in" in one_sentence(done.stderr)
    history, _, test = results(tmp_path / "out")
    assert math.isfinite(history["loss"][0]) and history["val_loss"] == [None]
    assert "nan" in (tmp_path / "out" / "history.csv").read_text()
    assert np.sum(test["confusion_matrix"]) == 40
    assert {path.name for path in (tmp_path / "out").iterdir()} == EVERYTHING | PICTURES


def test_learning_curves_have_gaps(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("fastconv.show.figures.available", lambda: True)
    from fastconv.show.figures import save_figure
    from fastconv.show.learning_curve import draw_learning_curve

    for loss in ([1.0, math.nan, 0.5], [1e300, math.inf], [-math.inf, 1.0], [math.nan]):
        history = dict.fromkeys(artifacts.FIGURES, loss)
        save_figure(draw_learning_curve(history, "title"), tmp_path / "curve.png")
        assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


# Lost output


@pytest.mark.parametrize("target", ["closed pipe", "/dev/full"])
def test_results_do_not_need_a_listener(target, tmp_path, undisturbed):
    if target == "/dev/full" and not os.path.exists(target):
        pytest.skip("a device of Linux")
    if target == "closed pipe":
        reader, handle = os.pipe()
        os.close(reader)
    else:
        handle = os.open(target, os.O_WRONLY)
    process = start(*RUN, "--epochs", 2, "--out", tmp_path / "out", stdout=handle)
    os.close(handle)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and b"Traceback" not in errors and b"Exception ignored" not in errors
    assert (b"standard output cannot be written: No space left" in errors) == (target == "/dev/full")
    assert results(tmp_path / "out") == results(undisturbed(2))


def test_neither_stream_is_needed(tmp_path, undisturbed):
    command = [sys.executable, str(HERE / "small_training.py"), "train", "fashion-sketch", *RUN, "--epochs", "2"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&- 2>&- <&-', "sh", *command, "--out", str(tmp_path / os.fsdecode(b"caf\xe9"))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])},
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert results(tmp_path / os.fsdecode(b"caf\xe9")) == results(undisturbed(2))
    record = json.loads((tmp_path / os.fsdecode(b"caf\xe9") / "run.json").read_text())
    assert record["arguments"]["out"].endswith(r"caf\xe9")


@pytest.mark.parametrize(
    ("words", "reader", "code"),
    [
        (["info"], "/dev/full", 2),
        (["explain", "conv:n1c3h12w12_o4k3s1p1", "--predict"], "closed pipe", 141),
        pytest.param(["info"], "closed pipe", 141, marks=pytest.mark.slow),
        pytest.param(BENCH, "closed pipe", 141, marks=pytest.mark.slow),
        pytest.param(BENCH, "/dev/full", 2, marks=pytest.mark.slow),
    ],
)
def test_reports_that_nobody_reads(reader, code, words, tmp_path):
    if reader == "/dev/full":
        if not os.path.exists(reader):
            pytest.skip("a device of Linux")
        handle = os.open(reader, os.O_WRONLY)
    else:
        end, handle = os.pipe()
        os.close(end)
    command = [sys.executable, "-m", "fastconv", *words, "--json", str(tmp_path / "report.json")]
    done = subprocess.run(command, stdout=handle, stderr=subprocess.PIPE, check=False, timeout=60, cwd=HERE.parent)
    os.close(handle)
    assert done.returncode == code
    assert json.loads((tmp_path / "report.json").read_text())  # written before anything was said
    if code == 141:
        assert b"Error" not in done.stderr and b"Traceback" not in done.stderr
    else:
        assert "standard output cannot be written: No space left on device" in one_sentence(done.stderr)


# Disks that fill


def full_disk(limit, tmp_path, undisturbed):
    """A training that may write no file of more than `limit` bytes, and the next process, which may."""
    folder = tmp_path / "out"
    words = [*RUN, "--epochs", 2, "--out", folder]
    process = start(*words, FSIZE_LIMIT=limit)
    _, errors = process.communicate(timeout=120)
    assert process.returncode in (0, 2)
    if process.returncode == 2:
        one_sentence(errors)
        assert b"cannot be written: File too large" in errors
    if folder.exists():
        whole(folder)
        assert not leftovers(folder)
    resumed = train(*words, "--resume")
    if resumed.exit_code:  # weights without a record: there was room for nothing else
        assert "holds weights but no run.json" in one_sentence(resumed.stderr)
        resumed = train(*words, "--overwrite")
    assert resumed.exit_code == 0, resumed.output
    assert results(folder) == results(undisturbed(2))
    return process.returncode


@pytest.mark.parametrize("limit", [5000])
def test_a_disk_that_fills(limit, tmp_path, undisturbed):
    assert full_disk(limit, tmp_path, undisturbed) == 2


def test_an_epoch_that_cannot_be_kept_does_not_end_the_training(tmp_path, undisturbed, monkeypatch):
    from fastconv import files

    replace, left = files._replace, [4]  # files that fit, then none, then all again

    def full_for_a_while(path, write):
        left[0] -= 1
        if -3 < left[0] < 0:
            raise OSError(28, "No space left on device")
        replace(path, write)

    monkeypatch.setattr(files, "_replace", full_for_a_while)
    done = train(*RUN, "--epochs", 4, "--out", tmp_path / "out")
    assert done.exit_code == 0
    assert done.stderr.count("is not kept: ") == 2 and "No space left on device" in done.stderr
    assert results(tmp_path / "out") == results(undisturbed(4))


# Damaged files


def damages(data, rng):
    """Copies of a file that something happened to."""
    yield b""
    yield data[: len(data) // 2]
    yield data[:-1]
    yield bytes(len(data))
    yield rng.randbytes(len(data))
    yield data[: len(data) // 3] + bytes(40) + data[len(data) // 3 + 40 :]
    yield data + data


@pytest.mark.parametrize("name", ["state.npz", "run.json", "history.json"])
def test_damaged_files_of_a_run(name, half_done, undisturbed):
    """--resume says so in a sentence, or comes to the right results; --overwrite works in any case."""
    sound = {path.name: path.read_bytes() for path in half_done.iterdir()}
    rng = random.Random(7)
    for data in damages(sound[name], rng):
        (half_done / name).write_bytes(data)
        resumed = train("--out", half_done, "--resume")
        if resumed.exit_code == 0:
            assert results(half_done) == results(undisturbed(3))
        else:
            assert resumed.exit_code == 2
            message = one_sentence(resumed.stderr)
            assert name in message and ("damaged" in message or "no run that could go on" in message), message
        for other, content in sound.items():
            (half_done / other).write_bytes(content)
    assert train("--out", half_done, "--resume").exit_code == 0
    assert results(half_done) == results(undisturbed(3))
    (half_done / name).write_bytes(b"\xff")
    assert train(*RUN, "--epochs", 3, "--out", half_done, "--overwrite").exit_code == 0
    assert results(half_done) == results(undisturbed(3))


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("run.json", lambda d: {}, "it does not say how the run ended"),
        ("run.json", lambda d: {**d, "status": ["finished"]}, "it does not say how the run ended"),
        ("run.json", lambda d: {"status": "running"}, "it names no arguments"),
        ("run.json", lambda d: [d], "it is no JSON object"),
        ("run.json", lambda d: {**d, "arguments": {**d["arguments"], "epochs": "many"}}, "its epochs is 'many'"),
        ("run.json", lambda d: {**d, "arguments": {**d["arguments"], "lr": -1}}, "its lr is -1"),
        ("run.json", lambda d: {**d, "arguments": {**d["arguments"], "lr": {}}}, "its lr is {}"),
        ("run.json", lambda d: {**d, "epochs": None}, "that of another run"),
        ("run.json", lambda d: {**d, "epochs": d["epochs"][:1]}, "that of another run"),
        ("run.json", lambda d: {**d, "images": 3}, "training images"),
        ("history.json", lambda d: {"loss": [1]}, "four lists of numbers"),
        ("history.json", lambda d: {**d, "loss": [1]}, "four lists of numbers"),
        ("history.json", lambda d: {**d, "loss": "ab"}, "four lists of numbers"),
        ("history.json", lambda d: {name: [] for name in d}, "that of another run"),
    ],
)
def test_records_that_make_no_sense(name, change, text, half_done):
    path = half_done / name
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    refused = train("--out", half_done, "--resume")
    assert refused.exit_code == 2
    assert text in one_sentence(refused.stderr)


def test_damaged_data_sets(tmp_path):
    import gzip

    from data_files import idx_bytes, tiny_set

    rng = random.Random(7)
    files = {name: gzip.compress(idx_bytes(array)) for name, array in tiny_set().items()}
    for name in files:
        for data in damages(files[name], rng):
            for each, content in files.items():
                (tmp_path / each).write_bytes(data if each == name else content)
            done = CliRunner().invoke(main, ["train", "mnist", "--data-dir", str(tmp_path), "--out", f"{tmp_path}/out"])
            assert done.exit_code == 2 and name in one_sentence(done.stderr)
            assert not (tmp_path / "out").exists()


# kill -9


def killed(rng, folder, words, longest):
    """Start, kill after a while, and look at what is there; True if it had ended before."""
    process = start(*words, "--out", folder, "--resume")
    after(process, "fashion-sketch: ")
    time.sleep(rng.uniform(0, longest))
    process.kill()
    process.communicate(timeout=60)
    whole(folder)
    return process.returncode == 0


def killed_again_and_again(times, epochs, longest, tmp_path, undisturbed):
    rng, folder = random.Random(11), tmp_path / "out"
    words = [*RUN, "--epochs", epochs]
    most = 0
    for _ in range(times):
        ended = killed(rng, folder, words, longest)
        most = max(most, len(leftovers(folder)))
        assert most <= 1  # each process takes away what the one before left
        if ended:
            assert results(folder) == results(undisturbed(epochs))
            for path in folder.iterdir():
                path.unlink()
    last = train(*words, "--out", folder, "--resume")
    assert last.exit_code == 0, last.output
    assert results(folder) == results(undisturbed(epochs))
    assert not leftovers(folder)


def test_killed_and_taken_up(tmp_path, undisturbed):
    killed_again_and_again(2, 12, 0.3, tmp_path, undisturbed)


@pytest.mark.slow
def test_killed_at_many_moments(tmp_path, undisturbed):
    killed_again_and_again(50, 60, 1.5, tmp_path, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "limit", [0, 1, 50, 150, 250, 1000, 1500, 3000, 5500, 7000, 10_000, 12_000, 20_000, 60_000, 100_000]
)
def test_a_disk_that_fills_at_any_point(limit, tmp_path, undisturbed):
    full_disk(limit, tmp_path, undisturbed)
