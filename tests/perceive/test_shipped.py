"""The networks that ship: each is its card's, and does what its card says."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from incog import models
from incog.data.faces import gather, split_of
from incog.data.readers import read
from incog.evaluate import verification
from incog.models import RECORDS, Card, cards, load
from incog.perceive.embedder import make_embedder

ROOT = Path(__file__).resolve().parents[2]
LFW = ROOT.parent / "shared" / "data" / "lfw.zip"
MOST_BYTES = 40e6


@pytest.fixture(params=cards().values(), ids=lambda card: card.name)
def card(request: pytest.FixtureRequest) -> Card:
    """Each card in turn."""
    found: Card = request.param
    return found


@pytest.fixture
def network(card: Card) -> Card:
    """Each card of a network; others are of tables of numbers."""
    if ".onnx" not in card.file:
        pytest.skip("no network")
    return card


def test_there_is_a_file_a_record_and_a_recipe(card: Card) -> None:
    data = load(RECORDS[card.name])
    assert hashlib.sha256(data).hexdigest() == card.sha256
    module = card.recipe.removeprefix("python -m ").split()[0]
    assert (ROOT / card.recipe).is_file() or (card.recipe.startswith("python -m ") and find_spec(module))


def test_the_file_holds_the_parameters_that_the_card_counts(network: Card) -> None:
    graph = onnx.load_from_string(load(RECORDS[network.name])).graph
    kernels = sum(int(np.prod(item.dims)) for item in graph.initializer if len(item.dims) > 1)
    # Norms are folded into the kernels; what is left of them is small.
    assert 0.9 * network.parameters < kernels <= network.parameters * 1.01


def test_the_card_names_terms_limits_and_figures(card: Card) -> None:
    assert card.about
    assert card.measured
    assert card.limits
    assert set(card.terms) >= {name for name in card.data if name in ("lfw", "utkface", "synthetic")}
    assert all("research" in card.terms[name] for name in ("lfw", "utkface") if name in card.terms)


def test_the_network_runs_and_its_outputs_depend_on_the_input(network: Card) -> None:
    session = onnxruntime.InferenceSession(load(RECORDS[network.name]), providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(0)
    given: list[dict[str, Any]] = [{}, {}]
    for item in session.get_inputs():
        shape = [1, *(side if isinstance(side, int) else 320 for side in item.shape[1:])]
        # Of several inputs each is small numbers; of one they are levels of a picture.
        most = 255 if len(session.get_inputs()) == 1 else 1
        for one in given:
            one[item.name] = generator.uniform(0, most, shape).astype(np.float32)
    pairs = zip(*(session.run(None, one) for one in given), strict=True)
    for first, second in pairs:
        assert np.isfinite(first).all()
        assert not np.allclose(first, second)


def test_all_files_together_are_small() -> None:
    assert sum(path.stat().st_size for path in Path(models.__file__).parent.iterdir()) < MOST_BYTES


@pytest.mark.skipif("embedder" not in cards(), reason="this version brings no embedder")
@pytest.mark.skipif(not LFW.exists(), reason="the shared data are not here")
def test_the_embedder_is_as_good_as_its_card_says() -> None:
    held_out = [
        (source, sample)
        for source, sample in read({"lfw": LFW})
        if sample.points is not None and split_of(sample.identity) == "test"
    ]
    faces = gather(held_out, name="arcface", size=128)
    vectors = make_embedder()(np.ascontiguousarray(faces.pixels[:, 8:120, 8:120]))
    genuine, impostor = verification.scores(vectors, faces.identities)
    measured = cards()["embedder"].measured
    assert len(impostor) == measured["impostor_pairs"] > 100_000
    assert verification.tar_at(genuine, impostor, 1e-3) == pytest.approx(
        measured["tar_at_far_0.001"], abs=0.01
    )
