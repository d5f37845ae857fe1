"""Words in maskers in the published layout, of eight samples each: a network that echoes them answers the highest."""

import csv
from pathlib import Path

import numpy as np
import soundfile

HEADER = (
    "ID", "Length", "Masker", "Onset", "SNR", "Speaker", "Target", "Raw", "Responses", "N-Listeners", "Counts", "Confusion",
    "Consistency", "Target-Arpabet", "Target-IPA", "Target-frequency", "Confusion-Arpabet", "Confusion-IPA",
    "Confusion-frequency", "Phoneme-distance",
)  # fmt: skip
# ID, masker, SNR, talker, target, confusion, listeners by response; word and masker as samples by letter.
TOKENS = (
    ("11", "SSN", "-4.2", "s1", "a", "b", {"b": 6, "a": 3, "c": 1}, {"a": 0.25}, {"b": 0.5}),
    ("12", "SSN", "-5.1", "s1", "b", "a", {"a": 7, "b": 3}, {"b": 0.25}, {"c": 0.5}),
    ("13", "SSN", "-4.9", "s2", "c", "d", {"d": 6, "c": 4}, {"c": 0.5}, {"d": 0.25}),
    ("14", "BAB4", "0.3", "s2", "d", "zebra", {"zebra": 6, "d": 4}, {"d": 0.25}, {"e": 0.5}),
    ("15", "BAB4", "0.4", "s2", "yonder", "a", {"a": 10}, {"h": 0.25}, {"g": 0.5}),
)


def samples(heights: dict[str, float]) -> np.ndarray:
    return np.array([heights.get(letter, 0.0) for letter in "abcdefgh"])


def write_corpus(folder: Path, tokens=TOKENS, rate: int = 8) -> Path:
    """The folder as it is unpacked."""
    (folder / "confusionWavs").mkdir(parents=True)
    with (folder / "confusionCorpus_v1.2.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(HEADER)
        for name, masker, snr, talker, target, confusion, heard, word, noise in tokens:
            n = sum(heard.values())
            raw = "|".join(w for w, count in heard.items() for _ in range(count))
            counts = " ".join(map(str, heard.values()))
            spoken = [f"! {target.upper()}", f"! {target}", "4.1", f"! {confusion.upper()}", f"! {confusion}", "4.2", "10"]
            table.writerow(
                [name, 8, masker, 0, snr, talker, target, raw, "|".join(heard), n, counts, confusion, heard[confusion], *spoken]
            )
            stereo = np.stack([samples(word), samples(noise)], axis=1)
            soundfile.write(folder / "confusionWavs" / f"T_{name}.wav", stereo, rate, subtype="PCM_16")
    return folder
