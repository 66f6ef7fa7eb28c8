"""Which epoch was best, and when there is no better one to come: read from the figures of the epochs that are done.

Nothing is kept beside the history, so a run that is taken up again decides as it would have without the break.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..nn.callbacks import Callback

History = Mapping[str, Sequence[float]]


class EarlyStop(Callback):
    """Stops a training whose test loss has not been lower for some epochs.

    Parameters
    ----------
    patience : int or None
        So many epochs; None never stops.
    """

    def __init__(self, patience: int | None) -> None:
        super().__init__()
        self._patience = patience
        self._losses: list[float] = []

    def is_due(self, history: History) -> bool:
        """Whether the training ends after the epochs of this history; later ones are added as they come."""
        self._losses = list(history.get("val_loss", ()))
        return self._is_over()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._losses.append(float((logs or {})["val_loss"]))
        if self._is_over():
            self.model.stop_training = True

    def _is_over(self) -> bool:
        if self._patience is None or not self._losses:
            return False
        losses = [math.inf if math.isnan(loss) else loss for loss in self._losses]
        return len(losses) - 1 - losses.index(min(losses)) >= self._patience


def best_epoch(history: History) -> int:
    """The number, from 0, of the first epoch with the highest test accuracy.

    >>> best_epoch({"val_accuracy": [0.5, 0.9, 0.8, 0.9]})
    1
    """
    accuracies = history["val_accuracy"]
    return max(range(len(accuracies)), key=accuracies.__getitem__)


def best_in_words(history: History) -> str:
    """What --best has kept."""
    best = best_epoch(history)
    return f"best after epoch {best + 1}: test accuracy {history['val_accuracy'][best]:.4f} (its weights: best.npz)"
