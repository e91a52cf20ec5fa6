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
    """Return a text that changes when something plotted changes in its fourth digit.

    For each thing that is drawn it gives the label, the number of values, and the first, last,
    least and greatest of them; ``#`` and a checksum of all values ends the line.
    """
    lines = []
    for number, axes in enumerate(figure.axes):
        labels = (axes.get_title(), axes.get_xlabel(), axes.get_ylabel())
        lines.append(f"axes {number}: " + " | ".join(label.replace("\n", " ") for label in labels))
        for line in axes.lines:
            lines.append(_summary("line", line.get_label(), np.array(line.get_data(), dtype=float)))
        for collection in axes.collections:
            lines.append(_summary("shape", collection.get_label(), _points(collection)))
        for patch in axes.patches:
            points = patch.get_transform().transform_path(patch.get_path()).vertices
            points = axes.transData.inverted().transform(points)
            lines.append(_summary("patch", patch.get_label(), points.T))
        for image in axes.images:
            lines.append(_summary("image", image.get_label(), image.get_array().reshape(1, -1)))
        lines += [f"  text {text.get_text()!r}" for text in axes.texts]
    return "\n".join(lines)


def _points(collection: Collection) -> np.ndarray:
    """Return the coordinates of what a collection draws, and its colour values if it has any."""
    offsets = collection.get_offsets()
    if len(offsets) > 1:
        points = np.ma.filled(offsets, np.nan)
    else:
        paths = [path.vertices for path in collection.get_paths() if len(path.vertices)]
        points = np.concatenate(paths) if paths else np.empty((0, 2))
    return points.T


def _summary(kind: str, label: object, rows: np.ndarray) -> str:
    parts = []
    for values in np.asarray(rows, dtype=float):
        finite = values[np.isfinite(values)]
        # Sums that should be zero are not exactly so, and differ between processors.
        finite = np.where(np.abs(finite) < 1e-9 * np.abs(finite).max(initial=0), 0.0, finite)
        # A value on the border of rounding would go up here and down there: move it off.
        digits = [f"{value * (1 + 3e-8):.4g}" for value in finite]
        if finite.size:
            ends = (0, -1, np.argmin(finite), np.argmax(finite))
            first, last, low, high = (digits[i] for i in ends)
            parts.append(f"{first} to {last}, in {low} to {high}")
        parts.append(f"#{zlib.crc32(' '.join(digits).encode()):08x}")
    name = "" if str(label).startswith("_") else f" {label}"
    return f"  {kind}{name}, {np.shape(rows)[-1]}: " + "; ".join(parts)
