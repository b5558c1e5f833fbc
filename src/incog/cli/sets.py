"""``incog hide FOLDER`` with a method on sets of people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import typer

from incog import dataset
from incog.cli.screen import Screen
from incog.dataset import Wish
from incog.errors import UsageError
from incog.keys import Secret
from incog.media.base import notable
from incog.media.walk import printable
from incog.methods.base import Method, SetMethod
from incog.parallel import Settings, beside_folder, check_outside, perception_of
from incog.report import FileReport, Report

Place = Callable[[Sequence[Path], Sequence[Path]], AbstractContextManager[Callable[[str], None]]]
"""Yields what writes the report, given all inputs and outputs."""


def is_set(method: Method) -> bool:
    """Whether a method is fitted to a set of people."""
    return method.granularity == "set"


def refuse_single(method: Method, what: str) -> None:
    """Raise UsageError for a method that one file cannot be given to."""
    if is_set(method):
        raise UsageError(
            f"{what} must be given a method on one face, got {method.name}, which needs a set of people",
            hint=f"incog hide FOLDER --method {method.name}, with one folder in it for each person",
        )


def hide_set(
    method: SetMethod,
    inputs: Sequence[Path],
    output: str | None,
    settings: Settings,
    wish: Wish,
    secret: Secret,
    randomness: str,
    place: Place,
    screen: Screen,
) -> None:
    """Hide the people of one folder. Raises UsageError for what makes no sense with a set; see ``incog.dataset``."""
    wrong = {
        "--keep or --only": settings.selection is not None,
        "--spans": bool(settings.spans),
        "--codec": wish.options.output.codec is not None,
        "--keep-metadata with --share-background": wish.share and wish.options.output.keep_metadata,
        "--overwrite": wish.options.overwrite,
        "--passphrase with --share-background": wish.share and wish.options.sealing is not None,
    }
    for option, given in wrong.items():
        if given:
            raise UsageError(f"{option} must not be given with {method.name}, a method on sets of people")
    if len(inputs) != 1 or not inputs[0].is_dir():
        raise UsageError(
            f"{method.name} must be given one folder, a set of people, got {', '.join(map(printable, inputs))}",
            hint="a folder in it holds the pictures of one person, a file in it is a person of its own",
        )
    folder = inputs[0]
    out = Path(output) if output is not None else beside_folder(folder)
    check_outside(out, folder)
    members, left_alone = dataset.members_of(folder, without=[out])
    people = len({member.person for member in members})
    if people < method.k:
        raise UsageError(
            f"{method.name} must be given at least k = {method.k} people, got {people}",
            hint="a folder in it holds the pictures of one person, a file in it is a person of its own",
        )
    summary = Report(device=settings.device, randomness=randomness, left_alone=left_alone)
    with place([member.path for member in members], [out]) as save:
        screen.say(f"{method.name}: {len(members)} picture(s) of {people} people")
        if left_alone:
            screen.say(f"{left_alone} file(s) that are no photo or video, or links, left alone")
        if method.weak and not wish.share:
            screen.say(f"Note: {method.name} is weak. {method.weak}")
        with screen.bar(printable(folder)) as step:
            summary.files = dataset.hide(
                members, out, method, secret, perception_of(settings), wish, progress=step
            )
        save(summary.model_dump_json(indent=2))
    _tell(summary.files, out, screen)
    if any(report.status == "failed" for report in summary.files):
        raise typer.Exit(1)


def _tell(reports: Sequence[FileReport], out: Path, screen: Screen) -> None:
    done = [report for report in reports if report.status != "failed"]
    for report in reports:
        if report.status == "failed":
            screen.error(f"picture {report.name} was left out: {report.error}")
    screen.say(f"-> {printable(out)}: {sum(report.faces for report in done)} face(s) hidden")
    if done and done[0].vault:
        screen.say(f"  {done[0].vault.status}: the originals are sealed in the files or beside them")
    for claim in done[0].claims if done else ():
        screen.say(f"  {'holds' if claim.holds else 'note'}: {claim.statement} ({claim.scope})")
    for report in done:
        for decision in report.decisions:
            if len(done) == 1:
                screen.say(f"  {decision}")
            elif notable(decision):
                screen.say(f"  picture {report.name}: {decision}")
