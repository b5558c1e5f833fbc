"""The plan: JSON that comes back as it was, and that refuses what is no plan."""

from __future__ import annotations

import hashlib
import json
import stat
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incog.errors import InputError, PlanError, UsageError
from incog.plan import Plan, PlanTrack, Times, digest, parse_spans, tracks_of, within
from incog.types import Origin, Track


def plain(**changes: Any) -> dict[str, Any]:
    """Return the smallest plan as JSON data, with changes."""
    source = {
        "kind": "video",
        "width": 64,
        "height": 48,
        "frames": 10,
        "times": [["0", 1], ["1/25", 9]],
        "digest": "0" * 64,
    }
    return {
        "version": 1,
        "file_id": "ab" * 16,
        "source": source,
        "detector": "centerface",
        "threshold": 0.4,
        "tracks": [{"id": 1, "start": 2, "boxes": [[1, 2, 11, 14], [2, 2, 12, 14]]}],
        **changes,
    }


def track(number: int = 1, start: int = 3, count: int = 4) -> Track:
    rng = np.random.default_rng(number)
    boxes = np.round(rng.uniform(0, 100, (count, 4)), 1).astype(np.float32)
    boxes[:, 2:] += boxes[:, :2] + 1
    points = np.round(rng.uniform(0, 100, (count, 5, 2)), 1).astype(np.float32)
    points[1] = np.nan
    return Track(
        id=number,
        start=start,
        boxes=boxes,
        points=points,
        scores=np.array([0.5, 0.25, 0.125, 1][:count], np.float32),
        origins=np.array([0, 1, 2, 3][:count], np.uint8),
        grow=np.array([0, 0.25, 0.5, 0.75][:count], np.float32),
        hide=number % 2 == 1,
    )


def test_a_plan_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    tracks = [PlanTrack.of(track(number)) for number in (1, 2)]
    made = Plan.model_validate(
        plain(tracks=[item.model_dump() for item in tracks], spans=[[0, 2.5]], scanned=[0, 8])
    )
    made.save(tmp_path / "a.json")
    again = Plan.load(tmp_path / "a.json")
    assert again == made
    assert again.scope == bytes.fromhex("ab" * 16)
    for before, after in zip((track(1), track(2)), tracks_of(again.tracks), strict=True):
        assert (after.id, after.start, after.stop, after.hide) == (
            before.id,
            before.start,
            before.stop,
            before.hide,
        )
        for name in ("boxes", "points", "scores", "origins", "grow"):
            np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=0.06)
            assert getattr(after, name).dtype == getattr(before, name).dtype


def test_a_plan_is_for_its_owners_eyes_only(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    made = Plan.model_validate(plain())
    made.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        made.save(path)
    made.save(path, overwrite=True)
    assert Plan.load(path) == made


def test_boxes_alone_make_a_track() -> None:
    only = Plan.model_validate(plain()).tracks[0].track()
    assert only.start == 2
    assert only.stop == 4
    assert only.hide
    assert list(only.origins) == [Origin.ADDED] * 2
    assert list(only.scores) == [1, 1]
    face = only.face(3)
    assert face is not None
    assert face.box == (2, 2, 12, 14)
    assert face.points is None
    assert only.face(1) is None
    assert only.face(4) is None


def replaced(**changes: Any) -> dict[str, Any]:
    return plain(tracks=[{"id": 1, "start": 2, "boxes": [[1, 2, 11, 14]], **changes}])


def sourced(**changes: Any) -> dict[str, Any]:
    data = plain()
    data["source"].update(changes)
    return data


@pytest.mark.parametrize(
    "data",
    [
        plain(version=2),
        plain(version="1"),
        plain(surprise=1),
        plain(file_id="ab" * 15),
        plain(file_id="AB" * 16),
        plain(threshold=0),
        plain(threshold=1),
        plain(threshold=float("nan")),
        plain(spans=[[-1, 2]]),
        plain(spans=[[3, 2]]),
        plain(spans=[[float("nan"), 2]]),
        plain(spans=[[0, float("inf")]]),
        plain(tracks=[*plain()["tracks"], *plain()["tracks"]]),
        sourced(frames=3),
        sourced(frames=0),
        sourced(width=-1),
        sourced(kind="book"),
        sourced(digest="0" * 63),
        sourced(path="/home"),
        replaced(id=0),
        replaced(start=-1),
        replaced(start=10),
        replaced(boxes=[]),
        replaced(boxes=[[1, 2, 1, 14]]),
        replaced(boxes=[[5, 2, 1, 14]]),
        replaced(boxes=[[1, 2, 11]]),
        replaced(boxes=[[1, 2, 11, float("inf")]]),
        replaced(boxes=[[1, 2, float("nan"), 14]]),
        replaced(boxes=[[1, 2, 1e9, 14]]),
        replaced(scores=[]),
        replaced(scores=[1, 1]),
        replaced(scores=[float("nan")]),
        replaced(origins="x"),
        replaced(origins="dd"),
        replaced(grow=[-1]),
        replaced(grow=[float("inf")]),
        replaced(grow=[5]),
        replaced(points=[[[0, 0]] * 4]),
        replaced(points=[None, None]),
        replaced(hide="perhaps"),
        replaced(name="Ada"),
        [],
        None,
        "plan",
    ],
    ids=lambda data: json.dumps(data)[-60:],
)
def test_what_is_no_plan_is_refused(tmp_path: Path, data: Any) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    with pytest.raises(PlanError, match="not a plan of version 1"):
        Plan.load(path)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"\x00" * 20, json.dumps(plain()).encode()[:-1]])
def test_broken_json_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(raw)
    with pytest.raises(PlanError):
        Plan.load(path)


def test_a_plan_that_cannot_be_read_is_an_input_error(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            Plan.load(path)


# Digest


def test_the_digest_is_keyed_blake2b(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"face" * 100_000)
    one, other = bytes(16), bytes(15) + b"\1"
    assert digest(path, one) == hashlib.blake2b(path.read_bytes(), key=one, digest_size=32).hexdigest()
    assert digest(path, one) != digest(path, other)
    with pytest.raises(InputError, match="No such file"):
        digest(tmp_path / "missing", one)


# Times


def times_of(values: list[Fraction]) -> list[tuple[str, int]]:
    times = Times()
    for value in values:
        times.add(value)
    return times.record()


def test_steady_times_take_two_runs() -> None:
    assert times_of([Fraction(n, 30) for n in range(1000)]) == [("0", 1), ("1/30", 999)]
    assert times_of([]) == []
    assert times_of([Fraction(1, 3)]) == [("1/3", 1)]


@given(st.lists(st.fractions(0, 5, max_denominator=90000), max_size=40))
def test_runs_say_every_time_exactly(steps: list[Fraction]) -> None:
    at = [sum(steps[: n + 1], Fraction(0)) for n in range(len(steps))]
    rebuilt, now = [], Fraction(0)
    for step, count in times_of(at):
        for _ in range(count):
            now += Fraction(step)
            rebuilt.append(now)
    assert rebuilt == at


# Spans


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("0:10-0:30", [(10, 30)]),
        ("0-5,7-9.5", [(0, 5), (7, 9.5)]),
        ("1:02:03.5-end", [(3723.5, 10**6)]),
        ("-0:10", [(0, 10)]),
        ("90-", [(90, 10**6)]),
        (" 0:10 - 0:30 , 1:00 - 1:10 ", [(10, 30), (60, 70)]),
        ("-", [(0, 10**6)]),
    ],
)
def test_spans_are_read(text: str, spans: list[tuple[float, float]]) -> None:
    assert parse_spans(text) == spans


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "a-b",
        "10-5",
        "5-5",
        "0:10-0:30,",
        "1:2:3:4-end",
        "nan-5",
        "0-inf",
        "0-nan",
        "0:-1-5",
        "0-1e9",
        "0--5",
    ],
)
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"must (be|end)"):
        parse_spans(text)


def test_a_span_holds_its_start_and_not_its_end() -> None:
    spans = [(1.0, 2.0), (3.0, 4.0)]
    inside = [time for time in (0, 1, 1.5, 2, 3, 3.99, 4) if within(Fraction(time), spans)]
    assert inside == [1, 1.5, 3, 3.99]
    assert within(Fraction(99), [])


@pytest.mark.parametrize("tenths", range(1, 30))
def test_a_frame_at_the_very_start_of_a_span_is_in_it(tenths: int) -> None:
    (span,) = parse_spans(f"{tenths / 10}-{tenths / 10 + 1}")
    assert within(Fraction(tenths, 10), [span])
    assert not within(Fraction(tenths, 10) - Fraction(1, 10**6), [span])
    assert not within(Fraction(tenths, 10), [(0.0, span[0])])


@given(st.text("0123456789:.,-en d", max_size=20))
def test_any_text_gives_spans_or_a_usage_error(text: str) -> None:
    try:
        spans = parse_spans(text)
    except UsageError:
        return
    assert all(0 <= start < stop <= 10**10 for start, stop in spans)
