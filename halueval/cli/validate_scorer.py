"""`halueval validate-scorer`: consistency scorers held against human annotations."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halueval.cli import options as shared
from halueval.cli.targets import targets_of, write
from halueval.errors import IncompleteError, UsageError, nearest

if TYPE_CHECKING:
    from halueval.consistency.base import ConsistencyScorer
    from halueval.job import Observer
    from halueval.report.validation_record import Record
    from halueval.validation import Evaluation

logger = logging.getLogger("halueval")

EPILOG = """\b
Examples:
  halueval validate-scorer rouge_precision --on qags_cnndm --data-dir data
  halueval validate-scorer coverage lite likelihood --on qags_xsum,frank_validation --compare
  halueval validate-scorer lite --on halueval_qa --limit 2000 --json lite.json --plot lite.svg
  halueval validate-scorer nli --option nli:model=PATH-OR-HUB-ID --on all --data-dir data --scores kept
  halueval validate-scorer factscore --option checker=nli --option 'checker_options={model: PATH}' \
    --option threshold=0.5 --on qags_xsum --data-dir data
  halueval validate-scorer lite --on halueval_summarization --limit 500 --samples claims.jsonl

Sets of people's annotations are not shipped: --data-dir holds them, laid out as the files of
halueval/annotated/sets say. halueval_qa, halueval_summarization and factual_summary_pairs come from PyPI.
"""


@click.command(name="validate-scorer", epilog=EPILOG)
@click.argument("scorers", nargs=-1, required=True)
@click.option(
    "--on",
    "sets",
    multiple=True,
    required=True,
    metavar="SET",
    help="Annotated set by name, 'all', or a YAML file. Repeatable or comma-separated.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    envvar="HALUEVAL_DATA_DIR",
    show_envvar=True,
    help="Where the sets' files lie.",
)
@shared.limit("Most rows of a set; whole documents, drawn by hash.")
@shared.seed("Seed of the resampling and of --limit.")
@shared.n_resamples(2000, "Draws of the bootstrap.")
@click.option(
    "--compare",
    "compared",
    is_flag=True,
    help="Hold each later scorer against the first: paired bootstrap and Williams' test.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="[SCORER:]KEY=VALUE",
    help="Option of a scorer; without a name, of all given. Mappings and lists in brackets, as YAML or JSON. "
    "Repeatable.",
)
@click.option(
    "--scores",
    "scores_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory that keeps every score, so that the same call goes on where it was stopped, and asks again only "
    "for what failed by lack of memory or a busy endpoint.",
)
@shared.written("json", "Write all figures ('-': standard output).")
@shared.written("markdown", "Write the tables as Markdown ('-': standard output).")
@shared.written("plot", "Write a forest plot as SVG.")
@shared.written("samples", "Write a line of JSON for each scorer and claim, with the scores of its sentences.")
@shared.quiet("No table and no progress.")
def validate_scorer(scorers: tuple[str, ...], sets: tuple[str, ...], quiet: bool, **given: Any) -> None:
    """Hold consistency SCORERS against human annotations.

    For each scorer and set: correlations, ROC AUC, average precision and balanced accuracy with intervals, by error
    type and by length, beside two controls that look at no meaning.
    """
    from halueval.annotated.sets import load_set
    from halueval.annotated.spec import choose_sets
    from halueval.consistency import catalog
    from halueval.report.validation import print_validation
    from halueval.report.validation_record import validation_record
    from halueval.report.validation_samples import sample_lines
    from halueval.store import write_atomically
    from halueval.validation import KeptScores, Settings, validate

    targets = targets_of(given, ("json", "markdown", "plot", "samples"))
    names = list(dict.fromkeys(_split(scorers)))
    if given["compared"] and len(names) < 2:
        raise UsageError("--compare needs two scorers or more")
    options = _options(names, given["options"])
    # Built once now, so that a wrong option is told before the work, and once more each in its turn, so that the
    # model of one is let go before the next is loaded.
    built = [catalog.create(name, options[name]) for name in names]
    made_sets = [
        load_set(name, given["data_dir"], limit=given["limit"], seed=given["seed"])
        for name in choose_sets(_split(sets))
    ]
    _check_distinct("scorer", [scorer.name for scorer in built])
    _check_distinct("annotated set", [annotated.spec.name for annotated in made_sets])
    _check_usable(built)
    scorers_in_turn = (catalog.create(name, options[name]) for name in names)
    settings = Settings(n_resamples=given["n_resamples"], seed=given["seed"])
    keeper = None
    if given["scores_dir"]:
        keeper = KeptScores(given["scores_dir"], write_atomically, details="samples" in targets)
    bars = _Bars(quiet=quiet)
    done: list[Evaluation] = []
    try:
        compared = given["compared"]
        for made in validate(scorers_in_turn, made_sets, settings, compared=compared, keeper=keeper, watch=bars.watch):
            done.append(made)
            # After each, so that a later scorer that fails takes nothing with it.
            if targets.get("json", "-") != "-":
                write(targets["json"], [_as_json(validation_record(done))])
            if targets.get("samples", "-") != "-":
                write(targets["samples"], sample_lines(done))
    except KeyboardInterrupt:
        kept = f"; {targets['json']} holds them" if done and targets.get("json", "-") != "-" else ""
        raise IncompleteError(f"interrupted after {len(done)} results{kept}") from None
    finally:
        bars.end()
    if keeper:
        _say_what_passes(done)
    record = validation_record(done)
    _write_all(record, targets)
    if targets.get("samples") == "-":
        write("-", sample_lines(done))
    if not quiet and "-" not in targets.values():
        print_validation(record, sys.stdout)


def _split(values: tuple[str, ...]) -> list[str]:
    out = [name.strip() for value in values for name in value.split(",") if name.strip()]
    if not out:
        raise UsageError("an empty name; write names, separated by commas or spaces")
    return out


def _options(names: list[str], given: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Options by scorer.

    Raises:
        UsageError: no such scorer, or an option that is not written as it should be.
    """
    from halueval.consistency.catalog import SCORERS

    for name in names:
        if name not in SCORERS:
            raise UsageError(f"no consistency scorer {name!r}{nearest(name, SCORERS)}")
    by_name: dict[str, dict[str, Any]] = {name: {} for name in names}
    for option in given:
        owner, key, value = _parse_option(option, names)
        for name in [owner] if owner else names:
            by_name[name][key] = value
    return by_name


def _parse_option(text: str, names: list[str]) -> tuple[str | None, str, Any]:
    """Owner, key and value of `[SCORER:]KEY=VALUE`.

    The value is read as YAML (so as JSON too) where that is a number, true or false, or a mapping or list in brackets;
    anything else is text.
    """
    import yaml

    left, mark, raw = text.partition("=")
    owner, colon, key = left.rpartition(":")
    if not mark or not key or (colon and not owner):
        raise UsageError(f"--option {text!r}: write KEY=VALUE or SCORER:KEY=VALUE")
    if owner and owner not in names:
        raise UsageError(f"--option {text!r}: {owner!r} is not among the scorers{nearest(owner, names)}")
    try:
        value = yaml.safe_load(raw)
    except yaml.YAMLError:
        value = raw
    if isinstance(value, dict | list) and raw.lstrip()[:1] not in ("{", "["):  # "a: b" without them is a text
        value = raw
    return owner or None, key, value if isinstance(value, bool | int | float | dict | list) else raw


def _check_usable(scorers: list[ConsistencyScorer]) -> None:
    """Find everything that scorers need, before any progress is shown; say which of them can score nothing.

    Raises:
        ModelError, SourceError, UsageError: a scorer's model was not named or cannot be had.
    """
    for scorer in scorers:
        scorer.identity()
        if why := scorer.unusable():
            logger.warning("%s will score no row: %s", scorer.name, why)


def _say_what_passes(done: list[Evaluation]) -> None:
    for made in done:
        if passing := made.scored.passing:
            logger.warning(
                "%s on %s: %d pairs failed for a reason that may pass; the same call asks for these again",
                *(made.scored.scorer, made.annotated.spec.name, passing),
            )


def _check_distinct(kind: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"two of the {kind}s are called {twice[0]!r}; results are told apart by name")


def _as_json(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _write_all(record: Record, targets: dict[str, str]) -> None:
    from halueval.report.validation import validation_markdown, validation_plot

    makers: dict[str, Callable[[Record], str]] = {
        "json": _as_json,
        "markdown": validation_markdown,
        "plot": validation_plot,
    }
    for kind, make in makers.items():
        if kind in targets:
            write(targets[kind], [make(record)])


class _Bars:
    """One observer of progress at a time, begun for each scorer and set."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._current: Observer | None = None

    def watch(self, scorer: str, name: str, pairs: int) -> Callable[[int], None]:
        from halueval.cli.progress import make_observer

        self.end()
        self._current = make_observer(quiet=self._quiet)
        self._current.begin(f"{scorer} on {name}", pairs, 0)
        return self._current.advance

    def end(self) -> None:
        if self._current is not None:
            self._current.end()
            self._current = None
