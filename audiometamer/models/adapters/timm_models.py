"""Classifiers of timm by name, with their own preprocessing: ``timm:resnet18.a1_in1k``."""

import math

from audiometamer.errors import AudioMetamerError, closest_names
from audiometamer.models.adapters.image_networks import downloaded, image_model, name_of, with_weights
from audiometamer.models.adapters.packages import imported
from audiometamer.models.model import Model
from audiometamer.signals.images import ImageTransform


def load(text: str) -> Model:
    """A classifier of timm: ``resnet18.a1_in1k``, or ``resnet18@FILE`` with a state dict of your own.

    Raises
    ------
    AudioMetamerError
        If timm is not installed or has no such classifier, or its weights cannot be loaded or do not fit.
    """
    timm = imported("timm", extra="timm")
    name, _, file = text.partition("@")
    if not timm.is_model(name):
        raise AudioMetamerError(f"timm has no classifier {name!r}; it has {closest_names(name, timm.list_models())}")
    names = timm.data.ImageNetInfo()
    known = [names.index_to_description(i) for i in range(names.num_classes())]
    if file:
        network, classes = with_weights(lambda n: timm.create_model(name, num_classes=n), file, len(known))
    else:
        network = downloaded(lambda: timm.create_model(name, pretrained=True), name)
        classes = network.num_classes
    settings = timm.data.resolve_model_data_config(network)
    channels, height, width = settings["input_size"]
    picture = ImageTransform((channels, height, width), math.floor(height / settings["crop_pct"]), settings["interpolation"])
    return image_model(
        network,
        picture,
        mean=settings["mean"],
        std=settings["std"],
        labels=known if classes == len(known) else None,
        untrained=lambda: timm.create_model(name, num_classes=classes),
        name=name_of(name, file),
    )
