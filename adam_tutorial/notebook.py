"""What every notebook of the book starts with: ``setup()``."""

import random
import sys
import zlib

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.collections import Collection
from matplotlib.figure import Figure

from adam_tutorial.plotting import STYLE


def setup() -> None:
    """Prepare a notebook: style of figures and tables, seeds, float64, a digest of every figure.

    Call it once, after the imports. The digest is the text form of a figure: a few numbers for
    everything that is plotted. The page shows the image instead; the comparison of a notebook's
    outputs with the stored ones reads the text, and so notices a changed value in a plot.

    The seeds are those of ``random``, of NumPy and, if it has been imported, of torch, all 0. Only
    then does torch make float64 its default type. Outside a notebook there are no digests.
    """
    plt.rcParams.update(STYLE)
    pd.options.display.max_colwidth = None
    random.seed(0)
    np.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)
        # Before any network is made: weights that were rounded in float32 differ by processor.
        torch.set_default_dtype(torch.float64)
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:
        # The inline backend drops the printers of figures when it starts, so it starts first.
        shell.run_line_magic("matplotlib", "inline")
        printers = shell.display_formatter.formatters["text/plain"]
        printers.for_type(Figure, lambda figure, p, cycle: p.text(digest(figure)))


def digest(figure: Figure) -> str:
    """Return a text that changes when a plotted value changes in its fourth digit.

    For each thing that is drawn (lines, points, bands, bars, level lines, arrows, images) it
    gives the label, the number of values, and the first, last, least and greatest of them; a
    checksum of all values ends the line. Titles, axis labels and scales, and texts are there too;
    ticks, colours that stand for no value, line styles and sizes are not. Of what is marked with
    ``gid="unrepeatable"``, such as a chaotic run, the label and the number of values are given.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure, as it stands.

    Returns
    -------
    str
        A line for each thing that is drawn, below a line for its axes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> figure = Figure()
    >>> _ = figure.subplots().plot([1, 2, 3], [4.0, 2.5, 3.0], label="loss")
    >>> print(digest(figure))
    axes 0:  |  |  | linear | linear
      line loss, 3: 1 to 3, in 1 to 3; #f7eabd5f; 4 to 3, in 2.5 to 4; #55140a2d
    """
    lines = [f"figure: {figure.get_suptitle()}"] if figure.get_suptitle() else []
    for number, axes in enumerate(figure.axes):
        labels = (axes.get_title(), axes.get_xlabel(), axes.get_ylabel())
        scales = (axes.get_xscale(), axes.get_yscale())
        lines.append(f"axes {number}: " + " | ".join(x.replace("\n", " ") for x in labels + scales))
        exact = [scale == "log" for scale in scales]
        for line in axes.lines:
            lines.append(_summary("line", line, line.get_data(orig=False), exact))
        for collection in axes.collections:
            lines.append(_summary("shape", collection, _points(collection), exact))
        for patch in axes.patches:
            points = patch.get_transform().transform_path(patch.get_path()).vertices
            points = axes.transData.inverted().transform(points)
            lines.append(_summary("patch", patch, points.T, exact))
        for image in axes.images:
            lines.append(_summary("image", image, [image.get_array().ravel()]))
        for text in axes.texts:
            place = ", ".join(f"{x:.4g}" for x in text.get_position())
            lines.append(f"  text {text.get_text()!r} at {place}")
    return "\n".join(lines)


def _points(collection: Collection) -> list[np.ndarray]:
    """Return the coordinates that a collection draws, and the values that its colours stand for."""
    offsets = np.ma.filled(collection.get_offsets(), np.nan)
    vertices = [path.vertices for path in collection.get_paths() if len(path.vertices)]
    if vertices and (len(offsets) <= 1 and not np.any(offsets)):
        offsets = np.concatenate(vertices)
    rows = [*np.reshape(offsets, (-1, 2)).T]
    for values in (collection.get_array(), getattr(collection, "U", None)):
        if values is not None:
            rows.append(np.ma.filled(np.ma.asarray(values, dtype=float), np.nan).ravel())
    if hasattr(collection, "V"):
        rows.append(np.ma.filled(np.ma.asarray(collection.V, dtype=float), np.nan).ravel())
    return rows


def _summary(kind: str, artist, rows, exact=(False, False)) -> str:
    """Return one line on the values of an artist; ``exact`` rows keep their tiny values."""
    label = str(artist.get_label())
    name = "" if label.startswith("_") or not label else f" {label}"
    count = len(rows[0]) if len(rows) else 0
    if artist.get_gid() == "unrepeatable":
        return f"  {kind}{name}, {count}: unrepeatable"
    parts = []
    for i, values in enumerate(rows):
        values = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
        finite = values[np.isfinite(values)]
        if not any(exact[i : i + 1]):
            # Sums that should be zero are not exactly so, and differ between processors.
            tiny = 1e-9 * np.abs(finite).max(initial=0)
            values = np.where(np.abs(values) < tiny, 0.0, values)
        # A value on the border of rounding would go up here and down there: move it off.
        digits = np.array([f"{value * (1 + 3e-8):.4g}" for value in values])
        if finite.size:
            shown = digits[np.isfinite(values)]
            low, high = shown[finite.argmin()], shown[finite.argmax()]
            parts.append(f"{shown[0]} to {shown[-1]}, in {low} to {high}")
        parts.append(f"#{zlib.crc32(' '.join(digits).encode()):08x}")
    return f"  {kind}{name}, {count}: " + "; ".join(parts)
