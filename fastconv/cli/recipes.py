"""What a training does unless it is told otherwise: the network for a data set, and how that network is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import InvalidArgument
from ..nn import Input, Sequential, layers, optimizers, zoo
from ..nn.optimizers.schedules import CosineDecay, PiecewiseConstantDecay, PolynomialDecay
from . import augmentation

#: The network that a data set's lecture, or paper, is about.
NETWORKS = {
    "fashion-mnist": "fashion-cnn",
    "mnist": "mnist-cnn",
    "cifar10": "resnet-20",
    "cifar100": "resnet-20",
    "car-truck": "car-truck-cnn",
    "fashion-sketch": "lecture-cnn",
    "cylinder-bell-funnel": "series-cnn",
    "motion-sketch": "video-cnn",
    None: "mobilenet",  # folders of one's own images
}
#: Learning rate and momentum where another optimizer is asked for than the network's own.
RATES: dict[str, tuple[float, float | None]] = {"sgd": (0.05, 0.9), "adam": (0.001, None), "rmsprop": (0.001, None)}

Rate = Callable[[int], float]


def complete(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a run, those that were not given filled in from its network's recipe."""
    name = arguments["model"] or NETWORKS[arguments["dataset"]]
    recipe = zoo.by_name(name).recipe
    optimizer = arguments["optimizer"] or recipe.optimizer
    is_own = optimizer == recipe.optimizer
    rate, momentum = (recipe.learning_rate, recipe.momentum) if is_own else RATES[optimizer]
    if arguments["momentum"] is not None and momentum is None:
        raise InvalidArgument(f"--momentum is for sgd, but the optimizer is {optimizer}; leave one of them out")
    defaults = {
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "lr": rate,
        "momentum": momentum,
        "schedule": recipe.schedule,
    }
    filled = {key: value if arguments[key] is None else arguments[key] for key, value in defaults.items()}
    augment = augmentation.suited(arguments["augment"], arguments["dataset"])
    return {**arguments, **filled, "model": name, "optimizer": optimizer, "augment": augment}


def network(arguments: dict[str, Any], shape: tuple[int, ...], classes: int) -> Any:
    """The network, on its device; `shape` is that of a sample."""
    model = zoo.by_name(arguments["model"]).make(shape, classes, seed=arguments["seed"])
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9  # the statistics settle in tens of steps, as in PyTorch; with 0.99 it takes hundreds
    return model.to(arguments["device"])


def trainer(network: Any, arguments: dict[str, Any], images: Any, batches: int) -> Any:
    """What is trained, compiled: the network, behind layers that change its images where that is asked for.

    `images` are those of the training, `batches` those of an epoch.
    """
    if arguments["augment"] is not None:
        changes = augmentation.layers(arguments["augment"], images)
        own = int(network.generator().integers(2**63))  # other numbers than those that drew the initial weights
        network = Sequential([Input(network.input_shape[1:]), *changes, network], seed=own).to(arguments["device"])
    rate = schedule(arguments["schedule"], arguments["lr"], arguments["epochs"] * batches)
    options = {} if arguments["momentum"] is None else {"momentum": arguments["momentum"]}
    optimizer = optimizers.KNOWN[arguments["optimizer"]](rate, **options)
    network.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    return network


def in_words(arguments: dict[str, Any]) -> str:
    """How it is trained, as a sentence for the user."""
    rate = {
        "constant": "",
        "linear": ", falling to 0 in a straight line",
        "cosine": ", falling to 0 along a cosine",
        "steps": ", a tenth from half of the steps on, a hundredth from three quarters on",
    }[arguments["schedule"]]
    momentum = "" if arguments["momentum"] is None else f", momentum {arguments['momentum']:g}"
    epochs = f"{arguments['epochs']} epoch{'s' * (arguments['epochs'] != 1)}"
    changed = "" if arguments["augment"] is None else f"\n{augmentation.in_words(arguments['augment'])}"
    return (
        f"{arguments['optimizer']}: learning rate {arguments['lr']:g}{rate}{momentum}; {epochs} in batches of "
        f"{arguments['batch_size']}; seed {arguments['seed']}{changed}"
    )


def schedule(name: str, lr: float, steps: int) -> Rate | float:
    """The learning rate at each of so many steps.

    >>> [round(schedule("steps", 1.0, 8)(step), 3) for step in (0, 3, 4, 6)]
    [1.0, 1.0, 0.1, 0.01]
    """
    return lr if name == "constant" else SCHEDULES[name](lr, steps)


def _steps(lr: float, steps: int) -> Rate:
    return PiecewiseConstantDecay([steps / 2 - 0.5, 0.75 * steps - 0.25], [lr, lr / 10, lr / 100])


SCHEDULES: dict[str, Callable[[float, int], Rate]] = {
    "linear": lambda lr, steps: PolynomialDecay(lr, steps, end_learning_rate=0.0),
    "cosine": CosineDecay,
    "steps": _steps,
}
