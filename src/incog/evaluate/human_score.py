"""What the answers of people to a sheet of pairs say."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from statistics import NormalDist
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from incog.errors import InputError
from incog.evaluate.document import Value
from incog.evaluate.human_records import Answer, AnswererRecord, HumanScore, Key, PairRecord, PartRecord
from incog.evaluate.intervals import Figure, mean_over_people, over_people
from incog.media.walk import printable

WORTH: Mapping[Answer, float] = MappingProxyType({"yes": 1.0, "unsure": 0.5, "no": 0.0})
"""How far an answer says that both pictures show one person."""


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
