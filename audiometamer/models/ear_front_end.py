"""An ear that gives sound before a front end, as one front end."""

from torch import Tensor, nn


class EarFrontEnd(nn.Module):
    """Sound to the ear's sound, and that to what the front end makes of it.

    Parameters
    ----------
    ear : Module
        From sound to sound.
    front_end : Module or None
        After it.
    """

    def __init__(self, ear: nn.Module, front_end: nn.Module | None) -> None:
        super().__init__()
        self.ear, self.front_end = ear, front_end

    def forward(self, sounds: Tensor) -> Tensor:
        """Sounds [shape=(batch, ..., samples)] to the front end's output."""
        heard: Tensor = self.ear(sounds)
        return heard if self.front_end is None else self.front_end(heard)
