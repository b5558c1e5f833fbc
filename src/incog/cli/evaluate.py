"""``incog evaluate``: attack what methods make of known faces, and say what is left."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from incog.cli.failing import failing
from incog.cli.options import Overwrite, Quiet
from incog.cli.screen import Screen
from incog.cli.sources import sources
from incog.data.readers import read
from incog.errors import ModelError, OutputError, must_be
from incog.keys import Secret
from incog.media.files import pending
from incog.media.walk import printable
from incog.methods import DEFAULT, make

RECOGNISERS = ("incog", "incog-b", "dlib", "lbp")
"""Those that judge unless others are named; those that are not installed do not, and that is said."""

Originals = Annotated[
    Path | None, typer.Argument(help="Originals: a folder or ZIP that names people.", show_default=False)
]
Anonymised = Annotated[
    Path | None,
    typer.Argument(help="What a tool made of them: the same file names in a folder.", show_default=False),
]
Partial = Annotated[
    bool, typer.Option("--allow-partial", help="Measure the pairs there are, though files are unmatched.")
]
Examples = Annotated[
    bool,
    typer.Option("--examples", help="Show some originals beside their results: the page then holds faces."),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        metavar="NAME[:KEY=VALUE,...]",
        help=f"A method with its parameters, as pixelate:blocks=6; repeat it to compare. Default: {DEFAULT}.",
    ),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data", metavar="NAME=PATH", help="Pictures of named people; repeatable. See the training page."
    ),
]
Folder = Annotated[Path, typer.Option("--report", help="Folder for report.json and report.html.")]
Recognisers = Annotated[
    list[str] | None,
    typer.Option(
        "--recogniser",
        metavar="NAME[=FILE.onnx]",
        help=f"Who judges: {', '.join(RECOGNISERS)}, or an ONNX file with its TOML beside it; repeatable. Default: all "
        "that are installed.",
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help="Few people: an answer in minutes, not to be quoted.")]
Full = Annotated[bool, typer.Option("--full", help="All people there are, for publication: takes hours.")]
People = Annotated[int | None, typer.Option("--people", min=2, help="Attack so many people at most.")]
Seed = Annotated[int, typer.Option("--seed", help="Of all that is drawn.")]
Threads = Annotated[int, typer.Option("--threads", min=0, help="Of the networks; 0: one for each core.")]


def evaluate(
    originals: Originals = None,
    anonymised: Anonymised = None,
    method: Methods = None,
    data: Data = None,
    report: Folder = Path("evaluation"),
    recogniser: Recognisers = None,
    quick: Quick = False,
    full: Full = False,
    people: People = None,
    seed: Seed = 0,
    threads: Threads = 0,
    allow_partial: Partial = False,
    examples: Examples = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Measure how private methods, or the files of any tool, are under attack, and what is left of the picture's use.

    Known people's pictures are hidden and attacked: plainly, by recognisers retrained on other hidden faces, by undoing
    the method, and by linking results. The worst counts. report.html is for people, report.json for programs.
    """
    screen = Screen(quiet=quiet)
    with failing(screen):
        from incog.evaluate.page import page
        from incog.evaluate.recognisers import make_recognisers
        from incog.evaluate.run import FULL, QUICK, Settings
        from incog.evaluate.run import evaluate as run
        from incog.evaluate.treatments import Files, Hidden, Treatment
        from incog.pipeline import Perception

        chosen = [make(*named(text)) for text in method or ([DEFAULT] if originals is None else [])]
        given = sources(data)
        if originals is not None and (anonymised is None or method or given):
            raise must_be(
                "ORIGINALS", "given with ANONYMISED, without --method and --data", printable(originals)
            )
        if originals is None and not given:
            raise must_be("--data", "given: pictures of named people", "nothing")
        if quick and full:
            raise must_be("--quick", "given without --full", "both")
        settings = replace(QUICK if quick else FULL if full else Settings(), seed=seed)
        if people is not None:
            settings = replace(settings, people=people)
        networks = {
            name: Path(path)
            for name, mark, path in (text.partition("=") for text in recogniser or [])
            if mark
        }
        names = [text for text in recogniser or [] if "=" not in text]
        judges = [] if recogniser is None else make_recognisers(names, files=networks, threads=threads)
        for name in RECOGNISERS if recogniser is None else ():
            try:
                judges += make_recognisers([name], files={}, threads=threads)
            except ModelError as error:
                screen.say(f"{name} does not judge: {error}")
        if report.exists() and not report.is_dir():
            raise OutputError(f"--report must be a folder, got the file {report}")
        report.mkdir(parents=True, exist_ok=True)
        with (
            pending(report / "report.json", overwrite=overwrite) as told,
            pending(report / "report.html", overwrite=overwrite) as shown,
        ):
            looking = Perception(threads=threads)
            treatments: list[Treatment] = [
                Hidden(item, Secret.from_seed(seed), looking.hulls) for item in chosen
            ]
            only = None
            if originals is not None and anonymised is not None:
                given = sources([f"originals={originals}"], option="ORIGINALS")
                files = Files.beside(anonymised.resolve().name or "files", read(given), anonymised)
                files.check(partial=allow_partial)
                treatments, only = [files], files.paths
            results = run(treatments, given, judges, looking, settings, only=only, tell=screen.say)
            document = results.evaluation.model_dump(mode="json")
            told.path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
            sheets = [[(old if examples else None, new) for old, new in some] for some in results.examples]
            shown.path.write_text(page(results.evaluation, sheets), encoding="utf-8")
            told.publish()
            shown.publish()
        for record in results.evaluation.methods:
            screen.say(f"{record.method}: {record.verdict}")
        screen.say(f"wrote {report / 'report.html'} and {report / 'report.json'}")


def named(text: str) -> tuple[str, dict[str, str]]:
    """Return a method's name and its parameters from NAME[:KEY=VALUE,...]. Raises UsageError."""
    name, mark, rest = text.partition(":")
    settings: dict[str, str] = {}
    for part in rest.split(",") if mark else ():
        key, equals, value = part.partition("=")
        if not equals or not key or key in settings:
            raise must_be("--method", "NAME or NAME:KEY=VALUE,KEY=VALUE", text)
        settings[key] = value
    return name, settings
