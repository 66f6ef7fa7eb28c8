"""Which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each class (rows) was taken for each class (columns).

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    array([[1, 0],
           [1, 1]])
    """
    return np.bincount(true.astype(np.int64) * classes + predicted, minlength=classes**2).reshape(classes, classes)


def confused(counts: np.ndarray, names: Sequence[str], most: int = 3) -> str:
    """The most frequent mistakes in words.

    >>> confused(np.array([[8, 2], [0, 9]]), ["cat", "dog"])
    'cat taken for dog (2)'
    """
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [np.unravel_index(flat, wrong.shape) for flat in order]
    return ", ".join(f"{names[i]} taken for {names[j]} ({wrong[i, j]})" for i, j in pairs if wrong[i, j])
