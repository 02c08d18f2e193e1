"""Two drawings for the page, as SVG that stands by itself: accuracy against epochs, and measured against fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 500, 40, 312
COLOURS = ("#0b7285", "#2b8a3e", "#9a6700", "#b3410e", "#a61e4d", "#5f3dc4")
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#333}.grid{stroke:#ccc;stroke-width:1}"
    ".mean{fill:none;stroke-width:2}.bar{stroke-width:1;opacity:.6}.same{stroke:#888;stroke-dasharray:4 4}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#555}}"
)


class Chart:
    """Axes, and shapes placed by data; both axes are linear."""

    def __init__(self, title: str, x: tuple[float, float], y: tuple[float, float], names: tuple[str, str]) -> None:
        self.x, self.y = x, y
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
            f"<title>{escape(title)}</title><style>{STYLE}</style>",
            f'<text x="{LEFT}" y="20">{escape(title)}</text>',
            f'<text x="{(LEFT + RIGHT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(names[0])}</text>',
            f'<text x="14" y="{(TOP + BOTTOM) / 2:.0f}" text-anchor="middle" '
            f'transform="rotate(-90 14 {(TOP + BOTTOM) / 2:.0f})">{escape(names[1])}</text>',
        ]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where data lies in the drawing."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (RIGHT - LEFT), BOTTOM - up * (BOTTOM - TOP)

    def ticks(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        """Grid lines and their numbers."""
        for value in ys:
            _, y = self.place(self.x[0], value)
            self.parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}"/>')
            self.parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
        for value in xs:
            x, _ = self.place(value, self.y[0])
            self.parts.append(f'<text x="{x:.1f}" y="{BOTTOM + 18}" text-anchor="middle">{value:g}</text>')

    def line(self, css: str, colour: str | None, a: tuple[float, float], b: tuple[float, float]) -> None:
        """A straight line between two places of the data."""
        (x1, y1), (x2, y2) = self.place(*a), self.place(*b)
        stroke = f' stroke="{colour}"' if colour else ""
        self.parts.append(f'<line class="{css}"{stroke} x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def dot(self, colour: str, x: float, y: float) -> None:
        """A point of the data."""
        across, up = self.place(x, y)
        self.parts.append(f'<circle fill="{colour}" cx="{across:.1f}" cy="{up:.1f}" r="3.5"/>')

    def key(self, entries: Sequence[tuple[str, str]]) -> None:
        """Which colour is what."""
        for i, (colour, words) in enumerate(entries):
            y = TOP + 10 + 22 * i
            self.parts.append(f'<circle fill="{colour}" cx="{RIGHT + 18}" cy="{y - 4}" r="5"/>')
            self.parts.append(f'<text x="{RIGHT + 30}" y="{y}">{escape(words)}</text>')

    def done(self) -> str:
        """The whole file."""
        return "".join([*self.parts, "</svg>\n"])


def _range(values: Sequence[float]) -> tuple[tuple[float, float], list[float]]:
    """Limits at whole tens around the values, and the ticks between them."""
    low, high = 10 * int(min(values) // 10), 10 * int(-(-max(values) // 10))
    high = high if high > low else low + 10
    return (low, high), [float(value) for value in range(low, high + 1, 10)]


def _colours(shares: Sequence[float]) -> dict[float, str]:
    return {share: COLOURS[i % len(COLOURS)] for i, share in enumerate(shares)}


def curves_drawing(curves: Sequence[Mapping[str, Any]], base: float) -> str:
    """Accuracy on what the base knew, by epoch; bars are 95 % intervals."""
    shares = sorted({point["share"] for point in curves})
    figures = [point["accuracy"] for point in curves]
    bounds = [f[key] for f in figures for key in ("value", "ci_low", "ci_high") if f[key] is not None]
    y, ticks = _range([*bounds, base])
    epochs = sorted({point["epoch"] for point in curves})
    chart = Chart(
        "Held-out facts that the base knew", (0, max(epochs) + 0.3), y, ("epochs on the trained facts", "accuracy, %")
    )
    chart.ticks([0, *epochs], ticks)
    colours = _colours(shares)
    for i, share in enumerate(shares):
        before = (0.0, base)
        for point in (p for p in curves if p["share"] == share):
            figure = point["accuracy"]
            here = (float(point["epoch"]), figure["value"])
            chart.line("mean", colours[share], before, here)
            if figure["ci_low"] is not None:
                aside = here[0] + 0.05 * (i - (len(shares) - 1) / 2)
                chart.line("bar", colours[share], (aside, figure["ci_low"]), (aside, figure["ci_high"]))
            chart.dot(colours[share], *here)
            before = here
    chart.key([(colours[share], f"{share:.0%} unknown") for share in shares])
    return chart.done()


def law_drawing(law: Mapping[str, Any]) -> str | None:
    """Measured accuracy of every checkpoint against what the law says of it; None where there is no law."""
    terms = [law[name]["value"] for name in ("intercept", "known_fitted", "unknown_fitted")]
    if any(term is None for term in terms):
        return None
    pairs = [
        (terms[0] + terms[1] * p["known_fitted"] + terms[2] * p["unknown_fitted"], p["accuracy"], p["share"])
        for p in law["points"]
    ]
    limits, ticks = _range([value for pair in pairs for value in pair[:2]])
    chart = Chart("Every checkpoint of every training", limits, limits, ("accuracy by the law, %", "measured, %"))
    chart.ticks(ticks, ticks)
    chart.line("same", None, (limits[0], limits[0]), (limits[1], limits[1]))
    colours = _colours(sorted({share for _, _, share in pairs}))
    for fitted, measured, share in pairs:
        chart.dot(colours[share], fitted, measured)
    chart.key([(colour, f"{share:.0%} unknown") for share, colour in colours.items()])
    return chart.done()
