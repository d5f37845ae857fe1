"""Options of the commands that attack models, and their conversion to adversaries."""

from typing import TYPE_CHECKING

import click
import msgspec

from audiometamer.errors import AudioMetamerError

if TYPE_CHECKING:
    from audiometamer.training.adversaries import Adversary

attacks = click.option(
    "--attack", "attacks", multiple=True, metavar="WHERE:NORM:RADIUS,…",
    help="Test under attacks too, such as cochleagram:l2:0.25,0.5,1 or waveform:linf:0.002; may be given several times.",
)  # fmt: skip
ATTACK_STEPS, ATTACK_STEP = 32, 0.125  # many small steps, each this fraction of the radius

attack_steps = click.option(
    "--attack-steps", type=click.IntRange(1), default=ATTACK_STEPS, show_default=True, help="Steps of each attack."
)


def adversaries(attacks: tuple[str, ...], steps: int) -> "list[Adversary]":
    """The adversaries that WHERE:NORM:RADIUS describes, one for each radius, with this number of steps."""
    return [adversary for text in attacks for adversary in _adversaries(text, steps)]


def _adversaries(text: str, steps: int) -> "list[Adversary]":
    from audiometamer.training.adversaries import Adversary

    try:
        at, norm, radii = text.split(":")
        settings = {"at": at, "norm": norm, "steps": steps, "step": ATTACK_STEP}
        return [msgspec.convert({**settings, "radius": float(radius)}, Adversary) for radius in radii.split(",")]
    except (ValueError, msgspec.ValidationError) as error:
        raise AudioMetamerError(
            f"attack {text!r} is not WHERE:NORM:RADIUS, with waveform or cochleagram, l2 or linf, and one or several numbers "
            f"separated by commas: {error}"
        ) from error
