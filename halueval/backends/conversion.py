"""Weights that are no safetensors, GGUF or ONNX, written once as a directory that transformers loads.

A directory is built under another name and renamed when it is whole, so that a conversion that was killed is never
taken for a model, and two at once do no harm.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halueval.backends.fingerprint import TOKENIZER_FILES, tokenizer_sha256
from halueval.backends.quiet import first_line, quiet_transformers
from halueval.config import OnnxSpec
from halueval.errors import ModelError
from halueval.schema import canonical_json, sha256_text
from halueval.source import cache_dir, file_sha256

if TYPE_CHECKING:
    from halueval.backends.onnx_weights import Parameters

logger = logging.getLogger("halueval")

CONVERSION_VERSION = 1
"""Raised when a conversion would write other tensors; part of the cache's key."""


def convert_gguf(path: Path, digest: str) -> Path:
    """Directory with the dequantised float32 weights and tokenizer of a GGUF file, made once.

    Raises:
        ModelError: not a GGUF file, or of an architecture that transformers cannot read from GGUF.
    """
    return _once(path, digest, lambda directory: _write_gguf(path, directory))


def convert_onnx(directory: Path, spec: OnnxSpec) -> tuple[Path, str]:
    """Directory with the float32 weights and tokenizer of a model that was exported to ONNX, made once.

    Args:
        directory: of the source.
        spec: where in it the files are, and the configuration that an export leaves out.

    Returns:
        The directory, and the digest of the weights' file.

    Raises:
        ModelError: a file is not there, is no ONNX, or does not hold all parameters of such a model; or there is no
            tokenizer.
    """
    path, tokenizer = directory / spec.file, directory / spec.tokenizer
    if not path.is_file():
        raise ModelError(f"{path}: no such file; the card's `onnx: file:` is the path within the source")
    # All that is written is in the key: a tokenizer that was mended is another conversion of the same weights.
    weights, words = file_sha256(path), tokenizer_sha256(tokenizer)
    key = sha256_text(canonical_json({"weights": weights, "tokenizer_sha256": words, **spec.model_dump(mode="json")}))
    return _once(path, key, lambda work: _write_onnx(path, spec, tokenizer, work)), weights


def _once(path: Path, digest: str, write: Callable[[Path], None]) -> Path:
    import filelock

    target = cache_dir() / "converted" / f"{digest}-v{CONVERSION_VERSION}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{target}.lock"):
        if target.is_dir():
            return target
        for stale in target.parent.glob(f"{digest}-v{CONVERSION_VERSION}.tmp-*"):
            shutil.rmtree(stale)
        logger.info("converting %s to safetensors (once)", path.name)
        work = Path(tempfile.mkdtemp(prefix=f"{target.name}.tmp-", dir=target.parent))
        try:
            write(work)
            os.replace(work, target)
        except OSError as error:
            raise ModelError(f"{path}: cannot be converted into {target.parent}: {error}") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return target


def _write_gguf(path: Path, directory: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        # transformers draws a bar of its own for this, whatever its settings say.
        with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True)
            model: Any = AutoModelForCausalLM.from_pretrained(
                path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True
            )
            # The quantiser would make save_pretrained refuse, though nothing is quantised any more.
            model.hf_quantizer = None
            model.is_quantized = False
            if hasattr(model.config, "quantization_config"):
                del model.config.quantization_config
            model.config._name_or_path = ""
            model.save_pretrained(directory)
            tokenizer.save_pretrained(directory)
    except (ValueError, KeyError, ImportError, NotImplementedError) as error:
        raise ModelError(f"{path}: not readable as GGUF by transformers: {first_line(error)}") from error


def _write_onnx(path: Path, spec: OnnxSpec, tokenizer: Path, directory: Path) -> None:
    from safetensors.numpy import save_file

    from halueval.backends.onnx_weights import read_weights

    weights = read_weights(path, meta_parameters(spec.config, path), spec.prefix)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps(spec.config, indent=2, sort_keys=True), encoding="utf-8")
    for name in TOKENIZER_FILES:
        if (tokenizer / name).is_file():
            shutil.copyfile(tokenizer / name, directory / name)


def meta_parameters(config: dict[str, Any], path: Path) -> Parameters:
    """What weights a model has by its configuration; nothing is allocated.

    Args:
        config: as in `config.json`, with `architectures`, of which the first is taken.
        path: that errors name.

    Raises:
        ModelError: it names no model of transformers, or none can be made of it.
    """
    import torch
    import transformers

    from halueval.backends.onnx_weights import Parameters

    names = config.get("architectures")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ModelError(f"{path}: the card's `onnx: config: architectures:` must be a list of names, found {names!r}")
    made: Any = getattr(transformers, names[0], None)
    if not (isinstance(made, type) and issubclass(made, transformers.PreTrainedModel)):
        raise ModelError(
            f"{path}: the card's `onnx: config: architectures:` names {names[0]!r}, which is no model of transformers; "
            "write a class of a model with its head, as in [BertForSequenceClassification]"
        )
    try:
        known = transformers.AutoConfig.for_model(**config)
        with torch.device("meta"), quiet_transformers():
            model: Any = made(known)
            shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    # Constructors check little, and each fails in its own way: ZeroDivisionError, RuntimeError, errors of validators.
    except Exception as error:
        raise ModelError(
            f"{path}: the card's `onnx: config:` makes no {names[0]} of transformers: {first_line(error)}"
        ) from error
    if not shapes:
        raise ModelError(f"{path}: {names[0]}, which the card's `onnx: config:` names, has no weights")
    modules = model.named_modules(remove_duplicate=False)
    linear = (f"{name}.weight" for name, module in modules if isinstance(module, torch.nn.Linear))
    return Parameters(shapes, frozenset(linear))
