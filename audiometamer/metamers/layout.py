"""Locations of the files of metamers in a folder of `synth` and in a stimulus set; read without torch.

``OUT/<clip>/<model>/<layer>_seed<k>.json``, beside its signal, is a metamer of `synth`;
``SET/items/<clip>/<model>/<layer>_seed<k>-<key>/item.json`` one of a stimulus set.
"""

from pathlib import Path

from audiometamer.io.names import safe_name
from audiometamer.metamers.settings import Settings

ITEMS, RECORD, PLANNED = "items", "item.json", "planned.tsv"  # in a stimulus set
INDEX, TARGET, FIGURE, UNFINISHED = "index.tsv", "target.safetensors", "figure.png", ".unfinished.safetensors"
REPORT, REPORT_FILES = "report.html", "report_files"
_SUFFIXES = {"Waveform": ".wav", "Image": ".png"}  # by `domain` in the evidence; other signals are arrays
_ARRAY = ".npy"


def signal_kind(domain: object) -> str:
    """Kind of the signals of a domain, for `domain` in the evidence: ``Waveform`` or ``Image`` by its `suffix`, or its class."""
    suffix = getattr(domain, "suffix", _ARRAY)
    return next((kind for kind, known in _SUFFIXES.items() if known == suffix), type(domain).__name__)


def suffix_of(domain: str) -> str:
    """The suffix of a signal's file, by `domain` in its evidence."""
    return _SUFFIXES.get(domain, _ARRAY)


def signal_path(record: Path, domain: str) -> Path:
    """Path of the signal beside a record of `synth`; `domain` as in its evidence."""
    return record.with_suffix(suffix_of(domain))


def relative_record_path(settings: Settings) -> str:
    """Path of the record of a metamer of `synth`, relative to the folder of metamers."""
    return f"{safe_name(settings.clip)}/{safe_name(settings.model)}/{safe_name(settings.layer)}_seed{settings.seed}.json"


def record_path(out: Path, settings: Settings) -> Path:
    """Path of the record of a metamer of `synth`; its signal lies beside it."""
    return out / relative_record_path(settings)


def checkpoint_path(out: Path, settings: Settings) -> Path:
    """Path of the checkpoint of an unfinished metamer of `synth`."""
    return record_path(out, settings).with_suffix(UNFINISHED)


def clip_folder(out: Path, clip: str, model: str) -> Path:
    """The folder that holds a model's metamers of one clip."""
    return out / safe_name(clip) / safe_name(model)


def find_records(out: Path) -> list[Path]:
    """All records that `synth` has written into a folder."""
    return sorted(out.glob("*/*/*_seed*.json"))


def find_clip_records(folder: Path) -> list[Path]:
    """The records in the folder of one clip's metamers of one model."""
    return sorted(folder.glob("*_seed*.json"))
