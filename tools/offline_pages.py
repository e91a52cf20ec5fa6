"""A Sphinx extension that keeps Jupyter Book's pages free of what this book does without.

Jupyter Book loads sphinx-thebe always, which puts scripts for another host's library into every
page, and puts them there twice. This takes them out again, and tells the theme to follow the
reader's light or dark mode.
"""

from sphinx.application import Sphinx
from sphinx.config import Config


def without_thebe(app: Sphinx, config: Config) -> None:
    for listeners in app.events.listeners.values():
        listeners[:] = [x for x in listeners if x.handler.__module__ != "sphinx_thebe"]
    app.registry.css_files[:] = [x for x in app.registry.css_files if x[0] != "sphinx-thebe.css"]
    config.html_context.setdefault("default_mode", "auto")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", without_thebe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
