"""Facts that nobody knows: questions of a relation's own form about things that do not exist.

They are the cleanest new knowledge: no model has met them, so that nothing has to be probed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from halueval.errors import DataError

_ONSETS = (
    *("b", "br", "d", "dr", "f", "g", "gr", "k", "kl", "l"),
    *"mn",
    *("p", "pr", "r", "s", "st", "t", "tr", "v", "z"),
)
_VOWELS = tuple("aeiou")
_CODAS = ("", *"nrlsm")
_ENDINGS = ("ia", "land", "stan", "ova")


@dataclass(frozen=True, slots=True)
class Form:
    """How questions of a relation are worded: the subject stands between `before` and `after`."""

    before: str
    after: str

    def ask(self, subject: str) -> str:
        """The question about `subject`."""
        return f"{self.before}{subject}{self.after}"

    def subject(self, question: str) -> str:
        """What `question` asks about."""
        return question[len(self.before) : len(question) - len(self.after)]


def form_of(relation: str, questions: Sequence[str]) -> Form:
    """The form that all questions of a relation share, cut at word boundaries.

    Raises:
        DataError: fewer than two different questions, or no words in common.
    """
    texts = sorted(set(questions))
    before = _common_start(texts) if len(texts) > 1 else ""
    after = _common_start([text[len(before) :][::-1] for text in texts])[::-1] if len(texts) > 1 else ""
    before = before[: before.rfind(" ") + 1]
    after = _after_a_word(after)
    if not before and len(after) < 2:
        raise DataError(f"relation {relation!r}: its questions share no words, so that no like question can be made up")
    return Form(before, after)


def _common_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return first[:same]


def _after_a_word(after: str) -> str:
    """`after` from its first character that is no part of a word, so that no subject is cut in two."""
    for i, character in enumerate(after):
        if not character.isalnum():
            return after[i:]
    return ""


def invented_name(draw: random.Random, ending: str) -> str:
    """A pronounceable name that nobody has."""
    syllables = [draw.choice(_ONSETS) + draw.choice(_VOWELS) + draw.choice(_CODAS) for _ in range(2)]
    return ("".join(syllables) + ending).capitalize()


def _like(answer: str, draw: random.Random) -> str:
    """A made-up answer of the form of a real one: a number, a code, or a name."""
    if answer.isascii() and answer.isdigit():
        first = str(draw.randint(1, 9))
        return first + "".join(str(draw.randint(0, 9)) for _ in answer[1:])
    if answer.isascii() and answer.isalpha() and answer.isupper() and len(answer) <= 3:
        return "".join(draw.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in answer)
    return invented_name(draw, "a")


def invent(
    relation: str, questions: Sequence[str], answers: Sequence[str], count: int, *, seed: int
) -> list[tuple[str, str]]:
    """Make up facts of a relation.

    Args:
        relation: its name.
        questions: of the real facts; give the form, and are never asked again.
        answers: of the real facts; give the form of the answers.
        count: how many facts.
        seed: of the draw.

    Returns:
        Question and answer of each, all questions different.

    Raises:
        DataError: the relation has no form, or there are not so many names.
    """
    form = form_of(relation, questions)
    draw = random.Random(f"invented:{seed}:{relation}")  # noqa: S311  (reproducible names, no secret)
    real = {form.subject(question).casefold() for question in questions}
    subjects: dict[str, None] = {}
    for _ in range(50 * count):
        if len(subjects) == count:
            break
        name = invented_name(draw, draw.choice(_ENDINGS))
        if name.casefold() not in real:
            subjects.setdefault(name)
    if len(subjects) < count:
        raise DataError(
            f"relation {relation!r}: {count} invented facts are wanted, and there are {len(subjects)} names"
        )
    models = sorted(set(answers))
    return [(form.ask(subject), _like(draw.choice(models), draw)) for subject in subjects]
