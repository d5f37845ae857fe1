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
from audiometamer.training.run import (
    TRAINING_SHARE,
    TrainingRun,
    existing_checkpoints,
    make_test_set,
    make_training_set,
)


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
    unbalanced = make_training_set(recipe, corpus, balanced=None)  # every recording once
    n_sounds = min(math.ceil((1 + math.sqrt(1 + 8 * recipe.null_pairs)) / 2), len(unbalanced))
    null = NullDistribution.measure(
        model,
        (torch.from_numpy(unbalanced.excerpt(recipe.epochs, k)[0]) for k in range(n_sounds)),
        source=f"{n_sounds} excerpts of the training recordings with background, as augmented in training",
        names=(unbalanced.recordings[k].name for k in unbalanced.order(recipe.epochs)),
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
