"""HTML that a notebook shows, taken apart."""

import base64
import io
from dataclasses import dataclass, field
from html.parser import HTMLParser

import matplotlib.image
import numpy as np
import scipy.io.wavfile


@dataclass
class Shown(HTMLParser):
    """Sounds as (rate, samples), pictures as arrays, and the text of captions and notes, in order."""

    html: str
    sounds: list = field(default_factory=list)
    pictures: list = field(default_factory=list)
    text: list = field(default_factory=list)
    open_tags: list = field(default_factory=list)

    def __post_init__(self):
        super().__init__()
        self.feed(self.html)
        self.close()
        assert self.open_tags == []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            kind, content = dict(attrs)["src"].split(";base64,")
            assert kind == "data:image/png"
            self.pictures.append(matplotlib.image.imread(io.BytesIO(base64.b64decode(content))))
            return
        self.open_tags.append(tag)
        if tag == "audio":
            kind, content = dict(attrs)["src"].split(";base64,")
            assert kind == "data:audio/wav"
            self.sounds.append(scipy.io.wavfile.read(io.BytesIO(base64.b64decode(content))))

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.text.append(data.strip())


def is_drawn(picture):
    """Whether a picture has more in it than a frame and text: a fifth of its pixels are neither white nor black."""
    grey = np.asarray(picture)[..., :3].mean(axis=-1)
    return np.mean((grey > 0.02) & (grey < 0.98)) > 0.2
