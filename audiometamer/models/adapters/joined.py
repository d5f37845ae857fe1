"""Several models of the same sounds or images as one, so that a metamer can be matched in all of them together."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError
from audiometamer.models.adapters.resampled import resampled
from audiometamer.models.loading import load_model
from audiometamer.models.model import Model


class Joined(nn.Module):
    """Passes its signals to every model; its outputs are those of all tasks of all models, ``model.task``."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        super().__init__()
        self.names = list(models)
        self.joined = nn.ModuleList(models.values())
        self.aliases = {
            f"{name}.{alias}": f"{name}.{layer}"
            for name, model in models.items()
            for alias, layer in getattr(model.network, "aliases", {}).items()
        }

    @property
    def models(self) -> dict[str, Model]:
        """The models, by name."""
        return {name: model for name, model in zip(self.names, self.joined, strict=True) if isinstance(model, Model)}

    def forward(self, signals: Tensor) -> dict[str, Any]:
        """Signals [shape=(batch, *signal_shape)] to logits by model and task."""
        outputs: dict[str, Any] = {}
        for name, model in self.models.items():
            output = model(signals)
            outputs |= {f"{name}.{task}": logits for task, logits in model.logits(output).items()} or {name: output}
        return outputs

    def tasks_determined_by(self, path: str, tasks: Iterable[str]) -> list[str]:
        """Those tasks that belong to the model that contains a module."""
        return [task for task in tasks if task.startswith(f"{self.names[int(path.split('.')[1])]}.")]


def joined(models: Mapping[str, Model]) -> Model:
    """One model out of several.

    Parameters
    ----------
    models : mapping of str to Model
        The models, by name. If their sample rates differ, sounds have the highest, and are resampled for the others.

    Returns
    -------
    Model
        Its layers are ``name.layer``, so that ``a.relu2+b.relu3`` is matched in both together; its tasks are ``name.task``.

    Raises
    ------
    AudioMetamerError
        If there are fewer than two models, or their signals differ in duration, level, bounds or shape.
    """
    if not isinstance(models, Mapping):
        raise AudioMetamerError(
            f"models is a {type(models).__name__}; give a dict of names to models: joined({{'a': …, 'b': …}})"
        )
    if len(models) < 2:
        raise AudioMetamerError(f"{len(models)} model cannot be joined with others; give at least two")
    rates = {model.sample_rate for model in models.values()}
    highest = None if None in rates else max(rate for rate in rates if rate is not None)
    same = {name: resampled(model, highest) for name, model in models.items()}
    first_name, first = next(iter(same.items()))
    for name, model in same.items():
        for what in ("duration", "level", "bounds", "signal_shape"):
            if getattr(model, what) != getattr(first, what):
                both = f"{getattr(first, what)} and {getattr(model, what)}"
                raise AudioMetamerError(f"{first_name} and {name} cannot be joined: their {what} are {both}")
    layers = {
        f"{name}.{layer}": f"joined.{k}.{tap}"
        for k, (name, m) in enumerate(same.items())
        for layer, tap in m.named_taps().items()
    }
    labels = {f"{name}.{task}": names for name, model in same.items() for task, names in model.named_labels().items()}
    return Model(
        Joined(same).eval(),
        sample_rate=highest,
        duration=first.duration,
        level=first.level,
        signal_shape=first.signal_shape,
        bounds=first.bounds,
        labels=labels or None,
        layers=layers,
        domain=first.domain,
        picture=first.picture,
        name="+".join(models),
    )


def load(text: str) -> Model:
    """The joined model of names with ``+`` between them: ``cochcnn-word+cochcnn-speaker``."""
    models: dict[str, Model] = {}
    for name in text.split("+"):
        model = load_model(name)
        if model.name in models:
            raise AudioMetamerError(f"{text}: two of the models are called {model.name}")
        models[model.name] = model
    return joined(models)
