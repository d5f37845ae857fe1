"""The answers to an exploration as a table: a row for each trial that was decided on the way."""
