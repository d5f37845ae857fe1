"""A metamer in one line: its layer, its verdict, how well it matches, and what the model takes it for."""

from audiometamer.metamers.evidence import Evidence
from audiometamer.metamers.verdicts import verdict_word

_COLOURS = {"passed": "#2f7d32", "failed": "#b3261e", "no verdict": "#555555"}


def caption(evidence: Evidence) -> str:
    """One line about a metamer, for figures and notebooks."""
    measured, word = evidence.similarity[evidence.settings.layer], verdict_word(evidence.verdict.passed)
    snr = measured["snr_db"]
    label = "".join(f', the model: "{label}"' for _, label in evidence.verdict.labels.values())
    return (
        f"{evidence.settings.layer}: {word} (SNR {'∞' if snr is None else f'{snr:.1f}'} dB, "
        f"ρ {measured['spearman_rho']:.3f}, R² {measured['pearson_r2']:.3f}{label})"
    )


def original_caption(name: str, evidence: Evidence) -> str:
    """One line about the clip of a metamer: its name, and what the model takes it for."""
    return f"original: {name}" + "".join(f' (the model: "{natural}")' for natural, _ in evidence.verdict.labels.values())


def verdict_colour(passed: bool | None) -> str:
    """The colour of a verdict in figures: green, red or grey."""
    return _COLOURS[verdict_word(passed)]
