"""The figures that more than one chapter draws, and how an optimizer looks in all of them."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter

from adam_tutorial.problems import Problem
from adam_tutorial.trajectory import Trajectory

# Okabe and Ito's colours, which colour-blind readers can tell apart, each with a marker of its own.
LOOKS = {
    "Gradient descent": {"color": "#555555", "marker": "o"},
    "SGD": {"color": "#555555", "marker": "o"},
    "Momentum": {"color": "#E69F00", "marker": "s"},
    "Nesterov": {"color": "#CC79A7", "marker": "D"},
    "Adagrad": {"color": "#009E73", "marker": "^"},
    "RMSProp": {"color": "#56B4E9", "marker": "v"},
    "Adam": {"color": "#D55E00", "marker": "*"},
    "AMSGrad": {"color": "#0072B2", "marker": "P"},
    # Beyond their seven: as far as can be from these and from each other for every kind of sight.
    "AdamW": {"color": "#000000", "marker": "X", "markersize": 7},
    "Adamax": {"color": "#999933", "marker": "<"},
    "NAdam": {"color": "#7F3C8D", "marker": ">"},
    "RAdam": {"color": "#332288", "marker": "$R$", "markersize": 8},
    "AdaBound": {"color": "#1A85FF", "marker": "d"},
    "AMSBound": {"color": "#003C30", "marker": "$M$", "markersize": 8},
    "AdaBelief": {"color": "#B2182B", "marker": "$B$", "markersize": 8},
    "Yogi": {"color": "#FF4F81", "marker": "$Y$", "markersize": 8},
    "Lion": {"color": "#661100", "marker": "$L$", "markersize": 8},
    "Adan": {"color": "#994F00", "marker": "$\\ominus$", "markersize": 8},
    "ADOPT": {"color": "#C51B7D", "marker": (8, 1, 0), "markersize": 8},
    "Adafactor": {"color": "#00A6A6", "marker": "h"},
    "Adam8bit": {"color": "#5D3FD3", "marker": "$8$", "markersize": 8},
    "AdamMini": {"color": "#B8860B", "marker": "$m$", "markersize": 8},
    "LAMB": {"color": "#4B5320", "marker": "p"},
    "Muon": {"color": "#8B008B", "marker": "$\\mu$", "markersize": 8},
    "ScheduleFreeAdamW": {"color": "#2E8B57", "marker": "$F$", "markersize": 8},
    "SOAP": {"color": "#A0522D", "marker": "8"},
}

STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 11,
    "axes.prop_cycle": plt.cycler(
        color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555"]
    ),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "figure.dpi": 144,
    "figure.facecolor": "white",
    "figure.figsize": (6.0, 3.6),
    "font.size": 11,
    "grid.alpha": 0.5,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
}


def look(name: str, every: int | float = 1) -> dict:
    """Return the colour and marker of an optimizer, and its name as the label.

    Parameters
    ----------
    name : str
        One of ``LOOKS``, such as ``"Adam"`` or ``"Momentum"``.
    every : int or float, default 1
        Spaces the markers out, in points of the line (int) or parts of the figure (float).

    Returns
    -------
    dict
        Keyword arguments for ``Axes.plot``.

    Raises
    ------
    ValueError
        If ``name`` has no look.

    Examples
    --------
    >>> look("Momentum")["color"]
    '#E69F00'
    """
    if name not in LOOKS:
        raise ValueError(f"name must be one of {', '.join(LOOKS)}, got {name!r}")
    big = 9 if LOOKS[name]["marker"] == "*" else None
    return {"label": name, "markersize": big, "markevery": every, **LOOKS[name]}


def contours(ax: Axes, problem: Problem, x: tuple[float, float], y: tuple[float, float]) -> None:
    """Draw a problem in two dimensions as level lines, and its minimum as a cross.

    The levels are evenly spaced in the root of the height above the lowest point.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw.
    problem : Problem
        In two coordinates, which become the axes x and y.
    x, y : pairs of floats
        The range of each coordinate.
    """
    xs, ys = np.linspace(*x, 161), np.linspace(*y, 161)
    heights = problem.value(np.stack(np.meshgrid(xs, ys), axis=-1))
    lowest = min(heights.min(), problem.value(problem.minimum))
    levels = lowest + (heights.max() - lowest) * np.linspace(0.02, 0.98, 14) ** 2
    ax.contour(xs, ys, heights, levels=levels, colors="#9db4c8", linewidths=0.8)
    ax.plot(*problem.minimum, marker="+", color="black", markersize=10, linestyle="none")
    ax.set(xlabel="$x$", ylabel="$y$")
    ax.grid(False)


def path(ax: Axes, run: Trajectory, name: str, every: int = 1, **style) -> None:
    """Draw the parameters of a run in two dimensions as a line with a marker at the steps.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw.
    run : Trajectory
        A run in two coordinates.
    name : str
        One of ``LOOKS``: decides the colour, the marker and the label.
    every : int, default 1
        Mark every so many steps.
    **style
        Further keyword arguments for ``Axes.plot``; they take precedence over the look.

    Raises
    ------
    ValueError
        If ``name`` has no look.
    """
    ax.plot(*run.theta.T, **{**look(name, every), "linewidth": 1.4, **style})


def sensitivity(ax: Axes, by_lr: pd.DataFrame, column: str) -> None:
    """Draw a column of ``Comparison.by_lr()`` against the learning rate, a line an optimizer.

    A cross on the lower edge marks a learning rate at which a run is chaotic, so that there is no
    number to show.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw; its axis x becomes logarithmic.
    by_lr : DataFrame
        What ``Comparison.by_lr()`` gives; each of its optimizers is one of ``LOOKS``.
    column : str
        Such as ``"val_loss"`` or ``"test_accuracy"``.

    Raises
    ------
    ValueError
        If an optimizer has no look.
    """
    for name, group in by_lr.groupby(level="optimizer", sort=False):
        group = group.droplevel("optimizer")
        ax.plot(group.index, group[column], **look(name))
        chaotic = group.index[~group["reproducible"]]
        ax.plot(
            chaotic,
            np.zeros(len(chaotic)),
            marker="x",
            linestyle="none",
            color=LOOKS[name]["color"],
            clip_on=False,
            transform=ax.get_xaxis_transform(),
        )
    lrs = by_lr.index.get_level_values("lr").unique()
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(list(lrs)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xticks(list(lrs), [f"{lr:g}" for lr in lrs])
    ax.set_xlabel("learning rate")


def learning_curves(ax: Axes, curves: pd.DataFrame, column: str) -> None:
    """Draw the mean over the seeds as a line, and the range over the seeds as a band.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw.
    curves : DataFrame
        A table with the index optimizer, seed, epoch, such as from ``Comparison.best_curves()``;
        each of its optimizers is one of ``LOOKS``.
    column : str
        Such as ``"train_loss"`` or ``"val_accuracy"``.

    Raises
    ------
    KeyError
        If an optimizer has no look, or the table no such column.
    """
    for name, group in curves[column].groupby(level="optimizer", sort=False):
        by_seed = group.droplevel("optimizer").unstack("seed")
        ax.fill_between(
            by_seed.index,
            by_seed.min(axis=1),
            by_seed.max(axis=1),
            color=LOOKS[name]["color"],
            alpha=0.18,
            linewidth=0,
        )
        ax.plot(by_seed.index, by_seed.mean(axis=1), **look(name))
    ax.set_xlabel("epoch")
