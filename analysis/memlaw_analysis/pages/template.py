"""Fill in the HTML template of a page. Every text is escaped."""

from pathlib import Path

import jinja2

from memlaw_analysis.pages.show import show
from memlaw_analysis.pages.text import LEGEND


def render(template: Path, **values: object) -> str:
    """Render a template, which may extend `base.html` and import the macros of this package.

    Args:
        template: its file.
        values: what it names.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {"show": show, "LEGEND": LEGEND}
    return environment.get_template(template.name).render(**values)
