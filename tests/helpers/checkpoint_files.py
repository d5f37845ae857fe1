"""Networks with random weights in the layout of published checkpoints."""

import torch

from audiometamer.networks import CochCNN9, CochResNet50

WORDS = ["__nullSignal__", "about", "above"]


HEADS = {"signal/word_int": WORDS, "signal/speaker_int": ["anna", "bert"], "noise/labels_binary_via_int": ["wind"]}


class NotPlain:
    """Something that a pickle of tensors and containers does not hold, as the optimisers and schedules in published files are."""


def network(kind, outputs=3):
    torch.manual_seed(0)
    made = CochCNN9(outputs, width=0.05) if kind == "cochcnn9" else CochResNet50(outputs, width=0.07, blocks=(1, 2, 1, 1))
    return made.eval()


def published(made, *, numbered=True, extra=None):
    """The layout of a published file around a network's tensors."""
    inner = "module.model.1." if numbered else "module.model."
    tensors = {}
    for key, tensor in made.state_dict().items():
        tensors[inner + key] = tensor
        tensors["module.attacker.model." + key] = tensor + 1
    front = "module.model.0." if numbered else "module.preproc."
    tensors[front + "full_rep.rep.cochlear_filters"] = torch.zeros(4, 9)
    tensors["module.attacker.preproc.full_rep.rep.window"] = torch.zeros(3)
    tensors["module.preproc.mean"] = torch.zeros(1)
    return {"model": tensors, "optimizer": extra or {"state": {}}, "schedule": None, "epoch": 150}
