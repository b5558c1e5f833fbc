"""``incog methods``: what there is, and what one method does, takes and claims."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from incog.cli.failing import failing
from incog.cli.options import Trace
from incog.cli.screen import Screen
from incog.methods import DEFAULT, METHODS, kind_of
from incog.methods.base import Method
from incog.methods.parameters import describe

Name = Annotated[str | None, typer.Argument(help="The method to tell all of.", show_default=False)]


def methods(name: Name = None, verbose: Trace = False) -> None:
    """List the methods and what each hides from, or tell all of one: its parameters and what is claimed of it."""
    console = Console(markup=False, highlight=False, emoji=False)
    with failing(Screen(verbose=verbose)):
        if name is None:
            _list(console)
        else:
            _tell(console, kind_of(name))


def _list(console: Console) -> None:
    for family, names in groupby(METHODS, key=lambda name: METHODS[name].family):
        console.print(family)
        table = Table.grid("", "", padding=(0, 2, 0, 0))
        table.columns[0].no_wrap = True
        for name in names:
            kind = METHODS[name]
            marks = " (default)" * (name == DEFAULT) + " (weak)" * bool(kind.weak)
            table.add_row(name + marks, f"{kind.summary}. Hides from {kind.hides_from}.")
        console.print(Padding(table, (0, 0, 1, 2), expand=False))
    console.print("`incog methods NAME` tells a method's parameters and what is claimed of it.")


def _tell(console: Console, kind: type[Method]) -> None:
    default = ", the default" * (kind.name == DEFAULT)
    console.print(f"{kind.name}{default} ({kind.family}): {kind.summary}")
    console.print(f"Hides from {kind.hides_from}.")
    if kind.weak:
        console.print(f"Weak. {kind.weak}")
    if kind.granularity == "set":
        console.print("It needs a set of people: a folder with one folder in it for each person.")
    if kind.keyed:
        console.print("The result depends on a key, which is fresh in every run unless a secret is given.")
    rows = describe(kind)
    console.print("\nParameters, each given as --set NAME=VALUE:" if rows else "\nNo parameters.")
    for row in rows:
        console.print(f"  {row.name}={row.default}")
        _indent(console, "     ", f"{row.help}; must be {row.range}")
    for claim in kind().claims():
        console.print(f"\n{'Promise' if claim.holds else 'Warning'}, about {claim.scope}:")
        _indent(console, " ", claim.statement)
        for condition in claim.conditions:
            _indent(console, "   -", condition)


def _indent(console: Console, before: str, text: str) -> None:
    """Print a text whose lines all begin behind ``before``."""
    table = Table.grid("", "", padding=(0, 1, 0, 0))
    table.add_row(before, text)
    console.print(table)
