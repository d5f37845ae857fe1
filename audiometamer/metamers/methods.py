"""Methods of synthesis: which attempts are made at a metamer, with which optimiser, loss and stopping rule."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from types import FunctionType
from typing import Any, NamedTuple

from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.io.fingerprints import fingerprint_of, is_known
from audiometamer.io.foreign_code import takes
from audiometamer.io.integers import as_integer
from audiometamer.matching.iteration import Iteration
from audiometamer.matching.loop import check_optimizer
from audiometamer.matching.losses import Loss, relative_l2, relative_l2_with_roots
from audiometamer.matching.optimizers import Constant, Cosine, Halving, NormalizedDescent, Optimizer, Phases
from audiometamer.matching.stopping import StoppingRule, Stuck, any_of
from audiometamer.metamers.modulation_methods import ITERATIONS, REFINED_ITERATIONS, STEPS_FACTOR, histogram_matching, refining
from audiometamer.metamers.texture_methods import GRADIENT_CLIP, STEPS, TEXTURES, Audible, quasi_newton
from audiometamer.models.front_ends import cochleagrams_of
from audiometamer.models.model import Model
from audiometamer.networks.modulation import moment_loss, robust_moment_loss

FINE_SHARE = 0.25  # of an attempt's steps, the last, that are never coarse
_OURS = __package__.partition(".")[0]


@dataclass(frozen=True)
class Attempt:
    """One way to synthesise a signal.

    Parameters
    ----------
    name : str
        For the record.
    optimizer : callable, optional
        Number of steps to an `Optimizer`. Either this or `iteration` is needed.
    warm_start : bool
        Whether it starts from the best signal so far instead of noise. Default False.
    always : bool
        Whether it is made whatever the verdict on the signals before it, which it continues. Default False.
    steps_factor : int
        Factor on the number of steps. Default 1.
    loss : callable, optional
        Loss to minimise. Default: the method's.
    gradient_clip : float
        Factor on the largest derivative of a cochleagram's compression: the less, the less the quiet parts of the target steer.
        In networks of texture statistics and in cochleagrams of modulation models, the largest derivative relative to that at a
        band's RMS. Default 1, which changes none.
    straight_through : bool
        Whether silent units that should be active count as zero, not by how far they are below it; see `losses.rectified`.
        Default False.
    layer_before : bool
        Whether it matches the layer that the model lists before the wanted one, if there is one and the target is that of a clip.
        Default False.
    stop : callable, optional
        Number of steps to a stopping rule, such as ``lambda steps: Plateau(100)``. An attribute `outcome` of the rule is its word
        in the record; after ``"stuck"`` no warm start is made. Default: see `Method.stopping_rule`.
    iteration : callable, optional
        Model, layer and clips [shape=(batch, *signal_shape)] to an `Iteration`, which is repeated in place of steps down a
        gradient.
    halts : bool
        Whether a signal of texture statistics stops as soon as every class has 30 dB, where the published synthesis halts.
        Default False.
    """

    name: str
    optimizer: Callable[[int], Optimizer] | None = None
    warm_start: bool = False
    steps_factor: int = 1
    loss: Loss | None = None
    gradient_clip: float = 1.0
    straight_through: bool = False
    layer_before: bool = False
    stop: Callable[[int], StoppingRule] | None = None
    iteration: Callable[[Model, str, Tensor], Iteration] | None = None
    always: bool = False
    halts: bool = False

    def __post_init__(self) -> None:
        if (self.optimizer is None) == (self.iteration is None):
            raise AudioMetamerError(f"attempt {self.name!r} needs an optimizer or an iteration, one of the two")
        as_integer(self.steps_factor, f"steps_factor of attempt {self.name!r}", least=1)
        for what, example in (("optimizer", "lambda steps: LBFGS()"), ("stop", "lambda steps: Plateau(100)")):
            value = getattr(self, what)
            if value is None:
                continue
            if isinstance(value, type) or not callable(value) or not takes(value, 1):
                kind = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
                found = f"{what} of attempt {self.name!r} is {kind}"
                raise AudioMetamerError(f"{found}; give a function of the number of steps: {example}")


@dataclass(frozen=True)
class Method:
    """A procedure of synthesis: `synthesize` takes it as well as the name of one.

    Parameters
    ----------
    name : str
    steps : int
        Default number of steps of an attempt, before its `steps_factor`.
    attempts : tuple of Attempt
        The first is made with every signal; each next one with the signals that have not passed. One that starts from noise draws
        its own; a warm start leaves out the signals that have just got stuck.
    loss : callable
        Loss to minimise, unless the caller or an attempt has another. Default `relative_l2`.
    description : str
    expected_steps : int, optional
        Mean number of steps that a metamer takes over all its attempts; for estimates of time. Default: `steps`.
    margin : float
        Margin of silent units at a ReLU, or at a pool of one, as a fraction of the target's mean; see `losses.rectified`.
        Default 0: the ReLU is straight-through, as published.
    version : int
        Raised with every change of the code that gives other samples and does not show in the other parameters. Default 1.
    exact : bool
        Whether cochleagrams are computed as published, in the steps too, unless the caller says otherwise. Not part of the
        fingerprint: the settings of each metamer say it. Default False.
    early_oversampling : float, optional
        Oversampling of cochleagrams in the steps before the last quarter, where it is less than their own and they are not exact;
        see `audiometamer.Cochleagram`. Targets, evidence and the last steps have the model's own. Default: all have.
    coarse_to_fine : bool
        Whether the filters of a network that says which are coarse join the loss one after the other; see
        `audiometamer.metamers.coarse_to_fine`. Not part of the fingerprint: the loss in the settings says it. Default False.
    """

    name: str
    steps: int
    attempts: tuple[Attempt, ...]
    loss: Loss = relative_l2
    description: str = ""
    expected_steps: int = 0
    margin: float = 0.0
    version: int = 1
    exact: bool = False
    early_oversampling: float | None = None
    coarse_to_fine: bool = False

    def __post_init__(self) -> None:
        where = f"method {self.name!r}"
        object.__setattr__(self, "attempts", tuple(self.attempts) if isinstance(self.attempts, Iterable) else (self.attempts,))
        object.__setattr__(self, "expected_steps", self.expected_steps or as_integer(self.steps, f"steps of {where}", least=1))
        if not self.attempts or not all(isinstance(attempt, Attempt) for attempt in self.attempts):
            raise AudioMetamerError(f"attempts of {where} is {self.attempts!r}; it must hold one or more of class Attempt")
        if self.attempts[0].warm_start:
            raise AudioMetamerError(f"the first attempt of {where} is a warm start, and there is no signal to start from yet")

    def stopping_rule(self, attempt: Attempt, steps: int, added: StoppingRule | None = None) -> StoppingRule | None:
        """Stopping rule of an attempt of so many steps, and an added one: whichever stops a signal first.

        By default an attempt from noise, in a method with others, stops the signals whose loss has not fallen by a quarter half
        way; warm starts and single attempts take all their steps.
        """
        own: StoppingRule | None = None
        if attempt.stop is not None:
            own = attempt.stop(steps)
        elif not attempt.warm_start and len(self.attempts) > 1:
            own = Stuck(after=-(-steps // 2))
        return any_of(own, added)

    def check(self, steps: int) -> None:
        """Raise if a part is not what it should be, at some number of steps."""
        for attempt in self.attempts:
            if attempt.optimizer is not None:
                check_optimizer(attempt.optimizer(steps * attempt.steps_factor))
            if not callable(rule := self.stopping_rule(attempt, steps)) and rule is not None:
                raise AudioMetamerError(f"stop of attempt {attempt.name!r} returns {rule!r}; it must return a stopping rule")

    def is_exact(self, model: Model, exact: bool | None = None) -> bool:
        """Whether cochleagrams are computed as published, as asked or by default; False for a model that has none."""
        return (self.exact if exact is None else exact) and bool(cochleagrams_of(model))

    def fingerprint(self) -> str:
        """SHA-256 of what decides the samples, so not of description and expected steps, nor of what settings hold.

        It is the same in every process.
        """
        return hashlib.sha256(self._text().encode()).hexdigest()

    def is_known(self) -> bool:
        """Whether every part shows its content; without that no other process gives the same fingerprint."""
        return is_known(self._text())

    def _text(self) -> str:
        early = "" if self.early_oversampling is None else f" early {self.early_oversampling!r}"
        numbers = f"{self.steps} {self.margin!r} {self.version}{early}"
        return "\n".join([numbers, _loss_text(self.loss), *map(self._text_of, self.attempts)])

    def _text_of(self, attempt: Attempt) -> str:
        numbers = f"{attempt.warm_start} {attempt.steps_factor} {attempt.gradient_clip!r} {attempt.straight_through}"
        before = (" layer before" if attempt.layer_before else "") + (" always" if attempt.always else "")
        before += " halts" if attempt.halts else ""
        stop = f" stop {part_text(attempt.stop(self.steps))}" if attempt.stop else ""
        moved = fingerprint_of(attempt.iteration) if attempt.optimizer is None else part_text(attempt.optimizer(self.steps))
        return f"{moved} {numbers} {_loss_text(attempt.loss)}{before}{stop}"

    @property
    def recorded_name(self) -> str:
        """Name in a metamer's settings: of a method that does not come with audiometamer, followed by its fingerprint."""
        fingerprint = self.fingerprint()
        known = METHODS.get(self.name)
        if known is not None and (known is self or known.fingerprint() == fingerprint):
            return self.name
        return f"{self.name} {fingerprint[:12]}"


def part_text(part: Any) -> str:
    """The `repr` of a part of a method; of parts that are not ours, which may show a place in memory, the fingerprint."""
    if part is None or isinstance(part, bool | int | float | str):
        return repr(part)
    if isinstance(part, tuple):
        return f"({', '.join(map(part_text, part))})"
    if is_dataclass(part) and type(part).__module__.partition(".")[0] == _OURS:
        values = (f"{each.name}={part_text(getattr(part, each.name))}" for each in fields(part))
        return f"{type(part).__qualname__}({', '.join(values)})"
    return fingerprint_of(part)


def _loss_text(loss: Loss | None) -> str:
    """The name of a loss, with the options that it was given; of one that is not ours, the fingerprint."""
    if isinstance(loss, partial) and not loss.args:
        return f"{_loss_text(loss.func)} {sorted(loss.keywords.items())}"
    if loss is None or (isinstance(loss, FunctionType) and loss.__closure__ is None and loss.__module__.startswith(f"{_OURS}.")):
        return str(getattr(loss, "__qualname__", None))
    if isinstance(loss, Audible):
        return str(loss)
    return fingerprint_of(loss)


def _published(steps: int) -> Optimizer:
    return NormalizedDescent(Halving(1.0, max(steps // 8, 1)))


def _momentum(size: float, steps: int) -> Optimizer:
    return NormalizedDescent(Cosine(size, steps), momentum=0.9)


def _growth_then_momentum(size: float, steps: int) -> Optimizer:
    """Steps of one size without momentum out of near silence, 30 of them or a quarter of all; then momentum."""
    growth = min(30, steps // 4)
    return Phases(NormalizedDescent(Constant(size)), growth, _momentum(size, steps - growth))


class _Row(NamedTuple):
    """An attempt of the default method; without a name it is a warm start."""

    name: str | None
    size: float
    steps_factor: int
    gradient_clip: float
    straight_through: bool
    layer_before: bool

    def attempt(self) -> Attempt:
        if self.name is None:
            # Near the end of a synthesis small activations matter more.
            name, optimizer, loss = "going on with gentle momentum", _momentum, partial(relative_l2_with_roots, offset=0.001)
        else:
            name, optimizer, loss = f"{self.name}growth, then momentum", _growth_then_momentum, None
        return Attempt(
            name,
            partial(optimizer, self.size),
            warm_start=self.name is None,
            steps_factor=self.steps_factor,
            loss=loss,
            gradient_clip=self.gradient_clip,
            straight_through=self.straight_through,
            layer_before=self.layer_before,
        )


# With less than the compression's largest derivative, deep layers pass more often in the first attempt; what it does not help
# passes more often without it. The same holds for counting silent units by how far they are below zero (docs/optimisers.md). So
# attempts take turns.
_DEFAULT = (
    #    name                             size  factor  clip  straight-through  layer before
    _Row("",                              0.3,  1,      0.4,  False,            False),
    _Row(None,                            0.1,  1,      0.4,  False,            False),
    _Row(None,                            0.1,  1,      1.0,  True,             False),
    _Row("longer: ",                      0.3,  2,      1.0,  True,             False),
    _Row(None,                            0.1,  1,      1.0,  False,            False),
    _Row("longer and bolder: ",           1.0,  2,      0.4,  False,            False),
    _Row(None,                            0.1,  1,      0.4,  True,             False),
    _Row("longest and gentle: ",          0.05, 3,      1.0,  True,             False),
    _Row(None,                            0.1,  1,      1.0,  False,            False),
    _Row(None,                            0.1,  1,      0.4,  True,             False),
    _Row("by the layer before: ",         0.3,  1,      0.4,  False,            True),
    _Row(None,                            0.1,  1,      0.4,  False,            False),
    _Row(None,                            0.1,  1,      1.0,  True,             False),
    _Row("by the layer before, longer: ", 0.3,  2,      1.0,  False,            True),
    _Row(None,                            0.1,  1,      1.0,  False,            False),
    _Row(None,                            0.1,  1,      0.4,  True,             False),
)  # fmt: skip

METHODS = {
    method.name: method
    for method in (
        Method(
            "default",
            200,
            tuple(row.attempt() for row in _DEFAULT),
            relative_l2_with_roots,
            "equal steps out of near silence, then momentum on the normalised gradient with a step size falling along a cosine; "
            "what did not pass continues with smaller steps, and what still does not, or got stuck, starts from other noise "
            "with more steps, in the last attempts at the layer before; in some attempts silent units count by how far they are "
            "below zero, in others a ReLU that the layer is, or pools, is straight-through, and in some the cochleagram's "
            "compression has a smaller largest derivative",
            expected_steps=280,  # over twenty recordings at all layers of three networks (docs/optimisers.md)
            margin=0.01,
            version=2,
        ),
        Method(
            "feather2023",
            24_000,
            (Attempt("published", _published),),
            relative_l2,
            "Feather et al. (2023): normalised gradient steps, size 1 halved seven times, the front end computed as published; "
            "the last signal is kept",
            exact=True,
            coarse_to_fine=True,
        ),
        Method(
            "modulation",
            400,
            (Attempt("growth, then momentum", partial(_growth_then_momentum, 0.1)),),
            moment_loss,
            "for modulation models: momentum on the normalised gradient of a distance of moments, in which every filter counts "
            "alike",
        ),
        Method(
            "modulation-refined",
            REFINED_ITERATIONS,
            (
                Attempt("histogram matching", iteration=histogram_matching),
                Attempt(
                    "quasi-Newton",
                    refining,
                    loss=robust_moment_loss,
                    warm_start=True,
                    always=True,
                    steps_factor=STEPS_FACTOR,
                    gradient_clip=GRADIENT_CLIP,
                ),
            ),
            moment_loss,
            "for modulation models: the published histogram matching, then six times as many quasi-Newton steps down the "
            "gradient of a distance of moments",
            expected_steps=REFINED_ITERATIONS * (1 + STEPS_FACTOR),
            version=2,
        ),
        Method(
            "normanhaignere2018",
            ITERATIONS,
            (Attempt("histogram matching", iteration=histogram_matching),),
            moment_loss,
            "Norman-Haignere & McDermott (2018), for modulation models: the histograms of filtered cochleagrams and of their "
            "channels are matched over and over; no gradients",
        ),
    )
}


METHODS |= {
    name: Method(
        name,
        STEPS,
        (Attempt("quasi-Newton", quasi_newton, gradient_clip=GRADIENT_CLIP, halts=halts),),
        loss,
        description,
        expected_steps=400,
    )
    for name, (loss, halts, description) in TEXTURES.items()
}


def method_for(model: Model, method: str | Method) -> Method:
    """A method as `load_method` gives it; in place of the default one that of the model, if its network names one."""
    procedure = load_method(method)
    own = getattr(model.network, "method", None)
    return load_method(own) if procedure is METHODS["default"] and isinstance(own, str) else procedure


def load_method(method: str | Method) -> Method:
    """A method by its name, one of `METHODS`; a `Method` is returned as it is."""
    if isinstance(method, Method):
        return method
    if not isinstance(method, str) or method not in METHODS:
        raise AudioMetamerError(f"there is no method {method!r}; there are {', '.join(METHODS)}")
    return METHODS[method]
