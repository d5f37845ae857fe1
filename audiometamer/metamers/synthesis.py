"""Make metamers: match a layer of a model for batches of clips and seeds, judge them, and make other attempts at what failed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, Unpack

from torch import Tensor

from audiometamer.devices import tensor_float32
from audiometamer.matching.descent import Penalty
from audiometamer.matching.domains import Domain
from audiometamer.matching.inference import with_gradients
from audiometamer.matching.loop import Callback, StopSynthesis
from audiometamer.matching.losses import Loss
from audiometamer.matching.stopping import StoppingRule
from audiometamer.metamers.attempts import resumed, run_attempt
from audiometamer.metamers.batch_size import fitting_batch_size
from audiometamer.metamers.criteria import NullDistribution
from audiometamer.metamers.inputs import Source, as_clips, as_layers, as_seeds
from audiometamer.metamers.metamer import Metamer, Progress
from audiometamer.metamers.methods import Method
from audiometamer.metamers.passes import Passes
from audiometamer.metamers.preflight import preflight
from audiometamer.metamers.scheduling import Job, schedule
from audiometamer.metamers.settings import places
from audiometamer.metamers.setup import Setup, SynthesisOptions
from audiometamer.metamers.starts import Initial, as_starts
from audiometamer.metamers.targets import GivenTarget
from audiometamer.metamers.unfinished import Checkpoints
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.signals.display import Gallery


def synthesize(
    model: Model,
    clips: Source | Iterable[Source],
    layers: Iterable[str] | str | None = None,
    *,
    method: str | Method = "default",
    steps: int | None = None,
    seed: int | Iterable[int] = 0,
    loss: Loss | None = None,
    penalty: Penalty | None = None,
    null: NullDistribution | None = None,
    domain: Domain | None = None,
    exact: bool | None = None,
    initial: Initial | Iterable[Initial] | None = None,
    stop: StoppingRule | Literal["passed"] | None = None,
    batch_size: int | None = None,
    tf32: bool = False,
    compiled: bool = False,
    captured: bool = False,
    progress: Callable[[Progress], object] | None = None,
    callback: Callback | None = None,
    checkpoints: Checkpoints | None = None,
) -> list[Metamer]:
    """Make metamers of clips at layers of a model.

    Parameters
    ----------
    model : Model
    clips : Clip, path, tensor or array, or iterable of them
        As the model takes them: `read_clip` with its sample rate, duration and level, or `read_image` with its picture. A path
        is read so; a tensor or an array is a signal [shape=signal_shape] or a batch of them, called ``clip0``, ``clip1``, ….
        Or `GivenTarget`: activations from elsewhere.
    layers : str or iterable of str, optional
        Default: all that the model lists, or the default ones of its network. ``relu1+relu3`` means both at the same time;
        ``relu2/channels=0:32`` or ``relu2/average=time`` a part of a layer (see `Model`).
    method : {"default", "feather2023", "textures", "textures-unweighted", "textures-normalised"} or Method
        See `audiometamer.metamers.methods`. Default "default".
    steps : int, optional
        Number of steps of an attempt. Default: the method's.
    seed : int or iterable of int
        One metamer is made for each; the same noise starts every layer and clip. Default 0.
    loss : callable
        Activations and target, Tensor [shape=(batch, ...)] each, to Tensor [shape=(batch,)]; complex activations come as pairs
        of real numbers in a last dimension. The record identifies it by its content, see `audiometamer.matching.named`.
        Default: the method's.
    penalty : callable, optional
        Signals [shape=(batch, *signal_shape)] to Tensor [shape=(batch,)], added to the loss, such as
        ``lambda x: 0.1 * x.diff().square().sum(1)``, which keeps signals smooth. Default: none.
    null : NullDistribution, optional
        Null distribution to judge by. Default: the one that comes with the model, if there is one.
    domain : Domain, optional
        Default: the model's.
    exact : bool, optional
        Whether cochleagrams are computed as published, at the sound's own rate, in targets, steps and evidence; many times
        slower. Default: as the method does, which is False except for "feather2023".
    initial : Clip, path, tensor or array, or iterable of them, optional
        Signal that every attempt starts from where it would start from noise: one for all clips, or one for each; sounds from
        files keep their level. Default: noise.
    stop : callable or "passed", optional
        Stopping rule of every attempt beside the method's own, asked every 20 steps: `am.Plateau`, when a loss no longer falls;
        `am.matching.Below`, when it has reached a value; "passed", when the signal passes its verdict; or one of your own (see
        docs/optimisers.md). The record says which stopped the signal, and when. Default: the method's own alone.
    batch_size : int, optional
        Number of signals that are synthesised side by side. Default: as many as fit in half of the free memory, at most 8 on
        a CPU and 128 elsewhere; halved when memory runs out in either case.
    tf32 : bool
        Whether the steps may multiply float32 with the 10-bit mantissa of an NVIDIA GPU's TF32; targets and evidence never do.
        Default False.
    compiled : bool
        Whether the network is compiled by `torch.compile`, for one layer at a time; not for layers of the front end.
        Default False.
    captured : bool
        Whether each kind of step, the optimiser's part too, is traced once as a graph of fixed shape, in which finished signals
        keep their rows; on an NVIDIA GPU it is a CUDA graph, and a step is one launch. Not with `compiled`. Default False.
    progress : callable, optional
        Called with a `Progress` every 20 steps.
    callback : callable, optional
        Called every 20 steps with ``(step, signals, losses)`` of the batch that is being moved: the number of the step, the
        signals [shape=(batch, *signal_shape)] and their losses [shape=(batch,)], NaN for those that have stopped. If it raises
        `StopSynthesis`, what has been reached is judged and returned, and metamers that have not begun are left out.
    checkpoints : Checkpoints, optional
        Storage of unfinished metamers, from which they resume. Default: none.

    Returns
    -------
    list of Metamer
        One for each layer, clip and seed, in this order, including those that failed their verdict. Notebooks show it with
        players and cochleagrams.

    Raises
    ------
    AudioMetamerError
        If a clip does not fit the model, a layer or method is unknown, or a step cannot be taken: before the first step.

    Warns
    -----
    AudioMetamerWarning
        If attempts by the layer before are left out because that cannot be matched: a loss may fit the wanted layer only.
    """
    listed, seeds, wanted = as_clips(model, clips), as_seeds(seed), as_layers(layers, model.default_layers)
    jobs = [(clip, layer, s) for layer in dict.fromkeys(map(model.canonical, wanted)) for clip in listed for s in seeds]
    order = {(id(clip), layer, s): k for k, (clip, layer, s) in enumerate(jobs)}
    found = iterate_metamers(
        model,
        jobs,
        method=method,
        steps=steps,
        loss=loss,
        penalty=penalty,
        null=null,
        domain=domain,
        exact=exact,
        initial=as_starts(model, initial, listed),
        stop=stop,
        batch_size=batch_size,
        tf32=tf32,
        compiled=compiled,
        captured=captured,
        progress=progress,
        callback=callback,
        checkpoints=checkpoints,
    )
    return Gallery(sorted(found, key=lambda m: order[id(m.clip), m.evidence.settings.layer, m.evidence.settings.seed]))


@with_gradients
def iterate_metamers(
    model: Model,
    jobs: Sequence[tuple[Clip | GivenTarget, str, int]],
    *,
    null: NullDistribution | None = None,
    initial: Mapping[int, Tensor] | None = None,
    progress: Callable[[Progress], object] | None = None,
    checkpoints: Checkpoints | None = None,
    **options: Unpack[SynthesisOptions],
) -> Iterator[Metamer]:
    """As `synthesize`, for any list of (clip, layer, seed), giving each as soon as it is done; `initial` by `as_starts`."""
    setup = Setup.of(model, null=null, initial=initial or {}, progress=progress, checkpoints=checkpoints, **options)
    wanted = [Job(clip, model.canonical(layer), seed) for clip, layer, seed in jobs]
    with tensor_float32(False):
        before = preflight(setup, wanted)
    try:
        for layer in before:
            yield from _metamers_at(setup, layer, [job for job in wanted if job.layer == layer], before[layer])
            setup.targets.forget(places(layer))
    except StopSynthesis:
        return


def _metamers_at(setup: Setup, layer: str, jobs: Sequence[Job], before: str | None) -> Iterator[Metamer]:
    """Metamers of jobs at one layer, in the order in which they are done."""
    with Passes(setup.model, unrectified=bool(setup.method.margin), compiled=setup.compiled) as passes:

        def run(batch: Sequence[Job], others: Sequence[Job]) -> None:
            with tensor_float32(False):
                run_attempt(setup, passes, batch, others, before=before)

        batch_size = setup.batch_size or fitting_batch_size(passes.folded(layer), places(layer))
        resumed_jobs = [resumed(setup, job) for job in jobs]
        for job in schedule(resumed_jobs, setup.method, batch_size=batch_size, before=before, device=setup.model.device, run=run):
            yield job.metamer()
