"""What a model, an adapter or a device can do wrong: each ends in a reason, and the other requests go on."""

import math

import pytest
import torch
from small_models import answers, save_causal, save_t5
from transformers import BloomConfig, BloomForCausalLM

from halueval.backends.base import ChatSettings
from halueval.backends.huggingface import HuggingFaceBackend
from halueval.backends.loading import attach_adapter, locate
from halueval.backends.padded import Padded
from halueval.backends.trees import Trees
from halueval.config import ModelSpec
from halueval.engine.accounting import Accounting
from halueval.engine.batching import Budget, Cost, plan_batches
from halueval.engine.loglikelihood import NO_NUMBER
from halueval.engine.memory import OUT_OF_MEMORY, memory_limit
from halueval.engine.stopping import kept_tokens
from halueval.errors import ModelError
from halueval.schema import FailedResponse, GenerationRequest, LoglikelihoodRequest, RollingRequest


def backend_of(directory, *, chat=None, prefix=""):
    located = locate(ModelSpec(name="small", source=str(directory), input_prefix=prefix), adapter=None)
    return HuggingFaceBackend(located, device="cpu", dtype="float32", chat=chat)


def scarce(backend, fits):
    """Let a forward pass fail unless `fits` says of its input ids and of its cache's length that it fits."""

    def hook(_module, _args, kwargs):
        cache = kwargs.get("past_key_values")
        held = 0 if cache is None else cache.get_seq_length()
        if not fits(kwargs["input_ids"], held):
            raise torch.OutOfMemoryError("CUDA out of memory")

    backend.model.register_forward_pre_hook(hook, with_kwargs=True)


def test_a_model_whose_numbers_are_none_fails_each_request_and_gives_no_number(models):
    backend = backend_of(models("causal"))
    with torch.no_grad():
        backend.model.get_input_embeddings().weight[5:] = math.nan
    found = answers(backend, [LoglikelihoodRequest("The film", " was"), GenerationRequest("The film", (), 3)])
    assert found == [FailedResponse(NO_NUMBER)] * 2


def test_a_request_too_long_to_generate_fails_alone_and_the_others_are_answered(models):
    backend = backend_of(models("causal"))
    whole = answers(backend, [GenerationRequest(text, (), 4) for text in ("The film", "It")])
    assert isinstance(backend.family, Trees)
    scarce(backend, lambda ids, held: ids.shape[0] == 1 and held + ids.shape[1] <= 12)
    long = GenerationRequest("It was reviewed by people " * 6, (), 4)
    first, failed, last = answers(backend, [GenerationRequest("The film", (), 4), long, GenerationRequest("It", (), 4)])
    assert [first.text, last.text] == [response.text for response in whole]
    assert failed == FailedResponse(OUT_OF_MEMORY)


def test_a_scored_text_waits_for_the_answers_that_hold_the_memory(models):
    backend = backend_of(models("causal"))
    text = LoglikelihoodRequest("", "reviewed by the people of the press")
    prompts = [GenerationRequest(f"film {i}", (), 8) for i in range(3)]
    whole = answers(backend, [*prompts, text])
    growing = []

    def fits(ids, held):
        """A pass of several tokens finds no room while two answers or more are under way."""
        crowded = bool(growing) and growing[-1] >= 2 and ids.shape[1] > 8
        growing.append(ids.shape[0] if ids.shape[1] == 1 else 0)
        return not crowded

    scarce(backend, fits)
    found = answers(backend, [*prompts, text])
    assert [a.text for a in found[:3]] == [b.text for b in whole[:3]]
    assert found[3].loglikelihood == pytest.approx(whole[3].loglikelihood, abs=1e-4)


def test_a_pass_that_did_not_fit_is_not_tried_at_that_size_again(models, caplog):
    backend = backend_of(models("causal"))
    requests = [LoglikelihoodRequest(f"film {i}", " was it reviewed") for i in range(40)]
    whole = answers(backend, requests)
    scarce(backend, lambda ids, _: ids.numel() <= 60)
    for a, b in zip(answers(backend, requests), whole, strict=True):
        assert a.loglikelihood == pytest.approx(b.loglikelihood, abs=1e-4)
    assert 1 <= caplog.text.count("out of memory") <= 4


def test_the_context_behind_a_chat_templates_bos_is_cut_and_not_the_bos(tmp_path):
    template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
    backend = backend_of(save_causal(tmp_path, chat_template=template), chat=ChatSettings(True))
    bos, text = backend.tokenizer.bos_token_id, "film " * 3 * backend.window
    for row in (
        backend.texts.prompt(GenerationRequest(text, (), 4)),
        backend.texts.row(LoglikelihoodRequest(text, "was")),
    ):
        assert row.num_truncated > 0
        assert row.ids[0] == bos
        assert row.ids.count(bos) == 1


def test_the_input_prefix_of_an_encoder_decoder_stays_when_the_source_is_cut(tmp_path):
    backend = backend_of(save_t5(tmp_path), prefix="summarize : ")
    backend.texts.window = 24
    lead = backend.texts.encode("summarize : ")
    ids, cut = backend.texts.source("the film was reviewed " * 9 + "It")
    assert len(ids) == 24
    assert cut > 0
    assert ids[: len(lead) - 1] == lead[:-1]  # the last may be merged with the word behind it
    assert ids[-1] == backend.tokenizer.eos_token_id
    full, none = backend.texts.source("It")
    assert none == 0
    assert ids[-len(full) + len(lead) :] == full[len(lead) :]


@pytest.mark.parametrize("new", [0, 1])
def test_an_answer_that_the_window_cannot_hold_is_refused_by_itself(models, new):
    backend = backend_of(models("causal"))
    good, bad = answers(backend, [GenerationRequest("It", (), 2), GenerationRequest("It", (), backend.window + new)])
    assert len(good.text) > 0
    assert "lower max_gen_toks" in bad.reason


def test_a_prompt_exactly_as_long_as_the_window_lets_it_be_is_whole_and_one_token_more_loses_one(models):
    backend = backend_of(models("causal"))
    backend.texts.window = 24
    ids = backend.texts.encode("It was reviewed by the people of the press and it was long, or so they said.")[:24]
    backend.texts.encode = lambda text: ids[: int(text)]  # prompts by their number of tokens
    prefix = len(backend.texts.prefix)
    requests = [GenerationRequest(str(n - prefix), (), 4) for n in (20, 21)]
    exact, longer = map(backend.texts.prompt, requests)
    assert (len(exact.fed), exact.num_truncated) == (20, 0)
    assert (len(longer.fed), longer.num_truncated) == (20, 1)
    whole, cut = answers(backend, requests)
    assert (whole.num_truncated, cut.num_truncated) == (0, 1)


def test_prompts_that_differ_only_in_what_was_cut_are_counted_for_themselves(models):
    backend = backend_of(models("causal"))
    kept = "film was " * backend.window
    whole, cut = answers(backend, [LoglikelihoodRequest(start + kept, "It") for start in ("", "reviewed ")])
    assert cut.num_truncated > whole.num_truncated > 0
    assert cut.loglikelihood == pytest.approx(whole.loglikelihood, abs=1e-4)


def bloom(models):
    """A backend whose model has ALiBi, and so is run in padded batches."""
    backend = backend_of(models("causal"))
    torch.manual_seed(0)
    config = BloomConfig(vocab_size=len(backend.tokenizer), hidden_size=32, n_layer=2, n_head=2)
    backend.model = BloomForCausalLM(config).eval()
    backend.family = Padded(backend.model, backend.texts)
    return backend


def test_the_padded_path_decodes_by_the_tasks_rules_and_not_the_checkpoints(models):
    backend = bloom(models)
    requests = [GenerationRequest(text, (), 12) for text in ("It was it was it was", "The film")]
    plain = answers(backend, requests)
    settings = backend.model.generation_config
    settings.repetition_penalty, settings.no_repeat_ngram_size, settings.suppress_tokens = 5.0, 1, [7]
    assert answers(backend, requests) == plain
    assert backend.model.generation_config.repetition_penalty == 5.0


def test_the_padded_path_counts_its_arithmetic_and_halves_down_to_a_window(models):
    backend = bloom(models)
    backend.texts.window = 16
    request = RollingRequest("The film was reviewed by the people of the press " * 8)
    (whole,) = answers(backend, [request])
    scarce(backend, lambda ids, _: ids.shape[0] == 1)
    (halved,) = answers(backend, [request])
    assert halved.loglikelihood == pytest.approx(whole.loglikelihood, abs=1e-3)
    counted = Accounting()
    (batch,) = backend.plan([LoglikelihoodRequest("It", " was")], backend.budget(tokens=None, batch_size=None))
    backend.family.run(batch, counted, lambda _: None)
    cost = backend.family.cost
    fed = counted.tokens_computed
    scored = len(backend.texts.row(LoglikelihoodRequest("It", " was")).ids) - fed
    assert counted.flops == cost.flops(fed, fed * (fed + 1) // 2, scored)


def test_an_adapter_of_virtual_tokens_is_refused(tmp_path, models):
    from peft import PromptTuningConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(models("causal"))
    get_peft_model(base, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="virtual tokens before the text"):
        attach_adapter(AutoModelForCausalLM.from_pretrained(models("causal")), tmp_path)


def test_the_memory_of_a_container_is_what_its_control_group_says(tmp_path):
    assert memory_limit(tmp_path) == 2**62
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_limit(tmp_path) == 2**62
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("4096\n")
    assert memory_limit(tmp_path) == 4096
    (tmp_path / "memory.max").write_text("1073741824\n")
    assert memory_limit(tmp_path) == 2**30


def test_a_batch_size_counts_rows_and_not_groups_of_rows():
    groups = [Cost(4, 1, rows=3), Cost(3, 1, rows=2), Cost(2, 1, rows=1)]
    assert plan_batches(groups, Budget(10**6, 10**6, batch_size=3)) == [[0], [1, 2]]


def test_tokens_before_a_stop_string_are_counted_over_a_character_that_a_token_finishes():
    # The first byte of a character alone is written as two marks here, and the whole character as one.
    written = {(): "", (1,): "a", (1, 2): "a\ufffd\ufffd", (1, 2, 3): "aé", (1, 2, 3, 4): "aé\n"}
    assert kept_tokens([1, 2, 3, 4], "aé", lambda ids: written[tuple(ids)]) == 3
    assert kept_tokens([1, 2, 3, 4], "a", lambda ids: written[tuple(ids)]) == 1
    assert kept_tokens([1, 2, 3, 4], "", lambda ids: written[tuple(ids)]) == 0
