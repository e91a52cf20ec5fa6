"""A progress bar for a person, and none for a program that runs the notebook."""

import sys

from tqdm import tqdm


def watched() -> bool:
    """Return whether a person sees stderr: in a terminal, or in a notebook's live front end."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return sys.stderr.isatty()
    # A front end with a person before it can answer input(); nbclient and nbval cannot.
    return bool(kernel.get_parent("shell").get("content", {}).get("allow_stdin"))


def progress(iterable, total: int, what: str):
    """Return ``iterable``, with a bar that vanishes at the end if somebody is watching."""
    return tqdm(iterable, total=total, desc=what, leave=False, disable=not watched())
