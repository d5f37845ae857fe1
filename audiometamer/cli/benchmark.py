"""``audiometamer benchmark``: how fast metamers are made on this machine."""

import click

from audiometamer.cli import options
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked


@click.command()
@options.model
@options.layers
@options.seeds
@options.method
@options.steps
@options.exact
@options.device
@options.fitting_batch_size
@click.option("--clips", type=click.IntRange(1), default=1, show_default=True, help="Number of clips to estimate for.")
def benchmark(
    model_name: str,
    layer_names: tuple[str, ...],
    seeds: tuple[int, ...],
    method: str,
    steps: int | None,
    exact: bool | None,
    device: str,
    batch_size: int | None,
    clips: int,
) -> None:
    """Time a model's steps on this device, and estimate the hours for a number of clips at each layer and seed."""
    from audiometamer.metamers.batch_size import fitting_batch_size
    from audiometamer.metamers.benchmark import machine, time_step
    from audiometamer.metamers.methods import load_method
    from audiometamer.models.front_ends import with_exact_front_end

    model, procedure = options.opened_model(model_name, device), load_method(method)
    if procedure.is_exact(model, exact):
        model = with_exact_front_end(model)
    layers = options.layers_of(model, layer_names)
    per_layer = clips * len(seeds)
    table = plain_table("layer", numbers=("batch size", "network alone (ms)", "step (ms)", "ratio", "a metamer (s)", "all (h)"))
    total = 0.0
    with tracked() as tracker:
        for k, layer in enumerate(layers):
            tracker(k / len(layers), layer)
            size = min(batch_size or fitting_batch_size(model, layer), per_layer)
            timed = time_step(model, layer, batch_size=size)
            seconds = timed.seconds_per_metamer(procedure, steps)
            total += seconds * per_layer
            alone = timed.network > 1e-4  # a layer of the front end has no network before it
            table.add_row(
                layer, str(size), f"{1000 * timed.network:.1f}" if alone else "", f"{1000 * timed.step:.1f}",
                f"{timed.step / timed.network:.2f}" if alone else "", f"{seconds:.1f}", f"{seconds * per_layer / 3600:.2f}",
            )  # fmt: skip
    click.echo(machine(model.device))
    print_table(table)
    click.echo(
        f"{clips} clip(s) × {len(layers)} layer(s) × {len(seeds)} seed(s) of {model.name}: about {total / 3600:.2f} hours, at "
        f"{procedure.expected_steps * (steps or procedure.steps) // procedure.steps} steps a metamer, all attempts counted"
    )
