"""Loading with transformers without its bars and hints, and its errors in one line."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its class where it says nothing."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


class quiet_transformers:  # noqa: N801  # used like a function, as contextlib's own are
    """Silence progress bars and hints of transformers while loading; halueval says what matters itself."""

    def __enter__(self) -> None:
        from transformers.utils import logging as hf_logging

        self.verbosity = hf_logging.get_verbosity()
        self.bars = hf_logging.is_progress_bar_enabled()
        hf_logging.set_verbosity_error()
        hf_logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        from transformers.utils import logging as hf_logging

        hf_logging.set_verbosity(self.verbosity)
        if self.bars:
            hf_logging.enable_progress_bar()
