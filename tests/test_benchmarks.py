"""The measures of the benchmarks: hulls, coverage, bounds, quotas. What needs the shared data is skipped without it."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import stats

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SHARED = BENCHMARKS.parent.parent / "shared"
needs_data = pytest.mark.skipif(
    not (SHARED / "data" / "portraits.zip").exists(), reason="the shared data is absent"
)
sys.path.insert(0, str(BENCHMARKS))
leaks = pytest.importorskip("leaks", reason="the benchmarks need psutil and scikit-image")
import clips  # noqa: E402
import evaluation  # noqa: E402
import heads  # noqa: E402
import photos  # noqa: E402
import results_page  # noqa: E402
import tables  # noqa: E402
import truth  # noqa: E402


def square(x: float, y: float, side: float, count: int) -> np.ndarray:
    corners = np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]], float)
    return truth.resample(corners, count)


def one_face(x: float = 20, side: float = 20, frames: int = 3) -> truth.Truth:
    return truth.Truth(
        "still",
        96,
        64,
        frames,
        np.arange(frames),
        np.zeros(frames, np.int64),
        np.full(frames, side),
        np.stack([square(x, 20, side, truth.HULL_POINTS)] * frames),
        np.stack([square(x - 3, 17, side + 6, truth.OUTLINE_POINTS)] * frames),
        np.ones(frames),
    )


def grey(frames: int = 3) -> list[np.ndarray]:
    return [np.full((64, 96, 3), 120, np.uint8) for _ in range(frames)]


def test_wilson_agrees_with_scipy():
    for events, trials in [(0, 10), (1, 10), (0, 5000), (37, 5000), (10, 10)]:
        theirs = stats.binomtest(events, trials).proportion_ci(0.95, method="wilson")
        assert truth.wilson(events, trials) == pytest.approx((theirs.low, theirs.high), abs=1e-6)
    assert truth.wilson(0, 0) == (0.0, 1.0)


def test_raster_takes_the_pixels_whose_centre_is_inside():
    polygon = np.array([[1.5, 2.5], [5.5, 2.5], [5.5, 4.5], [1.5, 4.5]])
    rows, columns, mask = truth.raster(polygon, 20, 20)
    full = np.zeros((20, 20), bool)
    full[rows, columns] = mask
    assert full.sum() == 8
    assert full[3:5, 2:6].all()


def test_raster_is_close_to_the_area_of_an_ellipse():
    angles = np.linspace(0, 2 * math.pi, 200, endpoint=False)
    polygon = np.stack([50 + 30.3 * np.cos(angles), 50 + 22.7 * np.sin(angles)], axis=1)
    mask = truth.raster(polygon, 100, 100)[2]
    assert mask.sum() == pytest.approx(math.pi * 30.3 * 22.7, rel=0.01)
    assert truth.area(polygon) == pytest.approx(math.pi * 30.3 * 22.7, rel=0.001)


def test_raster_outside_the_frame_is_empty():
    assert truth.raster(square(-50, 0, 10, 8), 20, 20)[2].size == 0


def test_what_lies_in_front_and_beyond_the_border_is_not_visible():
    face, half = square(0.5, 0.5, 20, 40), square(-10.5, 30.5, 20, 40)
    objects = np.full((40, 2), np.nan)
    cover = square(0.5, 0.5, 10, 48) * (1, 2)
    seen = truth.visible_hulls(
        np.stack([face, half, objects]),
        np.stack([square(0, 0, 21, 48), square(-10.5, 30.5, 20, 48), cover]),
        64,
        96,
    )
    assert seen[0][3] == pytest.approx(0.5, abs=0.05)
    assert seen[1][3] == pytest.approx(0.5, abs=0.05)
    assert seen[2][3] == 0


def test_bins_take_sizes_in_and_beyond_their_ends():
    assert truth.bin_labels() == ["12-20", "20-40", "40-80", "80-160", "160-400"]
    assert [truth.size_bin(s) for s in (5, 12, 19.9, 20, 399, 900)] == [
        "12-20",
        "12-20",
        "12-20",
        "20-40",
        "160-400",
        "160-400",
    ]


def test_painted_truth_has_no_leak_and_a_shifted_mask_leaks():
    face = one_face()
    covered = leaks.measure(face, iter(grey()), leaks.paint(face, iter(grey())))
    assert [row.covered for row in covered.rows] == [1.0] * 3
    assert not covered.false_boxes
    shifted = leaks.measure(face, iter(grey()), leaks.paint(face, iter(grey()), shift=0.5))
    assert all(row.covered < truth.COVERED for row in shifted.rows)
    summary = leaks.summarise({"still-0": shifted})
    assert summary["face_frames"]["events"] == 3
    assert summary["appearances"]["events"] == 1
    assert summary["leaks"][0]["frames"] == [0, 1, 2]


def test_two_percent_of_a_hull_left_over_is_a_leak():
    face = one_face(frames=1)
    after = grey(1)[0]
    cv2.rectangle(after, (15, 15), (45, 45), (0, 0, 0), -1)
    assert leaks.measure(face, iter(grey(1)), iter([after])).rows[0].covered == 1
    after[20:30, 20] = 120
    covered = leaks.measure(face, iter(grey(1)), iter([after])).rows[0].covered
    assert 0.96 < covered < truth.COVERED


def test_false_boxes_missing_frames_and_area_are_counted():
    face = one_face(frames=2)
    after = next(iter(leaks.paint(face, iter(grey(1)))))
    after[2:10, 80:90] = 0
    seen = leaks.measure(face, iter(grey(2)), iter([after]))
    assert seen.false_boxes == [0]
    assert seen.missing == 1
    assert seen.painted_outside > 80


def test_dark_pixels_of_the_source_do_not_count():
    before = grey(1)
    before[0][25:30] = 0
    face = one_face(frames=1)
    assert leaks.measure(face, iter(before), iter(grey(1))).rows[0].covered == 0
    assert leaks.measure(face, iter(before), leaks.paint(face, iter(before))).rows[0].covered == 1


def test_matching_finds_missed_and_extra_boxes():
    marks = np.array([[0, 0, 10, 10], [20, 20, 40, 40]], float)
    found = np.array([[1, 0, 11, 10], [50, 50, 60, 60], [80, 80, 90, 90]], float)
    result = photos.match(found, marks, np.array([[80, 80, 91, 90]], float))
    assert (result["matched"], result["missed"], len(result["extra"])) == (1, [1], 1)
    assert photos.match(np.zeros((0, 4)), marks, np.zeros((0, 4)))["missed"] == [0, 1]


def test_marks_are_boxes_inside_their_pictures():
    counts = {}
    for path in photos.MARKS.glob("*.json"):
        marks = json.loads(path.read_text())
        boxes = np.array(marks["boxes"])
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] <= (marks["width"], marks["height"])).all()
        assert (boxes[:, 2:] - boxes[:, :2] > 8).all()
        counts[path.stem] = len(boxes)
    assert counts["government-19"] == 19
    assert counts["party-6"] == 6


def test_the_page_is_made_from_whatever_results_exist(tmp_path):
    assert "`leaks.json` was not made yet" in tables.page(tmp_path)


def test_placing_and_pasting_agree():
    picture = np.full((64, 64, 3), 200, np.uint8)
    hull = square(21.5, 25.5, 20, truth.HULL_POINTS)
    level = np.dstack([picture, np.zeros((64, 64), np.uint8)])
    rows, columns, mask = truth.raster(hull, 64, 64)
    level[rows, columns, 3] = mask * 255
    head = heads.Head((level,), hull, hull, np.array([20.0, 20, 44, 44]))
    pose = clips.Pose(60.3, 48.7, 48, 0.5, 0.7)
    canvas = np.zeros((100, 128, 3), np.float32)
    clips.paste(canvas, head, pose)
    placed = clips.place(hull, head, pose)
    rows, columns, mask = truth.raster(placed, 100, 128)
    full = np.zeros((100, 128), bool)
    full[rows, columns] = mask
    shown = canvas[..., 0] > 100
    assert (shown & full).sum() / (shown | full).sum() > 0.95


@needs_data
def test_a_head_has_its_hull_inside_its_outline_and_its_box():
    name = heads.names("portraits")[0]
    head = heads.load("portraits", name)
    assert (head.hull.min(0) >= head.box[:2] - 1).all()
    assert (head.hull.max(0) <= head.box[2:] + 1).all()
    rows, columns, mask = truth.raster(head.hull, *head.levels[0].shape[:2])
    assert (head.levels[0][rows, columns, 3][mask] > 127).mean() > 0.9


@needs_data
def test_quotas_are_met_and_the_seed_decides(tmp_path):
    first = next(clips.scenes(5))
    again = next(clips.scenes(5))
    seen = clips.truth_of(first)
    assert np.array_equal(seen.hulls, clips.truth_of(again).hulls)
    assert not np.array_equal(seen.hulls, clips.truth_of(next(clips.scenes(6))).hulls)
    row = clips.quotas([seen])["still"]
    assert set(row.values()) == {first.frames}
    seen.save(tmp_path / "truth.npz")
    assert np.allclose(truth.Truth.load(tmp_path / "truth.npz").hulls, seen.hulls, atol=1e-3)


@needs_data
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_written_clip_is_read_upright(tmp_path, rotation):
    picture = np.full((64, 96, 3), 60, np.uint8)
    picture[:32, :48] = 220
    path = tmp_path / "clip.mp4"
    clips.write(path, iter([picture] * 3), 25, rotation)
    frames = list(clips.read(path))
    assert len(frames) == 3
    assert np.abs(frames[0].astype(int) - picture).mean() < 8


# Evaluations that are joined


def part(*methods: str, seed: int = 0) -> dict:
    """Return a result with methods by name."""
    return {
        "commit": methods[0] * 3,
        "command": "python benchmarks/evaluation.py --data a=b --only fill",
        "evaluation": {
            "version": 1,
            "program": "incog",
            "versions": {},
            "recognisers": [],
            "untouched": [],
            "floor": {},
            "protocol": {"seed": seed, "memory": len(methods), "guess_seconds": 0.1 * len(methods)},
            "methods": [{"method": name} for name in methods],
        },
    }


def test_evaluations_of_one_protocol_are_joined_in_the_order_of_methods():
    found = evaluation.joined([part("deface", "pixelate"), part("fill", "blur", "edges")])["evaluation"]
    assert [method["method"] for method in found["methods"]] == [
        "fill",
        "pixelate",
        "blur",
        "edges",
        "deface",
    ]
    assert found["protocol"]["memory"] == 3
    both = evaluation.joined([part("blur"), part("fill")])
    assert both["command"] == "python benchmarks/evaluation.py --data a=b (in parts)"
    assert both["others"] == ["fillfillfill"]
    thrice = evaluation.joined([both, part("edges")])
    assert thrice["command"] == both["command"]
    assert (thrice["commit"], thrice["others"]) == ("blurblurblur", ["fillfillfill", "edgesedgesedges"])


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((part("fill"), part("blur", seed=1)), "protocol differ"),
        ((part("fill"), part("fill")), "there twice"),
    ],
)
def test_evaluations_that_do_not_fit_are_not_joined(parts, said):
    with pytest.raises(SystemExit, match=said):
        evaluation.joined(list(parts))


def measured(name: str, *, found: float, detected: float, shift: float | None, seam: float) -> dict:
    """Return what an evaluation says of a method, as far as the choice of the default goes."""
    center = {"detection_rate": {"value": detected}, "points_shift": {"value": shift}}
    return {
        "method": name,
        "headlines": [{"rank1": {"value": found}}],
        "utility": {
            "detection, centerface": center,
            "detection, hog": {"detection_rate": {"value": detected}},
            "seam": {"sharpness_step": {"value": seam}},
        },
    }


FILL = measured("fill", found=0.04, detected=0.0, shift=None, seam=3.0)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (measured("replace", found=0.03, detected=0.99, shift=1.0, seam=0.5), "it should be the default"),
        (measured("replace", found=0.03, detected=0.99, shift=1.0, seam=4.0), "attack, but by the seam."),
        (
            measured("replace", found=0.09, detected=0.99, shift=1.0, seam=0.5),
            "more than the 4.0 % of `fill`",
        ),
    ],
)
def test_the_page_says_why_a_method_is_the_default(other, said):
    section = results_page.default({"methods": [FILL, other]})
    assert section.startswith("## Which is the default")
    assert said in section


def test_methods_that_promise_nothing_are_no_defaults():
    pca = measured("pca", found=0.0, detected=1.0, shift=0.0, seam=0.0)
    assert "should be the default" not in results_page.default({"methods": [FILL, pca]})


def test_the_default_is_not_explained_by_a_run_without_it():
    other = measured("replace", found=0.0, detected=1.0, shift=1.0, seam=0.0)
    assert results_page.default({"methods": [other]}) == ""


@pytest.mark.parametrize("name", results_page.PAGES)
def test_the_results_pages_are_what_the_figures_say(name):
    figures, title, _ = results_page.PAGES[name]
    result = json.loads((BENCHMARKS / "results" / f"{figures}.json").read_text())
    page = results_page.page(result, name)
    assert (BENCHMARKS.parent / "docs" / f"{name}.md").read_text() == page
    assert page.startswith(title)
    first = result["evaluation"]["methods"][0]
    assert f"{100 * first['headlines'][0]['rank1']['value']:.1f} (" in page
    assert "nan" not in page.lower().split()
