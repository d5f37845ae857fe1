"""Damaged files of every kind that commands read beside TOML, sounds and weights: tables, JSON, answers, archives, databases.

Usage: ``python tests/endurance/fuzz_files.py [CASES [SEED [KIND …]]]`` (default: 50 of each kind, seed 0).

Each case takes a small world in which every command works, damages one file of a kind in it, by its structure (cells, values,
lines, rows, members of an archive) or by its bytes, and runs one of the commands that read it. It prints a line for each kind,
which must say "0 kinds of fault"; faults are those of ``fuzz_toml.py``. A file that met one is left in the current folder. The
exit status is 0 if there is none, and 1 otherwise.
"""

import contextlib
import csv
import io
import json
import random
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import fuzz_commands
import fuzz_toml
import fuzzing
from tiny_experiment import all_messages

from audiometamer.cli import main
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.list_names import list_names

_HERE = Path.cwd()
_MEMORY = 10 << 30  # bytes
_SERVED = 1.0  # seconds
_QUICK = " ".join(fuzz_commands.QUICK)
_MODEL = " ".join(fuzz_commands.MODEL)
_DATES = ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-23:59", "2026-03-01", "2026-13-45T99:99:99Z", "1e400", "1_0"]


class Kind(NamedTuple):
    """Which files of the world are damaged (patterns), which commands read them, and what of the world they may change."""

    files: tuple[str, ...]
    commands: tuple[str, ...]
    needs: tuple[str, ...]
    stop: float | None = None


_SET = (
    "status made", "status made --json", "stimuli index made", "stimuli verify made", "run plan.toml --device cpu",
    "stimuli export made --to psychopy --out o", "stimuli export made --to bids --out o", "stimuli select made --out o",
    "report made --out o.html", "experiment build made --design design.toml --out o",
    "evaluate made --models tiny_models:sound_model --resamples 10 --device cpu --out o",
)  # fmt: skip
_SERVING = "--port 0"
KINDS: dict[str, Kind] = {
    "clips": Kind(
        ("clips.csv",),
        ("plan check plan.toml --device cpu", "run plan.toml --device cpu", "stimuli index made --clips clips.csv",
         f"synth clips.csv {_QUICK} --steps 1 --out o", f"null clips.csv {_QUICK} --pairs 3 --out o.json"),
        ("made",),
    ),
    "items": Kind(("made/items/*/*/*/item.json",), _SET, ("made",)),
    "set": Kind(("made/*",), (*_SET, "run made/plan.toml --device cpu"), ("made",)),
    "claims": Kind(
        ("unmade/claims/*", "unmade/items/*/*/*/*.json"),
        ("status unmade", "run unmade/plan.toml --device cpu", "stimuli verify unmade", "stimuli index unmade"),
        ("unmade",),
        3,  # others' claims are waited for
    ),
    "records": Kind(
        ("metamers/*/*/*.json", "metamers/index.tsv"),
        ("report metamers --out o.html", f"synth c0.wav {_QUICK} --steps 2", f"synth c1.wav {_QUICK} --steps 2",
         "evaluate metamers --models tiny_models:sound_model --resamples 10 --device cpu --out o"),
        ("metamers",),
    ),
    "null": Kind(("null.json",), (f"synth c0.wav {_QUICK} --steps 1 --out o --null null.json",), ()),
    "collected": Kind(
        ("sent.jsonl", "sent.zip", "sent.csv"),
        ("experiment collect experiment {} --answers o.db --response key_resp.keys",),
        (),
    ),
    "answers": Kind(
        ("answers.db",),
        ("experiment export experiment --answers answers.db --out o",
         "experiment links experiment --answers answers.db --count 1",
         "experiment release experiment --answers answers.db 1 --reason x",
         "experiment collect experiment sent.jsonl --answers answers.db",
         f"experiment serve experiment --answers answers.db {_SERVING}"),
        (),
    ),
    "explored": Kind(
        ("explored.db",),
        ("explore analyse xexperiment --answers explored.db --resamples 10 --catch 0 --out o",
         f"explore serve xexperiment --answers explored.db {_SERVING}"),
        (),
    ),
    "experiment": Kind(
        ("experiment/*.*", "experiment/texts/*"),
        ("experiment export experiment --answers answers.db --out o", "experiment pack experiment --to static --out o",
         "experiment pack experiment --to jatos --out o", "experiment pack experiment --to psychopy --out o",
         "experiment links experiment --answers answers.db", f"experiment serve experiment --answers answers.db {_SERVING}",
         "experiment collect experiment sent.jsonl --answers o.db",
         "experiment analyse trials.tsv --experiment experiment --resamples 10 --permutations 10 --out o",
         "experiment analyse trials.tsv --key experiment/key.json --resamples 10 --permutations 10 --out o"),
        ("experiment",),
    ),
    "exploration": Kind(
        ("xexperiment/*.*", "xexperiment/texts/*"),
        ("explore analyse xexperiment --answers explored.db --resamples 10 --catch 0 --out o",
         f"explore serve xexperiment --answers explored.db {_SERVING}"),
        ("xexperiment",),
    ),
    "trials": Kind(
        ("trials.tsv", "listeners.tsv", "participants.tsv"),
        ("experiment analyse trials.tsv --listeners listeners.tsv --participants participants.tsv --resamples 10 "
         "--permutations 10 --catch 0 --out o",
         "experiment analyse trials.tsv --resamples 10 --permutations 10 --catch 0 --logistic --bids --out o"),
        (),
    ),
    "explored trials": Kind(
        ("xtrials.tsv", "xlisteners.tsv"),
        ("explore analyse xtrials.tsv --listeners xlisteners.tsv --resamples 10 --catch 0 --out o",
         "explore analyse xtrials.tsv --resamples 10 --catch 0 --out o"),
        (),
    ),
    "selection": Kind(
        ("selection.tsv",),
        ("stimuli export set --to psychopy --out o --selection selection.tsv",
         "evaluate made --models tiny_models:sound_model --resamples 10 --device cpu --out o --selection selection.tsv"),
        (),
    ),
    "labels": Kind(
        ("labels.csv", "labels.json", "labels.txt"),
        ("import-checkpoint a.pt --network cochcnn9 --out o --labels {}",
         "evaluate metamers --models tiny_models:sound_model --resamples 10 --device cpu --out o --labels {}"),
        (),
    ),
    "recordings": Kind(
        ("data/clips.csv",),
        ("train recipe.toml --data data --out o --device cpu --workers 0", "test-model m --data data --out o --device cpu"),
        ("data",),
    ),
    "trained": Kind(
        ("half/*", "half/*/*"),
        ("train half/recipe.toml --data data --out half --device cpu --workers 0", "layers half"),
        ("half",),
    ),
    "dimensions": Kind(
        ("dimensions/relu0/*",),
        (f"explore catalogue c0.wav {_MODEL} --dimensions dimensions --strongest 1 --steps 1 --out o",
         "explore ladder ladder.toml --device cpu"),
        ("dimensions", "rungs"),
    ),
    "ladder": Kind(
        ("rungs/*/*.json", "rungs/*.tsv"),
        ("explore ladder ladder.toml --device cpu", "explore build rungs.toml --out o"),
        ("rungs",),
    ),
    "moves": Kind(
        ("catalogue/*.tsv", "catalogue/*/*.json"),
        (f"explore catalogue c0.wav {_MODEL} --dimensions dimensions --strongest 1 --steps 1 --out catalogue",
         f"explore catalogue c0.wav {_MODEL} --dimensions dimensions --strongest 1 --steps 1 --out catalogue --overwrite"),
        ("catalogue",),
    ),
    "target": Kind(("target.safetensors",), (f"synth {_QUICK} --steps 1 --target target.safetensors --out o",), ()),
    "evaluation": Kind(("evaluation/*.tsv",), ("report metamers --evaluation evaluation --out o.html",), ("evaluation",)),
    "keys": Kind(
        ("keys.json",),
        (f"experiment serve experiment --answers o.db {_SERVING} --prolific-study 5f0000000000000000000000 "
         "--prolific-audience https://a.b --prolific-keys keys.json --open prolific",),
        (),
    ),
    "private": Kind(
        ("names.key",),
        ("experiment build set --design design.toml --out o --names-key names.key",
         "explore build xdesign.toml --out o --names-key names.key",
         "stimuli export set --to psychopy --out o --names-key names.key"),
        (),
    ),
}  # fmt: skip


def prepare(folder: Path) -> None:
    """The world of the command lines, and what commands make of it."""
    fuzz_commands.prepare(folder)
    for command in (
        "explore rehearse xexperiment --out xrh --listeners 2", "experiment rehearse experiment --out rh --listeners 3",
        "train recipe.toml --data data --out half --device cpu --workers 0",
        "experiment pack experiment --to psychopy --out psychopy", "explore ladder ladder.toml --device cpu",
        "stimuli select set --out selected --balance word --seed 2",
        f"explore catalogue c0.wav {_MODEL} --dimensions dimensions --strongest 1 --steps 1 --out catalogue",
        "evaluate metamers --models tiny_models:sound_model --resamples 10 --device cpu --out evaluation --rdms",
    ):  # fmt: skip
        if main(command.split()):
            raise RuntimeError(f"{command} does not work")
    for source, name in (("rh", ""), ("xrh", "x")):
        for table in ("trials.tsv", "listeners.tsv", "participants.tsv"):
            Path(source, table).replace(f"{name}{table}")
    Path("rh/answers.db").replace("answers.db")
    Path("xrh/answers.db").replace("explored.db")
    Path("selected/selection.tsv").replace("selection.tsv")
    Path("rungs.toml").write_text(
        Path("xdesign.toml").read_text().replace('"ladder"', '"rungs"').replace("listeners = 4", "listeners = 2")
    )
    Path("names.key").write_text("0123456789abcdef" * 4 + "\n")
    Path("labels.csv").write_text("path,word\nc0.wav,no\nc1.wav,yes\nc2.wav,no\n")
    Path("labels.json").write_text('{"word": ["yes", "no", "perhaps"], "speaker": ["a", "b"]}')
    key = {"kty": "RSA", "kid": "a", "alg": "RS256", "use": "sig", "n": "s" * 342 + "Q", "e": "AQAB"}
    Path("keys.json").write_text(json.dumps({"keys": [key]}))
    _send()
    shutil.copytree("made", "unmade")
    for number, item in enumerate(sorted(Path("unmade").glob("items/*/*/*"))[:3]):
        for path in item.iterdir():
            path.unlink()
        (item / "error.json").write_text('{"message": "x", "type": "ValueError", "when": "2026-01-01T00:00:00Z"}')
        claim = {"host": "elsewhere", "pid": 1, "since": 1.0, "token": "t", "numbering": "a", "began": 1}
        name = item.name.rpartition("-")[2]
        Path("unmade/claims", name).write_text(json.dumps(claim if number else {**claim, "numbering": None}))


def _send() -> None:
    """Answers as they come from a page, from JATOS and from PsychoPy."""
    experiment = read_experiment(Path("experiment"))
    sent = []
    for number, name in enumerate(list_names(experiment)[:2], start=1):
        header = {"kind": "listener", "audiometamer": "1.0", "service": "jatos", "list": name, "listener": f"l{number}"}
        sent.append("".join(f"{json.dumps(message)}\n" for message in (header, *all_messages(experiment, number))))
    Path("sent.jsonl").write_text(sent[0])
    with zipfile.ZipFile("sent.zip", "w") as archive:
        for number, text in enumerate(sent):
            archive.writestr(f"study_result_{number}/comp-result_{number}/data.txt", text)
    with Path("psychopy/lists/list_003.csv").open() as file:
        rows = list(csv.DictReader(file))
    extra = {"participant": "p", "date": "2026-03-01_10h15.30.123", "expName": "words"}
    for row in rows:
        row |= {"key_resp.keys": row["correct_answer"], "key_resp.rt": "0.8", **extra}
    with Path("sent.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def damaged(path: Path, rng: random.Random) -> bytes:
    """The content of a file with something wrong in its structure or in its bytes."""
    content = path.read_bytes()
    damage = _DAMAGE.get(path.suffix, _key if path.suffix == ".key" else _line)
    if path.parent.name == "claims":
        damage = _json
    if rng.random() < 0.8:
        with contextlib.suppress(UnicodeDecodeError, json.JSONDecodeError, sqlite3.Error, zipfile.BadZipFile):
            return damage(content, rng)
    return fuzz_toml.torn(content, rng) if path.suffix not in _BINARY else _flipped(content, rng)


def _json(content: bytes, rng: random.Random) -> bytes:
    whole = json.loads(content)
    if not isinstance(whole, dict | list) or rng.random() < 0.03:
        whole = rng.choice([*fuzzing.STRINGS, *fuzz_toml.NUMBERS, *fuzz_toml.OTHERS, None])
    else:
        whole = fuzz_toml.mutated({"": whole}, rng).get("", None)
    if isinstance(whole, dict) and whole and rng.random() < 0.1:
        whole[rng.choice([*whole])] = rng.choice([*_DATES, None, {"a": None}])
    return json.dumps(whole, default=str).encode("utf-8", "surrogatepass")


def _json_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines()
    at, what = rng.randrange(len(lines)), rng.random()
    if what < 0.7:
        lines[at] = _json(lines[at], rng)
    elif what < 0.8:
        del lines[at]
    elif what < 0.9:
        lines.insert(rng.randrange(len(lines)), lines[at])
    else:
        lines[at] = fuzz_toml.torn(lines[at], rng)
    return b"\n".join(lines) + b"\n"


def _table(separator: str) -> Callable[[bytes, random.Random], bytes]:
    def damage(content: bytes, rng: random.Random) -> bytes:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=separator))
        for _ in range(rng.choice((1, 1, 2, 3))):
            row = rng.choice(rows) if rng.random() < 0.85 else rows[0]
            at, what = rng.randrange(len(row) or 1), rng.random()
            if what < 0.6 and row:
                row[at] = rng.choice([*fuzzing.STRINGS, *map(str, fuzz_toml.NUMBERS), *_DATES, *rng.choice(rows)])
            elif what < 0.7 and row:
                del row[at]
            elif what < 0.75:
                row.append("x")
            elif what < 0.85:
                rows.append(list(row))
            elif what < 0.92 and len(rows) > 1:
                rows.remove(row)
            else:
                rows = [one[:at] + one[at + 1 :] for one in rows]
            rows = rows or [[]]
        text = io.StringIO()
        writer = csv.writer(
            text, delimiter=rng.choice((*[separator] * 12, ";", ",")), lineterminator=rng.choice(("\n", "\r\n", "\r"))
        )
        writer.writerows(rows)
        return text.getvalue().encode("utf-8", "surrogatepass")

    return damage


def _archive(content: bytes, rng: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    name = rng.choice([*members])
    if rng.random() < 0.8:
        members[name] = _json_lines(members[name], rng)
    else:
        members[rng.choice(["../../data.txt", "/data.txt", "x" * 300 + "data.txt", "\n/data.txt", "data.txt/"])] = members.pop(
            name
        )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))) as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return _flipped(made.getvalue(), rng) if rng.random() < 0.3 else made.getvalue()


def _database(content: bytes, rng: random.Random) -> bytes:
    """One with other values, rows or tables; nothing that the schema forbids is let stand in the way."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.db")
        path.write_bytes(content)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA foreign_keys = off")
            db.execute("PRAGMA ignore_check_constraints = on")
            tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            table = rng.choice(tables)
            columns = [row[1] for row in db.execute(f'PRAGMA table_info("{table}")')]
            rows = [row for (row,) in db.execute(f'SELECT rowid FROM "{table}"')]
            what, column = rng.random(), rng.choice(columns)
            if what < 0.8 and rows:
                row = rng.choice(rows)
                (value,) = db.execute(f'SELECT "{column}" FROM "{table}" WHERE rowid = ?', (row,)).fetchone()
                with contextlib.suppress(sqlite3.IntegrityError, OverflowError):
                    db.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (_value(value, rng), row))
            elif what < 0.9 and rows:
                db.execute(f'DELETE FROM "{table}" WHERE rowid = ?', (rng.choice(rows),))
            elif what < 0.95:
                db.execute(f'DROP TABLE "{table}"')
            else:
                db.execute(f"PRAGMA user_version = {rng.choice((0, -1, 99, 2**31 - 1))}")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()


def _value(value: Any, rng: random.Random) -> Any:
    if isinstance(value, str | bytes) and value[:1] in ("{", b"{") and rng.random() < 0.8:
        found = _json(value.encode() if isinstance(value, str) else value, rng)
        return found.decode("utf-8", "surrogatepass").encode("utf-8", "replace").decode() if isinstance(value, str) else found
    return rng.choice(
        [None, b"\xff\x00", "", "x", -1, 0, 10**6, 2**63 - 1, 1e308, float("inf"), *_DATES, "x" * 5000, '"', "{}", "[]"]
    )


def _tensors(content: bytes, rng: random.Random) -> bytes:
    length = int.from_bytes(content[:8], "little")
    header = _json(content[8 : 8 + length], rng)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def _line(content: bytes, rng: random.Random) -> bytes:
    """Lines of text changed: of manifests, of prose."""
    lines = content.decode().split("\n")
    at = rng.randrange(len(lines))
    if rng.random() < 0.5:
        lines[at] = rng.choice(fuzzing.STRINGS)
    else:
        words = lines[at].split(" ")
        words[rng.randrange(len(words))] = rng.choice(fuzzing.STRINGS)
        lines[at] = " ".join(words)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _key(content: bytes, rng: random.Random) -> bytes:
    return rng.choice(
        [
            b"",
            b"\n",
            content[:10],
            content * 2,
            b"g" * 64,
            content.upper(),
            b"0" * 64,
            b" " + content,
            b"\xff" * 32,
            "٣".encode() * 64,
        ]
    )


def _flipped(content: bytes, rng: random.Random) -> bytes:
    found = bytearray(content)
    for _ in range(rng.choice((1, 3, 20))):
        at = rng.randrange(min(len(found), rng.choice((100, 4096, len(found)))) or 1)
        if rng.random() < 0.1:
            del found[at:]
        elif rng.random() < 0.2:
            del found[at : at + rng.randrange(1, 50)]
        elif found[at : at + 1]:
            found[at] = rng.randrange(256)
    return bytes(found)


_BINARY = {".db", ".zip", ".safetensors", ".parquet", ".png", ".pt"}
_DAMAGE = {
    ".json": _json, ".jsonl": _json_lines, ".tsv": _table("\t"), ".csv": _table(","), ".zip": _archive, ".db": _database,
    ".safetensors": _tensors, ".toml": lambda content, rng: fuzz_toml.text_of(fuzz_toml.tomllib.loads(content.decode()), rng),
    ".parquet": _flipped, ".png": _flipped, ".pt": _flipped,
}  # fmt: skip


def fuzz(world: Path, folder: Path, name: str, cases: int, seed: int) -> fuzzing.Account:
    """Run a kind's cases in a folder that is the world, of which a copy is kept; returns how they ended."""
    rng, account, kind = random.Random(f"{name} {seed}"), fuzzing.Account(), KINDS[name]
    files = sorted({path for pattern in kind.files for path in folder.glob(pattern) if path.is_file() and path.stat().st_size})
    groups = [[path for path in files if path.match(pattern)] for pattern in kind.files]
    if not all(groups):
        raise RuntimeError(f"{name}: no {kind.files[groups.index([])]}")
    kept = {path.name for path in world.iterdir()}
    for case in range(cases + len(kind.commands)):
        path = rng.choice(rng.choice(groups))
        text = path.read_bytes()
        whole = case < len(kind.commands)
        command = kind.commands[case] if whole else rng.choice(kind.commands)
        content = text if whole else damaged(path, rng)
        path.write_bytes(content)
        words = command.format(path.relative_to(folder)).split()
        fault = account.add(words, stop=kind.stop or (_SERVED if "serve" in words else 4 if "train" in words else None))
        if fault:
            (_HERE / f"fuzz-{name.replace(' ', '-')}-{seed}-{case}-{path.name}").write_bytes(content)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(text)
        fuzzing.tidy(folder, kept)
        for need in kind.needs:
            shutil.rmtree(folder / need, ignore_errors=True)
            shutil.copytree(world / need, folder / need, symlinks=True)
        for each in (each for each in world.iterdir() if each.is_file()):
            if not (folder / each.name).exists() or (folder / each.name).stat().st_mtime_ns != each.stat().st_mtime_ns:
                shutil.copy2(each, folder / each.name)
    return account


def _main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    cases, seed, *names = [*sys.argv[1:], *("50", "0")[len(sys.argv) - 1 :]]
    status = 0
    with fuzzing.scratch() as folder, tempfile.TemporaryDirectory() as kept:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            prepare(folder)
        world = Path(kept, "world")
        shutil.copytree(folder, world, symlinks=True)
        for name in names or KINDS:
            begun = time.time()
            account = fuzz(world, folder, name, int(cases), int(seed))
            status |= account.report(f"{name}, seed {seed}, {fuzzing.elapsed(begun)}")
        for stray in fuzzing.outside(folder):
            print(f"  written outside: {stray}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(_main())
