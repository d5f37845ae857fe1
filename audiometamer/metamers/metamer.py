"""A metamer with its evidence, and the settings that determine it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from audiometamer.io.fingerprints import fingerprint_of
from audiometamer.io.hashes import sha256_of
from audiometamer.matching.descent import Penalty
from audiometamer.matching.domains import Domain
from audiometamer.matching.losses import Loss
from audiometamer.matching.stopping import StoppingRule
from audiometamer.metamers.captions import caption, original_caption, verdict_colour
from audiometamer.metamers.coarse_to_fine import is_coarse_to_fine
from audiometamer.metamers.evidence import Evidence
from audiometamer.metamers.methods import Method, method_for, part_text
from audiometamer.metamers.settings import Settings, places
from audiometamer.metamers.targets import GivenTarget
from audiometamer.metamers.texture_methods import Audible
from audiometamer.metamers.verdicts import verdict_word
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Metamer:
    """A synthesised signal and its evidence.

    Parameters
    ----------
    samples : Tensor [shape=signal_shape]
        float32, on the CPU.
    clip : Clip or GivenTarget
        The natural signal, or the activations given in its place.
    evidence : Evidence
    """

    samples: Tensor
    clip: Clip | GivenTarget
    evidence: Evidence

    @property
    def passed(self) -> bool | None:
        """Whether the verdict was passed; None if there was nothing to judge by."""
        return self.evidence.verdict.passed

    def __repr__(self) -> str:
        settings = self.evidence.settings
        snr = self.evidence.similarity[settings.layer]["snr_db"]
        measured = f"SNR {'∞' if snr is None else f'{snr:.1f}'} dB, {verdict_word(self.passed)}"
        return f"<Metamer of {settings.clip!r} at {settings.layer} of {settings.model}, seed {settings.seed}: {measured}>"

    def _repr_html_(self) -> str:
        """A player, the cochleagram and the verdict, of the clip too, for notebooks."""
        from audiometamer.signals.display import Panel, as_html

        rate = self.evidence.sample_rate
        panels = [Panel(caption(self.evidence), self.samples, rate, verdict_colour(self.passed))]
        if isinstance(self.clip, Clip):
            panels.insert(0, Panel(original_caption(self.clip.name, self.evidence), self.clip.samples, rate))
        return as_html(panels)

    def plot(self, model: Model | None = None) -> "Figure":
        """Plot it below its clip, with the model also their activations; see `audiometamer.plot_metamers`."""
        from audiometamer import plot_metamers

        return plot_metamers([self], model)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the signal and its record into a folder of metamers, as ``audiometamer synth`` does.

        Parameters
        ----------
        folder : path
            Created if it does not exist. A metamer of the same clip, model, layer and seed is replaced.

        Returns
        -------
        path
            The signal's, which `audiometamer.load_metamer` takes.

        Raises
        ------
        AudioMetamerError
            If the folder holds metamers of another clip or model under the same name.
        """
        from audiometamer.io.names import as_output_folder
        from audiometamer.metamers.layout import record_path, signal_path
        from audiometamer.metamers.saving import save_signal

        save_signal(as_output_folder(folder), self.samples, self.clip, self.evidence)
        return signal_path(record_path(Path(folder), self.evidence.settings), self.evidence.domain)


@dataclass(frozen=True)
class Progress:
    """Progress of a synthesis.

    Parameters
    ----------
    layer : str
    signals : int
        Number of active signals in the batch.
    attempt : int
        Number of the attempt, from 0.
    step, steps : int
    snr_db : float
        Median over the batch's active signals.
    """

    layer: str
    signals: int
    attempt: int
    step: int
    steps: int
    snr_db: float


def _loss_text(model: Model, layer: str, method: Method, loss: Loss | None) -> str:
    by_stages = loss is None and method.coarse_to_fine and is_coarse_to_fine(model, layer)
    chosen = loss or method.loss
    text = str(chosen) if isinstance(chosen, Audible) else fingerprint_of(chosen)
    return text + (" coarse-to-fine" if by_stages else "")


def settings_of(
    model: Model,
    clip: Clip | GivenTarget,
    layer: str,
    seed: int,
    *,
    method: str | Method,
    steps: int | None,
    loss: Loss | None = None,
    penalty: Penalty | None = None,
    domain: Domain | None = None,
    exact: bool | None = None,
    initial: Tensor | None = None,
    stop: StoppingRule | Literal["passed"] | None = None,
    weights_sha256: str | None = None,
) -> Settings:
    """Everything that determines a metamer; equal settings give the same one. Parameters are those of `synthesize`.

    Parameters
    ----------
    initial : Tensor [shape=signal_shape], optional
        The signal that it starts from. Default: noise.
    weights_sha256 : str, optional
        The model's, if it is known already. Default: it is computed.
    """
    procedure = method_for(model, method)
    return Settings(
        clip=clip.name,
        clip_sha256=sha256_of(*([clip.samples] if isinstance(clip, Clip) else map(clip.at, places(layer)))),
        model=model.name,
        weights_sha256=weights_sha256 or model.weights_sha256(),
        layer=layer,
        seed=seed,
        method=procedure.recorded_name,
        steps=steps or procedure.steps,
        loss=_loss_text(model, layer, procedure, loss),
        penalty="" if penalty is None else fingerprint_of(penalty),
        domain="" if domain is None or domain == model.domain else fingerprint_of(domain),
        exact=procedure.is_exact(model, exact),
        initial="" if initial is None else sha256_of(initial),
        stop="" if stop is None else stop if isinstance(stop, str) else part_text(stop),
    )
