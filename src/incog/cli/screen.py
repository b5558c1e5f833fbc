"""Words and progress bars for people, on standard error; the results are files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from incog import parallel
from incog.media.base import notable
from incog.media.walk import printable
from incog.methods import DEFAULT
from incog.pipeline import Progress as Advance
from incog.pipeline import silent
from incog.vault.carriers import SIDECAR, sidecar_of


class Screen:
    """Words for people, on standard error; the results are files."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet, self.verbose = quiet, verbose
        self.console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def say(self, text: str) -> None:
        if not self.quiet:
            self.console.print(text)

    def error(self, text: str, hint: str = "") -> None:
        self.console.print(f"incog: {text}", style="bold red" if self.console.is_terminal else "")
        if hint:
            self.console.print(f"  {hint}")

    @contextmanager
    def bar(self, label: str) -> Iterator[Advance]:
        """Yield a progress callback that draws frames/s and the time left, where somebody is looking."""
        if self.quiet or not self.console.is_terminal:
            yield silent
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            tasks: dict[str, tuple[TaskID, float]] = {}

            def step(stage: str, done: int, total: int | None) -> None:
                if stage not in tasks or done == 1:
                    if stage in tasks:
                        progress.remove_task(tasks[stage][0])
                    task = progress.add_task(f"{label}: {stage}", total=total, speed="")
                    tasks[stage] = task, progress.get_time()
                task, began = tasks[stage]
                elapsed = progress.get_time() - began
                speed = f"{done / elapsed:.1f} frames/s" if elapsed > 0.5 else ""
                progress.update(task, completed=done, speed=speed)

            yield step


def failure(outcome: parallel.Outcome) -> str:
    """Return what failed and why, on one line."""
    return f"{printable(outcome.job.path)}: {outcome.message or outcome.report.error}"


def recall(failures: Sequence[str], screen: Screen) -> None:
    """Say once more what failed, when much may have been said since."""
    if failures:
        screen.error(
            f"{len(failures)} failed, and nothing was written for what failed:", "\n  ".join(failures)
        )


def warn_of_old(target: Path, screen: Screen) -> None:
    """Warn of a vault that lies beside a result and is not the result's own."""
    old = sidecar_of(target)
    if old.exists():
        screen.error(
            f"warning: {printable(old)} was there before and may hold a sealed original",
            "publish the result without it",
        )


def tell(outcome: parallel.Outcome, screen: Screen) -> None:
    """Say on one line what became of a file."""
    report, path = outcome.report, printable(outcome.job.path)
    if report.status == "failed":
        screen.error(failure(outcome), outcome.hint)
        if screen.verbose and outcome.trace:
            screen.console.print(outcome.trace)
        return
    target = printable(outcome.target) if outcome.target else "?"
    if report.status == "no_faces":
        screen.say(f"{path} -> {target}: no faces found")
    else:
        rate = (
            f", {report.frames / report.seconds:.1f} frames/s" if report.frames > 1 and report.seconds else ""
        )
        covered = f", {report.rescan.covered} added by the rescan" if report.rescan.covered else ""
        screen.say(f"{path} -> {target}: {report.tracks} face(s) hidden{covered}{rate}")
    if report.fallback:
        screen.say(
            f"  {report.fallback} face(s) that {report.method} could not hide or left recognisable: "
            "filled, at least for a while"
        )
    for claim in report.claims:
        if screen.verbose or (claim.value is not None and report.method != DEFAULT):
            screen.say(f"  {'holds' if claim.holds else 'note'}: {claim.statement} ({claim.scope})")
    for line in report.selection:
        screen.say(f"  {line}")
    if vault := report.vault:
        screen.say(f"  {vault.status}: sealed in {vault.place}: {vault.holds}")
        share = "" if vault.share is None else f", {vault.share:.0%} of the source"
        screen.say(f"  {vault.bytes} bytes{share}")
    if outcome.target is not None and (vault is None or vault.place != SIDECAR):
        warn_of_old(outcome.target, screen)
    if report.rescan.on_purpose:
        screen.say(f"  {report.rescan.on_purpose} sighting(s) of faces left visible on purpose")
    for decision in report.decisions:
        if screen.verbose or notable(decision):
            screen.say(f"  {decision}")
