"""Who is drawn by which key: no two alike, the same for whom was known before, whatever the order."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np

from incog import casting, pseudonyms
from incog.casting import Person, Sighting
from incog.gallery import Known
from incog.keys import Secret, derive, person_key
from incog.methods.base import PersonMethod
from incog.perceive import calibration
from incog.plan import Plan, PlanTrack, SourceRecord
from incog.report import PseudonymReport
from incog.subjects import Seen
from incog.types import Floats, Key

LOOK = np.array([0.4, 0.02, 0.96, 0.01, 0.01, 0.01, 0.01, 1, 0], np.float32)
SECRET = Secret.from_seed(4)


class Drawing:
    """Stands in for a method: the faces that keys draw are rows of a table, chosen by the key."""

    def __init__(self, rows: int) -> None:
        self.table = np.linalg.qr(np.random.default_rng(0).normal(size=(32, 32)))[0][:rows].astype(np.float32)
        self.asked = 0

    def likeness(self, key: Key, look: Floats) -> Floats:
        self.asked += 1
        row: Floats = self.table[key.secret[0] % len(self.table)]
        return row


def crowd_of(count: int) -> list[Person]:
    secret = Secret.from_seed(1)
    return [Person(person_key(secret, f"p{n}"), LOOK) for n in range(count)]


def test_no_two_people_have_new_faces_that_are_alike() -> None:
    method = Drawing(24)
    people = crowd_of(16)
    redrawn, alike = casting.drawn_apart(people, cast("PersonMethod", method), calibration.shipped())
    assert redrawn > 0
    assert alike == 0
    assert len({person.key.secret[0] % 24 for person in people}) == 16
    assert sorted(person.number for person in people) == list(range(1, 17))
    again = crowd_of(16)[::-1]
    casting.drawn_apart(again, cast("PersonMethod", Drawing(24)), calibration.shipped())
    assert [(p.key, p.number) for p in again[::-1]] == [(p.key, p.number) for p in people]


def test_where_no_other_face_can_be_drawn_it_is_said() -> None:
    method = Drawing(3)
    redrawn, alike = casting.drawn_apart(crowd_of(5), cast("PersonMethod", method), calibration.shipped())
    assert alike == 2
    assert method.asked <= 5 * casting.TRIES
    record = PseudonymReport(told_by="folders", people=5, redrawn=redrawn, alike=alike)
    assert any("2 people have a new face that is like another's" in c.statement
               for c in pseudonyms.claims(record, kept=False))  # fmt: skip


def test_who_was_never_seen_clearly_keeps_the_first_key() -> None:
    people = crowd_of(4)
    for person in people:
        person.look = None
    before = [person.key for person in people]
    assert casting.drawn_apart(people, cast("PersonMethod", Drawing(1)), calibration.shipped()) == (0, 0)
    assert [person.key for person in people] == before


# Who is who


def vector(person: int, seed: int = 0, noise: float = 0.4) -> Floats:
    row = np.random.default_rng([1, person]).normal(size=512)
    row = row / np.linalg.norm(row) + noise * np.random.default_rng([2, person, seed]).normal(size=512) / 22.6
    return (row / np.linalg.norm(row)).astype(np.float32)


def sighting(*people: int, seed: int = 0, sizes: tuple[float, ...] = ()) -> Sighting:
    """Return what was seen in a photo of some people, beside each other; nobody is 0."""
    tracks = []
    for place, _ in enumerate(people):
        size = sizes[place] if sizes else 60.0
        tracks.append(
            PlanTrack(id=place + 1, start=0, boxes=[(100.0 * place, 0, 100.0 * place + size, size)])
        )
    plan = Plan(
        file_id=f"{seed:032x}",
        source=SourceRecord(kind="photo", width=900, height=90, frames=1, times=[("0", 1)], digest="0" * 64),
        detector="centerface",
        threshold=0.3,
        tracks=tracks,
    )
    seen = {
        item.id: Seen([vector(who, seed)], [LOOK]) if who else Seen()
        for item, who in zip(tracks, people, strict=True)
    }
    return Sighting(plan, seen)


def cast_of(
    sightings: dict[int, Sighting], places: dict[int, Path], by: casting.By = "clusters", **options: object
) -> casting.Casting:
    return casting.cast(
        places, sightings, cast("PersonMethod", Drawing(32)), SECRET, calibration.shipped(), by=by, **options  # type: ignore[arg-type]
    )  # fmt: skip


PLACES = {1: Path("b/1.jpg"), 2: Path("a/2.jpg"), 3: Path("a/1.jpg"), 4: Path("4.jpg")}


def keys_of(found: casting.Casting, number: int) -> list[Key]:
    mine = found.subjects[number]
    return [mine.keys[mine.person(track)] for track in sorted(mine.of)]


def test_clusters_have_a_key_for_each_person() -> None:
    sightings = {1: sighting(1, 2, seed=1), 2: sighting(2, seed=2), 3: sighting(1, 3, seed=3), 4: sighting(0)}
    found = cast_of(sightings, PLACES)
    one, two = keys_of(found, 1)
    assert keys_of(found, 2) == [two]
    assert keys_of(found, 3)[0] == one
    assert len({one, two, keys_of(found, 3)[1], *keys_of(found, 4)}) == 4
    assert found.record.people == 4
    assert found.record.unclear == 1
    assert found.people[2] == [number for number in found.people[1] if number in found.people[2]]
    assert sorted({number for mine in found.people.values() for number in mine}) == [1, 2, 3, 4]
    np.testing.assert_allclose(next(iter(found.subjects[2].looks.values())), LOOK[:7], atol=1e-6)


def test_who_stays_visible_needs_no_other_face() -> None:
    seen = sighting(1, 2, seed=1)
    kept = [seen.plan.tracks[0].model_copy(update={"show": [(0, 1)]}), seen.plan.tracks[1]]
    seen = Sighting(seen.plan.model_copy(update={"tracks": kept}), seen.seen)
    for by in casting.BY:
        found = cast_of({1: seen}, {1: Path("a/1")}, by=by)
        assert set(found.subjects[1].of) == {2}
        assert found.record.people == 1


def test_numbers_of_files_and_their_order_do_not_matter() -> None:
    sightings = {1: sighting(1, 2, seed=1), 2: sighting(2, seed=2), 3: sighting(1, 3, seed=3)}
    places = {number: PLACES[number] for number in sightings}
    first = cast_of(sightings, places)
    swap = {1: 30, 2: 10, 3: 20}
    other = cast_of(
        {swap[number]: sightings[number] for number in (3, 1, 2)},
        {swap[n]: place for n, place in places.items()},
    )
    for number in sightings:
        assert keys_of(first, number) == keys_of(other, swap[number])
        assert first.people[number] == other.people[swap[number]]


def test_folders_name_the_largest_face_and_others_are_bystanders() -> None:
    sightings = {
        1: sighting(1, 2, seed=1, sizes=(40, 80)),
        2: sighting(5, seed=2),
        3: sighting(6, 5, seed=3, sizes=(90, 50)),
        4: sighting(7, seed=4),
    }
    found = cast_of(sightings, PLACES, by="folders")
    (stranger, largest), (second,), (first, bystander) = (keys_of(found, number) for number in (1, 2, 3))
    tries = [casting.again(person_key(SECRET, name), n) for name in "ab" for n in range(casting.TRIES)]
    # Whatever they look like: a folder is one person.
    assert first == second in tries[: casting.TRIES]
    assert largest in tries[casting.TRIES :]
    assert len({stranger, largest, first, bystander, *keys_of(found, 4)}) == 5
    assert (found.record.people, found.record.named) == (5, 2)
    assert not found.known


def test_folders_are_people_where_their_pictures_look_like_one() -> None:
    same = {n: sighting(who, seed=n) for n, who in ((1, 1), (2, 1), (3, 2), (4, 2))}
    mixed = {n: sighting(n, seed=n) for n in (1, 2, 3, 4)}
    places = {1: Path("a/1"), 2: Path("a/2"), 3: Path("b/3"), 4: Path("b/4")}
    measured = calibration.shipped()
    assert casting.told_by(places, same, measured) == "folders"
    assert casting.told_by(places, mixed, measured) == "clusters"
    assert casting.told_by({**places, 5: Path("5")}, {**same, 5: sighting(1)}, measured) == "clusters"
    assert casting.told_by({1: Path("a/1"), 2: Path("a/2")}, same, measured) == "clusters"
    assert casting.told_by(places, {}, measured) == "clusters"


def test_who_was_known_keeps_face_and_look_and_is_found_again() -> None:
    first = cast_of({1: sighting(1, 2, seed=1), 2: sighting(2, seed=2)}, {1: Path("1"), 2: Path("2")})
    assert {len(person.vectors) for person in first.known} == {1, 2}
    assert all(not person.given and person.tries is not None for person in first.known)
    older = np.where(np.arange(9) == 0, np.float32(0.8), LOOK)
    later = {7: sighting(2, seed=7), 8: sighting(3, seed=8)}
    for mine in later[7].seen.values():
        mine.looks[:] = [older]
    second = cast_of(later, {7: Path("7"), 8: Path("8")}, known=first.known)
    assert keys_of(second, 7) == keys_of(first, 2)
    assert keys_of(second, 8)[0] not in keys_of(first, 1)
    assert second.record.met_before == 1
    assert second.record.people == 2
    (look,) = second.subjects[7].looks.values()
    np.testing.assert_allclose(look, LOOK[:7], atol=1e-6)
    # The one who was not there is still known.
    assert len(second.known) == 3
    assert {person.name for person in first.known} < {person.name for person in second.known}


def test_another_file_of_the_same_name_in_another_run_shows_another_person() -> None:
    first = cast_of({1: sighting(1, seed=1)}, {1: Path("IMG_0001.jpg")})
    later = sighting(2, seed=2)
    source = later.plan.source.model_copy(update={"digest": "1" * 64})
    other = Sighting(later.plan.model_copy(update={"source": source}), later.seen)
    for known in (first.known, ()):
        found = cast_of({1: other}, {1: Path("IMG_0001.jpg")}, known=known)
        assert keys_of(found, 1) != keys_of(first, 1)
        assert found.record.met_before == 0
    assert {len(person.vectors) for person in found.known} == {1}
    bystanders = [
        keys_of(cast_of({1: one}, {1: Path("IMG_0001.jpg")}, "folders"), 1) for one in (sighting(1), other)
    ]
    assert bystanders[0] != bystanders[1]


def test_the_new_are_drawn_around_those_who_were_known() -> None:
    """Who was drawn before keeps the face, also when it is like that of somebody whose key comes first."""
    token = derive(SECRET, "cluster", "1", "0" * 64, 1).secret[:16].hex()
    key = casting.key_of(SECRET, ("cluster", token))
    row = key.secret[0] % 32
    names = (f"n{number}" for number in range(9999))
    same = next(
        name for name in names
        if (k := person_key(SECRET, name)).secret[0] % 32 == row and k.secret > key.secret
    )  # fmt: skip
    known = Known(same, True, vector(9)[None], LOOK, 0)
    found = cast_of(
        {1: sighting(1, seed=1), 2: sighting(9, seed=2)}, {1: Path("1"), 2: Path("2")}, known=[known]
    )
    assert keys_of(found, 2) == [person_key(SECRET, same)]
    assert keys_of(found, 1) != [key]
    assert found.record.redrawn == 1


def test_somebody_enrolled_has_the_look_of_the_photo() -> None:
    known = Known("anna", True, vector(1)[None], LOOK)
    other = np.where(np.arange(9) == 0, np.float32(0.7), LOOK)
    seen = {1: sighting(1, seed=1), 2: sighting(2, seed=2)}
    for mine in seen[1].seen.values():
        mine.looks[:] = [other]
    found = cast_of(seen, {1: Path("1"), 2: Path("2")}, known=[known])
    assert found.record.named == 1
    assert found.record.met_before == 0
    np.testing.assert_allclose(found.subjects[1].looks["anna",], LOOK[:7], atol=1e-6)
    absent = cast_of({2: seen[2]}, {2: Path("2")}, known=[known])
    assert absent.record.named == 0
    assert [person.name for person in absent.known if person.given] == []
