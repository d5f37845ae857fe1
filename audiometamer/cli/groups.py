"""Groups of commands whose help has headings and complete descriptions."""

from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Any

import click


class Group(click.Group):
    """A group of commands.

    Parameters
    ----------
    headings : mapping of str to sequence of str
        Names of commands by heading, in the order of the help. Commands without a heading come first. Default: no headings.
    """

    def __init__(self, *args: Any, headings: Mapping[str, Sequence[str]] | None = None, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.headings = dict(headings or {})

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's)
        named = [name for names in self.headings.values() for name in names]
        return [*(name for name in self.commands if name not in named), *named]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        listed = self.list_commands(ctx)
        named = {name: heading for heading, names in self.headings.items() for name in names}
        described = {name: self._described(ctx, name) for name in listed}
        indent = max(map(len, listed))
        for heading in dict.fromkeys(named.get(name, "Commands") for name in listed):
            rows = [(name.ljust(indent), described[name]) for name in listed if named.get(name, "Commands") == heading]
            with formatter.section(heading):
                formatter.write_dl(rows)

    def _described(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        assert command is not None
        first_paragraph = cleandoc(command.help or "").partition("\n\n")[0]
        return command.short_help or " ".join(first_paragraph.split())
