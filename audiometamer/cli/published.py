"""``audiometamer published``: networks and sounds of papers: what there is, and what is here."""

import shlex
from pathlib import Path

import click
import msgspec
from rich.filesize import decimal

from audiometamer.cli import fetching
from audiometamer.cli.groups import Group
from audiometamer.cli.printing import paragraph, plain_table, print_table
from audiometamer.cli.published_check import check
from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import json_text
from audiometamer.models.published import Published, published_entry, published_home
from audiometamer.models.published import published as registered

_DESCRIBED = 20  # entries at most, of which the list shows what they are

_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group(cls=Group)
def published() -> None:
    """Networks and sounds that papers published: fetched once, then used by name, as in --model feather2023/cochresnet50."""


published.add_command(check)


@published.command("list")
@click.argument("text", default="")
@click.option("--json", "as_json", is_flag=True, help="Print all that is known of them as JSON.")
def list_published(text: str, as_json: bool) -> None:
    """List the networks and sounds of papers, or those whose name, description, paper or repository contains TEXT."""
    entries = [each for each in registered().values() if text.casefold() in _searched(each)]
    if as_json:
        click.echo(json_text({each.name: msgspec.to_builtins(each) | {"here": each.is_here} for each in entries}))
        return
    if not entries:
        raise AudioMetamerError(f"nothing published contains {text!r}")
    table = plain_table("name", "here", numbers=["on disk", "source"])
    for each in entries:
        kept = decimal(round(each.kept_gigabytes() * 1e9)) if each.kind == "network" else ""
        table.add_row(each.name, "yes" if each.is_here else "", kept, decimal(round(each.gigabytes * 1e9)))
    print_table(table)
    if len(entries) <= _DESCRIBED:
        click.echo()
        for each in entries:
            click.echo(paragraph(f"{each.name}: {each.what}.", indent=0))
        click.echo()
        for paper in dict.fromkeys(each.paper for each in entries):
            click.echo(paragraph(paper, indent=0))
    click.echo()
    closing = f"""
        on disk: the network's folder; source: the archive or file that it is taken from. `audiometamer published list TEXT`
        describes what it finds; `audiometamer published get NAME` fetches NAME to {published_home()}
        (AUDIOMETAMER_HOME moves it).
    """
    click.echo(paragraph(" ".join(closing.split()), indent=0))


def _searched(entry: Published) -> str:
    return f"{entry.name} {entry.what} {entry.paper} {entry.repository}".casefold()


@published.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--from", "sources", type=click.Path(path_type=Path, exists=True), multiple=True, metavar="FILE",
    help="An archive that you have already, the folder it was unpacked into, or a single file; may be given several times. "
    "Nothing is then fetched from the internet.",
)  # fmt: skip
@click.option("--trust", is_flag=True, help="Read a checkpoint even if it runs code; only if you trust its authors.")
@_yes
def get(names: tuple[str, ...], sources: tuple[Path, ...], trust: bool, yes: bool) -> None:
    """Fetch NAMEs of `audiometamer published list`, and make them ready for use.

    A network becomes the folder of a model. Only its file is taken out of the archive. An interrupted fetch resumes when the
    command is called again. Each file's SHA-256 is recorded at the first download, and checked every time after. No code in a
    pickle is run unless you --trust it.
    """
    for name in names:
        published_entry(name)
    if not sources:
        fetching.confirm(names, yes=yes)
    for name, folder in fetching.fetch(names, sources=sources, trust=trust).items():
        entry = published_entry(name)
        use = "" if entry.kind == "data" else f": audiometamer synth MY.wav --model {shlex.quote(name)}"
        click.echo(f"{name} is here ({folder}){use}")


@published.command("clean")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@_yes
def clean_home(names: tuple[str, ...], yes: bool) -> None:
    """Remove what was fetched: NAMEs, or all with unfinished downloads. The records of SHA-256 stay."""
    from audiometamer.published.fetching import clean, sizes

    found = sizes(names or None)
    if not found:
        click.echo("nothing to remove")
        return
    total = sum(found.values())
    for name, size in found.items():
        click.echo(f"{name}: {decimal(size)}")
    for entry in map(published_entry, names):
        if entry.name != entry.original:
            click.echo(f"{entry.name} is made from {entry.original}, which is removed")
    if total / 1e9 >= fetching.LARGE and not yes:
        fetching.agree(f"remove {decimal(total)}", "nothing was removed")
    click.echo(f"removed {decimal(clean(names or None))}")
