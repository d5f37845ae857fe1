"""Settings of the analysis of an exploration, completed from what was analysed."""

from dataclasses import dataclass

from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.analysis.analyse import ExplorationAnalysis, analyse, catch_criterion
from audiometamer.exploration.analysis.reading import AnalysisInput
from audiometamer.exploration.analysis.sensitivity import Decision, decision_at_d_prime
from audiometamer.listening.exclusions import ExclusionRules
from audiometamer.psychophysics import decision_model_for


@dataclass(frozen=True, kw_only=True)
class AnalysisSettings:
    """Settings of an analysis; None follows from the design that listeners answered, or has a default.

    Parameters
    ----------
    decision : {"differencing", "independent"}
        The decision rule. Default "differencing".
    target : float, optional
        Proportion correct at threshold. Default: that of the design's procedures, or 0.794.
    d_prime : float, optional
        d′ at threshold, instead of `target`.
    lapse : float
        Lapse rate. Default 0.02.
    headphones : int, optional
        Minimum of correct headphone trials. Default: that of the design, or 5.
    catch : float, optional
        Minimum proportion of catch trials correct. Default: halfway between chance and 1.
    finished : bool
        Whether listeners must have finished. Default False.
    resamples : int
        Bootstrap samples. Default 400.
    seed : int
        Random seed. Default 0.

    Raises
    ------
    AudioMetamerError
        If both `target` and `d_prime` are given.
    """

    decision: str = "differencing"
    target: float | None = None
    d_prime: float | None = None
    lapse: float = 0.02
    headphones: int | None = None
    catch: float | None = None
    finished: bool = False
    resamples: int = 400
    seed: int = 0

    def __post_init__(self) -> None:
        if self.target is not None and self.d_prime is not None:
            raise AudioMetamerError(
                f"the target is {self.target:g} and d′ is {self.d_prime:g}; a threshold is defined by one of them"
            )

    def decision_about(self, data: AnalysisInput) -> Decision:
        """The decision model, with the threshold's definition."""
        task = decision_model_for(data.trials[0].task, decision=self.decision)
        if self.d_prime is not None:
            return decision_at_d_prime(self.d_prime, task=task, lapse=self.lapse)
        return Decision(task=task, lapse=self.lapse, target=data.target if self.target is None else self.target)

    def rules_about(self, data: AnalysisInput, decision: Decision) -> ExclusionRules:
        """The rules of exclusion."""
        headphones = next(
            number for number in (self.headphones, data.headphones, ExclusionRules().headphones, 0) if number is not None
        )
        catch = catch_criterion(decision) if self.catch is None else self.catch
        return ExclusionRules(headphones=headphones, catch=catch, finished=self.finished)


def analyse_input(data: AnalysisInput, settings: AnalysisSettings = AnalysisSettings()) -> ExplorationAnalysis:
    """Analyse the answers to an exploration; raises as `analyse`."""
    decision = settings.decision_about(data)
    return analyse(
        data.trials, data.listeners, decision=decision, rules=settings.rules_about(data, decision), procedures=data.procedures,
        resamples=settings.resamples, seed=settings.seed,
    )  # fmt: skip
