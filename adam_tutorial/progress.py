"""A progress bar for a person, and none for a program that runs the notebook."""

import sys

from tqdm import tqdm


def watched() -> bool:
    """Return whether a person sees stderr: in a terminal, or in a notebook's live front end.

    Returns
    -------
    bool
        False where nobody can answer ``input()``, as when a program runs the notebook, and where
        stderr goes into a file.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return sys.stderr.isatty()
    # A front end with a person before it can answer input(); nbclient and nbval cannot.
    return bool(kernel.get_parent("shell").get("content", {}).get("allow_stdin"))


def progress(iterable, total: int, what: str):
    """Return ``iterable``, with a bar that vanishes at the end if somebody is watching.

    Parameters
    ----------
    iterable : iterable
        What to go through.
    total : int
        How many items it has.
    what : str
        What the bar says before the numbers.

    Returns
    -------
    iterable
        The same items. The bar is on stderr.

    Examples
    --------
    >>> list(progress("abc", 3, "letters"))
    ['a', 'b', 'c']
    """
    return tqdm(iterable, total=total, desc=what, leave=False, disable=not watched())
