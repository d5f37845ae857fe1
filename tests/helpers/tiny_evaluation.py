"""Networks whose logits are the samples of a sound, and metamers written by hand: everything can be worked out on paper."""

from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn

import audiometamer as am
from audiometamer.io.hashes import sha256_of
from audiometamer.metamers.evidence import Evidence, versions
from audiometamer.metamers.index import write_index
from audiometamer.metamers.metamer import Metamer
from audiometamer.metamers.settings import Settings
from audiometamer.metamers.verdicts import Verdict

RATE = 8
LETTERS = tuple("abcdefgh")
METRICS = ("snr_db", "pearson_r2", "spearman_rho")


class Echo(nn.Module):
    """Eight samples in, the same eight numbers out; in between, twice as many."""

    def __init__(self, n: int = 8) -> None:
        super().__init__()
        self.twice = nn.Linear(n, 2 * n, bias=False)
        self.out = nn.Linear(2 * n, n, bias=False)
        self.layers = {"twice": "twice", "out": "out"}
        with torch.no_grad():
            self.twice.weight.copy_(torch.cat([torch.eye(n), torch.eye(n)]))
            self.out.weight.copy_(torch.cat([torch.eye(n), torch.zeros(n, n)], dim=1))
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.twice(x))


def echo(name: str = "echo", **changes) -> am.Model:
    """A model of one second at 8 Hz: its label is the letter of the highest sample."""
    settings = {"sample_rate": RATE, "duration": 1.0, "level": None, "labels": {"letter": LETTERS}} | changes
    return am.Model(Echo(), name=name, **settings)


def echo_model() -> am.Model:
    return echo()


def rival_model() -> am.Model:
    return echo("rival")


def stranger_model() -> am.Model:
    """Knows other labels."""
    return echo("stranger", labels={"letter": tuple("stuvwxyz")})


def sound(*samples: float) -> Tensor:
    """Samples, with zeros up to eight."""
    return torch.tensor([*samples, *[0.0] * (8 - len(samples))])


def write_metamer(
    out: Path,
    name: str,
    clip: Tensor,
    samples: Tensor,
    *,
    layer: str = "out",
    seed: int = 0,
    model: str = "echo",
    rate: int = RATE,
    passed: bool | None = True,
    similarity: dict | None = None,
    weights: str | None = None,
) -> Path:
    """A metamer and its clip as `synth` would write them, the labels those of `echo`; the index too."""
    settings = Settings(
        name, sha256_of(clip), model, weights or sha256_of(*Echo().parameters()), layer, seed, "default", 1, "none"
    )
    labels = {"letter": tuple(LETTERS[int(x.argmax()) % 8] for x in (clip, samples))}
    similarity = similarity or {k: dict.fromkeys(METRICS, 1.0) for k in ("twice", "out")}
    evidence = Evidence(
        settings, Verdict(passed, {}, {}, labels), similarity, [], 0, 0.0, 0.0, 0.0, rate, [], "cpu", "float32", versions(),
    )  # fmt: skip
    path = Metamer(samples, am.Clip(name, clip, rate), evidence).save(out)
    write_index(out)
    return path


def changed_record(path: Path, **changes) -> None:
    """Rewrite fields of the JSON beside a metamer."""
    record = path.with_suffix(".json")
    record.write_bytes(msgspec.json.encode(msgspec.json.decode(record.read_bytes()) | changes))
