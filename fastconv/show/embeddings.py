"""Images as points: what stands before a network's last layer, in two dimensions."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from ..errors import InvalidArgument, MissingExtra, shown
from .figures import add_title, new_figure, styled
from .style import MARKERS, SERIES

METHODS = ("pca", "tsne")


def principal_components(points: Any, count: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """The coordinates of points along their directions of largest variance, and each direction's share of it.

    Parameters
    ----------
    points : array_like, (N, D)
    count : int

    Returns
    -------
    ndarray of float64, (N, count)
        Of mean 0; each axis points to where the direction's largest entry is positive.
    ndarray of float64, (count,)

    Examples
    --------
    >>> xy, shares = principal_components([[0, 0, 1], [2, 2, 1], [4, 4, 1]], 1)
    >>> xy.ravel().round(4), shares.round(4)
    (array([-2.8284,  0.    ,  2.8284]), array([1.]))
    """
    x = np.asarray(points, np.float64)
    x = x - x.mean(axis=0)
    _, sizes, directions = np.linalg.svd(x, full_matrices=False)
    directions = directions[:count]
    turn = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])
    total = float((sizes**2).sum()) or 1.0
    return x @ (directions * turn[:, None]).T, sizes[:count] ** 2 / total


def representation(model: Any, images: Any, layer: str | None = None) -> np.ndarray:
    """What a layer makes of images, a row each; by default the one whose result the last weights are applied to."""
    maps = model.feature_maps(images)
    if layer is not None:
        return maps[model.get_layer(layer).name].reshape(len(images), -1)  # type: ignore[no-any-return]
    last = max((i for i, each in enumerate(model.layers) if each.weights), default=0)
    if last == 0:
        raise InvalidArgument("the model has a single layer with weights: there is nothing before it to look at")
    return maps[model.layers[last - 1].name].reshape(len(images), -1)  # type: ignore[no-any-return]


@styled
def draw_embeddings(
    model: Any, images: Any, labels: Any, names: Any, layer: str | None = None, method: str = "pca"
) -> Any:
    """A point for each image, where its representation lies; a colour and a mark for each class.

    Parameters
    ----------
    model : Sequential
    images : array_like, (N, H, W, C)
    labels : array_like of int, (N,)
    names : sequence of str
        Of the classes.
    layer : str, optional
        By default the one before the last layer with weights.
    method : {"pca", "tsne"}
        Principal components, or t-SNE of scikit-learn, which must be installed.

    Returns
    -------
    Figure
    """
    if method not in METHODS:
        raise InvalidArgument(f"method is {shown(method)}; expected one of {', '.join(METHODS)}")
    points, labels = representation(model, np.asarray(images), layer), np.asarray(labels)
    if method == "pca":
        xy, shares = principal_components(points)
        axes_names = [f"component {i + 1}: {share:.0%} of the variance" for i, share in enumerate(shares)]
    else:
        xy, axes_names = _tsne(points), ["t-SNE 1", "t-SNE 2"]
    figure, (ax,) = new_figure((9, 6))
    for number, name in enumerate(names):
        chosen = labels == number
        style = {"color": SERIES[number % len(SERIES)], "marker": MARKERS[number % len(MARKERS)]}
        ax.scatter(*xy[chosen].T, s=22, alpha=0.75, linewidths=0, label=name, **style)
    ax.set_xlabel(axes_names[0])
    ax.set_ylabel(axes_names[1])
    ax.grid()
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)
    way = "principal components" if method == "pca" else "t-SNE"
    add_title(figure, f"{len(labels):,} images by {points.shape[1]} numbers before the last layer ({way})")
    return figure


def _tsne(points: np.ndarray) -> np.ndarray:
    if find_spec("sklearn") is None:
        raise MissingExtra("t-SNE needs scikit-learn: pip install scikit-learn; method 'pca' does without")
    from sklearn.manifold import TSNE

    return np.asarray(TSNE(random_state=0, init="pca").fit_transform(points))
