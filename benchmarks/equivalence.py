"""``python -m benchmarks.equivalence OUT``: do metamers of one procedure keep of their clips what those of another keep?

Every procedure makes metamers of the same clips at the same layers from the same noise. Compared with those of the first
procedure, the reference, in pairs: similarity to the clip at every layer up to the matched one and at the cochleagram, level,
power above 4 kHz, long-term and modulation spectrum, whether other networks hear what they hear in the clip, and how far two
metamers of one clip are from each other. Intervals are bootstraps over clips. What is finished is kept: run it again to resume,
or with more clips, layers and procedures.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from torch import Tensor

from audiometamer.cli import options
from audiometamer.cli.progress import Tracker, tracked
from audiometamer.devices import choose_device
from audiometamer.errors import AudioMetamerError
from audiometamer.evaluation.collection import fit_to_model, gain_for
from audiometamer.evaluation.judging import Judge
from audiometamer.evaluation.likeness import Likeness, LikenessDifference, Measure, compare_likeness, measure_likeness
from audiometamer.io.names import safe_name
from audiometamer.io.resources import clips_folder
from audiometamer.io.tables import read_table, write_table
from audiometamer.metamers.folder import FolderProgress, synthesize_into
from audiometamer.metamers.metamer import Metamer
from audiometamer.models.inputs import read_clips
from audiometamer.models.loading import load_model
from audiometamer.models.model import Model
from audiometamer.models.shipped import zoo
from audiometamer.statistics.arrays import FloatArray
from audiometamer.statistics.bootstrap import Bootstrap
from benchmarks.measuring import table

PROCEDURES = ("feather2023:24000", "feather2023:9600", "feather2023:2400", "default:200", "default:1500")
TOLERANCE_DB, TOLERANCES = 1.0, {"spearman_rho": 0.1, "seeds_spearman_rho": 0.1, "label_agreement": 0.05}
_N_CLIPS, _SEEDS = 8, (0, 1)
_BETWEEN_SEEDS = ("spearman_rho", "snr_db")
_COLUMNS = ("clip", "seed", "measured", "measure", "value")


class Procedure(NamedTuple):
    """A method with a number of steps, and whether its front end is exact (None: as the method has it)."""

    method: str
    steps: int
    exact: bool | None = None

    @classmethod
    def parse(cls, text: str) -> "Procedure":
        """From ``METHOD:STEPS``, ``METHOD:STEPS:exact`` or ``METHOD:STEPS:fast``."""
        method, _, rest = text.partition(":")
        steps, _, path = rest.partition(":")
        if not (method and steps.isdecimal() and int(steps) and path in ("", "exact", "fast")):
            raise AudioMetamerError(f"procedure {text!r}; it must be METHOD:STEPS, and :exact or :fast after it if you like")
        return cls(method, int(steps), None if not path else path == "exact")

    def __str__(self) -> str:
        path = {None: "", True: ":exact", False: ":fast"}[self.exact]
        return f"{self.method}:{self.steps}{path}"


class Row(NamedTuple):
    """One measure of one procedure's metamers, compared with the reference's."""

    model: str
    layer: str
    procedure: str
    reference: str
    measured: str  # a layer, or a network that recognises; empty: the sound
    measure: str
    reference_value: float
    value: float
    difference: float
    low: float
    high: float
    clips: int
    verdict: str

    @classmethod
    def of(cls, model: str, layer: str, procedure: Procedure, reference: Procedure, found: LikenessDifference) -> "Row":
        return cls(model, layer, str(procedure), str(reference), *found, verdict(found))


def verdict(found: LikenessDifference) -> str:
    """``same`` if the interval lies within the tolerance around 0, ``different`` if it excludes 0, or else ``open``."""
    tolerance = TOLERANCES.get(found.measure, TOLERANCE_DB)
    if -tolerance <= found.low <= 0 <= found.high <= tolerance:
        return "same"
    return "different" if found.low > 0 or found.high < 0 else "open"


class Study:
    """Metamers and measures in a folder.

    Parameters
    ----------
    out : path
    model : Model
    clips : sequence of path
    layers : sequence of str
    seeds : sequence of int
    judges : sequence of Model
        Networks that recognise; the generating one is left out.
    """

    def __init__(
        self, out: Path, model: Model, clips: Sequence[Path], layers: Sequence[str], seeds: Sequence[int], judges: Sequence[Model]
    ) -> None:
        self.out, self.model, self.layers, self.seeds = out, model, layers, seeds
        self.clips = read_clips(model, clips)
        self.judges = [Judge(judge, with_layers=False) for judge in judges if judge.name != model.name]

    def metamers(self, procedure: Procedure, progress: Tracker) -> dict[str, list[Metamer]]:
        """Metamers of a procedure by layer, made unless they are there."""

        def show(report: FolderProgress) -> None:
            progress(report.fraction, f"{self.model.name}, {procedure}: {report.message}")

        made = synthesize_into(
            self._folder("metamers", procedure), self.model, self.clips, self.layers, seed=self.seeds, progress=show,
            method=procedure.method, steps=procedure.steps, exact=procedure.exact,
        )  # fmt: skip
        return {layer: [m for m in made if m.evidence.settings.layer == layer] for layer in self.layers}

    def likeness(self, procedure: Procedure, layer: str, metamers: Sequence[Metamer]) -> dict[Measure, FloatArray]:
        """Measures of metamers of one layer, computed unless they are there."""
        path = self._folder("measures", procedure) / f"{safe_name(layer)}.tsv"
        wanted = [(m.clip.name, m.evidence.settings.seed) for m in metamers]
        known = _read_likeness(path, wanted) if path.exists() else {}
        if not {judge.model.name for judge in self.judges} <= {key.layer for key in known}:
            known = {}
        if not known:
            known = self._measured(layer, metamers)
            _write_likeness(path, wanted, known)
        return known

    def _folder(self, kind: str, procedure: Procedure) -> Path:
        return self.out / kind / safe_name(self.model.name) / safe_name(str(procedure).replace(":", "-"))

    def _measured(self, layer: str, metamers: Sequence[Metamer]) -> dict[Measure, FloatArray]:
        of = {clip.name: clip.samples for clip in self.clips}
        originals, signals = [of[m.clip.name] for m in metamers], [m.samples for m in metamers]
        found = dict(measure_likeness(self.model, originals, signals, layer))
        found |= self._between_seeds(layer, metamers)
        for judge in self.judges:
            found[Measure(judge.model.name, "label_agreement")] = _agreement(judge, self.model, originals, signals)
        return found

    def _between_seeds(self, layer: str, metamers: Sequence[Metamer]) -> Likeness:
        """Similarity of each metamer to that of the next seed of its clip, at every layer; NaN for a single seed."""
        if len(self.seeds) < 2:
            return {}
        of = {(m.clip.name, m.evidence.settings.seed): m.samples for m in metamers}
        later = dict(zip(self.seeds, [*self.seeds[1:], self.seeds[0]], strict=True))
        others = [of[m.clip.name, later[m.evidence.settings.seed]] for m in metamers]
        found = measure_likeness(self.model, others, [m.samples for m in metamers], layer)
        return {Measure(key.layer, f"seeds_{key.name}"): v for key, v in found.items() if key.name in _BETWEEN_SEEDS}


def _agreement(judge: Judge, generator: Model, originals: Sequence[Tensor], metamers: Sequence[Tensor]) -> FloatArray:
    """Share of a network's tasks in which it gives a metamer the label that it gives the clip, [shape=(metamers,)]."""
    fitted = [fit_to_model(judge.model, sound, generator.sample_rate) for sound in originals]
    gains = [gain_for(judge.model, sound) for sound in fitted]
    copies = [gain * fit_to_model(judge.model, m, generator.sample_rate) for gain, m in zip(gains, metamers, strict=True)]
    naturals = [gain * sound for gain, sound in zip(gains, fitted, strict=True)]
    clip, metamer = (judge.respond(iter(sounds), len(sounds))[0] for sounds in (naturals, copies))
    return np.mean([clip[task].argmax(1) == metamer[task].argmax(1) for task in clip], axis=0)


def _write_likeness(path: Path, signals: Sequence[tuple[str, int]], found: Likeness) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = ((*who, *key, value) for key, values in found.items() for who, value in zip(signals, values, strict=True))
    write_table(path, _COLUMNS, (dict(zip(_COLUMNS, row, strict=True)) for row in cells))


def _read_likeness(path: Path, signals: Sequence[tuple[str, int]]) -> dict[Measure, FloatArray]:
    """What was written, in the order of these signals; nothing if others were measured."""
    values: dict[Measure, dict[tuple[str, int], float]] = {}
    for row in read_table(path, required=_COLUMNS):
        key = Measure(row["measured"], row["measure"])
        values.setdefault(key, {})[row["clip"], int(row["seed"])] = float(row["value"] or "nan")
    if any(of.keys() != set(signals) for of in values.values()):
        return {}
    return {key: np.array([of[signal] for signal in signals]) for key, of in values.items()}


def compared(study: Study, procedures: Sequence[Procedure], progress: Tracker, bootstrap: Bootstrap) -> Iterator[Row]:
    """Rows of every procedure but the first, which is what they are compared with; the shortest are made first."""
    found = {}
    for k, procedure in enumerate(sorted(procedures, key=lambda each: each.steps)):
        for layer, metamers in study.metamers(procedure, _share(progress, k, len(procedures))).items():
            found[procedure, layer] = study.likeness(procedure, layer, metamers)
    names = [clip.name for clip in study.clips for _ in study.seeds]
    reference, *others = procedures
    for procedure in others:
        for layer in study.layers:
            for difference in compare_likeness(found[reference, layer], found[procedure, layer], names, bootstrap):
                yield Row.of(study.model.name, layer, procedure, reference, difference)


def _share(progress: Tracker, k: int, parts: int) -> Tracker:
    """The progress of one of several equal parts."""
    return lambda done, message: progress((k + done) / parts, message)


def summary(rows: Iterable[Row]) -> str:
    """Numbers of measures that are the same, open and different, by model, layer and procedure, and the largest differences."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.model, row.procedure, row.layer), []).append(row)
    lines = []
    for key, own in groups.items():
        counts = Counter(row.verdict for row in own)
        apart = [row for row in own if row.verdict == "different"]
        apart.sort(key=lambda row: -abs(row.difference) / TOLERANCES.get(row.measure, TOLERANCE_DB))
        named = [f"{row.measured} {row.measure} {row.difference:+.2f} ({row.low:+.2f} … {row.high:+.2f})" for row in apart[:3]]
        lines.append((*key, *(counts[word] for word in ("same", "open", "different")), "; ".join(named)))
    return table(("model", "procedure", "layer", "same", "open", "different", "furthest apart"), *lines)


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--model", "model_names", multiple=True, default=("cochcnn-word", "cochcnn-word-robust"), show_default=True)
@click.option(
    "--procedure", "procedures", multiple=True, default=PROCEDURES, show_default=True, help="The first is the reference."
)
@click.option("--layers", default="relu2,relu3,relu4,avgpool,relufc,final", show_default=True)
@click.option("--clip", "clips", multiple=True, type=click.Path(path_type=Path), help=f"Default: {_N_CLIPS} shipped words.")
@click.option("--seed", "seeds", multiple=True, type=options.SEED, default=_SEEDS, show_default=True)
@click.option("--judge", "judges", multiple=True, help="Networks that recognise; default: the zoo.")
@options.device
def main(
    out: Path, model_names: tuple[str, ...], procedures: tuple[str, ...], layers: str, clips: tuple[Path, ...],
    seeds: tuple[int, ...], judges: tuple[str, ...], device: str,
) -> None:  # fmt: skip
    """Compare procedures, and write OUT/equivalence.tsv."""
    sounds = clips or tuple(sorted((clips_folder() / "speech").glob("*.flac"))[:: 160 // _N_CLIPS][:_N_CLIPS])
    listening = [load_model(name).to(choose_device(device)) for name in judges or zoo()]
    parsed = [Procedure.parse(text) for text in procedures]
    rows: list[Row] = []
    with tracked() as progress:
        for k, name in enumerate(model_names):
            study = Study(out, load_model(name).to(choose_device(device)), sounds, layers.split(","), seeds, listening)
            rows += compared(study, parsed, _share(progress, k, len(model_names)), Bootstrap())
    write_table(out / "equivalence.tsv", Row._fields, (row._asdict() for row in rows))
    print(summary(rows))


if __name__ == "__main__":
    main()
