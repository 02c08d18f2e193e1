"""Our side without tasks: requests straight to the backend; run in a process of its own.

    python -m benchmarks.engine.backend REQUESTS.json OUT.json DTYPE

The only file here that knows how a backend is called.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine.context import MODEL, Context, Side
from benchmarks.engine.process import run
from halueval.engine.accounting import Accounting
from halueval.schema import (
    FailedResponse,
    GenerationRequest,
    GenerationResponse,
    LoglikelihoodRequest,
    Request,
    Response,
)


def open_backend(dtype: str) -> Any:
    """The embedded model on the processor."""
    from halueval.backends.devices import resolve_dtype
    from halueval.backends.huggingface import HuggingFaceBackend
    from halueval.backends.loading import locate
    from halueval.registry import Registry

    spec = Registry().model(MODEL)
    located = locate(spec, adapter=None)
    return HuggingFaceBackend(located, device="cpu", dtype=resolve_dtype(dtype, spec, "cpu"))


def run_requests(backend: Any, requests: Sequence[Request]) -> tuple[list[Response], Accounting]:
    """Answers in the order of the requests, batched as `halueval run` batches them."""
    budget = backend.budget(tokens=None, batch_size=None)
    answers: dict[int, Response] = {}
    accounting = Accounting()
    for batch in backend.plan(requests, budget):
        result = backend.run(batch)
        answers.update(zip(batch.indices, result.responses, strict=True))
        accounting.add(result.accounting)
    return [answers[i] for i in range(len(requests))], accounting


def side(context: Context, requests: Sequence[dict[str, Any]], label: str, *, dtype: str = "float32") -> Side:
    """Run requests, given as JSON with their `type`, in a process of its own."""
    source, out = context.folder / f"{label}.requests.json", context.folder / f"{label}.out.json"
    source.write_text(json.dumps(list(requests)), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.engine.backend", str(source), str(out), dtype]
    ended = run(command, folder=context.folder, label=label)
    record = json.loads(out.read_text(encoding="utf-8"))
    return Side(ended.seconds, record["seconds"], ended.peak_memory, record)


def _request(row: dict[str, Any]) -> Request:
    fields = {key: value for key, value in row.items() if key != "type"}
    if row["type"] == "loglikelihood":
        return LoglikelihoodRequest(**fields)
    return GenerationRequest(**{**fields, "until": tuple(fields["until"])})


def main(source: Path, out: Path, dtype: str) -> None:
    """Answer the requests of a file, timing all but the loading."""
    requests = [_request(row) for row in json.loads(source.read_text(encoding="utf-8"))]
    backend = open_backend(dtype)
    started = time.perf_counter()
    responses, accounting = run_requests(backend, requests)
    seconds = time.perf_counter() - started
    failed = [response.reason for response in responses if isinstance(response, FailedResponse)]
    if failed:
        raise SystemExit(f"{len(failed)} of {len(requests)} requests failed: {failed[0]}")
    answers = [r.text if isinstance(r, GenerationResponse) else r.loglikelihood for r in responses]
    record = {
        "seconds": seconds,
        "answers": answers,
        "engine": accounting.as_dict(),
        "threads": _threads(),
        "dtype": dtype,
    }
    out.write_text(json.dumps(record), encoding="utf-8")


def _threads() -> int:
    import torch

    return torch.get_num_threads()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
