"""``incog train pack``: faces of several datasets, aligned, in one small file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from incog.errors import must_be

_screen = Console(highlight=False, soft_wrap=True)


def pack(
    data: Annotated[
        list[str],
        typer.Option("--data", metavar="NAME=PATH", help="A dataset, or NAME=LAYOUT:PATH; repeatable."),
    ],
    out: Annotated[Path, typer.Option("--out", help="The file to write, FILE.pack.")],
    template: Annotated[
        str, typer.Option("--template", help="How faces are aligned: arcface, outline or wide.")
    ] = "arcface",
    size: Annotated[int, typer.Option("--size", help="Side of the crops in pixels.")] = 128,
    quality: Annotated[int, typer.Option("--quality", help="Of the WebP, 1 to 100.")] = 80,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            metavar="NAME=FILE.onnx",
            help="Add this recogniser's embeddings, 2 bytes for each dimension of a face.",
        ),
    ] = None,
    terms: Annotated[
        list[str] | None,
        typer.Option("--terms", metavar="NAME=TEXT", help="Terms of a dataset's pictures; repeatable."),
    ] = None,
    most: Annotated[
        int | None, typer.Option("--most", help="Pack so many faces at most, people whole, drawn by a hash.")
    ] = None,
    least_score: Annotated[
        float, typer.Option("--least-score", help="Least score of the detector that found a face, 0 to 1.")
    ] = 0.5,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Keep the teacher's embeddings that the data have.")
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Leave out, and count, what is unreadable or mislabelled.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    threads: Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0: all.")] = 0,
) -> None:
    """Find, align and judge the faces of datasets and pack them into one small file."""
    from incog.cli.sources import sources
    from incog.train.packing import Settings
    from incog.train.packing import pack as work

    settings = Settings(
        template=template,
        size=size,
        quality=quality,
        most=most,
        least_score=least_score,
        embeddings=embeddings,
        keep_going=keep_going,
        threads=threads,
    )
    given = sources(data)
    named = None
    if teacher is not None:
        ((name, path),) = sources([teacher], option="--teacher").items()
        named = name, path
    header = work(
        given,
        out,
        settings,
        teacher=named,
        terms=dict(_pair(text) for text in terms or ()),
        overwrite=overwrite,
        tell=lambda line: _screen.print(line, markup=False),
    )
    for source, facts in header.sources.items():
        people = f" of {facts.people} people" if facts.people else ""
        left = "; ".join(f"{reason}: {count}" for reason, count in facts.rejected.items())
        _screen.print(
            f"{source}: {facts.faces} faces{people}" + (f", left out: {left}" if left else ""), markup=False
        )
    _screen.print(f"wrote {out}: {header.faces} faces in {out.stat().st_size / 1e6:.1f} MB", markup=False)


def _pair(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark or not name or not value:
        raise must_be("--terms", "NAME=TEXT", text)
    return name, value
