"""Training by several processes: the ranks as threads of this process, over a communicator of queues, and over MPI.

The threads show that the arithmetic is that of one process; whatever needs processes runs under mpirun, where there is
one: the example, and the command.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn as keras
from fastconv.autograd import Tensor
from fastconv.autograd import functional as F
from fastconv.errors import InvalidArgument, MissingExtra, PeerLost
from fastconv.nn import distribution
from fastconv.nn.distribution import DataParallel
from fastconv.nn.fitting import ranks

HERE = Path(__file__).parent


class Done:
    def Test(self):
        return True


class Never:
    def Test(self):
        return False


class Threads:
    """What is used of mpi4py's communicators, among threads of one process."""

    def __init__(self, size):
        self.size, self.board = size, [None] * size
        self.barrier = threading.Barrier(size, timeout=60)

    def of_rank(self, rank):
        comm = ThreadComm()
        comm.shared, comm.rank = self, rank
        return comm


class ThreadComm:
    def Dup(self):
        return self

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return self.shared.size

    def _exchanged(self, array):
        self.shared.board[self.rank] = array.copy()
        self.shared.barrier.wait()
        found = list(self.shared.board)
        self.shared.barrier.wait()
        return found

    def Iallgather(self, array, found):
        found[...] = self._exchanged(array)
        return Done()

    def Ialltoall(self, pieces, mine):
        mine[...] = [theirs[self.rank] for theirs in self._exchanged(pieces)]
        return Done()

    def Ibcast(self, data):
        data[...] = self._exchanged(data)[0]
        return Done()


def on_ranks(size, work):
    """``work(DataParallel)`` on every rank; their results."""
    shared = Threads(size)

    def run(rank):
        try:
            with fc.threads(1), DataParallel(shared.of_rank(rank)).joined():
                return work(distribution.distribution())
        except BaseException:
            shared.barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        jobs = [pool.submit(run, rank) for rank in range(size)]
        errors = [
            error for job in jobs if (error := job.exception()) and not isinstance(error, threading.BrokenBarrierError)
        ]
        if errors:
            raise errors[0]
        return [job.result() for job in jobs]


@pytest.fixture(autouse=True)
def processors(monkeypatch):
    """Ranks that are threads share no processors: the number of threads is this process's own."""
    monkeypatch.setattr(DataParallel, "_share_processors", lambda self: None)


X = np.random.default_rng(1).random((45, 8, 8, 1))
Y = keras.utils.to_categorical(np.random.default_rng(2).integers(0, 3, 45), 3)


def model(seed=4):
    layers = keras.layers
    made = keras.Sequential(
        [
            layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1), dtype="float64"),
            layers.BatchNormalization(dtype="float64"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(6, activation="relu", dtype="float64", kernel_regularizer="l2"),
            layers.BatchNormalization(dtype="float64"),
            layers.Dense(3, activation="softmax", dtype="float64"),
        ],
        seed=seed,
    )
    made.compile(keras.optimizers.SGD(0.05, momentum=0.9), "categorical_crossentropy", metrics=["accuracy"])
    return made


def trained(made, epochs=2):
    """History and weights after some epochs of batches of 10, the last of 5."""
    history = made.fit(X, Y, 10, epochs, verbose=0, validation_data=(X[:9], Y[:9]), validation_batch_size=4).history
    return history, made.get_weights()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_ranks_train_as_one_process(size):
    """In float64 the curves agree to rounding: statistics, masks, losses and metrics are those of whole batches.

    Of seven ranks some have no sample of the last batch, nor of those of the validation.
    """
    history, weights = trained(model())
    found = on_ranks(size, lambda team: trained(model(seed=4 + team.rank)))  # rank 0's weights and numbers for all
    for theirs, values in found:
        assert theirs == found[0][0]
        for name, curve in history.items():
            np.testing.assert_allclose(theirs[name], curve, rtol=1e-9)
        for mine, whole, first in zip(values, weights, found[0][1], strict=True):
            np.testing.assert_array_equal(mine, first)
            np.testing.assert_allclose(mine, whole, rtol=1e-8, atol=1e-11)


def test_same_bits_for_the_same_ranks():
    first, again = (on_ranks(3, lambda team: trained(model(), 1))[0] for _ in range(2))
    assert first[0] == again[0]
    assert all(np.array_equal(a, b) for a, b in zip(first[1], again[1], strict=True))


def test_sums_are_taken_in_the_order_of_the_ranks(rng):
    vectors = rng.standard_normal((3, 10)).astype(np.float32)
    weights = np.array([0.5, 0.25, 0.25])
    expected = np.zeros(10)
    for weight, vector in zip(weights, vectors, strict=True):
        expected += weight * vector.astype(np.float64)
    shared = Threads(3)

    def run(rank):
        return ranks.Ranks(shared.of_rank(rank), 60).total(vectors[rank], weights)

    with ThreadPoolExecutor(3) as pool:
        for total in pool.map(run, range(3)):
            np.testing.assert_array_equal(total, expected.astype(np.float32))


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("axis", [1, -1])
def test_gradients_of_batch_normalization_in_parts(rng, axis, relu):
    """Against the definition in float64, differentiated by finite differences of the whole batch."""
    x, dy, gamma = rng.standard_normal((7, 4, 3)), rng.standard_normal((7, 4, 3)), rng.random(x_channels(axis)) + 1
    beta = np.zeros_like(gamma)

    def gradient(part, rows, scale):
        tensor = Tensor(x[rows], requires_grad=True)
        F.batch_norm(tensor, Tensor(gamma), Tensor(beta), axis=axis, relu=relu, part=part).backward(dy[rows] * scale)
        return tensor.grad

    whole = gradient(None, slice(None), 1.0)

    def work(team):
        part = team.part(7)
        rows = part.rows
        share = (rows.stop - rows.start) / 7
        return gradient(part, rows, 1 / share) * share  # a rank's gradient is that of its own mean

    np.testing.assert_allclose(np.concatenate(on_ranks(3, work)), whole, rtol=1e-10, atol=1e-12)


def x_channels(axis):
    return (7, 4, 3)[axis]


@pytest.mark.parametrize("first", [0, 1, 5000, 8192, 20000])
def test_mask_of_a_part(first):
    x = np.ones(30000, np.float32)
    np.testing.assert_array_equal(
        F.dropout(x[first:], rate=0.4, seed=3, first=first).numpy(), F.dropout(x, rate=0.4, seed=3).numpy()[first:]
    )


class Stepping(keras.Sequential):
    """With a step of its own."""

    def train_step(self, data):
        x, y = data
        self.zero_grad()
        loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        loss.backward()
        self.optimizer.apply(self.trainable_weights)
        return {"loss": loss}


class Summed(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return F.mean((y_pred - y_true) ** 2, axis=-1)


@pytest.mark.parametrize("kind", [Stepping, keras.Sequential])
def test_own_steps_and_summed_losses(kind):
    def train():
        made = kind([keras.layers.Dense(3, input_shape=(64,), dtype="float64")], seed=1)
        made.compile(keras.optimizers.SGD(0.001, clipnorm=1.0), Summed(reduction="sum"))
        made.fit(X.reshape(45, -1), Y, 10, 2, verbose=0)
        return made.get_weights()

    def of_own_mean():
        made = Stepping([keras.layers.Dense(3, input_shape=(64,), dtype="float64")], seed=1)
        made.compile(keras.optimizers.SGD(0.1), "mse")
        history = made.fit(X.reshape(45, -1), Y, 15, 2, verbose=0).history
        return [np.array(history["loss"]), *made.get_weights()]

    work = of_own_mean if kind is Stepping else train
    for mine, whole in zip(on_ranks(3, lambda team: work())[1], work(), strict=True):
        np.testing.assert_allclose(mine, whole, rtol=1e-9)


def test_a_callback_of_one_rank_stops_all():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    def work(team):
        made = model()
        counted = []
        made.fit(X, Y, 10, 3, verbose=0, callbacks=[Stop()] if team.rank else [])
        counted.append(made.optimizer.iterations)
        return counted, made.evaluate(X, Y) if team.rank else None  # which is a rank's own

    assert [steps for (steps,), _ in on_ranks(2, work)] == [2, 2]


def test_what_cannot_be_shared_is_refused():
    with pytest.raises(InvalidArgument, match="rank 1 has other samples"):
        on_ranks(2, lambda team: model().fit(X[team.rank :], Y[team.rank :], verbose=0))
    with pytest.raises(InvalidArgument, match="communicator"):
        DataParallel(3)
    with pytest.raises(InvalidArgument, match="timeout"):
        DataParallel(timeout=0)
    with pytest.raises(InvalidArgument, match="DataParallel, or None"):
        distribution.set_distribution(3)
    with pytest.raises(InvalidArgument, match="'cuda'"):
        DataParallel(Threads(1).of_rank(0)).check("cuda", X, Y)


def test_a_rank_that_does_not_answer_is_lost():
    comm = Threads(2).of_rank(0)
    comm.Iallgather = lambda *arrays: Never()
    with pytest.raises(PeerLost, match=r"rank 0 of 2 .* within 0\.05 s"):
        ranks.Ranks(comm, 0.05).rows(np.zeros(3))


def test_missing_mpi4py(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(MissingExtra, match=r"fastconv\[mpi\]"):
        DataParallel()


# Under mpirun


@pytest.fixture(scope="module")
def mpirun():
    """The launcher of two processes that share this machine's processors, as words of a command."""
    pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    beside = shutil.which(
        "mpirun", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    )
    if beside is None:
        pytest.skip("there is no mpirun")
    version = subprocess.run([beside, "--version"], capture_output=True, text=True, check=False).stdout
    return [beside, *(["--oversubscribe"] if "Open MPI" in version or "open-mpi" in version else []), "-n", "2"]


def environment():
    """Open MPI starts nothing for root, as which containers run, unless it is told that this is meant."""
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return {**os.environ, **root, "PYTHONPATH": str(HERE.parent)}


def command(folder, *more):
    words = ["train", "fashion-sketch", "--batch-size", "20", "--seed", "3", "--out", str(folder), *more]
    return [sys.executable, str(HERE / "small_training.py"), *words]


def curves(folder):
    return json.loads((folder / "history.json").read_text())


def run(words):
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_command_on_two_processes(mpirun, tmp_path):
    run(command(tmp_path / "one", "--epochs", "2"))
    done = run([*mpirun, *command(tmp_path / "two", "--epochs", "2")])
    assert done.stdout.count("test accuracy") == done.stderr.count("epoch 2/2  loss") == 1  # rank 0 alone is heard
    one, two = curves(tmp_path / "one"), curves(tmp_path / "two")
    assert one.keys() == two.keys()
    for name, curve in one.items():
        np.testing.assert_allclose(two[name], curve, rtol=1e-4, atol=1e-5)
    assert json.loads((tmp_path / "two" / "run.json").read_text())["processes"] == 2


def test_example(mpirun):
    done = run([*mpirun, sys.executable, "-m", "mpi4py", str(HERE.parent / "examples" / "train_over_mpi.py")])
    assert "by 2 processes" in done.stdout


def test_a_refusal_is_said_once(mpirun, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    words = [*mpirun, *command(tmp_path)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.count("holds a run already") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_a_lost_rank_ends_all_and_the_run_goes_on(mpirun, tmp_path):
    folder = tmp_path / "out"
    words = [*mpirun, *command(folder, "--epochs", "30")]
    process = subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    for line in process.stderr:
        if line.startswith(b"epoch 2/30"):
            break
    os.kill(rank_of(process.pid, 1), signal.SIGKILL)
    output, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    if b"BAD TERMINATION" not in output:  # MPICH's launcher ends the others itself, and says this
        assert b"A process was lost" in errors
        assert b"mpirun -n 2 fastconv train fashion-sketch --out" in errors
    record = json.loads((folder / "run.json").read_text())
    assert record["epochs"]
    assert (folder / "state.npz").exists()
    kept = curves(folder)["loss"]
    run([*mpirun, *command(folder, "--resume")])
    assert len(curves(folder)["loss"]) == 30
    done = min(len(kept), len(record["epochs"]))
    assert curves(folder)["loss"][:done] == kept[:done]


def rank_of(launcher, rank):
    """The process of a rank below a launcher."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and is_below(int(entry.name), launcher):
                    variables = (entry / "environ").read_bytes().split(b"\0")
                    if {f"OMPI_COMM_WORLD_RANK={rank}".encode(), f"PMI_RANK={rank}".encode()} & set(variables):
                        return int(entry.name)
            except OSError:
                continue
    pytest.skip("the launcher does not say which process is which")


def is_below(pid, ancestor):
    while pid > 1:
        if pid == ancestor:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False
