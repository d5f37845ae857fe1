"""Recipes for training: TOML files, checked."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import torch
from msgspec import Meta
from torch import nn

from audiometamer.errors import AudioMetamerError, first_line
from audiometamer.io.reading import read_unicode
from audiometamer.io.toml_files import check_number_range, parse_toml
from audiometamer.models.cards import FrontEndCard, NetworkCard, WeightsDtype
from audiometamer.training.adversaries import Adversary
from audiometamer.training.masking import Masking
from audiometamer.training.mixing import KINDS, N_VOICES, Augmentation, Decibels, Positive, Share
from audiometamer.training.selection import SourceRecipe


class TaskRecipe(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A task in a recipe.

    Parameters
    ----------
    labels : list of str, optional
        Names of the classes, in order; recordings of other classes count as unlabelled. Default: all labels of this task in
        split ``train``, sorted.
    weight : float
        Weight of the loss. Default 1.
    multi : bool
        Whether sounds can have several labels: sigmoids and binary cross-entropy instead of softmax and cross-entropy. Default
        False.
    smoothing : float
        Probability that the training targets spread evenly over all classes, because some labels are wrong (Szegedy et al. 2016,
        section 7). Default 0.
    """

    labels: list[str] | None = None
    weight: Annotated[float, Meta(ge=0)] = 1.0
    multi: bool = False
    smoothing: Annotated[float, Meta(ge=0, lt=1)] = 0.0


class OptimizerRecipe(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The optimiser and its learning-rate schedule.

    Parameters
    ----------
    name : {"AdamW", "SGD"}
    learning_rate, weight_decay : float
    momentum : float
        Momentum of SGD. Default 0.9.
    schedule : {"cosine", "steps", "constant"}
        The rate falls to 0 along a cosine, is multiplied by `factor` after every `every` epochs, or stays constant. Default
        "cosine".
    warm_up : float
        Fraction of all steps over which the rate rises linearly from 0. Default 0.
    every : int
        Epochs between changes of the schedule "steps". Default 50.
    factor : float
        Factor of each change of the schedule "steps". Default 0.1.
    span : int, optional
        Epochs over which the schedule runs, if training ends before it does: for the first of several stages. Default: all.
    """

    name: Literal["AdamW", "SGD"] = "AdamW"
    learning_rate: Positive = 2e-3
    weight_decay: Annotated[float, Meta(ge=0)] = 0.05
    momentum: Share = 0.9
    schedule: Literal["cosine", "steps", "constant"] = "cosine"
    warm_up: Share = 0.0
    every: Annotated[int, Meta(ge=1)] = 50
    factor: Positive = 0.1
    span: Annotated[int, Meta(ge=1)] | None = None

    def built(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser of a network's parameters."""
        if self.name == "SGD":
            return torch.optim.SGD(parameters, self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay)
        return torch.optim.AdamW(parameters, self.learning_rate, weight_decay=self.weight_decay)

    def rate(self, step: int, *, per_epoch: int, epochs: int) -> float:
        """The learning rate at a step, counted from 0."""
        epochs = self.span or epochs
        warm_up = self.warm_up * per_epoch * epochs
        if step < warm_up:
            return self.learning_rate * (step + 1) / warm_up
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "steps":
            return self.learning_rate * self.factor ** (step // per_epoch // self.every)
        done = (step - warm_up) / (per_epoch * epochs - warm_up)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2


class BackgroundRecipe(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The background of the speech; see `audiometamer.training.mixing.Backgrounds`.

    A recording that its data set pairs with a background is always mixed with that one.
    """

    kinds: dict[str, float] = msgspec.field(default_factory=lambda: dict(KINDS))
    n_voices: tuple[int, int] = N_VOICES


class Recipe(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A training recipe: the network, its tasks, and how it is trained.

    Parameters
    ----------
    name : str
        Name of the model.
    tasks : dict of str to TaskRecipe
    network, front_end : NetworkCard, FrontEndCard
        Network and front end, as in a model's card.
    sample_rate : int
        In Hz. Default 20,000.
    duration : float
        In seconds. Default 2.
    level : float
        RMS of every excerpt. Default 0.1.
    seed : int
        Random seed of the initial weights, the order of clips and the augmentation. Default 0.
    epochs, batch_size : int
    excerpts : int, optional
        Number of excerpts in an epoch. Default: as many as there are recordings.
    balanced : str, optional
        Task whose classes are drawn equally often. Default: every recording once in an epoch.
    sources : dict of str to SourceRecipe
        How the recordings of some sources are used, by the values of the column ``source``. Default: all alike.
    synthetic_share : float, optional
        Share of synthetic voices in the excerpts of each class that has real and synthetic recordings. Default: by their numbers.
    trimmed : float
        Fraction of each batch, with the highest losses, that is not learned from, because its labels are probably wrong: the
        small-loss selection of Han et al. (2018), by one network. It grows from 0 over the first third of the training.
        Default 0.
    optimizer : OptimizerRecipe
    augmentation : Augmentation
    background : BackgroundRecipe
    masking : Masking
        Masks and shifts of the cochleagrams of training batches. Default: none.
    mixup : float
        Largest share of another sound of the batch in each cochleagram, whose label then counts by the same share: mixup (Zhang
        et al. 2018), with uniform shares. Default 0.
    adversary : Adversary, optional
        Perturbs every training batch.
    cached_epochs : int
        Number of epochs whose cochleagrams are kept on disk and used by later epochs in turn, in another order of batches: with
        6, epoch 7 sees the excerpts of epoch 1. Default 0: every epoch has excerpts of its own.
    precision : {"float32", "bfloat16"}
        Arithmetic of the convolutions and linear layers in training; tests are in float32. Default "float32".
    initial : {"library", "he"}
        Random initial weights: PyTorch's own, or those of He et al. (2015). Default "library".
    start_from : str, optional
        Name or folder of a model whose weights are the initial ones, where names and shapes agree. Default: random weights.
    frozen : tuple of str
        Modules of the network whose parameters keep their initial values. Default: none.
    training_front_end : dict
        Options of the front end that differ in training.
    test_snrs : tuple of float
        Signal-to-noise ratios of the tests, in dB, besides quiet.
    test_adversaries : list of Adversary
        Attacks of the tests, in quiet.
    attacked : int, optional
        Number of test recordings, drawn at random, that are attacked. Default: all.
    groups : tuple of str
        Columns of the data sets' tables by whose values the accuracy in quiet is reported too, besides ``source``.
    weights_dtype : {"float32", "float16"}
        Type of the saved weights. The network is tested with the weights that are saved. Default "float32".
    null_pairs : int
        Minimum number of random pairs of training excerpts in the null distribution. Default 1,000,000.
    description, licence : str
    data : dict of str to str
        Source and licence of each part of the data.
    limits : list of str
    """

    name: str
    tasks: dict[str, TaskRecipe]
    network: NetworkCard
    front_end: FrontEndCard
    sample_rate: Annotated[int, Meta(ge=1)] = 20_000
    duration: Positive = 2.0
    level: Positive = 0.1
    seed: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    epochs: Annotated[int, Meta(ge=1)] = 30
    batch_size: Annotated[int, Meta(ge=2)] = 32  # batch normalisation needs two
    excerpts: Annotated[int, Meta(ge=1)] | None = None
    balanced: str | None = None
    sources: dict[str, SourceRecipe] = {}
    synthetic_share: Share | None = None
    trimmed: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    optimizer: OptimizerRecipe = OptimizerRecipe()
    augmentation: Augmentation = Augmentation()
    background: BackgroundRecipe = BackgroundRecipe()
    masking: Masking = Masking()
    mixup: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    adversary: Adversary | None = None
    cached_epochs: Annotated[int, Meta(ge=0)] = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    initial: Literal["library", "he"] = "library"
    start_from: str | None = None
    frozen: tuple[str, ...] = ()
    training_front_end: dict[str, Any] = {}
    test_snrs: tuple[Decibels, ...] = (10.0, 0.0, -5.0)
    test_adversaries: list[Adversary] = []
    attacked: Annotated[int, Meta(ge=1)] | None = None
    groups: tuple[str, ...] = ()
    weights_dtype: WeightsDtype = "float32"
    null_pairs: Annotated[int, Meta(ge=1)] = 1_000_000
    description: str = ""
    licence: str = ""
    data: dict[str, str] = {}
    limits: list[str] = []

    @property
    def n_samples(self) -> int:
        """Number of samples in an excerpt."""
        return round(self.sample_rate * self.duration)


# What a recipe says of tests and of the card: the training is the same without it.
_OF_THE_TESTS = ("test_snrs", "test_adversaries", "attacked", "groups", "null_pairs")
_OF_THE_RESULT = frozenset(("name", "description", "licence", "data", "limits", "weights_dtype", *_OF_THE_TESTS))


def settings_of_training(recipe: Recipe) -> dict[str, Any]:
    """The settings that the weights depend on, as built-in types: a run can be resumed as long as they are the same."""
    return {name: setting for name, setting in stated(recipe).items() if name not in _OF_THE_RESULT}


def stated(value: Any) -> Any:
    """Settings without those at their defaults, as built-in types: the same after another setting has been added.

    Examples
    --------
    >>> stated(OptimizerRecipe(learning_rate=0.1))
    {'learning_rate': 0.1}
    """
    if isinstance(value, msgspec.Struct):
        fields = {f.name: (f.default, f.default_factory) for f in msgspec.structs.fields(value)}
    elif dataclasses.is_dataclass(value):
        fields = {f.name: (f.default, f.default_factory) for f in dataclasses.fields(value)}
    elif isinstance(value, dict):
        return {key: stated(entry) for key, entry in value.items()}
    elif isinstance(value, list | tuple):
        return [stated(entry) for entry in value]
    else:
        return value
    own = {name: getattr(value, name) for name in fields}
    return {name: stated(setting) for name, setting in own.items() if setting != _default(*fields[name])}


def _default(default: Any, factory: Any) -> Any:
    """The default of a field, a factory's if it has one."""
    missing = (msgspec.NODEFAULT, dataclasses.MISSING)
    return default if factory in missing else factory()


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises
    ------
    AudioMetamerError
        If the file is missing, is not TOML, has a wrong key or type, or a number out of range.
    """
    try:
        content = parse_toml(read_unicode(path))
        check_number_range(content)
        recipe = msgspec.convert(content, Recipe)
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise AudioMetamerError(f"{path} is not a recipe: {first_line(error)}") from error
    if problem := next(_problems(recipe), None):
        raise AudioMetamerError(f"{path} is not a recipe: {problem}")
    return recipe


def _problems(recipe: Recipe) -> Iterator[str]:
    """What does not fit together."""
    if not recipe.tasks:
        yield "it names no task; add [tasks.word]"
    if recipe.optimizer.span is not None and recipe.optimizer.span < recipe.epochs:
        yield f"the span of the optimizer is {recipe.optimizer.span}; it must be at least the epochs, {recipe.epochs}"
    if recipe.cached_epochs and recipe.adversary and recipe.adversary.at == "waveform":
        yield "cached_epochs keeps cochleagrams, but the adversary is at the waveform"
    if recipe.mixup and recipe.adversary:
        yield "mixup mixes sounds, but the adversary attacks single ones; one of them must go"
    for name, task in recipe.tasks.items():
        if not name or "." in name or hasattr(nn.ModuleDict, name):  # read-outs are modules of these names
            yield f"a task cannot be called {name!r}; choose another name"
        if task.labels is not None and len(set(task.labels)) < len(task.labels):
            yield f"task {name} lists a label twice"
    if recipe.synthetic_share is not None and not any(source.synthetic for source in recipe.sources.values()):
        yield f"synthetic_share is {recipe.synthetic_share:g}, but no source is synthetic: set it below [sources.NAME]"
