"""Options of a command that reach it as one struct."""

import click
import msgspec
from click.testing import CliRunner

from audiometamer.cli import options


class Weather(msgspec.Struct, frozen=True):
    place: str
    rain: int = 0


@click.command()
@options.gathered(
    "weather", Weather, click.argument("place"), click.option("--rain", type=click.IntRange(0), default=1, help="In mm.")
)
@click.option("--loud", is_flag=True, help="Shout.")
def tell(weather, loud):
    """Tell the weather."""
    click.echo(f"{weather} {loud}")


def test_options_are_the_fields_of_a_struct():
    found = CliRunner().invoke(tell, ["Rome", "--rain", "3", "--loud"])
    assert found.output == "Weather(place='Rome', rain=3) True\n"
    assert CliRunner().invoke(tell, ["Rome"]).output == "Weather(place='Rome', rain=1) False\n"


def test_help_lists_them_in_order_and_their_types_are_checked():
    text = CliRunner().invoke(tell, ["--help"]).output
    assert text.index("Tell the weather.") < text.index("--rain") < text.index("--loud")
    assert CliRunner().invoke(tell, ["Rome", "--rain", "-1"]).exit_code == 2
