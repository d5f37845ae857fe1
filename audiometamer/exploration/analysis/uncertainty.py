"""How much likelihood a threshold may lose and still be in its 95 % interval: by bootstrap, rather than by χ² alone.

In large samples, twice the lost log likelihood is about χ² with one degree of freedom (Wilks 1938). Here samples are small, their
levels follow from the answers, and listeners differ. How much larger the first two make it is found by playing the experiment
again with the fitted functions; the last one multiplies it by the dispersion, as in all quasi-likelihood (McCullagh & Nelder
1989, Generalized Linear Models, ch. 9).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from audiometamer.exploration.analysis.groups import Counts, TrialGroup, counted
from audiometamer.exploration.analysis.sensitivity import Values, fit
from audiometamer.exploration.trials import level_of
from audiometamer.psychophysics import AdaptiveTrial, Procedure

CHI2 = 3.841459  # 95 % of χ² with one degree of freedom


def dispersion(groups: Sequence[TrialGroup]) -> float:
    """How many times as much listeners' thresholds differ as they would by chance, over all dimensions; 1 at least.

    Of each dimension, the likelihood that is lost if all listeners have the threshold that is fitted to all, rather than each
    their own, with the exponent held; per degree of freedom.
    """
    lost = freedom = 0.0
    for group in groups:
        names = np.array(group.counts.listeners)
        if len(group.listeners) < 2:
            continue
        own = np.stack([names == name for name in group.listeners])
        changes, right, of, _ = group.counts
        fits = fit(changes, own * right, own * of, group.decision, exponents=[float(group.fits.exponent[0])])
        lost += float(fits.lost_at(group.threshold).sum())
        freedom += len(group.listeners) - 1
    return max(1.0, lost / freedom) if freedom else 1.0


def most_lost(
    groups: Sequence[TrialGroup], procedures: Mapping[str, Procedure], *, resamples: int, rng: np.random.Generator
) -> float:
    """The 95 % point of twice the log likelihood that the true threshold loses, over all groups alike; χ²'s at least.

    Each resample is of a group at random, and its truth is the group's fitted function. Where its procedure is known, that is run
    anew, listener by listener, through the sounds that were heard; else answers are drawn at the levels that were presented.

    Parameters
    ----------
    groups : sequence of Group
        Of equally many listeners or so.
    procedures : mapping of str to Procedure
        By dimension.
    resamples : int
        0: χ²'s.
    rng : Generator
    """
    sound = [group for group in groups if not group.fits.at_bound[0]]
    if not sound or not resamples:
        return CHI2
    lost = []
    for k in rng.integers(len(sound), size=resamples).tolist():
        procedure = procedures.get(str(sound[k].dimension))
        changes, right, of, _ = _drawn(sound[k], rng) if procedure is None else _replayed(sound[k], procedure, rng)
        if len(set(changes.tolist())) > 1:
            lost.append(float(fit(changes, right, of, sound[k].decision).lost_at(sound[k].threshold)[0]))
    return max(CHI2, float(np.quantile(lost, 0.95))) if lost else CHI2


def _drawn(group: TrialGroup, rng: np.random.Generator) -> Counts:
    counts = group.counts
    p = group.fits.proportion(counts.changes, group.decision)
    return counts._replace(correct=rng.binomial(counts.trials.astype(int), p).astype(float))


def _replayed(group: TrialGroup, procedure: Procedure, rng: np.random.Generator) -> Counts:
    """Every listener's trials anew; a wish is played by the sound that was heard whose own wish is nearest."""
    reached: dict[str, dict[float, float]] = {}
    for trial in group.trials:
        reached.setdefault(trial.reference, {})[trial.made] = trial.reached
    sounds = [(np.log(list(own)), np.array(list(own.values()))) for own in reached.values()]
    correct = [_correct(group, own) for _, own in sounds]
    answers = []
    for listener in group.listeners:
        trials, order = list[AdaptiveTrial](), list[int]()
        while (requested := procedure.next(trials)) is not None:
            order = order or rng.permutation(len(sounds)).tolist()
            of = order.pop()
            nearest = int(np.abs(sounds[of][0] - np.log(requested)).argmin())
            level, right = float(sounds[of][1][nearest]), bool(rng.random() < correct[of][nearest])
            answers.append((listener, level, right))
            trials.append(AdaptiveTrial(level_of(level), right))
    return counted(answers)


def _correct(group: TrialGroup, changes: Values) -> Values:
    """By the group's function; at chance where the change is none."""
    found = np.full(changes.shape, group.decision.guess)
    found[changes > 0] = group.fits.proportion(changes[changes > 0], group.decision)
    return found
