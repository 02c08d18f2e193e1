"""Small random models with tokenizers of their own, built, initialised and saved by the tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

TEXT = (
    "The capital of France is Paris. The capital of Italy is Rome. Question: what is the chemical symbol of iron? "
    "Answer: Fe. A film was reviewed as good, another as bad. 12 people came on 4 June 2017. "
    "she said that it was not true, or was it? yes no maybe positive negative entailment neutral contradiction"
)


def build_tokenizer(*, bos: str | None, eos: str | None, post: str | None = None, chat_template: str | None = None):
    """A byte-level BPE tokenizer trained on a few sentences; `post` is a template of special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    specials = ["<pad>", "<s>", "</s>", "<unk>", "[MASK]"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT] * 4, trainer)
    if post is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=post,
            pair=f"{post} {post.replace('$A', '$B').replace('<s> ', '')}",
            special_tokens=[(t, tokenizer.token_to_id(t)) for t in ("<s>", "</s>") if t in post],
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token=bos, eos_token=eos
    )
    if chat_template is not None:
        fast.chat_template = chat_template
    return fast


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
SMALL_T5 = {"d_model": 32, "d_kv": 8, "num_layers": 2, "initializer_factor": 3.0}


def save_causal(
    directory: Path, *, seed: int = 0, bos: bool = True, window: int = 128, chat_template: str | None = None
) -> Path:
    """A two-layer Llama whose tokenizer puts BOS before every text (unless told not to)."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = build_tokenizer(bos="<s>", eos="</s>", post="<s> $A" if bos else None, chat_template=chat_template)
    torch.manual_seed(seed)
    config = LlamaConfig(
        **SMALL,
        vocab_size=len(tokenizer),
        num_key_value_heads=2,
        max_position_embeddings=window,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.3,  # large enough that the logits differ clearly
    )
    return _save(LlamaForCausalLM(config), tokenizer, directory)


def save_t5(
    directory: Path, *, seed: int = 0, window: int | None = 64, head_scale: float = 1.0, **options: object
) -> Path:
    """A two-layer T5: the pad token starts the decoder, EOS ends source and target; `options` are of its config."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = build_tokenizer(bos=None, eos="</s>", post="$A </s>")
    if window is not None:
        tokenizer.model_max_length = window
    torch.manual_seed(seed)
    config = T5Config(
        **SMALL_T5,
        vocab_size=len(tokenizer),
        d_ff=64,
        num_heads=4,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
        **options,
    )
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        model.lm_head.weight.mul_(head_scale)
    return _save(model, tokenizer, directory)


def save_bart(directory: Path, *, seed: int = 0) -> Path:
    """A two-layer BART: EOS starts the decoder, BOS and EOS frame source and target."""
    import torch
    from transformers import BartConfig, BartForConditionalGeneration

    tokenizer = build_tokenizer(bos="<s>", eos="</s>", post="<s> $A </s>")
    torch.manual_seed(seed)
    config = BartConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=tokenizer.eos_token_id,
        init_std=0.3,
    )
    return _save(BartForConditionalGeneration(config), tokenizer, directory)


def save_bert(
    directory: Path, labels: Sequence[str] = ("negative", "positive"), *, window: int = 64, seed: int = 0
) -> Path:
    """A two-layer BERT with a classification head over `labels`; a pair is `<s> premise </s> hypothesis </s>`."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = build_tokenizer(bos="<s>", eos="</s>", post="<s> $A </s>")
    torch.manual_seed(seed)
    config = BertConfig(
        **SMALL,
        vocab_size=len(tokenizer),
        max_position_embeddings=window,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        initializer_range=0.3,
    )
    return _save(BertForSequenceClassification(config), tokenizer, directory)


def save_adapter(base: Path, directory: Path, *, trained: bool) -> Path:
    """A LoRA adapter for a model that `save_causal` made; untrained ones change nothing (B is zero)."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    )
    if trained:
        torch.manual_seed(1)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_()
    model.save_pretrained(str(directory))
    return directory


def _save(model, tokenizer, directory: Path) -> Path:
    model.eval().save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def answers(backend, requests, **limits):
    """Responses to requests, planned and run as the runner does."""
    out = [None] * len(requests)
    for batch in backend.plan(requests, backend.budget(**{"tokens": None, "batch_size": None, **limits})):
        for i, response in zip(batch.indices, backend.run(batch).responses, strict=True):
            out[i] = response
    return out
