"""After the last step: tests, null distribution, and the model's folder."""

import math

import msgspec
import torch

from audiometamer.devices import describe
from audiometamer.io.files import atomic_write
from audiometamer.io.names import safe_name
from audiometamer.metamers.criteria import NullDistribution
from audiometamer.models.cards import WeightsCard
from audiometamer.models.model_folder import load_state, save_weights, stored_state
from audiometamer.training import testing
from audiometamer.training.corpus import TrainingSet
from audiometamer.training.run import (
    TRAINING_SHARE,
    TrainingRun,
    existing_checkpoints,
    make_test_set,
    make_training_set,
)
from audiometamer.training.selection import source_of


def finish(run: TrainingRun, split: str, hours: float) -> None:
    """Test the network and write the model's folder, the card last."""
    recipe, corpus, out, model = run.recipe, run.corpus, run.out, run.model
    model.eval().requires_grad_(False)
    load_state(model.network, stored_state(model.network, recipe.weights_dtype), recipe.name)  # what is tested is what is saved
    conditions = testing.conditions(recipe.test_snrs, recipe.test_adversaries)
    share = 1 - TRAINING_SHARE
    scores, confusions = testing.measure(
        model,
        make_test_set(recipe, corpus, split),
        conditions,
        progress=lambda done, message: run.progress(TRAINING_SHARE + share / 2 * done, message),
    )
    for task, confusion in confusions.items():
        title = f"{recipe.name}, {task}: {split}, in quiet"
        testing.draw_confusion(out / f"confusion-{safe_name(task)}.png", confusion, corpus.tasks[task].labels, title=title)

    run.progress(1 - share / 2, "null distribution")
    natural, numbers = _natural_sounds(run)
    null = NullDistribution.measure(
        model,
        (torch.from_numpy(natural.excerpt(recipe.epochs, k)[0]) for k in numbers),
        source=f"{len(numbers)} excerpts of natural training recordings with background, as augmented in training",
        names=(natural.recordings[natural.order(recipe.epochs)[k]].name for k in numbers),
    )
    null.save(out / "null.json")
    weights = out / "weights.safetensors"
    card = msgspec.structs.replace(
        run.card,
        weights=WeightsCard(weights.name, save_weights(model.network, weights, dtype=recipe.weights_dtype)),
        accuracy=msgspec.to_builtins(scores),
        training={
            "seed": recipe.seed,
            "epochs": recipe.epochs,
            "hours": round(hours, 3),
            "machine": f"{run.group.count} × {describe(run.device)}" if run.group.count > 1 else describe(run.device),
            "clips": len(run.training_set),
            "tested_on": split,
        },
    )
    with atomic_write(out / "model.toml") as temporary:
        temporary.write_bytes(msgspec.toml.encode(card))
    for checkpoint in existing_checkpoints(out):
        checkpoint.unlink()
    run.progress(1.0, "done")


def _natural_sounds(run: TrainingRun) -> tuple[TrainingSet, list[int]]:
    """Training excerpts, every recording once, and the numbers of as many natural ones as the null distribution needs."""
    recipe = run.recipe
    plain = msgspec.structs.replace(recipe, balanced=None, sources={}, synthetic_share=None, excerpts=None, cached_epochs=0)
    every = make_training_set(plain, run.corpus, balanced=None)
    synthetic = {name for name, source in recipe.sources.items() if source.synthetic}
    order = every.order(recipe.epochs)
    numbers = [k for k in range(len(every)) if source_of(every.recordings[order[k]]) not in synthetic]
    return every, numbers[: math.ceil((1 + math.sqrt(1 + 8 * recipe.null_pairs)) / 2)]
