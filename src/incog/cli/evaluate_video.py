"""``incog evaluate --video``: what a tool left of the faces of one video."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from incog.cli.reports import reports
from incog.cli.screen import Screen

if TYPE_CHECKING:
    from incog.evaluate.recognisers import Recogniser


def evaluate_video(
    original: Path,
    anonymised: Path,
    judges: Callable[[], list[Recogniser]],
    *,
    data: dict[str, Path],
    people: int | None,
    seed: int,
    threads: int,
    report: Path,
    examples: bool,
    overwrite: bool,
    screen: Screen,
) -> None:
    """Measure a pair of videos and write both reports. judges: makes the recognisers. people: of data, at most."""
    from incog.evaluate.video import STRANGERS
    from incog.evaluate.video import evaluate_video as run
    from incog.evaluate.video_page import video_page
    from incog.pipeline import Perception

    recognisers = judges()
    with reports(report, overwrite=overwrite) as (told, shown), screen.bar("video") as progress:
        results = run(
            original,
            anonymised,
            recognisers,
            Perception(threads=threads),
            data=data,
            people=STRANGERS if people is None else people,
            seed=seed,
            progress=progress,
            tell=screen.say,
        )
        document = results.evaluation.model_dump(mode="json")
        told.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        sheets = [[(old if examples else None, new) for old, new in some] for some in results.examples]
        shown.write_text(video_page(results.evaluation, sheets), encoding="utf-8")
    screen.say(results.evaluation.verdict)
    screen.say(f"wrote {report / 'report.html'} and {report / 'report.json'}")
