"""The backend against the plain path: one text at a time through the model, nothing clever."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import answers, save_adapter, save_bert, save_causal
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, AutoTokenizer

from halueval.backends.base import ChatSettings
from halueval.backends.huggingface import HuggingFaceBackend
from halueval.backends.loading import locate
from halueval.config import ModelSpec
from halueval.errors import ModelError
from halueval.schema import (
    ClassificationRequest,
    FailedResponse,
    GenerationRequest,
    LoglikelihoodRequest,
    RollingRequest,
)

PAIRS = [
    ("The capital of France is", " Paris"),
    ("The capital of Italy is", " Rome, or was it?"),
    ("", "Answer"),
    ("Question: what is the chemical symbol of iron? Answer:", " Fe"),
    ("she said ", "that"),
]


def backend_of(directory, *, adapter=None, chat=None, dtype="float32"):
    located = locate(ModelSpec(name="small", source=str(directory)), adapter=adapter)
    return HuggingFaceBackend(located, device="cpu", dtype=dtype, chat=chat)


def run(backend, requests):
    return answers(backend, requests)


def plain_loglikelihood(directory, context, continuation):
    """log p(continuation | BOS context), every position's logits, no batch."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(directory), AutoTokenizer.from_pretrained(directory)
    whole = tokenizer(context + continuation)["input_ids"]
    start = len(tokenizer(context.rstrip())["input_ids"])
    with torch.inference_mode():
        logprobs = model(torch.tensor([whole])).logits[0].log_softmax(-1)
    return sum(float(logprobs[i - 1, whole[i]]) for i in range(start, len(whole)))


def test_causal_loglikelihoods_equal_the_plain_path_and_do_not_depend_on_the_batch(models):
    directory = models("causal")
    backend = backend_of(directory)
    together = run(backend, [LoglikelihoodRequest(*pair) for pair in PAIRS])
    for pair, response in zip(PAIRS, together, strict=True):
        assert response.loglikelihood == pytest.approx(plain_loglikelihood(directory, *pair), abs=1e-4)
        (alone,) = run(backend, [LoglikelihoodRequest(*pair)])
        assert response.loglikelihood == pytest.approx(alone.loglikelihood, abs=1e-4)
        assert response.num_tokens == alone.num_tokens


def test_one_bos_stands_before_a_prompt_and_one_under_a_chat_template(tmp_path):
    template = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant] "
    backend = backend_of(save_causal(tmp_path, chat_template=template), chat=ChatSettings(True, "Be brief."))
    ids = backend.texts.prompt(GenerationRequest("Hi", (), 3)).fed
    assert ids.count(backend.tokenizer.bos_token_id) == 1
    assert backend.tokenizer.decode(ids) == "<s>[system] Be brief.\n[user] Hi\n[assistant] "
    row = backend.texts.row(LoglikelihoodRequest("Hi", "yes"))
    assert row.ids.count(backend.tokenizer.bos_token_id) == 1


def test_a_tokenizer_without_bos_gets_none_but_for_an_empty_context(tmp_path):
    backend = backend_of(save_causal(tmp_path, bos=False))
    bos = backend.tokenizer.bos_token_id
    assert bos not in backend.texts.row(LoglikelihoodRequest("The", " capital")).ids
    assert backend.texts.row(LoglikelihoodRequest("", "The")).ids[0] == bos


def test_rolling_scores_each_token_once_over_windows(tmp_path):
    directory = save_causal(tmp_path, window=16)
    backend = backend_of(directory)
    text = "The capital of France is Paris. " * 6
    (response,) = run(backend, [RollingRequest(text)])
    model, tokenizer = backend.model, backend.tokenizer
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert response.num_tokens == len(ids) > 16
    expected, done = 0.0, 0
    while done < len(ids):
        end = min(done + 16, len(ids))
        head = [tokenizer.bos_token_id] if done == 0 else ids[max(end - 17, 0) : done]
        with torch.inference_mode():
            logprobs = model(torch.tensor([head + ids[done : end - 1]])).logits[0].log_softmax(-1)
        expected += sum(float(logprobs[len(head) - 1 + i, ids[done + i]]) for i in range(end - done))
        done = end
    assert response.loglikelihood == pytest.approx(expected, abs=1e-3)


def test_long_prompts_are_cut_from_the_left_and_counted(tmp_path):
    backend = backend_of(save_causal(tmp_path, window=16))
    long = "was it true? " * 20
    (cut,) = run(backend, [LoglikelihoodRequest(long, " yes")])
    assert cut.num_truncated > 0
    (generated,) = run(backend, [GenerationRequest(long, (), 4)])
    assert generated.num_truncated > 0
    (failed,) = run(backend, [LoglikelihoodRequest("x", " " + long)])
    assert isinstance(failed, FailedResponse)
    assert "exceeds the model's window of 16" in failed.reason


def test_greedy_generation_equals_transformers_one_by_one(models):
    directory = models("causal")
    backend = backend_of(directory)
    prompts = ["The capital of France is", "Question:", "A film was reviewed as"]
    responses = run(backend, [GenerationRequest(p, (), 12) for p in prompts])
    for prompt, response in zip(prompts, responses, strict=True):
        inputs = backend.tokenizer(prompt, return_tensors="pt")
        output = backend.model.generate(**inputs, max_new_tokens=12, do_sample=False)[0]
        expected = backend.tokenizer.decode(output[inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        assert response.text == expected


def test_generated_tokens_have_the_likelihood_that_scoring_them_gives(models):
    backend = backend_of(models("causal"))
    (generated,) = run(backend, [GenerationRequest("The capital of France is", (), 6)])
    assert generated.finish_reason == "length"
    inputs = backend.tokenizer("The capital of France is", return_tensors="pt")
    output = backend.model.generate(**inputs, max_new_tokens=6, do_sample=False)
    with torch.inference_mode():
        logprobs = backend.model(output).logits[0].log_softmax(-1)
    start = inputs["input_ids"].shape[1]
    expected = sum(float(logprobs[i - 1, output[0, i]]) for i in range(start, output.shape[1]))
    assert generated.loglikelihood == pytest.approx(expected, abs=1e-3)


def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(models):
    backend = backend_of(models("causal"))
    (free,) = run(backend, [GenerationRequest("Question:", (), 12)])
    stop = free.text[3:5]
    (stopped,) = run(backend, [GenerationRequest("Question:", (stop,), 12)])
    assert stopped.text == free.text[: free.text.index(stop)]
    assert stopped.finish_reason == "stop"
    assert stopped.num_tokens < free.num_tokens


def test_a_draw_depends_on_its_seed_and_not_on_its_neighbours(models):
    backend = backend_of(models("causal"))
    ask = GenerationRequest("The capital of", (), 8, temperature=1.0, seed=11)
    other = GenerationRequest("Question: what is the", (), 8, temperature=1.0, seed=12)
    alone = run(backend, [ask])[0].text
    assert run(backend, [other, ask])[1].text == alone
    drawn = {
        run(backend, [GenerationRequest("The capital of", (), 8, temperature=1.0, seed=s)])[0].text for s in range(6)
    }
    assert len(drawn) > 1


def test_top_k_of_one_is_greedy(models):
    backend = backend_of(models("causal"))
    (greedy,) = run(backend, [GenerationRequest("Answer:", (), 8)])
    (drawn,) = run(backend, [GenerationRequest("Answer:", (), 8, temperature=2.0, top_k=1, seed=3)])
    assert drawn.text == greedy.text
    (nucleus,) = run(backend, [GenerationRequest("Answer:", (), 8, temperature=1.0, top_p=1e-6, seed=3)])
    assert nucleus.text == greedy.text


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_encoder_decoder_likelihood_equals_the_models_own_loss(models, name):
    directory = models(name)
    backend = backend_of(directory)
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(directory), AutoTokenizer.from_pretrained(directory)
    sources, targets = ["The capital of France", "A film was"], ["Paris", "reviewed as good."]
    responses = run(backend, [LoglikelihoodRequest(s, " " + t) for s, t in zip(sources, targets, strict=True)])
    for source, target, response in zip(sources, targets, responses, strict=True):
        labels = tokenizer(text_target=target, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            logits = model(**tokenizer(source, return_tensors="pt"), labels=labels).logits[0]
        skip = 1 if name == "bart" else 0  # BART's targets begin with BOS, which is fed and not scored
        values = logits.log_softmax(-1).gather(1, labels[0][:, None])[skip:, 0]
        assert response.loglikelihood == pytest.approx(float(values.sum()), abs=1e-3)
        assert response.num_tokens == len(values)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_encoder_decoder_generation_equals_transformers(models, name):
    backend = backend_of(models(name))
    (response,) = run(backend, [GenerationRequest("The capital of France", (), 8)])
    inputs = backend.tokenizer("The capital of France", return_tensors="pt")
    # BART's checkpoint forces an end where the length runs out, which would hide that an answer was cut off.
    backend.model.generation_config.forced_eos_token_id = None
    output = backend.model.generate(
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=8, do_sample=False
    )
    assert response.text == backend.tokenizer.decode(output[0], skip_special_tokens=True)
    assert math.isfinite(response.loglikelihood)


def test_a_long_source_is_cut_for_an_encoder_decoder(models):
    backend = backend_of(models("t5"))
    (response,) = run(backend, [LoglikelihoodRequest("was it true? " * 60, " yes")])
    assert response.num_truncated > 0


def test_class_probabilities_of_texts_and_pairs(models):
    directory = models("bert")
    backend = backend_of(directory)
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(directory),
        AutoTokenizer.from_pretrained(directory),
    )
    asked = [("A film was good", None), ("it was not true", "was it?")]
    responses = run(backend, [ClassificationRequest(*texts) for texts in asked])
    for texts, response in zip(asked, responses, strict=True):
        with torch.inference_mode():
            logits = model(**tokenizer(*texts, return_tensors="pt")).logits[0]
        expected = dict(zip(("negative", "positive"), logits.log_softmax(-1).tolist(), strict=True))
        assert response.logprobs == pytest.approx(expected, abs=1e-4)
    (cut,) = run(backend, [ClassificationRequest("A film was good. " * 40)])
    assert cut.num_truncated > 0


def test_an_untrained_adapter_is_reported_and_a_trained_one_changes_the_scores(models, tmp_path, caplog):
    base = models("causal")
    ask = [LoglikelihoodRequest("The capital of France is", " Paris")]
    plain = run(backend_of(base), ask)[0].loglikelihood
    idle = backend_of(base, adapter=save_adapter(base, tmp_path / "idle", trained=False))
    assert "changes no logit" in idle.warnings[0]
    assert "changes no logit" in caplog.text
    trained = backend_of(base, adapter=save_adapter(base, tmp_path / "trained", trained=True))
    assert trained.warnings == []
    assert run(trained, ask)[0].loglikelihood != pytest.approx(plain, abs=1e-3)


def test_half_precision_weights_are_normalised_in_float32(models):
    exact = run(backend_of(models("causal")), [LoglikelihoodRequest(*PAIRS[0])])[0]
    half = run(backend_of(models("causal"), dtype="bfloat16"), [LoglikelihoodRequest(*PAIRS[0])])[0]
    assert half.loglikelihood == pytest.approx(exact.loglikelihood, rel=0.1)
    assert half.loglikelihood != exact.loglikelihood


def test_logits_are_computed_only_where_a_token_is_scored(models):
    backend = backend_of(models("causal"))
    seen = []
    head = backend.model.get_output_embeddings()
    head.register_forward_hook(lambda _m, _i, out: seen.append(out.shape[:-1].numel()))
    responses = run(backend, [LoglikelihoodRequest(*pair) for pair in PAIRS])
    assert seen == [sum(r.num_tokens for r in responses)]


def out_of_memory_above(backend, tokens):
    """Let the model's forward pass fail when it is fed more than so many tokens."""

    def scarce(_module, _args, kwargs):
        if kwargs["input_ids"].numel() > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory")

    backend.model.register_forward_pre_hook(scarce, with_kwargs=True)


def test_out_of_memory_halves_the_pass_and_gives_the_same_numbers(models, caplog):
    backend = backend_of(models("causal"))
    requests = [LoglikelihoodRequest(*pair) for pair in PAIRS]
    whole = run(backend, requests)
    out_of_memory_above(backend, 24)
    for a, b in zip(run(backend, requests), whole, strict=True):
        assert a.loglikelihood == pytest.approx(b.loglikelihood, abs=1e-4)
    assert "out of memory on cpu" in caplog.text


def test_out_of_memory_while_generating_goes_on_with_fewer_answers_at_a_time(models, caplog):
    backend = backend_of(models("causal"))
    requests = [GenerationRequest(f"{i}", (), 6) for i in range(9)]
    whole = run(backend, requests)
    out_of_memory_above(backend, 4)
    assert [a.text for a in run(backend, requests)] == [b.text for b in whole]
    assert "going on with" in caplog.text


def test_a_request_that_does_not_fit_even_alone_fails_alone(models):
    backend = backend_of(models("causal"))
    out_of_memory_above(backend, 8)
    good, bad = run(backend, [LoglikelihoodRequest("The", " film"), LoglikelihoodRequest("", "film or reviewed " * 9)])
    assert math.isfinite(good.loglikelihood)
    assert bad == FailedResponse("out of memory with this request alone")


def test_chat_template_of_a_model_without_one_is_refused(models):
    with pytest.raises(ModelError, match="has no chat template"):
        backend_of(models("causal"), chat=ChatSettings(True))


def test_a_head_with_other_labels_keeps_their_names(tmp_path):
    backend = backend_of(save_bert(tmp_path, ("entailment", "neutral", "contradiction")))
    (response,) = run(backend, [ClassificationRequest("a", "b")])
    assert set(response.logprobs) == {"entailment", "neutral", "contradiction"}
    assert math.fsum(math.exp(v) for v in response.logprobs.values()) == pytest.approx(1, abs=1e-5)


ROUNDING = {"t5": 2e-3}
"""T5 does not scale its attention; with weights three times the usual size float32 rounds its logits that far off."""
SOURCES = st.sampled_from(["The capital of France", "A film was", "she said that it was not true, or was it?", ""])
CONTINUATIONS = st.sampled_from([" Paris", " reviewed as good.", " x", "本", " capital of Italy is Rome"])
SCORED = st.builds(LoglikelihoodRequest, SOURCES, CONTINUATIONS)
DRAWN = st.builds(
    GenerationRequest, SOURCES, st.just(()), st.integers(1, 8), st.sampled_from([0.0, 1.0]), seed=st.integers(0, 3)
)


@pytest.mark.parametrize("name", ["causal", "t5", "bart"])
def test_requests_score_and_draw_alike_alone_and_in_company(models, name):
    backend = backend_of(models(name))

    @settings(max_examples=12, deadline=None)
    @given(st.lists(SCORED | DRAWN, min_size=1, max_size=8), st.one_of(st.none(), st.integers(1, 4)))
    def check(asked, batch_size):
        for request, response in zip(asked, answers(backend, asked, batch_size=batch_size), strict=True):
            if name in ROUNDING and getattr(request, "temperature", 0):
                continue  # a number of a draw may fall within so much rounding of a boundary
            (alone,) = run(backend, [request])
            assert response.loglikelihood == pytest.approx(alone.loglikelihood, abs=ROUNDING.get(name, 1e-4), rel=2e-6)
            assert getattr(response, "text", None) == getattr(alone, "text", None)

    check()


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_a_source_is_encoded_once_for_all_its_targets_and_draws(models, name):
    backend = backend_of(models(name))
    encoded = []
    encoder = backend.model.get_encoder()
    encoder.register_forward_pre_hook(lambda _m, _a, kw: encoded.append(len(kw["input_ids"])), with_kwargs=True)
    run(backend, [LoglikelihoodRequest("A film was", t) for t in (" good", " bad", " not true")])
    run(backend, [GenerationRequest("A film was", (), 4, temperature=1.0, seed=i) for i in range(5)])
    assert encoded == [1, 1]


def test_a_decoder_that_takes_no_masks_is_run_by_length_and_says_so(tmp_path, caplog):
    from small_models import build_tokenizer
    from transformers import BloomConfig, BloomForCausalLM

    tokenizer = build_tokenizer(bos="<s>", eos="</s>")
    torch.manual_seed(0)
    config = BloomConfig(vocab_size=len(tokenizer), hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3)
    BloomForCausalLM(config).eval().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    backend = backend_of(tmp_path)
    assert "prefixes are not shared" in caplog.text
    assert "bloom" in backend.warnings[0]
    asked = [LoglikelihoodRequest(*pair) for pair in PAIRS]
    asked += [RollingRequest("A film was reviewed as good."), GenerationRequest("The capital", (), 5)]
    asked += [GenerationRequest("Question:", ("a",), 7, temperature=1.0, seed=3)]
    for request, response in zip(asked, run(backend, asked), strict=True):
        (alone,) = run(backend, [request])
        assert response.loglikelihood == pytest.approx(alone.loglikelihood, abs=1e-4)
        assert getattr(response, "text", None) == getattr(alone, "text", None)
    inputs = backend.tokenizer("The capital", return_tensors="pt")
    output = backend.model.generate(**inputs, max_new_tokens=5, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert run(backend, [GenerationRequest("The capital", (), 5)])[0].text == backend.tokenizer.decode(
        output, skip_special_tokens=True
    )


def test_special_cases_of_one_request_score_like_the_plain_path(tmp_path):
    directory = save_causal(tmp_path, window=32)
    backend = backend_of(directory)
    exact = backend.tokenizer.decode(backend.tokenizer("yes no maybe " * 9)["input_ids"][1:31])
    cases = {
        "a continuation that merges with the prompt": ("The capi", "tal"),
        "an empty prompt": ("", "The"),
        "one token": ("A film was", " good"),
        "a character cut in two": ("日", "本"),
        "a prompt as long as the window": (exact, " good"),
    }
    for name, pair in cases.items():
        (response,) = run(backend, [LoglikelihoodRequest(*pair)])
        assert response.num_tokens >= 1, name
        row = backend.texts.row(LoglikelihoodRequest(*pair))
        with torch.inference_mode():
            logprobs = backend.model(torch.tensor([row.fed])).logits[0].log_softmax(-1)
        at = range(len(row.fed) - row.num_scored, len(row.fed))
        expected = sum(float(logprobs[i, row.ids[i + 1]]) for i in at)
        assert response.loglikelihood == pytest.approx(expected, abs=1e-4), name
    merged = backend.texts.row(LoglikelihoodRequest("The capi", "tal"))
    assert backend.tokenizer.decode(merged.ids[-merged.num_scored :]).endswith("tal")
    full = backend.texts.row(LoglikelihoodRequest(exact, " good"))
    assert len(full.fed) == 32


def test_identical_requests_and_requests_that_begin_others(models):
    backend = backend_of(models("causal"))
    long = LoglikelihoodRequest("The capital of", " France is Paris")
    asked = [long, LoglikelihoodRequest("The", " capital"), long, LoglikelihoodRequest("The capital of", " France")]
    first, start, again, part = run(backend, asked)
    assert first == again
    for request, response in zip(asked, (first, start, again, part), strict=True):
        assert response.loglikelihood == pytest.approx(run(backend, [request])[0].loglikelihood, abs=1e-4)


def test_tasks_about_the_same_prompts_are_run_as_one_tree(models, tmp_path):
    import halueval

    (tmp_path / "facts.jsonl").write_text('{"q": "The capital of France is", "a": "Paris"}\n' * 1)
    card = (
        "task: {name}\noutput_type: multiple_choice\nsource: facts.jsonl\ncolumns: [q, a]\n"
        "doc_to_text: '{{{{q}}}}'\ndoc_to_choice: {choices}\ndoc_to_target: 0\n"
    )
    for name, choices in (("one", "[Paris, Rome]"), ("two", "[Paris, Bonn]")):
        (tmp_path / f"{name}.yaml").write_text(card.format(name=name, choices=choices))
    tasks = [str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml")]
    model = str(models("causal"))
    together = halueval.run(model, tasks, output=tmp_path / "together", dtype="float32")
    apart = [run for task in tasks for run in halueval.run(model, task, output=tmp_path / "apart", dtype="float32")]
    cost = [sum(run.record["engine"]["tokens_computed"] for run in runs) for runs in (together, apart)]
    assert cost[0] < cost[1]
    for a, b in zip(together, apart, strict=True):
        assert a.run_id == b.run_id
        assert a.samples["loglikelihoods"][0] == pytest.approx(b.samples["loglikelihoods"][0], abs=1e-4)


def test_rows_that_repeat_a_prompt_share_its_numbers(models):
    backend = backend_of(models("causal"))
    first, second = (backend.texts.encode("The capital of France is Paris.") for _ in range(2))
    assert first == second
    assert max(first) > 256  # smaller numbers are shared by Python itself
    assert all(a is b for a, b in zip(first, second, strict=True))
