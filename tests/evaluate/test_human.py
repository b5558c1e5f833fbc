"""People as judges: pairs are balanced and blind, answers are read with care, and scores are those of the formulas."""

from __future__ import annotations

import base64
import itertools
import json
import re
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from scipy import stats

from incog.cli.human import sheet_place
from incog.data.faces import template
from incog.errors import InputError, OutputError, UsageError
from incog.evaluate import human_sheet
from incog.evaluate.human_pairs import Pair, draw, traits
from incog.evaluate.human_records import Key
from incog.evaluate.human_score import d_prime, read_answers, score
from incog.evaluate.samples import GREY, Item
from incog.perceive.attributes import Attributes
from incog.types import Bytes, Face

POINTS = template("arcface", 128)
BOX = (34.0, 34.0, 94.0, 118.0)
HULL = np.array([(34, 34), (94, 34), (94, 118), (34, 118)], np.float32)
METHODS = ("strong", "weak")


def item(person: str, number: int) -> Item:
    """Return a picture whose face has a colour of its own."""
    random = np.random.default_rng([ord(letter) for letter in f"{person}{number}"])
    picture = random.integers(0, 256, (128, 128, 3)).astype(np.uint8)
    picture[34:118, 34:94] = random.integers(0, 256, 3)
    return Item(f"drawn/{person}-{number}.png", person, picture, [Face(BOX, 0.9, POINTS)], POINTS, HULL)


@pytest.fixture(scope="module")
def items() -> list[Item]:
    """Thirty people with three pictures each, and five with one."""
    people = [f"person {n}" for n in range(30)]
    alone = [item(f"alone {n}", 0) for n in range(5)]
    return [item(person, number) for person in people for number in range(3)] + alone


@pytest.fixture(scope="module")
def views(items: list[Item]) -> dict[str, list[Bytes]]:
    """What two methods left: nothing, and half of each value."""
    return {
        "strong": [np.zeros_like(one.picture) for one in items],
        "weak": [one.picture // 2 for one in items],
    }


@pytest.fixture(scope="module")
def made(items: list[Item], views: dict[str, list[Bytes]]) -> tuple[str, Key]:
    pairs = draw(items, METHODS, pairs=20, seed=3)
    sides = human_sheet.crops(pairs, items, views)
    return human_sheet.sheet(sides), human_sheet.key(pairs, items, sides, seed=3)


# Drawing


def test_half_of_each_methods_pairs_and_of_the_controls_are_of_one_person(items: list[Item]) -> None:
    pairs = draw(items, METHODS, pairs=20, controls=0.4)
    found = Counter((pair.method, pair.same) for pair in pairs)
    assert found == {("strong", s): 10 for s in (True, False)} | {("weak", s): 10 for s in (True, False)} | {
        (None, s): 4 for s in (True, False)
    }
    for pair in pairs:
        first, other = items[pair.original], items[pair.other]
        assert (first.person == other.person) == pair.same
        assert first.name != other.name, "never a picture with itself"
        assert not {first.person, other.person} & {f"alone {n}" for n in range(5)}
    assert len({(pair.original, pair.other) for pair in pairs}) == len(pairs)


def test_nobody_is_shown_much_more_often_than_others(items: list[Item]) -> None:
    pairs = draw(items, METHODS, pairs=20)
    shown = Counter(items[row].person for pair in pairs for row in (pair.original, pair.other))
    assert len(shown) == 30
    assert max(shown.values()) <= 2 * len(pairs) * 2 / 30


def test_order_and_sides_tell_nothing(items: list[Item]) -> None:
    """Over many seeds, neither the place on the sheet nor the side goes with the answer."""
    drawn = [draw(items, METHODS, pairs=10, seed=seed) for seed in range(60)]
    same = np.array([[pair.same for pair in pairs] for pairs in drawn], float)
    right = np.array([[pair.swapped for pair in pairs] for pairs in drawn], float)
    assert np.abs(same.mean(0) - 0.5).max() < 0.26
    assert abs(right.mean() - 0.5) < 0.06
    assert abs(np.corrcoef(same.ravel(), right.ravel())[0, 1]) < 0.12
    after = same[:, :-1] == same[:, 1:]
    assert 0.38 < after.mean() < 0.56, "pairs do not alternate"
    assert len({tuple(row) for row in same}) > 55


def test_the_same_seed_gives_the_same_pairs_but_not_for_other_pictures(items: list[Item]) -> None:
    assert draw(items, METHODS, seed=5) == draw(items, METHODS, seed=5)
    assert draw(items, METHODS, seed=5) != draw(items, METHODS, seed=6)
    others = [item(one.person + "!", n) for n, one in enumerate(items)]
    answers = [[pair.same for pair in draw(some, METHODS, seed=5)] for some in (items, others)]
    assert answers[0] != answers[1], "a sheet of one's own must not be a key to another"


def test_two_people_are_matched_by_groups(items: list[Item]) -> None:
    people = sorted({one.person for one in items})
    groups = {person: [f"gender {n % 2}", f"age {n % 3}"] for n, person in enumerate(people)}
    pairs = [pair for pair in draw(items, ["m"], pairs=30, groups=groups) if not pair.same]
    for pair in pairs:
        assert groups[items[pair.original].person] == groups[items[pair.other].person]
    # Who has nobody like them is matched by what is named first.
    groups = {person: [f"gender {n % 2}", f"age {n}"] for n, person in enumerate(people)}
    for pair in (pair for pair in draw(items, ["m"], pairs=30, groups=groups) if not pair.same):
        first, other = (groups[items[row].person] for row in (pair.original, pair.other))
        assert first[0] == other[0]


def test_traits_are_the_likeliest_over_a_persons_pictures(items: list[Item]) -> None:
    def look(male: float, age: float) -> Attributes:
        rest = np.array([0.1, 0.6, 0.1, 0.1, 0.1], np.float32)
        return Attributes(age, 5, np.array([male, 1 - male], np.float32), rest, rest[:3])

    looks = [look(0.9, 20), look(0.2, 40), look(0.3, 40)]
    assert traits(items[:3], looks) == {"person 0": ["gender female", "ethnicity black", "age 30"]}


def test_pairs_that_cannot_be_drawn_are_refused(items: list[Item]) -> None:
    for number in (0, 7):
        with pytest.raises(
            UsageError, match=f"the number of pairs must be even and at least 2, got {number}"
        ):
            draw(items, ["m"], pairs=number)
    with pytest.raises(ValueError, match="methods must be called differently"):
        draw(items, ["m", "m"])
    with pytest.raises(
        InputError, match="at least two people must have two pictures for a sheet of pairs, got 1"
    ):
        draw(items[:3] + items[-5:], ["m"], pairs=2)
    # Two people with three pictures make 6 + 6 pairs of one person.
    assert len(draw(items[:6], ["m"], pairs=20, controls=0.2)) == 24
    with pytest.raises(InputError, match="so many pairs cannot be drawn from 2 people") as caught:
        draw(items[:6], ["m"], pairs=24, controls=0.2)
    assert "fewer pairs" in caught.value.hint


def test_few_people_make_a_smaller_sheet(items: list[Item]) -> None:
    looks: Any = [SimpleNamespace(gender=[1.0, 0.0], ethnicity=[1.0] + [0.0] * 4, age=40.0)] * 6
    views = dict.fromkeys("abc", lambda some: [one.picture for one in some])
    _, made = human_sheet.export(items[:6], looks, views)
    # Two people with three pictures make twelve pairs of one person.
    assert Counter(pair.method for pair in made.pairs) == {"a": 6, "b": 6, "c": 6, None: 2}


# The sheet and its key


def decoded(text: str) -> list[Bytes]:
    found = re.findall(r"base64,([^\"]+)", text)
    return [cv2.imdecode(np.frombuffer(base64.b64decode(one), np.uint8), 1)[..., ::-1] for one in found]


def test_the_key_says_which_picture_is_where(made: tuple[str, Key], items: list[Item]) -> None:
    text, key = made
    pictures = decoded(text)
    rows = {one.name: one for one in items}
    assert [pair.number for pair in key.pairs] == list(range(1, len(key.pairs) + 1))
    assert len(pictures) == 2 * len(key.pairs)
    for pair, left, right in zip(key.pairs, pictures[::2], pictures[1::2], strict=True):
        names = (pair.left, pair.right) if pair.hidden != "left" else (pair.right, pair.left)
        if pair.method is not None:
            assert (rows[names[0]].person, rows[names[1]].person) == pair.people
        assert pair.same == (pair.people[0] == pair.people[1])
        for side, name, view in (("left", pair.left, left), ("right", pair.right, right)):
            colour = rows[name].picture[70, 64].astype(float)
            if pair.hidden == side:
                colour = 0 * colour if pair.method == "strong" else colour // 2
            np.testing.assert_allclose(view[110:116, 110:116].mean((0, 1)), colour, atol=3)
            assert np.abs(view[:8].astype(int) - GREY).max() <= 3, "surroundings are covered"


def test_the_whole_picture_shows_surroundings(items: list[Item], views: dict[str, list[Bytes]]) -> None:
    pairs = [Pair(0, 1, "weak", True, False)]
    (left, _), *_ = human_sheet.crops(pairs, items, views, shown="picture")
    view = cv2.imdecode(np.frombuffer(left, np.uint8), 1)
    assert view[40].std() > 10
    # The crop reaches beyond this small picture: there it is grey.
    assert np.abs(view[:, :6].astype(int) - GREY).max() <= 25


def test_the_sheet_tells_nothing_but_pictures(made: tuple[str, Key], items: list[Item]) -> None:
    text, key = made
    bare = re.sub(r"base64,[^\"]+", "", text)
    words = {
        *METHODS,
        *(one.person for one in items),
        *(one.name for one in items),
        "genuine",
        "impostor",
        "control",
    }
    assert not [word for word in words if word in bare]
    fields = re.findall(r"<fieldset>.*?</fieldset>", bare)
    assert len(fields) == len(key.pairs)
    shapes = {re.sub(r"\d+", "N", field) for field in fields}
    assert len(shapes) == 1, "one pair is written like any other"
    coded = [base64.b64decode(one) for one in re.findall(r"base64,([^\"]+)", text)]
    heads = {one[: one.index(b"\xff\xda")] for one in coded}
    assert len({len(head) for head in heads}) == 1, "nothing but one coder's tables stands before the pixels"
    assert {decoded.shape for decoded in decoded(text)} == {(human_sheet.SIDE, human_sheet.SIDE, 3)}


def test_the_sheet_needs_nothing_else_and_can_call_nobody(made: tuple[str, Key]) -> None:
    text, key = made
    assert not re.search(r"https?://|src=\"(?!data:)|@import|url\(|fetch|XMLHttp|<link", text)
    assert "default-src 'none'" in text
    assert "@media print" in text
    assert f"data-sheet={key.sheet} data-count={len(key.pairs)}" in text
    for number in range(1, len(key.pairs) + 1):
        assert text.count(f"<legend>{number}</legend>") == 1
        assert re.findall(rf"name={number} value=(\w+)", text) == ["yes", "no", "unsure"]


def test_the_key_is_for_its_owner_and_both_files_appear_together(
    made: tuple[str, Key], tmp_path: Path
) -> None:
    text, key = made
    with sheet_place(tmp_path / "human", overwrite=False) as save:
        assert not (tmp_path / "human" / "key.json").exists()
        save(text, key)
    place = tmp_path / "human" / "key.json"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert Key.load(place) == key
    assert (tmp_path / "human" / "sheet.html").read_text() == text
    with pytest.raises(OutputError, match="exists already"), sheet_place(tmp_path / "human", overwrite=False):
        pass
    with sheet_place(None, overwrite=False) as save:
        save(text, key)
    with pytest.raises(RuntimeError), sheet_place(tmp_path / "other", overwrite=False):
        raise RuntimeError
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "version"),
        ({"pairs": []}, "pairs"),
        ({"sheet": "x"}, "sheet"),
        ({"more": 1}, "more"),
    ],
)
def test_other_files_are_no_keys(
    change: dict[str, Any], said: str, made: tuple[str, Key], tmp_path: Path
) -> None:
    place = tmp_path / "key.json"
    place.write_text(json.dumps(made[1].model_dump(mode="json") | change))
    with pytest.raises(InputError, match=f"key.json is not a key of version 1: {said}"):
        Key.load(place)
    with pytest.raises(InputError, match="cannot be read"):
        Key.load(tmp_path / "none.json")
    document = made[1].model_dump(mode="json")
    place.write_text(json.dumps(document | {"pairs": document["pairs"][1:]}))
    with pytest.raises(InputError, match="pairs must be numbered"):
        Key.load(place)


# The answers


def test_answers_are_read_as_the_page_and_as_spreadsheets_write_them(
    made: tuple[str, Key], tmp_path: Path
) -> None:
    key, place = made[1], tmp_path / "answers.csv"
    expected = {1: "yes", 2: "no", 4: "unsure"}
    saved = f"sheet,pair,answer\n{key.sheet},1,yes\n{key.sheet},2,no\n{key.sheet},3,\n{key.sheet},4,unsure\n"
    for text in (
        saved,
        saved.replace(",", ";").replace("\n", "\r\n"),
        "\ufeffPair,Answer\n4, Unsure\n2,NO\n\n1,yes\n",
        '"answer","pair"\n"yes","1"\n"no","2"\n"unsure","4"\n',
    ):
        place.write_bytes(text.encode())
        assert read_answers(place, key) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the columns must be sheet, pair, answer"),
        ("pair,reply\n", "line 1: the columns must be sheet, pair, answer, got pair, reply"),
        (
            "pair,answer\n1,yes\n2,maybe\n",
            "line 3: the answer must be yes, no, unsure or nothing, got 'maybe'",
        ),
        ("pair,answer\n1,yes\n1,no\n", "line 3: pair 1 is there twice"),
        ("pair,answer\n0,yes\n", "line 2: the pair must be a number from 1 to 44, got '0'"),
        ("pair,answer\n45,yes\n", "line 2: the pair must be a number from 1 to 44, got '45'"),
        ("pair,answer\n²,yes\n", "line 2: the pair must be a number"),
        ("pair,answer\n1\n", "line 2: there must be 2 cells, got 1"),
        ("pair,answer\n1,yes,no\n", "line 2: there must be 2 cells, got 3"),
        ('pair,answer\n1,"yes\n', "line 2: unexpected end of data"),
        ("sheet,pair,answer\n000000000000,1,yes\n", "line 2: the answers must be of the sheet"),
    ],
)
def test_wrong_answers_name_file_and_line(
    text: str, said: str, made: tuple[str, Key], tmp_path: Path
) -> None:
    place = tmp_path / "answers.csv"
    place.write_bytes(text.encode())
    with pytest.raises(InputError, match=r"answers\.csv, " + re.escape(said)):
        read_answers(place, made[1])


def test_files_that_are_no_text_are_refused(made: tuple[str, Key], tmp_path: Path) -> None:
    place = tmp_path / "answers.csv"
    with pytest.raises(InputError, match=r"answers\.csv cannot be read"):
        read_answers(place, made[1])
    place.write_bytes(b"pair,answer\n1,\xff\n")
    with pytest.raises(InputError, match=r"answers\.csv is not text in UTF-8"):
        read_answers(place, made[1])


# The scores


def test_d_prime_is_that_of_signal_detection_theory() -> None:
    z = stats.norm.ppf
    assert d_prime(15, 20, 4, 20) == pytest.approx(z(15.5 / 21) - z(4.5 / 21))
    assert d_prime(20, 20, 0, 20) == pytest.approx(2 * z(20.5 / 21)), "finite"
    assert d_prime(7, 20, 7, 20) == 0
    assert d_prime(3, 20, 12, 20) < 0
    assert np.isnan(d_prime(0, 0, 3, 5))


def test_scores_are_shares_of_the_answers(made: tuple[str, Key]) -> None:
    """Two answerers see through the weak method and guess at the strong one; one is unsure of some, one leaves some."""
    key = made[1]
    guesses = itertools.cycle(["yes", "no"])
    one = {pair.number: "yes" if pair.same else "no" for pair in key.pairs}
    one |= {pair.number: next(guesses) for pair in key.pairs if pair.method == "strong"}
    two = dict(one)
    weak = [pair for pair in key.pairs if pair.method == "weak"]
    for pair in weak[:4]:
        two[pair.number] = "unsure"
    strong = [pair for pair in key.pairs if pair.method == "strong"]
    for pair in strong[:3]:
        del two[pair.number]
    found = score(key, [one, two])  # type: ignore[list-item]
    first, second = found.methods
    assert (first.method, second.method, found.controls.method) == ("strong", "weak", None)
    assert (found.controls.pairs, found.controls.accuracy.value) == (4, 1)
    assert (second.pairs, second.unanswered, first.unanswered) == (20, 0, 3)
    assert second.unsure.value == pytest.approx(4 / 40)
    assert second.accuracy.value == pytest.approx((36 + 4 / 2) / 40)
    unsure_same = sum(pair.same for pair in weak[:4])
    assert second.same_genuine.value == pytest.approx((20 - unsure_same / 2) / 20)
    assert second.same_impostor.value == pytest.approx((4 - unsure_same) / 2 / 20)
    expected = d_prime(20 - unsure_same / 2, 20, (4 - unsure_same) / 2, 20)
    assert second.d_prime.value == pytest.approx(expected, rel=1e-4)
    given = [
        (pair, answers[pair.number]) for answers in (one, two) for pair in strong if pair.number in answers
    ]
    right = np.mean([(answer == "yes") == pair.same for pair, answer in given])
    assert first.accuracy.value == pytest.approx(right, rel=1e-4)
    assert first.accuracy.count == 37
    assert [(row.answered, row.unanswered) for row in found.answerers] == [(44, 0), (41, 3)]
    assert found.answerers[0].controls.value == 1


def test_intervals_know_that_few_people_were_shown(made: tuple[str, Key]) -> None:
    key = made[1]
    perfect = {pair.number: "yes" if pair.same else "no" for pair in key.pairs}
    found = score(key, [perfect] * 5)  # type: ignore[list-item]
    accuracy = found.methods[0].accuracy
    people = len({pair.people[0] for pair in key.pairs if pair.method == "strong"})
    assert accuracy.people == people
    assert accuracy.high == 1
    assert accuracy.low == pytest.approx(people / (people + 1.959964**2), rel=1e-3), "Wilson's over people"
    assert found.methods[0].d_prime.low <= found.methods[0].d_prime.value


def test_verdicts_weigh_what_controls_say(made: tuple[str, Key]) -> None:
    key = made[1]
    right = {pair.number: "yes" if pair.same else "no" for pair in key.pairs}
    wrong = {number: {"yes": "no", "no": "yes"}[answer] for number, answer in right.items()}
    unsure = dict.fromkeys(right, "unsure")
    controls = {pair.number for pair in key.pairs if pair.method is None}

    def said(hidden: dict[int, str], shown: dict[int, str]) -> str:
        answers = {n: (shown if n in controls else hidden)[n] for n in right}
        return score(key, [answers] * 3).methods[0].verdict  # type: ignore[list-item]

    assert said(right, right).startswith("People tell: 100 %")
    assert said(wrong, right).startswith("People are misled: 0 %")
    assert said(unsure, right).startswith("Not told from chance: 50 %")
    assert said(unsure, unsure).startswith("Nothing is said")
    assert score(key, [right]).controls.verdict.startswith("They can do it")  # type: ignore[list-item]
    right[min(controls)] = wrong[min(controls)]
    told = score(key, [right]).controls.verdict  # type: ignore[list-item]
    assert told.startswith("Not shown that they can do it: of originals 75 %")
    assert score(key, [{}]).methods[0].verdict == "Not measured: nobody answered."
    assert score(key, [{}]).methods[0].accuracy.value is None
    with pytest.raises(ValueError, match="there must be answers"):
        score(key, [])


# The command


def test_the_command_prints_a_table_and_writes_json(
    made: tuple[str, Key], tmp_path: Path, incog: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    key, place = made[1], tmp_path / "key.json"
    place.write_text(key.model_dump_json())
    files = []
    for number in range(2):
        files.append(tmp_path / f"answers {number}.csv")
        rows = [f"{pair.number},{'yes' if pair.same else 'no'}" for pair in key.pairs[number:]]
        files[-1].write_text("\n".join(["pair,answer", *rows]))
    told = incog("score", place, *files, "--out", tmp_path / "scores.json")
    assert told.code == 0, told.err
    assert re.search(r"weak +│ +20 │ +100 │ +0 │ +100 │ +\d\.\d\d │", told.out)
    assert "answerer 2" in told.out
    assert "weak: People tell: 100 %" in told.err
    document = json.loads((tmp_path / "scores.json").read_text())
    assert document == score(key, [read_answers(path, key) for path in files]).model_dump(mode="json")
    assert incog("score", place, *files, "--out", tmp_path / "scores.json").code == 1
    twice = incog("score", place, files[0], files[0])
    assert twice.code == 2
    assert "a file of each person" in twice.err
    files[1].write_text("pair,answer\n1,perhaps\n")
    wrong = incog("score", place, *files)
    assert wrong.code == 1
    assert "answers 1.csv, line 2: the answer must be" in wrong.err
