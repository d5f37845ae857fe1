"""The setup common to all metamers of one synthesis."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Self, TypedDict

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.io.fingerprints import fingerprint_of, is_known
from audiometamer.io.foreign_code import takes
from audiometamer.io.integers import as_integer
from audiometamer.matching.descent import Penalty
from audiometamer.matching.domains import Domain, check_domain
from audiometamer.matching.loop import Callback
from audiometamer.matching.losses import Loss, by_part, combined, rectified
from audiometamer.matching.stopping import StoppingRule
from audiometamer.metamers.criteria import NullDistribution, default_null
from audiometamer.metamers.metamer import Progress, settings_of
from audiometamer.metamers.methods import Attempt, Method, method_for
from audiometamer.metamers.settings import Settings, places
from audiometamer.metamers.targets import GivenTarget, Targets
from audiometamer.metamers.texture_methods import Audible
from audiometamer.metamers.unfinished import Checkpoints
from audiometamer.models.checking import check_mode
from audiometamer.models.front_ends import with_exact_front_end
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip

PASSED: Literal["passed"] = "passed"  # in place of a stopping rule


class SynthesisOptions(TypedDict, total=False):
    """Options of `synthesize` that determine metamers or how they are computed, and the callback; see there."""

    method: str | Method
    steps: int | None
    loss: Loss | None
    penalty: Penalty | None
    domain: Domain | None
    exact: bool | None
    stop: StoppingRule | Literal["passed"] | None
    batch_size: int | None
    tf32: bool
    compiled: bool
    captured: bool
    callback: Callback | None


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The parameters of `synthesize`, checked, and what follows from them."""

    model: Model
    method: Method
    steps: int
    domain: Domain
    null: NullDistribution | None
    batch_size: int | None
    loss: Loss | None = None
    penalty: Penalty | None = None
    exact: bool = False
    initial: Mapping[int, Tensor] = field(default_factory=dict)
    stop: StoppingRule | Literal["passed"] | None = None
    tf32: bool = False
    compiled: bool = False
    captured: bool = False
    progress: Callable[[Progress], object] | None = None
    callback: Callback | None = None
    checkpoints: Checkpoints | None = None
    weights_sha256: str = field(init=False)
    targets: Targets = field(init=False)

    @classmethod
    def of(
        cls,
        model: Model,
        *,
        method: str | Method = "default",
        steps: int | None = None,
        domain: Domain | None = None,
        null: NullDistribution | None = None,
        exact: bool | None = None,
        batch_size: int | None = None,
        **others: Any,
    ) -> Self:
        """The setup of a call of `synthesize`: what was not given comes from the method or the model."""
        if not isinstance(exact, bool | None):
            raise AudioMetamerError(f"exact is {exact!r}; it must be True, False or None")
        procedure = method_for(model, method)
        as_published = procedure.is_exact(model, exact)
        return cls(
            model=with_exact_front_end(model) if as_published else model,
            exact=as_published,
            method=procedure,
            steps=procedure.steps if steps is None else as_integer(steps, "steps", least=1),
            domain=model.domain if domain is None else domain,
            null=default_null(model) if null is None else null,
            batch_size=None if batch_size is None else as_integer(batch_size, "batch_size", least=1),
            **others,
        )

    def __post_init__(self) -> None:
        check_mode(self.model)
        _check_types(self)
        self.method.check(self.steps)
        if self.checkpoints is not None:
            _check_resumable(self)
        object.__setattr__(self, "weights_sha256", self.model.weights_sha256())
        object.__setattr__(self, "targets", Targets(self.model))

    @property
    def added_rule(self) -> StoppingRule | None:
        """The stopping rule beside the method's own that looks at losses, if there is one."""
        return None if isinstance(self.stop, str) else self.stop

    def settings(self, clip: Clip | GivenTarget, layer: str, seed: int) -> Settings:
        """The settings that determine one of the metamers."""
        return settings_of(
            self.model,
            clip,
            layer,
            seed,
            method=self.method,
            steps=self.steps,
            loss=self.loss,
            penalty=self.penalty,
            domain=self.domain,
            exact=self.exact,
            initial=self.initial.get(id(clip)),
            stop=self.stop,
            weights_sha256=self.weights_sha256,
        )

    def loss_at(self, layer: str, attempt: Attempt, unrectified: Sequence[str]) -> Loss:
        """The loss that an attempt minimises: the mean over the layers that are matched at the same time."""
        loss = self.loss or attempt.loss or self.method.loss
        below_zero = rectified(loss, self.method.margin, straight_through=attempt.straight_through)
        return combined(
            {place: below_zero if place in unrectified else by_term(self.model, place, loss) for place in places(layer)}
        )

    def start(self, clips: Sequence[Clip | GivenTarget], seeds: Sequence[int], targets: Mapping[str, Tensor]) -> Tensor:
        """What attempts at some clips start from, [shape=(clips, *signal_shape)]: given signals, or `noise`."""
        if not self.initial:
            return self.noise(seeds, targets)
        model = self.model
        given = torch.stack([self.initial[id(clip)] for clip in clips]).to(dtype=model.dtype, device=model.device)
        return self.domain.project(given)

    def noise(self, seeds: Sequence[int], targets: Mapping[str, Tensor]) -> Tensor:
        """A start for each seed, [shape=(seeds, *signal_shape)]; a network may shape it by the targets [shape=(seeds, ...)]."""
        model = self.model
        noise = self.domain.start(model.signal_shape, seeds=seeds, dtype=model.dtype, device=model.device)
        shape = getattr(model.network, "start", None)
        if shape is None or self.domain != model.domain:
            return noise
        with torch.no_grad():
            return self.domain.project(shape(noise, targets))


def by_term(model: Model, layer: str, loss: Loss) -> Loss:
    """A loss of a layer: of each of its terms by itself if the network says that it has some."""
    terms = getattr(model.network, "terms", lambda _layer: None)(layer)
    if not isinstance(loss, Audible):
        return loss if terms is None else by_part(loss, list(terms.values()))
    weighted = loss.loss if terms is None else by_part(loss.loss, list(terms.values()))
    shares = getattr(model.network, "loud_shares", None)
    return weighted if shares is None else loss.over(weighted, partial(shares, layer))


def _check_resumable(setup: Setup) -> None:
    """Raise if a part shows no content: nobody could say whether a checkpoint was made with the same."""
    parts = {"loss": setup.loss, "penalty": setup.penalty, "domain": setup.domain, "stopping rule": setup.added_rule}
    unknown = [what for what, part in parts.items() if part is not None and not is_known(fingerprint_of(part))]
    if not setup.method.is_known():
        unknown.append("method")
    if unknown:
        raise AudioMetamerError(
            f"the content of the {unknown[0]} is unknown, so its metamers cannot be resumed: give its functions names, such as "
            'audiometamer.matching.named(loss, name="mine, version 1"), or no checkpoints'
        )


def _check_types(setup: Setup) -> None:
    """Raise if a parameter of `synthesize` is of another kind than it should be."""
    check_domain(setup.domain)
    if setup.null is not None and not isinstance(setup.null, NullDistribution):
        raise AudioMetamerError(f"null is {setup.null!r}; it must be a NullDistribution, such as NullDistribution.load(path)")
    if setup.checkpoints is not None and not isinstance(setup.checkpoints, Checkpoints):
        raise AudioMetamerError(
            f"checkpoints is {setup.checkpoints!r}; it must be Checkpoints(path_of), with a function of settings to a path"
        )
    for name in ("tf32", "compiled", "captured"):
        if not isinstance(value := getattr(setup, name), bool):
            raise AudioMetamerError(f"{name} is {value!r}; it must be True or False")
    if setup.compiled and setup.captured:
        raise AudioMetamerError("compiled and captured are both True; a step is either compiled or captured: give one of them")
    for name in ("progress", "callback"):
        if (value := getattr(setup, name)) is not None and not callable(value):
            raise AudioMetamerError(f"{name} is {value!r}; it must be a function")
    _check_stop(setup)
    if setup.callback is not None and not takes(setup.callback, 3):
        raise AudioMetamerError("callback takes other arguments than it is called with: (step, signals, losses)")


def _check_stop(setup: Setup) -> None:
    stop = setup.stop
    if stop is not None and stop != PASSED and (isinstance(stop, type) or not callable(stop)):
        raise AudioMetamerError(f"stop is {stop!r}; it must be {PASSED!r} or a stopping rule, such as am.Plateau(100)")
    check_can_stop(setup.model, setup.method, setup.null, stop)


def check_can_stop(
    model: Model, method: Method, null: NullDistribution | None, stop: StoppingRule | Literal["passed"] | None
) -> None:
    """Raise if a method takes no stopping rule, or there is nothing by which signals could pass."""
    if stop == PASSED and null is None and not hasattr(model.network, "matches"):
        raise AudioMetamerError(f"stop is {PASSED!r}, and there is no null distribution to pass a verdict by: give null=")
    if stop is not None and any(attempt.iteration is not None for attempt in method.attempts):
        raise AudioMetamerError(f"the method {method.name} repeats a procedure and takes no stopping rule; leave out stop")
