"""Tables on a terminal, whole: wider than it, their lines wrap; squeezed into it, digits would be cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDEST = 1000


def print_whole(console: Console, table: Table) -> None:
    """Print a table as wide as it needs to be; rich itself caps a table at the width of its console."""
    from rich.console import Console as WideConsole
    from rich.measure import Measurement

    needed = Measurement.get(console, console.options.update(max_width=WIDEST), table).maximum
    wide = WideConsole(file=console.file, width=max(needed, console.width), highlight=False)
    wide.print(table, no_wrap=True, overflow="ignore", crop=False)
