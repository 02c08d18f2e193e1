# ruff: noqa: F811  # fixtures that are imported
import pytest
from chat_server import KEY, said, server, slept  # noqa: F401
from small_models import save_causal

from halueval.consistency.base import NO_SOURCE, Pair
from halueval.consistency.judge import NO_VERDICT, PROMPT_CUT, Judge, parse, prompt
from halueval.errors import ModelError, UsageError
from halueval.schema import FailedResponse, GenerationResponse


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("Verdict: consistent", 1.0),
        ("Verdict: inconsistent", 0.0),
        ("It says so.\n\nVERDICT: Consistent.\n \n", 1.0),
        ("So.\n**Verdict: inconsistent**", 0.0),
        ("原文如此。\n结论：一致", 1.0),
        ("结论: 不一致。", 0.0),
        ("Verdict: consistent\nOn reflection:\nVerdict: inconsistent", 0.0),
        ("consistent", None),
        ("The claim is consistent.", None),
        ("Verdict: consistent with most of it", None),
        ("Verdict: not consistent", None),
        ("Verdict: consistent or inconsistent", None),
        ("Verdict: inconsistent\nBut I am not sure.", None),
        ("I would not say Verdict: consistent", None),
        ("结论：基本一致", None),
        ("Verdict:", None),
        ("", None),
        (" \n\n", None),
    ],
)
def test_only_a_last_line_that_is_the_verdict_counts(answer, value):
    assert parse(answer) == value


def test_the_prompt_holds_the_texts_as_they_are():
    asked = prompt("S {claim} <<CLAIM>>", "C <<SOURCE>> {0}", None)
    assert "Source:\nS {claim} <<CLAIM>>\n" in asked
    assert "Claim:\nC <<SOURCE>> {0}\n" in asked
    assert "Question" not in asked
    assert asked.endswith("Verdict: consistent\nVerdict: inconsistent")
    assert "Question:\nQ?\n\nClaim:\nC\n" in prompt("S", "C", "Q?")
    chinese = prompt("原", "述", "问", "zh-Hans")
    assert "原文：\n原\n\n问题：\n问\n\n陈述：\n述\n" in chinese
    assert chinese.endswith("结论：一致\n结论：不一致")


def by_claim(body):
    asked = body["messages"][0]["content"]
    claim = asked.split("Claim:\n")[1].split("\n")[0]
    answers = {"Good.": "Verdict: consistent", "Bad.": "Verdict: inconsistent", "Odd.": "It is consistent, I think."}
    return said(answers[claim])


def test_an_endpoint_judges_each_pair_and_nonsense_is_counted(server):
    server.script = [by_claim]
    judge = Judge("judge-1", endpoint=server.url, concurrency=3)
    told = []
    pairs = [Pair("S.", claim) for claim in ("Good.", "Bad.", "Odd.", "Good.")] + [Pair(" ", "Good.")]
    verdicts = judge.score(pairs, told.append)
    assert [(v.value, v.reason) for v in verdicts] == [
        (1.0, None),
        (0.0, None),
        (None, NO_VERDICT),
        (1.0, None),
        (None, NO_SOURCE),
    ]
    assert judge.parse_failures == 1
    assert sum(told) == 5
    assert len(server.seen) == 4
    assert {request.body["temperature"] for request in server.seen} == {0}


def test_sentences_are_asked_about_one_by_one_where_wanted(server):
    server.script = [by_claim]
    judge = Judge("judge-1", endpoint=server.url, by_sentence=True)
    share, odd = judge.score([Pair("S.", "Good. Bad. Good. Good."), Pair("S.", "Good. Odd.")])
    assert share.value == 0.75
    assert [s.value for s in share.sentences] == [1, 0, 1, 1]
    assert (odd.value, odd.reason) == (None, NO_VERDICT)
    assert [(s.value, s.reason) for s in odd.sentences] == [(1, None), (None, NO_VERDICT)]


def test_a_request_that_fails_has_no_verdict_and_is_no_parse_failure(server, slept):
    server.script = [(400, {"error": "too long"}, {})]
    judge = Judge("judge-1", endpoint=server.url)
    (verdict,) = judge.score([Pair("S.", "Good.")])
    assert verdict.value is None
    assert "too long" in verdict.reason
    assert judge.parse_failures == 0


def test_neither_key_nor_its_variable_reaches_the_identity(server, monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    judge = Judge("judge-1", endpoint=server.url, api_key_env="SOME_KEY")
    assert judge.cost == "endpoint"
    identity = judge.identity()
    assert identity["model"] == "judge-1"
    assert KEY not in repr(identity)
    assert KEY not in repr(vars(judge))


def test_an_endpoint_needs_a_model():
    with pytest.raises(UsageError, match="`endpoint` needs `model`"):
        Judge(endpoint="https://host/v1")
    with pytest.raises(ModelError, match="'judge' needs a model"):
        Judge().score([Pair("S.", "C.")])


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    return str(save_causal(tmp_path_factory.mktemp("judge") / "m", window=1024))


def test_a_local_model_is_asked_greedily_and_its_nonsense_is_no_verdict(causal):
    judge = Judge(causal, device="cpu", dtype="float32", max_new_tokens=8)
    first, second = judge.score([Pair("Rome is in Italy.", "It was true."), Pair("Fe.", "It was not true.")])
    assert (first.value, first.reason) == (None, NO_VERDICT)
    assert judge.parse_failures == 2
    assert second.reason == NO_VERDICT
    assert len(judge.identity()["weights_sha256"]) == 64


class Backend:
    """Answers by rule, in one batch that is out of order."""

    def __init__(self, rule):
        self.rule = rule

    def budget(self, **_):
        return None

    def plan(self, requests, _):
        from halueval.backends.base import Batch

        order = tuple(reversed(range(len(requests))))
        return [Batch(order, tuple(requests[i] for i in order))]

    def run(self, batch):
        from halueval.backends.base import BatchResult

        assert all(request.temperature == 0 for request in batch.requests)
        return BatchResult([self.rule(request) for request in batch.requests])


def test_local_answers_come_back_in_order_with_their_faults(monkeypatch):
    def rule(request):
        if "Failed." in request.context:
            return FailedResponse("out of memory")
        text = "Verdict: consistent" if "Good." in request.context else "Verdict: inconsistent"
        return GenerationResponse(text, 3, "eos", -1.0, num_truncated=5 if "Long." in request.context else 0)

    judge = Judge("m")
    monkeypatch.setattr(judge, "_load", lambda: Backend(rule))
    verdicts = judge.score([Pair("S.", claim) for claim in ("Good.", "Failed.", "Long.", "Bad.")])
    assert [(v.value, v.reason, v.truncated) for v in verdicts] == [
        (1.0, None, 0),
        (None, "out of memory", 0),
        (None, PROMPT_CUT, 5),
        (0.0, None, 0),
    ]
    assert judge.parse_failures == 0


def test_a_local_judge_tells_of_its_progress_on_the_way(monkeypatch):
    judge, told, asked = Judge("m"), [], []

    def rule(request):
        asked.append(request)
        return GenerationResponse("Verdict: consistent", 3, "eos", -1.0)

    monkeypatch.setattr(judge, "_load", lambda: Backend(rule))
    judge.score([Pair("S.", "Good.")] * 130, lambda pairs: told.append((pairs, len(asked))))
    assert told == [(64, 64), (64, 128), (2, 130)]


def test_a_source_beyond_the_window_has_no_verdict(causal):
    judge = Judge(causal, device="cpu", dtype="float32", max_new_tokens=4)
    (verdict,) = judge.score([Pair("Rome is in Italy. " * 400, "It was true.")])
    assert (verdict.value, verdict.reason) == (None, PROMPT_CUT)
    assert verdict.truncated > 0


def test_a_chat_template_is_used_where_there_is_one(tmp_path):
    template = "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}"
    model = str(save_causal(tmp_path / "m", window=1024, chat_template=template))
    judge = Judge(model, device="cpu", dtype="float32", max_new_tokens=2)
    judge.score([Pair("S.", "C.")])
    assert judge._load().texts.chat.apply


def test_a_classifier_is_no_judge(models):
    with pytest.raises(ModelError, match="a model that writes"):
        Judge(str(models("bert")), device="cpu").score([Pair("S.", "C.")])
