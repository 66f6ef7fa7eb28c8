"""``fastconv train``: a network of the zoo on a data set, or on one's own images."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InvalidArgument
from ..files import brief
from . import use_threads
from .augmentation import KINDS, USUAL, Augmentations
from .choices import Choice
from .console import say, tell

if TYPE_CHECKING:
    from .artifacts import OutputFolder
    from .ranks import Ranks
    from .runs import Earlier

DATASETS = (
    *("fashion-mnist", "mnist", "cifar10", "cifar100", "car-truck"),
    *("fashion-sketch", "cylinder-bell-funnel", "motion-sketch"),
)
MODELS = (
    *("lecture-cnn", "fashion-cnn", "mnist-cnn", "car-truck-cnn", "lenet-5", "alexnet", "mobilenet"),
    *("resnet-20", "series-cnn", "video-cnn"),
)


@click.command()
@click.argument("dataset", type=Choice(DATASETS), required=False)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    help="Train on your own images in place of a data set: a folder with a folder of images for each class.",
)
@click.option(
    "--image-size", type=click.IntRange(8, 1024), default=64, show_default=True, help="Height and width of own images."
)
@click.option("--model", type=Choice(MODELS), help="The network.  [default: the one known for the data set]")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training images.  [default: the network's]")
@click.option("--batch-size", type=click.IntRange(1), help="Images in a step.  [default: the network's]")
@click.option("--optimizer", type=Choice(["sgd", "adam", "rmsprop"]), help="[default: the network's]")
@click.option(
    "--lr", type=click.FloatRange(0, min_open=True), help="Learning rate at the start.  [default: the optimizer's]"
)
@click.option("--momentum", type=click.FloatRange(0, 1, max_open=True), help="Of sgd.  [default: the network's]")
@click.option(
    "--schedule",
    type=Choice(["constant", "linear", "cosine", "steps"]),
    help="How the learning rate goes: it stays, falls to 0, or falls to a hundredth.  [default: the network's]",
)
@click.option(
    "--augment",
    type=Augmentations(),
    metavar="[KIND[=STRENGTH],...]",
    is_flag=False,
    flag_value=USUAL,
    help=f"Change the training images at random: {', '.join(KINDS)}. Without a value: what suits the data set.",
)
@click.option(
    "--early-stop",
    type=click.IntRange(1),
    metavar="[N]",
    is_flag=False,
    flag_value="5",
    help="Stop when the test loss has not fallen for N epochs; 5 where no number is given.",
)
@click.option("--best", is_flag=True, help="Keep the weights of the epoch with the highest test accuracy, too.")
@click.option("--baseline", is_flag=True, help="Tell first how well a linear classifier by least squares does.")
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
@click.option(
    "--resume",
    metavar="[RUN]",
    is_flag=False,
    flag_value="",
    help="Go on with the run in the folder RUN, or in --out, from its last finished epoch.",
)
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
    dataset: str | None,
    folder: Path | None,
    image_size: int,
    model: str | None,
    epochs: int | None,
    batch_size: int | None,
    optimizer: str | None,
    lr: float | None,
    momentum: float | None,
    schedule: str | None,
    augment: str | None,
    early_stop: int | None,
    best: bool,
    baseline: bool,
    seed: int,
    limit: int | None,
    data_dir: Path | None,
    out: Path | None,
    resume: str | None,
    overwrite: bool,
    threads: int | None,
    device: str,
) -> None:
    """Train a network on a data set, or on your own images.

    What is not said is as the lecture or paper of the data set has it: the network, its optimizer, epochs and learning
    rate; all of it is shown before the training begins.

    --augment shift=0.1,rotation draws anew for each image of each batch how far it is moved (up to a tenth of its size)
    and turned (up to 10 degrees, where no strength is given). The test's images stay as they are, and so does the
    network that is saved.

    fashion-sketch, cylinder-bell-funnel (time series) and motion-sketch (videos) are drawn on the spot; the other data
    sets are looked for, then downloaded. Writes weights.npz, model.json, history.json, history.csv, run.json,
    class-table.csv, report.html; model.keras where h5py is installed; pictures where matplotlib is. Ctrl-C stops after
    the batch at hand and saves what is there.

    A folder that holds a run is refused, unless --resume or --overwrite says what to do with it. After each epoch
    state.npz keeps what --resume goes on from, to the same results as without the break, however the run ended: batches
    of an epoch that was not finished are done again. The run's own arguments need not be repeated.

    Started by mpirun -n N, N processes train together, each on its share of every batch of --batch-size images.
    """
    from .ranks import Ranks

    run = _folder_of_run(resume, out, overwrite)
    if (dataset is None) == (folder is None) and (dataset is not None or run is None):
        both = "DATASET and --folder are two sources of images; give one" if dataset else "Missing argument 'DATASET'"
        raise click.UsageError(f"{both}, one of {', '.join(DATASETS)}, or --folder")
    ranks = Ranks()
    use_threads(threads)
    if ranks.size > 1 and device != "cpu":
        raise InvalidArgument(f"--device is {device} for {ranks.size} processes; together they train on the CPU")
    with ranks.together():
        source = dataset or (folder.name if folder is not None else "")
        _train(ranks, run or out or Path("runs") / f"{source}-{datetime.now():%Y%m%d-%H%M%S}", run is not None)


def _folder_of_run(resume: str | None, out: Path | None, overwrite: bool) -> Path | None:
    """The folder of the run to go on with, None for a new one."""
    if resume is None:
        return None
    if overwrite or not (resume or out):
        raise InvalidArgument("--resume needs --out, the folder of the run, and cannot go with --overwrite")
    if resume and out is not None and Path(resume) != out:
        raise InvalidArgument(f"--resume names the run {brief(resume)} and --out {brief(out)}; leave one of them out")
    return Path(resume) if resume else out


def _train(ranks: Ranks, folder: Path, resume: bool) -> None:
    """The run, on this rank; rank 0 has the folder."""
    from .artifacts import NoFolder, OutputFolder
    from .recipes import complete
    from .training import Training

    context = click.get_current_context()
    options = context.params

    def begin() -> Any:
        if ranks.rank:
            return NoFolder(folder), None, None
        output = context.with_resource(
            OutputFolder(folder, resume, options["overwrite"], numbered=options["out"] is None and not resume)
        )
        return output, *(_earlier(output, context) if resume else (None, complete(options)))

    output, earlier, arguments = ranks.all_or_none(begin)
    arguments, finished = ranks.of_first((arguments, earlier is not None and earlier.status == "finished"))
    if finished:
        output.drop_state()  # where the process ended between its last two steps
        tell(f"the run in {brief(folder)} is finished: {arguments['epochs']} epochs are done")
    else:
        Training(output, arguments, earlier, ranks).run()


def _earlier(output: OutputFolder, context: click.Context) -> tuple[Earlier | None, dict[str, Any]]:
    """The run that is to be continued and its arguments, or no run and those of the command line."""
    from .artifacts import RECORD, WEIGHTS
    from .recipes import complete
    from .runs import START_ANEW, Earlier

    if RECORD in output.held:
        earlier = Earlier(output)
        return earlier, earlier.arguments(context, context.params)
    if WEIGHTS in output.held:
        where = brief(output.path)
        raise InvalidArgument(f"{where} holds weights but no {RECORD}: no run that could go on; {START_ANEW}")
    if context.params["dataset"] is None and context.params["folder"] is None:
        raise InvalidArgument(f"there is no run in {brief(output.path)}; name its folder, or a data set to begin one")
    say(f"There is nothing to go on with in {brief(output.path)}; the run begins")
    return None, complete(context.params)
