"""Files one after another with a bar, or over several processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from incog import parallel
from incog.cli.screen import Screen
from incog.media.walk import printable


def outcomes(
    jobs: Sequence[parallel.Job],
    settings: parallel.Settings,
    workers: int,
    keep_going: bool,
    screen: Screen,
    task: parallel.Task = parallel.work,
) -> Iterator[parallel.Outcome]:
    """Yield what became of each job, by a task; without ``keep_going`` no further one is begun after a failure."""
    if workers > 1 and len(jobs) > 1:
        yield from parallel.run(jobs, settings, workers=workers, keep_going=keep_going, task=task)
        return
    for job in jobs:
        with screen.bar(printable(job.path.name)) as step:
            outcome = task(job, settings, step)
        yield outcome
        if outcome.report.status == "failed" and not keep_going:
            return
