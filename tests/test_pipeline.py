"""Plan and render end to end, through the library: what comes out, and what it was allowed to become."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from incog import compose, geometry, pipeline
from incog.errors import InputError, OutputError, PlanError
from incog.keys import Secret, track_key
from incog.media import open_source
from incog.methods import METHODS, make
from incog.pipeline import Options, Perception
from incog.plan import Plan, PlanTrack
from incog.subjects import Seen
from incog.track import single
from incog.types import Face, Frame, Layout, Track

Picture = npt.NDArray[np.uint8]
Decode = Callable[[Path], list[Picture]]
MostLeft = Callable[[Path, Path], list[float]]
SECRET = Secret.from_seed(8)
ID = bytes(range(16))


def hide(
    path: Path, target: Path, perception: Perception, method: str = "fill", **options: object
) -> pipeline.FileReport:
    return pipeline.hide(path, target, make(method, {}), SECRET, perception, file_id=ID, **options)  # type: ignore[arg-type]


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]  # type: ignore[misc]


# Photos


def test_a_photo_loses_its_face_and_nothing_else(
    photo: Path, tmp_path: Path, perception: Perception, pictures: Decode, most_left: MostLeft, collins: Face
) -> None:
    report = hide(photo, tmp_path / "out.png", perception)
    assert (report.status, report.faces, report.tracks, report.frames) == ("hidden", 1, 1, 1)
    assert (report.method, report.rescan.exposed, report.rescan.covered) == ("fill", 0, 0)
    assert report.seconds > 0
    assert most_left(photo, tmp_path / "out.png")[0] < 0.1
    (before,), (after,) = pictures(photo), pictures(tmp_path / "out.png")
    outline = geometry.hull(collins, 2)
    far = geometry.mask([outline], (0, 0, 256, 256), 6) == 0
    np.testing.assert_array_equal(before[far], after[far])


def test_both_photos_lose_their_faces(
    tmp_path: Path, perception: Perception, admiral: Picture, most_left: MostLeft
) -> None:
    path = tmp_path / "admiral.jpg"
    Image.fromarray(admiral).save(path, quality=92)
    report = hide(path, tmp_path / "out.jpg", perception)
    assert report.tracks == 1
    assert most_left(path, tmp_path / "out.jpg")[0] < 0.15


ALONE = [name for name, kind in METHODS.items() if kind.granularity != "set"]
"""The methods that one file can be given to."""


@pytest.mark.parametrize("method", ALONE)
def test_every_method_works_end_to_end(
    photo: Path, tmp_path: Path, perception: Perception, pictures: Decode, method: str, collins: Face
) -> None:
    report = hide(photo, tmp_path / "out.png", perception, method)
    assert report.status == "hidden"
    assert report.claims
    (before,), (after,) = pictures(photo), pictures(tmp_path / "out.png")
    inside = geometry.mask([geometry.hull(collins, 0.9)], (0, 0, 256, 256), 0) > 0
    assert (before != after).any(axis=2)[inside].mean() > 0.6


def test_a_photo_without_faces_is_rebuilt_as_it_was(
    tmp_path: Path, perception: Perception, pictures: Decode, astronaut: Picture
) -> None:
    path = tmp_path / "flag.png"
    Image.fromarray(astronaut[150:250, 150:250]).save(path)
    report = hide(path, tmp_path / "out.png", perception)
    assert (report.status, report.faces, report.tracks, report.claims) == ("no_faces", 0, 0, [])
    np.testing.assert_array_equal(pictures(path)[0], pictures(tmp_path / "out.png")[0])


def test_an_animation_is_hidden_in_every_frame(
    tmp_path: Path, perception: Perception, astronaut: Picture, most_left: MostLeft
) -> None:
    path = tmp_path / "loop.webp"
    views = [Image.fromarray(astronaut[:200, shift : shift + 220]) for shift in (0, 6, 12, 18)]
    views[0].save(path, save_all=True, append_images=views[1:], duration=80, lossless=True)
    report = hide(path, tmp_path / "out.webp", perception)
    assert (report.frames, report.faces) == (4, 4)
    shares = most_left(path, tmp_path / "out.webp")
    assert len(shares) == 4
    assert max(shares) < 0.15


@pytest.mark.parametrize("side", ["left", "right", "top"])
def test_a_face_over_the_border_is_hidden(
    tmp_path: Path, perception: Perception, astronaut: Picture, collins: Face, side: str, pictures: Decode
) -> None:
    x, y = (round(value) for value in collins.centre)
    cut = {"left": astronaut[:, x - 8 :], "right": astronaut[:, : x + 8], "top": astronaut[y - 12 :]}[side]
    path = tmp_path / "edge.png"
    Image.fromarray(np.ascontiguousarray(cut)).save(path)
    report = hide(path, tmp_path / "out.png", perception)
    if report.status == "hidden":
        (before,), (after,) = pictures(path), pictures(tmp_path / "out.png")
        assert (before != after).any(axis=2).sum() > 0.3 * collins.width * collins.height


# Videos


def test_a_clip_is_hidden_in_every_frame_and_keeps_its_times_and_sound(
    clip: Path, tmp_path: Path, perception: Perception, most_left: MostLeft
) -> None:
    report = hide(clip, tmp_path / "out.mp4", perception)
    assert (report.status, report.frames, report.tracks, report.faces) == ("hidden", 14, 1, 14)
    assert report.rescan.frames >= 1
    shares = most_left(clip, tmp_path / "out.mp4")
    assert len(shares) == 14
    assert max(shares) < 0.15
    assert times(tmp_path / "out.mp4") == times(clip)
    sounds = []
    for path in (clip, tmp_path / "out.mp4"):
        with av.open(str(path)) as container:
            sounds.append([bytes(packet) for packet in container.demux(audio=0)])
    assert sounds[0] == sounds[1]


def test_variable_frame_rates_stay_exact(
    tmp_path: Path,
    perception: Perception,
    astronaut: Picture,
    pan: Callable[..., list[Picture]],
    write_clip: Callable[..., Path],
    most_left: MostLeft,
) -> None:
    ticks = [0, 40, 47, 120, 133, 200, 201, 333, 400, 1000]
    path = write_clip(tmp_path / "uneven.mkv", pan(astronaut, 10), ticks=ticks)
    assert times(path) == [Fraction(tick, 1000) for tick in ticks]
    hide(path, tmp_path / "out.mkv", perception)
    assert times(tmp_path / "out.mkv") == times(path)
    assert max(most_left(path, tmp_path / "out.mkv")) < 0.15


def test_both_sides_of_a_cut_are_hidden(
    tmp_path: Path,
    perception: Perception,
    astronaut: Picture,
    admiral: Picture,
    pan: Callable[..., list[Picture]],
    write_clip: Callable[..., Path],
    most_left: MostLeft,
) -> None:
    views = [*pan(astronaut, 6, width=220), *pan(admiral, 6, width=220, step=0)]
    path = write_clip(tmp_path / "cut.mp4", views)
    report = hide(path, tmp_path / "out.mp4", perception)
    assert report.tracks >= 2
    shares = most_left(path, tmp_path / "out.mp4")
    assert len(shares) >= 12
    assert max(shares) < 0.15


def test_spans_that_hold_no_frame_are_refused(clip: Path, tmp_path: Path, perception: Perception) -> None:
    with pytest.raises(InputError, match=r"spans must hold a frame of the file, whose last is at 0\.\d+ s"):
        hide(clip, tmp_path / "out.mp4", perception, spans=[(5.0, 10.0)])
    assert not (tmp_path / "out.mp4").exists()


def test_photos_are_hidden_whatever_times_of_films_are(
    photo: Path, tmp_path: Path, perception: Perception
) -> None:
    report = hide(photo, tmp_path / "out.png", perception, spans=[(5.0, 10.0)])
    assert (report.faces, report.tracks, report.rescan.on_purpose) == (1, 1, 0)


def test_times_outside_the_spans_stay_visible_on_purpose(
    clip: Path,
    tmp_path: Path,
    perception: Perception,
    pictures: Decode,
    left: Callable[..., float],
    collins: Face,
) -> None:
    report = hide(clip, tmp_path / "out.mp4", perception, spans=[(0.2, 0.4)])
    assert report.faces == 5
    assert report.rescan.on_purpose >= 1
    assert report.rescan.exposed == report.rescan.covered == 0
    shown = Face((collins.box[0], collins.box[1] - 4, collins.box[2], collins.box[3] - 4))
    for index, (before, after) in enumerate(zip(pictures(clip), pictures(tmp_path / "out.mp4"), strict=True)):
        at = Face((shown.box[0] - index, shown.box[1], shown.box[2] - index, shown.box[3]))
        share = left(before, after, at)
        assert share < 0.15 if 5 <= index < 10 else share > 0.85, index


# Plans that people edit


@pytest.fixture
def plan(photo: Path, perception: Perception) -> Plan:
    return pipeline.plan(open_source(photo), perception, file_id=ID)


def render(photo: Path, plan: Plan, target: Path, perception: Perception) -> pipeline.FileReport:
    return pipeline.render(open_source(photo), plan, target, make("blackout", {}), SECRET, perception)


def test_a_plan_whose_spans_hold_no_frame_is_refused(
    photo: Path, plan: Plan, tmp_path: Path, perception: Perception
) -> None:
    edited = plan.model_copy(update={"spans": [(5.0, 10.0)]})
    with pytest.raises(InputError, match="spans must hold a frame"):
        render(photo, edited, tmp_path / "out.png", perception)
    assert not (tmp_path / "out.png").exists()


def test_plan_and_render_equal_hide(photo: Path, plan: Plan, tmp_path: Path, perception: Perception) -> None:
    plan.save(tmp_path / "plan.json")
    noise = make("gaussian-noise", {})
    pipeline.hide(photo, tmp_path / "one.png", noise, SECRET, perception, file_id=ID)
    again = Plan.load(tmp_path / "plan.json")
    pipeline.render(open_source(photo), again, tmp_path / "two.png", noise, SECRET, perception)
    one, other = ((tmp_path / name).read_bytes() for name in ("one.png", "two.png"))
    # a plan's boxes are rounded to a tenth of a pixel before both, so the two are one
    assert one == other


def test_a_box_added_by_hand_is_hidden(
    photo: Path, plan: Plan, tmp_path: Path, perception: Perception, pictures: Decode
) -> None:
    more = [*plan.tracks, PlanTrack(id=9, start=0, boxes=[(150, 180, 200, 240)])]
    report = render(photo, plan.model_copy(update={"tracks": more}), tmp_path / "out.png", perception)
    assert report.tracks == 2
    (after,) = pictures(tmp_path / "out.png")
    assert (after[182:238, 155:195] == 0).all()


@pytest.mark.parametrize(
    "box",
    [
        (-40, -40, -20, -10),
        (250, 250, 400, 420),
        (-500, -500, 900, 900),
        (30, 30, 30.4, 30.6),
        (-1e6, 5, 1e6, 9),
    ],
)
def test_boxes_anywhere_and_of_any_size_can_be_rendered(
    photo: Path, plan: Plan, tmp_path: Path, perception: Perception, box: tuple[float, float, float, float]
) -> None:
    more = [*plan.tracks, PlanTrack(id=9, start=0, boxes=[box])]
    report = render(photo, plan.model_copy(update={"tracks": more}), tmp_path / "out.png", perception)
    assert report.status == "hidden"


def test_a_plan_of_another_file_is_refused(
    photo: Path, plan: Plan, tmp_path: Path, perception: Perception, admiral: Picture
) -> None:
    Image.fromarray(admiral).save(photo)
    with pytest.raises(PlanError, match="made from another file"):
        render(photo, plan, tmp_path / "out.png", perception)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("runs", [[("0", 2)], [("1/25", 1)], []])
def test_a_plan_with_other_times_is_refused(
    photo: Path, plan: Plan, tmp_path: Path, perception: Perception, runs: list[tuple[str, int]]
) -> None:
    wrong = plan.model_copy(update={"source": plan.source.model_copy(update={"times": runs})})
    with pytest.raises(PlanError, match="not those that the plan was made from"):
        render(photo, wrong, tmp_path / "out.png", perception)
    assert not (tmp_path / "out.png").exists()


def test_a_plan_holds_no_path_no_key_and_no_pixel(photo: Path, plan: Plan) -> None:
    text = plan.model_dump_json()
    assert photo.name not in text
    assert photo.parent.name not in text
    assert set(json.loads(text)) == {
        "version", "program", "file_id", "source", "selection", "detector", "threshold", "spans", "scanned", "tracks"
    }  # fmt: skip
    assert len(text) < 1500


def test_a_file_that_changes_while_it_is_read_is_refused(
    photo: Path, perception: Perception, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source(photo)
    real = perception.searcher.frame

    def meddle(frame: Frame) -> list[Face]:
        with photo.open("ab") as file:
            file.write(b"\0")
        return real(frame)

    monkeypatch.setattr(perception.searcher, "frame", meddle)
    with pytest.raises(InputError, match="changed while it was read"):
        pipeline.plan(source, perception)


# Outputs


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
@pytest.mark.parametrize("name", ["photo", "clip"])
def test_only_the_owner_reads_what_is_not_yet_checked(
    name: str, tmp_path: Path, perception: Perception, request: pytest.FixtureRequest
) -> None:
    source: Path = request.getfixturevalue(name)
    modes: set[tuple[str, int]] = set()

    def progress(stage: str, done: int, total: int | None) -> None:
        modes.update((stage, item.stat().st_mode & 0o777) for item in tmp_path.glob(".incog-*"))

    before = os.umask(0o022)
    try:
        hide(source, tmp_path / f"out{source.suffix}", perception, progress=progress)
    finally:
        os.umask(before)
    assert {stage for stage, _ in modes} >= {"checking"}
    assert {mode for _, mode in modes} == {0o600}
    assert (tmp_path / f"out{source.suffix}").stat().st_mode & 0o777 == 0o644


def test_the_place_is_tried_before_the_work(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, perception: Perception
) -> None:
    (tmp_path / "out.png").write_bytes(b"mine")
    monkeypatch.setattr(pipeline, "plan", lambda *a, **k: pytest.fail("looked before it tried the place"))
    for target in (tmp_path / "out.png", photo):
        with pytest.raises(OutputError):
            hide(photo, target, perception)
    assert (tmp_path / "out.png").read_bytes() == b"mine"


def test_overwriting_replaces_the_old_file_only_when_all_went_well(
    photo: Path, tmp_path: Path, perception: Perception
) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"old")
    hide(photo, target, perception, options=Options(overwrite=True))
    assert target.read_bytes().startswith(b"\x89PNG")


def test_folders_are_made_when_there_is_a_result(photo: Path, tmp_path: Path, perception: Perception) -> None:
    hide(photo, tmp_path / "a" / "b" / "out.png", perception)
    assert (tmp_path / "a" / "b" / "out.png").is_file()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["out.png"]


def test_progress_tells_every_stage(clip: Path, tmp_path: Path, perception: Perception) -> None:
    told: list[tuple[str, int, int | None]] = []
    hide(clip, tmp_path / "out.mp4", perception, progress=lambda *now: told.append(now))
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == ["looking", "hiding", "checking"]
    assert [done for stage, done, _ in told if stage == "hiding"] == list(range(1, 15))
    assert {total for _, _, total in told} == {14}


# Faces through a method


def jobs_for(faces: list[Face], method: str = "fill") -> list[compose.Job]:
    chosen = make(method, {})
    return [
        compose.Job(track, face, chosen, track_key(SECRET, ID, track.id))
        for track, face in zip(single(faces), faces, strict=True)
    ]


def textured(height: int = 120, width: int = 160) -> Frame:
    return Frame(
        (np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8),), Layout("rgb")
    )


def test_hiding_returns_a_new_frame_and_keeps_the_old() -> None:
    frame = textured()
    before = frame.planes[0].copy()
    result, unfit = compose.hide(frame, jobs_for([Face((60, 40, 90, 80))]), mask_scale=1.3)
    assert unfit == set()
    np.testing.assert_array_equal(frame.planes[0], before)
    assert not np.array_equal(result.planes[0], before)


def test_only_the_mask_and_its_feather_change() -> None:
    face = Face((60, 40, 90, 80))
    result, _ = compose.hide(textured(), jobs_for([face], "blackout"), mask_scale=1.3)
    soft = geometry.mask([geometry.hull(face, 1.3)], (0, 0, 160, 120), geometry.feather_width(face))
    assert (result.planes[0][soft == 1] == 0).all()
    np.testing.assert_array_equal(result.planes[0][soft == 0], textured().planes[0][soft == 0])


@pytest.mark.parametrize("method", ["fill", "gaussian-noise", "blur"])
def test_the_order_of_faces_does_not_matter(method: str) -> None:
    faces = [Face((10, 10, 40, 50)), Face((100, 60, 140, 110)), Face((90, 5, 102, 20))]
    results = [
        compose.hide(textured(), list(order), mask_scale=1.3)[0].planes[0]
        for order in itertools.permutations(jobs_for(faces, method))
    ]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_faces_outside_of_the_frame_do_no_harm() -> None:
    frame = textured()
    for face in (Face((-90, -90, -50, -40)), Face((400, 10, 440, 60)), Face((-400, -400, 600, 600))):
        for method in ALONE:
            result, _ = compose.hide(frame, jobs_for([face], method), mask_scale=1.3)
            assert result.planes[0].shape == frame.planes[0].shape


# Faces elsewhere than in the stored colours


def test_a_face_in_the_transparency_is_found_and_covered(
    tmp_path: Path, astronaut: Picture, perception: Perception, collins: Face
) -> None:
    """Black pixels, the more transparent the brighter the photo: over white the face is plain to see."""
    grey = np.asarray(Image.fromarray(astronaut).convert("L"))
    source, target = tmp_path / "ghost.png", tmp_path / "safe.png"
    Image.fromarray(np.dstack([np.zeros_like(astronaut), 255 - grey])).save(source)
    assert hide(source, target, perception).tracks == 1
    alpha = np.asarray(Image.open(target))[..., 3]
    x0, y0, x1, y1 = (round(value) for value in collins.box)
    assert (alpha[y0:y1, x0:x1] == 255).mean() > 0.97


def test_a_method_too_weak_for_a_face_falls_back_and_says_so(
    photo: Path, tmp_path: Path, perception: Perception, most_left: MostLeft
) -> None:
    target = tmp_path / "safe.png"
    method = make("pixelate", {"blocks": "64"})
    report = pipeline.hide(photo, target, method, SECRET, perception, file_id=ID)
    assert (report.method, report.fallback, report.tracks) == ("pixelate", 1, 1)
    assert max(most_left(photo, target)) < 0.15


@pytest.mark.parametrize(
    ("method", "asked"), [("replace", True), ("appearance-replace", True), ("blur", False)]
)
def test_in_films_the_clear_looks_say_together_how_a_new_face_looks(
    method: str,
    asked: bool,
    tmp_path: Path,
    astronaut: Picture,
    write_clip: Callable[..., Path],
    perception: Perception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_clip(tmp_path / "a.mp4", [astronaut] * 3)
    looks = [np.full(9, share, np.float32) for share in (0.2, 0.6)]
    told, drawn = [], []

    def looked(frames: object, tracks: Sequence[Track], *_: object, **__: object) -> dict[int, Seen]:
        told.append(len(tracks))
        return {item.id: Seen(looks=looks) for item in tracks}

    drawing = pipeline.Drawing

    def kept(*given: Any, **more: Any) -> Any:
        drawn.append(given[4])
        return drawing(*given, **more)

    monkeypatch.setattr(pipeline, "clear_looks", looked)
    monkeypatch.setattr(pipeline, "Drawing", kept)
    hide(path, tmp_path / "b.mp4", perception, method, options=Options(compare=False))
    assert told == ([1] if asked else [])
    for who in drawn:
        assert (not who.of, not who.keys) == (True, True)
        np.testing.assert_allclose(list(who.looks.values()), [np.full(7, 0.4)] if asked else [], atol=1e-6)
