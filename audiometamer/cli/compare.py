"""``audiometamer compare …``: sounds that tell models apart."""

from functools import partial
from pathlib import Path

import click

from audiometamer.cli import options
from audiometamer.cli.groups import Group
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.errors import AudioMetamerError
from audiometamer.io.names import as_output_folder

_REPRESENTATION = "MODEL:LAYER, cochleagram or stft"


band = click.option("--band", nargs=2, type=options.Number(0), metavar="LOW HIGH", help="Frequency band in Hz; default: all.")
seed = click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed.")


def steps(default: int, what: str) -> options.Decorator:
    """The option --steps."""
    return click.option("--steps", type=click.IntRange(1), default=default, show_default=True, help=what)


@click.group(cls=Group)
def compare() -> None:
    """Make sounds that tell models apart."""


@compare.command()
@click.argument("sound", type=click.Path(path_type=Path))
@click.option("--first", required=True, metavar="WHERE", help=f"One representation: {_REPRESENTATION}.")
@click.option("--second", required=True, metavar="WHERE", help="The other; one of both is a layer of a model.")
@click.option(
    "--noise", default=-20.0, show_default=True, type=options.Number(), help="Noise of the start, dB re the sound's RMS."
)
@click.option("--rms", type=options.Number(0, min_open=True), help="Largest RMS; default: 1 dB above that of the start.")
@band
@steps(200, "Largest number of steps for each sound.")
@seed
@options.device
@options.out("mad")
def mad(
    sound: Path, first: str, second: str, noise: float, rms: float | None, band: tuple[float, float] | None, steps: int,
    seed: int, device: str, out: Path,
) -> None:  # fmt: skip
    """Four sounds from SOUND with noise: nearest and farthest by one representation, equally far by the other.

    Writes the four, the original, and sounds.tsv with all distances.
    """
    from audiometamer.comparison.files import check_new, write_mad
    from audiometamer.comparison.mad import mad_bounds, mad_competition
    from audiometamer.comparison.representations import representations

    check_new(as_output_folder(out))
    (a, b), model = representations([first, second], partial(options.opened_model, device_name=device))
    original = model.read_clip(sound).samples.to(dtype=model.dtype, device=model.device)
    domain = mad_bounds(original, noise_db=noise, sample_rate=model.sample_rate, rms=rms, band=band)
    found = mad_competition(original, a, b, noise_db=noise, domain=domain, steps=steps, seed=seed)
    assert model.sample_rate is not None
    write_mad(out, found, original, model.sample_rate)
    table = plain_table("sound", "of", "held", numbers=("distance", "at the start", "drift of the held"))
    for each in found:
        table.add_row(
            each.extreme, each.optimised, each.held, f"{each.distance:.4g}", f"{each.start_distance:.4g}", f"{each.drift:+.2%}"
        )
    print_table(table)
    click.echo(f"sounds: {out}")


@compare.command()
@click.option("--models", "model_names", multiple=True, required=True, metavar="A,B,…", help="Two or more, named as for --model.")
@click.option("--words", multiple=True, metavar="A,B,…", help="Words; default: all that the models share.")
@click.option("--task", help="Task of the models; default: each one's first that has both words.")
@click.option(
    "--read-out", type=click.Choice(["softmax", "sigmoid"]), default="softmax", show_default=True, help="Of the logits."
)
@click.option("--level", type=options.Number(0, 1, min_open=True), default=0.1, show_default=True, help="RMS of the sounds.")
@click.option("--rate", type=click.IntRange(1), default=44_100, show_default=True, help="Sample rate of the presentation in Hz.")
@band
@steps(150, "Steps for each sharpness of the minimum, 1, 10 and 100.")
@seed
@options.device
@options.batch_size
@options.out("controversial")
def controversial(
    model_names: tuple[str, ...], words: tuple[str, ...], task: str | None, read_out: str, level: float, rate: int,
    band: tuple[float, float] | None, steps: int, seed: int, device: str, batch_size: int, out: Path,
) -> None:  # fmt: skip
    """Sounds in which one model hears one word, and another model another word, for all pairs of words and models.

    They are scored as listeners hear them: at their level, in 16 bits, at the rate of the presentation. Writes them so, and
    sounds.tsv; sounds with a score below 0.75 are written too, and marked.
    """
    from audiometamer.comparison.controversial import Search, controversial_sounds, word_pairs
    from audiometamer.comparison.files import check_new, write_controversial

    check_new(as_output_folder(out))
    models = [options.opened_model(name, device) for name in options.split_names(model_names)]
    if len(models) < 2 or any(model.sample_rate is None for model in models):
        raise AudioMetamerError(f"--models names {len(models)} of sounds; it takes two or more, as in --models my-ear,your-ear")
    search = Search(
        read_out="sigmoid" if read_out == "sigmoid" else "softmax", steps=steps, level=level, band=band, presentation_rate=rate,
        task=task, batch_size=batch_size,
    )  # fmt: skip
    pairs = word_pairs(models, options.split_names(words) or None)
    with tracked() as tracker:
        found = controversial_sounds(
            models, pairs, search=search, seed=seed, callback=lambda done, n: tracker(done / n, f"{done} of {n} sounds")
        )
    write_controversial(out, found, search)
    table = plain_table("first model", "hears", "second model", "hears", "kept", numbers=("score",))
    for each in found:
        kept = "yes" if each.kept else "no"
        table.add_row(each.first, each.first_word, each.second, each.second_word, kept, f"{each.score:.3f}")
    print_table(table)
    click.echo(f"{sum(each.kept for each in found)} of {len(found)} sounds have a score of {search.least_score:g} or more: {out}")


@compare.command()
@options.model
@click.option("--layer", required=True, help="Layer whose channels are told apart.")
@click.option(
    "--natural", multiple=True, type=click.Path(path_type=Path), help="Sounds whose mean response divides each channel's."
)
@click.option("--clusters", type=click.IntRange(2), default=6, show_default=True, help="Clusters at the start.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Random starts; the best is written.")
@click.option("--split", is_flag=True, help="Split clusters where that lowers the loss.")
@click.option("--level", type=options.Number(0, 1, min_open=True), default=0.1, show_default=True, help="RMS of the sounds.")
@click.option(
    "--learning-rate", type=options.Number(0, min_open=True), default=1.0, show_default=True, help="Of gradient ascent."
)
@band
@steps(150, "Steps between reassignments.")
@options.device
@options.out("discriminative")
def discriminate(
    model_name: str, layer: str, natural: tuple[Path, ...], clusters: int, seeds: int, split: bool, level: float,
    learning_rate: float, band: tuple[float, float] | None, steps: int, device: str, out: Path,
) -> None:  # fmt: skip
    """A sound for each cluster of the channels of a layer, to which that cluster responds more than the others.

    Writes the sounds, sounds.tsv, and the response of each channel to each sound, responses.tsv.
    """
    import torch

    from audiometamer.comparison.bounds import BoundedSound
    from audiometamer.comparison.discriminative import ClusterSearch, adjusted_rand_index, best_of_seeds, channel_responses
    from audiometamer.comparison.files import check_new, write_clusters

    check_new(as_output_folder(out))
    model = options.opened_model(model_name, device)
    if model.sample_rate is None:
        raise AudioMetamerError(f"{model.name} takes no sounds; --model names one that does")
    domain = BoundedSound(deviation=level, rms=level, fixed_rms=True, band=band, sample_rate=model.sample_rate)
    clips = [model.read_clip(path).samples for path in natural]
    calibrating = (
        torch.stack(clips) if clips else domain.start(model.signal_shape, seeds=range(8), dtype=model.dtype, device="cpu")
    )
    with torch.no_grad():
        means = channel_responses(model, layer)(calibrating.to(dtype=model.dtype, device=model.device)).mean(0)
    scale = means.clamp_min(1e-3 * float(means.max()))
    search = ClusterSearch(steps=steps, split=split, learning_rate=learning_rate)
    responses = channel_responses(model, layer, scale=scale)
    runs = best_of_seeds(responses, len(scale), clusters, model.signal_shape, domain, seeds=range(seeds), search=search)
    write_clusters(out, runs[0], model.sample_rate)
    table = plain_table(numbers=("clusters", "mean loss", "adjusted Rand index with the best"))
    for run in runs:
        agreement = adjusted_rand_index(run.clusters, runs[0].clusters)
        table.add_row(str(len(run.sounds)), f"{run.mean_loss:.4f}", f"{agreement:.2f}")
    print_table(table)
    click.echo(f"sounds: {out}")


@compare.command()
@click.argument("sound", type=click.Path(path_type=Path))
@options.model
@click.option("--layer", required=True, help="Layer at which all sounds match SOUND.")
@click.option("--apart-in", default="stft", show_default=True, metavar="WHERE", help=f"Where they differ: {_REPRESENTATION}.")
@click.option("--count", type=click.IntRange(2), default=3, show_default=True, help="Metamers.")
@click.option("--rounds", type=click.IntRange(1), default=2, show_default=True, help="How often each is moved.")
@click.option("--synthesis-steps", type=click.IntRange(1), help="Steps of the synthesis; default: the method's own.")
@steps(50, "Largest number of steps of a move.")
@seed
@options.device
@options.out("distant")
def distant(
    sound: Path, model_name: str, layer: str, apart_in: str, count: int, rounds: int, synthesis_steps: int | None, steps: int,
    seed: int, device: str, out: Path,
) -> None:  # fmt: skip
    """Metamers of SOUND at one layer, as far apart as possible in another representation.

    Writes them, the original, and sounds.tsv.
    """
    from audiometamer.comparison.distant import distant_metamers
    from audiometamer.comparison.files import check_new, write_distant
    from audiometamer.comparison.representations import representations

    check_new(as_output_folder(out))
    own = f"{model_name}:{layer}"
    (_, where), model = representations([own, apart_in], partial(options.opened_model, device_name=device))
    clip = model.read_clip(sound)
    found = distant_metamers(
        model, clip, layer, where, count=count, rounds=rounds, steps=steps, synthesis_steps=synthesis_steps, seed=seed
    )
    assert model.sample_rate is not None
    write_distant(out, found, clip.samples, model.sample_rate)
    table = plain_table("metamer", numbers=("SNR, dB", "before"))
    for k, (snr, before) in enumerate(zip(found.snr, found.start_snr, strict=True)):
        table.add_row(str(k), f"{snr:.1f}", f"{before:.1f}")
    print_table(table)
    click.echo(f"mean distance in {where.name}: {found.gain:.2f} times that before; sounds: {out}")
