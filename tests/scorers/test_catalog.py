"""Names of figures, options, defaults, plugins."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
from make import JUDGED, said, sample

from halueval.config import MetricSpec, TaskSpec
from halueval.errors import SourceError, UsageError
from halueval.schema import Kind, OutputType, Score
from halueval.scorers import catalog
from halueval.scorers.base import MeanScorer
from halueval.scorers.catalog import create, create_from_spec, default_scorers, scorer_classes, scorer_names

# The contract's names that this version has; the rest come with calibration and consistency scorers.
CONTRACT = (
    "exact_match token_f1 accuracy balanced_accuracy macro_precision macro_recall macro_f1 micro_f1 word_accuracy "
    "sentence_accuracy rouge1 rouge2 rougeL rougeLsum token_perplexity word_perplexity byte_perplexity bits_per_byte "
    "reference_nll entity_precision hallucination_rate answer_rate refusal_rate empty_rate truncated_rate "
    "unparsable_rate response_tokens accuracy_given_attempted confidence_target_0.75 mc1 mc2"
)
TASK = {"task": "t", "doc_to_target": "{{a}}"}


class Plugin(MeanScorer):
    name = "plugged"

    def __init__(self, *, language="en", factor=1):
        self.language, self.factor = language, factor

    def score(self, sample, outcome, judged):
        return Score(float(self.factor))


def entry(name, value=f"{__name__}:Plugin"):
    return EntryPoint(name, value, catalog.ENTRY_POINT_GROUP)


@pytest.fixture
def plugins(monkeypatch):
    def install(*entries):
        monkeypatch.setattr(catalog, "entry_points", lambda group: entries)

    return install


def task(output_type):
    return TaskSpec.model_validate({**TASK, "output_type": output_type})


def test_all_names_of_the_contract_are_there():
    assert set(CONTRACT.split()) <= set(scorer_names())


@pytest.mark.parametrize("name", scorer_names())
def test_every_figure_can_be_built_and_says_what_it_is(name):
    scorer = create(name)
    assert scorer.name == name
    assert 20 < len(scorer.summary) <= 110
    assert scorer.version >= 1


def test_classes_stand_in_the_order_of_names(plugins):
    plugins(entry("plugged"))
    assert tuple(cls.name for cls in scorer_classes()) == scorer_names()


def test_perplexity_per_token_warns_of_other_tokenizers():
    assert "same tokenizer" in create("token_perplexity").summary


def test_names_of_the_harness():
    generate, choice = task("generate_until"), task("multiple_choice")
    names = {
        "acc": "accuracy",
        "acc_norm": "accuracy_norm",
        "acc_bytes": "accuracy_bytes",
        "em": "exact_match",
    }
    for alias, name in names.items():
        assert create(alias).name == name
    assert create("f1", task=generate).name == "token_f1"
    assert create("f1", task=choice).name == "binary_f1"


@pytest.mark.parametrize(
    ("name", "hint"), [("exact_macth", "exact_match"), ("rouge_l", "rougeL"), ("acuracy", "accuracy")]
)
def test_an_unknown_name_is_answered_with_the_nearest(name, hint):
    with pytest.raises(UsageError, match=f"unknown metric '{name}'.*{hint}"):
        create(name)


def test_an_unknown_option_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="unknown option 'ignore_cas'; did you mean 'ignore_case'"):
        create("exact_match", options={"ignore_cas": True})
    with pytest.raises(UsageError, match="unknown option 'x'; it has no options"):
        create("mc1", options={"x": 1})


def test_language_and_task_reach_the_scorers_that_use_them():
    assert create("token_f1", language="zh").score(sample(["北京"]), said("北"), JUDGED).value == pytest.approx(2 / 3)
    assert create("accuracy", task=task("generate_until")).needs == {"response"}
    assert create("accuracy", task=task("multiple_choice")).needs == {"choices"}


def test_direction_in_a_task_must_agree():
    spec = MetricSpec.model_validate({"metric": "exact_match", "higher_is_better": False})
    with pytest.raises(UsageError, match="higher_is_better is True"):
        create_from_spec(spec, task=task("generate_until"))
    agreed = MetricSpec.model_validate({"metric": "exact_match", "aggregation": "mean", "higher_is_better": True})
    assert create_from_spec(agreed, task=task("generate_until")).name == "exact_match"


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("output_type", list(OutputType))
def test_defaults_exist_and_fit_their_task(kind, output_type):
    allowed = {
        OutputType.GENERATE_UNTIL: {"response", "references", "reference"},
        OutputType.MULTIPLE_CHOICE: {"choices", "references", "reference"},
        OutputType.LOGLIKELIHOOD_ROLLING: {"rolling"},
    }[output_type]
    names = default_scorers(kind, output_type, False)
    assert len(names) == len(set(names)) > 0
    for name in names:
        assert create(name, task=task(output_type.value)).needs <= allowed, name
    with_source = default_scorers(kind, output_type, True)
    assert set(with_source) - set(names) <= {"entity_precision", "consistency", "consistency_likelihood"}


def test_a_plugin_is_found_by_its_entry_point(plugins):
    plugins(entry("plugged"))
    assert "plugged" in scorer_names()
    assert create("plugged", options={"factor": 2}, language="fr").score(sample(), said(""), JUDGED).value == 2
    with pytest.raises(UsageError, match="unknown option"):
        create("plugged", options={"factors": 2})


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry("exact_match")], "also one of halueval itself"),
        ([entry("acc")], "also one of halueval itself"),
        ([entry("plugged"), entry("plugged", "other:Thing")], "also one of"),
    ],
)
def test_colliding_plugins_are_refused(plugins, entries, message):
    plugins(*entries)
    with pytest.raises(UsageError, match=message):
        scorer_names()


@pytest.mark.parametrize(
    ("value", "message"),
    [("no_such_module:X", "cannot be loaded"), ("json:dumps", "must be a subclass"), (f"{__name__}:JUDGED", "must be")],
)
def test_a_broken_plugin_is_named(plugins, value, message):
    plugins(entry("plugged", value))
    with pytest.raises(UsageError, match=message):
        create("plugged")


def test_a_path_without_a_file_is_named():
    with pytest.raises(SourceError, match=r"'\./metrics/mine\.py': no such file or directory"):
        create("./metrics/mine.py")


def test_the_catalog_is_light():
    code = (
        "import sys, halueval.scorers.catalog as c; c.scorer_names(); "
        "print([m for m in ('torch', 'evaluate', 'datasets', 'nltk', 'rouge_score', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
