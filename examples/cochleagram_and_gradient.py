"""A cochleagram, the gradient of its energy with respect to the sound, and back from the cochleagram to a sound."""

import matplotlib
import torch

import audiometamer as am

matplotlib.use("agg")
import matplotlib.pyplot as plt

time = torch.arange(20_000) / 20_000
sound = 0.1 * torch.sin(2 * torch.pi * (200 * time + 1500 * time**2))
ear = am.Cochleagram()

sound.requires_grad_()
cochleagram = ear(sound)
(gradient,) = torch.autograd.grad(cochleagram.square().sum(), sound)
print(f"cochleagram {tuple(cochleagram.shape)}, gradient norm {gradient.norm():.2f}")

inverted = ear.invert(cochleagram.detach()[None], steps=60)[0]
figure, axes = plt.subplots(2, 1, layout="constrained")
ear.plot(cochleagram, axes[0]).set_title("a rising tone")
ear.plot(ear(inverted), axes[1]).set_title("a sound made from its cochleagram")
figure.savefig("cochleagram.png")
