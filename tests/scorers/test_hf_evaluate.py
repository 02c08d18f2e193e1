"""Metrics of Hugging Face `evaluate`, from a local module; nothing is downloaded."""

from types import SimpleNamespace

import pytest
from make import JUDGED, said, sample

from halueval.config import MetricSpec, TaskSpec
from halueval.errors import SourceError, UsageError
from halueval.schema import Judged, Outcome, Score, State
from halueval.scorers.aggregate import summarise
from halueval.scorers.base import score_sample
from halueval.scorers.catalog import create, create_from_spec

MODULE = """
import datasets
import evaluate


class {cls}(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="",
            features=datasets.Features({{"predictions": datasets.Value("{kind}"), "references": {references}}}),
        )

    def _compute(self, predictions, references, scale=1.0):
        {body}
"""
# Characters predicted per character of reference: over a set a ratio of sums, no mean of ratios.
RATIO = """if "boom" in predictions:
            raise ValueError("cannot take boom")
        return {"ratio": scale * sum(map(len, predictions)) / sum(map(len, references))}"""


@pytest.fixture(scope="module", autouse=True)
def private_cache(tmp_path_factory):
    """Loaded modules are copied into a cache; keep the user's out of it."""
    import evaluate

    home = tmp_path_factory.mktemp("hf")
    patch = pytest.MonkeyPatch()
    patch.setattr(evaluate.config, "HF_MODULES_CACHE", str(home / "modules"))
    patch.setattr(evaluate.config, "HF_METRICS_CACHE", home / "metrics")
    patch.setattr("evaluate.loading.HF_MODULES_CACHE", str(home / "modules"), raising=False)
    yield
    patch.undo()


@pytest.fixture
def write(tmp_path):
    def write(name, body, kind="string", references='datasets.Value("string")'):
        directory = tmp_path / name
        directory.mkdir()
        code = MODULE.format(cls=name.title(), kind=kind, references=references, body=body)
        (directory / f"{name}.py").write_text(code)
        return str(directory)

    return write


def test_the_figure_of_a_set_is_computed_anew(write):
    scorer = create(write("ratio", RATIO), options={"scale": 2.0})
    assert scorer.name == "ratio"
    rows = [("ab", "a"), ("a", "abc"), ("boom", "x"), ("abc", "ab")]
    scores = [score_sample(scorer, sample([r]), said(p), JUDGED) for p, r in rows]
    assert [s.value for s in scores] == [4.0, pytest.approx(2 / 3), None, 3.0]
    assert scores[2].reason == "ratio failed: cannot take boom"
    figure = summarise([scorer], {"ratio": scores}, list("abcd"), seed=0, n_resamples=1000)["ratio"]
    assert figure.value == pytest.approx(2 * 6 / 6)  # not the mean of the rows, 2.56
    assert figure.ci_method == "bootstrap-200"
    assert 2 / 3 <= figure.ci_low < figure.value < figure.ci_high <= 4
    assert figure.unscored_reasons == {"ratio failed: cannot take boom": 1}


def test_the_mean_of_rows_on_request(write):
    scorer = create(write("ratiomean", RATIO.replace('"ratio"', '"ratiomean"')), options={"aggregation": "mean"})
    scores = [score_sample(scorer, sample([r]), said(p), JUDGED) for p, r in [("ab", "a"), ("a", "ab")]]
    figure = summarise([scorer], {scorer.name: scores}, ["a", "b"], seed=0, n_resamples=100)[scorer.name]
    assert figure.value == pytest.approx((2 + 0.5) / 2)


def test_a_task_says_how_to_aggregate_and_which_way_is_up(write):
    path = write("ratiospec", RATIO.replace('"ratio"', '"ratiospec"'))
    task = TaskSpec.model_validate({"task": "t", "output_type": "generate_until", "doc_to_target": "x"})
    spec = MetricSpec.model_validate({"metric": path, "aggregation": "mean", "higher_is_better": False})
    scorer = create_from_spec(spec, task=task)
    scores = [score_sample(scorer, sample([r]), said(p), JUDGED) for p, r in [("ab", "a"), ("a", "ab")]]
    figure = summarise([scorer], {scorer.name: scores}, ["a", "b"], seed=0, n_resamples=100)[scorer.name]
    assert figure.value == pytest.approx((2 + 0.5) / 2)
    assert figure.higher_is_better is False


def test_one_of_several_results(write):
    path = write("several", 'return {"one": 1.0, "two": [2.0, 2.0]}')
    assert create(path, options={"key": "two"}).score(sample(["x"]), said("x"), JUDGED).value == 2
    with pytest.raises(UsageError, match="gives one, two; say which with 'key:'"):
        create(path).score(sample(["x"]), said("x"), JUDGED)


def test_lists_of_references_and_class_indices(write):
    listed = 'datasets.Sequence(datasets.Value("string"))'
    path = write("anyof", 'return {"anyof": float(predictions[0] in references[0])}', references=listed)
    assert create(path).score(sample(["x", "y"]), said("y"), JUDGED).value == 1
    numeric = write("same", 'return {"same": float(predictions == references)}', "int32", 'datasets.Value("int32")')
    task = TaskSpec.model_validate({"task": "t", "output_type": "multiple_choice", "doc_to_target": "0"})
    scorer = create(numeric, task=task)
    item = sample(choices=("a", "b"), gold=[1])
    assert scorer.needs == {"choices"}
    assert scorer.score(item, Outcome(loglikelihoods=(-2.0, -1.0)), Judged(State.CORRECT, prediction=1)).value == 1
    assert "compares numbers" in create(numeric).score(sample(["x"]), said("x"), JUDGED).reason


def test_not_a_number_is_unscored(write):
    scorer = create(write("nan", 'return {"nan": float("nan")}'))
    assert scorer.score(sample(["x"]), said("x"), JUDGED) == Score.unscored("not a finite number (nan)")


def test_what_cannot_be_had_is_said_in_one_line(monkeypatch, tmp_path):
    import evaluate

    def unreachable(*args, **kwargs):
        raise FileNotFoundError("Couldn't find a module script")

    monkeypatch.setattr(evaluate, "load", unreachable)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SourceError) as error:
        create("wer")
    message = str(error.value)
    assert "'wer'" in message
    assert "HF_HUB_OFFLINE is set" in message
    assert "a path to a local copy" in message
    assert "\n" not in message
    (tmp_path / "hollow").mkdir()
    with pytest.raises(SourceError, match=r"holds no module hollow\.py"):
        create(str(tmp_path / "hollow"))


def test_code_of_others_on_the_hub_needs_trust():
    with pytest.raises(UsageError, match="--trust-remote-code"):
        create("somebody/metric")


def test_a_module_that_does_not_compile_is_named(tmp_path):
    (tmp_path / "broken.py").write_text("def (")
    with pytest.raises(SourceError, match="cannot be loaded"):
        create(str(tmp_path / "broken.py"))


def test_a_metric_of_the_library_in_place_of_ours(monkeypatch):
    asked = []

    import evaluate

    def load(path, **kwargs):
        asked.append(path)
        return SimpleNamespace(features={})

    monkeypatch.setattr(evaluate, "load", load)
    assert create("exact_match", options={"hf_evaluate": True}).name == "exact_match"
    assert asked == ["evaluate-metric/exact_match"]


def test_a_wrong_aggregation():
    with pytest.raises(UsageError, match="aggregation must be"):
        create("wer", options={"aggregation": "median"})
