"""``incog evaluate``: attack what methods make of known faces, and say what is left."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incog.cli.evaluate_video import evaluate_video
from incog.cli.failing import failing
from incog.cli.human import Human, sheet_place
from incog.cli.options import Overwrite, Quiet, Trace
from incog.cli.reports import reports
from incog.cli.screen import Screen
from incog.cli.sources import sources
from incog.data.readers import read
from incog.errors import ClaimError, ModelError, must_be
from incog.keys import Secret
from incog.media.walk import printable
from incog.methods import DEFAULT, make

if TYPE_CHECKING:
    from incog.evaluate.recognisers import Recogniser
    from incog.evaluate.run import Supplied

EIGENFACES = "eigenfaces"
"""The recogniser that a run makes itself, see ``incog.evaluate.recognisers``."""

COMPONENTS = 50
"""Principal components of eigenfaces."""

RECOGNISERS = ("incog", "incog-b", "dlib", "lbp")
"""Those that judge unless others are named; those that are not installed do not, and that is said."""

Originals = Annotated[
    Path | None,
    typer.Argument(
        help="Originals: a folder or ZIP that names people; with --video, a video.", show_default=False
    ),
]
Anonymised = Annotated[
    Path | None,
    typer.Argument(
        help="What a tool made of them: the same file names in a folder, or the video.", show_default=False
    ),
]
Video = Annotated[
    bool,
    typer.Option(
        "--video", help="ORIGINALS and ANONYMISED are a video and what a tool made of it, of the same frames."
    ),
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
        help=f"Who judges: {', '.join((*RECOGNISERS, EIGENFACES))}, or an ONNX file with its TOML beside it; "
        "repeatable. Default: all that are installed.",
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help="Few people: an answer in minutes, not to be quoted.")]
Full = Annotated[bool, typer.Option("--full", help="All people there are, for publication: takes hours.")]
People = Annotated[
    int | None,
    typer.Option(
        "--people", min=2, help="Attack so many people at most; with --video, take so many of --data."
    ),
]
LpipsFile = Annotated[
    Path | None,
    typer.Option("--lpips", metavar="FILE.onnx", help="Measure LPIPS with this network; none ships."),
]
LpipsWeights = Annotated[
    Path | None,
    typer.Option(
        "--lpips-weights", metavar="FILE.npz", help="Its layers' weights, where the network is a backbone."
    ),
]
InceptionFile = Annotated[
    Path | None,
    typer.Option(
        "--inception", metavar="FILE.onnx", help="Measure FID and KID with this network; none ships."
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Of all that is drawn.")]
Threads = Annotated[int, typer.Option("--threads", min=0, help="Of the networks; 0: one for each core.")]


def evaluate(
    originals: Originals = None,
    anonymised: Anonymised = None,
    video: Video = False,
    method: Methods = None,
    data: Data = None,
    report: Folder = Path("evaluation"),
    recogniser: Recognisers = None,
    quick: Quick = False,
    full: Full = False,
    people: People = None,
    seed: Seed = 0,
    threads: Threads = 0,
    lpips: LpipsFile = None,
    lpips_weights: LpipsWeights = None,
    inception: InceptionFile = None,
    human: Human = False,
    allow_partial: Partial = False,
    examples: Examples = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Trace = False,
) -> None:
    """Measure how private methods, or the files of any tool, are under attack, and what is left of the picture's use.

    Known people's pictures are hidden and attacked: plainly, by recognisers retrained on other hidden faces, by undoing
    the method, and by linking results. The worst counts. report.html is for people, report.json for programs.

    With --video: faces that were left open, people recognised by one frame, the best frame or all frames of a face, and
    how steady the result is. Thresholds then need --data: pictures of other people.
    """
    screen = Screen(quiet=quiet, verbose=verbose)
    with failing(screen):
        from incog.evaluate.human_sheet import export
        from incog.evaluate.page import names_of, page
        from incog.evaluate.run import FULL, QUICK, Settings
        from incog.evaluate.run import evaluate as run
        from incog.evaluate.treatments import Files, Hidden, Treatment
        from incog.pipeline import Perception

        if video:
            others = (method, quick, full, allow_partial, human, lpips, inception)
            if originals is None or anonymised is None or any(others):
                raise must_be(
                    "--video",
                    "given with ORIGINALS and ANONYMISED, without --method, --quick, --full, --allow-partial, --human, "
                    "--lpips and --inception",
                    "something else",
                )
            evaluate_video(
                originals,
                anonymised,
                lambda: judges_of(recogniser, threads, screen),
                data=sources(data),
                people=people,
                seed=seed,
                threads=threads,
                report=report,
                examples=examples,
                overwrite=overwrite,
                screen=screen,
            )
            return
        chosen = [make(*named(text)) for text in method or ([DEFAULT] if originals is None else [])]
        given = sources(data)
        if originals is not None and (anonymised is None or method or given):
            raise must_be(
                "ORIGINALS", "given with ANONYMISED, without --method and --data", printable(originals)
            )
        if anonymised is not None and not anonymised.is_dir():
            raise must_be("ANONYMISED", "a folder", printable(anonymised))
        if originals is None and not given:
            raise must_be("--data", "given: pictures of named people", "nothing")
        if quick and full:
            raise must_be("--quick", "given without --full", "both")
        settings = replace(QUICK if quick else FULL if full else Settings(), seed=seed)
        if people is not None:
            settings = replace(settings, people=people)
        if recogniser is None or EIGENFACES in recogniser:
            settings = replace(settings, eigenfaces=COMPONENTS)
        named_judges = None if recogniser is None else [name for name in recogniser if name != EIGENFACES]
        judges = judges_of(named_judges, threads, screen)
        brought = supplied(settings.steps, seed, threads, lpips, lpips_weights, inception, screen)
        # The sheet's place is tried first, and a sheet that cannot be drawn does not take the report with it.
        with sheet_place(report / "human" if human else None, overwrite=overwrite) as save:
            with reports(report, overwrite=overwrite) as (told, shown):
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
                unfinished = report / ".unfinished"
                results = run(
                    treatments,
                    given,
                    judges,
                    looking,
                    settings,
                    only=only,
                    supplied=brought,
                    progress=unfinished,
                    tell=screen.say,
                )
                document = results.evaluation.model_dump(mode="json")
                told.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
                sheets = [
                    [(old if examples else None, new) for old, new in some] for some in results.examples
                ]
                shown.write_text(page(results.evaluation, sheets), encoding="utf-8")
            shutil.rmtree(unfinished, ignore_errors=True)
            if human:
                labelled = dict(zip(names_of(results.evaluation.methods), treatments, strict=True))
                save(*export(results.judged, results.looks, labelled, seed=seed))
        for record in results.evaluation.methods:
            screen.say(f"{record.method}: {record.verdict}")
        screen.say(f"wrote {report / 'report.html'} and {report / 'report.json'}")
        broken = [
            f"{record.method}: {audit.statement} But {audit.told}."
            for record in results.evaluation.methods
            for audit in record.audits
            if not audit.kept
        ]
        if broken:
            raise ClaimError("; ".join(broken))


def supplied(
    steps: int,
    seed: int,
    threads: int,
    lpips: Path | None,
    weights: Path | None,
    inception: Path | None,
    screen: Screen,
) -> Supplied:
    """Return the networks that the options bring, and how the inverting one learns: for ``steps`` steps, if any and if
    torch is installed. Raises ModelError for a file that is not what it is given as."""
    from incog.evaluate import unet
    from incog.evaluate.run import Supplied
    from incog.evaluate.supplied import Inception, Lpips

    if weights is not None and lpips is None:
        raise must_be("--lpips-weights", "given with --lpips", printable(weights))
    learner = None
    if steps and unet.available():
        learner = partial(unet.learn_unet, steps=steps, seed=seed, threads=threads)
    elif steps:
        screen.say("no network is trained to undo methods: torch is missing (pip install 'incog[train]')")
    return Supplied(
        learner,
        Lpips(lpips, weights=weights, threads=threads) if lpips else None,
        Inception(inception, threads=threads) if inception else None,
    )


def judges_of(recogniser: list[str] | None, threads: int, screen: Screen) -> list[Recogniser]:
    """Return the recognisers that the options name; without any, those of ``RECOGNISERS`` that are installed. Raises as
    ``make_recognisers``."""
    from incog.evaluate.recognisers import make_recognisers

    networks = {
        name: Path(path) for name, mark, path in (text.partition("=") for text in recogniser or []) if mark
    }
    if recogniser is not None:
        names = [text for text in recogniser if "=" not in text]
        return make_recognisers(names, files=networks, threads=threads)
    judges: list[Recogniser] = []
    for name in RECOGNISERS:
        try:
            judges += make_recognisers([name], files={}, threads=threads)
        except ModelError as error:
            screen.say(f"{name} does not judge: {error}")
    return judges


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
