"""Answers of simulated listeners, for the tests of the analysis."""

from datetime import UTC, datetime, timedelta

import numpy as np

from audiometamer.listening.tables import TrialRow

LAYERS = ("relu0", "relu1", "final")
ACCURACY = {"natural": 0.9, "relu0": 0.85, "relu1": 0.6, "final": 0.1}
NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def answers(listeners=8, trials=6, models=("one",), accuracy=None, network=0.98, seed=0) -> list[TrialRow]:
    """Each listener hears so many clips at each condition; natural clips are shared by the models, and are heard once."""
    accuracy, rng, made = accuracy or ACCURACY, np.random.default_rng(seed), []
    for listener in range(listeners):
        better = rng.normal(0, 0.05)
        number = 0
        for layer, right in accuracy.items():
            for model in ("",) if layer == "natural" else models:
                for _ in range(trials):
                    number += 1
                    correct = bool(rng.random() < right + better)
                    started = NOON + timedelta(seconds=6 * number)
                    made.append(
                        TrialRow(
                            listener=str(listener + 1), trial=number, kind="main", stimulus=f"s{number:04d}",
                            clip=f"clip{(number + 7 * listener) % 40}", model=model, layer=layer,
                            seed=None if layer == "natural" else 0,
                            word="three", speaker="slt", answer="three" if correct else "tree", correct=correct,
                            reaction_time_ms=900.0 + number, plays=1, started=started, answered=started + timedelta(seconds=4),
                            network_correct=bool(rng.random() < network) if model or len(models) == 1 else None,
                        )
                    )  # fmt: skip
    return made


def check(listener: str, kind: str, right: int, of: int, first: int = 1000) -> list[TrialRow]:
    """Trials of a headphone check, a demonstration or catch trials."""
    return [TrialRow(listener=listener, trial=first + k, kind=kind, correct=k < right) for k in range(of)]
