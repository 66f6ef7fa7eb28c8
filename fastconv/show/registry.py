"""The table of pictures: what each is called, what it shows and how it is drawn."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..errors import InvalidArgument, nearest, shown
from .subject import Subject

CONVOLUTION, LAYERS, LEARNED, FAST = "Convolution", "The arithmetic of layers", "What a network learns", "Fast methods"


@dataclass(frozen=True)
class Picture:
    """A picture of the lectures.

    Parameters
    ----------
    name : str
        For ``fastconv show NAME``.
    chapter, title : str
    caption : str
        What is seen, in a few sentences.
    source : str
        Module and function of ``fastconv.show`` that draw it.
    needs : tuple of str
        Parameters of the function that a `Subject` gives.
    tables : str
        Function of the same module that says the same in rows of text, if there is one; it takes the first need.
    """

    name: str
    chapter: str
    title: str
    caption: str
    source: str
    needs: tuple[str, ...] = ()
    tables: str = ""

    @property
    def function(self) -> Any:
        """The function that draws it and returns a figure."""
        return self._load(self.source.partition(":")[2])

    @property
    def options(self) -> list[str]:
        """Names of the function's other parameters."""
        return [name for name in inspect.signature(self.function).parameters if name not in self.needs]

    def draw(self, subject: Subject | None = None, **options: Any) -> Any:
        """The picture as a figure of matplotlib.

        Parameters
        ----------
        subject : Subject, optional
            The example of the lectures by default.
        **options
            Of the drawing function: see its documentation.

        Raises
        ------
        InvalidArgument
            It has no such option, or it cannot be drawn of this subject.
        MissingExtra
            matplotlib is not installed.
        """
        for name in options:
            if name not in self.options:
                raise InvalidArgument(
                    f"the picture {self.name} has no option {shown(name)}{nearest(name, self.options)}; "
                    f"it takes {', '.join(self.options) or 'none'}"
                )
        subject = Subject() if subject is None else subject
        return self.function(**{need: getattr(subject, need) for need in self.needs}, **options)

    def rows(self, subject: Subject | None = None) -> list[list[tuple[str, ...]]]:
        """The tables that belong to the picture, each with its head as the first row; often there is none."""
        if not self.tables:
            return []
        subject = Subject() if subject is None else subject
        return self._load(self.tables)(getattr(subject, self.needs[0]))  # type: ignore[no-any-return]

    def _load(self, name: str) -> Any:
        return getattr(import_module(f"{__package__}.{self.source.partition(':')[0]}"), name)


PICTURES: dict[str, Picture] = {
    picture.name: picture
    for picture in (
        Picture(
            "convolution",
            CONVOLUTION,
            "One number of a convolution",
            "The kernel lies on a window of the image. Each pixel is multiplied by the weight above it, and the "
            "products are summed: one number of the result. Moving the window gives the others.",
            "convolution:draw_convolution",
        ),
        Picture(
            "edges",
            CONVOLUTION,
            "Kernels drawn by hand",
            "The same photograph through kernels that people drew before networks learned theirs. Sobel's answer "
            "where brightness changes from left to right or from top to bottom, Laplace's at every edge; sharpening "
            "adds the edges to the image, a blur takes the mean.",
            "edges:draw_edges",
            ("photograph",),
        ),
        Picture(
            "curve",
            CONVOLUTION,
            "A curve detector",
            "A kernel answers most where the image looks as it does itself. The one with large weights along a "
            "curve gives a large sum of products on an outline that bends so, and a small one on an outline of "
            "another shape.",
            "curve:draw_curve_detector",
            ("photograph",),
        ),
        Picture(
            "flip",
            CONVOLUTION,
            "Convolution against cross-correlation",
            "What deep learning calls convolution does not flip its kernel: it is cross-correlation. A single "
            "bright pixel shows the difference: mathematics' convolution gives the kernel as it is, cross- "
            "correlation gives it turned by 180 degrees.",
            "flip:draw_flip",
        ),
        Picture(
            "padding",
            LAYERS,
            "Padding",
            'Zeros around the image. "valid" adds none, and the result shrinks by the kernel\'s size less one; '
            '"same" adds as many as keep the size; "full" lets the kernel touch the image by a single tap. Orange: '
            "the first window and its number; dashed: the next ones.",
            "windows:draw_padding",
        ),
        Picture(
            "stride",
            LAYERS,
            "Stride",
            "Windows that lie several pixels apart. The result shrinks by about that factor on each axis, by the "
            "formula below it; pixels that no window reaches are not looked at.",
            "windows:draw_stride",
        ),
        Picture(
            "dilation",
            LAYERS,
            "Dilation",
            "The dots are the pixels that the weights meet. Dilation spreads them, so that as many weights see a "
            "wider area: d·(k − 1) + 1 pixels on each axis.",
            "windows:draw_dilation",
        ),
        Picture(
            "pooling",
            LAYERS,
            "Pooling",
            "Each window becomes one number: its largest, or its mean. Windows are as far apart as they are long, "
            "so the image shrinks, and a feature may move a little without changing the result.",
            "pooling:draw_pooling",
        ),
        Picture(
            "receptive-field",
            LAYERS,
            "Receptive field",
            "A unit sees a part of the image only, the larger the deeper it lies. Pools let this part grow faster: "
            "after three convolutions 3×3 a unit sees 18×18 pixels, 41.3 % of the image, with two pools in between, "
            "and 7×7 pixels, 6.25 %, without.",
            "receptive_field:draw_receptive_field",
            ("models", "backdrop"),
            "tables",
        ),
        Picture(
            "filters",
            LEARNED,
            "Filters of the first layer",
            "The kernels that training found, grey for 0. Some became detectors of edges like those drawn by hand; "
            "others hardly moved from where they began.",
            "filters:draw_filters",
            ("model",),
        ),
        Picture(
            "feature-maps",
            LEARNED,
            "Feature maps",
            "One image on its way through the network. Early layers keep its outline and show where a filter "
            "answers; later ones are coarse and answer to larger parts.",
            "feature_maps:draw_feature_maps",
            ("model", "image"),
        ),
        Picture(
            "learning-curve",
            LEARNED,
            "Learning curve",
            "Loss and accuracy after each epoch. Training's figures are means over the epoch, while the weights "
            "changed; the test's are those of its end, so that they may be better.",
            "learning_curve:draw_learning_curve",
            ("history",),
        ),
        Picture(
            "confusion-matrix",
            LEARNED,
            "Confusion matrix",
            "A row for what images are, a column for what the network takes them for: counts, and shares of the "
            "row. The diagonal is right; a dark cell beside it is a pair of classes that look alike.",
            "confusion:draw_confusion_matrix",
            ("counts", "names"),
        ),
        Picture(
            "misclassified",
            LEARNED,
            "Misclassified images",
            "The mistakes of which the network is surest, each with what it is, what the network says, "
            "and its probability.",
            "misclassified:draw_misclassified",
            ("images", "labels", "shares", "names"),
        ),
        Picture(
            "embeddings",
            LEARNED,
            "Embeddings",
            "Each image as a point, by the numbers before the last layer, projected onto the two directions in "
            "which they vary most. Classes that the network tells apart are clouds apart.",
            "embeddings:draw_embeddings",
            ("model", "images", "labels", "names"),
        ),
        Picture(
            "im2col",
            FAST,
            "im2col",
            "Every window is laid out as a column of a matrix, the kernel as a row. Their product is the "
            "convolution: this is how it becomes the matrix product that processors are built for, at the price of "
            "a matrix in which pixels stand several times.",
            "im2col:draw_im2col",
        ),
        Picture(
            "matrix",
            FAST,
            "Convolution as a matrix",
            "Convolution is linear, so it is a matrix too: a row for each number of the result. Nearly all of it is "
            "0 (no pixel beyond the window counts), and the same few weights stand on every diagonal (they are "
            "shared): what a dense layer would have to learn.",
            "matrix:draw_matrix",
        ),
        Picture(
            "winograd",
            FAST,
            "Winograd's method",
            "Tiles of the image and the kernel are transformed, multiplied number by number, and transformed back: "
            "16 products in place of 36 for four numbers of the result.",
            "winograd:draw_winograd",
        ),
        Picture(
            "fft",
            FAST,
            "Fourier transforms in tiles",
            "Multiplying spectra convolves, but in a circle. Of each tile what wrapped round is thrown away and the "
            "rest is joined; for large filters this takes far fewer operations than the sum.",
            "fft:draw_fft",
        ),
    )
}


def picture(name: str) -> Picture:
    """A picture by its name.

    Examples
    --------
    >>> picture("padding").title
    'Padding'
    """
    if isinstance(name, str) and name in PICTURES:
        return PICTURES[name]
    hint = nearest(name, PICTURES) or "; "
    raise InvalidArgument(f"there is no picture {shown(name)}{hint} known are {', '.join(PICTURES)}".replace("  ", " "))


def draw(name: str, subject: Subject | None = None, **options: Any) -> Any:
    """Draw a picture: `Picture.draw` by name.

    Parameters
    ----------
    name : str
        One of `PICTURES`.
    subject : Subject, optional
        A model, images, a photograph of your own; by default the lectures' example, trained in seconds where needed.
    **options
        Of the picture.

    Returns
    -------
    Figure
        Of matplotlib; `save_figure` writes it to a PNG or SVG file.

    Examples
    --------
    >>> figure = draw("padding", size=6)  # doctest: +SKIP
    """
    return picture(name).draw(subject, **options)
