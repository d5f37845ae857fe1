"""Files of recipes: by path, or those that come with audiometamer; found without torch."""

from pathlib import Path

from audiometamer.errors import AudioMetamerError

_SHIPPED = Path(__file__).parent / "recipes"


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with audiometamer: the published settings."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def find_recipe(name: str) -> Path:
    """The file of a recipe, by its path or by the name of a shipped recipe.

    Raises
    ------
    AudioMetamerError
        If neither exists.
    """
    if (path := Path(name)).is_file():
        return path
    if name in shipped_recipes():
        return _SHIPPED / f"{name}.toml"
    raise AudioMetamerError(f"there is no recipe {name!r}: it is not a file, and not one of {', '.join(shipped_recipes())}")
