"""``fastconv train``: the lecture's convolutional network on a data set."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InvalidArgument
from ..files import brief
from . import use_threads
from .choices import Choice
from .console import say, tell

if TYPE_CHECKING:
    from .artifacts import OutputFolder
    from .ranks import Ranks
    from .runs import Earlier

DATASETS = ("fashion-mnist", "mnist", "car-truck", "fashion-sketch")


@click.command()
@click.argument("dataset", type=Choice(DATASETS))
@click.option("--epochs", type=click.IntRange(1), default=5, show_default=True, help="Passes over the training images.")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Images in a step.")
@click.option(
    "--lr",
    type=click.FloatRange(0, min_open=True),
    default=0.05,
    show_default=True,
    help="Learning rate of SGD at the start; it falls to 0.",
)
@click.option("--momentum", type=click.FloatRange(0, 1, max_open=True), default=0.9, show_default=True)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed gives the same history."
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Train on the first N images only.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Folder of the data files.  [default: $FASTCONV_DATA, the cache, download]",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the results.  [default: runs/DATASET-TIME]")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, from its last finished epoch.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --out.")
@click.option("--threads", type=click.IntRange(1), help="Threads to use.  [default: all]")
@click.option(
    "--device",
    type=Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where the network is trained: on this machine's processor, or on its GPU.",
)
def train(
    dataset: str,
    epochs: int,
    batch_size: int,
    lr: float,
    momentum: float,
    seed: int,
    limit: int | None,
    data_dir: Path | None,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    threads: int | None,
    device: str,
) -> None:
    """Train the lecture's convolutional network.

    fashion-sketch is drawn on the spot; the other data sets are looked for, then downloaded. Writes weights.npz,
    history.json, history.csv, run.json and, where matplotlib is installed, learning-curve.png and
    confusion-matrix.png. Ctrl-C stops after the batch at hand and saves what is there.

    A folder that holds a run is refused, unless --resume or --overwrite says what to do with it. After each epoch
    state.npz keeps what --resume goes on from, to the same results as without the break, however the run ended: batches
    of an epoch that was not finished are done again. The run's own arguments need not be repeated.

    Started by mpirun -n N, N processes train together, each on its share of every batch of --batch-size images.
    """
    from .ranks import Ranks

    if resume and (overwrite or out is None):
        raise InvalidArgument("--resume needs --out, the folder of the run, and cannot go with --overwrite")
    ranks = Ranks()
    use_threads(threads)
    if ranks.size > 1 and device != "cpu":
        raise InvalidArgument(f"--device is {device} for {ranks.size} processes; together they train on the CPU")
    with ranks.together():
        _train(ranks, out or Path("runs") / f"{dataset}-{datetime.now():%Y%m%d-%H%M%S}")


def _train(ranks: Ranks, folder: Path) -> None:
    """The run, on this rank; rank 0 has the folder."""
    from .artifacts import NoFolder, OutputFolder
    from .training import Training

    context = click.get_current_context()
    options = context.params

    def begin() -> Any:
        if ranks.rank:
            return NoFolder(folder), None, None
        output = context.with_resource(
            OutputFolder(folder, options["resume"], options["overwrite"], numbered=options["out"] is None)
        )
        return output, *(_earlier(output, context) if options["resume"] else (None, dict(options)))

    output, earlier, arguments = ranks.all_or_none(begin)
    arguments, finished = ranks.of_first((arguments, earlier is not None and earlier.status == "finished"))
    if finished:
        tell(f"the run in {brief(folder)} is finished: {arguments['epochs']} epochs are done")
    else:
        Training(output, arguments, earlier, ranks).run()


def _earlier(output: OutputFolder, context: click.Context) -> tuple[Earlier | None, dict[str, Any]]:
    """The run that is to be continued and its arguments, or no run and those of the command line."""
    from .artifacts import RECORD, WEIGHTS
    from .runs import START_ANEW, Earlier

    if RECORD in output.held:
        earlier = Earlier(output)
        return earlier, earlier.arguments(context, context.params)
    if WEIGHTS in output.held:
        where = brief(output.path)
        raise InvalidArgument(f"{where} holds weights but no {RECORD}: no run that could go on; {START_ANEW}")
    say(f"There is nothing to go on with in {brief(output.path)}; the run begins")
    return None, dict(context.params)
