"""The page's own sentences: a TOML file for each language; English and German are included, users may add their own."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from markdown_it import MarkdownIt

from audiometamer.errors import AudioMetamerError, did_you_mean
from audiometamer.io.reading import read_unicode
from audiometamer.io.toml_files import parse_toml

TEXTS_FOLDER = Path(__file__).parent / "texts"  # a folder for each language
_SENTENCES = "sentences.toml"
_ORIGINAL = "en"  # all others must have its keys and placeholders
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_PLACEHOLDER = re.compile(r"\{(.*?)\}")
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


class SentenceCatalogue(NamedTuple):
    """All sentences in one language.

    Parameters
    ----------
    language : str
        Language tag (BCP 47), as in ``de`` or ``pt-BR``.
    sentences : dict of str to str
        Sentences by key, as in ``buttons.begin``; whole screens are Markdown. Placeholders stand in braces.
    """

    language: str
    sentences: dict[str, str]

    @property
    def rendered(self) -> dict[str, str]:
        """The sentences as the page needs them: whole screens as HTML."""
        return {key: html_of(text) if _is_screen(key) else text for key, text in self.sentences.items()}


def html_of(text: str) -> str:
    """Render Markdown as HTML; tags in it are shown as text."""
    return str(_MARKDOWN.render(text))


def _is_screen(key: str) -> bool:
    return key.startswith("screens.") or key.endswith(".welcome_back")


def shipped() -> list[str]:
    """The languages of the shipped texts and sentences."""
    return sorted(path.parent.name for path in TEXTS_FOLDER.glob(f"*/{_SENTENCES}"))


def shipped_file(language: str) -> Path:
    """The sentences of a shipped language; raises if it is not shipped."""
    if language not in shipped():
        raise AudioMetamerError(
            f"{language!r} is not shipped; {' and '.join(shipped())} are. For another, translate what `audiometamer experiment "
            "sentences` prints, and name the file in texts.sentences"
        )
    return TEXTS_FOLDER / language / _SENTENCES


@cache
def shipped_catalogue(language: str) -> SentenceCatalogue:
    """The sentences of a shipped language; raises if it is not shipped."""
    return read_catalogue(shipped_file(language))


def read_catalogue(path: Path) -> SentenceCatalogue:
    """Read a file of sentences.

    Raises
    ------
    AudioMetamerError
        If it cannot be read or is incomplete; all problems are named.
    """
    try:
        content = parse_toml(read_unicode(path))
    except (OSError, ValueError) as error:
        raise AudioMetamerError(f"{path} cannot be read as TOML: {getattr(error, 'strerror', None) or error}") from error
    language, sentences = content.pop("language", None), dict(_flat(content))
    if found := [*_problems_of_language(language), *_problems(sentences, path)]:
        raise AudioMetamerError(f"{path}: {'; '.join(found)}")
    return SentenceCatalogue(str(language), sentences)


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _problems_of_language(language: object) -> Iterator[str]:
    if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
        found = "" if language is None else f" and not {language!r}"
        yield f"language must be the name of its language, as in 'fr' or 'pt-BR'{found}"


def _problems(sentences: Mapping[str, Any], path: Path) -> Iterator[str]:
    """Differences in keys and placeholders from the English file."""
    if path == shipped_file(_ORIGINAL):
        return
    original = shipped_catalogue(_ORIGINAL).sentences
    if lacking := [key for key in original if key not in sentences]:
        yield f"it lacks {', '.join(lacking)}"
    for key, sentence in sentences.items():
        if key not in original:
            yield f"there is no sentence {key!r}{did_you_mean(key, original)}"
        elif not isinstance(sentence, str) or not sentence.strip():
            yield f"{key} must be a text, not {sentence!r}"
        elif (found := _placeholders(sentence)) != (wanted := _placeholders(original[key])):
            yield f"{key} must hold {_listed(wanted)}, not {_listed(found)}"


def _placeholders(sentence: str) -> set[str]:
    return set(_PLACEHOLDER.findall(sentence))


def _listed(placeholders: set[str]) -> str:
    return " and ".join(f"{{{name}}}" for name in sorted(placeholders)) or "nothing in braces"
