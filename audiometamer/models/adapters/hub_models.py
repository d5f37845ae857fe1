"""Audio networks of the Hugging Face Hub at a revision: ``hub:facebook/wav2vec2-base-960h@main``; no code comes along."""

import re
from pathlib import Path

from audiometamer.errors import AudioMetamerError, first_line
from audiometamer.models.adapters import transformers_models
from audiometamer.models.adapters.packages import imported
from audiometamer.models.model import Model

_SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json")
_TENSORS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
_PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")
_NAME = re.compile(r"(?P<repository>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[^@\s]+))?")


def load(text: str) -> Model:
    """A network of the Hugging Face Hub, of a type that transformers and `transformers_models` know.

    Parameters
    ----------
    text : str
        ``REPOSITORY`` or ``REPOSITORY@REVISION``: a branch, a tag or, for the same weights ever after, a commit. Default: main.

    Returns
    -------
    Model
        Named after the repository, in float32.

    Raises
    ------
    AudioMetamerError
        If huggingface_hub or transformers is not installed, the repository cannot be had, or it holds no such network.
    """
    repository, revision = _parts(text)
    model = transformers_models.load(str(snapshot(repository, revision)))
    model.name = repository.split("/")[-1]
    return model


def bytes_to_fetch(text: str) -> int:
    """Bytes that `load` would download; 0 if all is in the cache, or if nobody can say.

    Parameters
    ----------
    text : str
        As in `load`.
    """
    repository, revision = _parts(text)
    hub = imported("huggingface_hub", extra="speech")
    try:
        files = hub.snapshot_download(
            repository, revision=revision, allow_patterns=[*_SETTINGS, *_TENSORS, *_PICKLES], dry_run=True
        )
    except Exception:  # noqa: BLE001 (as below; `load` says what is wrong)
        return 0
    has_tensors = any(file.filename.endswith(".safetensors") for file in files)
    wanted = [file for file in files if not (has_tensors and ".bin" in file.filename)]
    return sum(file.file_size or 0 for file in wanted if file.will_download)


def _parts(text: str) -> tuple[str, str | None]:
    """Repository and revision."""
    if not (found := _NAME.fullmatch(text)):
        raise AudioMetamerError(
            f"hub:{text} names no repository; the form is hub:OWNER/NAME or hub:OWNER/NAME@REVISION, and that of a folder "
            "transformers:FOLDER"
        )
    return found["repository"], found["revision"]


def snapshot(repository: str, revision: str | None = None) -> Path:
    """The folder of a repository's network in huggingface_hub's own cache, downloaded if it is not there.

    Only configurations and weights are fetched: safetensors; where there are none, the pickle, of which only tensors are read.
    Without a network, or where ``HF_HUB_OFFLINE`` is set, what is in the cache is used.

    Parameters
    ----------
    repository : str
        For example ``MIT/ast-finetuned-audioset-10-10-0.4593``.
    revision : str, optional
        Branch, tag or commit. Default: main.

    Raises
    ------
    AudioMetamerError
        If huggingface_hub is not installed; if the repository or revision does not exist, is private, asks for its terms to be
        accepted, or cannot be reached and is not in the cache; or if it holds no weights for torch.
    """
    hub = imported("huggingface_hub", extra="speech")
    for weights in (_TENSORS, _PICKLES):
        try:
            folder = Path(hub.snapshot_download(repository, revision=revision, allow_patterns=[*_SETTINGS, *weights]))
        except Exception as error:  # of the Hub, of its HTTP client or of the disk: no list would be complete
            raise AudioMetamerError(_reason(hub.errors, error, repository, revision)) from error
        if any(file for pattern in weights for file in folder.glob(pattern)):
            return folder
    raise AudioMetamerError(f"hub:{repository} holds no weights for torch: neither {_TENSORS[0]} nor {_PICKLES[0]}")


def _reason(errors: object, error: Exception, repository: str, revision: str | None) -> str:
    """What kept huggingface_hub from fetching a repository; `errors` is its module of errors."""
    kinds = {name: getattr(errors, name) for name in ("GatedRepoError", "RepositoryNotFoundError", "RevisionNotFoundError")}
    if isinstance(error, kinds["GatedRepoError"]):
        return f"hub:{repository} asks for its terms to be accepted on its page on huggingface.co, and then for `hf auth login`"
    if isinstance(error, kinds["RepositoryNotFoundError"]):
        return f"the Hugging Face Hub has no repository {repository!r}, or it is private: then `hf auth login`"
    if isinstance(error, kinds["RevisionNotFoundError"]):
        return f"hub:{repository} has no revision {revision!r}; give a branch, a tag or a commit"
    if isinstance(error, FileNotFoundError):  # neither in the cache nor reachable
        why = first_line(error.__cause__ or error)
        return f"hub:{repository} is not complete in the cache of huggingface_hub, and cannot be fetched: {why}"
    return f"hub:{repository} cannot be fetched: {first_line(error)}"
