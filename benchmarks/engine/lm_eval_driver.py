"""Run lm-evaluation-harness and time what it does with the model; runs in the peer's environment.

    python lm_eval_driver.py SPEC.json

The harness is left as it is: `simple_evaluate` on tasks written as YAML. Only the model's three methods are
wrapped, to time them (tokenising and forward passes; imports, loading and figures are outside) and to keep
each request with its answer. The tasks that come with the harness are not indexed, which saves it five
seconds that its command line would spend.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

METHODS = ("loglikelihood", "loglikelihood_rolling", "generate_until")


class Log:
    """Seconds by method, and requests with their answers."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(METHODS, 0.0)
        self.answers: dict[str, list[list[Any]]] = {name: [] for name in METHODS}
        self._inside = False

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """The method, timed; a call from within another is part of that one."""

        def timed(requests: list[Any], *args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return method(requests, *args, **kwargs)
            self._inside = True
            started = time.perf_counter()
            try:
                answers = method(requests, *args, **kwargs)
            finally:
                self._inside = False
                self.seconds[name] += time.perf_counter() - started
            for request, answer in zip(requests, answers, strict=True):
                texts = [part for part in request.args if isinstance(part, str)]
                value = answer[0] if isinstance(answer, tuple) else answer
                self.answers[name].append([*texts, value])
            return answers

        return timed


def main(path: Path) -> None:
    """Evaluate once for each batch size of the specification and write what came out."""
    spec = json.loads(path.read_text(encoding="utf-8"))
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    started = time.perf_counter()
    model = HFLM(pretrained=spec["model"], dtype="float32", device="cpu", batch_size=spec["batch_sizes"][0])
    load = time.perf_counter() - started
    tasks = TaskManager(include_path=spec["tasks_directory"], include_defaults=False)
    plain = {name: getattr(model, name) for name in METHODS}
    runs = []
    for size in spec["batch_sizes"]:
        log = Log()
        for name, method in plain.items():
            setattr(model, name, log.wrap(name, method))
        model.batch_size_per_gpu = size
        results = simple_evaluate(
            model=model, tasks=spec["tasks"], task_manager=tasks, limit=spec.get("limit"), log_samples=False
        )
        figures = {
            task: {key: value for key, value in row.items() if isinstance(value, float)}
            for task, row in results["results"].items()
        }
        runs.append({"batch_size": size, "seconds": log.seconds, "answers": log.answers, "figures": figures})
    versions = {name: version(name) for name in ("lm_eval", "transformers", "torch", "datasets")}
    record = {"load_seconds": load, "threads": torch.get_num_threads(), "versions": versions, "runs": runs}
    Path(spec["out"]).write_text(json.dumps(record), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
