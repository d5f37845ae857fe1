"""Whose metamers do other networks recognise, and from which layer on do they not?

Makes metamers of one clip, with networks and their controls, and shows how many of the other networks still hear the word:

    python who_recognises.py --maker cochcnn-word --maker cochcnn-word-robust --layer relu0 --layer final CLIP WORD
"""

import click
import torch

import audiometamer as am
from audiometamer.models import zoo
from audiometamer.resources import clips_folder

SHIPPED = clips_folder() / "words" / "computer_slt.flac"


@click.command()
@click.argument("path", default=str(SHIPPED))
@click.argument("word", default="computer")
@click.option("--maker", "makers", multiple=True, default=("cochcnn-word", "random:cochcnn-word:0"))
@click.option("--judge", "judges", multiple=True, default=[name for name in zoo() if "word" in name])
@click.option("--layer", "layers", multiple=True, default=("relu0", "final"))
def main(path: str, word: str, makers: tuple[str, ...], judges: tuple[str, ...], layers: tuple[str, ...]) -> None:
    networks = {name: am.load_model(name) for name in judges}
    clip = am.read_clip(path)
    for maker in makers:
        for metamer in am.synthesize(am.load_model(maker), clip, layers):
            signal = metamer.samples[None]
            with torch.no_grad():
                heard = {name: network.logits(network(signal))["word"].argmax() for name, network in networks.items()}
            right = [name for name in networks if networks[name].label("word", int(heard[name])) == word and name != maker]
            others = len(networks) - (maker in networks)
            print(f"{maker}, {metamer.evidence.settings.layer}: heard by {len(right)} of {others} others ({', '.join(right)})")


if __name__ == "__main__":
    main()
