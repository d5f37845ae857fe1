"""What a network is given in training: cochleagrams, kept or new, masked and perturbed."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from audiometamer.models.model import Model
from audiometamer.training.adversaries import Adversary
from audiometamer.training.cochleagram_cache import CochleagramBatch
from audiometamer.training.corpus import ClassificationTask
from audiometamer.training.excerpts import TrainingBatch
from audiometamer.training.losses import each_loss
from audiometamer.training.masking import Masking
from audiometamer.training.recipe import Recipe

Loss = Callable[[Tensor], Tensor]
Keep = Callable[[CochleagramBatch], Tensor]


class TrainingInputs:
    """The training inputs of a model, as its recipe prescribes.

    Parameters
    ----------
    recipe : Recipe
    tasks : mapping of str to ClassificationTask
    model : Model
    front_end : Module
        The front end with the options that it has in training.
    """

    def __init__(self, recipe: Recipe, tasks: Mapping[str, ClassificationTask], model: Model, front_end: nn.Module) -> None:
        self.recipe, self.tasks, self.model, self.front_end = recipe, tasks, model, front_end

    def __call__(
        self,
        batch: TrainingBatch | CochleagramBatch,
        targets: Mapping[str, Tensor],
        adversary: Adversary | None,
        generator: torch.Generator,
        *,
        keep: Keep = lambda batch: batch.cochleagrams,
    ) -> Tensor:
        """The cochleagrams that the network is trained on [shape=(batch, filters, frames)].

        Parameters
        ----------
        batch : TrainingBatch or CochleagramBatch
        targets : mapping of str to Tensor
            Targets by task, on the model's device.
        adversary : Adversary, optional
        generator : torch.Generator
            Generator of masks and perturbations, on the model's device.
        keep : callable
            Called with new cochleagrams, before they are masked and perturbed; returns those to be used.
        """

        def loss(cochleagrams: Tensor) -> Tensor:
            logits = self.logits(cochleagrams)
            each = [
                self.recipe.tasks[name].weight * each_loss(logits[name], targets[name], task).sum()
                for name, task in self.tasks.items()
            ]
            return torch.stack(each).sum()

        self.model.network.eval().requires_grad_(False)
        if isinstance(batch, CochleagramBatch):
            cochleagrams = batch.cochleagrams.to(self.model.device)
        else:
            cochleagrams = keep(CochleagramBatch(self._new(batch.sounds, loss, adversary, generator), batch.targets))
        if self.recipe.masking != Masking():
            cochleagrams = self.recipe.masking(cochleagrams, generator=generator)
        if adversary is not None and adversary.at == "cochleagram":
            cochleagrams = adversary.perturbed(cochleagrams, loss, generator=generator)
        return cochleagrams

    def _new(self, sounds: Tensor, loss: Loss, adversary: Adversary | None, generator: torch.Generator) -> Tensor:
        """The cochleagrams of sounds, which the adversary may perturb."""
        bounds = self.model.bounds
        sounds = sounds.to(self.model.device).clamp(*bounds)
        if adversary is not None and adversary.at == "waveform":
            sounds = adversary.perturbed(sounds, lambda x: loss(self.front_end(x)), generator=generator).clamp(*bounds)
        with torch.no_grad():
            cochleagrams: Tensor = self.front_end(sounds)
        return cochleagrams

    def logits(self, cochleagrams: Tensor) -> dict[str, Tensor]:
        """Logits by task, in the recipe's precision."""
        half = self.recipe.precision == "bfloat16"
        with torch.autocast(cochleagrams.device.type, torch.bfloat16, enabled=half):
            logits = self.model.logits(self.model.network(cochleagrams))
        return {task: found.float() for task, found in logits.items()} if half else logits
