"""People as judges: a blinded sheet of pairs, "the same person?", its key, and what the answers say.

Half of the pairs show one person, in two different pictures, half two people as alike as groups can make them. One
picture of a pair is an original, the other what a method made; control pairs, of two originals, show whether the
answerers can do it at all.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import NormalDist
from types import MappingProxyType
from typing import Literal, Self

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from incog import __version__
from incog.alignment import crop
from incog.errors import InputError, must_be
from incog.evaluate.document import Value
from incog.evaluate.groups import AGES, TOLD
from incog.evaluate.html import STYLE
from incog.evaluate.intervals import Figure, mean_over_people, over_people
from incog.evaluate.privacy import Shown, pictures
from incog.evaluate.samples import GREY, Item
from incog.media.walk import printable
from incog.perceive.attributes import CLASSES, Attributes
from incog.perceive.embedder import TEMPLATE as ARCFACE
from incog.types import Bytes, Floats

Answer = Literal["yes", "no", "unsure"]

WORTH: Mapping[Answer, float] = MappingProxyType({"yes": 1.0, "unsure": 0.5, "no": 0.0})
"""How far an answer says that both pictures show one person."""

PAIRS = 40
"""Of each method."""

CONTROLS = 0.25
"""Control pairs, as a share of one method's pairs."""

SIDE = 224
"""Of the pictures on the sheet, px."""

REACH = 140.0
"""Side of these pictures in units of the ArcFace template, whose eyes are 35.2 apart: the head with its hair."""

HEAD: Floats = ((ARCFACE - [56, 66]) * (SIDE / REACH) + (SIDE - 1) / 2).astype(np.float32)
"""Where the five points lie in these pictures, (5, 2) float32 px."""

_JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows of the items.

    original: shown as it was. other: shown as ``method`` left it, in a control pair, whose method is None, as it was.
    same: whether both are of one person. swapped: the original is on the right.
    """

    original: int
    other: int
    method: str | None
    same: bool
    swapped: bool


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PairRecord(_Model):
    """One pair in the key. people: whom the original and the other picture show. left, right: names of the pictures.
    hidden: the side that a method changed."""

    number: int = Field(ge=1)
    method: str | None
    same: bool
    people: tuple[str, str]
    left: str
    right: str
    hidden: Literal["left", "right"] | None


class Key(_Model):
    """Version 1 of the key: which pair is which. Who answers must not see it. sheet: which sheet it belongs to."""

    version: Literal[1] = 1
    program: str = f"incog {__version__}"
    sheet: str = Field(pattern="^[0-9a-f]{12}$")
    shown: Shown
    seed: int
    pairs: list[PairRecord] = Field(min_length=1)

    @model_validator(mode="after")
    def _numbered(self) -> Self:
        if [pair.number for pair in self.pairs] != list(range(1, len(self.pairs) + 1)):
            raise ValueError("pairs must be numbered 1, 2, 3 and so on")
        return self

    @classmethod
    def load(cls, path: Path) -> Key:
        """Read a key. Raises InputError when it cannot be read or is none."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(f"the key {printable(path)} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise InputError(
                f"{printable(path)} is not a key of version 1: {where}: {first['msg']}"
            ) from None


class PartRecord(_Model):
    """What answers say of one method's pairs, or of the control pairs. "Unsure" counts half, as a guess would.

    same_genuine, same_impostor: share judged to be one person, of pairs of one and of two. accuracy: share judged
    right. d_prime: see there. unsure: share. unanswered: answers that are missing.
    """

    method: str | None
    pairs: int
    same_genuine: Value
    same_impostor: Value
    accuracy: Value
    d_prime: Value
    unsure: Value
    unanswered: int
    verdict: str


class AnswererRecord(_Model):
    """What one answerer did; number: in the order given. hidden, controls: accuracy."""

    number: int
    answered: int
    unanswered: int
    hidden: Value
    controls: Value


class HumanScore(_Model):
    """Version 1 of the scores of one sheet."""

    version: Literal[1] = 1
    program: str = f"incog {__version__}"
    sheet: str
    shown: Shown
    seed: int
    controls: PartRecord
    methods: list[PartRecord]
    answerers: list[AnswererRecord]


# Drawing


def draw(
    items: Sequence[Item],
    methods: Sequence[str],
    *,
    pairs: int = PAIRS,
    controls: float = CONTROLS,
    groups: Mapping[str, Sequence[str]] = MappingProxyType({}),
    seed: int = 0,
) -> list[Pair]:
    """Return the pairs in the order of the sheet, those of all methods mixed.

    methods: what they are called, each once. pairs: of each method, even. controls: as a share of these; at least two
    pairs. groups: of each person, see ``traits``; two people are matched by those that they share, the first counts
    most, else drawn. Only people with two pictures take part, each as seldom as can be. What is drawn also depends on
    the pictures' names, so that no sheet tells the answers to another. Raises UsageError for a number of pairs that
    cannot be halved, InputError when there are not people enough.
    """
    if pairs < 2 or pairs % 2:
        raise must_be("the number of pairs", "even and at least 2", pairs)
    if len(set(methods)) < len(methods):
        raise ValueError(f"methods must be called differently, got {list(methods)}")
    text = repr((seed, list(methods), [item.name for item in items]))
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()))
    pool = _Pool(items, groups, random)
    numbers: dict[str | None, int] = dict.fromkeys(methods, pairs // 2)
    numbers[None] = max(1, round(pairs * controls / 2))
    drawn: list[Pair] = []
    # Method by method, so that none has all the people who were not shown yet.
    for step in range(max(numbers.values())):
        for name, count in numbers.items():
            for same in (True, False) if step < count else ():
                drawn.append(Pair(*pool.rows(same=same), name, same, bool(random.integers(2))))
    return [drawn[row] for row in random.permutation(len(drawn))]


def traits(items: Sequence[Item], looks: Sequence[Attributes]) -> dict[str, list[str]]:
    """Return what each person looks like to a network, for matching: gender, ethnicity and age, the likeliest.

    looks: what the face of each item looks like, see ``utility.looks``.
    """
    of: dict[str, list[Attributes]] = defaultdict(list)
    for item, face in zip(items, looks, strict=True):
        of[item.person].append(face)
    found = {}
    for person, faces in of.items():
        shares = {name: np.mean([getattr(face, name) for face in faces], axis=0) for name in TOLD}
        age = float(np.mean([face.age for face in faces]))
        kinds = [f"{name} {CLASSES[name][int(values.argmax())]}" for name, values in shares.items()]
        found[person] = [*kinds, f"age {next(low for low, high in AGES if age < high)}"]
    return found


class _Pool:
    """People with two pictures and more; who was drawn often comes last."""

    def __init__(
        self, items: Sequence[Item], groups: Mapping[str, Sequence[str]], random: np.random.Generator
    ) -> None:
        of: dict[str, list[int]] = defaultdict(list)
        for row, item in enumerate(items):
            of[item.person].append(row)
        self._of = {person: rows for person, rows in of.items() if len(rows) > 1}
        if len(self._of) < 2:
            raise InputError(
                f"at least two people must have two pictures for a sheet of pairs, got {len(self._of)}"
            )
        self._groups, self._random = groups, random
        self._shown: Counter[str] = Counter()
        self._taken: set[tuple[int, int]] = set()

    def rows(self, *, same: bool) -> tuple[int, int]:
        """Return an original and another picture, a pair that was not there before."""
        for first in self._ordered(lambda person: (self._shown[person],)):
            for second in [first] if same else self._alike(first):
                fresh = [
                    (a, b)
                    for a in self._of[first]
                    for b in self._of[second]
                    if a != b and (a, b) not in self._taken
                ]
                if fresh:
                    chosen = fresh[int(self._random.integers(len(fresh)))]
                    self._taken.add(chosen)
                    self._shown.update((first, second))
                    return chosen
        raise InputError(
            f"so many pairs cannot be drawn from {len(self._of)} people with two pictures",
            hint="ask for fewer pairs, or evaluate more people",
        )

    def _alike(self, first: str) -> list[str]:
        """Return the other people, those who share groups first."""
        own = self._groups.get(first, ())

        def rank(person: str) -> tuple[int, ...]:
            shared = self._groups.get(person, ())
            return *(group not in shared for group in own), self._shown[person]

        return [person for person in self._ordered(rank) if person != first]

    def _ordered(self, rank: Callable[[str], tuple[int, ...]]) -> list[str]:
        people = sorted(self._of)
        return sorted((people[row] for row in self._random.permutation(len(people))), key=rank)


# The sheet and its key


def crops(
    pairs: Sequence[Pair],
    items: Sequence[Item],
    views: Mapping[str, Sequence[Bytes]],
    *,
    shown: Shown = "face",
) -> list[tuple[bytes, bytes]]:
    """Return the left and the right picture of each pair, JPEG files of SIDE px, all made the same way.

    views: by method, what it made of each item's picture, (H, W, 3) uint8. shown: the face alone, its surroundings
    covered, or with hair and background. Faces are cut where they were in the original.
    """

    def coded(row: int, method: str | None) -> bytes:
        item = items[row]
        view = item.picture if method is None else views[method][row]
        seen = pictures([item], [view], shown)[0]
        head, inside = (crop(one, item.points, HEAD, SIDE) for one in (seen, np.full_like(seen, 255)))
        # Beyond the picture as where surroundings are covered: the crop is black there.
        head = np.asarray(cv2.scaleAdd(255 - inside, GREY / 255, head), np.uint8)
        return cv2.imencode(".jpg", head[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()

    found = []
    for pair in pairs:
        original, other = coded(pair.original, None), coded(pair.other, pair.method)
        found.append((other, original) if pair.swapped else (original, other))
    return found


def key(
    pairs: Sequence[Pair],
    items: Sequence[Item],
    sides: Sequence[tuple[bytes, bytes]],
    *,
    shown: Shown = "face",
    seed: int = 0,
) -> Key:
    """Return which pair is which. sides: see ``crops``. shown, seed: as they were drawn and cut."""
    records = []
    for number, pair in enumerate(pairs, start=1):
        names = [items[pair.original].name, items[pair.other].name]
        hidden: Literal["left", "right"] = "left" if pair.swapped else "right"
        records.append(
            PairRecord(
                number=number,
                method=pair.method,
                same=pair.same,
                people=(items[pair.original].person, items[pair.other].person),
                left=names[pair.swapped],
                right=names[not pair.swapped],
                hidden=None if pair.method is None else hidden,
            )
        )
    return Key(sheet=mark(sides), shown=shown, seed=seed, pairs=records)


def mark(sides: Sequence[tuple[bytes, bytes]]) -> str:
    """Return twelve hexadecimal digits that tell one sheet from another, made from its pictures alone."""
    return hashlib.sha256(b"".join(side for pair in sides for side in pair)).hexdigest()[:12]


_STYLE = """
body{padding-bottom:90px}p{max-width:46em}.pairs{display:grid;gap:18px;margin:22px 0;
grid-template-columns:repeat(auto-fill,minmax(400px,1fr))}fieldset{min-width:0;margin:0;border:1px solid var(--line);
border-radius:8px;padding:0 12px 10px;background:var(--panel)}legend{font-weight:700;font-size:16px;padding:0 6px}
.two{display:grid;grid-template-columns:1fr 1fr;gap:8px}.two img{width:100%;height:auto;display:block;border-radius:4px}
.answers{display:flex;flex-wrap:wrap;justify-content:space-between;gap:2px 14px;margin-top:8px}label{cursor:pointer}
input{margin:0 6px 0 0;vertical-align:-1px}.bar{position:fixed;inset:auto 0 0 0;background:var(--ground);
border-top:1px solid var(--line);padding:10px 20px;display:flex;gap:18px;align-items:center;justify-content:center}
button{font:inherit;font-weight:600;padding:7px 18px;border-radius:6px;border:1px solid var(--soft);cursor:pointer;
background:var(--ink);color:var(--ground)}
@media(max-width:460px){.pairs{grid-template-columns:1fr}}
@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--line:#999;--ground:#fff;--panel:#fff}body{font-size:12px}
.pairs{grid-template-columns:1fr 1fr;gap:10px}fieldset{break-inside:avoid}.bar,.screen{display:none}}
@media screen{.paper{display:none}}
"""

# The answers live in the tab: the next person at the same machine does not see them.
_SCRIPT = """
const form=document.forms[0],sheet=form.dataset.sheet,count=+form.dataset.count;let saved=true;
const given=()=>Object.fromEntries(new FormData(form));
const tell=()=>{document.getElementById("done").textContent=Object.keys(given()).length+" of "+count+" answered"};
const table=()=>{const all=given();let text="sheet,pair,answer\\n";
for(let n=1;n<=count;n++)text+=sheet+","+n+","+(all[n]||"")+"\\n";return text};
try{for(const[n,answer]of Object.entries(JSON.parse(sessionStorage.getItem(sheet)||"{}")))
{form.elements[n].value=answer;saved=false}}catch{}
form.addEventListener("change",()=>{saved=false;tell();
try{sessionStorage.setItem(sheet,JSON.stringify(given()))}catch{}});
document.getElementById("save").addEventListener("click",()=>{const link=document.createElement("a");
link.href=URL.createObjectURL(new Blob([table()],{type:"text/csv"}));link.download="answers.csv";link.click();
saved=true});
addEventListener("beforeunload",event=>{if(!saved)event.preventDefault()});
tell();
"""


def sheet(sides: Sequence[tuple[bytes, bytes]]) -> str:
    """Return the sheet as one HTML page that needs nothing else and calls nobody, for the screen or for paper.

    sides: see ``crops``; nothing else of the pairs goes in. A button saves the answers as ``answers.csv``.
    """
    name = mark(sides)
    fields = []
    for number, pair in enumerate(sides, start=1):
        images = "".join(
            f'<img width={SIDE} height={SIDE} alt="Pair {number}, {side}" '
            f'src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'
            for side, data in zip(("left", "right"), pair, strict=True)
        )
        answers = "".join(
            f"<label><input type=radio name={number} value={value}>{text}</label>"
            for value, text in (("yes", "Same person"), ("no", "Different people"), ("unsure", "Cannot tell"))
        )
        fields.append(
            f"<fieldset><legend>{number}</legend><div class=two>{images}</div><div class=answers>{answers}</div>"
            "</fieldset>"
        )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\"><title>The same person?</title>"
        f"<style>{STYLE}{_STYLE}</style><h1>The same person?</h1>"
        "<p>Each pair shows two different pictures. In most pairs one of them was altered so that the person cannot be "
        "recognised; in some neither was. About half of the pairs show one person, half show two. Do both pictures "
        "show the same person? Go by what you see, look nothing up, and answer every pair, if only by a guess.</p>"
        "<p class='soft screen'>Nothing leaves this page. When you are done, save your answers and hand on the file "
        f"answers.csv.</p><p class='soft paper'>Mark one answer in each pair. Sheet {name}.</p>"
        f"<form autocomplete=off data-sheet={name} data-count={len(sides)}><div class=pairs>{''.join(fields)}</div>"
        "<div class=bar><span id=done aria-live=polite></span><button type=button id=save>Save answers</button></div>"
        f"</form><script>{_SCRIPT}</script>"
    )


# The answers


def read_answers(path: Path, key: Key) -> dict[int, Answer]:
    """Return the answers by number of the pair; those that were not given are left out.

    path: a table in CSV with the columns pair and answer (yes, no, unsure or nothing), and sheet where it is to be
    checked; split by commas or semicolons. Raises InputError, with the file and the line, for what does not fit.
    """
    name = printable(path)
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise InputError(f"{name} is not text in UTF-8") from None
    # Spreadsheets of some countries split by semicolons.
    split = ";" if ";" in text.partition("\n")[0] else ","
    rows = csv.reader(io.StringIO(text), delimiter=split, strict=True)
    found: dict[int, Answer] = {}
    seen: set[int] = set()
    try:
        columns = [cell.strip().lower() for cell in next(rows, [])]
        if sorted(columns) not in (["answer", "pair"], ["answer", "pair", "sheet"]):
            raise InputError(
                f"{name}, line 1: the columns must be sheet, pair, answer, got {', '.join(columns)}"
            )
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(columns):
                raise ValueError(f"there must be {len(columns)} cells, got {len(cells)}")
            number, answer = _row(dict(zip(columns, map(str.strip, cells), strict=True)), key)
            if number in seen:
                raise ValueError(f"pair {number} is there twice")
            seen.add(number)
            if answer is not None:
                found[number] = answer
    except (ValueError, csv.Error) as error:
        raise InputError(f"{name}, line {rows.line_num}: {error}") from None
    return found


def _row(cells: Mapping[str, str], key: Key) -> tuple[int, Answer | None]:
    if cells.get("sheet", key.sheet) != key.sheet:
        raise ValueError(f"the answers must be of the sheet {key.sheet}, got {cells['sheet']!r}")
    text, word = cells["pair"], cells["answer"].lower()
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= len(key.pairs)):
        raise ValueError(f"the pair must be a number from 1 to {len(key.pairs)}, got {text!r}")
    answer = next((known for known in WORTH if known == word), None)
    if word and answer is None:
        raise ValueError(f"the answer must be yes, no, unsure or nothing, got {cells['answer']!r}")
    return int(text), answer


def score(key: Key, answers: Sequence[Mapping[int, Answer]], *, seed: int = 0) -> HumanScore:
    """Return what the answers say, of all answerers together and of each.

    answers: of each answerer, by number of the pair, see ``read_answers``. Intervals are made by drawing the people
    that the pairs show, not the answerers. Raises ValueError without answerers.
    """
    if not answers:
        raise ValueError("there must be answers of somebody, got none")
    of: dict[str | None, list[PairRecord]] = defaultdict(list)
    for pair in key.pairs:
        of[pair.method].append(pair)
    controls = _part(None, of.pop(None, []), answers, seed)
    hidden = [pair for pair in key.pairs if pair.method is not None]
    shown = [pair for pair in key.pairs if pair.method is None]
    return HumanScore(
        sheet=key.sheet,
        shown=key.shown,
        seed=seed,
        controls=controls,
        methods=[
            _part(name, rows, answers, seed, controls)
            for name, rows in sorted(of.items(), key=lambda pair: str(pair[0]))
        ],
        answerers=[
            AnswererRecord(
                number=number,
                answered=len(given),
                unanswered=len(key.pairs) - len(given),
                hidden=Value.of(figures(hidden, [given], seed=seed)["accuracy"]),
                controls=Value.of(figures(shown, [given], seed=seed)["accuracy"]),
            )
            for number, given in enumerate(answers, start=1)
        ],
    )


def figures(
    pairs: Sequence[PairRecord], answers: Sequence[Mapping[int, Answer]], *, seed: int = 0
) -> dict[str, Figure]:
    """Return same_genuine, same_impostor, accuracy, d_prime and unsure, see ``PartRecord``, over all given answers."""
    given = [(pair, one[pair.number]) for one in answers for pair in pairs if pair.number in one]
    people = [pair.people[0] for pair, _ in given]
    worth = np.array([WORTH[answer] for _, answer in given], np.float64)
    same = np.array([pair.same for pair, _ in given], bool)

    def share(values: npt.NDArray[np.float64], chosen: npt.NDArray[np.bool_]) -> Figure:
        whose = [person for person, kept in zip(people, chosen, strict=True) if kept]
        return mean_over_people(values[chosen], whose, hits=True, seed=seed)

    every = np.ones(len(given), bool)
    return {
        "same_genuine": share(worth, same),
        "same_impostor": share(worth, ~same),
        "accuracy": share(np.where(same, worth, 1 - worth), every),
        "d_prime": over_people(
            lambda weights: d_prime(
                float((weights * worth)[same].sum()),
                float(weights[same].sum()),
                float((weights * worth)[~same].sum()),
                float(weights[~same].sum()),
            ),
            people,
            len(given),
            seed=seed,
        )
        if len(given)
        else Figure(nan, nan, nan, 0, 0),
        "unsure": share(np.array([answer == "unsure" for _, answer in given], np.float64), every),
    }


def d_prime(hits: float, genuine: float, false_alarms: float, impostor: float) -> float:
    """Return how far apart pairs of one and of two people are to the answerers, in standard deviations.

    z((hits + 1/2) / (genuine + 1)) - z((false_alarms + 1/2) / (impostor + 1)): signal detection theory with the
    log-linear correction (Hautus 1995), which keeps it finite. 0 is chance. NaN without pairs of one of the kinds.
    """
    if not genuine or not impostor:
        return nan
    rates = (hits + 0.5) / (genuine + 1), (false_alarms + 0.5) / (impostor + 1)
    return NormalDist().inv_cdf(rates[0]) - NormalDist().inv_cdf(rates[1])


def _part(
    method: str | None,
    pairs: Sequence[PairRecord],
    answers: Sequence[Mapping[int, Answer]],
    seed: int,
    controls: PartRecord | None = None,
) -> PartRecord:
    found = figures(pairs, answers, seed=seed)
    return PartRecord(
        method=method,
        pairs=len(pairs),
        unanswered=sum(pair.number not in one for one in answers for pair in pairs),
        verdict=verdict(found["accuracy"], None if controls is None else controls.accuracy),
        **{name: Value.of(figure) for name, figure in found.items()},
    )


def verdict(accuracy: Figure, controls: Value | None) -> str:
    """Return one line on the accuracy over a method's pairs, given that over the control pairs; None: these are the
    control pairs."""
    if not accuracy.count:
        return "Not measured: nobody answered."
    told = (
        f"{100 * accuracy.value:.0f} % ({100 * accuracy.low:.0f} to {100 * accuracy.high:.0f} %) of answers"
    )
    told, guess = f"{told} are right", "guessing gives 50 %"
    if controls is None:
        able = accuracy.low > 0.5
        return (
            f"{'They can do it' if able else 'Not shown that they can do it'}: of originals {told}; {guess}."
        )
    if accuracy.low > 0.5:
        return f"People tell: {told}; {guess}."
    if accuracy.high < 0.5:
        return f"People are misled: {told}, fewer than guessing gives, which tells who knows it as much."
    if controls.low is None or controls.low <= 0.5:
        return f"Nothing is said: {told}, but these answerers are not shown to tell originals either."
    return f"Not told from chance: {told}; {guess}."


def _affordable(items: Sequence[Item], methods: int) -> int:
    """Return how many pairs of each method there may be, at most ``PAIRS``: with few people pairs of one run out."""
    of = Counter(item.person for item in items)
    ones = sum(count * (count - 1) for count in of.values())
    for pairs in range(PAIRS, 2, -2):
        if methods * pairs // 2 + max(1, round(pairs * CONTROLS / 2)) <= ones:
            return pairs
    return 2


def export(
    items: Sequence[Item],
    looks: Sequence[Attributes],
    treatments: Mapping[str, Callable[[Sequence[Item]], Sequence[Bytes]]],
    *,
    seed: int = 0,
) -> tuple[str, Key]:
    """Return a sheet and its key, of fewer than ``PAIRS`` pairs of each method where people are few. treatments: by
    unique name, what hides pictures; only those on the sheet are hidden again. looks: see ``traits``."""
    pairs = draw(
        items,
        list(treatments),
        pairs=_affordable(items, len(treatments)),
        groups=traits(items, looks),
        seed=seed,
    )
    views = {name: [item.picture[:0] for item in items] for name in treatments}
    for pair in pairs:
        if pair.method is not None:
            views[pair.method][pair.other] = treatments[pair.method]([items[pair.other]])[0]
    sides = crops(pairs, items, views)
    return sheet(sides), key(pairs, items, sides, seed=seed)
