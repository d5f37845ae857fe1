"""Display of sounds and images in notebooks: a line of words, a player and a picture, as one piece of HTML."""

import base64
import html
import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol, SupportsIndex, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

_LONGEST = 60.0  # seconds of a sound that a page holds
_DPI = 100


class Showable(Protocol):
    """HTML that a notebook displays."""

    def _repr_html_(self) -> str: ...


T = TypeVar("T", bound=Showable)


class Gallery(list[T]):
    """A list that a notebook shows item by item, one below the other; a slice of it is one too."""

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> T: ...
    @overload
    def __getitem__(self, index: slice, /) -> "Gallery[T]": ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> "T | Gallery[T]":
        return Gallery(super().__getitem__(index)) if isinstance(index, slice) else super().__getitem__(index)

    def _repr_html_(self) -> str:
        return "\n".join(item._repr_html_() for item in self)


class Panel(NamedTuple):
    """A signal to show.

    Parameters
    ----------
    caption : str
        Plain text.
    samples : Tensor [shape=(samples,), (channels, samples) or (channels, height, width)]
    sample_rate : int or None
        Hz; None for what is not a sound.
    colour : str
        Colour of the caption, in CSS. Default: the page's own.
    """

    caption: str
    samples: "Tensor"
    sample_rate: int | None
    colour: str = "inherit"


def as_html(panels: Iterable[Panel]) -> str:
    """Panels one below the other: sounds with a player and their cochleagrams, images as they are, others by their shape."""
    return f'<div class="audiometamer">{"".join(_pieces(panels))}</div>'


def _pieces(panels: Iterable[Panel]) -> Iterator[str]:
    for panel in panels:
        yield f'<figure style="margin:0 0 1em"><figcaption style="color:{panel.colour}">{html.escape(panel.caption)}</figcaption>'
        if panel.sample_rate is not None:
            sound = _sound(panel)
            yield f'<audio controls preload="none" src="data:audio/wav;base64,{_base64(_wav(sound, panel.sample_rate))}"></audio>'
            yield from (_image(_cochleagram(channel, panel.sample_rate)) for channel in sound)
            if sound.shape[-1] < panel.samples.shape[-1]:
                yield f"<div>the first {_LONGEST:g} s</div>"
        elif _is_image(panel.samples):
            yield _image(_picture(panel.samples))
        else:
            yield f"<div>shape {html.escape(str(tuple(panel.samples.shape)))}</div>"
        yield "</figure>"


def _sound(panel: Panel) -> NDArray[np.float32]:
    """The samples of a sound, [shape=(channels, samples)]."""
    assert panel.sample_rate is not None
    samples = panel.samples.detach().cpu().float().numpy()
    return samples.reshape(-1, samples.shape[-1])[:, : round(_LONGEST * panel.sample_rate)]


def _wav(sound: NDArray[np.float32], sample_rate: int) -> bytes:
    import scipy.io.wavfile

    file = io.BytesIO()
    scipy.io.wavfile.write(file, sample_rate, sound.T)
    return file.getvalue()


def _cochleagram(samples: NDArray[np.float32], sample_rate: int) -> bytes | None:
    """A picture of the cochleagram; None of a sound that is shorter than one of its windows."""
    import torch

    from audiometamer import Cochleagram  # by its public name: its room lies above this one

    ear = Cochleagram.for_rate(sample_rate)
    if len(samples) < ear.lowpass.window_size:
        return None
    with torch.no_grad():
        cochleagram = ear(torch.from_numpy(samples.copy())[None])[0]
    figure = _figure(6.4, 1.5)
    ear.plot(cochleagram, figure.add_subplot())
    return _png(figure)


def _is_image(samples: "Tensor") -> bool:
    return samples.ndim == 3 and samples.shape[0] in (1, 3)


def _picture(samples: "Tensor") -> bytes:
    figure = _figure(2.24, 2.24)
    axes = figure.add_subplot()
    axes.imshow(samples.detach().cpu().permute(1, 2, 0).numpy(), vmin=0, vmax=1, cmap="gray", interpolation="nearest")
    axes.axis("off")
    return _png(figure)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: "Figure") -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    return file.getvalue()


def _image(png: bytes | None) -> str:
    return "" if png is None else f'<div><img alt="" src="data:image/png;base64,{_base64(png)}"></div>'


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
