"""A ladder without sounds, and listeners whose d′ for each of its signals is known, for the tests of analyses."""

import math
from pathlib import Path

import numpy as np

from audiometamer.dimensions.ladder import Ladder
from audiometamer.dimensions.moved import MovedRecord, MovedStimulus
from audiometamer.dimensions.physical import Physical
from audiometamer.exploration.design import ExplorationDesign
from audiometamer.exploration.design_tables import CatchSettings, LadderSelection, PracticeSettings, ProcedureSettings
from audiometamer.exploration.sequence import ExplorationSequence
from audiometamer.io.draws import Draws

FOLDER = Path("experiment")
CHANGES = (0.1, 0.16, 0.26, 0.41, 0.66, 1.05, 1.7, 2.7)


def record(dimension, reference, requested, reached, *, snr_db=20.0, modulation=0.1):
    return MovedRecord(
        clip=reference, dimension=dimension, model="tiny", weights_sha256="w", dimensions_sha256="d", requested=requested,
        reached=reached, leakage=0.0, before=[0.0], after=[reached],
        physical=Physical(snr_db=snr_db, modulation=modulation, level_db=0.0, peak=0.5), method="default", steps=50, errors=[],
        seconds=1.0,
    )  # fmt: skip


def ladder(dimensions, references=4, *, falls_short=0.0, seed=0):
    """Signals that reach what was requested, or less by a share that is drawn for each reference; SNR 10 dB at a change of 1."""
    rng, stimuli = np.random.default_rng(seed), {}
    for dimension in dimensions:
        for name in (f"clip{k}" for k in range(references)):
            share = math.exp(-falls_short * rng.random())
            stimuli[dimension, name] = [
                MovedStimulus(
                    record(
                        dimension, name, requested, requested * share,
                        snr_db=10 - 20 * math.log10(requested * share), modulation=0.2 * requested * share,
                    ),
                    FOLDER / name / f"{dimension.replace('/', '-')}{requested}.wav",
                )
                for requested in CHANGES
            ]  # fmt: skip
    return Ladder(FOLDER, stimuli)


def sensitivities(ladder, thresholds, d_prime, *, spread=0.0, seed=1):
    """d′ in proportion to the reached change: `d_prime` at a dimension's threshold, which differs between references."""
    rng, found = np.random.default_rng(seed), {}
    for (dimension, name), stimuli in ladder.stimuli.items():
        own = thresholds[dimension] * math.exp(spread * rng.standard_normal())
        for stimulus in stimuli:
            found[dimension, name, stimulus.record.requested] = d_prime * stimulus.record.reached / own
    return found


def course(ladder, *, each=None, seed=0, **procedure):
    design = ExplorationDesign(
        title="tiny", listeners=4, seed=seed, ladder=LadderSelection("ladder", each=each), practice=PracticeSettings(trials=2),
        catch=CatchSettings(every=20), procedure=ProcedureSettings(**procedure),
    )  # fmt: skip
    return ExplorationSequence(FOLDER, design, ladder, Draws(design.seed, None))
