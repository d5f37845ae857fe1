"""What docstrings, comments and documentation refer to exists, and the guide agrees with the import contracts."""

import ast
import importlib
import re
import tomllib
from collections import defaultdict
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path

import click
import pytest

from audiometamer.cli import audiometamer

ROOT = Path(__file__).parents[1]
OURS = [path for path in sorted(ROOT.glob("audiometamer/**/*.py")) if path.name != "_moved.py"]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
GROUPS = {"audiometamer.models", "audiometamer.front_ends", "audiometamer.networks"}  # of entry points
QUOTED = re.compile(r"(?<!`)(`{1,2})([^`\n]+)\1(?!`)")
DOTTED = re.compile(r"(?<![\w./-])(?:am|audiometamer)(?:\.[A-Za-z_]\w*)+(?!\w)")
CODED = re.compile(r"_?[a-z][a-z0-9]*(?:_[a-z0-9]+)+|_?(?:[A-Z][a-z0-9]+){2,}")  # snake_case and CamelCase
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LIBRARIES = ("torch.", "torch_geometric.", "torchaudio.", "numpy.", "scipy.")
# Names that other programs and formats have, or that are made of parts.
FOREIGN = {
    "WhisperFeatureExtractor": "transformers",
    "_normalize_waveform": "torchaudio",
    "a1_in1k": "timm",
    "cochleagram_l2_1": "rows of test-model",
    "cred_expire": "slurm.conf",
    "layer1_fake_relu": "the published networks",
    "low_passed_4_khz": "rows of test-model",
    "relu0_fakerelu": "the published networks",
    "snr_0_db": "rows of test-model",
    "which_set": "Speech Commands",
    "word_idx_to_word": "the published labels",
}


@cache
def tree(path):
    return ast.parse(path.read_text())


def docstrings_and_comments(path):
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    yield from filter(None, (ast.get_docstring(node) for node in ast.walk(tree(path)) if isinstance(node, documented)))
    yield from re.findall(r"#.*", path.read_text())


def prose(path):
    if path.suffix == ".py":
        return "\n".join(docstrings_and_comments(path))
    return FENCED.sub("", path.read_text())


def quoted(path):
    return [text for _, text in QUOTED.findall(prose(path))]


def exists(reference):
    """Whether a dotted name is that of a module, or of something in one."""
    names = re.sub(r"^am\b", "audiometamer", reference).split(".")
    for length in range(len(names), 0, -1):
        with suppress(ImportError):
            place = importlib.import_module(".".join(names[:length]))
            return has(place, names[length:])
    return False


def has(place, names):
    for name in names:
        if name in getattr(place, "__annotations__", {}):  # a field without a default
            return True
        if not hasattr(place, name):
            return False
        place = getattr(place, name)
    return True


@cache
def names_in_code():
    """All names that the package's code uses, and its strings that are names: keys, columns, options."""
    names = {"audiometamer"}
    for node in chain.from_iterable(ast.walk(tree(path)) for path in OURS):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                names.add(name)
            case ast.alias(name=name):
                names.update(name.split("."))
            case ast.Constant(value=str(text)) if text.isidentifier():
                names.add(text)
    return names | {path.stem for path in OURS} | {path.parent.name for path in OURS}


def test_dotted_names():
    references = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in [*OURS, *PAGES]
        for text in quoted(path)
        for name in DOTTED.findall(text)
        if name not in GROUPS
    }
    assert len(references) > 100
    assert [reference for reference in sorted(references) if not exists(reference[1])] == []


def test_names_in_docstrings_and_comments():
    known = names_in_code() | set(FOREIGN)
    named = {
        (path.relative_to(ROOT).as_posix(), text.removesuffix("()").rpartition(".")[2])
        for path in OURS
        for text in quoted(path)
        if re.fullmatch(r"[A-Za-z_][\w.]*(\(\))?", text) and text not in GROUPS and not text.startswith(LIBRARIES)
    }
    named = {(path, name) for path, name in named if CODED.fullmatch(name)}
    assert len(named) > 200
    assert [(path, name) for path, name in sorted(named) if name not in known] == []


def test_documented_parameters():
    documented = [
        (f"{path.relative_to(ROOT)}: {node.name}", name, accepted(node))
        for path in OURS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for name in parameters_in(ast.get_docstring(node) or "")
    ]
    assert len(documented) > 1000
    assert [(where, name) for where, name, names in documented if name not in names and "**" not in names] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_on_pages(page):
    code = [ast.parse(block) for language, block in FENCED.findall(page.read_text()) if language == "python"]
    unknown = [name for block in code for name in imported(block) | attributes(block) if not exists(name)]
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_on_pages(page):
    text = page.read_text().replace("\\\n", " ")
    lines = [line for _, block in FENCED.findall(text) for line in block.splitlines()]
    for line in [*lines, *(quote for _, quote in QUOTED.findall(FENCED.sub("", text)))]:
        words = re.sub(r"#.*", "", line).split()
        if words[:1] == ["audiometamer"]:
            command, options = command_of(words[1:])
            known = {name for parameter in command.params for name in [*parameter.opts, *parameter.secondary_opts]}
            assert options - known - {"--help", "--version"} == set(), line


def parameters_in(docstring):
    """The names under the heading Parameters."""
    _, _, section = docstring.partition("Parameters\n----------\n")
    section = re.split(r"\n\n\w+\n---", section)[0]
    lines = re.findall(r"^(\*{0,2}\w+(?:, \w+)*)(?: :.*)?$", section, re.MULTILINE)
    return [name.lstrip("*") for line in lines for name in line.split(", ")]


def accepted(node):
    """The parameters of a function, or of a class: its fields and those of its bases; with ``**`` if it takes any."""
    if not isinstance(node, ast.ClassDef):
        arguments = node.args
        plain = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        return {argument.arg for argument in plain if argument} | ({"**"} if arguments.kwarg else set())
    names = {statement.target.id for statement in node.body if isinstance(statement, ast.AnnAssign)}
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name in ("__init__", "__new__"):
            names |= accepted(statement)
    for base in node.bases:
        for inherited in classes().get(base.id, ()) if isinstance(base, ast.Name) else ():
            names |= accepted(inherited)
    return names


@cache
def classes():
    found = defaultdict(list)
    for path in OURS:
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef):
                found[node.name].append(node)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_on_pages(page):
    named = set(re.findall(r"(?<![\w./-])(?:audiometamer|tests|docs|benchmarks|examples)/[\w/]+\.\w+", page.read_text()))
    linked = set(re.findall(r"\]\(([^)#:]+)", page.read_text()))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    assert [name for name in sorted(linked) if not (page.parent / name).exists()] == []


def test_the_guide_lists_the_rooms_in_the_order_of_imports():
    cells = re.findall(r"^\| ((?:`\w+/`(?:, )?)+) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    rooms = [room for cell in cells for room in re.findall(r"\w+", cell)]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    heights = {name.split(".")[1]: -k for k, layer in enumerate(layers) for name in layer.split(" | ")}
    assert sorted(rooms) == sorted(path.parent.name for path in ROOT.glob("audiometamer/*/__init__.py"))
    assert [heights[room] for room in rooms] == sorted(heights[room] for room in rooms)


def imported(block):
    """Dotted names of what a piece of code imports from the package."""
    names = set()
    for node in ast.walk(block):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("audiometamer"):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("audiometamer.")}
    return names


def attributes(block):
    return {name for node in ast.walk(block) if isinstance(node, ast.Attribute) for name in DOTTED.findall(ast.unparse(node))}


def command_of(words):
    """The command that a line calls, and the long options it gives."""
    command = audiometamer
    context = click.Context(command)
    while isinstance(command, click.Group) and words and command.get_command(context, words[0]):
        command, words = command.get_command(context, words[0]), words[1:]
    return command, {match for word in words for match in re.findall(r"^\[?(--[a-z][a-z0-9-]*)", word)}
