"""``python -m benchmarks`` measures what is claimed to be fast, as Markdown tables; in about ten minutes on two cores.

Times are medians of turns taken side by side in one run; the ratio is what to quote.
"""

import click

from benchmarks import batches, front_end, steps
from benchmarks.measuring import machine

SECTIONS = {
    "front-end": ("The front end: time", lambda: front_end.times(repeats=3)),
    "agreement": ("The front end: agreement with the published computation", front_end.agreement),
    "memory": ("The front end: peak memory of forward + backward", front_end.memory),
    "steps": ("One step of one clip, full-size networks", lambda: steps.against_published(repeats=3)),
    "overhead": ("One step against the network alone", lambda: steps.overhead(repeats=5)),
    "batch": ("Many clips", batches.batch_against_single),
    "null": ("A null distribution", batches.null_distribution),
}


@click.command()
@click.argument("sections", nargs=-1, type=click.Choice(list(SECTIONS)))
def main(sections: tuple[str, ...]) -> None:
    """Print the tables of SECTIONS; default: all."""
    print(machine())
    for section in sections or SECTIONS:
        title, measure = SECTIONS[section]
        print(f"\n**{title}**\n\n{measure()}", flush=True)


if __name__ == "__main__":
    main()
