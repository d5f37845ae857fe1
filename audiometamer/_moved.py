"""Import paths of version 0.1: each still works, with a DeprecationWarning that names the new one. To be deleted in version 0.3.

`MODULES` and `NAMES` map what has moved, both relative to the package.
"""

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

_PACKAGE = __name__.partition(".")[0]

# Modules, and where they are now.
MODULES = {
    "activations": "models.activations",
    "adapters": "models.adapters",
    "adapters.ast_features": "models.adapters.ast_features",
    "adapters.image_networks": "models.adapters.image_networks",
    "adapters.joined": "models.adapters.joined",
    "adapters.packages": "models.adapters.packages",
    "adapters.resampled": "models.adapters.resampled",
    "adapters.silero_vad_model": "models.adapters.silero_vad_model",
    "adapters.timm_models": "models.adapters.timm_models",
    "adapters.torchaudio_models": "models.adapters.torchaudio_models",
    "adapters.torchcrepe_model": "models.adapters.torchcrepe_model",
    "adapters.torchvision_models": "models.adapters.torchvision_models",
    "adapters.transformers_families": "models.adapters.transformers_families",
    "adapters.transformers_models": "models.adapters.transformers_models",
    "adapters.unit_variance": "models.adapters.unit_variance",
    "adapters.whisper_features": "models.adapters.whisper_features",
    "answers": "models.answers",
    "audio": "signals.audio",
    "benchmark": "metamers.benchmark",
    "cards": "models.cards",
    "checkpoints": "models.checkpoints",
    "clip_names": "signals.clip_names",
    "cochleagram.mel": "ears.mel",
    "complex_values": "matching.complex_values",
    "containers": "signals.containers",
    "controls": "models.controls",
    "criteria": "metamers.criteria",
    "decoding": "signals.decoding",
    "domains": "matching.domains",
    "evaluation.bootstrap": "statistics.bootstrap",
    "evaluation.report": "report.report",
    "evaluation.thumbnails": "report.thumbnails",
    "experiment.analysis.anova": "statistics.anova",
    "experiment.analysis.contrasts": "statistics.contrasts",
    "experiment.analysis.exclusions": "listening.exclusions",
    "experiment.analysis.intervals": "statistics.intervals",
    "experiment.analysis.permutation": "statistics.permutation",
    "experiment.analysis.psychometric": "psychophysics.psychometric",
    "experiment.analysis.reliability": "statistics.reliability",
    "experiment.analysis.trials": "listening.tables",
    "experiment.browser": "listening.browser",
    "experiment.catalogue": "listening.sentences",
    "experiment.collect": "listening.collect",
    "experiment.connections": "listening.connections",
    "experiment.course": "listening.course",
    "experiment.deciding": "listening.deciding",
    "experiment.export": "listening.export",
    "experiment.folder": "listening.folder",
    "experiment.headphones": "listening.headphones",
    "experiment.identity": "listening.identity",
    "experiment.messages": "listening.messages",
    "experiment.pages": "listening.pages",
    "experiment.rate": "listening.rate",
    "experiment.rehearsal": "listening.rehearsal",
    "experiment.repeats": "listening.repeats",
    "experiment.requests": "listening.requests",
    "experiment.results": "listening.results",
    "experiment.server": "listening.server",
    "experiment.session": "listening.session",
    "experiment.signed": "listening.signed",
    "experiment.simulated": "listening.simulated",
    "experiment.store": "listening.store",
    "exploration.calibration": "dimensions.calibration",
    "exploration.catalogue": "dimensions.catalogue",
    "exploration.components": "dimensions.components",
    "exploration.dimensions": "dimensions.dimensions",
    "exploration.finding": "dimensions.finding",
    "exploration.ladder": "dimensions.ladder",
    "exploration.ladder_plan": "dimensions.ladder_plan",
    "exploration.ladder_run": "dimensions.ladder_run",
    "exploration.moving": "dimensions.moving",
    "exploration.physical": "dimensions.physical",
    "exploration.procedures": "psychophysics",
    "exploration.procedures.bayes": "psychophysics.bayes",
    "exploration.procedures.interleaving": "psychophysics.interleaving",
    "exploration.procedures.levels": "psychophysics.levels",
    "exploration.procedures.protocol": "psychophysics.protocol",
    "exploration.procedures.staircases": "psychophysics.staircases",
    "exploration.procedures.tasks": "psychophysics.tasks",
    "files": "io.files",
    "fingerprints": "io.fingerprints",
    "folding": "models.folding",
    "graphs": "models.graphs",
    "images": "signals.images",
    "inference": "matching.inference",
    "input_forms": "models.input_forms",
    "invariance": "distortions.invariance",
    "label_files": "io.label_files",
    "loading": "models.loading",
    "matching.methods": "metamers.methods",
    "metamers.clips": "models.inputs",
    "metamers.excerpts": "models.excerpts",
    "metamers.whole": "signals.integrity",
    "pairwise": "statistics.pairwise",
    "parts": "models.parts",
    "places": "models.places",
    "plain_pickle": "io.plain_pickle",
    "pooling": "models.pooling",
    "processes": "io.processes",
    "resources": "io.resources",
    "safe_names": "io.names",
    "stimuli.claims": "jobs.claims",
    "stimuli.cluster": "jobs.slurm",
    "stimuli.draws": "io.draws",
    "stimuli.workers": "jobs.workers",
    "straight_through": "matching.straight_through",
    "tables": "io.tables",
    "toml_files": "io.toml_files",
    "verdicts": "metamers.verdicts",
    "whole_numbers": "io.integers",
}
# Names that are called otherwise now, or are in another module than the rest of theirs.
NAMES = {
    "Picture": "ImageTransform",
    "audio.fitted": "signals.audio.pad_or_crop",
    "audio.seconds_of": "signals.audio.file_duration",
    "clip_names.name_of": "signals.clip_names.row_clip_name",
    "clip_names.cell_seconds": "signals.clip_names.cell_seconds",
    "cochleagram.front_end": "ears.front_end",
    "containers.parts": "signals.containers.complete_streams",
    "decoding.opened": "signals.decoding.open_sound",
    "devices.isolated_rng": "devices.isolated_rng",
    "drawing.literal_text": "drawing.literal_text",
    "errors.near": "errors.closest_names",
    "errors.first_few": "errors.first_few",
    "experiment.analysis.exclusions.people": "errors.listeners_in_words",
    "experiment.course.Course": "listening.course.AdaptiveSequence",
    "experiment.course.Heard": "listening.course.CompletedTrial",
    "experiment.design.Breaks": "listening.design.Breaks",
    "experiment.design.Choice": "listening.design.Choice",
    "experiment.design.Completion": "listening.design.Completion",
    "experiment.design.D": "listening.design.D",
    "experiment.design.INTERVALS": "listening.design.INTERVALS",
    "experiment.design.Images": "listening.design.Images",
    "experiment.design.Name": "listening.design.Name",
    "experiment.design.Question": "listening.design.Question",
    "experiment.design.Sounds": "listening.design.Sounds",
    "experiment.design.TAKEN": "listening.design.TAKEN",
    "experiment.design.TEXTS": "listening.sentences.TEXTS",
    "experiment.design.Text": "listening.design.Text",
    "experiment.design.Texts": "listening.design.Texts",
    "experiment.design.Words": "listening.design.Words",
    "experiment.design.failed": "listening.design.failed",
    "experiment.design.read_answers": "listening.design.read_answers",
    "experiment.design.read_sentences": "listening.design.read_sentences",
    "experiment.design.read_text": "listening.design.read_text",
    "experiment.folder.ConditionKey": "listening.trials.ConditionKey",
    "experiment.folder.List": "listening.trials.TrialList",
    "experiment.folder.read_experiment": "experiment.reading.read_experiment",
    "experiment.lists.arranged": "listening.trials.arranged",
    "experiment.offer.Offer": "experiment.offer.AvailableStimuli",
    "experiment.pack.list_name": "listening.list_names.list_name",
    "experiment.simulated.Informed": "listening.simulated.IdealListener",
    "exploration.ladder.Rung": "dimensions.ladder.MovedStimulus",
    "exploration.making.Maker": "exploration.making.RenderQueue",
    "exploration.making.Wish": "exploration.making.MoveRequest",
    "exploration.moving.Beside": "dimensions.moving.PerturbationDomain",
    "files.LOCKS_UNSUPPORTED": "io.locks.LOCKS_UNSUPPORTED",
    "files.check_number_range": "io.toml_files.check_number_range",
    "files.read_file_bytes": "io.reading.read_file_bytes",
    "files.create": "io.files.create_exclusively",
    "files.file_sha256": "io.hashes.file_sha256",
    "files.describe_holder": "io.locks.describe_holder",
    "files.in_turn": "io.locks.file_lock",
    "files.holds_only_zeros": "io.files.holds_only_zeros",
    "files.is_safe_relative_path": "io.paths.is_safe_relative_path",
    "files.is_written": "io.reading.pipe_is_ready",
    "files.out_of_range_numbers": "io.toml_files.out_of_range_numbers",
    "files.only_writer": "io.locks.exclusive_folder",
    "files.parse_toml": "io.toml_files.parse_toml",
    "files.read_unicode": "io.reading.read_unicode",
    "files.readable": "io.paths.printable",
    "files.resolved": "io.paths.real_path",
    "files.temporary_path": "io.files.temporary_path",
    "files.whole_file": "io.files.atomic_write",
    "files.whole_folder": "io.files.atomic_folder",
    "folding.twin_of": "models.folding.shallow_copy",
    "images.Picture": "signals.images.ImageTransform",
    "label_files.disambiguated": "io.label_files.disambiguated",
    "matching.loop.Halfway": "matching.loop.MatchState",
    "metamers.clips.read_for": "models.inputs.load_clip",
    "metamers.evidence.Try": "metamers.evidence.AttemptRecord",
    "metamers.evidence.sha256_of": "io.hashes.sha256_of",
    "metamers.figure.ear_of": "metamers.figure.display_cochleagram",
    "metamers.files.as_output_folder": "io.names.as_output_folder",
    "metamers.synthesis.merit": "metamers.synthesis.rank_key",
    "metamers.whole.is_intact": "signals.integrity.is_intact",
    "models.NO_LABEL": "models.model.NO_LABEL",
    "models.check_mode": "models.model.check_mode",
    "models.check_weights": "models.model.check_weights",
    "models.run_on_noise": "models.model.run_on_noise",
    "plain_pickle.check_hash_cost": "io.plain_pickle.check_hash_cost",
    "pooling.KnowsItsRegions": "models.pooling.SupportsMaxContribution",
    "pooling.share_of_largest": "models.pooling.max_contribution",
    "processes.began": "io.processes.start_time",
    "processes.describe_exit": "io.processes.describe_exit",
    "processes.numbering": "io.processes.pid_namespace",
    "safe_names.portable_key": "io.names.portable_key",
    "safe_names.check_distinct_paths": "io.names.check_distinct_paths",
    "safe_names.check_no_case_twin": "io.names.check_no_case_twin",
    "stimuli.draws.equalize_mtimes": "io.draws.equalize_mtimes",
    "stimuli.export.Settings": "signals.presentation.PresentationSettings",
    "stimuli.export.Sound": "signals.presentation.Sound",
    "stimuli.export.in_sequence": "signals.presentation.in_sequence",
    "stimuli.export.pcm_wav": "signals.presentation.pcm_wav",
    "stimuli.export.presented": "signals.presentation.presentation_copy",
    "stimuli.set.conclude": "stimuli.set.finalize",
    "tables.Row": "io.tables.TableRow",
    "tables.guarded": "io.tables.escape_formula",
    "tables.unguarded": "io.tables.unescape_formula",
    "toml_files.attempted": "io.toml_files.problems_raised",
    "toml_files.within": "io.toml_files.error_context",
    "whole_numbers.MAX_SEED": "io.integers.MAX_SEED",
    "whole_numbers.as_seed": "io.integers.as_seed",
    "whole_numbers.whole": "io.integers.as_integer",
}

_OLD_MODULES = {name.rpartition(".")[0] for name in NAMES}


class _Finder:
    """Finds modules of version 0.1, and gives the modules of today the names that they had then."""

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The specification of a module that has moved or lost names; None for any other."""
        package, _, old = name.partition(".")
        if package != _PACKAGE:
            return None
        if old in MODULES:
            return ModuleSpec(name, _MovedModule(), is_package=any(each.startswith(f"{old}.") for each in MODULES))
        spec = PathFinder.find_spec(name, path, target) if old in _OLD_MODULES else None
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _WithOldNames(spec.loader.name, spec.loader.path)
        return spec


class _MovedModule(Loader):
    """Loads a module that gives what is now in another one."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Python's own kind of module."""

    def exec_module(self, module: ModuleType) -> None:
        """Warn, and look names up in the module of today; a package warns when a name is taken from it, as modules in it do."""
        old = module.__name__.partition(".")[2]
        new = f"{_PACKAGE}.{MODULES[old]}"
        is_package = hasattr(module, "__path__")
        if not is_package:
            _warn(module.__name__, new)
        today = import_module(new)

        def __getattr__(name: str) -> Any:  # noqa: N807 (what Python calls it)
            found = _today(f"{old}.{name}", today, name)
            if is_package and not name.startswith("__"):
                _warn(f"{module.__name__}.{name}", f"{new}.{name}")
                module.__dict__[name] = found  # an import from a package looks twice
            return found

        module.__doc__ = today.__doc__
        module.__dict__.update(__getattr__=__getattr__, __dir__=lambda: dir(today))


class _WithOldNames(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.__dict__["__getattr__"] = with_old_names(module.__name__, module.__dict__.get("__getattr__"))


def with_old_names(module: str, otherwise: Callable[[str], Any] | None = None) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that knows the names of version 0.1; for any other name, `otherwise`."""

    def __getattr__(name: str) -> Any:  # noqa: N807 (what Python calls it)
        old = f"{module}.{name}".partition(".")[2]
        if old in NAMES:
            _warn(f"{module}.{name}", f"{_PACKAGE}.{NAMES[old]}")
            return _today(old, None, name)
        if otherwise is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return otherwise(name)

    return __getattr__


def _today(old: str, module: ModuleType | None, name: str) -> Any:
    """What an old name means today: by the table, or the same name of a module."""
    if old in NAMES:
        module_name, _, name = NAMES[old].rpartition(".")
        module = import_module(f"{_PACKAGE}.{module_name}" if module_name else _PACKAGE)
    return getattr(module, name)


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is now {new}; the old name goes away in version 0.3", DeprecationWarning, stacklevel=3)


def install() -> None:
    """Let imports find what has moved."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
