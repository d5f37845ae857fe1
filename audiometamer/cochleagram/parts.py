"""The parts of the published cochleagrams, from flat options as presets and cards hold them."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from torch import nn

from audiometamer.cochleagram.compression import DecibelCompression, PowerCompression
from audiometamer.cochleagram.filters import CosineFilterbank
from audiometamer.cochleagram.lowpass import EnvelopeLowpass, Lowpass
from audiometamer.errors import AudioMetamerError
from audiometamer.io.integers import as_integer


class PartOptions(TypedDict, total=False):
    """Options of the filterbank, of the low-pass filter and of the compression; see `Cochleagram`."""

    n_filters: int
    low_limit: float
    high_limit: float
    overcompleteness: int
    scale: Literal["erb", "linear"]
    include_edges: bool
    broadening: float
    frame_rate: int
    window_size: int
    kaiser_beta: float
    compression_power: float
    compression_offset: float
    compression_scale: float
    compression_gradient_clip: float | Literal["default"] | None


OPTIONS_OF_PARTS = {
    "filterbank": {"n_filters", "low_limit", "high_limit", "overcompleteness", "scale", "include_edges", "broadening"},
    "lowpass": {"frame_rate", "window_size", "kaiser_beta"},
    "compression": {"compression_power", "compression_offset", "compression_scale", "compression_gradient_clip"},
}


def check_options(options: Mapping[str, Any], replaced: Mapping[str, bool]) -> None:
    """Raise if an option is unknown, or belongs to a part that is replaced.

    Parameters
    ----------
    options : mapping
        Options by name.
    replaced : mapping of str to bool
        Whether the caller gives each part.

    Raises
    ------
    TypeError
        If an option is unknown.
    AudioMetamerError
        If it belongs to a part that is replaced.
    """
    if unknown := options.keys() - set().union(*OPTIONS_OF_PARTS.values()):
        raise TypeError(f"Cochleagram got an unexpected keyword argument {min(unknown)!r}")
    for part, names in OPTIONS_OF_PARTS.items():
        if replaced[part] and (conflicting := sorted(options.keys() & names)):
            raise AudioMetamerError(f"{conflicting[0]} belongs to the published {part}, which {part}= replaces: give one of them")


def check_parts(filterbank: object, lowpass: object) -> None:
    """Raise unless parts of the caller's own have the interface of those that they replace."""
    wanted = [name for name in ("__len__", "center_frequencies", "bands") if not callable(getattr(filterbank, name, None))]
    if filterbank is not None and (wanted or isinstance(filterbank, type)):
        raise AudioMetamerError(
            f"filterbank is {filterbank!r}; it must be an instance with __len__, center_frequencies and bands"
        )
    if lowpass is not None and not isinstance(lowpass, Lowpass):
        raise AudioMetamerError(f"lowpass is {lowpass!r}; it must be an instance of audiometamer.cochleagram.lowpass.Lowpass")


def without_replaced(options: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Options less those of the parts that overrides replace."""
    gone = [OPTIONS_OF_PARTS[part] for part in ("filterbank", "lowpass") if overrides.get(part) is not None]
    if isinstance(overrides.get("compression"), nn.Module):
        gone.append(OPTIONS_OF_PARTS["compression"])
    return {name: value for name, value in options.items() if not any(name in names for names in gone)}


def make_filterbank(sample_rate: int, options: Mapping[str, Any]) -> CosineFilterbank:
    """The published filterbank with some options of its own."""
    chosen = {name: value for name, value in options.items() if name in OPTIONS_OF_PARTS["filterbank"]}
    if "n_filters" in chosen:
        chosen["n_filters"] = as_integer(chosen["n_filters"], "n_filters", least=1)
    bank = CosineFilterbank(**chosen)
    if bank.high_limit > sample_rate / 2:
        raise AudioMetamerError(
            f"high_limit is {bank.high_limit} Hz; it must not exceed half the sample rate of {sample_rate} Hz"
        )
    return bank


def make_lowpass(sample_rate: int, options: Mapping[str, Any]) -> EnvelopeLowpass:
    """The published low-pass filter with some options of its own."""
    frame_rate = as_integer(options.get("frame_rate", 200), "frame_rate", least=1)
    if sample_rate % frame_rate:
        raise AudioMetamerError(f"frame_rate is {frame_rate} Hz; it must divide the sample rate of {sample_rate} Hz")
    window_size = as_integer(options.get("window_size", 1001), "window_size", least=1)
    return EnvelopeLowpass(sample_rate // frame_rate, window_size, options.get("kaiser_beta", 5.0))


def make_compression(name: str | None, options: Mapping[str, Any]) -> nn.Module:
    """A published compression by name, with some options of its own; none for None."""
    chosen = {key.removeprefix("compression_"): value for key, value in options.items() if key in OPTIONS_OF_PARTS["compression"]}
    if chosen.get("gradient_clip") == "default":
        del chosen["gradient_clip"]
    if name is None:
        return nn.Identity()
    if name == "power":
        return PowerCompression(**chosen)
    if name == "db":
        chosen.pop("power", None)
        return DecibelCompression(**chosen)
    raise AudioMetamerError(f"compression is {name!r}; it must be 'power', 'db', None or a module")
