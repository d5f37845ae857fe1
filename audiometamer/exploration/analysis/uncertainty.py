"""How much likelihood a threshold may lose within its 95 % interval, by bootstrap rather than by χ² alone.

In large samples, twice the lost log likelihood is about χ² with one degree of freedom (Wilks 1938). Here samples are small, their
levels follow from the answers, and listeners differ. The effect of the first two is found by simulating the experiment with the
fitted functions; for the third, the result is multiplied by the dispersion, as in quasi-likelihood (McCullagh & Nelder 1989,
Generalized Linear Models, ch. 9).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from audiometamer.exploration.analysis.groups import Counts, TrialGroup, count_answers
from audiometamer.exploration.analysis.sensitivity import Values, fit_sensitivity
from audiometamer.exploration.trials import level_of
from audiometamer.psychophysics import AdaptiveTrial, Procedure

CHI2 = 3.841459  # 95 % of χ² with one degree of freedom


def dispersion(groups: Sequence[TrialGroup]) -> float:
    """The variability of thresholds among listeners relative to chance, over all dimensions; at least 1.

    Twice the log likelihood that is lost if all listeners share the threshold that is fitted to all, instead of their own, with
    the exponent held; summed over dimensions, per degree of freedom.
    """
    lost = freedom = 0.0
    for group in groups:
        names = np.array(group.counts.listeners)
        if len(group.listeners) < 2:
            continue
        own = np.stack([names == name for name in group.listeners])
        changes, right, of, _ = group.counts
        fits = fit_sensitivity(changes, own * right, own * of, group.decision, exponents=[float(group.fits.exponent[0])])
        lost += float(fits.loss_at(group.threshold).sum())
        freedom += len(group.listeners) - 1
    return max(1.0, lost / freedom) if freedom else 1.0


def max_loss(
    groups: Sequence[TrialGroup], procedures: Mapping[str, Procedure], *, resamples: int, rng: np.random.Generator
) -> float:
    """The 95th percentile of twice the log likelihood that the true threshold loses, over all groups; at least that of χ².

    Each resample takes a random group and its fitted function as the truth. If its procedure is known, that is simulated for each
    listener with the stimuli that were presented; otherwise answers are drawn at the presented levels.

    Parameters
    ----------
    groups : sequence of Group
        Groups of about the same number of listeners.
    procedures : mapping of str to Procedure
        Procedures by dimension.
    resamples : int
        Number of resamples; 0 for χ² alone.
    rng : Generator
    """
    usable = [group for group in groups if not group.fits.at_bound[0]]
    if not usable or not resamples:
        return CHI2
    lost = []
    for k in rng.integers(len(usable), size=resamples).tolist():
        procedure = procedures.get(str(usable[k].dimension))
        changes, right, of, _ = _drawn(usable[k], rng) if procedure is None else _simulated(usable[k], procedure, rng)
        if len(set(changes.tolist())) > 1:
            lost.append(float(fit_sensitivity(changes, right, of, usable[k].decision).loss_at(usable[k].threshold)[0]))
    return max(CHI2, float(np.quantile(lost, 0.95))) if lost else CHI2


def _drawn(group: TrialGroup, rng: np.random.Generator) -> Counts:
    counts = group.counts
    p = group.fits.proportion(counts.changes, group.decision)
    return counts._replace(correct=rng.binomial(counts.trials.astype(int), p).astype(float))


def _simulated(group: TrialGroup, procedure: Procedure, rng: np.random.Generator) -> Counts:
    """Simulated trials of all listeners; each request gets the presented stimulus whose own request is nearest."""
    reached: dict[str, dict[float, float]] = {}
    for trial in group.trials:
        reached.setdefault(trial.reference, {})[trial.made] = trial.reached
    stimuli = [(np.log(list(own)), np.array(list(own.values()))) for own in reached.values()]
    correct = [_correct(group, own) for _, own in stimuli]
    answers = []
    for listener in group.listeners:
        trials, order = list[AdaptiveTrial](), list[int]()
        while (requested := procedure.next(trials)) is not None:
            order = order or rng.permutation(len(stimuli)).tolist()
            of = order.pop()
            nearest = int(np.abs(stimuli[of][0] - np.log(requested)).argmin())
            level, right = float(stimuli[of][1][nearest]), bool(rng.random() < correct[of][nearest])
            answers.append((listener, level, right))
            trials.append(AdaptiveTrial(level_of(level), right))
    return count_answers(answers)


def _correct(group: TrialGroup, changes: Values) -> Values:
    """Proportion correct by the group's function; chance where the change is not above 0."""
    found = np.full(changes.shape, group.decision.guess)
    found[changes > 0] = group.fits.proportion(changes[changes > 0], group.decision)
    return found
