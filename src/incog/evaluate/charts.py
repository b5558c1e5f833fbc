"""Charts as SVG: scatter and lines, with text that takes the page's colours. No scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 54, 16, 14, 44

COLOURS = ("#3867d6", "#d1495b", "#2a9d6f", "#b8860b", "#7b4fb5", "#2b8ca3", "#8d5524", "#6b7280")
"""Told apart also by those who see few colours; each line has a mark of its own besides."""

MARKS = ("●", "■", "▲", "◆", "▼", "✚", "✖")
"""One fewer than colours, so that the ninth line has not the look of the first."""

STEPS = (1, 2, 5, 10)
"""Between two ticks, times a power of ten."""


@dataclass(frozen=True, slots=True)
class Axis:
    """label: in words, with the unit. low, high: ends. logarithmic: both ends above 0."""

    label: str
    low: float
    high: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies, 0..1 from the low end to the high one; values beyond lie at the ends."""
        if self.logarithmic:
            value = max(value, self.low)
            share = (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(max(share, 0.0), 1.0)

    def ticks(self) -> list[float]:
        """Return the values that are written beside the axis."""
        if self.logarithmic:
            first, last = round(log10(self.low)), round(log10(self.high))
            return [10.0**power for power in range(first, last + 1)]
        rough = (self.high - self.low) / 5
        power = 10.0 ** floor(log10(rough))
        step = next(power * size for size in STEPS if power * size >= rough * 0.999)
        first, last = ceil(self.low / step - 1e-6), floor(self.high / step + 1e-6)
        return [step * number for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Series:
    """name: in the legend. points: (x, y). line: joined, else each a mark. note: of each point, shown on hovering."""

    name: str
    points: Sequence[tuple[float, float]]
    line: bool = True
    dashed: bool = False


def chart(x: Axis, y: Axis, series: Sequence[Series], title: str) -> str:
    """Return a chart as an SVG element with its legend below."""
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return LEFT + wide * x.place(point[0]), TOP + high * (1 - y.place(point[1]))

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">']
    for value in x.ticks():
        place = LEFT + wide * x.place(value)
        parts.append(f'<line class="grid" x1="{place:.1f}" y1="{TOP}" x2="{place:.1f}" y2="{TOP + high}"/>')
        parts.append(
            f'<text x="{place:.1f}" y="{TOP + high + 16}" text-anchor="middle">{_number(value)}</text>'
        )
    for value in y.ticks():
        place = TOP + high * (1 - y.place(value))
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{place:.1f}" x2="{LEFT + wide}" y2="{place:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{place + 4:.1f}" text-anchor="end">{_number(value)}</text>')
    parts.append(
        f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x.label)}</text>'
        f'<text transform="translate(13 {TOP + high / 2}) rotate(-90)" text-anchor="middle">{escape(y.label)}</text>'
    )
    legend = []
    for number, one in enumerate(series):
        colour, mark = COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
        places = [at(point) for point in one.points]
        if one.line and places:
            path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
            dash = ' stroke-dasharray="5 4"' if one.dashed else ""
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
            places = places[len(places) // 2 :][:1]
        for a, b in places:
            parts.append(
                f'<text class="mark" x="{a:.1f}" y="{b + 4:.1f}" text-anchor="middle" style="fill:{colour}">{mark}'
                f"<title>{escape(one.name)}</title></text>"
            )
        legend.append(f'<li><span style="color:{colour}">{mark}</span> {escape(one.name)}</li>')
    parts.append("</svg>")
    return (
        f"<figure><b>{escape(title)}</b>{''.join(parts)}"
        f'<figcaption><ul class="legend">{"".join(legend)}</ul></figcaption></figure>'
    )


def _number(value: float) -> str:
    return f"{value:.3g}"
