"""From a model card to a loaded transformers model: files, conversion, architecture, dtype, adapter.

`locate` needs no torch and is enough to identify a run; `load` is called only when something must be run.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halueval.backends.base import Architecture, ModelIdentity
from halueval.backends.conversion import convert_gguf, convert_onnx
from halueval.backends.devices import use_all_cores
from halueval.backends.fingerprint import (
    adapter_sha256,
    chat_template,
    config_sha256,
    read_json,
    tokenizer_sha256,
    weights_sha256,
)
from halueval.backends.quiet import first_line, quiet_transformers
from halueval.config import ModelSpec
from halueval.errors import ModelError
from halueval.schema import sha256_text
from halueval.source import Progress, fetch_first, file_sha256

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """Files of a model on this machine and the digests that identify them.

    `beside_card` says that the adapter was given beside the card, and so is named in results.
    """

    spec: ModelSpec
    directory: Path
    source: str
    weights_sha256: str
    architecture: Architecture
    adapter: Path | None
    beside_card: bool = True

    def identity(self, dtype: str) -> ModelIdentity:
        """Digests of everything that determines what the model answers."""
        template = chat_template(self.directory)
        return ModelIdentity(
            weights_sha256=self.weights_sha256,
            config_sha256=config_sha256(self.directory),
            tokenizer_sha256=tokenizer_sha256(self.directory),
            chat_template_sha256=None if template is None else sha256_text(template),
            adapter_sha256=None if self.adapter is None else adapter_sha256(self.adapter),
            architecture=self.architecture,
            dtype=dtype,
            name=display_name(self.spec, self.adapter if self.beside_card else None),
            source=self.source,
            base=self.spec.base,
            lineage=None if self.spec.lineage is None else self.spec.lineage.model_dump(mode="json", exclude_none=True),
        )


def display_name(spec: ModelSpec, adapter: Path | None) -> str:
    """Name of the model in results: the card's, with the adapter's directory behind a plus sign."""
    return spec.name if adapter is None else f"{spec.name}+{adapter.name}"


def locate(spec: ModelSpec, *, adapter: Path | None, progress: Progress | None = None) -> LocatedModel:
    """Find (or fetch) a model's files and identify them.

    Args:
        spec: the card; relative paths start from its directory.
        adapter: PEFT adapter that takes the place of the card's own.
        progress: told of a download.

    Raises:
        SourceError: no source of the card could be had.
        ModelError: no usable weights, no tokenizer, or an architecture that does not fit the card.
    """
    fetched = fetch_first(spec.source, base=spec.directory, what=spec.name, progress=progress)
    path = fetched.path
    if path.is_file():
        if path.suffix != ".gguf":
            raise ModelError(f"{path}: a model is a directory with safetensors, or a .gguf file")
        weights = file_sha256(path)
        directory = convert_gguf(path, weights)
    elif spec.onnx is not None and not any(path.glob("*.safetensors")):
        directory, weights = convert_onnx(path, spec.onnx)
    else:
        ggufs = sorted(path.glob("*.gguf"))
        if len(ggufs) == 1 and not any(path.glob("*.safetensors")):
            weights = file_sha256(ggufs[0])
            directory = convert_gguf(ggufs[0], weights)
        else:
            directory, weights = path, weights_sha256(path)
    tokenizer_sha256(directory)
    given = adapter is not None
    if adapter is None and spec.adapter is not None:
        adapter = (spec.directory or Path()) / spec.adapter
    if adapter is not None:
        adapter_sha256(adapter)
    return LocatedModel(spec, directory, fetched.source, weights, _architecture(spec, directory), adapter, given)


def _architecture(spec: ModelSpec, directory: Path) -> Architecture:
    """Which of the three ways of using a model fits; from `config.json`, held against the card."""
    names = read_json(directory / "config.json").get("architectures") or []
    name = str(names[0]) if names else ""
    found: Architecture | None = None
    if name.endswith("ForSequenceClassification"):
        found = "classifier"
    elif name.endswith("ForConditionalGeneration"):
        found = "seq2seq"
    elif name.endswith(("ForCausalLM", "LMHeadModel")):
        found = "causal"
    if spec.architecture is not None and found not in (None, spec.architecture):
        raise ModelError(
            f"model {spec.name}: the card says architecture {spec.architecture!r}, but its config.json names {name}, "
            f"which is {found!r}; mend the card"
        )
    architecture = spec.architecture or found
    if architecture is None:
        raise ModelError(
            f"{directory}/config.json: architecture {name or '(none)'} is not one that halueval runs; it needs "
            "…ForCausalLM, …ForConditionalGeneration or …ForSequenceClassification"
        )
    return architecture


def load(
    located: LocatedModel, *, device: str, dtype: str, trust_remote_code: bool
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load weights onto the device, with the adapter where there is one.

    Raises:
        ModelError: files that do not fit together, or code that would have to be run.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

    loaders: dict[Architecture, Any] = {
        "causal": AutoModelForCausalLM,
        "seq2seq": AutoModelForSeq2SeqLM,
        "classifier": AutoModelForSequenceClassification,
    }
    model, tokenizer = load_files(
        located.directory,
        loaders[located.architecture],
        name=located.spec.name,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
    )
    if device == "cpu":
        use_all_cores()
    if located.adapter is not None:
        model = attach_adapter(model, located.adapter)
    return model.to(device).eval(), tokenizer


def load_files(
    directory: Path, loader: Any, *, name: str, dtype: str, trust_remote_code: bool = False, **options: Any
) -> tuple[Any, PreTrainedTokenizerBase]:
    """Model and tokenizer of a directory, none of whose weights is left random.

    Args:
        directory: of the files; that it holds a tokenizer is `fingerprint.tokenizer_sha256`'s to say, since
            transformers makes one up where there is none.
        loader: class of transformers whose `from_pretrained` makes the model.
        name: of the model, for errors.
        dtype: of the weights.
        trust_remote_code: whether code of the model may be run.
        options: more for the model.

    Raises:
        ModelError: files that do not fit together, or code that would have to be run.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoTokenizer

    common: dict[str, Any] = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(directory, **common)
            model, report = loader.from_pretrained(
                directory,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                output_loading_info=True,
                **common,
                **options,
            )
    except (OSError, ValueError, TypeError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        if "trust_remote_code" in str(error):
            raise ModelError(
                f"model {name}: needs Python code of its own; read it, then pass --trust-remote-code"
            ) from error
        raise ModelError(f"model {name}: cannot be loaded from {directory}: {first_line(error)}") from error
    missing = sorted(report.get("missing_keys") or ())
    if missing:
        raise ModelError(
            f"model {name}: the weights lack {missing[0]} ({len(missing)} tensors missing), which would be left "
            "random; save the model again with all its layers"
        )
    return model, tokenizer


@contextlib.contextmanager
def quiet_peft() -> Iterator[None]:
    """Leave out peft 0.21's warning that it asks transformers by an old name: nobody who reads it can change that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield


def attach_adapter(model: Any, directory: Path) -> Any:
    """The model with a PEFT adapter on it.

    Raises:
        ModelError: peft is not installed, or the adapter does not fit the model.
    """
    try:
        from peft import PeftModel
    except ImportError as error:
        raise ModelError("adapters need peft: pip install 'halueval[adapters]'") from error
    try:
        with quiet_peft():
            adapted = PeftModel.from_pretrained(model, str(directory), local_files_only=True)
    except (ValueError, KeyError, RuntimeError, OSError) as error:
        raise ModelError(f"adapter {directory}: does not fit the model: {first_line(error)}") from error
    if adapted.active_peft_config.is_prompt_learning:
        raise ModelError(
            f"adapter {directory}: {adapted.active_peft_config.peft_type} puts virtual tokens before the text, which "
            "halueval's passes do not hold; use an adapter of weights (LoRA and its kin)"
        )
    return adapted


def adapter_changes_logits(model: Any, probe: torch.Tensor) -> bool:
    """Whether the adapter changes any logit of a probe; shape of `probe` (1, length), token ids.

    An adapter that changes nothing was trained for other module names or never trained at all, and
    its results would be the base's under another name.
    """
    import torch

    inputs = {"input_ids": probe.to(model.device)}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = inputs["input_ids"]
    with torch.inference_mode():
        adapted = model(**inputs).logits
        with model.disable_adapter():
            plain = model(**inputs).logits
    return not torch.equal(adapted, plain)
