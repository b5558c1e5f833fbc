"""What can be trained: one module per task, loaded only when a recipe names it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

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
}
"""Name in recipes -> class in the module of that name."""


def make_task(recipe: Recipe, data: Mapping[str, Path], device: torch.device, cache: Path | None) -> Task:
    """Return the recipe's task with its data loaded. Raises UsageError for an unknown one or data that is not given."""
    if recipe.task not in TASKS:
        raise must_be("task", f"one of {', '.join(TASKS)}", recipe.task)
    missing = [name for name in recipe.data if name not in data]
    if missing:
        raise must_be("--data", f"given for {', '.join(recipe.data)}", f"nothing for {missing[0]}")
    unknown = sorted(set(data) - set(recipe.data) - set(recipe.optional))
    if unknown:
        raise must_be("--data", f"for {', '.join((*recipe.data, *recipe.optional))}", unknown[0])
    kind = getattr(import_module(f"incog.train.tasks.{recipe.task}"), TASKS[recipe.task])
    ordered = {name: data[name] for name in (*recipe.data, *recipe.optional) if name in data}
    return cast("Task", kind(recipe, ordered, device, cache))
