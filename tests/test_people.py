"""Who stays visible: what it takes to be proved somebody, and what comes out in photos, clips and at the shell."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from incog import parallel, people, pipeline, rescan, track
from incog.cli import plans
from incog.errors import InputError, UsageError
from incog.keys import Secret
from incog.media import open_source
from incog.methods import make
from incog.people import Choice, Person, Sights, choice_of, decide, enrol
from incog.perceive.calibration import Calibration, threshold
from incog.perceive.recogniser import CLEAR_SIZE, Recogniser, crop_of, sharpness
from incog.pipeline import Options, Perception
from incog.plan import Plan
from incog.report import FileReport
from incog.types import Face, Frame, Layout, Track

Picture = npt.NDArray[np.uint8]
Left = Callable[[Picture, Picture, Face], float]
Decode = Callable[[Path], list[Picture]]
SECRET = Secret.from_seed(6)


# Deciding: pure figures


def moving(number: int, start: int, count: int, x: float = 0) -> Track:
    boxes = np.tile(np.array([x, 0, x + 50, 60], np.float32), (count, 1))
    return Track(
        number,
        start,
        boxes,
        np.full((count, 5, 2), np.nan, np.float32),
        np.ones(count, np.float32),
        np.zeros(count, np.uint8),
        np.zeros(count, np.float32),
    )


def seen(start: int, scores: Sequence[Sequence[float]], clear: Sequence[bool] | None = None) -> Sights:
    found = Sights()
    for number, row in enumerate(scores):
        found.add(start + number, np.array(row, np.float32), clear is None or clear[number])
    return found


def anybody(mode: people.Mode, count: int = 1) -> Choice:
    return Choice(
        mode, tuple(Person(np.eye(count, 4, dtype=np.float32)[who : who + 1]) for who in range(count))
    )


def decided(
    mode: people.Mode,
    measured: Calibration,
    sights: dict[int, Sights],
    tracks: list[Track],
    *,
    photo: bool = False,
    count: int = 1,
) -> people.Decision:
    return decide(sights, tracks, anybody(mode, count), measured, photo=photo)


def test_a_face_that_always_looks_like_the_person_stays_visible(measured: Calibration) -> None:
    result = decided("keep", measured, {1: seen(4, [[0.9]] * 10)}, [moving(1, 4, 10)])
    assert result.shown == {1: [(4, 14)]}
    assert result.visible == set()
    assert (result.record.visible, result.record.frames, result.record.runs) == (1, 10, 1)


def test_each_visible_frame_is_proved_and_short_runs_are_hidden(measured: Calibration) -> None:
    scores = [0.9] * 8 + [0.1] + [0.9] * 4 + [0.1] + [0.9] * 6
    result = decided("keep", measured, {1: seen(0, [[value] for value in scores])}, [moving(1, 0, 20)])
    assert result.shown == {1: [(0, 8), (14, 20)]}
    assert result.record.runs == 2


def test_frames_that_were_not_looked_at_are_hidden(measured: Calibration) -> None:
    half = seen(0, [[0.9]] * 10)
    half.frames = [0, 1, 2, 3, 4, 5, 9, 10, 11, 12]
    result = decided("keep", measured, {1: half}, [moving(1, 0, 20)])
    assert result.shown == {1: [(0, 6)]}


@pytest.mark.parametrize(
    ("scores", "clear"),
    [
        ([0.9, 0.9], [True, True]),
        ([0.9] * 20, [True, True] + [False] * 18),
        ([0.5] * 20, [True] * 20),
        ([0.95] * 11 + [0.2] * 9, [True] * 20),
    ],
    ids=["seen twice", "never clear", "not alike enough", "the sights disagree"],
)
def test_the_doubtful_are_hidden(measured: Calibration, scores: list[float], clear: list[bool]) -> None:
    sights = seen(0, [[value] for value in scores], clear)
    assert decided("keep", measured, {1: sights}, [moving(1, 0, 20)]).shown == {}


def test_more_comparisons_ask_for_more(measured: Calibration) -> None:
    level = threshold(measured, 1, people.RISK / 2) + 0.01
    one = {1: seen(0, [[level]] * 10)}
    assert decided("keep", measured, one, [moving(1, 0, 10)]).shown
    many = {number: seen(0, [[0.0]] * 10) for number in range(2, 30)} | one
    tracks = [moving(number, 0, 10, 100 * number) for number in range(1, 30)]
    crowd = decided("keep", measured, many, tracks)
    assert crowd.shown == {}
    assert crowd.record.comparisons == 29
    assert crowd.record.level is not None
    assert measured.rate(crowd.record.level)[0] * 29 <= people.RISK / 2


def test_wrong_exposures_stay_within_the_risk(measured: Calibration) -> None:
    """Strangers drawn from the calibration's own tail: no more files with a wrong face visible than said."""
    rng = np.random.default_rng(1)
    tail = measured.tails[0]
    files = wrong = 0
    for _ in range(4000):
        # A stranger is as similar in all frames of a track: the worst case for agreement over frames.
        scores = np.interp(rng.random(12), [0, 0.5, 0.99], [0.0, tail.scores[0], tail.scores[1]])
        rare = rng.random(12) < 0.01
        scores[rare] = tail.scores[1] + rng.exponential(tail.scale, rare.sum())
        sights = {number + 1: seen(0, [[value]] * 6) for number, value in enumerate(scores)}
        tracks = [moving(number, 0, 6, 100.0 * number) for number in sights]
        files += 1
        wrong += bool(decided("keep", measured, sights, tracks).shown)
    assert 0 < wrong / files <= people.RISK


def test_too_many_comparisons_for_the_data_leave_nobody_visible(measured: Calibration) -> None:
    small = measured.model_copy(update={"tails": [measured.tails[0].model_copy(update={"pairs": 3_000})]})
    tracks = [moving(number, 0, 6, 100 * number) for number in range(1, 700)]
    sights = {item.id: seen(0, [[0.99]] * 6) for item in tracks}
    result = decided("keep", small, sights, tracks)
    assert result.shown == {}
    assert result.record.level is None
    # A plan leaves out what is None, and is read again.
    text = result.record.model_dump_json(exclude_none=True)
    assert type(result.record).model_validate_json(text) == result.record
    assert "cannot vouch for 699 comparisons" in people.summary(result.record)[0]


def test_one_person_is_not_two_faces_of_a_frame(measured: Calibration) -> None:
    sights = {1: seen(0, [[0.9]] * 20), 2: seen(10, [[0.8]] * 20)}
    apart = [moving(1, 0, 20), moving(2, 10, 20, x=200)]
    assert decided("keep", measured, sights, apart).shown == {1: [(0, 10)], 2: [(20, 30)]}
    # Two tracks on one face are no contradiction.
    twins = [moving(1, 0, 20), moving(2, 10, 20, x=5)]
    assert decided("keep", measured, sights, twins).shown == {1: [(0, 20)], 2: [(10, 30)]}


def test_two_people_are_told_apart(measured: Calibration) -> None:
    sights = {1: seen(0, [[0.9, 0.1]] * 8), 2: seen(0, [[0.1, 0.9]] * 8), 3: seen(0, [[0.1, 0.1]] * 8)}
    tracks = [moving(number, 0, 8, 100 * number) for number in (1, 2, 3)]
    result = decided("keep", measured, sights, tracks, count=2)
    assert set(result.shown) == {1, 2}
    assert result.record.comparisons == 6


def test_a_photo_needs_one_clear_look(measured: Calibration) -> None:
    level = threshold(measured, 1, people.RISK)
    tracks = [moving(1, 0, 1)]
    for score, clear, shown in (
        (level + 0.01, True, True),
        (level - 0.01, True, False),
        (0.99, False, False),
    ):
        result = decided("keep", measured, {1: seen(0, [[score]], [clear])}, tracks, photo=True)
        assert bool(result.shown) == shown


def test_only_hides_on_a_single_likeness_and_where_nothing_can_be_told(measured: Calibration) -> None:
    sights = {
        1: seen(0, [[0.1]] * 9 + [[0.61]], [False] * 10),
        2: seen(0, [[0.3]] * 10),
        3: seen(0, [[0.3]] * 10, [True, True] + [False] * 8),
        4: Sights(),
    }
    tracks = [moving(number, 0, 10, 100 * number) for number in sights]
    result = decided("only", measured, sights, tracks)
    assert result.visible == {2}
    assert result.shown == {}
    assert result.record.undecided == 2
    # The upper end of the interval around one miss in two hundred pairs.
    assert 0.005 < result.record.risk < 0.01
    assert "at most 0.00" in people.claims(result.record)[0].statement


def test_claims_name_the_group_and_the_conditions(measured: Calibration) -> None:
    record = decided("keep", measured, {1: seen(0, [[0.9]] * 8)}, [moving(1, 0, 8)]).record
    (claim,) = people.claims(record)
    assert claim.value == people.RISK
    assert "strangers are most alike (all)" in " ".join(claim.conditions)
    assert "1 comparison(s)" in claim.scope
    assert "Too few" not in " ".join(claim.conditions)
    partly = record.model_copy(update={"unmeasured": ["some", "others"]})
    assert "Too few were measured to speak of: some, others." in " ".join(people.claims(partly)[0].conditions)


# Enrolling


def save(picture: Picture, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.ascontiguousarray(picture)).save(path)
    return path


def other_view(picture: Picture) -> Picture:
    """Return the picture darker and smaller, so that no pixel is the same."""
    small = cv2.resize(picture, None, fx=0.93, fy=0.93, interpolation=cv2.INTER_AREA)
    return np.asarray(small.astype(float) * 0.8 + 20, np.uint8)


@pytest.fixture
def collins_photo(tmp_path: Path, astronaut: Picture) -> Path:
    return save(other_view(astronaut[:170, 20:220]), tmp_path / "people" / "collins.png")


@pytest.fixture
def hopper_photo(tmp_path: Path, admiral: Picture) -> Path:
    return save(other_view(admiral), tmp_path / "people" / "hopper.png")


def enrolled(path: Path, knowing: Perception) -> Person:
    assert knowing.recogniser is not None
    return enrol(path, knowing.searcher, knowing.recogniser)


def test_a_person_is_enrolled_from_a_photo_or_a_folder(
    collins_photo: Path, tmp_path: Path, astronaut: Picture, knowing: Perception
) -> None:
    one = enrolled(collins_photo, knowing)
    assert one.vectors.shape[0] == 1
    folder = tmp_path / "collins"
    save(astronaut[:170, 20:220], folder / "a.png")
    save(other_view(astronaut[:170, 20:220]), folder / "b.png")
    both = enrolled(folder, knowing)
    assert both.vectors.shape[0] == 2
    np.testing.assert_allclose(np.linalg.norm(both.vectors, axis=1), 1, atol=1e-5)
    assert "vectors" not in repr(both)


def test_a_folder_of_different_people_is_refused(
    tmp_path: Path, astronaut: Picture, admiral: Picture, knowing: Perception
) -> None:
    folder = tmp_path / "mixed"
    save(astronaut[:170, 20:220], folder / "a.png")
    save(other_view(astronaut[:170, 20:220]), folder / "b.png")
    save(admiral, folder / "z.png")
    with pytest.raises(UsageError, match="must show one person"):
        enrolled(folder, knowing)


def test_a_photo_with_several_faces_is_refused(
    tmp_path: Path, astronaut: Picture, admiral: Picture, knowing: Perception
) -> None:
    path = save(np.hstack([astronaut[:170], np.resize(admiral[:170], (170, 240, 3))]), tmp_path / "two.png")
    with pytest.raises(UsageError, match="exactly one face, got 2") as caught:
        enrolled(path, knowing)
    assert "cut the picture" in caught.value.hint


def test_photos_that_show_nobody_clearly_are_refused(
    tmp_path: Path, astronaut: Picture, clip: Path, knowing: Perception
) -> None:
    with pytest.raises(UsageError, match="exactly one face, got 0"):
        enrolled(save(astronaut[150:250, 150:250], tmp_path / "flag.png"), knowing)
    blurred = cv2.GaussianBlur(astronaut, (0, 0), 3)
    with pytest.raises(UsageError, match="sharp, seen from the front and at least 40 pixels"):
        enrolled(save(blurred, tmp_path / "blurred.png"), knowing)
    tiny = cv2.resize(astronaut, (110, 110), interpolation=cv2.INTER_AREA)
    with pytest.raises(UsageError, match="at least 40 pixels"):
        enrolled(save(tiny, tmp_path / "tiny.png"), knowing)
    with pytest.raises(UsageError, match="must be shown by a photo, got a video"):
        enrolled(clip, knowing)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="must hold photos"):
        enrolled(tmp_path / "empty", knowing)
    with pytest.raises(InputError, match=r"nobody\.png: there is no such file"):
        enrolled(tmp_path / "nobody.png", knowing)


def test_a_risk_beyond_the_data_is_refused(measured: Calibration) -> None:
    somebody = Person(np.ones((1, 4), np.float32))
    with pytest.raises(UsageError, match=r"got 1e-08: .* cannot speak of less") as refused:
        choice_of("keep", [somebody], 1e-8, measured)
    least = float(str(refused.value).split("at least ")[1].split(" ")[0])
    # Rounded to two digits.
    assert choice_of("keep", [somebody], 1.1 * least, measured).risk == 1.1 * least
    assert choice_of("keep", [somebody], 0.01, measured).risk == 0.01


# Looking


def frame_of(picture: Picture) -> Frame:
    return Frame((np.ascontiguousarray(picture),), Layout("rgb"))


def test_a_look_is_judged_by_what_it_shows(astronaut: Picture, collins: Face, knowing: Perception) -> None:
    recogniser = knowing.recogniser
    assert recogniser is not None
    whole = recogniser.sight(frame_of(astronaut), collins)
    assert whole is not None
    assert recogniser.is_clear(whole)
    soft = recogniser.sight(frame_of(cv2.GaussianBlur(astronaut, (0, 0), 4)), collins)
    assert soft is not None
    assert not recogniser.is_telling(soft)
    flat = recogniser.sight(frame_of(np.full_like(astronaut, 120)), collins)
    assert flat is not None
    assert not recogniser.is_telling(flat)
    doubtful = Face(collins.box, 0.4, collins.points)
    sight = recogniser.sight(frame_of(astronaut), doubtful)
    assert sight is not None
    assert not sight.whole
    small = Face((0, 0, CLEAR_SIZE - 1, CLEAR_SIZE - 1), 0.9, collins.points)
    sight = recogniser.sight(frame_of(astronaut), small)
    assert sight is not None
    assert recogniser.is_telling(sight)
    assert not recogniser.is_clear(sight)


def test_points_are_looked_for_where_they_are_unknown(
    astronaut: Picture, collins: Face, knowing: Perception
) -> None:
    assert knowing.recogniser is not None
    known = knowing.recogniser.sight(frame_of(astronaut), collins)
    found = knowing.recogniser.sight(frame_of(astronaut), Face(collins.box))
    assert known is not None
    assert found is not None
    assert float(known.vector @ found.vector) > 0.6
    assert knowing.recogniser.sight(frame_of(astronaut), Face((150, 190, 190, 235))) is None


def test_a_neighbour_does_not_speak_for_a_face(
    astronaut: Picture, collins: Face, measured: Calibration, knowing: Perception
) -> None:
    assert knowing.recogniser is not None
    beside = Recogniser(knowing.recogniser._network, measured, lambda frame, face: collins)
    x0, y0, x1, y1 = collins.box
    assert beside.sight(frame_of(astronaut), Face(collins.box)) is not None
    assert beside.sight(frame_of(astronaut), Face((x0 + 30, y0, x1 + 30, y1))) is None


@pytest.mark.parametrize("where", [(-400, -400), (4000, 10), (90, -300)])
def test_points_outside_the_picture_show_nothing(
    where: tuple[int, int], astronaut: Picture, collins: Face
) -> None:
    assert collins.points is not None
    away = collins.points - collins.points.mean(axis=0) + np.array(where, np.float32)
    assert crop_of(frame_of(astronaut), Face((0, 0, 1, 1), points=away.astype(np.float32))) is None
    assert crop_of(frame_of(astronaut), Face((0, 0, 1, 1))) is None
    assert crop_of(frame_of(astronaut), Face((0, 0, 1, 1), points=np.ones((5, 2), np.float32))) is None


def test_blur_lowers_the_sharpness(astronaut: Picture, collins: Face) -> None:
    values = []
    for sigma in (0.01, 1, 2, 4):
        crop = crop_of(frame_of(cv2.GaussianBlur(astronaut, (0, 0), sigma)), collins)
        assert crop is not None
        values.append(sharpness(crop))
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.15
    assert values[-1] < 0.07


# Photos and clips


def beside(astronaut: Picture, admiral: Picture) -> Picture:
    """Return both on a wall: the astronaut on the left, the admiral on the right."""
    wall = np.full((300, 520, 3), 120, np.uint8)
    wall[20:190, 10:210] = astronaut[:170, 20:220]
    wall[10:290, 260:500] = admiral
    return wall


@pytest.fixture
def scene(tmp_path: Path, astronaut: Picture, admiral: Picture) -> Path:
    return save(beside(astronaut, admiral), tmp_path / "scene.png")


@pytest.fixture
def is_hidden(
    pictures: Decode, left: Left, perception: Perception
) -> Callable[[Path, Path], list[dict[str, bool]]]:
    """Return the function that says for each frame which of the two faces is hidden."""

    def judge(source: Path, output: Path) -> list[dict[str, bool]]:
        found = []
        for before, after in zip(pictures(source), pictures(output), strict=True):
            faces = perception.searcher._detector(before, scales=[2.0, 1.0], threshold=0.65)
            shares = {
                "collins" if face.centre[0] < 235 else "hopper": left(before, after, face) for face in faces
            }
            assert set(shares) == {"collins", "hopper"}
            assert all(share < 0.15 or share > 0.85 for share in shares.values()), shares
            found.append({name: share < 0.15 for name, share in shares.items()})
        return found

    return judge


Judge = Callable[[Path, Path], list[dict[str, bool]]]


def hidden(
    source: Path,
    target: Path,
    knowing: Perception,
    mode: people.Mode,
    *photos: Path,
    method: str = "fill",
    options: Options | None = None,
) -> FileReport:
    assert knowing.recogniser is not None
    found = [enrolled(photo, knowing) for photo in photos]
    choice = choice_of(mode, found, people.RISK, knowing.recogniser.calibration) if photos else None
    return pipeline.hide(source, target, make(method, {}), SECRET, knowing, choice=choice, options=options)


def test_keep_leaves_one_person_visible_in_a_photo(
    scene: Path, tmp_path: Path, knowing: Perception, collins_photo: Path, is_hidden: Judge
) -> None:
    report = hidden(scene, tmp_path / "out.png", knowing, "keep", collins_photo)
    assert is_hidden(scene, tmp_path / "out.png") == [{"collins": False, "hopper": True}]
    assert (report.tracks, report.faces, report.rescan.exposed) == (1, 1, 0)
    assert report.rescan.on_purpose >= 1
    assert "1 face(s) left visible" in report.selection[0]
    assert any(claim.value == people.RISK for claim in report.claims)


def test_only_hides_one_person_in_a_photo(
    scene: Path, tmp_path: Path, knowing: Perception, collins_photo: Path, is_hidden: Judge
) -> None:
    report = hidden(scene, tmp_path / "out.png", knowing, "only", collins_photo)
    assert is_hidden(scene, tmp_path / "out.png") == [{"collins": True, "hopper": False}]
    assert report.tracks == 1
    assert any("misses a face" in claim.statement and claim.holds for claim in report.claims)
    assert any("stays visible" in claim.statement and not claim.holds for claim in report.claims)


def test_both_can_be_kept_and_nobody_else(
    scene: Path,
    tmp_path: Path,
    knowing: Perception,
    collins_photo: Path,
    hopper_photo: Path,
    is_hidden: Judge,
) -> None:
    report = hidden(scene, tmp_path / "out.png", knowing, "keep", collins_photo, hopper_photo)
    assert is_hidden(scene, tmp_path / "out.png") == [{"collins": False, "hopper": False}]
    assert report.faces == 0


def test_a_person_who_is_not_there_exposes_nobody(
    photo: Path,
    tmp_path: Path,
    knowing: Perception,
    hopper_photo: Path,
    most_left: Callable[[Path, Path], list[float]],
) -> None:
    report = hidden(photo, tmp_path / "out.png", knowing, "keep", hopper_photo)
    assert report.tracks == 1
    assert max(most_left(photo, tmp_path / "out.png")) < 0.15


@pytest.fixture
def walk(tmp_path: Path, astronaut: Picture, admiral: Picture, write_clip: Callable[..., Path]) -> Path:
    wall = beside(astronaut, admiral)
    return write_clip(
        tmp_path / "walk.mp4", [np.roll(wall, step // 2, axis=1)[:, :500] for step in range(16)]
    )


def test_keep_and_only_in_a_clip(
    walk: Path, tmp_path: Path, knowing: Perception, hopper_photo: Path, is_hidden: Judge
) -> None:
    report = hidden(walk, tmp_path / "keep.mp4", knowing, "keep", hopper_photo)
    result = is_hidden(walk, tmp_path / "keep.mp4")
    assert all(frame["collins"] for frame in result)
    shown = sum(not frame["hopper"] for frame in result)
    # Where the stand-in is not sure the face is hidden, and both are counted.
    assert shown >= 12
    assert report.faces == 2 * 16 - shown
    assert f"1 face(s) left visible in {shown} frame(s), " in report.selection[0]
    hidden(walk, tmp_path / "only.mp4", knowing, "only", hopper_photo)
    assert is_hidden(walk, tmp_path / "only.mp4") == [{"collins": False, "hopper": True}] * 16


def test_frames_in_which_the_person_cannot_be_told_are_hidden(
    tmp_path: Path,
    astronaut: Picture,
    admiral: Picture,
    write_clip: Callable[..., Path],
    knowing: Perception,
    hopper_photo: Path,
    is_hidden: Judge,
) -> None:
    """In the middle of the clip somebody else's face takes the admiral's place, without a cut."""
    views = [beside(astronaut, admiral) for _ in range(21)]
    stranger = cv2.resize(astronaut[20:130, 60:170][:, ::-1], (150, 150), interpolation=cv2.INTER_CUBIC)
    for view in views[8:13]:
        view[45:195, 305:455] = stranger
    clip = write_clip(tmp_path / "swap.mp4", views)
    report = hidden(clip, tmp_path / "out.mp4", knowing, "keep", hopper_photo)
    result = is_hidden(clip, tmp_path / "out.mp4")
    assert all(frame["hopper"] for frame in result[8:13])
    assert all(frame["collins"] for frame in result)
    assert report.rescan.exposed == 0


def test_a_plan_tells_frames_and_figures_and_no_embedding(
    walk: Path, tmp_path: Path, knowing: Perception, hopper_photo: Path, is_hidden: Judge
) -> None:
    assert knowing.recogniser is not None
    choice = choice_of("keep", [enrolled(hopper_photo, knowing)], 0.01, knowing.recogniser.calibration)
    plan = pipeline.plan(open_source(walk), knowing, choice=choice)
    (shown,) = [item for item in plan.tracks if item.show]
    assert all(item.hide for item in plan.tracks)
    assert plan.selection is not None
    assert plan.selection.comparisons == 2
    text = plan.model_dump_json()
    # Nothing in it is as long as an embedding: lists of numbers are boxes, points, times and frames.
    assert len(text) < 16 * 2 * 600
    assert "hopper" not in text
    plan.save(tmp_path / "walk.plan.json")
    again = Plan.load(tmp_path / "walk.plan.json")
    knowing.recogniser = cast("Recogniser", None)
    # The plan says all that is needed: who is who is not asked again.
    told = Options(compare=False)
    pipeline.render(
        open_source(walk), again, tmp_path / "out.mp4", make("fill", {}), SECRET, knowing, options=told
    )
    expected = [{"collins": True, "hopper": not shown.visible(index)} for index in range(16)]
    assert is_hidden(walk, tmp_path / "out.mp4") == expected


# Hidden faces against what they were


def test_a_weak_result_that_is_still_recognised_is_filled(
    scene: Path, tmp_path: Path, knowing: Perception, pictures: Decode
) -> None:
    report = hidden(scene, tmp_path / "cartoon.png", knowing, "keep", method="cartoon")
    assert (report.rescan.recognised, report.fallback, report.rescan.rounds) == (2, 2, 2)
    assert report.rescan.compared == 2
    hidden(scene, tmp_path / "fill.png", knowing, "keep")
    np.testing.assert_array_equal(pictures(tmp_path / "cartoon.png")[0], pictures(tmp_path / "fill.png")[0])


def test_a_clip_is_compared_too(walk: Path, tmp_path: Path, knowing: Perception) -> None:
    report = hidden(walk, tmp_path / "out.mp4", knowing, "keep", method="cartoon")
    assert (report.rescan.recognised, report.fallback) == (2, 2)


def test_covers_pass_the_comparison(scene: Path, tmp_path: Path, knowing: Perception) -> None:
    for method in ("fill", "blackout"):
        report = hidden(scene, tmp_path / f"{method}.png", knowing, "keep", method=method)
        assert (report.rescan.compared, report.rescan.recognised, report.rescan.rounds) == (2, 0, 1)
        assert report.fallback == 0


def test_the_comparison_can_be_left_out(scene: Path, tmp_path: Path, knowing: Perception) -> None:
    options = Options(compare=False)
    report = hidden(scene, tmp_path / "out.png", knowing, "keep", method="cartoon", options=options)
    assert (report.rescan.compared, report.rescan.recognised, report.fallback) == (0, 0, 0)


def test_a_cover_that_missed_the_face_is_found_out(
    photo: Path, tmp_path: Path, knowing: Perception, monkeypatch: pytest.MonkeyPatch, collins: Face
) -> None:
    """With detectors that see nothing in the output, the comparison alone finds the face."""
    plan = pipeline.plan(open_source(photo), knowing)
    points = [[(float(x), float(y)) for x, y in collins.points]] if collins.points is not None else None
    off = plan.tracks[0].model_copy(update={"boxes": [(170.0, 150.0, 230.0, 220.0)], "points": points})
    monkeypatch.setattr(knowing.rescanner, "_faces", lambda frame, photo: [])
    report = pipeline.render(
        open_source(photo),
        plan.model_copy(update={"tracks": [off]}),
        tmp_path / "out.png",
        make("fill", {}),
        SECRET,
        knowing,
    )
    assert report.rescan.covered >= 1
    assert report.tracks == 2


def test_samples_are_the_best_views_at_a_bounded_rate() -> None:
    item = moving(1, 10, 100)
    item.boxes[:, 2:] = np.stack([25 + np.arange(100) * 0.8, np.full(100, 24)], axis=1)
    every = rescan.samples(item, lambda index: True, window=25)
    assert every == [34, 59, 84, 109]
    item.points[40] = 1
    assert rescan.samples(item, lambda index: True, window=25)[1] == 50
    assert rescan.samples(item, lambda index: index < 20, window=25) == [19]
    tiny = moving(2, 0, 8)
    tiny.boxes[:] = [0, 0, 20, 23]
    assert rescan.samples(tiny, lambda index: True, window=4) == []


# The command line


@pytest.fixture
def aware(monkeypatch: pytest.MonkeyPatch, measured: Calibration, knowing: Perception) -> None:
    """Have the command line use the stand-in."""
    monkeypatch.setattr(parallel, "_perception", lambda *settings: knowing)
    monkeypatch.setattr(plans, "Perception", lambda **settings: knowing)
    parallel.enrolled.cache_clear()


@pytest.mark.usefixtures("aware")
def test_keep_on_the_command_line(
    incog: Callable[..., Any], scene: Path, tmp_path: Path, collins_photo: Path, is_hidden: Judge
) -> None:
    result = incog(
        "hide", scene, "-o", tmp_path / "out.png", "--keep", collins_photo, "--report", tmp_path / "r.json"
    )
    assert result.code == 0, result.err
    assert "1 face(s) hidden" in result.err
    assert "1 face(s) left visible in 1 frame(s)" in result.err
    assert is_hidden(scene, tmp_path / "out.png") == [{"collins": False, "hopper": True}]
    text = (tmp_path / "r.json").read_text()
    assert json.loads(text)["files"][0]["selection"]
    assert "collins" not in text


@pytest.mark.usefixtures("aware")
def test_only_on_the_command_line_with_a_plan_between(
    incog: Callable[..., Any], scene: Path, tmp_path: Path, collins_photo: Path, is_hidden: Judge
) -> None:
    plan = tmp_path / "scene.plan.json"
    result = incog("plan", scene, "-o", plan, "--only", collins_photo)
    assert result.code == 0, result.err
    assert "1 face(s) left visible, of people less similar" in result.err
    assert "collins" not in plan.read_text()
    assert incog("render", plan, "-o", tmp_path / "out.png").code == 0
    assert is_hidden(scene, tmp_path / "out.png") == [{"collins": True, "hopper": False}]


@pytest.mark.usefixtures("aware")
def test_wrong_choices_are_refused_before_anything_is_written(
    incog: Callable[..., Any], scene: Path, tmp_path: Path, collins_photo: Path
) -> None:
    target = tmp_path / "out.png"
    both = incog("hide", scene, "-o", target, "--keep", collins_photo, "--only", collins_photo)
    assert (both.code, target.exists()) == (2, False)
    assert "--keep and --only must not be given together" in both.err
    crowd = incog("hide", scene, "-o", target, "--keep", scene)
    assert (crowd.code, target.exists()) == (2, False)
    assert "exactly one face, got 2" in crowd.err
    for risk in ("0", "0.9"):
        assert incog("hide", scene, "-o", target, "--keep", collins_photo, "--risk", risk).code == 2
    assert incog("hide", scene, "-o", target, "--keep", tmp_path / "nobody.jpg").code == 1
    assert not target.exists()


@pytest.mark.usefixtures("aware")
def test_no_compare_on_the_command_line(incog: Callable[..., Any], photo: Path) -> None:
    filled = incog(photo, "--method", "cartoon")
    assert "left recognisable: filled" in filled.err
    drawn = incog(photo, "--method", "cartoon", "--no-compare", "--overwrite")
    assert drawn.code == 0
    assert "filled" not in drawn.err


def test_tracks_overlap_is_what_tells_two_faces() -> None:
    one, other = moving(1, 0, 3), moving(2, 0, 3, x=10)
    assert float(track.overlap(one.boxes[:1], other.boxes[:1])[0, 0]) > people.APART
    assert people._are_two(one.face(0), moving(3, 0, 3, x=45).face(0))
    assert not people._are_two(one.face(0), other.face(0))
    assert not people._are_two(one.face(9), other.face(0))
