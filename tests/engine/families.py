"""Small random decoders of many families, with weights large enough that their logits differ clearly."""

from __future__ import annotations

VOCABULARY = 60
WIDE = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
GATED = {**WIDE, "intermediate_size": 64, "num_key_value_heads": 2}
LOUD = {"initializer_range": 0.3}
WINDOW = 5
"""Tokens that a sliding window sees in these models."""


def config(name):
    """Configuration of a family."""
    import transformers as hf

    mixed = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": WINDOW}
    return {
        "llama": lambda: hf.LlamaConfig(**GATED, **LOUD),
        "qwen2": lambda: hf.Qwen2Config(**GATED, **LOUD),
        "qwen2_mixed": lambda: hf.Qwen2Config(**GATED, **LOUD, **mixed, use_sliding_window=True),
        "qwen3": lambda: hf.Qwen3Config(**GATED, **LOUD, head_dim=8),
        "gpt2": lambda: hf.GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, **LOUD),
        "gpt_neox": lambda: hf.GPTNeoXConfig(**WIDE, intermediate_size=64, **LOUD),
        "opt": lambda: hf.OPTConfig(**WIDE, ffn_dim=64, word_embed_proj_dim=32, init_std=0.3),
        "mistral": lambda: hf.MistralConfig(**GATED, **LOUD, head_dim=8, sliding_window=WINDOW),
        "gemma2": lambda: hf.Gemma2Config(**GATED, **LOUD, head_dim=8, **mixed),
        "gemma3": lambda: hf.Gemma3TextConfig(**GATED, **LOUD, head_dim=8, **mixed),
        "bloom": lambda: hf.BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4, **LOUD),
        "mamba": lambda: hf.MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=4),
    }[name]()


def make(name, attention=None):
    """A model of a family."""
    import torch
    import transformers as hf

    torch.manual_seed(0)
    options = {} if attention is None else {"attn_implementation": attention}
    return hf.AutoModelForCausalLM.from_config(config(name), **options).eval()


TREES = ("llama", "qwen2", "qwen2_mixed", "qwen3", "gpt2", "gpt_neox", "opt", "mistral", "gemma2", "gemma3")
OTHERS = ("bloom", "mamba")
