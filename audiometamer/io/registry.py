"""Parts by name: audiometamer's own, and those that installed packages register as entry points."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from audiometamer.errors import AudioMetamerError
from audiometamer.io.foreign_code import run_foreign


@dataclass(frozen=True)
class Registry:
    """Functions or classes that make parts, by name; a name of audiometamer's own cannot be registered again.

    Parameters
    ----------
    group : str
        Group of entry points, as in ``[project.entry-points."audiometamer.networks"]`` of a package's pyproject.toml.
    kind : str
        Kind of the entries, for messages.
    own : mapping of str to callable
        Entries of audiometamer itself.
    """

    group: str
    kind: str
    own: Mapping[str, Callable[..., Any]]

    def registered(self) -> dict[str, EntryPoint]:
        """The entry points of installed packages, by name.

        Raises
        ------
        AudioMetamerError
            If two of them, or one and audiometamer, have the same name.
        """
        found: dict[str, EntryPoint] = {}
        for entry in sorted(entry_points(group=self.group), key=lambda entry: entry.name):
            if entry.name in self.own:
                raise AudioMetamerError(f"{distribution(entry)} registers the {self.kind} {entry.name!r}, which audiometamer has")
            if (other := found.setdefault(entry.name, entry)).value != entry.value:
                both = f"{distribution(other)} and {distribution(entry)}"
                raise AudioMetamerError(f"{both} both register the {self.kind} {entry.name!r}; uninstall one of them")
        return found

    def names(self) -> list[str]:
        """All names: audiometamer's own first."""
        return [*self.own, *self.registered()]

    def make(self, name: str, *args: Any, **options: Any) -> Any:
        """The part of a name, made with some arguments.

        Raises
        ------
        AudioMetamerError
            If there is none of that name, or the code of another package fails.
        """
        if name in self.own:
            return self.own[name](*args, **options)
        if (entry := self.registered().get(name)) is None:
            raise AudioMetamerError(f"there is no {self.kind} {name!r}; there are {', '.join(self.names())}")
        what = f"the {self.kind} {name!r} of {distribution(entry)}"
        make = run_foreign(f"{what} cannot be loaded", entry.load)
        return run_foreign(f"{what} cannot be made", make, *args, **options)


def distribution(entry: EntryPoint) -> str:
    """Name and version of the package that registers an entry point."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package"
