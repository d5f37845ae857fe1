"""Classifiers of torchvision by name, with their own preprocessing: ``torchvision:resnet50``."""

from audiometamer.errors import AudioMetamerError, closest_names
from audiometamer.models.adapters.image_networks import downloaded, image_model, name_of, with_weights
from audiometamer.models.adapters.packages import imported
from audiometamer.models.model import Model
from audiometamer.signals.images import ImageTransform


def load(text: str) -> Model:
    """A classifier of torchvision: ``resnet50``, with its default weights, or ``resnet50@FILE`` with a state dict of your own.

    Raises
    ------
    AudioMetamerError
        If torchvision has no such classifier, or its weights cannot be loaded or do not fit.
    """
    models = imported("torchvision.models", extra="vision")
    name, _, file = text.partition("@")
    if name not in (available := models.list_models(module=models)):
        raise AudioMetamerError(f"torchvision has no classifier {name!r}; it has {closest_names(name, available)}")
    weights = models.get_model_weights(name).DEFAULT
    settings = weights.transforms()
    height = settings.crop_size[0]
    picture = ImageTransform((3, height, height), settings.resize_size[0], settings.interpolation.value)
    known = weights.meta["categories"]
    if file:
        network, classes = with_weights(lambda n: models.get_model(name, num_classes=n), file, len(known))
    else:
        network, classes = downloaded(lambda: models.get_model(name, weights=weights), name), len(known)
    return image_model(
        network,
        picture,
        mean=settings.mean,
        std=settings.std,
        labels=known if classes == len(known) else None,
        untrained=lambda: models.get_model(name, num_classes=classes),
        name=name_of(name, file),
    )
