"""``incog train``: train a network by a recipe, export it, pack faces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from incog.cli.failing import failing
from incog.cli.pack import pack
from incog.cli.screen import Screen
from incog.cli.sources import sources
from incog.errors import must_be


class _RecipeFirst(TyperGroup):
    """``incog train RECIPE`` needs no further word."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RecipeFirst, no_args_is_help=True, help="Train incog's own networks (needs the extra [train])."
)
# Always with the trace: a run of hours that ends in a bug should not have to be run again to know where.
_failing = failing(Screen(verbose=True))
app.command("pack")(_failing(pack))
_screen = Console(highlight=False, soft_wrap=True)

Data = Annotated[
    list[str] | None, typer.Option("--data", metavar="NAME=PATH", help="A source of data; repeatable.")
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the run; runs/NAME by default.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Threads = Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0: all.")]


@app.command("run", hidden=True)
@_failing
def run(
    recipe: Annotated[Path, typer.Argument(help="The recipe, TOML.")],
    data: Data = None,
    out: Out = None,
    device: DeviceOption = "auto",
    budget: Annotated[
        str | None, typer.Option("--budget", help="Wall time such as 20m; the recipe's by default.")
    ] = None,
    threads: Threads = 0,
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="Compile the network on a CPU too: for runs of an hour and more."),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's checkpoint.")] = False,
    start: Annotated[
        Path | None, typer.Option("--start", help="Begin with these weights, of export --weights.")
    ] = None,
    trunk: Annotated[
        bool, typer.Option("--trunk", help="With --start: take the trunk alone, from another network too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the recipe as it would run, and stop.")
    ] = False,
) -> None:
    """Train a network by a recipe."""
    from incog.train import require_torch
    from incog.train.recipe import Recipe, seconds

    if resume and start is not None:
        raise must_be("--start", "left out with --resume, which has weights of its own", start)
    if trunk and start is None:
        raise must_be("--trunk", "given with --start", "no --start")
    plan = Recipe.load(recipe)
    if budget is not None:
        plan = plan.with_budget(seconds(budget))
    _screen.print(plan.dump(), markup=False, end="")
    if dry_run:
        return
    given = sources(data)
    require_torch()
    import torch

    from incog.train.loop import Run, make_device, open_folder
    from incog.train.tasks import make_task

    if threads:
        torch.set_num_threads(threads)
    place = out or Path("runs") / plan.name
    chosen = make_device(device)
    torch.manual_seed(plan.seed)
    open_folder(place, plan, resume=resume)
    task = make_task(plan, given, chosen, place / "cache")
    training = Run(
        plan,
        task,
        place,
        device=chosen,
        tell=lambda line: _screen.print(line, markup=False),
        compiled=compiled,
    )
    if resume:
        training.load()
    if start is not None:
        training.start(start, trunk=trunk)
    training.go()


@app.command("export")
@_failing
def export_run(
    recipe: Annotated[Path, typer.Argument(help="The recipe that the run was made by.")],
    run: Annotated[
        Path | None, typer.Option("--run", help="Folder of the run; runs/NAME by default.")
    ] = None,
    data: Data = None,
    models: Annotated[Path, typer.Option("--models", help="Folder for NAME.onnx and its card.")] = Path(),
    weights: Annotated[
        Path | None, typer.Option("--weights", help="NPZ file for the weights too, for train --start.")
    ] = None,
    threads: Threads = 0,
) -> None:
    """Write a run's network as ONNX, compared with the run, and its card with the figures measured again."""
    from incog.train import require_torch
    from incog.train.recipe import Recipe

    plan, given = Recipe.load(recipe), sources(data)
    require_torch()
    import numpy as np
    import torch

    from incog.train.export import export_all, write
    from incog.train.tasks import make_task

    if threads:
        torch.set_num_threads(threads)
    folder = run or Path("runs") / plan.name
    task = make_task(plan, given, torch.device("cpu"), folder / "cache")
    # Two recipes may make one network, in stages: the card names the one that was given.
    made = [
        replace(item, card=replace(item.card, recipe=f"recipes/{recipe.name}"))
        for item in export_all(plan, folder, task)
    ]
    for item in made:
        file, card = write(item, models)
        _screen.print(f"wrote {file} ({file.stat().st_size} bytes) and {card}", markup=False)
    if weights is not None:
        np.savez_compressed(weights, **made[0].weights)  # type: ignore[arg-type]
    for name, value in made[0].card.measured.items():
        _screen.print(f"  {name} {value}", markup=False)
