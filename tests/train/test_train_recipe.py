"""Recipes: what is written is read again, and whatever a recipe must not say is refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from incog.errors import InputError, UsageError
from incog.train.recipe import Recipe, build, seconds

SAID = """
task = "embedder"
name = "tiny-2"
data = ["lfw", "faces"]
optional = ["teacher"]
seed = 7
budget = "1.5m"
batch = 8
rate = 1
resolutions = [[0.0, 64], [0.5, 112]]
about = 'says "hello" \\ and more'
limits = ["one", "two"]

[network]
widths = [4, 8]
mean = true

[options]
margin = 0.25
kind = "plain"

[terms]
lfw = "research"
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(SAID, "utf-8")
    return path


def test_a_recipe_is_read_as_it_was_written(written: Path) -> None:
    recipe = Recipe.load(written)
    assert (recipe.task, recipe.name, recipe.seed, recipe.batch) == ("embedder", "tiny-2", 7, 8)
    assert recipe.data == ("lfw", "faces")
    assert recipe.budget == 90
    assert recipe.rate == 1.0
    assert isinstance(recipe.rate, float)
    assert recipe.resolutions == ((0.0, 64), (0.5, 112))
    assert recipe.options == {"margin": 0.25, "kind": "plain"}
    assert recipe.about == 'says "hello" \\ and more'


def test_the_dump_of_a_recipe_is_the_recipe(written: Path) -> None:
    recipe = Recipe.load(written)
    written.write_text(recipe.dump(), "utf-8")
    assert Recipe.load(written) == recipe


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "recipes").glob("*.toml")), ids=lambda p: p.stem
)
def test_every_recipe_that_comes_along_is_sound(path: Path, tmp_path: Path) -> None:
    recipe = Recipe.load(path)
    again = tmp_path / "again.toml"
    again.write_text(recipe.dump(), "utf-8")
    assert Recipe.load(again) == recipe


def test_another_budget_changes_nothing_else(written: Path) -> None:
    recipe = Recipe.load(written)
    assert recipe.with_budget(5).budget == 5
    assert recipe.with_budget(5).with_budget(90) == recipe


REFUSED = {
    "a word it does not know": ("seed = 7", "sead = 7", "sead"),
    "a missing name": ('name = "tiny-2"', "", "'name'"),
    "a missing task": ('task = "embedder"', "", "'task'"),
    "capitals in the name": ("tiny-2", "Tiny", "small letters"),
    "a number as text": ("batch = 8", 'batch = "8"', "of type int"),
    "a truth as a number": ("batch = 8", "batch = true", "of type int"),
    "a broken number of images": ("batch = 8", "batch = 8.5", "of type int"),
    "no images": ("batch = 8", "batch = 0", "above 0"),
    "no time": ('budget = "1.5m"', "budget = 0", "above 0"),
    "a strange span": ('budget = "1.5m"', 'budget = "1.5 days"', "such as 20m"),
    "a negative rate": ("rate = 1", "rate = -1.0", "above 0"),
    "a share above 1": ("seed = 7", "warmup = 1.5", "in 0..1"),
    "a list as text": ('["lfw", "faces"]', '"lfw"', "a list"),
    "a list of numbers": ('["lfw", "faces"]', "[1, 2]", "of type str"),
    "a table as text": ("[options]\nmargin = 0.25", 'options = "0.25"\n[network.more]', "table"),
    "resolutions without a start": ("[[0.0, 64], [0.5, 112]]", "[[0.1, 64]]", "rising from 0"),
    "falling shares": ("[[0.0, 64], [0.5, 112]]", "[[0.0, 64], [0.5, 80], [0.3, 112]]", "rising from 0"),
    "a share after the end": ("[[0.0, 64], [0.5, 112]]", "[[0.0, 64], [1.0, 112]]", "rising from 0"),
    "no resolutions": ("[[0.0, 64], [0.5, 112]]", "[]", "rising from 0"),
    "three numbers": ("[[0.0, 64], [0.5, 112]]", "[[0.0, 64, 1]]", "a list of 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_recipe_must_not_say(case: str, written: Path) -> None:
    old, new, said = REFUSED[case]
    assert old in SAID
    text = SAID.replace(old, new)
    if case == "a table as text":
        text = SAID.split("[network]")[0] + 'options = "0.25"\n'
    written.write_text(text, "utf-8")
    with pytest.raises(UsageError) as refused:
        Recipe.load(written)
    assert said in f"{refused.value} {refused.value.hint}"


def test_files_that_are_no_recipe_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.toml cannot be read"):
        Recipe.load(tmp_path / "absent.toml")
    with pytest.raises(InputError, match=r"cannot be read: Is a directory$"):
        Recipe.load(tmp_path)
    for content in (b"task = ", b"\xff\xfe\x00"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.toml"):
            Recipe.load(tmp_path / "bad.toml")


@dataclass(frozen=True, kw_only=True)
class Options:
    margin: float
    kind: str = "plain"
    sizes: tuple[int, ...] = (1,)


def test_sections_become_dataclasses(written: Path) -> None:
    assert Recipe.load(written).section("options", Options) == Options(margin=0.25)
    assert build(Options, {"margin": 1, "sizes": [2, 3]}, where="here").sizes == (2, 3)
    with pytest.raises(UsageError, match="must say 'margin'"):
        build(Options, {}, where="[options]")
    with pytest.raises(UsageError, match="recipe tiny-2 says 'mean', which means nothing") as refused:
        Recipe.load(written).section("network", Options)
    assert "margin, kind, sizes" in refused.value.hint


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("20m", 1200), ("1.5h", 5400), (" 2m ", 120)])
def test_spans_of_time(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "20", "m", "-5m", "0s", "1d", "1m30s"])
def test_other_spans_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a span of time must be"):
        seconds(text)
