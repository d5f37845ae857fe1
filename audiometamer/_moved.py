"""Import paths of version 0.1: each still works, with a DeprecationWarning that names the new one. To be deleted in version 0.3.

`MODULES` and `NAMES` map what has moved, both relative to the package.
"""

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
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
    "cochleagram.envelopes": "cochleagram.multirate",
    "cochleagram.mel": "ears.mel",
    "complex_values": "matching.complex_values",
    "containers": "signals.containers",
    "controls": "models.controls",
    "criteria": "metamers.criteria",
    "decoding": "signals.decoding",
    "domains": "matching.domains",
    "evaluation.bootstrap": "statistics.bootstrap",
    "evaluation.pictures": "evaluation.figures",
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
    "experiment.course": "listening.adaptive",
    "experiment.deciding": "listening.deciding",
    "experiment.export": "listening.export",
    "experiment.folder": "listening.folder",
    "experiment.headphones": "listening.headphones",
    "experiment.identity": "listening.identity",
    "experiment.messages": "listening.messages",
    "experiment.offer": "experiment.available",
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
    "exploration.course": "exploration.sequence",
    "exploration.dimensions": "dimensions.dimensions",
    "exploration.finding": "dimensions.finding",
    "exploration.ladder": "dimensions.ladder",
    "exploration.ladder_plan": "dimensions.ladder_plan",
    "exploration.ladder_run": "dimensions.ladder_run",
    "exploration.making": "exploration.render_queue",
    "exploration.moving": "dimensions.moving",
    "exploration.physical": "dimensions.physical",
    "exploration.presented": "exploration.presented_trial",
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
    "metamers.belonging": "metamers.integrity",
    "metamers.clips": "models.inputs",
    "metamers.excerpts": "models.excerpts",
    "metamers.whole": "signals.integrity",
    "pairwise": "statistics.pairwise",
    "parts": "models.parts",
    "places": "models.layer_info",
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
# Public names that are called otherwise now, or are in another module.
NAMES = {
    "Picture": "ImageTransform",
    "answers.check_names": "models.answers.check_labels",
    "audio.fitted": "signals.audio.pad_or_crop",
    "audio.resample": "signals.resampling.resample",
    "audio.resample_by_fourier": "signals.resampling.resample_by_fourier",
    "audio.resample_by_sinc": "signals.resampling.resample_by_sinc",
    "audio.seconds_of": "signals.audio.file_duration",
    "checkpoints.ALIASES": "models.published.ALIASES",
    "checkpoints.NETWORKS": "models.published.NETWORKS",
    "checkpoints.import_checkpoint": "models.published_checkpoints.import_checkpoint",
    "checkpoints.network_state": "models.state_dicts.network_state",
    "clip_names.name_of": "signals.clip_names.row_clip_name",
    "clip_names.seconds_in": "signals.clip_names.cell_seconds",
    "cochleagram.MelSpectrogram": "ears.MelSpectrogram",
    "cochleagram.envelopes.BlockDecimation": "cochleagram.decimation.BlockDecimation",
    "cochleagram.envelopes.DiagonalSums": "cochleagram.decimation.DiagonalSums",
    "cochleagram.envelopes.EnvelopeLowpass": "cochleagram.lowpass.EnvelopeLowpass",
    "cochleagram.envelopes.FullRate": "cochleagram.full_rate.FullRate",
    "cochleagram.envelopes.Gather": "cochleagram.spectra.Gather",
    "cochleagram.envelopes.LowSpectrum": "cochleagram.spectra.LowSpectrum",
    "cochleagram.envelopes.SpectralDecimation": "cochleagram.decimation.SpectralDecimation",
    "cochleagram.envelopes.SubbandMagnitude": "cochleagram.subband_magnitude.SubbandMagnitude",
    "cochleagram.front_end": "ears.make_front_end",
    "containers.parts": "signals.containers.complete_streams",
    "decoding.opened": "signals.decoding.open_sound",
    "devices.own_randomness": "devices.isolated_rng",
    "drawing.names_as_they_are": "drawing.literal_text",
    "errors.near": "errors.closest_names",
    "errors.some_of": "errors.first_few",
    "evaluation.Row": "evaluation.table.EvaluationRow",
    "evaluation.attacks.attacked": "evaluation.attacks.accuracy_under_attack",
    "evaluation.collection.Made": "evaluation.collection.CollectedMetamer",
    "evaluation.collection.Natural": "evaluation.collection.NaturalClip",
    "evaluation.collection.as_taken": "evaluation.collection.fit_to_model",
    "evaluation.draw_pictures": "evaluation.figures.draw_figures",
    "evaluation.judging.HeardClips": "evaluation.judging.ClipResponses",
    "evaluation.judging.HeardMetamers": "evaluation.judging.MetamerResponses",
    "evaluation.judging.hear_clips": "evaluation.judging.judge_clips",
    "evaluation.judging.hear_metamers": "evaluation.judging.judge_metamers",
    "evaluation.labels.Truths": "evaluation.labels.TrueLabels",
    "evaluation.measures.of_clips": "evaluation.measures.clip_measures",
    "evaluation.measures.of_metamers": "evaluation.measures.metamer_measures",
    "evaluation.pictures.draw_pictures": "evaluation.figures.draw_figures",
    "evaluation.table.Row": "evaluation.table.EvaluationRow",
    "experiment.analysis.exclusions.Check": "listening.exclusions.HeadphoneResult",
    "experiment.analysis.exclusions.Judged": "listening.exclusions.TrialLike",
    "experiment.analysis.exclusions.Rules": "listening.exclusions.ExclusionRules",
    "experiment.analysis.exclusions.Standing": "listening.exclusions.ListenerOutcome",
    "experiment.analysis.exclusions.people": "errors.listeners_in_words",
    "experiment.analysis.trials.Count": "listening.tables.NonNegativeInt",
    "experiment.analysis.trials.Kind": "listening.trials.TrialKind",
    "experiment.analysis.trials.Listener": "listening.tables.ListenerRow",
    "experiment.analysis.trials.Moment": "listening.messages.Timestamp",
    "experiment.analysis.trials.Record": "listening.tables.RecordType",
    "experiment.analysis.trials.Trial": "listening.tables.TrialRow",
    "experiment.analysis.trials.tidy": "listening.tables.normalize_names",
    "experiment.browser.take_part": "listening.browser.take_part_in_browser",
    "experiment.catalogue.TEXTS": "listening.sentences.TEXTS_FOLDER",
    "experiment.collect.Collected": "listening.collect.CollectedListener",
    "experiment.collect.Header": "listening.submissions.ListenerHeader",
    "experiment.collect.Sent": "listening.submissions.Submission",
    "experiment.connections.AT_ONCE": "listening.connections.REQUESTS_PER_CONNECTION",
    "experiment.course.Course": "listening.adaptive.AdaptiveSequence",
    "experiment.course.Decided": "listening.adaptive.DecidedTrial",
    "experiment.course.Heard": "listening.adaptive.CompletedTrial",
    "experiment.course.Wanted": "listening.adaptive.TrialRequest",
    "experiment.deciding.Deciding": "listening.deciding.TrialDecider",
    "experiment.deciding.Upcoming": "listening.deciding.UpcomingTrial",
    "experiment.design.Answers": "listening.design.ResponseFormat",
    "experiment.design.Breaks": "listening.design.Breaks",
    "experiment.design.Check": "listening.design.DesignCheck",
    "experiment.design.Choice": "listening.design.Choice",
    "experiment.design.Completion": "listening.design.CompletionLinks",
    "experiment.design.Count": "listening.design.PositiveInt",
    "experiment.design.D": "listening.design.D",
    "experiment.design.INTERVALS": "listening.design.INTERVALS",
    "experiment.design.Images": "listening.design.Images",
    "experiment.design.Name": "listening.design.Identifier",
    "experiment.design.Number": "listening.tables.NonNegativeInt",
    "experiment.design.Question": "listening.design.Question",
    "experiment.design.Sounds": "listening.design.SoundSettings",
    "experiment.design.TAKEN": "listening.design.RESERVED_COLUMNS",
    "experiment.design.TEXTS": "listening.design.TEXTS",
    "experiment.design.Text": "listening.design.Text",
    "experiment.design.Texts": "listening.design.Texts",
    "experiment.design.Words": "listening.design.Words",
    "experiment.design.failed": "listening.design.failed",
    "experiment.design.once": "listening.design.check_unique",
    "experiment.design.read_answers": "listening.design.read_answer_list",
    "experiment.design.read_sentences": "listening.design.read_sentences",
    "experiment.design.read_text": "listening.design.read_text",
    "experiment.export.Answers": "listening.received.ReceivedAnswers",
    "experiment.export.COUNTED_AS": "listening.received.COUNTED_AS",
    "experiment.export.Enrolled": "listening.received.EnrolledListener",
    "experiment.export.EventRow": "listening.received.EventRow",
    "experiment.export.Given": "listening.received.JudgedAnswer",
    "experiment.export.ParticipantRow": "listening.received.ParticipantRow",
    "experiment.export.json_cell": "listening.tables.json_cell",
    "experiment.export.read_answers": "listening.reading.read_answers",
    "experiment.export.read_decided": "listening.reading.read_decided",
    "experiment.export.started_answered": "listening.messages.started_answered",
    "experiment.folder.CALIBRATION": "listening.folder.CALIBRATION_NOISE",
    "experiment.folder.ConditionKey": "listening.trials.ConditionKey",
    "experiment.folder.Entry": "listening.trials.KeyEntry",
    "experiment.folder.List": "listening.trials.TrialList",
    "experiment.folder.Lists": "listening.trials.Lists",
    "experiment.folder.Trial": "listening.trials.Trial",
    "experiment.folder.read_experiment": "experiment.reading.read_experiment",
    "experiment.identity.MOST_LETTERS": "listening.identity.MAX_IDENTITY_LENGTH",
    "experiment.lists.Kind": "listening.trials.TrialKind",
    "experiment.lists.arranged": "listening.trials.interval_order",
    "experiment.messages.Answer": "listening.messages.AnswerMessage",
    "experiment.messages.Events": "listening.messages.EventsMessage",
    "experiment.messages.Form": "listening.messages.FormMessage",
    "experiment.messages.MOST_LETTERS": "listening.messages.MAX_ANSWER_LENGTH",
    "experiment.messages.Moment": "listening.messages.Timestamp",
    "experiment.messages.moments": "listening.messages.timestamps",
    "experiment.pack.Form": "experiment.pack.PackFormat",
    "experiment.pack.list_name": "listening.list_names.list_name",
    "experiment.pack.token": "listening.list_names.list_token",
    "experiment.rate.Rate": "listening.rate.RateLimit",
    "experiment.rehearsal.Rehearsed": "listening.rehearsal.RehearsalReport",
    "experiment.rehearsal.SERVE": "listening.rehearsal.SERVE_COMMAND",
    "experiment.repeats.Repeats": "listening.repeats.RepeatFilter",
    "experiment.requests.Allowance": "listening.requests.TokenBucket",
    "experiment.requests.MOST_BYTES": "listening.requests.MAX_BODY_BYTES",
    "experiment.requests.read_form": "listening.requests.read_form_body",
    "experiment.requests.read_json": "listening.requests.read_json_body",
    "experiment.server.BusyError": "listening.refusals.BusyError",
    "experiment.server.ClosedError": "listening.refusals.ClosedError",
    "experiment.server.Confirmation": "listening.app.Confirmation",
    "experiment.server.Enrolment": "listening.newcomers.EnrolmentRequest",
    "experiment.server.PreviewError": "listening.refusals.PreviewError",
    "experiment.server.Service": "listening.newcomers.Service",
    "experiment.server.create_app": "listening.app.create_app",
    "experiment.session.Completion": "listening.session.Redirect",
    "experiment.session.Task": "listening.session.PageTask",
    "experiment.signed.KEYS": "listening.signed.KEYS_URL",
    "experiment.signed.TOKEN": "listening.signed.TOKEN_PARAMETER",
    "experiment.signed.UnsignedError": "listening.refusals.UnsignedError",
    "experiment.simulated.Client": "listening.client.Client",
    "experiment.simulated.Confirmed": "listening.client.ConfirmedMessage",
    "experiment.simulated.Informed": "listening.responders.IdealListener",
    "experiment.simulated.NetworkListener": "listening.responders.NetworkListener",
    "experiment.simulated.Person": "listening.responders.SimulatedListener",
    "experiment.simulated.Reply": "listening.responders.Responder",
    "experiment.simulated.ServerError": "listening.client.ServerError",
    "experiment.simulated.rankings_by": "listening.responders.rankings_by",
    "experiment.store.CompleteError": "listening.refusals.CompleteError",
    "experiment.store.ConflictError": "listening.refusals.ConflictError",
    "experiment.store.ExcessError": "listening.refusals.ExcessError",
    "experiment.store.FILES": "listening.database.DATABASE_SUFFIXES",
    "experiment.store.FREE_AFTER": "listening.enrolment.FREE_AFTER",
    "experiment.store.LEFT": "listening.enrolment.LEFT_UNFINISHED",
    "experiment.store.LONGER": "listening.enrolment.MAIN_TRIALS_FACTOR",
    "experiment.store.LateError": "listening.refusals.LateError",
    "experiment.store.LeftError": "listening.refusals.LeftError",
    "experiment.store.MOST_BYTES": "listening.checks.MAX_MESSAGES_BYTES",
    "experiment.store.OPEN_TO": "listening.enrolment.OPEN_TO",
    "experiment.store.Person": "listening.enrolment.Participant",
    "experiment.store.RefusedError": "listening.refusals.RefusedError",
    "experiment.store.State": "listening.state.ListenerState",
    "experiment.store.UnavailableError": "listening.refusals.UnavailableError",
    "experiment.store.UnknownListenerError": "listening.refusals.UnknownListenerError",
    "experiment.store.UnnamedError": "listening.refusals.UnnamedError",
    "experiment.store.check_experiment": "listening.database.check_experiment",
    "experiment.store.check_replies": "listening.checks.check_replies",
    "exploration.analysis.analyse.Analysis": "exploration.analysis.analyse.ExplorationAnalysis",
    "exploration.analysis.analyse.Level": "exploration.analysis.analyse.LevelRow",
    "exploration.analysis.analyse.attentive": "exploration.analysis.analyse.catch_criterion",
    "exploration.analysis.groups.Group": "exploration.analysis.groups.TrialGroup",
    "exploration.analysis.groups.counted": "exploration.analysis.groups.count_answers",
    "exploration.analysis.layers.UNITS": "exploration.analysis.layers.MEASURES",
    "exploration.analysis.layers.Unit": "exploration.analysis.layers.ThresholdMeasure",
    "exploration.analysis.reading.Given": "exploration.analysis.reading.AnalysisInput",
    "exploration.analysis.reading.read_given": "exploration.analysis.reading.read_analysis_input",
    "exploration.analysis.sensitivity.Fits": "exploration.analysis.sensitivity.SensitivityFits",
    "exploration.analysis.sensitivity.at_d_prime": "exploration.analysis.sensitivity.decision_at_d_prime",
    "exploration.analysis.sensitivity.fit": "exploration.analysis.sensitivity.fit_sensitivity",
    "exploration.analysis.uncertainty.most_lost": "exploration.analysis.uncertainty.max_loss",
    "exploration.build.Built": "exploration.build.BuiltExploration",
    "exploration.build.COURSE": "exploration.folder.COMMAND_NAME",
    "exploration.build.read_exploration": "exploration.folder.read_exploration",
    "exploration.build.served_exploration": "exploration.folder.served_exploration",
    "exploration.calibration.Calibrated": "dimensions.calibration.CalibrationRow",
    "exploration.calibration.wished_for": "dimensions.calibration.change_to_request",
    "exploration.catalogue.calibrate_places": "dimensions.moving_to.calibrate_coordinates",
    "exploration.catalogue.check_replaced": "dimensions.catalogue.check_replaceable",
    "exploration.course.Asked": "exploration.schedule.Comparison",
    "exploration.course.ExplorationCourse": "exploration.sequence.ExplorationSequence",
    "exploration.design.Catch": "exploration.design_tables.CatchSettings",
    "exploration.design.LadderChoice": "exploration.design_tables.LadderSelection",
    "exploration.design.Making": "exploration.design_tables.RenderingSettings",
    "exploration.design.Practice": "exploration.design_tables.PracticeSettings",
    "exploration.design.Task": "exploration.design_tables.TaskSettings",
    "exploration.design.suited": "exploration.design.fit_to_ladder",
    "exploration.finding.check_found": "dimensions.dimensions_folder.check_existing",
    "exploration.ladder.MOVES": "dimensions.ladder_files.MOVES",
    "exploration.ladder.Rung": "dimensions.ladder.MovedStimulus",
    "exploration.ladder.all_moves": "dimensions.moving.all_moves",
    "exploration.ladder.distinct_clips": "dimensions.ladder_files.distinct_clips",
    "exploration.ladder.moved_path": "dimensions.ladder_files.moved_path",
    "exploration.ladder.original_path": "dimensions.ladder_files.original_path",
    "exploration.ladder.place_path": "dimensions.ladder_files.coordinate_path",
    "exploration.ladder.read_rung": "dimensions.ladder_files.read_moved_stimulus",
    "exploration.ladder.read_rungs": "dimensions.ladder_files.read_moved_stimuli",
    "exploration.ladder.save_moved": "dimensions.ladder_files.save_moved",
    "exploration.ladder.write_moved": "dimensions.ladder_files.write_moved",
    "exploration.ladder.write_moves": "dimensions.ladder_files.write_moves",
    "exploration.ladder_run.LadderWorker": "dimensions.ladder_run.LadderMaker",
    "exploration.ladder_run.NotMoved": "dimensions.ladder_run.MoveFailure",
    "exploration.making.Maker": "exploration.render_queue.RenderQueue",
    "exploration.making.Mover": "exploration.render_queue.Mover",
    "exploration.making.Wish": "exploration.render_queue.MoveRequest",
    "exploration.moving.Beside": "dimensions.moving.PerturbationDomain",
    "exploration.moving.METHODS": "dimensions.moving_methods.METHODS",
    "exploration.physical.seen": "dimensions.physical.displayed",
    "exploration.presented.Presented": "exploration.presented_trial.PresentedTrial",
    "exploration.presented.Way": "exploration.presented_trial.StimulusSource",
    "exploration.procedures.Answer": "psychophysics.InterleavedTrial",
    "exploration.procedures.DECISIONS": "psychophysics.DECISION_RULES",
    "exploration.procedures.Estimate": "psychophysics.ThresholdEstimate",
    "exploration.procedures.Spacing": "psychophysics.LevelSpacing",
    "exploration.procedures.TARGET": "psychophysics.DEFAULT_TARGET",
    "exploration.procedures.TASKS": "psychophysics.DECISION_MODELS",
    "exploration.procedures.Task": "psychophysics.DecisionModel",
    "exploration.procedures.Trial": "psychophysics.AdaptiveTrial",
    "exploration.procedures.Turn": "psychophysics.NextTrial",
    "exploration.procedures.grid": "psychophysics.spaced_levels",
    "exploration.procedures.interleaving.Answer": "psychophysics.interleaving.InterleavedTrial",
    "exploration.procedures.interleaving.Turn": "psychophysics.interleaving.NextTrial",
    "exploration.procedures.levels.Spacing": "psychophysics.levels.LevelSpacing",
    "exploration.procedures.levels.grid": "psychophysics.levels.spaced_levels",
    "exploration.procedures.model_of": "psychophysics.decision_model_for",
    "exploration.procedures.protocol.Estimate": "psychophysics.protocol.ThresholdEstimate",
    "exploration.procedures.protocol.TARGET": "psychophysics.protocol.DEFAULT_TARGET",
    "exploration.procedures.protocol.Trial": "psychophysics.protocol.AdaptiveTrial",
    "exploration.procedures.staircases.weighted": "psychophysics.staircases.weighted_staircase",
    "exploration.procedures.tasks.DECISIONS": "psychophysics.tasks.DECISION_RULES",
    "exploration.procedures.tasks.TASKS": "psychophysics.tasks.DECISION_MODELS",
    "exploration.procedures.tasks.Task": "psychophysics.tasks.DecisionModel",
    "exploration.procedures.tasks.model_of": "psychophysics.tasks.decision_model_for",
    "exploration.procedures.weighted": "psychophysics.weighted_staircase",
    "exploration.rehearsal.sensitive": "exploration.rehearsal.probability_correct",
    "exploration.simulate.Sound": "exploration.simulate.StimulusKey",
    "exploration.trial_stimuli.Latest": "exploration.trial_stimuli.RecentFiles",
    "exploration.trials.Answered": "exploration.trials.AnsweredTrial",
    "exploration.trials.read_answered": "exploration.trials.read_answered_trials",
    "exploration.trials.write_answered": "exploration.trials.write_answered_trials",
    "files.NO_LOCKS": "io.locks.LOCKS_UNSUPPORTED",
    "files.check_numbers": "io.toml_files.check_number_range",
    "files.content_of": "io.reading.read_file_bytes",
    "files.create": "io.files.create_exclusively",
    "files.file_sha256": "io.hashes.file_sha256",
    "files.holder_of": "io.locks.describe_holder",
    "files.in_turn": "io.locks.file_lock",
    "files.is_empty": "io.files.holds_only_zeros",
    "files.is_within": "io.paths.is_safe_relative_path",
    "files.is_written": "io.reading.pipe_is_ready",
    "files.odd_numbers": "io.toml_files.out_of_range_numbers",
    "files.only_writer": "io.locks.exclusive_folder",
    "files.parse_toml": "io.toml_files.parse_toml",
    "files.read_unicode": "io.reading.read_unicode",
    "files.readable": "io.paths.printable",
    "files.resolved": "io.paths.real_path",
    "files.temporary_beside": "io.files.temporary_path",
    "files.whole_file": "io.files.atomic_write",
    "files.whole_folder": "io.files.atomic_folder",
    "folding.folded": "models.folding.faster_copy",
    "folding.twin_of": "models.folding.shallow_copy",
    "images.Picture": "signals.images.ImageTransform",
    "label_files.told_apart": "io.label_files.disambiguated",
    "loading.build": "models.model_folder.build_model",
    "loading.card_folder": "models.shipped.card_folder",
    "loading.fitted": "models.model_folder.model_with_weights",
    "loading.load_state": "models.model_folder.load_state",
    "loading.name_of_weights": "models.shipped.name_of_weights",
    "loading.network_of": "networks.registry.make_network",
    "loading.save_weights": "models.model_folder.save_weights",
    "loading.zoo": "models.shipped.zoo",
    "matching.loop.Halfway": "matching.loop.MatchState",
    "metamers.clips.check_names": "models.inputs.check_clip_names",
    "metamers.clips.read_for": "models.model.Model.read_clip",
    "metamers.evidence.Try": "metamers.evidence.AttemptRecord",
    "metamers.evidence.sha256_of": "io.hashes.sha256_of",
    "metamers.figure.ear_of": "metamers.figure.display_cochleagram",
    "metamers.whole.is_whole": "signals.integrity.is_intact",
    "models.NO_LABEL": "models.model.NO_LABEL",
    "models.check_mode": "models.checking.check_mode",
    "models.check_model": "models.checking.check_model",
    "models.check_weights": "models.checking.check_weights",
    "places.Place": "models.layer_info.LayerInfo",
    "places.expanded": "models.layer_info.expand_names",
    "places.uncalled": "models.layer_info.why_uncalled",
    "plain_pickle.check_hashing": "io.plain_pickle.check_hash_cost",
    "pooling.KnowsItsRegions": "models.pooling.SupportsMaxContribution",
    "pooling.share_of_largest": "models.pooling.max_contribution",
    "processes.began": "io.processes.start_time",
    "processes.how_it_ended": "io.processes.describe_exit",
    "processes.numbering": "io.processes.pid_namespace",
    "safe_names.as_on_any_disk": "io.names.portable_key",
    "safe_names.check_apart": "io.names.check_distinct_paths",
    "safe_names.check_beside": "io.names.check_no_case_twin",
    "stimuli.draws.date_alike": "io.draws.equalize_mtimes",
    "stimuli.export.Settings": "signals.presentation.PresentationSettings",
    "stimuli.export.Sound": "signals.presentation.Sound",
    "stimuli.export.in_sequence": "signals.presentation.in_sequence",
    "stimuli.export.pcm_wav": "signals.presentation.pcm_wav",
    "stimuli.export.presented": "signals.presentation.presentation_copy",
    "tables.Row": "io.tables.TableRow",
    "tables.guarded": "io.tables.escape_formula",
    "tables.unguarded": "io.tables.unescape_formula",
    "toml_files.attempted": "io.toml_files.problems_raised",
    "toml_files.within": "io.toml_files.error_context",
    "training.corpus.Batch": "training.excerpts.TrainingBatch",
    "training.corpus.Task": "training.corpus.ClassificationTask",
    "training.corpus.TrainingSet": "training.excerpts.TrainingSet",
    "training.corpus.batches_of": "training.excerpts.batches_of",
    "training.journal.Row": "training.journal.EpochRow",
    "training.recipe.find_recipe": "training.recipe_files.find_recipe",
    "training.recipe.shipped_recipes": "training.recipe_files.shipped_recipes",
    "training.testing.Answers": "training.testing.TaskAnswers",
    "training.testing.Condition": "training.testing.AccuracyCondition",
    "training.testing.answers": "training.testing.collect_answers",
    "training.testing.prepared_tests": "training.testing.prepare_test_set",
    "whole_numbers.LARGEST_SEED": "io.integers.MAX_SEED",
    "whole_numbers.seed_of": "io.integers.as_seed",
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
            loader: Any = _MovedModule()
            return ModuleSpec(name, loader, is_package=any(each.startswith(f"{old}.") for each in MODULES))
        spec = PathFinder.find_spec(name, path, target) if old in _OLD_MODULES else None
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _WithOldNames(spec.loader.name, spec.loader.path)
        return spec


class _MovedModule:  # no importlib.abc.Loader: importing that imports random and more, from the current folder under `python -m`
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
                _warn(f"{module.__name__}.{name}", f"{_PACKAGE}.{NAMES.get(f'{old}.{name}', f'{MODULES[old]}.{name}')}")
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
            found, names = _today(old, None, name), vars(sys.modules[module])
            if "__path__" in names:
                names[name] = found  # an import from a package looks twice
            return found
        if otherwise is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        try:
            return otherwise(name)
        except AttributeError:
            if module != _PACKAGE or name not in MODULES:
                raise
        _warn(f"{module}.{name}", f"{module}.{MODULES[name]}")  # it stood there once another name had been used
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # the same again
            return import_module(f"{module}.{name}")

    return __getattr__


def _today(old: str, module: ModuleType | None, name: str) -> Any:
    """What an old name means today: by the table, or the same name of a module."""
    return _resolve(f"{_PACKAGE}.{NAMES[old]}") if old in NAMES else getattr(module, name)


def _resolve(path: str) -> Any:
    owner, _, name = path.rpartition(".")
    try:
        return getattr(import_module(owner), name)
    except ModuleNotFoundError:
        if not owner.rpartition(".")[2][:1].isupper():
            raise
        return getattr(_resolve(owner), name)  # a method of a class


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is now {new}; the old name goes away in version 0.3", DeprecationWarning, stacklevel=3)


def install() -> None:
    """Let imports find what has moved."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
