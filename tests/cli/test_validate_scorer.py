"""`halueval validate-scorer` on a tiny set, with scorers that need no model."""

import importlib.util
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from small_sets import TINY_SET

from halueval.consistency import catalog
from halueval.consistency.base import ConsistencyScorer, Verdict
from halueval.errors import ModelError
from halueval.validation.fitted import seen_before

SET = {**TINY_SET, "columns": {**TINY_SET["columns"], "system": "system", "error_types": "errors"}}


class Share(ConsistencyScorer):
    name = "share"
    summary = "share of the claim's words in the source"
    threshold = 0.9

    def __init__(self, sharpness: float = 1.0) -> None:
        self.sharpness = sharpness

    def verdicts(self, pairs, advance):
        out = []
        for pair in pairs:
            words = pair.claim.lower().split()
            value = sum(word in pair.source.lower().split() for word in words) / len(words)
            out.append(Verdict(value**self.sharpness))
            advance(1)
        return out


class Constant(ConsistencyScorer):
    name = "constant"

    def verdicts(self, pairs, advance):
        advance(len(pairs))
        return [Verdict(0.5) for _ in pairs]


class Broken(ConsistencyScorer):
    name = "broken"

    def verdicts(self, pairs, advance):
        raise ModelError("broken: no weights")


class Stopped(ConsistencyScorer):
    name = "stopped"

    def verdicts(self, pairs, advance):
        raise KeyboardInterrupt


class Fickle(Share):
    name = "fickle"

    def verdicts(self, pairs, advance):
        made = super().verdicts(pairs, advance)
        return [
            Verdict.unscored("too short") if len(p.claim.split()) < 4 else v for p, v in zip(pairs, made, strict=True)
        ]


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    classes = {cls.name: cls for cls in (Share, Constant, Fickle, Broken, Stopped)}
    monkeypatch.setattr(catalog, "SCORERS", dict.fromkeys(classes, "made:up"))
    monkeypatch.setattr(catalog, "scorer_class", lambda name: classes[name])
    rows = []
    for i in range(24):
        text = f"town {i} has a river and a bridge of stone"
        good = f"town {i} has a river" if i % 3 else f"town {i}"
        rows.append({"text": text, "claim": good, "label": 1, "system": f"s{i % 2}", "errors": []})
        wrong = f"town {i} has a harbour" if i % 4 else f"town {i} has a river"
        rows.append(
            {
                "text": text,
                "claim": wrong,
                "label": 0,
                "system": f"s{i % 2}",
                "errors": ["swap"] if i % 2 else ["made up"],
            }
        )
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(SET))
    (tmp_path / "tiny.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture
def call(invoke, tiny):
    def run(*arguments):
        given = ["--on", tiny / "tiny.yaml", "--data-dir", tiny, "--n-resamples", 200]
        return invoke("validate-scorer", *arguments, *given)

    return run


def test_json_has_every_figure_of_the_contract(call, tiny):
    done = call("share", "--json", "-")
    assert done.returncode == 0
    entry = json.loads(done.stdout)["share"]["tiny"]
    assert entry["n"] == 48
    for figure in (
        "pearson",
        "spearman",
        "kendall",
        "partial_pearson",
        "roc_auc",
        "average_precision",
        "balanced_accuracy",
    ):
        assert entry[figure]["ci_low"] < entry[figure]["value"] < entry[figure]["ci_high"]
    assert entry["average_precision"]["base_rate"] == 0.5
    assert 0.8 < entry["balanced_accuracy"]["threshold"] < 1
    assert entry["balanced_accuracy"]["threshold_from"] == "40% of the documents, by hash"
    assert entry["balanced_accuracy"]["n"] < 48
    assert entry["balanced_accuracy_own_threshold"]["threshold"] == 0.9
    assert set(entry["controls"]) == {"length_only", "extractiveness_only"}
    assert {"pearson", "roc_auc", "balanced_accuracy"} <= set(entry["controls"]["length_only"])
    assert set(entry["by_error_type"]) == {"swap", "made up"}
    assert entry["by_error_type"]["swap"]["roc_auc"]["value"] == 1
    assert entry["by_sentences"]["1"]["n"] == 48


def test_auc_by_hand(call):
    # Consistent claims all have 1; 6 of 24 inconsistent ones (i % 4 == 0) have 1 too, the others .75 (or so).
    entry = json.loads(call("share", "--json", "-").stdout)["share"]["tiny"]
    assert entry["roc_auc"]["value"] == pytest.approx((18 + 6 / 2) / 24)


def test_what_has_no_value_is_null_with_a_reason(call):
    done = call("constant", "--json", "-")
    entry = json.loads(done.stdout)["constant"]["tiny"]
    assert entry["pearson"] == {"value": None, "ci_low": None, "ci_high": None, "reason": "all scores are equal"}
    assert entry["balanced_accuracy"]["value"] is None
    assert "validation part" in entry["balanced_accuracy"]["reason"]


def test_unscored_rows_are_counted_and_left_out(call):
    entry = json.loads(call("fickle", "--json", "-").stdout)["fickle"]["tiny"]
    assert (entry["n"], entry["n_unscored"]) == (40, 8)
    assert entry["unscored_reasons"] == {"too short": 8}
    shown = call("fickle").stdout
    assert "40 (+8 unscored)" in shown
    assert "fickle on tiny: 8 rows unscored: too short" in shown


def test_table_shows_controls_and_base_rate(call):
    shown = call("share").stdout
    assert "length only" in shown
    assert "extractiveness only" in shown
    assert "(.50)" in shown


def test_table_shows_strata(call):
    shown = call("share", "constant").stdout
    start = shown.index("tiny: ROC AUC by inconsistent claims with this error")
    head, *rows = shown[start:].splitlines()[1:4]
    assert head.split()[-3:] == ["n", "share", "constant"]
    found = {row.split()[0]: row for row in rows}
    # Half of the false claims are swaps, none of which is a consistent one's twin; of the others half are.
    assert "12  1.000" in found["swap"]
    assert "12  .750" in found["made"]
    assert "by sentences of the claim" not in shown  # all have one


def test_controls_stand_on_the_rows_of_each_scorer(call, tiny):
    shown = call("share", "constant", "fickle", "--json", tiny / "a.json", "--plot", tiny / "a.svg").stdout
    lines = [line.strip() for line in shown.splitlines() if line.strip().startswith(("length only", "extractiveness"))]
    assert len(lines) == 4  # share and constant have the same rows
    entry = json.loads((tiny / "a.json").read_text())["fickle"]["tiny"]
    copied = next(line for line in lines if line.startswith("extractiveness only, rows of fickle"))
    assert "  40  " in copied
    assert f"{entry['controls']['extractiveness_only']['roc_auc']['value']:.3f}".lstrip("0") in copied
    assert any("all rows" in line and "  48  " in line for line in lines)
    assert "extractiveness only, rows of fickle" in (tiny / "a.svg").read_text()
    assert ", all rows" not in call("share", "constant").stdout


def test_a_scorer_on_the_set_that_it_was_fitted_on_is_told_loudly(call, tiny, monkeypatch):
    monkeypatch.setattr(Share, "name", "lite_lm")
    monkeypatch.setattr(catalog, "SCORERS", dict.fromkeys(("lite_lm", "constant"), "made:up"))
    monkeypatch.setattr(catalog, "scorer_class", lambda name: {"lite_lm": Share, "constant": Constant}[name])
    (tiny / "tiny.yaml").write_text(yaml.safe_dump({**SET, "name": "summeval"}))
    said = "lite_lm on summeval is no evidence: it was fitted on summeval"
    shown = call("lite_lm", "constant", "--json", tiny / "a.json", "--markdown", tiny / "a.md").stdout
    assert f"WARNING: {said}" in shown
    assert "lite_lm (NO EVIDENCE: has seen this set)" in shown
    text = (tiny / "a.md").read_text()
    assert f"**Warning: {said}.**" in text
    assert "| lite_lm (NO EVIDENCE: has seen this set) | 48 |" in text
    record = json.loads((tiny / "a.json").read_text())
    assert record["lite_lm"]["summeval"]["warning"] == said
    assert "warning" not in record["constant"]["summeval"]


@pytest.mark.parametrize(
    ("scorer", "name", "said"),
    [
        ("lite_lm", "rank19", "it was fitted on rank19"),
        ("lite_lm", "fever_symmetric", "it was fitted on fever_symmetric"),
        ("lite_lm", "factual_summary_pairs", "it was fitted on rank19, which holds the pairs of factual_summary_pairs"),
        ("lite", "summeval", "its penalty was chosen on summeval"),
        ("lite_lm", "qags_xsum", None),
        ("lite", "rank19", None),
        ("rouge_precision", "summeval", None),
    ],
)
def test_which_sets_a_learnt_scorer_has_seen(scorer, name, said):
    found = seen_before(scorer, name)
    assert found == (said and f"{scorer} on {name} is no evidence: {said}")


def test_comparison_is_second_minus_first(call):
    done = call("constant", "share,fickle", "--compare", "--json", "-")
    record = json.loads(done.stdout)
    assert "compared_with" not in record["constant"]["tiny"]
    assert record["share"]["tiny"]["compared_with"]["constant"]["pearson"]["reason"] == "all scores are equal"
    done = call("share", "fickle", "--compare", "--json", "-")
    made = json.loads(done.stdout)["fickle"]["tiny"]["compared_with"]["share"]
    assert made["n"] == 40
    assert made["roc_auc"]["delta"] == 0
    assert "same up to scale" in made["williams"]["reason"]
    assert "fickle − share" in call("share", "fickle", "--compare").stdout


def test_options_reach_the_scorer(call):
    plain = json.loads(call("share", "--json", "-").stdout)["share"]["tiny"]
    sharp = json.loads(call("share", "--option", "share:sharpness=4", "--json", "-").stdout)["share"]["tiny"]
    assert sharp["balanced_accuracy"]["threshold"] < plain["balanced_accuracy"]["threshold"]
    assert sharp["spearman"]["value"] == pytest.approx(plain["spearman"]["value"])


def test_files_are_written(call, tiny):
    done = call(
        "share",
        "constant",
        "--compare",
        "--json",
        tiny / "a.json",
        "--markdown",
        tiny / "a.md",
        "--plot",
        tiny / "a.svg",
    )
    assert done.returncode == 0
    assert set(json.loads((tiny / "a.json").read_text())) == {"share", "constant"}
    text = (tiny / "a.md").read_text()
    assert "## tiny" in text
    assert "| share | 48 |" in text
    assert "by inconsistent claims with this error" in text
    drawn = ET.parse(tiny / "a.svg").getroot()
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    assert "share" in "".join(drawn.itertext())


@pytest.mark.parametrize(("second", "code", "said"), [("broken", 2, "no weights"), ("stopped", 3, "after 1 results")])
def test_a_later_scorer_that_fails_takes_nothing_with_it(call, tiny, second, code, said):
    done = call("share", second, "--json", tiny / "a.json")
    assert done.returncode == code
    assert said in done.stderr
    assert set(json.loads((tiny / "a.json").read_text())) == {"share"}


def test_samples_are_written_beside_the_table_or_alone(call, tiny):
    shown = call("share,fickle", "--samples", tiny / "claims.jsonl").stdout
    assert "share" in shown
    lines = (tiny / "claims.jsonl").read_text().splitlines(keepends=True)
    rows = [json.loads(line) for line in lines]
    assert [row["scorer"] for row in rows] == ["share"] * 48 + ["fickle"] * 48
    assert rows[1] == {
        "scorer": "share",
        "set": "tiny",
        "row": 1,
        "document": rows[0]["document"],
        "part": rows[0]["part"],
        "system": "s0",
        "claim": "town 0 has a river",
        "human": 0.0,
        "consistent": False,
        "error_types": ["made up"],
        "value": 1.0,
    }
    alone = call("fickle", "--scores", tiny / "kept", "--samples", "-")
    again = call("fickle", "--scores", tiny / "kept", "--samples", "-")
    assert alone.stdout == again.stdout == "".join(lines[48:])
    assert call("share", "--samples", "-", "--json", "-").returncode == 2


def test_rows_that_were_left_out_are_told(call, tiny):
    rest = {"label": 1, "system": "s0", "errors": []}
    with (tiny / "tiny.jsonl").open("a") as file:
        file.writelines(json.dumps({**rest, "text": t, "claim": c}) + "\n" for t, c in (("a", ""), ("", "b")))
    done = call("share", "--markdown", tiny / "a.md")
    said = "tiny: 2 rows left out: empty claim (1), no source (1)"
    assert said in done.stdout.splitlines()
    assert said in (tiny / "a.md").read_text()


def test_the_page_of_scorers_is_made_from_the_json(call, tiny, monkeypatch):
    directory = Path(__file__).parents[2] / "docs"
    spec = importlib.util.spec_from_file_location("docs_scorers", directory / "scorers.py")
    scorers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorers)
    call("share", "constant", "--json", tiny / "a.json")
    monkeypatch.setattr(scorers, "PAGE", tiny / "scorers.md")
    monkeypatch.setattr("sys.argv", ["scorers.py", str(tiny / "a.json")])
    assert scorers.main() == 0
    text = (tiny / "scorers.md").read_text()
    assert "| `share` | .88 |" in text
    assert "### tiny" in text
    monkeypatch.setattr("sys.argv", ["scorers.py", str(tiny / "tiny.jsonl")])
    assert scorers.main() == 2


def test_same_seed_same_figures(call):
    one, other, third = (json.loads(call("share", "--json", "-", "--seed", s).stdout) for s in (3, 3, 4))
    for made in (one, other, third):
        del made["share"]["tiny"]["seconds"]
    assert one == other
    assert one != third


def test_the_environment_names_the_data(invoke, tiny, monkeypatch):
    monkeypatch.setenv("HALUEVAL_DATA_DIR", str(tiny))
    assert invoke("validate-scorer", "share", "--on", tiny / "tiny.yaml", "--n-resamples", 100).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shrae", "--on", "qags_xsum"], "did you mean 'share'"),
        (["share", "--on", "qags_xsm"], "did you mean 'qags_xsum'"),
        (["share", "--on", "qags_xsum"], "--data-dir"),
        (["share"], "--on"),
        (["share", "--on", "qags_xsum", "--compare"], "two scorers"),
        (["share", "--on", "qags_xsum", "--option", "sharpness"], "KEY=VALUE"),
        (["share", "--on", "qags_xsum", "--option", "other:a=1"], "not among the scorers"),
        (["share", "--on", "qags_xsum", "--option", "sharp=1"], "unknown option 'sharp'"),
        (["share", "--on", "qags_xsum", "--json", "-", "--markdown", "-"], "both go to standard output"),
        (["share", "--on", "nowhere.yaml"], "cannot be read"),
        (["share", "--on", ","], "empty name"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(invoke, tiny, monkeypatch, arguments, said):
    monkeypatch.delenv("HALUEVAL_DATA_DIR", raising=False)
    done = invoke("validate-scorer", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("rouge_precision:n=abc", "option n is 'abc'; it must be a whole number, 1 or more"),
        ("rouge_precision:n=2.5", "option n is 2.5; it must be a whole number, 1 or more"),
        ("rouge_precision:n=0", "option n is 0; it must be"),
        ("rouge_precision:n=true", "option n is True; it must be"),
        ("factscore:gamma=ten", "option gamma is 'ten'; it must be a number, 0 or more"),
        ("factscore:threshold=high", "option threshold is 'high'; it must be a number"),
        ("factscore:threshold=.nan", "option threshold is nan; it must be a number"),
        ("factscore:passages=two", "option passages is 'two'; it must be a whole number, 1 or more"),
        ("factscore:checker_options=odd", "option checker_options is 'odd'; it must be a mapping"),
        ("factscore:checker_options={n: two}", "'rouge_precision': option n is 'two'"),
        ("nli:labels=5", "option labels is 5; it must be text or a list of texts"),
        ("nli:max_length=big", "option max_length is 'big'; it must be a whole number, 1 or more"),
        ("nli:max_length=0", "option max_length is 0; it must be"),
        ("summac_conv:batch_size=0", "option batch_size is 0; it must be"),
        ("minicheck:chunk_size=-1", "option chunk_size is -1; it must be"),
        ("hhem:by_sentence=5", "option by_sentence is 5; it must be true or false"),
        ("judge:endpoint=5", "option endpoint is 5; it must be text"),
        ("judge:timeout=abc", "option timeout is 'abc'; it must be a number above 0"),
        ("judge:timeout=0", "option timeout is 0; it must be a number above 0"),
        ("judge:retries=-1", "option retries is -1; it must be a whole number, 0 or more"),
        ("embedding:dtype=float17", "option dtype is 'float17'; it must be one of auto, float32, bfloat16, float16"),
        ("embedding:device=gpu", "option device is 'gpu'; it must be auto, cpu, cuda, cuda:0 … or mps"),
        ("entailment_probe:batch_size=1.5", "option batch_size is 1.5; it must be a whole number, 1 or more"),
    ],
)
def test_a_value_that_an_option_cannot_take_is_one_line_and_exit_2(invoke, option, said):
    # Tracebacks once, with the exit code of a failed gate.
    scorer = option.partition(":")[0]
    done = invoke("validate-scorer", scorer, "--on", "qags_xsum", "--option", option)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"consistency scorer '{scorer}'" in done.stderr or "checker_options={" in option
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_underscores_do_as_well(invoke, tiny):
    done = invoke("validate_scorer", "--help")
    assert done.returncode == 0
    assert "Examples:" in done.stdout
