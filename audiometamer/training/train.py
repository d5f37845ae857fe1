"""The training loop: a recipe and folders of clips go in, a model folder comes out."""

import csv
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiometamer.audio import set_level
from audiometamer.criteria import NullDistribution
from audiometamer.errors import AudioMetamerError
from audiometamer.files import whole_file
from audiometamer.models import Card, Model, WeightsCard, build, save_weights
from audiometamer.training.data import Backgrounds, LabelledClips, Samples, low_pass, mix, read_clips, word_in_the_middle
from audiometamer.training.recipe import Recipe, read_recipe

Log = Callable[[str], None]
_TEST_SNRS = (10.0, 0.0, -5.0)
_BAND_LIMIT_HZ = 4000.0
_CHECKPOINT = "checkpoint.pt"


class Corpus:
    """Everything that a recipe is trained and tested on, in memory."""

    def __init__(self, recipe: Recipe, folders: Sequence[Path]) -> None:
        self.recipe = recipe
        self.n_samples = round(recipe.sample_rate * recipe.duration)
        parts = {
            split: [read_clips(f, split=split, sample_rate=recipe.sample_rate) for f in folders]
            for split in ("train", "test", "background")
        }
        self.train = _with_labels(parts["train"], recipe.words)
        self.test = _with_labels(parts["test"], recipe.words)
        if missing := set(recipe.words) - {recipe.words[label] for _, label in self.train}:
            raise AudioMetamerError(f"no clip of split 'train' has the word {', '.join(sorted(missing))}")
        if not self.test:
            raise AudioMetamerError("no clip of split 'test' has one of the words")
        voices, noises = _split_backgrounds(parts["background"])
        kept = 1 - recipe.held_out_backgrounds
        self.backgrounds = Backgrounds([v for v, k in voices if k < kept], [_part(n, 0, kept) for n, _ in noises])
        self.test_backgrounds = Backgrounds([v for v, k in voices if k >= kept], [_part(n, kept, 1) for n, _ in noises])

    def excerpt(self, epoch: int, index: int) -> Samples:
        """Training excerpt number `index` of an epoch; always the same."""
        rng = np.random.default_rng([self.recipe.seed, epoch, index])
        return self.recipe.augmentation.excerpt(
            self.train[index][0], self.backgrounds, rng, n_samples=self.n_samples, sample_rate=self.recipe.sample_rate
        )

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Sounds [shape=(batch, samples)] and labels [shape=(batch,)] of an epoch; the next batch is made meanwhile."""
        size = self.recipe.batch_size
        order = np.random.default_rng([self.recipe.seed, epoch]).permutation(len(self.train))
        groups = [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self._batch, epoch, groups[0])
            for following in [*groups[1:], None]:
                batch = coming.result()
                if following is not None:
                    coming = pool.submit(self._batch, epoch, following)
                yield batch

    def _batch(self, epoch: int, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        sounds = np.stack([self.excerpt(epoch, int(i)) for i in indices])
        return torch.from_numpy(sounds), torch.tensor([self.train[i][1] for i in indices])

    def test_excerpts(self, *, snr: float | None = None, band_limit: float | None = None) -> Iterator[tuple[Samples, int]]:
        """Test clips with the word in the middle, in quiet or in background that no training excerpt held."""
        for index, (samples, label) in enumerate(self.test):
            sound = word_in_the_middle(samples, self.n_samples, self.recipe.sample_rate)
            if snr is not None:
                rng = np.random.default_rng([self.recipe.seed, index, round(snr) + 1000])
                sound = mix(sound, self.test_backgrounds.draw(rng, self.n_samples), snr)
            if band_limit is not None:
                sound = low_pass(sound, band_limit, self.recipe.sample_rate)
            yield set_level(sound, self.recipe.level), label


def train(recipe_path: Path, folders: Sequence[Path], out: Path, *, log: Log = print) -> Path:
    """Train a recipe's network; go on from the last epoch if `out` holds a checkpoint.

    Parameters
    ----------
    recipe_path : path
        A TOML file, see `Recipe`.
    folders : sequence of path
        Each with a ``clips.csv`` (columns path, word, split: train, test or background).
    out : path
        Becomes the model's folder: card, weights, recipe, null distribution, log.
    log : callable
        Told a line for each epoch. Default `print`.

    Returns
    -------
    path
        `out`.

    Raises
    ------
    AudioMetamerError
        If the recipe or the data are not as they should be, or a loss is not finite.
    """
    recipe = read_recipe(recipe_path)
    if (out / "model.toml").exists():
        raise AudioMetamerError(f"{out} holds a trained model already; name another folder")
    corpus = Corpus(recipe, folders)
    log(f"{len(corpus.train)} clips to train on, {len(corpus.test)} to test on")
    torch.manual_seed(recipe.seed)
    model = build(_card(recipe))
    hours = _fit(model, corpus, out, log)
    model.eval().requires_grad_(False)
    accuracy = {
        "quiet": measure_accuracy(model, corpus.test_excerpts()),
        "low_passed_4_khz": measure_accuracy(model, corpus.test_excerpts(band_limit=_BAND_LIMIT_HZ)),
    } | {f"snr_{snr:g}_db": measure_accuracy(model, corpus.test_excerpts(snr=snr)) for snr in _TEST_SNRS}
    for condition, result in accuracy.items():
        log(f"{condition}: {result['correct']} of {result['clips']} test clips, {result['percent']} %")

    n_sounds = math.ceil((1 + math.sqrt(1 + 8 * recipe.null_pairs)) / 2)
    chosen = np.random.default_rng(recipe.seed).permutation(len(corpus.train))[:n_sounds]
    null = NullDistribution.measure(
        model,
        (torch.from_numpy(corpus.excerpt(recipe.epochs, int(i))) for i in chosen),
        source=f"{len(chosen)} training clips with background, as augmented in training",
    )
    null.save(out / "null.json")
    if recipe_path.resolve() != (out / "recipe.toml").resolve():
        shutil.copy(recipe_path, out / "recipe.toml")
    weights = WeightsCard("weights.safetensors", save_weights(model.network, out / "weights.safetensors"))
    training = {"seed": recipe.seed, "epochs": recipe.epochs, "hours": round(hours, 2), "clips": len(corpus.train)}
    card = msgspec.structs.replace(_card(recipe), weights=weights, accuracy=accuracy, training=training)
    with whole_file(out / "model.toml") as temporary:
        temporary.write_bytes(msgspec.toml.encode(card))
    (out / _CHECKPOINT).unlink()
    return out


def _fit(model: Model, corpus: Corpus, out: Path, log: Log) -> float:
    """Train a model's network in place; returns the hours it took, interruptions left out."""
    recipe = corpus.recipe
    trained_front_end = build(_card(recipe, **recipe.training_front_end)).front_end
    assert trained_front_end is not None
    network = model.network
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    per_epoch = len(corpus.train) // recipe.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.epochs * per_epoch, pct_start=0.1
    )
    parts: dict[str, Any] = {"network": network, "optimizer": optimizer, "schedule": schedule}
    first, seconds = 0, 0.0
    if (out / _CHECKPOINT).exists():
        saved = torch.load(out / _CHECKPOINT, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        first, seconds = saved["epoch"], saved["seconds"]
        log(f"going on after epoch {first}")

    for epoch in range(first, recipe.epochs):
        began = time.monotonic()
        torch.manual_seed(recipe.seed + 1 + epoch)  # for dropout, so that a resumed run is the same as an unbroken one
        network.train().requires_grad_(True)
        total_loss = correct = seen = 0.0
        for sounds, labels in corpus.batches(epoch):
            with torch.no_grad():
                heard = trained_front_end(sounds.clamp(*model.bounds))
            logits = network(heard)
            loss = nn.functional.cross_entropy(logits, labels)
            if not torch.isfinite(loss):
                raise AudioMetamerError(
                    f"the loss is {loss.item()} in epoch {epoch + 1}; lower learning_rate (now {recipe.learning_rate})"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total_loss += loss.item() * len(labels)
            correct += float((logits.argmax(1) == labels).sum())
            seen += len(labels)
        seconds += time.monotonic() - began
        state = {name: part.state_dict() for name, part in parts.items()} | {"epoch": epoch + 1, "seconds": seconds}
        with whole_file(out / _CHECKPOINT) as temporary:
            torch.save(state, temporary)
        row = {
            "epoch": epoch + 1,
            "loss": f"{total_loss / seen:.4f}",
            "accuracy": f"{correct / seen:.4f}",
            "seconds": f"{seconds:.0f}",
        }
        _append(out / "log.csv", row)
        log(", ".join(f"{key} {value}" for key, value in row.items()))
    return seconds / 3600


def measure_accuracy(model: Model, excerpts: Iterator[tuple[Samples, int]], *, batch_size: int = 64) -> dict[str, Any]:
    """How many excerpts a model labels right, with Wilson's 95 % interval (Wilson 1927), in percent."""
    pairs = list(excerpts)
    correct = 0
    for i in range(0, len(pairs), batch_size):
        batch = pairs[i : i + batch_size]
        with torch.no_grad():
            logits = model(torch.from_numpy(np.stack([s for s, _ in batch])))
        correct += int((logits.argmax(1) == torch.tensor([label for _, label in batch])).sum())
    n, z = len(pairs), 1.959964
    share = correct / n
    center, half = (share + z * z / (2 * n)), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((center + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return {
        "clips": n,
        "correct": correct,
        "percent": round(100 * share, 1),
        "interval_95": [round(100 * low, 1), round(100 * high, 1)],
    }


def _card(recipe: Recipe, **front_end_options: Any) -> Card:
    front_end = msgspec.structs.replace(recipe.front_end, options=recipe.front_end.options | front_end_options)
    return Card(
        recipe.name,
        recipe.sample_rate,
        recipe.duration,
        recipe.level,
        recipe.network,
        front_end,
        WeightsCard("", ""),
        {"word": recipe.words},
        recipe.description,
        recipe.data,
        recipe.licence,
        limits=recipe.limits,
    )


def _with_labels(parts: Sequence[LabelledClips], words: Sequence[str]) -> list[tuple[Samples, int]]:
    number = {word: i for i, word in enumerate(words)}
    return [(s, number[w]) for clips in parts for s, w in zip(clips.samples, clips.words, strict=True) if w in number]


def _split_backgrounds(parts: Sequence[LabelledClips]) -> tuple[list[tuple[Samples, float]], list[tuple[Samples, float]]]:
    """Voices and noises, each with its place from 0 to 1 among its kind. A noise has "noise" in its path."""
    kinds: dict[bool, list[Samples]] = {False: [], True: []}
    for clips in parts:
        for samples, path in zip(clips.samples, clips.paths, strict=True):
            kinds["noise" in path].append(samples)
    voices, noises = ([(s, i / len(kind)) for i, s in enumerate(kind)] for kind in kinds.values())
    return voices, noises


def _part(samples: Samples, start: float, stop: float) -> Samples:
    return samples[round(len(samples) * start) : round(len(samples) * stop)]


def _append(path: Path, row: dict[str, Any]) -> None:
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)
