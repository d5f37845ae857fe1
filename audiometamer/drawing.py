"""Style of all figures: line styles, axes, text, file formats."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiometamer.io.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito (2008), distinct for colour-blind readers; markers are redundant with colours.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = "osD^vP*X"
_DASHES = ("-", "--", ":")  # for the first seven lines, the next seven, …
_FORMATS = {  # and metadata that would differ from one file to the next
    ".png": {"Software": None}, ".pdf": {"CreationDate": None, "Creator": None, "Producer": None}, ".svg": {"Date": None},
}  # fmt: skip


@contextmanager
def literal_text() -> Iterator[None]:
    """Draw text in figures literally, not ``$…$`` as mathematics; characters that the font lacks become boxes.

    A context manager, and a decorator for functions that draw names of clips, layers, labels or models and save the figure.
    """
    import matplotlib as mpl

    with mpl.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


def line_style(k: int) -> dict[str, Any]:
    """Colour, marker and dashes of line `k`, counted from 0, as keywords of matplotlib."""
    dashes = _DASHES[k // len(_COLOURS) % len(_DASHES)]
    return {"color": _COLOURS[k % len(_COLOURS)], "marker": _MARKERS[k % len(_MARKERS)], "linestyle": dashes}


def tidy(axes: "Axes") -> None:
    """Faint horizontal grid lines behind the data, and no spines at the top and on the right."""
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def percent_by_layer(axes: "Axes", names: Sequence[str]) -> None:
    """Format axes of percent against matched layers, at 0, 1, … from the left."""
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set(xlabel="matched layer", ylim=(-3, 103), xlim=(-0.6, len(names) - 0.4))
    tidy(axes)


def save_figure(figure: "Figure", path: Path, *, dpi: int = 150) -> list[Path]:
    """Write a figure as PNG, PDF and SVG: the same figure gives the same bytes, and text in vectors stays text.

    Parameters
    ----------
    figure : Figure
    path : path
        Path of the PNG; the others are written beside it.
    dpi : int
        Resolution of the PNG. Default 150.

    Returns
    -------
    list of path
    """
    import matplotlib as mpl

    paths = [path.with_suffix(suffix) for suffix in _FORMATS]
    for target, metadata in zip(paths, _FORMATS.values(), strict=True):
        settings = mpl.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "audiometamer"})
        with settings, atomic_write(target) as temporary:
            figure.savefig(temporary, dpi=dpi, metadata=metadata, format=target.suffix[1:])
    return paths
