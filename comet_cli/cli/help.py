"""How ``--help`` lists verbs: in groups, each verb with its whole first sentence."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

WHOLE = 1 << 16  # characters: a line that is too long wraps and is not cut off
UNGROUPED = "Commands"


class HelpGroup(TyperGroup):
    """Verbs under the headings that they were registered with (``rich_help_panel``)."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the verbs, their descriptions in one column over all groups."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                heading = getattr(command, "rich_help_panel", None)
                title = heading if isinstance(heading, str) else UNGROUPED
                groups.setdefault(title, []).append((name, command.get_short_help_str(WHOLE)))
        widest = max((len(name) for rows in groups.values() for name, _ in rows), default=0)
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), text) for name, text in rows])
