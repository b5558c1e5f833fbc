"""Write the pages that follow from the code: docs/methods.md, docs/cli.md, docs/report.md, and their pictures.

Run: python docs/generate.py [--check]

``--check`` writes nothing. It fails when a page is not what the code says, or when a picture is missing.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any, cast

import numpy as np
import typer
from matplotlib import cbook
from PIL import Image, ImageDraw, ImageFont
from pydantic import BaseModel
from skimage import data

from incog import compose, geometry, models
from incog.cli import app
from incog.keys import Secret, track_key
from incog.methods import DEFAULT, METHODS, make
from incog.methods.base import Method, SetMethod
from incog.methods.parameters import describe
from incog.models import Card, cards
from incog.pipeline import Perception, parameters
from incog.plan import Plan, PlanTrack, SelectionRecord, SourceRecord
from incog.report import ClaimReport, FileReport, PseudonymReport, Report, Rescan, VaultReport
from incog.track import single
from incog.types import Bytes, Frame, Layout, Track

DOCS = Path(__file__).resolve().parent
IMAGES = DOCS / "images"
MODELS = Path(models.__file__).parent
NOTE = "<!-- Made by docs/generate.py from the code: change the code, then run `make docs`. -->"

FIELDS = {
    ("Plan", "version"): "Of the format. A plan of another version is refused.",
    ("Plan", "program"): "What wrote the plan.",
    ("Plan", "file_id"): "Random, new for every plan. The keys of the result and the digest depend on it.",
    ("Plan", "detector"): "Which detector looked.",
    ("Plan", "threshold"): "The score from which on it was a face.",
    (
        "Plan",
        "scanned",
    ): "The frames that were searched as a whole; in the others, known faces were followed.",
    ("Plan", "source"): "What the plan was made from.",
    ("Plan", "tracks"): "The faces.",
    (
        "SourceRecord",
        "kind",
    ): "An animation is a GIF, WebP, APNG or AVIF with several frames, or a TIFF of several pages.",
    ("SourceRecord", "width"): "Of the upright picture, in pixels.",
    ("SourceRecord", "height"): "Of the upright picture, in pixels.",
    ("SourceRecord", "frames"): "How many frames there are.",
    ("PlanTrack", "id"): "A number of your choice, different for each track.",
    ("PlanTrack", "start"): "The first frame, counted from 0.",
    (
        "PlanTrack",
        "boxes",
    ): "One box per frame from `start` on, without gaps: x0, y0, x1, y1 in pixels of the upright "
    "picture, from brow to chin and from ear to ear. It may reach over the border.",
    ("PlanTrack", "points"): "Eyes, nose tip and corners of the mouth, or null where they are unknown.",
    ("PlanTrack", "scores"): "The detector's confidence.",
    ("PlanTrack", "origins"): "One letter per box: d detected, i interpolated, p propagated, a added.",
    ("PlanTrack", "grow"): "The uncertainty of the box as a share of its size; the mask is larger by it.",
    ("PlanTrack", "hide"): "False leaves the face visible.",
    ("Report", "version"): "Of the format.",
    ("Report", "program"): "What wrote the report.",
    ("Report", "device"): "Where the networks ran.",
    ("Report", "files"): "One entry per input.",
    ("FileReport", "status"): "What became of the file. `failed` means that there is no output.",
    ("FileReport", "frames"): "Frames of the file; 1 for a photo.",
    ("FileReport", "method"): "The method.",
    ("FileReport", "parameters"): "Its parameters, defaults included.",
    ("FileReport", "fallback"): f"Tracks that the method could not do; they were hidden with `{DEFAULT}`.",
    ("FileReport", "seconds"): "How long it took.",
    ("FileReport", "rescan"): "The second look.",
    ("FileReport", "claims"): "What the method promises, with its conditions, and its warnings.",
    ("FileReport", "vault"): "The original, sealed on request; null where it was not.",
    ("FileReport", "error"): "Why it failed. It names no file.",
    ("ClaimReport", "statement"): "What is claimed.",
    ("ClaimReport", "holds"): "False for a warning.",
    ("ClaimReport", "scope"): "What the claim is about.",
    ("ClaimReport", "conditions"): "What must be true for it.",
    ("ClaimReport", "value"): "The figure in the claim, such as an epsilon.",
}
"""What the fields mean that the models' docstrings leave to their names."""


def pages() -> dict[str, str]:
    """Return the text of every generated page by file name."""
    return {
        "methods.md": methods_page(),
        "cli.md": cli_page(),
        "report.md": report_page(),
        "networks.md": networks_page(),
    }


def picture_names() -> list[str]:
    """Return the pictures that the pages and the README show, relative to docs/images."""
    return ["astronaut.jpg", "admiral.jpg", "methods.jpg", *(f"methods/{name}.jpg" for name in METHODS)]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def methods_page() -> str:
    """Return the page about all methods, from the registry."""
    kinds = METHODS.items()
    overview = [
        [
            f'<img src="images/methods/{name}.jpg" width="84" alt="">',
            f"[{name}](#{name})" + (", the default" if name == DEFAULT else ""),
            kind.family,
            kind.summary,
            kind.hides_from,
            "yes" if kind.weak else "no",
            "yes" if kind.reversible else "no",
        ]
        for name, kind in kinds
    ]
    parts = [
        NOTE,
        "# Methods",
        "A method changes the pixels of a face and nothing else: `incog hide --method NAME --set KEY=VALUE`. "
        "`incog methods NAME` prints the same facts. Lengths are relative to the longer side of the face's box, so a "
        "setting does the same to near and to distant faces.",
        "*Hides from* is what we expect of the method at its defaults, from the literature and from what it lets "
        "through; it is not a measurement of this program. *Weak* methods are there because people ask for them "
        "and because they are what others are compared with. Do not protect anybody with them.",
        table(["", "method", "family", "what it draws", "hides from", "weak", "reversible"], overview),
        "The face: Eileen Collins, NASA, public domain.",
    ]
    for name, kind in kinds:
        rows = [[f"`{row.name}`", f"`{row.default}`", row.range, row.help] for row in describe(kind)]
        parts += [
            f"## {name}",
            f"![{name}](images/methods/{name}.jpg)",
            f"{kind.summary[0].upper()}{kind.summary[1:]}. Hides from {kind.hides_from}.",
        ]
        if kind.weak:
            parts.append(f"**Weak.** {kind.weak}")
        if kind.granularity == "set":
            parts.append(
                "It needs a set of people: give a folder with one folder in it for each person. "
                "[k-Same](subspace.md#k-same) says more. The picture is the mean of two people, Eileen Collins and "
                "Grace Hopper."
            )
        if kind.family == "generated":
            parts.append("[Faces that never existed](generator.md) says more of the network behind it.")
        if kind.family == "transformer":
            parts.append(
                "[Faces that a key turns](transformer.md) says more of the network and of the way back."
            )
        if kind.keyed:
            parts.append("The result depends on a key, which is fresh in every run unless a secret is given.")
        parts.append(
            table(["parameter", "default", "must be", "meaning"], rows) if rows else "No parameters."
        )
        for claim in kind().claims():
            parts.append(
                f"{'Promise' if claim.holds else 'Warning'}, about {claim.scope}: {claim.statement} Conditions:\n\n"
                + "\n".join(f"- {condition}" for condition in claim.conditions)
            )
    return "\n\n".join(parts) + "\n"


def cli_page() -> str:
    """Return the page about all commands and options, from the Typer app."""
    group: Any = typer.main.get_command(app)
    top = group.make_context("incog", [], resilient_parsing=True)
    parts = [
        NOTE,
        "# Command line",
        group.help,
        table(["option", "meaning"], _options(group, top)),
        "Exit status: 0, every input was handled; 1, something was not, and the last lines say what and why; "
        "2, an option or parameter is wrong or does nothing here; 130, stopped with Ctrl-C. What people read goes "
        "to standard error; `incog methods`, `--help` and `--version` print to standard output.",
    ]
    for name, command in _commands(group):
        context = command.make_context(name, [], parent=top, resilient_parsing=True)
        usage = [
            piece.replace("{", "").replace("}", "").upper() for piece in command.collect_usage_pieces(context)
        ]
        parts += [
            f"## incog {name}",
            command.help,
            f"```text\nincog {name} {' '.join(usage)}\n```",
            table(["option", "meaning"], _options(command, context)),
        ]
    return "\n\n".join(parts) + "\n"


def _commands(group: Any) -> Iterator[tuple[str, Any]]:
    """Yield every command with its full name; of a group, its commands, and without a name the hidden one."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            for inner, leaf in command.commands.items():
                yield (name if leaf.hidden else f"{name} {inner}"), leaf
        else:
            yield name, command


def networks_page() -> str:
    """Return the page about the networks that ship, from their cards."""
    found = cards().values()
    parts = [
        NOTE,
        "# Networks",
        "incog ships its own small networks. Each was trained by a recipe in this repository (`incog train RECIPE`, "
        "see [training](training.md)), is stored as ONNX, compressed where it has 8 bits a number, or, where it is a "
        "table of numbers, as NPZ, and is checked "
        "against its SHA-256 before use. Names that end in `-b` only judge: no method and no training loss ever sees "
        "them.",
        "The file is free to use; **the data that it was trained on are for research**. Whoever sells a product on "
        "these weights should train them again, by the same recipe, on faces that he may use.",
        "How quick each is, on one and two threads, stands in [benchmarks](benchmarks.md).",
        table(
            ["network", "does", "parameters", "multiply-adds", "file"],
            [
                [
                    f"[{card.name}](#{card.name})",
                    card.about,
                    f"{card.parameters / 1e6:.2f} M",
                    f"{card.multiply_adds / 1e6:.0f} M",
                    f"{(MODELS / card.file).stat().st_size / 1e6:.2f} MB",
                ]
                for card in found
            ],
        ),
        *(_card(card) for card in found),
    ]
    if not found:
        parts = [
            *parts[:2],
            "This version brings none of its own yet: the recipes are here, their networks in training.",
        ]
    return "\n\n".join(parts) + "\n"


def _card(card: Card) -> str:
    minutes = card.seconds / 60
    rows = [
        ["input", card.layout],
        ["output", card.outputs],
        [
            "trained by",
            f"`{card.recipe}`: {minutes:.0f} minutes, {card.images:,} pictures, on {card.hardware}",
        ],
        ["trained on", "; ".join(f"{name}: {count:,}" for name, count in card.data.items())],
        ["terms of the data", "; ".join(f"{name}: {text}" for name, text in card.terms.items())],
        ["file against PyTorch", f"differs by {card.export_difference:g} at most, on random and real input"],
        ["SHA-256", f"`{card.sha256}`"],
    ]
    measured = [[name.replace("_", " "), f"{value:,.4g}"] for name, value in card.measured.items()]
    return "\n\n".join(
        [
            f"## {card.name}",
            card.about,
            table(["", ""], rows),
            "On held-out data:",
            table(["", ""], measured),
            "Do not expect more of it than this:",
            "\n".join(f"- {limit}" for limit in card.limits),
        ]
    )


def _options(command: Any, context: Any) -> list[list[str]]:
    rows = []
    for parameter in command.get_params(context):
        names, text = parameter.get_help_record(context)
        if parameter.param_type_name == "argument":
            names = names.partition(" ")[0].upper()
        rows.append([f"`{names}`", " ".join(text.split())])
    return rows


def report_page() -> str:
    """Return the page about the two JSON formats, from their models and an example of each."""
    plan = Plan(
        file_id="00112233445566778899aabbccddeeff",
        source=SourceRecord(
            kind="video", width=640, height=360, frames=100, times=[("0", 1), ("1/25", 99)], digest="5e" * 32
        ),
        detector="centerface",
        threshold=0.4,
        scanned=[0, 8],
        tracks=[PlanTrack(id=1, start=4, boxes=[(235.4, 60.5, 356.7, 222.1), (235.7, 63.6, 356.7, 223.7)])],
    )
    method = METHODS["pixelate"]()
    claims = [
        ClaimReport(
            statement=claim.statement,
            holds=claim.holds,
            scope=claim.scope,
            conditions=list(claim.conditions),
            value=claim.value,
        )
        for claim in method.claims(frames=2)
    ]
    report = Report(
        files=[
            FileReport(
                name="1",
                status="hidden",
                faces=2,
                tracks=1,
                frames=100,
                method=method.name,
                parameters=parameters(method),
                seconds=4.2,
                rescan=Rescan(frames=8, rounds=1, detectors=["centerface", "hog"]),
                claims=claims,
                decisions=["The audio stream 1 (aac) was copied bit for bit."],
            ),
            FileReport(name="2", status="failed", error="the file is empty"),
        ]
    )
    parts = [
        NOTE,
        "# Plan and report",
        "Both are JSON. Unknown fields are refused. "
        "`Plan.model_json_schema()` in `incog.plan` and `Report.model_json_schema()` in `incog.report` give the "
        "JSON Schemas.",
        "## The plan",
        "`incog plan` writes it and `incog render` acts on it. It says where people are, so it is as sensitive as "
        "the file. It holds no key, no pixel and no description of a face. "
        "[Use](use.md#review-and-edit-a-plan) shows how to edit one.",
        *_models(Plan, SourceRecord, PlanTrack, SelectionRecord),
        _example(plan),
        "## The report",
        "`--report FILE` writes it. It is made to be shared: it holds no file name (unless `--report-names` is "
        "given), no place in a picture and no digest of an original.",
        *_models(Report, FileReport, Rescan, PseudonymReport, VaultReport, ClaimReport),
        _example(report),
    ]
    return "\n\n".join(parts) + "\n"


def _example(model: BaseModel) -> str:
    text = model.model_dump_json(indent=2, exclude_none=True)
    # Lists of plain values, and lists of such lists, stand on one line.
    for inner in (r"[^\[\]{}]*?", r"(?:\[[^\[\]{}]*?\],?\s*)*?"):
        text = re.sub(rf"\[\s*({inner})\s*\]", lambda match: f"[{' '.join(match[1].split())}]", text)
    return f"```json\n{text}\n```"


def _models(*models: type[BaseModel]) -> list[str]:
    parts = []
    for model in models:
        schema = model.model_json_schema()
        intro, meanings = _explained(model)
        rows = [
            [f"`{name}`", _kind(entry), _default(entry, name in schema.get("required", ())), meanings[name]]
            for name, entry in schema["properties"].items()
        ]
        parts += [f"### {model.__name__}", intro, table(["field", "type", "default", "meaning"], rows)]
    return parts


def _explained(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """Return the model's docstring without, and the meanings of its fields with, what it says as ``field: meaning``."""
    text = " ".join(dedent(model.__doc__ or "").split()).replace("``", "`")
    names = "|".join(model.model_fields)
    intro, *rest = re.split(rf"(?:^|(?<=[.;] ))({names}): ", text)
    meanings = {
        name: FIELDS[model.__name__, name] for name in model.model_fields if (model.__name__, name) in FIELDS
    }
    for name, meaning in zip(rest[::2], rest[1::2], strict=True):
        meaning = meaning.strip().rstrip(";.")
        meanings[name] = f"{meaning[0].upper()}{meaning[1:]}."
    missing = set(model.model_fields) - set(meanings)
    if missing:
        raise SystemExit(
            f"docs/generate.py: say in FIELDS what {model.__name__} means by {', '.join(sorted(missing))}"
        )
    return intro.strip(), meanings


def _kind(entry: dict[str, Any]) -> str:
    """Return a JSON Schema in words."""
    if "anyOf" in entry:
        return " or ".join(_kind(option) for option in entry["anyOf"])
    if "$ref" in entry:
        name = entry["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in entry:
        return f"`{entry['const']}`"
    if "enum" in entry:
        return " or ".join(f"`{value}`" for value in entry["enum"])
    kind = entry.get("type", "any")
    if kind == "array":
        if "prefixItems" in entry:
            return f"[{', '.join(_kind({'type': item.get('type', 'any')}) for item in entry['prefixItems'])}]"
        return f"list of {_kind(entry['items'])}"
    if kind == "object" and isinstance(entry.get("additionalProperties"), dict):
        return "object"
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {entry[key]:g}" for key, sign in limits.items() if abs(entry.get(key, 1e6)) < 1e6]
    pattern = [f"`{entry['pattern']}`"] if "pattern" in entry else []
    return " ".join([kind, ", ".join([*bounds, *pattern])]).strip()


def _default(entry: dict[str, Any], required: bool) -> str:
    if required:
        return "required"
    if "default" not in entry:
        return "its own defaults" if "$ref" in entry else "empty"
    value = entry["default"]
    return "empty" if value in ([], {}, "") else f"`{json.dumps(value)}`"


def draw() -> None:
    """Make the pictures, from the astronaut and the admiral (both public domain)."""
    astronaut, admiral = photos()
    perception = Perception()
    (IMAGES / "methods").mkdir(parents=True, exist_ok=True)
    for name, picture in (("astronaut", astronaut), ("admiral", admiral)):
        pair = np.hstack(
            [picture, np.full((len(picture), 12, 3), 255, np.uint8), _hidden(picture, DEFAULT, perception)]
        )
        _save(Image.fromarray(pair), f"{name}.jpg", width=800)
    tiles = {}
    for name in METHODS:
        shown = _hidden(astronaut, name, perception)[8:232, 113:337]
        tiles[name] = Image.fromarray(shown).resize((168, 168), Image.Resampling.LANCZOS)
        _save(tiles[name], f"methods/{name}.jpg")
    _save(_strip(tiles), "methods.jpg")


def photos() -> tuple[Bytes, Bytes]:
    """Return the astronaut and the admiral, (H, W, 3) each."""
    admiral = Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    return np.asarray(data.astronaut(), np.uint8), np.asarray(admiral, np.uint8)


def _ready(name: str, perception: Perception) -> Method:
    """Return the method at its defaults; one on sets is fitted to the two photos, for two people to a face."""
    if METHODS[name].granularity != "set":
        return METHODS[name]()
    frames = [Frame((picture,), Layout("rgb")) for picture in photos()]
    crops = [
        compose.crop_of(
            frame,
            perception.searcher.frame(frame)[0],
            mask_scale=geometry.MASK_SCALE,
            hulls=perception.hulls,
        )
        for frame in frames
    ]
    return cast("SetMethod", make(name, {"k": "2"})).fit(crops, ["Collins", "Hopper"])


def _hidden(picture: Bytes, name: str, perception: Perception) -> Bytes:
    """Return the picture (H, W, 3) with its faces hidden by a method; the keys come from a seed."""
    frame = Frame((picture,), Layout("rgb"))
    tracks: list[Track] = single(perception.searcher.frame(frame))
    secret, method = Secret.from_seed(0), _ready(name, perception)
    jobs = [
        compose.Job(track, face, method, track_key(secret, bytes(16), track.id))
        for track in tracks
        if (face := track.face(0)) is not None
    ]
    done, _ = compose.hide(frame, jobs, mask_scale=geometry.MASK_SCALE, hulls=perception.hulls)
    return np.asarray(done.planes[0], np.uint8)


def _strip(tiles: dict[str, Image.Image], columns: int = 6, gap: int = 8, line: int = 24) -> Image.Image:
    side = next(iter(tiles.values())).width
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (side + gap) - gap, rows * (side + line)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for place, (name, tile) in enumerate(tiles.items()):
        x, y = place % columns * (side + gap), place // columns * (side + line)
        sheet.paste(tile, (x, y))
        pen.text((x + side / 2, y + side + line / 2), name, "#333333", font, anchor="mm")
    return sheet


def _save(picture: Image.Image, name: str, width: int | None = None) -> None:
    if width is not None and picture.width > width:
        picture = picture.resize(
            (width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS
        )
    picture.save(IMAGES / name, quality=88, optimize=True)


def problems() -> list[str]:
    """Return what is not as the code says: stale pages and missing pictures."""
    found = []
    for name, text in pages().items():
        path = DOCS / name
        if not path.is_file():
            found.append(f"docs/{name} is missing")
        elif path.read_text(encoding="utf-8") != text:
            found.append(f"docs/{name} is stale")
    missing = [name for name in picture_names() if not (IMAGES / name).is_file()]
    return found + [f"docs/images/{name} is missing" for name in missing]


def main() -> None:
    if "--check" in sys.argv[1:]:
        found = problems()
        if found:
            sys.exit("\n".join([*found, "run: make docs"]))
        return
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
    draw()


if __name__ == "__main__":
    main()
