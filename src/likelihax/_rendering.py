"""Tables as plain text for a terminal, and as HTML for a notebook."""

import io

from rich.console import Console, Group, RenderableType

_WIDTH = 96


def render(*parts: RenderableType, html: bool) -> str:
    """What is given, one below the other."""
    out = io.StringIO()
    # Told what it is writing to, or inside a notebook it would show the table by itself.
    console = Console(
        file=out,
        width=_WIDTH,
        record=html,
        highlight=False,
        markup=False,
        force_jupyter=False,
        force_terminal=False,
    )
    console.print(Group(*parts))
    if not html:
        return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())
    form = '<pre style="line-height:1.25;font-family:monospace">{code}</pre>'
    return console.export_html(inline_styles=True, code_format=form)
