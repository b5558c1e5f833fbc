"""The command line: parse, call, print."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn, cast

import typer
from rich.console import Console
from rich.table import Table

from incog import __version__, geometry, parallel, people
from incog.cli import train, vaults
from incog.cli.evaluate import evaluate
from incog.cli.failing import failing
from incog.cli.human import score
from incog.cli.options import (
    AllowWeak,
    AskPassphrase,
    Codec,
    DecoyFile,
    DecoyPassphraseFile,
    DetectorName,
    Device,
    DeviceName,
    GalleryFile,
    GalleryPassphraseFile,
    Inputs,
    Keep,
    KeepGoing,
    KeepMetadata,
    KeyFile,
    MaskScale,
    MethodName,
    NoCompare,
    Only,
    Output,
    OutputFile,
    Overwrite,
    PassphraseFile,
    PeopleBy,
    Persons,
    Pseudonyms,
    Quality,
    Quiet,
    Recipients,
    Recovery,
    ReportFile,
    ReportNames,
    Reversible,
    Risk,
    Rotate,
    SecretFile,
    Seed,
    Sets,
    ShareBackground,
    Sidecar,
    SlotCount,
    Spans,
    Threads,
    Threshold,
    Verbose,
    WholeFile,
    Workers,
)
from incog.cli.passphrases import Wanted, sealing
from incog.cli.pseudonyms import PSEUDONYMS, Wishes, hide_pseudonyms, refuse_alone
from incog.cli.recovery import recovering
from incog.cli.screen import Screen, tell
from incog.cli.sets import hide_set, is_set, refuse_single
from incog.cli.sources import persons
from incog.cli.working import outcomes
from incog.dataset import Wish
from incog.deniable.hiding import METHOD as DENIABLE
from incog.errors import InputError, OutputError, UsageError, must_be
from incog.keys import Secret
from incog.media import open_source
from incog.media.base import OutputOptions
from incog.media.files import pending
from incog.media.walk import Walk, printable, walk
from incog.methods import DEFAULT, METHODS, make
from incog.methods.base import SetMethod
from incog.methods.parameters import describe
from incog.perceive.detector import best_device, known_detector
from incog.pipeline import Options, Perception
from incog.pipeline import plan as look_at
from incog.pipeline import render as act_on
from incog.plan import Plan, parse_spans
from incog.report import FileReport, Report
from incog.runtime import one_thread_for_matrices

app = typer.Typer(
    name="incog",
    help="Take the identity out of faces in photos, videos and folders of them. `incog FILE` is `incog hide FILE`.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(train.app, name="train")


@app.command()
def hide(
    context: typer.Context,
    inputs: Inputs,
    output: Output = None,
    method: MethodName = DEFAULT,
    sets: Sets = None,
    detector: DetectorName = "centerface",
    threshold: Threshold = 0.3,
    mask_scale: MaskScale = geometry.MASK_SCALE,
    spans: Spans = None,
    keep: Keep = None,
    only: Only = None,
    risk: Risk = None,
    no_compare: NoCompare = False,
    share_background: ShareBackground = False,
    pseudonyms: Pseudonyms = False,
    people_by: PeopleBy = None,
    person: Persons = None,
    gallery: GalleryFile = None,
    gallery_passphrase_file: GalleryPassphraseFile = None,
    rotate: Rotate = 0,
    seed: Seed = None,
    secret_file: SecretFile = None,
    passphrase: AskPassphrase = False,
    passphrase_file: PassphraseFile = None,
    key_file: KeyFile = None,
    reversible: Reversible = None,
    allow_weak: AllowWeak = False,
    recipient: Recipients = None,
    slots: SlotCount = None,
    decoy: DecoyFile = None,
    decoy_passphrase_file: DecoyPassphraseFile = None,
    whole_file: WholeFile = False,
    sidecar: Sidecar = False,
    workers: Workers = 1,
    threads: Threads = 0,
    device: DeviceName = Device.auto,
    keep_metadata: KeepMetadata = False,
    codec: Codec = None,
    quality: Quality = None,
    overwrite: Overwrite = False,
    keep_going: KeepGoing = False,
    report: ReportFile = None,
    report_names: ReportNames = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Hide the faces in photos, videos and folders. Nothing is written in which a face is still found."""
    screen = Screen(quiet=quiet, verbose=verbose)
    with failing(screen):
        parameters = _settings(sets)
        source = context.get_parameter_source("method")
        if source is not None and source.name == "DEFAULT":
            method = PSEUDONYMS if pseudonyms else DENIABLE if reversible is Recovery.deniable else method
        chosen = make(method, parameters)
        if not pseudonyms:
            refuse_alone(people_by, person, gallery or gallery_passphrase_file, rotate, chosen)
        secret, randomness = _secret(seed, secret_file)
        where = best_device(device.value)
        settings = parallel.Settings(
            method=method,
            parameters=parameters,
            secret=secret,
            detector=known_detector(detector),
            threshold=_between("--threshold", threshold, 0.05, 0.95),
            device=where,
            threads=threads or max(1, _cores() // workers),
            seeded=seed is not None,
            spans=parse_spans(spans) if spans else [],
            selection=_selection(keep, only, risk),
            persons=persons(person),
            options=recovering(
                Options(
                    mask_scale=_between("--mask-scale", mask_scale, 1, 3),
                    compare=not no_compare,
                    output=OutputOptions(codec=codec, quality=quality, keep_metadata=keep_metadata),
                    overwrite=overwrite,
                    sealing=sealing(
                        Wanted(
                            passphrase=passphrase,
                            passphrase_file=passphrase_file,
                            key_file=key_file,
                            allow_weak=allow_weak,
                            recipients=tuple(recipient or ()),
                            reversible=reversible,
                            slots=slots,
                            decoy=decoy,
                            decoy_passphrase_file=decoy_passphrase_file,
                            whole_file=whole_file,
                            sidecar=sidecar,
                        ),
                        screen,
                    ),
                ),
                reversible,
                chosen,
            ),
        )
        if share_background and not is_set(chosen):
            raise UsageError(
                f"--share-background must be given with a method on sets of people, got {method}"
            )
        if decoy is not None and (len(inputs) > 1 or inputs[0].is_dir()):
            raise UsageError("--decoy must be given with a single file, which it takes the place of")
        if pseudonyms:
            hide_pseudonyms(
                chosen,
                inputs,
                output,
                settings,
                Wishes(
                    people_by,
                    rotate,
                    risk,
                    workers,
                    keep_going,
                    share_background,
                    secret_file is not None,
                    gallery,
                    gallery_passphrase_file,
                ),
                randomness,
                lambda sources, targets: _report_place(report, overwrite, sources, targets),
                report_names,
                screen,
            )
            return
        if is_set(chosen):
            hide_set(
                cast("SetMethod", chosen),
                inputs,
                output,
                settings,
                Wish(share_background, keep_going, seed is not None, settings.options),
                secret,
                randomness,
                lambda sources, targets: _report_place(report, overwrite, sources, targets),
                screen,
            )
            return
        # Before anything is written: a photo that does not serve is a wrong option.
        if settings.selection:
            parallel.enrolled(settings.selection, parallel.perception_of(settings))
        if settings.persons:
            parallel.named(settings.persons, parallel.perception_of(settings))
        jobs, left_alone, problems = _jobs(inputs, output, screen)
        parallel.check_targets(jobs)
        if settings.options.deniable is not None and len(jobs) > 1:
            raise must_be(
                "the files of --reversible deniable",
                "one at a time: somebody who is in two under one passphrase can be found out",
                len(jobs),
            )
        settings = replace(settings, claimed=parallel.claimed(jobs))
        summary = Report(device=where, randomness=randomness, left_alone=left_alone)
        paths, targets = [job.path for job in jobs], [job.target for job in jobs]
        with _report_place(report, overwrite, paths, targets) as save:
            screen.say(f"incog {__version__}: {method} on {where}, {len(jobs)} file(s)")
            if chosen.weak:
                screen.say(f"Note: {method} is weak. {chosen.weak}")
            if seed is not None:
                screen.say("Note: seeded, so not private: whoever knows the seed knows every key.")
            for job in jobs if workers > 1 and len(jobs) > 1 else ():
                screen.say(f"[{job.number}] {printable(job.path)}")
            failed = len(problems)
            names = {job.number: job.path for job in jobs}
            reports: dict[int, FileReport] = {}
            for message in problems:
                screen.error(message)
            if not problems or keep_going:
                for outcome in outcomes(jobs, settings, workers, keep_going, screen):
                    failed += outcome.report.status == "failed"
                    tell(outcome, screen)
                    reports[outcome.job.number] = _named(outcome, names, report_names)
            summary.files = [reports[number] for number in sorted(reports)]
            save(summary.model_dump_json(indent=2))
        skipped = len(jobs) - len(summary.files)
        if skipped:
            screen.error(f"{skipped} file(s) were not tried", "--keep-going goes on after a failure")
        if failed or skipped:
            raise typer.Exit(1)


@app.command()
def plan(
    source: Annotated[Path, typer.Argument(help="A photo or a video.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: NAME.plan.json beside it.")
    ] = None,
    detector: DetectorName = "centerface",
    threshold: Threshold = 0.3,
    spans: Spans = None,
    keep: Keep = None,
    only: Only = None,
    risk: Risk = None,
    threads: Threads = 0,
    device: DeviceName = Device.auto,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Look where the faces are and write a plan, to be reviewed, edited and rendered."""
    screen = Screen(quiet=quiet, verbose=verbose)
    with failing(screen, source):
        target = output or source.with_name(f"{source.stem}.plan.json")
        selection = _selection(keep, only, risk)
        perception = Perception(
            detector=detector,
            threshold=_between("--threshold", threshold, 0.05, 0.95),
            device=best_device(device.value),
            threads=threads,
        )
        choice = parallel.enrolled(selection, perception) if selection else None
        with pending(target, overwrite=overwrite, private=True, inputs=[source]) as file:
            with screen.bar(printable(Path(source.name))) as step:
                made = look_at(
                    open_source(source),
                    perception,
                    spans=parse_spans(spans) if spans else [],
                    choice=choice,
                    progress=step,
                )
            made.save(file.path, overwrite=True)
            file.publish()
        screen.say(
            f"{printable(source)} -> {printable(target)}: {len(made.tracks)} face(s) in {made.source.frames} frame(s). "
            "The plan says where people are: treat it like the file itself."
        )
        for line in people.summary(made.selection) if made.selection else ():
            screen.say(f"  {line}")


@app.command()
def render(
    plan: Annotated[Path, typer.Argument(help="A plan that `incog plan` wrote.", show_default=False)],
    output: OutputFile = None,
    source: Annotated[
        Path | None,
        typer.Option("--source", help="The file it was made from; default: found beside the plan."),
    ] = None,
    method: MethodName = DEFAULT,
    sets: Sets = None,
    mask_scale: MaskScale = geometry.MASK_SCALE,
    no_compare: NoCompare = False,
    seed: Seed = None,
    secret_file: SecretFile = None,
    passphrase: AskPassphrase = False,
    passphrase_file: PassphraseFile = None,
    key_file: KeyFile = None,
    reversible: Reversible = None,
    allow_weak: AllowWeak = False,
    recipient: Recipients = None,
    slots: SlotCount = None,
    decoy: DecoyFile = None,
    decoy_passphrase_file: DecoyPassphraseFile = None,
    whole_file: WholeFile = False,
    sidecar: Sidecar = False,
    threads: Threads = 0,
    device: DeviceName = Device.auto,
    keep_metadata: KeepMetadata = False,
    codec: Codec = None,
    quality: Quality = None,
    overwrite: Overwrite = False,
    report: ReportFile = None,
    report_names: ReportNames = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Hide the faces of a plan in the file that it was made from."""
    screen = Screen(quiet=quiet, verbose=verbose)
    with failing(screen, plan):
        chosen = make(method, _settings(sets))
        refuse_single(chosen, "a plan")
        secret, randomness = _secret(seed, secret_file)
        where = best_device(device.value)
        made = Plan.load(plan)
        path = source or _source_of(plan)
        media = open_source(path)
        target = output or parallel.beside(path)
        if not parallel.same_suffix(target.suffix, media.suffix):
            raise UsageError(f"the output must have the suffix {media.suffix}, got {target.suffix!r}")
        options = recovering(
            Options(
                mask_scale=_between("--mask-scale", mask_scale, 1, 3),
                compare=not no_compare,
                output=OutputOptions(codec=codec, quality=quality, keep_metadata=keep_metadata),
                overwrite=overwrite,
                sealing=sealing(
                    Wanted(
                        passphrase=passphrase,
                        passphrase_file=passphrase_file,
                        key_file=key_file,
                        allow_weak=allow_weak,
                        recipients=tuple(recipient or ()),
                        reversible=reversible,
                        slots=slots,
                        decoy=decoy,
                        decoy_passphrase_file=decoy_passphrase_file,
                        whole_file=whole_file,
                        sidecar=sidecar,
                    ),
                    screen,
                ),
            ),
            reversible,
            chosen,
        )
        perception = Perception(
            detector=made.detector, threshold=made.threshold, device=where, threads=threads
        )
        with _report_place(report, overwrite, [plan, path], [target]) as save:
            job = parallel.Job(1, path, target, follow=False)
            with screen.bar(printable(Path(path.name))) as step:
                outcome = parallel.attempt(
                    job,
                    lambda: act_on(
                        media, made, target, chosen, secret, perception, options=options, progress=step
                    ),
                    [plan, target],
                )
            tell(outcome, screen)
            summary = Report(
                device=where, randomness=randomness, files=[_named(outcome, {1: path}, report_names)]
            )
            save(summary.model_dump_json(indent=2))
        if outcome.report.status == "failed":
            raise typer.Exit(1)


app.command()(evaluate)
app.command()(score)
app.command()(vaults.restore)
app.command()(vaults.inspect)
app.command()(vaults.strip)
app.command()(vaults.grant)


@app.command()
def methods() -> None:
    """List the methods, what each hides from, and its parameters."""
    table = Table(title="Methods", show_lines=True)
    for heading in ("name", "family", "hides from", "reversible", "parameters", "claims"):
        table.add_column(heading, overflow="fold")
    for name, kind in METHODS.items():
        parameters = "\n".join(
            f"{row.name}={row.default}: {row.help} ({row.range})" for row in describe(kind)
        )
        claims = "\n".join(f"{'+' if claim.holds else '!'} {claim.statement}" for claim in kind().claims())
        reversible = "yes" if kind.reversible else "no"
        default = " (default)" if name == DEFAULT else ""
        table.add_row(name + default, kind.family, kind.hides_from, reversible, parameters, claims)
    Console(markup=False, highlight=False, emoji=False).print(table)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"incog {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the identity out of faces in photos, videos and folders of them. `incog FILE` is `incog hide FILE`."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _between(what: str, value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise UsageError(f"{what} must be a number from {low:g} to {high:g}, got {value:g}")
    return value


def _settings(texts: Sequence[str] | None) -> dict[str, str]:
    settings: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set must be KEY=VALUE, got {text!r}")
        if name in settings:
            raise UsageError(f"--set must name a parameter once, got {name!r} twice")
        settings[name] = value
    return settings


def _selection(
    keep: Sequence[Path] | None, only: Sequence[Path] | None, risk: float | None
) -> parallel.Selection | None:
    if keep and only:
        raise UsageError("--keep and --only must not be given together")
    if not keep and not only:
        return None
    mode: people.Mode = "keep" if keep else "only"
    risk = people.RISK if risk is None else _between("--risk", risk, 1e-6, 0.5)
    return parallel.Selection(mode, tuple(keep or only or ()), risk)


def _secret(seed: int | None, path: Path | None) -> tuple[Secret, str]:
    if seed is not None and path is not None:
        raise UsageError("--seed and --secret-file must not be given together")
    if seed is not None:
        return Secret.from_seed(seed), "seeded: not private"
    if path is not None:
        return Secret.from_file(path), "from a secret file"
    return Secret.fresh(), "fresh, forgotten"


_FEW = 10
"""Up to so many files that were left alone are named one by one."""


def _jobs(
    inputs: Sequence[Path], place: str | None, screen: Screen
) -> tuple[list[parallel.Job], int, list[str]]:
    """Return what to do, how many files were left alone, and what is wrong with inputs.

    place: where to, as typed: a slash at its end means a folder, also one that is not there yet.
    """
    output = Path(place) if place is not None else None
    named_folder = place is not None and place.endswith(("/", os.sep))
    folder_wanted = len(inputs) > 1 or named_folder or (output is not None and output.is_dir())
    if len(inputs) > 1 and output is not None and output.exists() and not output.is_dir():
        raise UsageError("--output must be a folder when there are several inputs, got a file")
    found: list[tuple[Path, Path, bool]] = []
    left_alone = 0
    problems: list[str] = []
    for path in inputs:
        if not path.is_dir():
            if output is None:
                found.append((path, parallel.beside(path), True))
            elif folder_wanted:
                found.append((path, output / path.name, True))
            else:
                found.append((path, output, False))
            continue
        root = output or path.with_name(f"{path.resolve().name}.incog")
        if output is not None and len(inputs) > 1:
            root = output / path.resolve().name
        if root.exists() and not root.is_dir():
            raise OutputError("the output for a folder must be a folder, got a file")
        seen: Walk = walk(path, without=[root])
        problems += [f"{printable(item)}: {reason}" for item, reason in seen.errors]
        aside = [*seen.others, *seen.links]
        left_alone += len(seen.others)
        if aside:
            screen.say(
                f"{printable(path)}: {len(aside)} file(s) that are no photo or video, or links, left alone"
            )
        for item in aside if screen.verbose or len(aside) <= _FEW else ():
            screen.say(f"  {printable(path / item)}")
        found += [(path / item, root / item, True) for item in seen.media]
        if not seen.media and not problems:
            problems.append(f"{printable(path)}: the folder holds no photo or video")
    return [parallel.Job(n, *item) for n, item in enumerate(found, start=1)], left_alone, problems


def _source_of(plan: Path) -> Path:
    """Return the file that a plan NAME.plan.json lies beside."""
    stem = plan.name.removesuffix(".plan.json")
    beside = [
        item
        for item in plan.parent.iterdir()
        if item.stem == stem and item != plan and item.is_file() and not item.name.endswith(".json")
    ]
    if len(beside) != 1:
        raise InputError("the source of this plan is not beside it", hint="name it with --source FILE")
    return beside[0]


def _named(outcome: parallel.Outcome, names: dict[int, Path], wanted: bool) -> FileReport:
    if not wanted:
        return outcome.report
    return outcome.report.model_copy(update={"name": printable(names[outcome.job.number])})


@contextmanager
def _report_place(
    path: Path | None, overwrite: bool, inputs: Sequence[Path], targets: Sequence[Path]
) -> Iterator[Callable[[str], None]]:
    """Yield the function that writes the report; the place is tried before the work begins."""
    if path is None:
        yield lambda text: None
        return
    if parallel.place(path) in {parallel.place(target) for target in targets}:
        raise UsageError(f"--report must be a file of its own, got the output {printable(path)}")
    with pending(path, overwrite=overwrite, inputs=inputs) as file:

        def save(text: str) -> None:
            file.path.write_text(text + "\n", encoding="utf-8")
            file.publish()

        yield save


_STOPPED = 130
"""The exit status that Typer makes of a KeyboardInterrupt."""


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; ``incog FILE`` means ``incog hide FILE``."""
    one_thread_for_matrices()
    signal.signal(signal.SIGTERM, _stop)
    # A closed terminal stops the work as Ctrl-C does, unless nohup has it go on.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _stop)
    arguments = sys.argv[1:]
    commands = {
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    }
    commands |= {group.name for group in app.registered_groups if group.name}
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands:
        arguments = ["hide", *arguments]
    try:
        app(arguments, prog_name="incog", standalone_mode=True)
    except SystemExit as end:
        if end.code == _STOPPED:
            Screen().error("stopped; nothing half done was left behind")
        raise
