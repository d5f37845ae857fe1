"""After the last step: tests, null distribution, and the model's folder."""

import math
from pathlib import Path

import msgspec
import torch

from audiometamer.devices import describe
from audiometamer.io.callbacks import Progress
from audiometamer.io.names import safe_name
from audiometamer.metamers.criteria import NullDistribution
from audiometamer.models.cards import Card, WeightsCard, write_card
from audiometamer.models.model import Model
from audiometamer.models.model_folder import load_state, save_weights, stored_state
from audiometamer.training import testing
from audiometamer.training.doubt import measure_doubt
from audiometamer.training.excerpts import TrainingSet
from audiometamer.training.recipe import Recipe
from audiometamer.training.run import (
    TRAINING_SHARE,
    TrainingRun,
    existing_checkpoints,
    make_test_set,
    make_training_set,
)
from audiometamer.training.scores import MANY, group_columns, nested, write_by_class
from audiometamer.training.selection import source_of
from audiometamer.training.testing import TestSet


def finish(run: TrainingRun, split: str, hours: float) -> None:
    """Test the network and write the model's folder, the card last."""
    recipe, out, model = run.recipe, run.out, run.model
    model.eval().requires_grad_(False)
    load_state(model.network, stored_state(model.network, recipe.weights_dtype), recipe.name)  # what is tested is what is saved
    share = 1 - TRAINING_SHARE
    card = tested(
        run.card,
        model,
        make_test_set(recipe, run.corpus, split),
        recipe,
        out,
        progress=lambda done, message: run.progress(TRAINING_SHARE + share / 2 * done, message),
    )
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
    card.weights = WeightsCard(weights.name, save_weights(model.network, weights, dtype=recipe.weights_dtype))
    card.training = {
        "seed": recipe.seed,
        "epochs": recipe.epochs,
        "hours": round(hours, 3),
        "machine": f"{run.group.count} × {describe(run.device)}" if run.group.count > 1 else describe(run.device),
        "clips": len(run.training_set.recordings),
        "tested_on": split,
        **({} if recipe.start_from is None else {"started_from": Path(recipe.start_from).name}),
    }
    write_card(out, card)
    for checkpoint in existing_checkpoints(out):
        checkpoint.unlink()
    run.progress(1.0, "done")


def tested(card: Card, model: Model, tests: TestSet, recipe: Recipe, out: Path, *, progress: Progress) -> Card:
    """A copy of the card with all that tests show; figures and tables are written into `out`.

    Parameters
    ----------
    card : Card
    model : Model
    tests : TestSet
    recipe : Recipe
        Conditions and groups of the tests.
    out : path
    progress : callable
        Called with the fraction done and a description of the current work.
    """
    conditions = testing.conditions(recipe.test_snrs, recipe.test_adversaries, attacked=recipe.attacked)
    scores, answers = testing.measure(model, tests, conditions, progress=progress)
    columns = group_columns(tests.recordings, recipe.groups)
    tables = {}
    for task, found in answers.items():
        labels = tests.corpus.tasks[task].labels
        if tests.corpus.tasks[task].multi:
            continue
        title = f"{card.name}, {task}: {tests.split}, in quiet"
        testing.draw_confusion(out / f"confusion-{safe_name(task)}.png", found.confusion(), labels, title=title)
        if len(labels) > MANY:
            tables[task] = f"accuracy-{safe_name(task)}.tsv"
            write_by_class(out / tables[task], found.by_class(labels, tests.recordings))
    return msgspec.structs.replace(
        card,
        accuracy=msgspec.to_builtins(scores),
        accuracy_by_group={
            task: nested(groups) for task, own in answers.items() if (groups := own.by_group(tests.recordings, columns))
        },
        accuracy_by_class=tables,
        doubt=measure_doubt(model, tests, answers),
    )


def _natural_sounds(run: TrainingRun) -> tuple[TrainingSet, list[int]]:
    """Training excerpts, every recording once, and the numbers of as many natural ones as the null distribution needs."""
    recipe = run.recipe
    plain = msgspec.structs.replace(recipe, balanced=None, sources={}, synthetic_share=None, excerpts=None, cached_epochs=0)
    every = make_training_set(plain, run.corpus, balanced=None)
    synthetic = {name for name, source in recipe.sources.items() if source.synthetic}
    order = every.order(recipe.epochs)
    numbers = [k for k in range(len(every)) if source_of(every.recordings[order[k]]) not in synthetic]
    return every, numbers[: math.ceil((1 + math.sqrt(1 + 8 * recipe.null_pairs)) / 2)]
