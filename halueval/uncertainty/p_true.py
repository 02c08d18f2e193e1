"""P(True): the model is asked whether its own answer is true (Kadavath et al. 2022, section 3.3).

The question comes first, then the answers drawn from the model ("brainstormed"), the proposed answer, and two lettered
choices. P(True) = p(A) / (p(A) + p(B)), from the summed log-likelihoods of the two letters, so that a model that puts
little probability on either can still be read. Zero-shot: Kadavath et al. and Farquhar et al. 2024 put answered
examples of this form in front, which small models need more than large ones.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

TRUE, FALSE = "A", "B"
"""The letters whose likelihood is asked for."""

_OPENING_CUE = re.compile(r"\A\s*(?:question|q|问题|问)\s*[:：]\s*", re.IGNORECASE)
_CLOSING_CUE = re.compile(r"\n[^\n:：]{1,40}[:：]\s*\Z")


def bare_question(text: str) -> str:
    r"""A task's question without the words around it: "Q: Who?\nA:" is "Who?".

    A label that opens the text (Q, Question, 问, 问题) and a last line that ends in a colon are dropped; everything
    else is kept, a passage before the question too.
    """
    return _OPENING_CUE.sub("", _CLOSING_CUE.sub("", text)).strip()


def p_true_prompt(question: str, answer: str, brainstormed: Sequence[str]) -> str:
    """The prompt, which the letter A or B would continue.

    Args:
        question: without labels; see `bare_question`.
        answer: the proposed one.
        brainstormed: further answers of the model, in the order in which they are shown.

    Raises:
        ValueError: an empty answer.
    """
    if not answer.strip():
        raise ValueError("empty answer")
    ideas = [" ".join(text.split()) for text in brainstormed if text.strip()]
    return "\n".join(
        [
            f"Question: {question}",
            "Brainstormed answers:",
            *ideas,
            f"Possible answer: {' '.join(answer.split())}",
            "Is the possible answer:",
            f"{TRUE}) True",
            f"{FALSE}) False",
            "The possible answer is:",
        ]
    )


def p_true(log_true: float, log_false: float) -> float:
    """P(True) in [0, 1] from the log-likelihoods of the two letters.

    Raises:
        ValueError: one of them is not a finite number.
    """
    if not (math.isfinite(log_true) and math.isfinite(log_false)):
        raise ValueError(f"log-likelihoods {log_true} and {log_false}")
    margin = log_false - log_true
    return 1 / (1 + math.exp(margin)) if margin < 700 else 0.0
