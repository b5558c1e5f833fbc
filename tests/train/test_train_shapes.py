"""The shape filter is learnt from pairs of pictures: on drawn people it finds what is pose."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from incog import shape  # noqa: E402
from incog.errors import InputError  # noqa: E402
from incog.points import COUNT, MIRROR  # noqa: E402
from incog.shape import PoseFilter  # noqa: E402
from incog.train import shapes as module  # noqa: E402
from incog.train.portraits import SIZE, Portraits  # noqa: E402
from incog.train.shapes import LEAST, RANK, fit, main, told  # noqa: E402
from incog.types import Floats  # noqa: E402

PEOPLE, EACH, POSES, FORMS = 300, 4, 6, 20
FLIP = np.array([-1, 1], np.float32)


def directions(count: int, seed: int) -> Floats:
    """Return smooth directions, (count, 130, 2), in pairs that mirror one another."""
    random = np.random.default_rng(seed)
    mean = shape.load().mean
    found = []
    for _ in range(count // 2):
        waves = random.normal(size=(2, 5)) @ np.concatenate([np.ones((1, COUNT)), mean.T, np.sin(3 * mean.T)])
        one = waves.T.astype(np.float32)
        found += [one, one[list(MIRROR)] * FLIP]
    rows = np.stack(found)
    return np.asarray(rows / np.linalg.norm(rows, axis=(1, 2), keepdims=True), np.float32)


POSE, FORM = directions(POSES, 0), directions(FORMS, 1)


def drawn(people: int = PEOPLE, *, noise: float = 2e-4) -> Portraits:
    """Return people whose shapes differ by FORM, in pictures that differ by POSE; and as many whom nobody names."""
    random, count = np.random.default_rng(2), people * EACH
    form = np.repeat(random.normal(0, 0.4, (people, FORMS)), EACH, axis=0)
    pose = random.normal(0, 0.8, (count, POSES))
    rows = shape.load().mean + np.einsum("nk,kpc->npc", form, FORM) + np.einsum("nk,kpc->npc", pose, POSE)
    rows = rows + random.normal(0, noise, rows.shape)
    zeros = np.zeros((count, 1), np.float32)
    return Portraits(
        np.zeros((count, 1, 1, 3), np.uint8), zeros, shape.pixels(rows.astype(np.float32), SIZE), zeros, zeros, zeros,
        [f"{n}.png" for n in range(count)], ["drawn"] * count, [f"p{n // EACH}" for n in range(count)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def found() -> PoseFilter:
    return fit(drawn())


def test_pose_is_kept_and_form_is_not(found: PoseFilter) -> None:
    assert found.reads.shape == (2 * COUNT, RANK)
    np.testing.assert_allclose(found.mean, shape.load().mean, atol=0.05)
    for rows, low, high in ((POSE, 0.6, 1.05), (FORM, 0.0, 0.4)):
        kept = found(found.mean + 0.5 * rows) - found.mean
        shares = np.linalg.norm(kept, axis=(1, 2)) / 0.5
        assert low <= np.median(shares) <= high


def test_shares_are_those_of_a_wiener_filter(found: PoseFilter) -> None:
    shares = np.linalg.eigvals(found.writes.astype(float) @ found.reads).real
    used = shares[shares > 1e-3]
    assert used.min() >= LEAST - 0.01
    assert used.max() <= 1.001


def test_who_sees_shapes_alone_tells_people_no_longer(found: PoseFilter) -> None:
    figures = told(drawn(), found, "test")
    assert figures["people"] > 30
    assert figures["rank1_raw"] > 0.9
    assert figures["rank1_kept"] < 0.4 * figures["rank1_raw"]
    assert figures["rank1_chance"] == pytest.approx(1 / figures["people"])
    assert figures["moved_px_at_128"] > 0


def test_noise_of_points_grows_less_with_a_higher_floor(found: PoseFilter) -> None:
    figures = [told(drawn(), fit(drawn(), floor=floor), "test")["noise_grows"] for floor in (1e-7, 1e-4)]
    assert figures[1] < figures[0]
    noise = np.random.default_rng(0).normal(0, 0.01, (3000, COUNT, 2)).astype(np.float32)
    grown = (found(found.mean + noise) - found.mean).std() / 0.01
    assert told(drawn(), found, "test")["noise_grows"] == pytest.approx(grown, rel=0.05)


def test_a_filter_that_keeps_all_hides_nobody() -> None:
    eye = np.eye(2 * COUNT, dtype=np.float32)
    figures = told(drawn(), PoseFilter(shape.load().mean, eye, eye), "test")
    assert figures["rank1_kept"] == figures["rank1_raw"]
    assert figures["moved_px_at_128"] == pytest.approx(0, abs=1e-3)


def test_few_people_are_refused() -> None:
    with pytest.raises(InputError, match="of people with several are too few, 520 are needed"):
        fit(drawn(40))


def test_the_command_line_writes_the_filter_and_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], found: PoseFilter
) -> None:
    monkeypatch.setattr(module, "read", lambda path: drawn())
    main(["--data", "drawn.portraits", "--models", str(tmp_path)])
    card: dict[str, Any] = json.loads((tmp_path / "shape.card.json").read_text())
    data = (tmp_path / card["file"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == card["sha256"]
    assert card["data"] == {"drawn": PEOPLE * EACH}
    assert card["terms"] == {"drawn": "unknown here"}
    assert set(card) == set(json.loads((Path(shape.models.__file__).parent / "shape.card.json").read_text()))
    np.testing.assert_array_equal(PoseFilter.load(data).reads, found.reads)
    assert f"rank1_raw {card['measured']['rank1_raw']:.4f}" in capsys.readouterr().out
