"""Pairs of videos with drawn faces: what was left open is found, what was hidden is at chance, and frames are never
compared with themselves."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from math import isnan, sin
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from incog import geometry, track
from incog.colour import rgb8
from incog.data.faces import split_of, template
from incog.errors import InputError
from incog.evaluate import temporal, video_attacks
from incog.evaluate.recognisers import make_own
from incog.evaluate.video import VideoResults, evaluate_video
from incog.evaluate.video_attacks import Sights
from incog.evaluate.video_document import SightRecord, TrackRecord, VideoEvaluation
from incog.evaluate.video_page import video_page
from incog.evaluate.video_verdict import verdict
from incog.evaluate.video_watch import Pair, carried_points
from incog.keys import Secret
from incog.media import open_source
from incog.methods import make
from incog.perceive.embedder import align
from incog.perceive.hulls import FaceHulls
from incog.pipeline import Perception, hide
from incog.types import Bytes, Depth, Face, Floats, Frame, Origin, Track

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "media" / "talk.mp4"
POINTS = template("arcface", 128)
BOX = np.array([34, 34, 94, 118], np.float32)
PEOPLE, FRAMES, RATE = 3, 48, 25


def tile(person: str, number: int) -> Bytes:
    """Return (128, 128, 3): a person's pattern inside of the face, light and noise of the frame."""
    pattern = np.random.default_rng(list(person.encode()))
    face = cv2.resize(
        pattern.uniform(40, 215, (9, 7, 3)).astype(np.float32), (60, 84), interpolation=cv2.INTER_CUBIC
    )
    random = np.random.default_rng([*person.encode(), number])
    ground = np.random.default_rng(0).uniform(70, 150, (24, 24, 3)).astype(np.float32)
    canvas = np.asarray(cv2.resize(ground, (128, 128), interpolation=cv2.INTER_CUBIC), np.float32)
    canvas[34:118, 34:94] = face * random.uniform(0.9, 1.05)
    return np.asarray(np.clip(canvas + random.normal(0, 3, canvas.shape), 0, 255), np.uint8)


def sway(index: int) -> int:
    return round(3 * sin(index / 4))


def faces_at(index: int) -> list[Face]:
    """Return where the people stand beside each other in a frame."""
    found = []
    for person in range(PEOPLE):
        x = 128 * person + sway(index)
        box = BOX + np.float32([x, 0, x, 0])
        found.append(Face(tuple(float(value) for value in box), 0.9, POINTS + np.float32([x, 0])))  # type: ignore[arg-type]
    return found


def pictures_of(people: Sequence[str] = ("anna", "ben", "cleo")) -> list[Bytes]:
    return [
        np.hstack([np.roll(tile(name, index), sway(index), axis=1) for name in people])
        for index in range(FRAMES)
    ]


def blacked(pictures: Sequence[Bytes], *, but: Sequence[tuple[int, int]] = ()) -> list[Bytes]:
    """Return the pictures with faces covered, but for some (frame, person)."""
    results = []
    for index, picture in enumerate(pictures):
        covered = picture.copy()
        for person, face in enumerate(faces_at(index)):
            if (index, person) not in but:
                outline = np.rint(geometry.hull(face, 1.35)).astype(np.int32)
                cv2.fillPoly(covered, [outline], (0, 0, 0))
        results.append(covered)
    return results


class Sees:
    """A searcher that knows where faces are drawn."""

    def scan(self, frame: Frame, depth: Depth) -> list[Face]:
        return faces_at(frame.index)

    def look(self, frame: Frame, face: Face) -> Face | None:
        near = [one for one in faces_at(frame.index) if abs(one.centre[0] - face.centre[0]) < 30]
        return near[0] if near else None

    def frame(self, frame: Frame) -> list[Face]:
        return [Face(tuple(BOX.tolist()), 0.9, POINTS)]


class Squints:
    """A recogniser that compares coarse patterns of aligned faces, each channel without its mean."""

    name, kind, note, sha256, settings = "squints", "black box", "drawn faces only", "", ""

    def __call__(self, pictures: Sequence[Bytes], points: Sequence[Floats]) -> Floats:
        rows = [np.zeros(14 * 14 * 3 + 1, np.float32)][: not pictures]
        for one, five in zip(pictures, points, strict=True):
            small = cv2.resize(
                align(one, Face((0, 0, 1, 1), points=five)), (14, 14), interpolation=cv2.INTER_AREA
            )
            rows.append(np.append((small.astype(np.float32) - small.mean((0, 1))).ravel(), 1.0))
        values = np.stack(rows)[: len(pictures)]
        return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


def drawn(searcher: Any = None) -> Perception:
    return cast(
        "Perception",
        SimpleNamespace(searcher=searcher or Sees(), hulls=FaceHulls(None), settings=track.Settings()),
    )


WriteClip = Callable[..., Path]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, write_clip: WriteClip) -> dict[str, Path]:
    """The drawn people as they are, twice, blacked out, and blacked out but for one face in one frame."""
    folder = tmp_path_factory.mktemp("clips")
    originals = pictures_of()
    made = {
        "original": originals,
        "untouched": originals,
        "black": blacked(originals),
        "slip": blacked(originals, but=[(20, 1)]),
    }
    return {
        name: write_clip(folder / f"{name}.mp4", pictures, rate=RATE, sound=name == "original")
        for name, pictures in made.items()
    }


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sixty people of the test part, a picture each."""
    path = tmp_path_factory.mktemp("data") / "others.zip"
    people = [name for name in (f"person {n}" for n in range(600)) if split_of(name) == "test"][:60]
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("labels.csv", "file,identity\n" + "".join(f"{name}.png,{name}\n" for name in people))
        for name in people:
            coded = io.BytesIO()
            Image.fromarray(tile(name, 0)).save(coded, "PNG")
            file.writestr(f"{name}.png", coded.getvalue())
    return {"others": path}


def run(clips: dict[str, Path], name: str, **settings: Any) -> VideoResults:
    return evaluate_video(clips["original"], clips[name], [Squints()], drawn(), **settings)


@pytest.fixture(scope="module")
def untouched(clips: dict[str, Path]) -> VideoResults:
    return run(clips, "untouched")


@pytest.fixture(scope="module")
def black(clips: dict[str, Path], strangers: dict[str, Path]) -> VideoResults:
    return run(clips, "black", data=strangers)


@pytest.fixture(scope="module")
def slip(clips: dict[str, Path]) -> VideoResults:
    return run(clips, "slip")


def sights(results: VideoResults) -> list[SightRecord]:
    return [record.sights[0] for record in results.evaluation.tracks]


# What is found


def test_an_untouched_video_leaks_everything(untouched: VideoResults) -> None:
    found = untouched.evaluation
    assert found.open.value == found.bare.value == 1
    assert len(found.tracks) == PEOPLE
    assert (found.protocol.faces, found.protocol.followed) == (PEOPLE * FRAMES, 0)
    assert found.judges[0].rank1.value == 1
    for sight in sights(untouched):
        assert sight.cosine == pytest.approx(sight.untouched, abs=0.02)
        assert (sight.alike or 0) > 0.8
        assert sight.rank1 == sight.untouched_rank1 == 1
    for record in found.tracks:
        assert record.flicker == pytest.approx(1, abs=0.1)
        assert record.warping == pytest.approx(1, abs=0.1)
    assert found.verdict.startswith(
        "Leaks: 100.0 % of face-frames were left as they were or nearly so, in 3 of 3 track(s)"
    )


def test_blacked_out_faces_are_at_chance(black: VideoResults) -> None:
    found = black.evaluation
    assert found.open.value == 0
    judge = found.judges[0]
    # All look the same, so whoever is taken for them is right in one of three.
    assert judge.rank1.value == pytest.approx(1 / PEOPLE, abs=0.02)
    assert judge.untouched_rank1.value == 1
    assert judge.alike.value == 0
    assert judge.outline["rank 1"].value == pytest.approx(1 / PEOPLE, abs=0.02)
    for sight in sights(black):
        assert sight.cosine < 0.5 < 0.9 < sight.untouched
        assert (sight.variance[1] or 0) < 0.05
    assert all(record.altered == 1 for record in found.tracks)
    assert found.verdict.startswith("No leak found: every face-frame was altered")


def test_thresholds_rest_on_originals_of_other_people(black: VideoResults) -> None:
    judge = black.evaluation.judges[0]
    # Pairs of strangers, of strangers and the two galleries of a track, and of tracks that share a frame.
    assert judge.pairs == 60 * 59 // 2 + 60 * 2 * PEOPLE + PEOPLE
    assert black.evaluation.protocol.people == 60
    assert judge.accepted["frame"]["0.01"].value == 0
    assert judge.untouched_accepted["frame"]["0.01"].value == 1
    assert judge.untouched_accepted["multi-frame"]["0.01"].value == 1
    assert judge.mistaken["frame"] == 0
    # So many pairs say nothing of a thousandth, nor of the best of 48 frames.
    assert judge.accepted["frame"]["0.001"].value is None
    assert judge.accepted["best frame"]["0.01"].value is None
    assert any("A FAR of 0.001 needs 10,000 pairs" in word for word in black.evaluation.protocol.words)
    top = black.evaluation.headlines[0]
    assert (top.measure, top.chance, top.beyond) == ("recognised", 0.01, False)


def test_one_frame_that_slipped_through_is_found(slip: VideoResults, black: VideoResults) -> None:
    found = slip.evaluation
    assert found.open.value == found.bare.value == pytest.approx(1 / (PEOPLE * FRAMES), rel=1e-3)
    assert [bool(record.open) for record in found.tracks] == [False, True, False]
    record, sight, covered = found.tracks[1], sights(slip)[1], sights(black)[1]
    assert (record.altered or 0) < 0.1
    assert min(record.curve, key=lambda point: point[1])[0] == pytest.approx(20 / RATE)
    assert max(sight.curve, key=lambda point: point[1])[0] == pytest.approx(20 / RATE)
    # The best frame shows it, the mean of all frames hardly.
    assert sight.best > 0.9
    assert sight.together < covered.together + 0.1
    assert sight.alike == pytest.approx(1 / FRAMES, rel=1e-3)
    assert (sight.switch[1] or 0) > 0.4 > (covered.switch[1] or 0)
    assert sight.best > 0.4 + covered.best
    assert "in 1 of 3 track(s)" in found.verdict


def test_leaks_are_those_of_the_plain_measure(slip: VideoResults, clips: dict[str, Path]) -> None:
    pairs = list(Pair(clips["original"], clips["slip"]).frames())
    outlines = [[geometry.hull(face, 1.0) for face in faces_at(index)] for index in range(FRAMES)]
    expected = temporal.leak_rate(
        (rgb8(before) for before, _ in pairs),
        (rgb8(after) for _, after in pairs),
        outlines,
        [["a", "b", "c"]] * FRAMES,
    )
    assert slip.evaluation.open.value == pytest.approx(expected.value, rel=1e-4)
    assert slip.evaluation.open.high == pytest.approx(expected.high, rel=1e-4)


def test_one_track_has_nobody_to_be_told_from(tmp_path: Path, write_clip: WriteClip) -> None:
    class Alone(Sees):
        def scan(self, frame: Frame, depth: Depth) -> list[Face]:
            return faces_at(frame.index)[:1]

    originals = pictures_of()
    before = write_clip(tmp_path / "before.mp4", originals)
    after = write_clip(tmp_path / "after.mp4", blacked(originals))
    found = evaluate_video(before, after, [Squints()], drawn(Alone())).evaluation
    assert found.judges[0].rank1.value is None
    assert found.judges[0].strangers is None
    assert [row.measure for row in found.headlines] == ["alike"]
    assert any(
        "A FAR of 0.01 needs 1,000 pairs of different people, got 0" in word for word in found.protocol.words
    )
    page = video_page(found, [])
    assert "nan" not in re.sub(r"<[^>]*>", " ", page).lower().split()


def test_a_video_without_faces_says_so(tmp_path: Path, write_clip: WriteClip) -> None:
    class Blind(Sees):
        def scan(self, frame: Frame, depth: Depth) -> list[Face]:
            return []

    clip = write_clip(tmp_path / "clip.mp4", pictures_of()[:10])
    found = evaluate_video(clip, clip, [Squints()], drawn(Blind())).evaluation
    assert found.verdict == "No face was found in the original: nothing was measured."
    assert found.open.value is None
    assert "No track has" in video_page(found, [])


# What is compared with what


def seen(before: Any, after: Any) -> Sights:
    return Sights(np.arange(len(before)), before, after, after[:0], np.arange(0))


@given(st.lists(st.integers(1, 9), min_size=8, max_size=90), st.floats(0.5, 60))
def test_no_frame_is_compared_with_one_near_it(steps: list[int], rate: float) -> None:
    frames = np.cumsum(steps)
    gap = max(1, min(rate, len(frames) // 4))
    probed: list[int] = []
    for gallery, probes in video_attacks.halves(frames, rate):
        assert len(gallery)
        assert np.abs(frames[gallery][:, None] - frames[probes][None]).min() >= gap
        probed += probes.tolist()
    assert sorted(probed) == list(range(len(frames))), "each frame is a probe once"


def test_tracks_that_are_too_short_are_not_attacked() -> None:
    with pytest.raises(ValueError, match="at least 8 frames to be attacked, got 7"):
        video_attacks.halves(np.arange(7), 25)


def test_a_recogniser_of_frames_recognises_nobody() -> None:
    # Each frame is like itself and its neighbours alone: what tells frames, not people, must find nothing.
    near = np.abs(np.arange(40)[:, None] - np.arange(40)[None]) < 5
    rows = (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)
    for after, before, _ in video_attacks.compare([seen(rows, rows)], 25):
        assert after.similarities[:10].max() == pytest.approx(0)
        assert after.similarities.max() < 0.15, (
            "at the edge of the gap a pattern of nine frames still reaches"
        )
        assert isnan(after.hits.mean())
        assert before.similarities == pytest.approx(after.similarities)


def test_scores_are_those_of_the_plain_measures() -> None:
    random = np.random.default_rng(3)
    person = random.normal(size=(2, 1, 16))
    rows = person + 0.5 * random.normal(size=(2, 2, 30, 16)).transpose(1, 0, 2, 3)
    before, after = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    tracks = [seen(before[n], after[n]) for n in range(2)]
    for number, (found, _, _) in enumerate(video_attacks.compare(tracks, 25)):
        scores = []
        for gallery, probes in ((range(14 + 7, 30), range(15)), (range(15 - 7 + 1), range(15, 30))):
            own = temporal.averaged(before[number][list(gallery)])
            other = temporal.averaged(before[1 - number][list(gallery)])
            for row in probes:
                likeness = float(after[number][row] @ own)
                assert found.similarities[row] == pytest.approx(likeness, abs=1e-6)
                assert found.hits[row] == (likeness > after[number][row] @ other)
            scores.append(temporal.multi_frame(after[number][list(probes)], own))
        assert found.together == pytest.approx(max(scores), abs=1e-6)


def test_the_best_of_many_frames_needs_more_than_one_frame() -> None:
    random = np.random.default_rng(0)
    pool = random.normal(0, 0.2, 400_000)
    for chances in (1, 20, 200):
        threshold = video_attacks.level(pool, 0.01, chances)
        assert threshold is not None
        accepted = (random.normal(0, 0.2, (20_000, chances)).max(1) > threshold).mean()
        assert accepted == pytest.approx(0.01, abs=0.003)
    assert video_attacks.level(pool[:999], 0.01) is None
    assert video_attacks.level(pool[:1000], 0.01) is not None
    assert video_attacks.level(pool[:1000], 0.01, 2) is None


def test_faces_that_are_alike_to_everybody_recognise_nobody() -> None:
    people = np.eye(4, dtype=np.float32)
    average = np.full((12, 4), 0.5, np.float32)
    tracks = [seen(np.tile(people[n], (12, 1)), average) for n in range(2)]
    wrong = video_attacks.mistaken(tracks, [(0, 1)], 25)
    assert len(wrong) == 2, "either for the other"
    for found, (own, _, _) in zip(wrong, video_attacks.compare(tracks, 25), strict=True):
        assert found.similarities == pytest.approx(own.similarities)
        assert found.together == pytest.approx(own.together)


def test_faces_without_an_embedding_are_no_match() -> None:
    rows = np.zeros((10, 4), np.float32)
    found, untouched, none = video_attacks.compare([seen(np.tile(np.eye(4)[:1], (10, 1)), rows)], 25)[0]
    assert not len(none.similarities)
    assert found.similarities.max() == found.together == 0
    assert untouched.together == pytest.approx(1)
    assert video_attacks.alike(found, untouched, none, np.zeros(0)) == 0
    assert isnan(video_attacks.alike(found, found, untouched, np.zeros(0))), (
        "not known in the original either"
    )
    assert isnan(video_attacks.alike(found, untouched, none, np.ones(20)))


def test_points_are_carried_with_the_box() -> None:
    boxes = np.array([[0, 0, 10, 20], [10, 0, 20, 20], [20, 0, 40, 40]], np.float32)
    points = np.full((3, 5, 2), np.nan, np.float32)
    points[0], points[2] = [5, 10], [30, 20]
    item = Track(1, 0, boxes, points, np.ones(3, np.float32), np.zeros(3, np.uint8), np.zeros(3, np.float32))
    np.testing.assert_allclose(carried_points(item)[:, 0], [[5, 10], [15, 10], [30, 20]])
    unknown = Track(1, 0, boxes, points * np.nan, item.scores, item.origins, item.grow)
    assert np.isnan(carried_points(unknown)).all()
    assert item.origins[0] == Origin.DETECTED


# What is refused


def test_videos_must_have_the_same_frames(tmp_path: Path, write_clip: WriteClip, photo: Path) -> None:
    pictures = pictures_of()[:12]
    clip = write_clip(tmp_path / "clip.mp4", pictures)
    short = write_clip(tmp_path / "short.mp4", pictures[:9])
    small = write_clip(tmp_path / "small.mp4", [picture[:96] for picture in pictures])
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clip.read_bytes()[:3000])
    for before, after, said in (
        (clip, short, "the videos must have as many frames, got 12 and 9"),
        (short, clip, "the videos must have as many frames, got 9 and 12"),
        (clip, small, "upright frames of one size, got 384 x 128 and 384 x 96"),
        (clip, photo, "ANONYMISED must be a video or an animation, got a photo"),
        (tmp_path / "none.mp4", clip, "ORIGINAL: there is no such file"),
        (clip, broken, "ANONYMISED: "),
    ):
        with pytest.raises(InputError, match=said):
            evaluate_video(before, after, [Squints()], drawn())


def test_a_headline_needs_a_black_box(clips: dict[str, Path]) -> None:
    judge = Squints()
    judge.kind = "white box"  # type: ignore[misc]
    with pytest.raises(InputError, match="must be a black box"):
        evaluate_video(clips["original"], clips["black"], [judge], drawn())


# The report


def test_the_document_survives_json(slip: VideoResults) -> None:
    text = json.dumps(slip.evaluation.model_dump(mode="json"))
    assert "NaN" not in text
    assert VideoEvaluation.model_validate(json.loads(text)) == slip.evaluation
    assert any("has sound, the anonymised video has none" in word for word in slip.evaluation.protocol.words)


def test_long_tracks_are_drawn_without_passing_over_a_frame() -> None:
    from incog.evaluate.video import POINTS as most
    from incog.evaluate.video import _thinned

    values = np.full(5000, 0.9)
    values[[1234, 77]] = 0.1, np.nan
    curve = _thinned(np.arange(5000) / 25, values, lowest=True)
    assert len(curve) == most
    assert (round(1234 / 25, 3), 0.1) in curve


def test_the_page_needs_nothing_else(slip: VideoResults) -> None:
    text = video_page(slip.evaluation, slip.examples)
    alone = video_page(slip.evaluation, [[(None, new) for _, new in some] for some in slip.examples])
    assert "below their originals" in text
    assert "below their originals" not in alone
    assert "data:image/jpeg" in alone
    assert not re.search(r"https?://|<script|src=\"(?!data:)|@import|url\(", text)
    assert slip.evaluation.verdict in text
    assert text.count("<svg") == 2
    assert "nan" not in re.sub(r"<[^>]*>", " ", text).lower().split()


def test_verdicts_name_the_worst(black: VideoResults) -> None:
    found = black.evaluation
    top = found.headlines[0].model_copy(deep=True)
    top.beyond, top.figure.value, top.figure.high = True, 0.5, 0.9
    said = verdict(found.bare, found.open, found.tracks, [top])
    assert said.startswith("Leaks: 50.0 % of")
    assert "recognised by squints" in said
    partly = verdict(found.bare, found.open.model_copy(update={"value": 0.25}), found.tracks, found.headlines)
    assert partly.startswith("In doubt: 25.0 % of face-frames are open in part")
    nothing: list[TrackRecord] = [record.model_copy(update={"sights": []}) for record in found.tracks]
    assert verdict(found.bare, found.open, nothing, []).endswith("too short or too small to be attacked.")


def test_the_command_writes_both_reports(
    clips: dict[str, Path], tmp_path: Path, incog: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incog.pipeline.Perception", lambda **_: drawn())
    monkeypatch.setattr("incog.evaluate.recognisers.KNOWN", {"lbp": lambda threads: Squints()})
    words = ("evaluate", "--video", clips["original"], clips["slip"], "--recogniser", "lbp")
    told = incog(*words, "--report", tmp_path / "out")
    assert told.code == 0, told.err
    assert "Leaks: 0.7 % of face-frames" in told.err
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert document["kind"] == "video"
    assert "below their originals" not in (tmp_path / "out" / "report.html").read_text()
    again = incog(*words, "--report", tmp_path / "out")
    assert again.code == 1
    assert "--overwrite" in again.err


@pytest.mark.parametrize(
    "words", [(), ("a.mp4",), ("a.mp4", "b.mp4", "--method", "fill"), ("a", "b", "--full")]
)
def test_wrong_words_are_refused(words: tuple[str, ...], incog: Callable[..., Any], tmp_path: Path) -> None:
    told = incog("evaluate", "--video", *words, "--report", tmp_path / "out")
    assert told.code == 2
    assert "--video must be given with ORIGINALS and ANONYMISED" in told.err
    assert not (tmp_path / "out").exists()


# A real clip


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="the real clips are not beside the repository")
def test_a_real_clip_that_incog_hid(tmp_path: Path, perception: Perception, write_clip: WriteClip) -> None:
    pictures = []
    with av.open(str(REAL)) as container:
        for frame in container.decode(video=0):
            pictures.append(
                cv2.resize(frame.to_ndarray(format="rgb24"), (640, 360), interpolation=cv2.INTER_AREA)
            )
            if len(pictures) == 24:
                break
    before = write_clip(tmp_path / "before.mp4", pictures)
    after = tmp_path / "after.mp4"
    # Black, not filled: the mean colour of an even cheek is within what coding changes, and counts as open.
    hide(before, after, make("blackout", {}), Secret.from_seed(0), perception)
    judge = make_own("embedder-b")
    hidden = evaluate_video(before, after, [judge], perception).evaluation
    untouched = evaluate_video(before, before, [judge], perception).evaluation
    assert open_source(after).kind == "video"
    assert untouched.bare.value == untouched.open.value == 1
    assert hidden.bare.value == hidden.open.value == 0
    assert (untouched.judges[0].rank1.value or 0) > 0.6
    assert (hidden.judges[0].rank1.value or 0) < 0.3
    assert not hidden.judges[0].alike.value
