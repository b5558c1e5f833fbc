"""The second look: a face that the plan missed is found in the output, covered, or the output does not appear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pytest

from incog import geometry, pipeline, track
from incog.errors import ExposedError
from incog.keys import Secret
from incog.media import open_source
from incog.methods import METHODS, make
from incog.methods.base import Claim, Rendered
from incog.methods.fill import Fill
from incog.pipeline import Options, Perception
from incog.plan import Plan, PlanTrack
from incog.rescan import Findings, covered_share
from incog.subjects import Subjects
from incog.types import Crops, Face, Floats, Key

Picture = npt.NDArray[np.uint8]
Left = Callable[[Picture, Picture, Face], float]
SECRET = Secret.from_seed(3)


# How much is covered


def square(x0: float, y0: float, x1: float, y1: float) -> Floats:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)


FACE = Face((100, 80, 160, 150))


def test_a_face_under_its_own_mask_is_covered() -> None:
    assert covered_share(FACE, [geometry.hull(FACE)], 300, 240) == 1
    assert covered_share(FACE, [square(0, 0, 300, 240)], 300, 240) == 1


def test_a_face_without_a_mask_is_not() -> None:
    assert covered_share(FACE, [], 300, 240) == 0
    assert covered_share(FACE, [square(0, 0, 90, 70)], 300, 240) == 0


def test_half_a_mask_covers_half() -> None:
    assert covered_share(FACE, [square(0, 0, 129.5, 240)], 300, 240) == pytest.approx(0.5, abs=0.03)
    halves = [square(0, 0, 130, 240), square(130, 0, 300, 240)]
    assert covered_share(FACE, halves, 300, 240) == 1


def test_what_lies_beyond_the_border_needs_no_mask() -> None:
    out = Face((-40, 80, 20, 150))
    assert covered_share(out, [square(-5, 60, 40, 170)], 300, 240) == 1
    assert covered_share(out, [], 300, 240) == 0
    assert covered_share(Face((-90, 80, -40, 150)), [], 300, 240) == 1
    assert covered_share(Face((320, 80, 380, 150)), [], 300, 240) == 1


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_tiny_and_huge_faces_can_be_judged(size: float) -> None:
    face = Face((50, 50, 50 + size, 50 + size))
    assert covered_share(face, [geometry.hull(face)], 300, 240) == 1
    assert covered_share(face, [], 300, 240) == 0


# What a sabotaged plan leads to


def planned(path: Path, perception: Perception) -> Plan:
    return pipeline.plan(open_source(path), perception)


def rendered(
    path: Path, plan: Plan, target: Path, perception: Perception, method: str = "fill"
) -> pipeline.FileReport:
    return pipeline.render(open_source(path), plan, target, make(method, {}), SECRET, perception)


def without_tracks(plan: Plan) -> Plan:
    return plan.model_copy(update={"tracks": []})


def test_a_face_that_the_plan_lost_is_covered_in_a_photo(
    photo: Path, tmp_path: Path, perception: Perception, most_left: Callable[[Path, Path], list[float]]
) -> None:
    plan = planned(photo, perception)
    assert len(plan.tracks) == 1
    report = rendered(photo, without_tracks(plan), tmp_path / "out.png", perception)
    assert report.status == "hidden"
    assert report.rescan.covered >= 1
    assert report.rescan.exposed == 0
    assert report.rescan.rounds >= 2
    assert report.rescan.detectors == ["centerface", "hog"]
    (share,) = most_left(photo, tmp_path / "out.png")
    assert share < 0.15


def test_a_face_that_the_plan_lost_is_covered_in_every_frame_of_a_clip(
    clip: Path, tmp_path: Path, perception: Perception, most_left: Callable[[Path, Path], list[float]]
) -> None:
    report = rendered(clip, without_tracks(planned(clip, perception)), tmp_path / "out.mp4", perception)
    assert report.rescan.covered >= 1
    shares = most_left(clip, tmp_path / "out.mp4")
    assert len(shares) >= 14
    assert max(shares) < 0.15


def test_a_track_that_was_cut_short_is_covered_to_its_end(
    clip: Path, tmp_path: Path, perception: Perception, most_left: Callable[[Path, Path], list[float]]
) -> None:
    plan = planned(clip, perception)
    (whole,) = plan.tracks
    short = PlanTrack(id=1, start=0, boxes=whole.boxes[:5])
    report = rendered(clip, plan.model_copy(update={"tracks": [short]}), tmp_path / "out.mp4", perception)
    assert report.rescan.covered >= 1
    assert max(most_left(clip, tmp_path / "out.mp4")) < 0.15


def test_a_misplaced_box_does_not_pass_for_a_hidden_face(
    photo: Path, tmp_path: Path, perception: Perception, most_left: Callable[[Path, Path], list[float]]
) -> None:
    plan = planned(photo, perception)
    wrong = PlanTrack(id=1, start=0, boxes=[(180.0, 180.0, 230.0, 240.0)])
    report = rendered(photo, plan.model_copy(update={"tracks": [wrong]}), tmp_path / "out.png", perception)
    assert report.rescan.covered >= 1
    assert report.tracks >= 2
    assert max(most_left(photo, tmp_path / "out.png")) < 0.15


def test_a_face_left_visible_on_purpose_is_counted_apart(
    photo: Path, tmp_path: Path, perception: Perception, most_left: Callable[[Path, Path], list[float]]
) -> None:
    plan = planned(photo, perception)
    shown = [item.model_copy(update={"hide": False}) for item in plan.tracks]
    report = rendered(photo, plan.model_copy(update={"tracks": shown}), tmp_path / "out.png", perception)
    assert report.rescan.on_purpose >= 1
    assert (report.rescan.covered, report.rescan.exposed, report.faces, report.tracks) == (0, 0, 0, 0)
    assert min(most_left(photo, tmp_path / "out.png")) > 0.9


def test_a_face_that_cannot_be_covered_gives_no_output(
    photo: Path,
    tmp_path: Path,
    perception: Perception,
    monkeypatch: pytest.MonkeyPatch,
    tree: Callable[[Path], list[str]],
) -> None:
    exposed = Findings(exposed=[(0, Face((100, 100, 140, 150)))], frames=1)
    monkeypatch.setattr(perception.rescanner, "look", lambda *a, **k: exposed, raising=False)
    with pytest.raises(ExposedError, match=r"1 face\(s\) could still be seen after \d rounds"):
        rendered(photo, planned(photo, perception), tmp_path / "out.png", perception)
    assert tree(tmp_path) == ["holiday.png"]


def test_a_face_that_cannot_be_followed_gives_no_output(
    clip: Path,
    tmp_path: Path,
    perception: Perception,
    monkeypatch: pytest.MonkeyPatch,
    tree: Callable[[Path], list[str]],
) -> None:
    plan = without_tracks(planned(clip, perception))
    monkeypatch.setattr(track.Tracker, "run", lambda self, frames: track.Timeline([], 0, [], []))
    with pytest.raises(ExposedError, match="could not be followed"):
        rendered(clip, plan, tmp_path / "out.mp4", perception)
    assert tree(tmp_path) == ["clip.mp4"]


# Methods that fail


@dataclass(frozen=True)
class Picky:
    """Changes nothing and calls every face of an odd frame unfit."""

    name: ClassVar[str] = "picky"
    family: ClassVar[str] = "tests"
    summary: ClassVar[str] = ""
    hides_from: ClassVar[str] = ""
    weak: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()
    granularity: ClassVar[Literal["image", "track", "set"]] = "image"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = False

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return ()

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        return Rendered(crops.pixels.copy(), crops.frames % 2 == 1)


@dataclass(frozen=True)
class Blinking(Picky):
    """Makes faces white, but for those of frame 3, which it calls unfit."""

    name: ClassVar[str] = "blinking"

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        return Rendered(np.where(crops.masks[..., None] > 0, np.float32(1), crops.pixels), crops.frames == 3)


@dataclass(frozen=True)
class Broken(Picky):
    """Fails in its third frame."""

    name: ClassVar[str] = "broken"

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        if crops.frames[0] == 2:
            raise ZeroDivisionError("a bug")
        return Rendered(crops.pixels, np.zeros(len(crops), np.bool_))


@dataclass(frozen=True)
class NeverFit(Picky):
    """Calls every face unfit, under the name of the fallback."""

    name: ClassVar[str] = "fill"

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        return Rendered(crops.pixels, np.ones(len(crops), np.bool_))


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "picky", Picky)
    monkeypatch.setitem(METHODS, "blinking", Blinking)
    monkeypatch.setitem(METHODS, "broken", Broken)


@pytest.mark.usefixtures("_registered")
def test_an_unfit_face_falls_back_for_its_whole_track(
    clip: Path,
    tmp_path: Path,
    perception: Perception,
    pictures: Callable[[Path], list[Picture]],
    most_left: Callable[[Path, Path], list[float]],
) -> None:
    plan = planned(clip, perception)
    report = rendered(clip, plan, tmp_path / "picky.mp4", perception, "picky")
    assert report.fallback == 1
    assert report.method == "picky"
    assert max(most_left(clip, tmp_path / "picky.mp4")) < 0.15
    rendered(clip, plan, tmp_path / "fill.mp4", perception)
    for one, other in zip(pictures(tmp_path / "picky.mp4"), pictures(tmp_path / "fill.mp4"), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("_registered")
def test_a_face_that_is_unfit_for_a_moment_is_filled_for_that_moment(
    clip: Path,
    tmp_path: Path,
    perception: Perception,
    pictures: Callable[[Path], list[Picture]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("incog.fallback.LINGER", 0.0)
    monkeypatch.setattr("incog.fallback.LEAST", 0.0)
    plan = planned(clip, perception)
    report = rendered(clip, plan, tmp_path / "blinking.mp4", perception, "blinking")
    assert (report.fallback, report.method) == (1, "blinking")
    rendered(clip, plan, tmp_path / "fill.mp4", perception)
    mixed, filled = (pictures(tmp_path / name) for name in ("blinking.mp4", "fill.mp4"))
    apart = [float(np.abs(m.astype(float) - f).max()) for m, f in zip(mixed, filled, strict=True)]
    # Frame 3 is the one that the method refuses; of the others each is its own.
    assert apart[3] < 0.5 * min(apart[:3] + apart[4:])


@pytest.mark.usefixtures("_registered")
def test_a_method_that_fails_leaves_no_file(
    clip: Path, tmp_path: Path, perception: Perception, tree: Callable[[Path], list[str]]
) -> None:
    with pytest.raises(ZeroDivisionError):
        rendered(clip, planned(clip, perception), tmp_path / "out.mp4", perception, "broken")
    assert tree(tmp_path) == ["clip.mp4"]


def test_a_fallback_that_is_unfit_itself_leaves_no_file(
    photo: Path,
    tmp_path: Path,
    perception: Perception,
    monkeypatch: pytest.MonkeyPatch,
    tree: Callable[[Path], list[str]],
) -> None:
    plan = planned(photo, perception)
    monkeypatch.setitem(METHODS, "fill", NeverFit)
    with pytest.raises(ExposedError, match="fill could not hide 1 face"):
        rendered(photo, plan, tmp_path / "out.png", perception)
    assert tree(tmp_path) == ["holiday.png"]


def test_a_small_mask_is_judged_by_what_it_covers(
    photo: Path, tmp_path: Path, perception: Perception
) -> None:
    """The rescan takes the masks as they were drawn, not as they are by default."""
    plan = planned(photo, perception)
    options = Options(mask_scale=3)
    report = pipeline.render(
        open_source(photo), plan, tmp_path / "out.png", Fill(), SECRET, perception, options=options
    )
    assert report.rescan.covered == 0


@dataclass(frozen=True)
class Keyed(Picky):
    """Paints each face in a colour of its key."""

    name: ClassVar[str] = "keyed"
    granularity: ClassVar[Literal["image", "track", "set"]] = "track"
    keyed: ClassVar[bool] = True

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        colours = np.array([[value / 255 for value in key.secret[:3]] for key in keys], np.float32)
        painted = np.where(crops.masks[..., None] > 0, colours[:, None, None], crops.pixels)
        return Rendered(painted.astype(np.float32), np.zeros(len(crops), np.bool_))


@pytest.mark.parametrize("times", [0, 1, 2, 3])
def test_a_new_face_that_is_taken_for_the_old_one_is_drawn_anew_and_then_filled(
    photo: Path,
    tmp_path: Path,
    perception: Perception,
    pictures: Callable[[Path], list[Picture]],
    monkeypatch: pytest.MonkeyPatch,
    times: int,
) -> None:
    monkeypatch.setitem(METHODS, "keyed", Keyed)
    plan = planned(photo, perception)
    (item,) = plan.tracks
    looks: list[Picture] = []
    rescan = pipeline.look_again

    def recognised(path: Path, *rest: Any) -> Findings:
        findings = rescan(path, *rest)
        looks.append(pictures(path)[0])
        findings.recognised = {item.id} if len(looks) <= times else set()
        return findings

    monkeypatch.setattr(pipeline, "look_again", recognised)
    report = rendered(photo, plan, tmp_path / "out.png", perception, "keyed")
    assert len(looks) == times + 1
    assert report.rescan.redrawn == (1 if 0 < times < 3 else 0)
    assert report.rescan.recognised == (1 if times == 3 else 0)
    assert len({picture.tobytes() for picture in looks}) == times + 1, "another face each time"
    if times == 3:
        rendered(photo, plan, tmp_path / "fill.png", perception)
        np.testing.assert_array_equal(looks[-1], pictures(tmp_path / "fill.png")[0])


def test_methods_without_a_key_and_faces_that_must_stay_the_same_are_not_drawn_anew() -> None:
    stable = make("appearance-replace", {"identity": "stable"})
    assert pipeline._redrawable(make("appearance-replace", {}), Subjects())
    assert not pipeline._redrawable(stable, Subjects())
    assert not pipeline._redrawable(make("replace", {}), Subjects(keys={1: Key(bytes(32))}))
    assert not pipeline._redrawable(make("donor", {"donor": "7"}), Subjects())
    assert not pipeline._redrawable(make("pixelate", {}), Subjects())
