"""Output that is gone, names that are no text, numbers that are none: nothing of this costs what was computed."""

import io
import json
import math
import os
import signal
import sys
import threading

import numpy as np
import pytest

from fastconv import nn as keras
from fastconv.errors import DataUnavailable
from fastconv.files import LEFTOVER, display, json_text, lock_folder, write_file
from fastconv.interrupts import deferred_interrupt
from fastconv.streams import Tolerant, print_line, put

X = np.random.default_rng(3).random((32, 6)).astype(np.float32)
Y = (X.sum(axis=1) > 3).astype(int)


class Silent:
    """What some programs put in the place of a stream: it can write, and nothing else."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


class Broken(io.StringIO):
    def __init__(self, error):
        super().__init__()
        self.raised = error

    def write(self, text):
        raise self.raised


def full_device():
    return open("/dev/full", "w")  # noqa: SIM115  closed by nobody: what it holds can never be written


STREAMS = {
    "none": lambda: None,
    "write only": Silent,
    "pipe": lambda: Broken(BrokenPipeError(32, "Broken pipe")),
    "terminal hung up": lambda: Broken(OSError(5, "Input/output error")),
    "closed": lambda: Broken(ValueError("I/O operation on closed file")),
    "own class": lambda: Broken(RuntimeError("no such widget")),
}


@pytest.mark.parametrize("name", STREAMS)
def test_training_does_not_need_a_stream(name, monkeypatch, tmp_path):
    def train(verbose, *callbacks):
        model = keras.Sequential([keras.layers.Dense(2, input_dim=6)], seed=1)
        model.compile(
            keras.optimizers.SGD(0.1),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        history = model.fit(X, Y, epochs=3, verbose=verbose, validation_data=(X, Y), callbacks=list(callbacks))
        model.evaluate(X, Y, verbose=verbose)
        return history.history["loss"]

    expected = train(0)
    monkeypatch.setattr(sys, "stdout", STREAMS[name]())
    talkative = [
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.npz", verbose=1),
        keras.callbacks.EarlyStopping("loss", patience=9, verbose=1),
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.1, verbose=1),
    ]
    for verbose in (1, 2):
        assert train(verbose, *talkative) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.npz", "2.npz", "3.npz"]
    if name == "write only":
        assert "Epoch 3/3" in sys.stdout.text and "saved" in sys.stdout.text


def test_tolerant_streams_note_the_first_fault_only():
    error = BrokenPipeError(32, "Broken pipe")
    out = Tolerant(Broken(error))
    out.write("a")
    out.write("b")
    out.flush()
    assert out.error is error and put(Broken(error), "text") is error
    good = io.StringIO()
    assert put(good, "text") is None and good.getvalue() == "text"
    with pytest.raises(KeyboardInterrupt):
        Tolerant(Broken(KeyboardInterrupt())).write("Ctrl-C is no fault of the stream")


def test_what_cannot_be_encoded_is_written_as_escapes(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert print_line("δ = 1, caf\udce9") is None
    assert raw.getvalue() == b"\\u03b4 = 1, caf\\udce9\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_full_device():
    stream = full_device()
    assert put(stream, "text").errno == 28
    with pytest.raises(OSError, match="No space"):
        stream.close()


# Files


def test_json_is_valid_whatever_the_numbers_and_names():
    data = {"loss": [1.5, math.nan, math.inf, -math.inf], "caf\udce9": ("\ud800", True, None, 3)}
    text = json_text(data)
    assert json.loads(text) == {"loss": [1.5, None, None, None], "caf\\xe9": ["\\ud800", True, None, 3]}
    text.encode()


def test_names_that_are_no_text(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.npz")
    model = keras.Sequential([keras.layers.Dense(2, input_dim=6)], seed=1)
    try:
        model.save_weights(path)
    except (DataUnavailable, UnicodeEncodeError):
        pytest.skip("this file system takes UTF-8 only")
    model.load_weights(path)
    path.write_bytes(b"")
    with pytest.raises(DataUnavailable, match=r"caf\\xe9.npz is damaged") as caught:
        model.load_weights(path)
    str(caught.value).encode()
    assert display(path).encode().endswith(b"caf\\xe9.npz")


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def half(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(DataUnavailable, match="file cannot be written: No space left on device; .* make room"):
        write_file(path, half)
    with pytest.raises(KeyboardInterrupt):
        write_file(path, lambda file: signal.default_int_handler(2, None))
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
    write_file(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(DataUnavailable, match="No such file or directory"):
        write_file(tmp_path / "none" / "file", half)
    with pytest.raises(DataUnavailable, match="Is a directory|denied|exist"):
        write_file(tmp_path, lambda file: None)
    assert os.stat(path).st_mode & 0o777 == 0o666 & ~umask()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_long_names(tmp_path):
    path = tmp_path / ("a" * 251 + ".npz")
    write_file(path, lambda file: file.write(b"x"))
    assert path.read_bytes() == b"x"


@pytest.mark.skipif(os.name != "posix", reason="links, pipes and devices as Unix has them")
def test_links_pipes_and_devices(tmp_path):
    target, link, fifo = (tmp_path / name for name in ("target", "link", "fifo"))
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_file(link, lambda file: file.write(b"new"))
    assert link.is_symlink() and target.read_bytes() == b"new"
    os.mkfifo(fifo)
    got = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    write_file(fifo, lambda file: file.write(b"through"))
    reader.join(10)
    assert got == [b"through"] and fifo.is_fifo()
    write_file("/dev/null", lambda file: file.write(b"nothing"))
    assert not os.path.isfile("/dev/null")


@pytest.mark.skipif(os.name != "posix", reason="leftovers are found by locks of Unix")
def test_leftovers_of_dead_writers_are_taken_away_and_those_of_living_ones_are_not(tmp_path):
    import fcntl

    dead, living, other = (tmp_path / f".{digit * 16}.fastconv.tmp" for digit in "ab0")
    foreign = tmp_path / ".0123.fastconv.tmp"
    for path in (dead, living, foreign):
        path.write_bytes(b"half")
    other.symlink_to(foreign)
    with living.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_file(tmp_path / "file", lambda file: None)
    assert not dead.exists() and living.exists() and foreign.exists() and other.is_symlink()
    assert LEFTOVER.fullmatch(dead.name) and not LEFTOVER.fullmatch(foreign.name)


@pytest.mark.skipif(os.name != "posix", reason="locks of Unix")
def test_one_process_at_a_time_in_a_folder(tmp_path):
    handle = lock_folder(tmp_path)
    with pytest.raises(BlockingIOError):
        lock_folder(tmp_path)
    os.close(handle)
    os.close(lock_folder(tmp_path))


# Signals


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_handled_signal_waits_for_the_end_of_the_step(number):
    seen = []
    outer = signal.signal(number, lambda *_: seen.append("handled"))
    try:
        with deferred_interrupt():
            os.kill(os.getpid(), number)
            seen.append("step")
        assert seen == ["step", "handled"]
        with pytest.raises(ZeroDivisionError), deferred_interrupt():
            os.kill(os.getpid(), number)
            raise ZeroDivisionError
        assert seen == ["step", "handled", "handled"]
    finally:
        signal.signal(number, outer)


def test_half_a_row_of_a_log_is_taken_away(tmp_path):
    def log(**options):
        model = keras.Sequential([keras.layers.Dense(2, input_dim=6)], seed=1)
        model.compile("sgd", "mse")
        target = np.zeros((32, 2), np.float32)
        model.fit(X, target, epochs=2, verbose=0, callbacks=[keras.callbacks.CSVLogger(path, **options)])

    path = tmp_path / "log.csv"
    log()
    whole = path.read_text()
    path.write_text(whole + "2,0.1")
    log(append=True)
    rows = path.read_text().splitlines()
    assert len(rows) == 5 and path.read_text().startswith(whole) and all(len(row.split(",")) == 2 for row in rows)
    path.write_bytes(b"epoch,\xff\n")
    with pytest.raises(DataUnavailable, match="log.csv cannot be written: .*decode"):
        log(append=True)
    with pytest.raises(DataUnavailable, match="cannot be written: Is a directory"):
        path = tmp_path
        log(append=True)
