"""``python -m benchmarks`` measures what is claimed to be fast, as Markdown tables; in half an hour on two cores.

Times are medians of turns taken side by side in one run; the ratio is what to quote. Each section runs in a process of its own:
what memory an earlier one has left behind changes the times of the published computation by half.
"""

import subprocess
import sys

import click
import torch

from audiometamer.metamers.benchmark import machine
from benchmarks import batches, exploration, front_end, growth, metamers, modulation, procedures, steps, textures

SECTIONS = {
    "front-end": ("The front end: time", lambda: front_end.times(repeats=2)),
    "agreement": ("The front end: agreement with the published computation", front_end.agreement),
    "memory": ("The front end: peak memory of forward + backward", front_end.memory),
    "steps": ("One step of one clip, full-size networks", lambda: steps.against_published(repeats=5)),
    "overhead": ("One step against the network alone", lambda: steps.overhead(repeats=3)),
    "metamer": ("A metamer in a hundredth of the steps", metamers.in_a_hundredth_of_the_steps),
    "batch": ("Many clips", batches.batch_against_single),
    "null": ("A null distribution", batches.null_distribution),
    "growth": ("Growth of a step", growth.growth),
    "textures": ("Texture statistics: time", lambda: textures.times(repeats=3)),
    "texture-synthesis": ("Texture synthesis to 30 dB in every class: time", textures.synthesis),
    "texture-memory": ("Texture statistics: peak memory of forward + backward", textures.memory),
    "exploration": ("A sound moved along a dimension", exploration.moved_sounds),
    "histograms": ("Histogram matching of modulation maps", modulation.histogram_matching),
    "modulation": ("A step down the gradient of modulation moments", modulation.gradient),
    "modulation-memory": ("Modulation moments: peak memory of forward + backward", modulation.memory),
    "procedures": ("Adaptive procedures: 1,000 simulated listeners", procedures.thresholds),
    "quest": ("QUEST+: the next level", procedures.times),
}


@click.command()
@click.argument("sections", nargs=-1, type=click.Choice(list(SECTIONS)))
def main(sections: tuple[str, ...]) -> None:
    """Print the tables of SECTIONS; default: all."""
    if len(sections) == 1:
        title, measure = SECTIONS[sections[0]]
        print(f"\n**{title}**\n\n{measure()}", flush=True)
        return
    print(machine(torch.device("cpu")), flush=True)
    for section in sections or SECTIONS:
        subprocess.run([sys.executable, "-m", "benchmarks", section], check=True)


if __name__ == "__main__":
    main()
