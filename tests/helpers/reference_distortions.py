"""Small networks of reference eigenpairs, principal distortions and perceptual scales."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

import audiometamer as am

REFERENCE = np.load(Path(__file__).parents[1] / "data" / "distortions.npz")
X = torch.from_numpy(REFERENCE["x"])


def dense(name):
    layer = nn.Linear(*REFERENCE[name].shape[::-1], bias=False)
    layer.weight = nn.Parameter(torch.from_numpy(REFERENCE[name]))
    return layer


def model_of(network, inputs=48):
    return am.Model(network.double().eval().requires_grad_(False), signal_shape=(inputs,), bounds=(-10, 10), check=False)


def reference_model(k):
    """y = w2 softplus(w1 x + b1), or the linear one."""
    if k == "linear":
        return model_of(nn.Sequential(dense("linear_w"))), "0"
    hidden = dense(f"net{k}_w1")
    hidden.bias = nn.Parameter(torch.from_numpy(REFERENCE[f"net{k}_b1"]))
    return model_of(nn.Sequential(hidden, nn.Softplus(), dense(f"net{k}_w2"))), "2"
