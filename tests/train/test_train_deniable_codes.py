"""The prior of the generator's deniable codes: what it learns of drawn codes, and the file that it becomes."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from incog import codes, models  # noqa: E402
from incog.data.faces import Sample, split_of  # noqa: E402
from incog.deniable.codes import CodePrior  # noqa: E402
from incog.errors import InputError  # noqa: E402
from incog.methods import generated  # noqa: E402
from incog.models import Card  # noqa: E402
from incog.train import deniable_codes as fitting  # noqa: E402
from incog.train.deniable_codes import Table  # noqa: E402
from incog.types import Bytes, Face  # noqa: E402

SIZE, TOLD = 8, 3


def bent(count: int, seed: int = 0) -> Table:
    """Return codes near a bent line, which no normal distribution draws, moved by what is told."""
    random = np.random.default_rng(seed)
    told = random.normal(size=(count, TOLD)).astype(np.float32)
    along = random.normal(size=(count, 1))
    codes = np.concatenate([along, along**2 - 1, 0.2 * random.normal(size=(count, SIZE - 2))], 1)
    codes[:, 2] += told[:, 0]
    splits = np.array([("train", "train", "train", "dev", "test")[row % 5] for row in range(count)])
    people = np.array([str(row) for row in range(count)])
    return Table(people, splits, np.where(np.arange(count) % 2, "a", "b"), codes.astype(np.float32), told)


@pytest.fixture(scope="module")
def made() -> CodePrior:
    return fitting.fit(
        bent(3000), "d" * 64, usual=["a"], noise=0.05, rounds=200, layers=6, width=24, tell=lambda line: None
    )


def test_drawn_codes_are_bent_as_those_learnt_from(made: CodePrior) -> None:
    random = np.random.default_rng(5)
    told = random.normal(size=(500, TOLD)).astype(np.float32)
    drawn = made.codes(random.normal(size=(500, SIZE)), told)
    apart = np.abs(drawn[:, 1] - (drawn[:, 0] ** 2 - 1))
    normal = np.abs(random.normal(size=500) - (random.normal(size=500) ** 2 - 1))
    assert np.median(apart) < 0.5 * np.median(normal)
    assert np.corrcoef(drawn[:, 2], told[:, 0])[0, 1] > 0.9


def test_people_that_were_not_learnt_from_are_about_normal(made: CodePrior) -> None:
    found = fitting.measured(made, bent(3000))
    assert found["test_faces"] == 600
    assert found["variance"] == pytest.approx(1, abs=0.15)
    assert found["outer_tenth"] == pytest.approx(0.1, abs=0.04)
    assert found["expected"] > 0.1


def test_numbers_go_back_to_codes(made: CodePrior) -> None:
    table = bent(40, 3)
    back = made.codes(made.numbers(table.codes, table.told), table.told)
    np.testing.assert_allclose(back, table.codes, atol=1e-4)


def test_what_is_learnt_is_what_runs_without_pytorch() -> None:
    torch.manual_seed(0)
    network = fitting.Couplings(SIZE, TOLD, layers=3, width=5)
    for layer in network.layers:
        torch.nn.init.normal_(layer.third.weight, std=0.5)
    network.eval()
    values, given = torch.randn(7, SIZE), torch.randn(7, TOLD)
    with torch.inference_mode():
        numbers, _ = network(values, given)
    found = network.flow().forward(values.numpy().astype(np.float64), given.numpy().astype(np.float64))
    np.testing.assert_allclose(found, numbers.numpy(), atol=1e-4)


def test_the_reach_goes_by_the_usual_pictures() -> None:
    table = bent(2000)
    wide = table.codes.copy()
    wide[table.sources == "b"] *= 1.5
    mixed = Table(table.people, table.splits, table.sources, wide, table.told)
    one, other = (
        fitting.fit(mixed, "d" * 64, usual=[name], rounds=2, layers=2, width=8, tell=lambda line: None).reach
        for name in ("a", "b")
    )
    assert other > 1.2 * one


def test_the_command_writes_a_prior_and_its_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = bent(400)
    kept, out = tmp_path / "kept.npz", tmp_path / "models"
    out.mkdir()
    np.savez(kept, **{name: getattr(table, name) for name in Table.__slots__})
    monkeypatch.setattr(fitting, "ROUNDS", 1)
    fitting.main(["--data", "a=nowhere", "--kept", str(kept), "--models", str(out)])
    card = Card(**json.loads((out / "deniable-codes.card.json").read_text("utf-8")))
    made = CodePrior.load((out / card.file).read_bytes(), models.RECORDS["generator"].sha256)
    assert made.size == SIZE
    assert card.data == {"a": 120, "b": 120}


def test_faces_are_read_as_they_are_when_hidden(
    monkeypatch: pytest.MonkeyPatch, astronaut: Bytes, collins: Face
) -> None:
    ok, data = cv2.imencode(".png", np.ascontiguousarray(astronaut[..., ::-1]))
    assert ok
    assert collins.points is not None
    names = {split_of(f"person {number}"): f"person {number}" for number in range(40)}
    samples = [
        *(("nasa", Sample(f"{who}.png", data.tobytes, who, points=collins.points)) for who in names.values()),
        ("nasa", Sample("bad.png", data.tobytes, "nobody", points=collins.points, fault="blurred")),
    ]
    monkeypatch.setattr("incog.train.deniable.read_sources", lambda sources: iter(samples))
    table = fitting.gather({"nasa": Path("nowhere")}, mirrored=["nasa"])
    # Of people who are held out there are no mirror images.
    assert sorted(table.splits) == ["dev", "test", "train", "train"]
    assert table.codes.shape == (4, codes.SIZE)
    prior = generated.shipped().prior
    who = prior.embedding(table.codes)
    assert (who @ who.T).min() > 0.6
    np.testing.assert_array_equal(table.told[table.rows("dev")], table.told[table.rows("test")])
    with pytest.raises(InputError, match="no faces"):
        fitting.gather({"nasa": Path("nowhere")}, splits=[])
