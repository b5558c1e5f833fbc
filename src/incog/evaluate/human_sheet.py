"""People as judges: a blinded sheet of pairs, "the same person?", and its key."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import cv2
import numpy as np

from incog.alignment import crop
from incog.evaluate.html import STYLE
from incog.evaluate.human_pairs import Pair, affordable, draw, traits
from incog.evaluate.human_records import Key, PairRecord
from incog.evaluate.privacy import Shown, pictures
from incog.evaluate.samples import GREY, Item
from incog.perceive.attributes import Attributes
from incog.perceive.embedder import TEMPLATE as ARCFACE
from incog.types import Bytes, Floats

SIDE = 224
"""Of the pictures on the sheet, px."""


REACH = 140.0
"""Side of these pictures in units of the ArcFace template, whose eyes are 35.2 apart: the head with its hair."""


HEAD: Floats = ((ARCFACE - [56, 66]) * (SIDE / REACH) + (SIDE - 1) / 2).astype(np.float32)
"""Where the five points lie in these pictures, (5, 2) float32 px."""


_JPEG_QUALITY = 92


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
        pairs=affordable(items, len(treatments)),
        groups=traits(items, looks),
        seed=seed,
    )
    views = {name: [item.picture[:0] for item in items] for name in treatments}
    for pair in pairs:
        if pair.method is not None:
            views[pair.method][pair.other] = treatments[pair.method]([items[pair.other]])[0]
    sides = crops(pairs, items, views)
    return sheet(sides), key(pairs, items, sides, seed=seed)
