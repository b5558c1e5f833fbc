"""The tables of Gu et al.: what is counted, on faces and keys that are drawn, and the section that it becomes."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

torch = pytest.importorskip("torch", reason="the network that reads keys needs PyTorch")
onnx = pytest.importorskip("onnx")

import ablations  # noqa: E402
import deniable  # noqa: E402
import gu2020  # noqa: E402
import gu_keys  # noqa: E402
import gu_learnt  # noqa: E402
import tables_ablations  # noqa: E402
import tables_gu as tables  # noqa: E402
import turning  # noqa: E402
from incog.train.transformer_net import Network, TransformerNet  # noqa: E402
from incog.types import Face, Floats  # noqa: E402

ORIGIN: dict[str, Any] = {
    "commit": "c" * 40,
    "changed_files": 0,
    "date": "2026-01-01",
    "machine": {"processor": "P", "cores": 2},
    "versions": {"python": "3", "onnxruntime": "1", "av": "1"},
    "command": "python",
}


def unit(rows: Any) -> Floats:
    values = np.asarray(rows, np.float32)
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


def brightener() -> bytes:
    """Return a network that adds the sum of the key, over 255, to the picture."""
    from onnx import TensorProto, helper, numpy_helper

    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["key", "ones"], ["sum"]),
            helper.make_node("Reshape", ["sum", "shape"], ["four"]),
            helper.make_node("Add", ["image", "four"], ["turned"]),
        ],
        "brightener",
        [
            helper.make_tensor_value_info("image", floats, ["batch", 3, 128, 128]),
            helper.make_tensor_value_info("key", floats, ["batch", 4]),
        ],
        [helper.make_tensor_value_info("turned", floats, ["batch", 3, 128, 128])],
        [
            numpy_helper.from_array(np.full((4, 1), 1 / 255, np.float32), "ones"),
            numpy_helper.from_array(np.array([-1, 1, 1, 1]), "shape"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    written = io.BytesIO()
    onnx.save(model, written)
    return written.getvalue()


def test_the_network_takes_unit_keys_and_gives_whole_numbers() -> None:
    turner = turning.Turner(brightener())
    pixels = np.full((9, 128, 128, 3), 100, np.uint8)
    pixels[8] = 255
    signs = np.ones((9, 4), np.float32)
    # Four signs of 1 / 2 each.
    made = turner(pixels, signs)
    assert turner.width == 4
    assert (made[:8] == 102).all()
    assert (made[8] == 255).all()
    assert (turner(made[:1], -signs[:1]) == 100).all()


def test_faces_are_turned_inside_of_their_masks() -> None:
    turner = turning.Turner(brightener())
    pixels, masks = np.full((40, 128, 128, 3), 100, np.uint8), np.zeros((40, 128, 128), np.float32)
    masks[:, 40:80, 40:80], masks[:, 80:90, 40:80] = 1, 0.25
    ones = np.ones((40, 4), np.float32)
    made = turner(pixels, ones, masks)
    assert (made[:, 40:80, 40:80] == 102).all()
    assert (np.delete(made, np.s_[40:90], axis=1) == 100).all()
    turned = turning.turned_of(turner, pixels, masks)
    # What turns a face back covers the faded edge as well.
    row = int(np.flatnonzero(turned.keys.sum(1) == 4)[0])
    change = (turned.right.astype(int) - turned.first)[row, :, :, 0]
    assert (change[40:90, 40:80] == -2).all()
    assert not change[:40].any()


def test_stages_use_keys_that_differ() -> None:
    turner = turning.Turner(brightener())
    pixels = np.full((40, 128, 128, 3), 100, np.uint8)
    masks = np.ones((40, 128, 128), np.float32)
    turned = turning.turned_of(turner, pixels, masks)
    assert (turned.right == 100).all()
    again = turning.turned_of(turner, pixels[:5], masks[:5])
    assert (again.keys == turned.keys[:5]).all()
    assert set(np.unique(turned.keys)) == {-1, 1}
    keys = np.array([[1, 1], [1, -1]], np.float32)
    assert turning.distinct(keys, np.ones((2, 2), np.float32)).tolist() == [[-1, 1], [1, -1]]


def test_pairs_are_those_of_one_person() -> None:
    first, second = turning.rows_of(["a", "b", "a", "c"])
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 2), (2, 0)]


def test_verification_counts_what_lies_above_the_threshold() -> None:
    untouched = unit([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    stages = {
        "a": unit([[0, 1], [0, 1], [1, 0], [0, 1]]),
        "b": unit([[1, 0], [1, 0], [1, 0], [1, 0]]),
        "r": untouched,
        "wr": unit([[-1, 0], [-1, 0], [-1, 0], [-1, 0]]),
    }
    found = gu2020.verification(untouched, stages, ["p", "p", "q", "q"], 0.9)
    assert found["untouched"] == 1
    assert found["I and A"]["value"] == 0.25
    assert found["I and R"]["value"] == 1
    assert found["I and WR"]["value"] == found["WR and A"]["value"] == 0
    assert found["A and A of another key"]["value"] == 0.25
    assert found["other picture and R"] == found["other picture and I"]
    assert found["other picture and A"]["value"] == 0.25
    assert found["I and A"]["low"] < 0.25 < found["I and A"]["high"]


def test_shifts_are_means_of_coordinates_where_a_face_is_found() -> None:
    five = np.zeros((5, 2), np.float32)
    before = [Face((0, 0, 10, 10), points=five), Face((0, 0, 10, 10), points=five), None]
    after = [Face((1, 0, 10, 13), points=five + 2), None, Face((0, 0, 1, 1), points=five)]
    found = gu2020.shift(before, after, ["a", "b", "c"])
    assert found["found"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["box"]["value"] == 1
    assert found["points"]["value"] == 2
    assert found["box"]["count"] == 1


def test_neighbours_are_all_keys_with_the_other_signs() -> None:
    key = turning.signs_of(0, 1, 32)[0]
    keys = gu_keys.neighbours(key)
    assert len(np.unique(keys, axis=0)) == 256
    assert (keys[:, 8:] == key[8:]).all()
    assert set(np.unique(keys)) == {-1, 1}
    rows = gu_keys.by_distance(unit(keys[:, :8]), keys, 0.2)
    assert [row["signs"] for row in rows] == list(range(1, 9))
    assert sum(row["pairs"] for row in rows) == 256 * 255 // 2
    # Of eight signs, n that differ make a cosine of 1 - n / 4.
    assert [row["distance"] for row in rows] == pytest.approx([n / 4 for n in range(1, 9)], abs=1e-4)
    assert [row["same"] for row in rows] == [1, 1, 1, 0, 0, 0, 0, 0]
    twice = gu_keys.merged([rows, rows])
    assert twice[0]["pairs"] == 2 * rows[0]["pairs"]
    assert twice[0]["distance"] == rows[0]["distance"]


def test_the_sheet_shows_keys_in_rows() -> None:
    made = np.repeat(np.arange(256, dtype=np.uint8), 128 * 128 * 3).reshape(256, 128, 128, 3)
    picture = gu_keys.sheet(made)
    assert picture.shape == (768, 768, 3)
    assert picture[0, 48, 0] == 1
    assert picture[48, 0, 0] == 16


def test_ranks_tell_an_oracle_from_chance() -> None:
    random = np.random.default_rng(0)
    told = [
        {
            "knows": [1.0, *random.random(50)],
            "guesses": random.random(51).tolist(),
            "says nothing": [0.0] * 51,
        }
        for _ in range(60)
    ]
    found = deniable.ranks(told)
    assert found["knows"]["mean_rank"] < 0.02
    assert found["knows"]["p"] < 1e-9
    for name in ("guesses", "says nothing"):
        assert 0.35 < found[name]["mean_rank"] < 0.65
        assert found[name]["p"] > 0.01


@pytest.mark.parametrize("tells", [True, False])
def test_keys_are_read_where_pictures_show_them(tells: bool) -> None:
    keys = turning.signs_of(1, 192, 4)
    random = np.random.default_rng(0)
    pixels = random.integers(100, 156, (192, 32, 32, 3)).astype(np.int64)
    if tells:
        # Each sign lights up a channel, or a half of it.
        pixels[..., 0] += (50 * keys[:, 0]).astype(np.int64)[:, None, None]
        pixels[..., 1] += (50 * keys[:, 1]).astype(np.int64)[:, None, None]
    pictures = pixels.astype(np.uint8)
    tested = pictures[128:], pictures[128:], keys[128:]
    right = gu_learnt.read_keys(pictures[:128], pictures[:128], keys[:128], tested, rounds=12)
    found = gu_learnt.readings(right, [str(n) for n in range(64)])
    if tells:
        assert right[:, :2].mean() > 0.9
        assert found["best"]["low"] > 0.75
    else:
        assert found["signs"]["low"] < 0.5 < found["signs"]["high"]
    assert found["best"]["low"] < found["best"]["value"] <= found["best"]["high"]


def test_obfuscations_change_the_face_alone() -> None:
    random = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 130)
    dense = (64 + 30 * np.stack([np.cos(angles), np.sin(angles)], 1)).astype(np.float32)[None]
    portraits = turning.Portraits(
        random.integers(0, 256, (1, 128, 128, 3)).astype(np.uint8),
        dense[:, :5], dense, ["a"], np.ones(1, np.float32), np.ones((1, 128, 128), np.float32),
    )  # fmt: skip
    for name in gu_learnt.OBFUSCATIONS:
        found = gu_learnt.obfuscated(name, portraits)
        changed = (found != portraits.pixels).any(3)[0]
        assert changed[50:78, 50:78].mean() > 0.9, name
        assert not changed[:20].any(), name


def test_nearness_is_that_of_the_measures() -> None:
    black, grey = np.zeros((2, 16, 16, 3), np.uint8), np.full((2, 16, 16, 3), 51, np.uint8)
    found = gu_learnt.nearness(grey, black, ["a", "b"], lambda one, two: 0.5)  # type: ignore[arg-type]
    assert found["l1"]["value"] == pytest.approx(0.2, abs=1e-5)
    assert found["l2"]["value"] == pytest.approx(0.04, abs=1e-5)
    assert found["lpips"]["value"] == 0.5
    assert gu_learnt.nearness(grey, grey, ["a", "b"])["dssim"]["value"] == 0


def figure(value: float) -> dict[str, Any]:
    return {"value": value, "low": value / 2, "high": 2 * value, "count": 10, "people": 5, "cosine": 0.5}


def test_the_page_shows_what_was_measured_and_what_was_not() -> None:
    origin = ORIGIN | {"network_sha256": "d" * 64}
    row = {name: figure(0.05) for name in ("dssim", "l1", "l2", "recognised")}
    learnt = origin | {
        "faces": 10, "people": 5, "train": 100, "steps": 7, "rounds": 2,
        "full": dict.fromkeys(("right", "right after JPEG", "wrong", "none"), row),
        "low": {"negative key": {"learnt": row}, "blackout": {"learnt": row, "as it is": row}},
        "readings": {"A alone": {"signs": figure(0.51), "best": figure(0.6)}},
    }  # fmt: skip
    text = tables.gu2020({"learnt": learnt})
    assert "| face masked, U-Net | 0.0500 | 0.0500 | 0.0500 | 5.0% (2.5% to 10.0%) |" in text
    assert "| published: their transformer, right password, LFW | .04 | .03 | .04 | .004 |  |" in text
    assert "DSSIM: 1.7 times the published figure (0.05 against 0.03)" in text
    assert "| A alone | 51.0% (25.5% to 102.0%) |" in text
    assert "shows nothing" in text
    both = {
        "A alone": {"signs": figure(0.5), "best": figure(0.6)},
        "I and A": {"signs": figure(1.1), "best": figure(1)},
    }
    assert "shows nothing" not in tables.gu2020({"learnt": learnt | {"readings": both}})
    assert "The part `faces` was not measured yet." in text
    assert "The part `keys` was not measured yet." in text
    keys = origin | {
        "neighbours": {
            "faces": 2, "threshold": 0.9,
            "by signs": [{"signs": 1, "pairs": 1024, "distance": 0.025, "same": 0.75}],
        },
        "sweep": {"processor seconds a face": 0.08, "seconds": {"16": 5000.0, "32": 3e8}},
        "ranks": {"faces": 3, "wrong": 9, "by oracle": {"cycle": {"mean_rank": 0.04, "p": 0.01}}},
    }  # fmt: skip
    text = tables.gu2020({"keys": keys})
    assert "| 1 | 1,024 | 0.025 | 75.0% |" in text
    assert "| cycle | 0.040 | 0.01 |" in text
    assert "(145 s on a Titan V" in text


@pytest.mark.parametrize("sigma", [0.5, 9.0])
def test_the_page_judges_by_the_figures(sigma: float) -> None:
    shares = {"I and A": figure(0.005), "I and R": figure(1.0), **{
        name: figure(0.1)
        for name in (
            "I and WR", "WR and A", "A and A of another key", "other picture and I", "other picture and A",
            "other picture and R", "other picture and WR",
        )
    }}  # fmt: skip
    faces = {
        "faces": 10,
        "people": 5,
        "verification": {"dlib": shares},
        "shift": {
            "found before": 1.0,
            "scale": 0.5,
            "centerface": {"A": {"found": 0.9, "box": figure(2.0), "points": figure(2.28)}},
            "landmarks": {"A": figure(1.0)},
        },
        "variety": {
            "keys": 8, "faces": 4, "one person": 0.05,
            "between keys": figure(0.05 * sigma), "different people": 0.16,
        },
        "told apart": {"trees": {"accuracy": 0.9, "sigma": sigma, "tested": 100}},
    }  # fmt: skip
    text = "\n".join(tables.gu_faces(faces))
    assert "| original, and what the key makes of it | 0.5% (0.2% to 1.0%) |" in text
    assert "As good as published (1 against 1.62) for boxes" in text
    assert "1.5 times the published figure (1.14 against 0.76) for points" in text
    assert ("they deny nothing" in text) is (sigma > 3)
    assert ("less unlike each other" in text) is (sigma < 3)


def test_a_part_of_an_earlier_network_says_so() -> None:
    ships = tables.cards()["transformer"].sha256
    assert tables._network({"network_sha256": ships, "whole": False}) == []
    (older,) = tables._network({"network_sha256": "0123456789ab"})
    assert "an earlier one, `0123456789...`, over whole crops" in older
    (other,) = tables._network({"network_sha256": "0123456789ab", "whole": False})
    assert "inside of masks" in other


def test_what_was_left_out_is_told_by_the_figures() -> None:
    def run(two: float, back: float) -> dict[str, Any]:
        pairs = {name: figure(0.1) for name in ("I and A", "I and WR", "WR and A")}
        judge = pairs | {"A and A of another key": figure(two), "I and R": figure(back)}
        return ORIGIN | {
            "steps": 9, "batch": 4, "side": 64, "faces": 10, "people": 5,
            "right": {"dssim": figure(0.05), "l1": figure(0.02)}, "wrong": {"l1": figure(0.04)},
            "verification": dict.fromkeys(("dlib", "incog-b", "incog"), judge),
        }  # fmt: skip

    text = tables_ablations.ablations({
        tables_ablations.WHOLE: run(0.1, 0.9),
        "no distance between results": run(0.9, 0.9),
        "no recogniser for the way back": run(0.1, 0.85),
    })  # fmt: skip
    assert "two keys give one person in 90.0%, with it in 10.0%, by dlib.\n" in text
    assert "in 85.0%, with it in 90.0%, by dlib: no difference that this shows." in text
    assert (
        "Not run: without wrong recoveries (`wrong`); without the predictor of the key (`key`, Q); " in text
    )
    assert ablations.recipe_of("no wrong recoveries").options["wrong"] is False
    assert ablations.recipe_of(tables_ablations.PUBLISHED).name == "transformer-gu"


def test_a_network_that_is_no_file_yet_turns_as_one_does() -> None:
    options = Network(width=8, blocks=1, key=4)
    torch.manual_seed(0)
    turner = ablations.Turner(TransformerNet(options), options)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    signs = turning.signs_of(1, 3, turner.width)
    made = turner(pixels, signs)
    assert (made.shape, made.dtype) == (pixels.shape, np.uint8)
    assert np.abs(made.astype(int) - turner(pixels, -signs)).max() > 0
    masks = np.zeros((3, 16, 16), np.float32)
    masks[:, :4] = 1
    laid = turner(pixels, signs, masks)
    np.testing.assert_array_equal(laid[:, 4:], pixels[:, 4:])
    np.testing.assert_array_equal(laid[:, :4], made[:, :4])
