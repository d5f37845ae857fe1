"""``index.tsv``: a row for each metamer of a folder of `synth`, whether it passed or failed."""

from pathlib import Path

from audiometamer.io.tables import write_table
from audiometamer.metamers.layout import INDEX
from audiometamer.metamers.results import Result, iterate_results
from audiometamer.metamers.verdicts import verdict_word

INDEX_COLUMNS = (
    "file", "clip", "model", "layer", "seed", "verdict", "snr_db", "spearman_rho", "pearson_r2", "label_clip", "label_metamer",
    "method", "attempt", "path", "steps", "seconds", "rms", "peak", "probability_clip", "probability_metamer",
)  # fmt: skip


def write_index(out: Path) -> Path:
    """Write ``index.tsv``, a row for each record in a folder of `synth`, and return its path."""
    path = out / INDEX
    write_table(path, INDEX_COLUMNS, map(_row, iterate_results(out, whole=True)))
    return path


def _row(result: Result) -> dict[str, str | int]:
    evidence = result.evidence
    settings, verdict = evidence.settings, evidence.verdict
    matched = evidence.similarity[settings.layer]
    labels = list(verdict.labels.values()) or [("", "")]
    return {
        "file": result.file, "clip": settings.clip, "model": settings.model, "layer": settings.layer, "seed": settings.seed,
        "verdict": verdict_word(verdict.passed),
        "snr_db": _number(matched["snr_db"]), "spearman_rho": _number(matched["spearman_rho"]),
        "pearson_r2": _number(matched["pearson_r2"]),
        "label_clip": "|".join(clip for clip, _ in labels), "label_metamer": "|".join(metamer for _, metamer in labels),
        "method": settings.method, "attempt": evidence.attempt, "path": evidence.path_taken,
        "steps": sum(tried.steps for tried in evidence.tries),
        "seconds": f"{evidence.seconds:.1f}", "rms": f"{evidence.rms:.4f}", "peak": f"{evidence.peak:.4f}",
        "probability_clip": "|".join(f"{clip:.4f}" for clip, _ in evidence.probabilities.values()),
        "probability_metamer": "|".join(f"{metamer:.4f}" for _, metamer in evidence.probabilities.values()),
    }  # fmt: skip


def _number(value: float | None) -> str:
    return "inf" if value is None else f"{value:.4f}"
