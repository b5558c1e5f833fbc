"""``incog score``: what people said of a sheet of pairs; and where ``incog evaluate --human`` puts such a sheet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from incog.cli.failing import failing
from incog.cli.options import Overwrite, Quiet, Trace
from incog.cli.screen import Screen
from incog.errors import must_be
from incog.media.files import pending
from incog.media.walk import printable

if TYPE_CHECKING:
    from incog.evaluate.document import Value
    from incog.evaluate.human_records import HumanScore, Key

Human = Annotated[
    bool,
    typer.Option(
        "--human",
        help="Also write a sheet of pairs for people to judge, human/sheet.html, which holds faces, and its key.",
    ),
]
KeyFile = Annotated[
    Path, typer.Argument(help="The key that `incog evaluate --human` wrote.", show_default=False)
]
Answers = Annotated[
    list[Path],
    typer.Argument(help="Answers saved from the sheet, a file of each person.", show_default=False),
]
Out = Annotated[Path | None, typer.Option("--out", help="Write the scores as JSON.")]
Seed = Annotated[int, typer.Option("--seed", help="Of the draws that intervals are made by.")]


def score(
    key: KeyFile,
    answers: Answers,
    out: Out = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Trace = False,
) -> None:
    """Score what people said of a sheet of pairs: can they tell who it was?

    Of each method: how often pairs of one person and of two were judged to be one person, how many answers are right,
    and d'. Control pairs, of two originals, say whether the answerers can do it at all.
    """
    screen = Screen(quiet=quiet, verbose=verbose)
    with failing(screen):
        from incog.evaluate.human_records import Key
        from incog.evaluate.human_score import read_answers
        from incog.evaluate.human_score import score as scored

        places = [path.resolve() for path in answers]
        for path, place in zip(answers, places, strict=True):
            if places.count(place) > 1:
                raise must_be("ANSWERS", "a file of each person", f"{printable(path)} twice")
        made = Key.load(key)
        found = scored(made, [read_answers(path, made) for path in answers], seed=seed)
        if out is not None:
            with pending(out, overwrite=overwrite, parents=True, inputs=[key, *answers]) as file:
                file.path.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
                file.publish()
        Console(markup=False, highlight=False, emoji=False).print(_table(found))
        for part in (found.controls, *found.methods):
            screen.say(f"{part.method or 'originals'}: {part.verdict}")
        if out is not None:
            screen.say(f"wrote {printable(out)}")


@contextmanager
def sheet_place(folder: Path | None, *, overwrite: bool) -> Iterator[Callable[[str, Key], None]]:
    """Yield the function that writes a sheet and its key; the places are tried before the work begins.

    folder: for sheet.html and key.json, which only its owner can read; None writes nothing.
    """
    if folder is None:
        yield lambda sheet, key: None
        return
    with (
        pending(folder / "key.json", overwrite=overwrite, parents=True, private=True) as hidden,
        pending(folder / "sheet.html", overwrite=overwrite) as shown,
    ):

        def save(sheet: str, key: Key) -> None:
            hidden.path.write_text(key.model_dump_json(indent=1) + "\n", encoding="utf-8")
            shown.path.write_text(sheet, encoding="utf-8")
            hidden.publish()
            shown.publish()

        yield save


def _table(found: HumanScore) -> Table:
    table = Table(
        title=f"Sheet {found.sheet}, answered by {len(found.answerers)}: pairs of one person and of two"
    )
    table.add_column("pairs of", overflow="fold", min_width=10)
    for heading in ("pairs", "one:\nsame %", "two:\nsame %", "right %", "d'", "unsure\n%", "left\nout"):
        table.add_column(heading, justify="right", no_wrap=True)
    for part in (found.controls, *found.methods):
        table.add_row(
            part.method or "originals",
            str(part.pairs),
            _cell(part.same_genuine, 100),
            _cell(part.same_impostor, 100),
            _cell(part.accuracy, 100),
            _cell(part.d_prime, 1),
            _cell(part.unsure, 100),
            str(part.unanswered),
        )
    for one in found.answerers if len(found.answerers) > 1 else ():
        cells: Sequence[str] = ("", "", "", _cell(one.hidden, 100), "", "", str(one.unanswered))
        table.add_row(f"answerer {one.number}", *cells)
    return table


def _cell(value: Value, factor: float) -> str:
    """Return a figure with its interval in a second line."""
    if value.value is None:
        return "–"
    digits = 0 if factor > 1 else 2
    if value.low is None or value.high is None:
        return f"{factor * value.value:.{digits}f}"
    low, high = factor * value.low, factor * value.high
    return f"{factor * value.value:.{digits}f}\n{low:.{digits}f}–{high:.{digits}f}"
