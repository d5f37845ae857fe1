"""The page's own sentences: shipped in two languages, brought by users in others; whatever a file lacks is named."""

import json
import re

import pytest
from tiny_experiment import DESIGN, build_experiment, write_design, write_stimuli

from audiometamer.cli import main
from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.build import build
from audiometamer.experiment.design import Design, read_design
from audiometamer.experiment.pack import pack
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.design import TEXTS, read_text
from audiometamer.listening.sentences import read_catalogue, shipped, shipped_catalogue, shipped_file

STATIC = shipped_file("en").parents[2] / "pages" / "static"


def test_german_has_every_sentence_of_english():
    assert shipped() == ["de", "en"]
    english, german = (shipped_catalogue(language).sentences for language in ("en", "de"))
    assert english.keys() == german.keys()
    assert not [key for key in english if english[key] == german[key]]


def test_the_page_says_what_is_in_the_catalogue_and_nothing_else():
    """Every sentence that the scripts ask for is there, and every sentence that is there is asked for."""
    scripts = "".join(path.read_text(encoding="utf-8") for path in STATIC.rglob("*.js"))
    keys = shipped_catalogue("en").sentences.keys()
    named = {*re.findall(r"""["`]((?:\w+\.)+[\w-]+)["`]""", scripts)} & set(keys)
    computed = {key for key in keys if re.match(r"(sounds|images|intervals|errors|page|screens|feedback|buttons\.noise)", key)}
    assert keys == named | computed
    asked = {*re.findall(r"""(?:sentence|sentenceAround)\("([^"]+)\"""", scripts)}
    prefixed = {
        f"{kind}.{name}" for name in re.findall(r"""(?:stimuli|sounds)\.sentence\("(\w+)\"""", scripts) for kind in ("sounds",)
    }
    assert {key for key in asked if "." in key} | prefixed <= keys
    codes = {*re.findall(r"""refusal\(\d+, "(\w+)"\)|code: "(\w+)\"""", scripts)}
    assert {f"errors.{code}" for pair in codes for code in pair if code} <= keys


def changed(tmp_path, *pairs):
    text = shipped_file("en").read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "fr.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_all_that_a_file_lacks_is_named(tmp_path):
    path = changed(
        tmp_path, ('begin = "Begin"\n', ""), ('submit = "Submit"', 'submitt = "Envoyer"'), ("{done} of {all}", "{done}"),
        ('save = "Save my answers"', 'save = ""'), ('right = "Right"', "right = 3"), ('language = "en"', 'language = "french!"'),
        ('choose = "Choose …"', 'choose = "{x}"'),
    )  # fmt: skip
    with pytest.raises(AudioMetamerError) as error:
        read_catalogue(path)
    assert str(error.value).startswith(f"{path}: ")
    assert {*str(error.value).removeprefix(f"{path}: ").split("; ")} == {
        "language must be the name of its language, as in 'fr' or 'pt-BR' and not 'french!'",
        "it lacks buttons.begin, buttons.submit", "there is no sentence 'buttons.submitt'", "did you mean 'buttons.submit'?",
        "buttons.save must be a text, not ''", "feedback.right must be a text, not 3",
        "screens.rest must hold {all} and {done}, not {done}",
        "questions.choose must hold nothing in braces, not {x}",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        (b"", "language must be.*it lacks page.title, "),
        (b"[", "cannot be read as TOML"),
        (b"\xff", "cannot be read"),
        (None, "No such"),
    ],
)
def test_files_that_are_none(tmp_path, content, reported):
    if content is not None:
        (tmp_path / "fr.toml").write_bytes(content)
    with pytest.raises(AudioMetamerError, match=reported):
        read_catalogue(tmp_path / "fr.toml")
    with pytest.raises(AudioMetamerError, match=rf"design\.toml: texts\.sentences: .*{reported}"):
        read_design(write_design(tmp_path, DESIGN + '[texts]\nsentences = "fr.toml"\n'))


def test_a_language_that_is_not_shipped(tmp_path):
    with pytest.raises(
        AudioMetamerError, match=r"texts\.language: 'fr' is not shipped; de and en are\. .*experiment sentences"
    ) as e:
        read_design(write_design(tmp_path, DESIGN + '[texts]\nlanguage = "fr"\n'))
    assert "\n" not in str(e.value)


def sentences(page):
    return json.loads((page / "sentences.js").read_text(encoding="utf-8").removeprefix("export const SENTENCES = ").rstrip(";\n"))


def test_a_german_experiment(tmp_path):
    experiment = read_experiment(build_experiment(tmp_path, DESIGN + '[texts]\nlanguage = "de"\n'))
    page = experiment.folder / "page"
    index = (page / "index.html").read_text(encoding="utf-8")
    assert '<html lang="de">' in index
    assert "<title>Hörversuch</title>" in index
    assert 'aria-label="Fortschritt"' in index
    assert "{" not in index
    assert sentences(page)["buttons.submit"] == "Absenden"
    assert sentences(page)["screens.main"].startswith("<h1>Der Hauptteil</h1>\n<p>Alles ist bereit.")
    assert experiment.texts["instructions"].startswith(
        "# Ihre Aufgabe\n\nJeder Klang wird einmal abgespielt. Hören Sie zu und tippen"
    )
    assert experiment.texts["consent"].startswith("# Bevor Sie beginnen")
    pack(experiment.folder, tmp_path / "packed", to="static")
    assert '<html lang="de">' in (tmp_path / "packed" / "index.html").read_text(encoding="utf-8")
    assert sentences(tmp_path / "packed" / "page") == sentences(page)


def test_sentences_of_the_users_own(tmp_path, capsys):
    """The command prints what is to be translated; the folder needs the file no more once it is built."""
    assert main(["experiment", "sentences"]) == 0
    text = capsys.readouterr().out
    assert text == shipped_file("en").read_text(encoding="utf-8")
    assert main(["experiment", "sentences", "--language", "de"]) == 0
    assert capsys.readouterr().out == shipped_file("de").read_text(encoding="utf-8")
    path = tmp_path / "fr.toml"
    french = (
        text.replace('language = "en"', 'language = "fr"')
        .replace('"Begin"', '"Commencer <b>&</b>"')
        .replace("Progress", "Prog<rès")
    )
    path.write_text(french, encoding="utf-8")
    design = write_design(tmp_path, DESIGN + '[texts]\nsentences = "fr.toml"\n')
    build(write_stimuli(tmp_path / "set"), design, tmp_path / "experiment")
    path.unlink()
    read_experiment(tmp_path / "experiment")
    assert sentences(tmp_path / "experiment" / "page")["buttons.begin"] == "Commencer <b>&</b>"
    index = (tmp_path / "experiment" / "page" / "index.html").read_text(encoding="utf-8")
    assert '<html lang="fr">' in index
    assert 'aria-label="Prog&lt;rès"' in index


def test_tags_in_screens_are_shown_and_not_followed(tmp_path):
    path = changed(tmp_path, ("# Practice\n", "# Practice <img src=x onerror=alert(1)>\n"))
    assert "<img" not in read_catalogue(path).rendered["screens.practice"]


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(
    ("kind", "of", "en", "de"),
    [
        ("typed", "word", "type the word", "tippen Sie dann das Wort"), ("typed", "speaker", "type who", "tippen Sie dann, wer"),
        ("choice", "word", "choose the word", "wählen Sie dann das Wort"),
        ("choice", "speaker", "choose who", "wählen Sie dann, wer"),
        ("abx", "word", "the third is one of these two", "das dritte ist eines"),
        ("odd-one-out", "word", "Two of them are the same", "Zwei davon sind gleich"),
    ],
)  # fmt: skip
def test_the_instructions_are_those_of_the_task(tmp_path, language, kind, of, en, de):
    design = Design(title="x", listeners=1)
    texts = f'[texts]\nlanguage = "{language}"\n[answers]\nkind = "{kind}"\nof = "{of}"\n'
    rest = "[catch]\ntrials = 0\n[practice]\ntrials = 0\n[demonstration]\ntrials = 0\n" if kind in ("abx", "odd-one-out") else ""
    design = read_design(write_design(tmp_path, f'title = "x"\nlisteners = 1\n{texts}{rest}'))
    found = {name: " ".join(read_text(tmp_path / "design.toml", design, name).split()) for name in TEXTS}
    assert {"en": en, "de": de}[language] in found["instructions"]
    others = {"en": ("Aufgabe", "Sie"), "de": ("What", "sound")}[language]
    assert not any(other in text for other in others for text in found.values())
