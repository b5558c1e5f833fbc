"""The pages say what the code says, their links lead somewhere, and their examples run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import av
import pytest
import typer
from PIL import Image
from skimage import data

from incog.cli import app
from incog.methods import METHODS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = {"cli.md", "methods.md", "report.md", "benchmarks.md", "networks.md"}
RUNNABLE = re.compile(
    r"^(?P<indent> *)<!-- runnable:(?P<files>[^>]*)-->\n+ *```(?P<language>\w+)\n(?P<code>.*?)^ *```$",
    re.M | re.S,
)
FOREIGN = {"--no-deps", "--check"}
"""Options in the pages that belong to other programs."""


def commands() -> dict[str, Any]:
    """Return every command by its full name; a group's hidden one, which needs no further word, by the group's."""
    group: Any = typer.main.get_command(app)
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= {
                name if leaf.hidden else f"{name} {inner}": leaf for inner, leaf in command.commands.items()
            }
        else:
            found[name] = command
    return found


def options() -> set[str]:
    names = {
        name for command in commands().values() for parameter in command.params for name in parameter.opts
    }
    return {name for name in names if name.startswith("-")} | {"--help", "--version"}


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_the_generated_pages_are_fresh_and_their_pictures_are_there() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", commands())
def test_every_command_and_option_is_documented(name: str) -> None:
    _, _, rest = text_of(ROOT / "docs" / "cli.md").partition(f"\n## incog {name}\n")
    section = rest.partition("\n## ")[0]
    assert section
    for parameter in commands()[name].params:
        for option in parameter.opts:
            shown = option if option.startswith("-") else option.upper()
            assert re.search(rf"\| `[^`]*(?<![\w-]){re.escape(shown)}(?![\w-])", section), option


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_section(name: str) -> None:
    assert f"\n## {name}\n" in text_of(ROOT / "docs" / "methods.md")


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in GENERATED], ids=lambda page: page.name
)
def test_pages_name_options_that_exist(page: Path) -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", re.sub(r"<!--.*?-->", "", text_of(page))))
    assert named - options() - FOREIGN == set()


def shell_commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", text_of(page), re.S):
            for line in dedent(block).splitlines():
                if line.startswith("incog "):
                    yield page.name, line


@pytest.mark.parametrize(("page", "line"), list(shell_commands()))
def test_shell_commands_in_the_pages_parse(page: str, line: str) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    known = commands()
    if arguments and f"{name} {arguments[0]}" in known:
        name, arguments = f"{name} {arguments[0]}", arguments[1:]
    command, words = (known[name], arguments) if name in known else (known["hide"], [name, *arguments])
    command.make_context(command.name, words)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text_of(page), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_resolve(page: Path) -> None:
    text = re.sub(r"```.*?```", "", text_of(page), flags=re.S)
    for target in [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'src="([^"]+)"', text)]:
        if target.startswith("https://"):
            continue
        name, _, anchor = target.replace("\n", " ").partition("#")
        place = page.parent / name if name else page
        assert place.exists(), f"{target} does not exist"
        if anchor:
            assert anchor in anchors(place), f"{target} has no such heading"


def test_the_readme_shows_its_pictures() -> None:
    shown = re.findall(r"!\[([^\]]+)\]\((docs/images/[^)]+)\)", text_of(ROOT / "README.md"))
    assert len(shown) == 3
    for _, place in shown:
        with Image.open(ROOT / place) as picture:
            assert picture.width >= 600


def runnable() -> Iterator[Any]:
    for page in PAGES:
        for number, match in enumerate(RUNNABLE.finditer(text_of(page)), start=1):
            yield pytest.param(
                match["files"].split(),
                match["language"],
                dedent(match["code"]),
                id=f"{page.stem}-{number}",
            )


def provide(path: Path) -> None:
    """Write a photo, or a clip of one second, of the astronaut (NASA, public domain)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(data.astronaut())
    if path.suffix == ".jpg":
        picture.save(path, quality=90)
        return
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(10):
            view = picture.resize((320, 240), box=(60 + 4 * number, 0, 460 + 4 * number, 300))
            container.mux(stream.encode(av.VideoFrame.from_image(view)))
        container.mux(stream.encode(None))


@pytest.mark.slow
@pytest.mark.parametrize(("files", "language", "code"), list(runnable()))
def test_examples_run(files: list[str], language: str, code: str, tmp_path: Path) -> None:
    for name in files:
        provide(tmp_path / name)
    program = ["bash", "-euo", "pipefail", "-c", code] if language == "sh" else [sys.executable, "-c", code]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        program,
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_there_are_examples_of_each_kind() -> None:
    languages = [parameter.values[1] for parameter in runnable()]
    assert languages.count("sh") >= 3
    assert languages.count("python") >= 2
