"""Rain by its statistics: an exemplar, ablations, a step into fire, a loop, and what an observer of averages hears."""

import sys

import matplotlib

import audiometamer as am

matplotlib.use("agg")
import matplotlib.pyplot as plt

quick = "--quick" in sys.argv  # a few steps of short sounds, to see that it runs
SECONDS, STEPS = (1.4, 3) if quick else (3.0, 200)
MODEL = f"texture:mcdermott2011/seconds={SECONDS}"


def sound(kind: str) -> am.Clip:
    """A synthetic texture, on which no copyright lies."""
    return am.Clip.from_array(am.make_texture(kind, seconds=SECONDS), 20_000, name=kind)


made = {"original": sound("bubbles").samples}
for name, option in {
    "all classes": "",
    "without envelope correlation": "/without=envelope_correlation",
    "without modulation power": "/without=modulation_power",
    "spectrum and means only": "/without=envelope_cv,envelope_skewness,envelope_kurtosis,envelope_correlation,"
    "modulation_power,modulation_c1,modulation_c2",
}.items():
    (metamer,) = am.synthesize(am.load_model(MODEL + option), sound("bubbles"), steps=STEPS)
    made[name] = metamer.samples
    worst = min(metamer.evidence.verdict.classes.values(), key=lambda match: match.snr_db)
    print(f"{name}: {len(metamer.evidence.verdict.classes)} classes, the worst at {worst.snr_db:.0f} dB")

stepping = am.load_model(f"texture:toolbox/seconds={SECONDS}/step_at={SECONDS / 2}")
step = am.morph([[(sound("rain"), 1)], [(sound("bubbles"), 1)]], stepping, name="rain_then_bubbles")
(made["rain, then bubbles"],) = (metamer.samples for metamer in am.synthesize(stepping, step, steps=STEPS))

front_end = am.Cochleagram.from_preset("feather2023")
figure, axes = plt.subplots(3, 2, figsize=(9, 8), layout="constrained", sharex=True, sharey=True)
for ax, (name, samples) in zip(axes.flat, made.items(), strict=True):
    ax.imshow(front_end(10 * samples[None])[0], aspect="auto", origin="lower", extent=(0, SECONDS, 0, 1))
    ax.set(title=name, xlabel="time (s)", yticks=[])
    am.write_wav(f"texture_{name.replace(' ', '_').replace(',', '')}.wav", samples, 20_000)
figure.savefig("textures.png", dpi=80)

long = {kind: am.make_texture(kind, seconds=5 if quick else 20) for kind in ("rain", "fire", "bubbles", "stream", "wind")}
curves = am.texture_discrimination(long, trials=30 if quick else 500)
am.plot_texture_discrimination(curves).savefig("texture_discrimination.png", dpi=110)
for seconds, texture, exemplar in zip(*curves, strict=True):
    print(f"{1000 * seconds:5.0f} ms: textures {texture:.0%}, exemplars {exemplar:.0%} correct")
