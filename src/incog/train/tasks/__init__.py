"""What can be trained: one module per task, loaded only when a recipe names it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from incog.data import packs
from incog.errors import must_be

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from incog.train.loop import Task
    from incog.train.recipe import Recipe

TASKS = {
    "embedder": "Embedder",
    "landmarks": "Landmarks",
    "attributes": "Attributes",
    "detector": "Detector",
    "autoencoder": "Autoencoder",
    "tuned_encoder": "TunedEncoder",
    "transformer": "Transformer",
    "generator": "Generator",
}
"""Name in recipes -> class in the module of that name."""


def make_task(recipe: Recipe, data: Mapping[str, Path], device: torch.device, cache: Path | None) -> Task:
    """Return the recipe's task with its data loaded. Raises UsageError for an unknown one or data that is not given."""
    if recipe.task not in TASKS:
        raise must_be("task", f"one of {', '.join(TASKS)}", recipe.task)
    ordered = chosen(recipe, data)
    kind = getattr(import_module(f"incog.train.tasks.{recipe.task}"), TASKS[recipe.task])
    return cast("Task", kind(recipe, ordered, device, cache))


def chosen(recipe: Recipe, data: Mapping[str, Path]) -> dict[str, Path]:
    """Return the data in the recipe's order. A pack gives all the sources that it holds, whatever it is called.

    Raises UsageError for a source that is missing, given twice, or not the recipe's.
    """
    gives = {name: packs.held(path) or [name] for name, path in data.items()}
    sources = [source for held in gives.values() for source in held]
    wanted = (*recipe.data, *recipe.optional)
    if missing := [name for name in recipe.data if name not in sources]:
        raise must_be("--data", f"given for {', '.join(recipe.data)}", f"nothing for {missing[0]}")
    if unknown := sorted(set(sources) - set(wanted)):
        raise must_be("--data", f"for {', '.join(wanted)}", unknown[0])
    if twice := sorted({source for source in sources if sources.count(source) > 1}):
        raise must_be("--data", "given once for each source", f"{twice[0]} twice")
    order = sorted(gives, key=lambda name: min(wanted.index(source) for source in gives[name]))
    return {name: data[name] for name in order}
