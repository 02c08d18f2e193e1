"""The record of `halueval diff` as one self-contained HTML page.

The page opens from a file and asks the network for nothing. Its content-security policy names the one
style sheet and the one script by their SHA-256, so that nothing else can run, whatever a model wrote:
texts of models and data sets are escaped by the template, or lie in inert JSON that the script turns into
text nodes. Tables and plots are there without JavaScript; only the samples need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from halueval.compare.fields import Figure, NetRate, Stratum
from halueval.compare.record import STATES, Comparison, DiffRecord, PairedSample, SummaryRow, TaskDiff, comparisons
from halueval.report.diff_samples import SampleBlocks
from halueval.report.page import asset, encodable, environment, policy
from halueval.report.plots import Bin, ForestRow, flow, forest, reliability
from halueval.report.tables import HIGHER, LOWER, format_number

MAX_STRATA = 200
"""Most strata of one key in a table; a key such as a country's name may have a stratum for every sample."""

_RATES = (
    ("Induced", "induced_rate"),
    ("Lost knowledge", "lost_knowledge_rate"),
    ("Lost caution", "lost_caution_rate"),
    ("Repaired", "repaired_rate"),
    ("Persistent", "persistent_rate"),
)

# Figures that are no shares of 1: drawn on a scale of their own even where their values are small.
_OWN_UNITS = ("perplexity", "nll", "bits_per_byte", "tokens", "_words", "characters", "confidence_target")


@dataclass(frozen=True, slots=True)
class StrataView:
    """The largest strata of one key, and how many smaller ones are not shown."""

    key: str
    rows: list[tuple[str, Stratum]]
    n_left_out: int


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task of one candidate with its plots drawn; `""` where there is nothing to draw."""

    id: str
    name: str
    diff: TaskDiff
    has_samples: bool
    flow: str
    forest: str
    other_forest: str
    reliability: str
    strata: list[StrataView]


@dataclass(frozen=True, slots=True)
class CandidateView:
    """One candidate and its tasks."""

    candidate: str
    headline: str
    notes: list[str]
    summary: Mapping[str, SummaryRow]
    tasks: list[TaskView]


def render_html(
    record: DiffRecord, samples: Mapping[str, Iterable[PairedSample]], *, home: str | None = None
) -> Iterator[str]:
    """Render the page piece by piece, so that 100,000 samples never stand in memory as one string.

    Args:
        record: what `halueval diff --json` holds.
        samples: all pairs of a task, by its name; those of several candidates may be mixed. They are read
            once, while the page is written.
        home: address of the leaderboard that the page belongs to, relative to the page.

    Yields:
        Pieces of the page; every piece can be encoded as UTF-8.
    """
    from markupsafe import Markup

    style, theme, script = asset("diff.css"), asset("theme.js"), asset("diff_words.js", "explorer.js", "diff.js")
    views = [_comparison(i, one, samples) for i, one in enumerate(comparisons(record))]
    yield from (
        encodable(piece)
        for piece in environment()
        .get_template("diff.html.j2")
        .generate(
            record=record,
            views=views,
            n_tasks=sum(len(view.tasks) for view in views),
            overview=_overview(views),
            blocks=SampleBlocks(samples),
            states=STATES,
            rate_names=_RATES,
            home=home,
            policy=policy(style, (theme, script)),
            style=Markup(style),  # noqa: S704 - the package's own file
            theme=Markup(theme),  # noqa: S704 - the package's own file
            script=Markup(script),  # noqa: S704 - the package's own files
            number=_number,
            signed=_signed,
            percent=_percent,
            share=_share,
            points=_points,
            p_value=_p_value,
            direction=_direction,
            tone=_tone,
            net_tone=_net_tone,
        )
    )


def _comparison(number: int, one: Comparison, samples: Mapping[str, Iterable[PairedSample]]) -> CandidateView:
    tasks = [
        _task(f"c{number}t{i}", name, diff, name in samples) for i, (name, diff) in enumerate(one["tasks"].items())
    ]
    return CandidateView(
        candidate=one["candidate"]["label"],
        headline=one["headline"],
        notes=one["notes"],
        summary=one["summary"],
        tasks=tasks,
    )


def _overview(views: Sequence[CandidateView]) -> str:
    """The net changes of all tasks and candidates under one another; `""` for fewer than two."""
    rows = []
    for view in views:
        for task in view.tasks:
            if task.diff["net_rate"]["value"] is not None:
                label = task.name if len(views) == 1 else f"{task.name} · {view.candidate}"
                rows.append(_net_row(label, task.diff["net_rate"]))
    return forest("overview-net", rows, "Net change of hallucination by task") if len(rows) > 1 else ""


def _task(key: str, name: str, diff: TaskDiff, has_samples: bool) -> TaskView:
    shares = {k: m for k, m in diff["metrics"].items() if _is_share(k, m)}
    others = [_row(k, m, _signed) for k, m in diff["metrics"].items() if k not in shares]
    rows = [_row(k, m, _points) for k, m in shares.items()]
    if diff["net_rate"]["value"] is not None:
        rows.insert(0, _net_row("net hallucination", diff["net_rate"]))
    curves = {
        who: [Bin(b["confidence"], b["accuracy"], b["n"], b["ci_low"], b["ci_high"]) for b in bins]
        for who, bins in diff["calibration"].get("curves", {}).items()
    }
    return TaskView(
        id=key,
        name=name,
        diff=diff,
        has_samples=has_samples,
        flow=flow(f"{key}-flow", diff["transitions"], f"{name}: what became of each sample"),
        forest=forest(f"{key}-shares", rows, f"{name}: differences with intervals") if rows else "",
        other_forest=forest(f"{key}-units", others, f"{name}: other differences", shared_axis=False) if others else "",
        reliability=reliability(f"{key}-curves", curves, f"{name}: reliability curves") if curves else "",
        strata=[_strata(group, values) for group, values in diff["strata"].items()],
    )


def _strata(key: str, values: Mapping[str, Stratum]) -> StrataView:
    rows = sorted(values.items(), key=lambda item: -item[1]["n"])
    return StrataView(key, rows[:MAX_STRATA], max(len(rows) - MAX_STRATA, 0))


def _is_share(name: str, figure: Figure) -> bool:
    return not any(part in name for part in _OWN_UNITS) and all(
        0 <= figure[side] <= 1 for side in ("base", "candidate")
    )


def _row(name: str, figure: Figure, form: Callable[[float | None], str]) -> ForestRow:
    low, high = figure["ci_low"], figure["ci_high"]
    return ForestRow(
        name + _direction(figure), _told(form, figure["delta"], low, high), figure["delta"], low, high, _tone(figure)
    )


def _net_row(name: str, net: NetRate) -> ForestRow:
    value, low, high = net["value"] or 0.0, net["ci_low"], net["ci_high"]
    return ForestRow(f"{name} {LOWER}", _told(_points, value, low, high), value, low, high, _net_tone(net))


def _told(form: Callable[[float | None], str], value: float, low: float | None, high: float | None) -> str:
    return form(value) if low is None or high is None else f"{form(value)} [{form(low)}, {form(high)}]"


def _tone(figure: Figure) -> str:
    """`better` or `worse` for what survives the correction and lies outside the noise; otherwise `""`."""
    better = figure["higher_is_better"]
    if not figure["significant"] or figure["within_noise"] or better is None:
        return ""
    return "better" if (figure["delta"] > 0) == better else "worse"


def _net_tone(net: NetRate) -> str:
    if not net["significant"] or net["within_noise"] or net["value"] is None:
        return ""
    return "worse" if net["value"] > 0 else "better"


def _direction(figure: Figure) -> str:
    better = figure["higher_is_better"]
    return "" if better is None else f" {HIGHER if better else LOWER}"


def _minus(text: str) -> str:
    """A true minus sign: the hyphen is too short to be seen in a column of figures."""
    return text.replace("-", "−")


def _number(value: float | None) -> str:
    return _minus(format_number(value))


def _signed(value: float | None) -> str:
    if value is None:
        return "–"
    return format_number(0.0) if value == 0 else _minus(("+" if value > 0 else "") + format_number(value))


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{_share(value)} %"


def _share(value: float) -> str:
    """Per cent without the sign, for intervals."""
    return f"{100 * value:.1f}"


def _points(value: float | None) -> str:
    """A difference of shares in percentage points, with its sign."""
    return "–" if value is None else "0.0" if value == 0 else _minus(f"{100 * value:+.1f}")


def _p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "< .0001" if value < 0.0001 else f"{value:.4f}".removeprefix("0")
