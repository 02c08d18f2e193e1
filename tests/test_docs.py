"""The documentation: every figure is defined, every page can be reached, both READMEs say the same."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_type_hints

import pytest
from calibrated import run_choices
from planted import facts_task, run_of

import halueval
from halueval.calibrating.calibration import calibrate
from halueval.compare import fields as diff_fields
from halueval.compare import record as diff_record
from halueval.consistency.catalog import scorer_class
from halueval.consistency.catalog import scorer_names as consistency_names
from halueval.leaderboard.cells import COLUMNS
from halueval.scorers.catalog import scorer_names
from halueval.uncertainty.measures import MEASURES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
PAGES = sorted(DOCS.rglob("*.md"))
LINK = re.compile(r"!?\[[^\]\n]*\]\(([^)\s]+)\)")


def read(path):
    """A page without the leaderboard that `make leaderboard` writes into it."""
    begin, end = "<!-- halueval:leaderboard:begin -->", "<!-- halueval:leaderboard:end -->"
    return re.sub(f"{begin}.*?{end}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def without_code(text):
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


# Figures


@pytest.fixture(scope="module")
def defined():
    """What the tables of docs/metrics.md define: the names in their first columns."""
    lines = (DOCS / "metrics.md").read_text(encoding="utf-8").splitlines()
    first = [line.replace("\\|", "").split("|")[1] for line in lines if line.startswith("| `")]
    return {name for cell in first for name in re.findall(r"`([^`]+)`", cell)}


def test_every_figure_of_a_run_is_defined(defined):
    assert set(scorer_names()) - defined == set()


def test_every_consistency_scorer_is_defined(defined):
    assert set(consistency_names()) - defined == set()


RANGES = {
    "nli": "0–1",
    "summac_zs": "−1–1",
    "summac_conv": "0–1; of v itself, any real number",
    "alignscore": "0–1",
    "minicheck": "0–1",
    "hhem": "0–1",
}


def test_scorers_with_a_model_of_their_own_are_defined_one_by_one():
    # One row said 0–1 of all six and sent the reader to the code.
    table = (DOCS / "metrics.md").read_text(encoding="utf-8").split("| scorer | value | the source is split into |")[1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n\n")[0].splitlines()[2:]]
    assert {row[0].strip("`"): row[3] for row in rows} == RANGES
    for name, *cells in rows:
        scorer = scorer_class(name.strip("`"))
        threshold = "none" if scorer.threshold is None else f"{scorer.threshold:g}".lstrip("0")
        languages = {None: "", frozenset({"en"}): ", English"}[scorer.languages]
        assert cells[3] == threshold + languages, name
        assert all(cells), name


def test_the_card_of_lite_says_where_its_threshold_is_from():
    made = json.loads((ROOT / "halueval" / "consistency" / "lite" / "lite.json").read_text(encoding="utf-8"))
    card = (DOCS / "metrics.md").read_text(encoding="utf-8").split("**`lite`, its card.**")[1].split("**`lite_lm`")[0]
    sets = made["threshold_from"].removeprefix("validation parts of ").split(", ")
    assert len(sets) == 3
    assert [name for name in sets if f"`{name}`" not in card] == []


def test_every_measure_of_uncertainty_is_defined(defined):
    assert {*MEASURES, "auroc", "aurac", "prr"} - defined == set()


def test_every_figure_of_calibration_is_defined(defined, tmp_path):
    for name in ("choices", "answers"):
        (tmp_path / name).mkdir()
    chosen = run_choices(tmp_path / "choices", n=120)
    answered = run_of(facts_task(tmp_path / "answers", 80), tmp_path / "out", wrong=range(0, 80, 2))
    found = set()
    for run in (chosen, answered):
        record = calibrate(run.path, n_resamples=100)
        found |= {name for variant in record["variants"] for name in variant["figures"]}
    assert {re.sub(r"_at_[\d.]+$", "_at_C", name) for name in found} - defined == set()
    assert len(found) > 12


NOT_FIGURES = {"reason", "text", "ci_method", "ci_reason", "test", "curves", "run", "metric", "metrics", "reasons"}
NOT_FIGURES |= {"rates", "lengths", "tasks", "samples", "transitions"}


def test_every_field_of_a_difference_is_defined(defined, tmp_path):
    parts = ("Figure", "Rate", "NetRate", "Bound", "Bounds", "Stratum", "FormatDrift", "Calibration")
    parts += ("CalibrationFigure", "NoiseFloor", "Macro", "SummaryRow", "Pairing")
    known = {
        field
        for part in parts
        for field in get_type_hints(getattr(diff_fields, part, None) or getattr(diff_record, part))
    }
    known |= {
        field for field in get_type_hints(diff_record.TaskDiff) if field.endswith("_rate") or field == "transitions"
    }
    base = run_of(facts_task(tmp_path, 60), tmp_path / "out", wrong=range(20))
    other = run_of(tmp_path / "capitals.yaml", tmp_path / "out", wrong=range(40), weights="x", name="other")
    task = halueval.diff(base, other).record["tasks"]["capitals"]
    drift = task["format_drift"]
    known |= {*task["metrics"], *task["likelihood"], *drift["rates"], *drift["lengths"]}
    assert known - NOT_FIGURES - defined == set()


def test_every_column_of_the_leaderboard_is_explained(defined):
    assert {column.key for column in COLUMNS} - defined == set()
    text = (DOCS / "leaderboard.md").read_text(encoding="utf-8")
    assert [column.title for column in COLUMNS if f"| {column.title}" not in text] == []


def test_every_figure_of_agreement_is_defined(defined):
    from halueval.stats import agreement

    functions = {"choose_threshold", "estimate"}
    names = {name for name in agreement.__all__ if name.islower()} - functions
    assert {name for name in names if callable(getattr(agreement, name))} - defined == set()
    assert "kendall" in names


# Pages


def nav_pages(entry):
    if isinstance(entry, str):
        yield entry
    else:
        for part in entry.values() if isinstance(entry, dict) else entry:
            yield from nav_pages(part)


def test_every_page_stands_in_the_navigation_once():
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    listed = list(nav_pages(nav))
    # zensical names neither a page that is missing in `nav` nor an image that does not exist.
    assert sorted(listed) == [page.relative_to(DOCS).as_posix() for page in PAGES], "add the page to zensical.toml"


@pytest.mark.parametrize("page", [*READMES, ROOT / "CONTRIBUTING.md", *PAGES], ids=lambda p: p.name)
def test_what_a_page_points_to_exists(page):
    for target in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        if not re.match(r"https?://|#", target):
            path = (page.parent / target.partition("#")[0]).resolve()
            assert path.exists(), target
            # What stands outside docs/ has no place on the site: name it as code.
            assert page not in PAGES or path.is_relative_to(DOCS), target


def test_pictures_are_light():
    assert [p.name for p in (DOCS / "images").iterdir() if p.stat().st_size > 200_000] == []


def test_the_site_builds_strictly_and_asks_nothing_of_another_host(tmp_path):
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    shutil.copytree(DOCS, tmp_path / "docs")
    command = [str(Path(sys.executable).parent / "zensical"), "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    site = tmp_path / "build" / "docs"
    assert len(list(site.rglob("*.html"))) >= len(PAGES)
    for page in site.rglob("*.html"):
        asked = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"?(https?://[^\s\">]+)", page.read_text())
        assert asked == [], page.name


# READMEs


def blocks(path):
    return re.findall(r"^```\w*\n(.*?)^```$", read(path), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_a_readme_has_a_place_for_the_leaderboard(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("halueval:leaderboard:begin") == text.count("halueval:leaderboard:end") == 1


def test_both_readmes_have_the_same_code_headings_and_links():
    english, chinese = READMES
    assert blocks(chinese) == blocks(english)
    texts = [without_code(read(path)) for path in READMES]
    headings = [re.findall(r"^(#+) ", text, re.MULTILINE) for text in texts]
    assert headings[1] == headings[0]
    links = [sorted(set(LINK.findall(text)) - {"README.md", "README.zh-CN.md"}) for text in texts]
    assert links[1] == links[0]
    rows = [len(re.findall(r"^\|", text, re.MULTILINE)) for text in texts]
    assert rows[1] == rows[0]


def test_figures_are_the_same_in_both_readmes():
    numbers = [sorted(re.findall(r"\d+(?:[.,]\d+)*", without_code(read(path)))) for path in READMES]
    assert numbers[1] == numbers[0]


# Shell completion


@pytest.mark.parametrize(
    ("shell", "told"), [("bash", "complete -o nosort"), ("zsh", "#compdef"), ("fish", "complete ")]
)
def test_the_source_of_completion_is_printed(shell, told):
    text = (DOCS / "completion.md").read_text(encoding="utf-8")
    assert f"_HALUEVAL_COMPLETE={shell}_source halueval" in text
    done = complete(f"{shell}_source")
    assert told in done.stdout, done.stderr
    assert "_HALUEVAL_COMPLETE" in done.stdout


def test_commands_options_and_values_complete():
    assert "plain,diff" in complete("bash_complete", "halueval di", 1).stdout
    assert "plain,--dtype" in complete("bash_complete", "halueval run --dt", 2).stdout
    assert "plain,bfloat16" in complete("bash_complete", "halueval run --dtype b", 3).stdout


def complete(instruction, words="", position=0):
    code = "import sys; sys.argv = ['halueval']; from halueval.cli.main import main; main()"
    env = {**os.environ, "_HALUEVAL_COMPLETE": instruction, "COMP_WORDS": words, "COMP_CWORD": str(position)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
