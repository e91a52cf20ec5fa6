"""Search spaces for the hyperparameters of AdamW, and what a search of n trials finds in them.

A trial is a point of a Sobol sequence: random points, but spread more evenly than chance would.
Each trial has its number, so that a search can be stored, continued, or cut into smaller ones.
"""

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import qmc

from adam_tutorial.optimizers import AdamW
from adam_tutorial.optimizers.base import integer

RANGES: dict[str, tuple[float, float]] = {
    "lr": (1e-4, 1.0),
    "1-beta1": (1e-2, 1.0),
    "1-beta2": (1e-4, 1e-1),
    "eps": (1e-10, 1e-2),
    "weight_decay": (1e-4, 1.0),
}
"""The hyperparameters and their ranges. Each is drawn uniformly on a logarithmic scale."""

SPACES: dict[str, tuple[str, ...]] = {
    "lr": ("lr",),
    "lr+beta1": ("lr", "1-beta1"),
    "lr+decay": ("lr", "weight_decay"),
    "lr+beta1+eps": ("lr", "1-beta1", "eps"),
    "all": ("lr", "1-beta1", "1-beta2", "eps", "weight_decay"),
    # The second half of a search in two halves: the learning rate is then known.
    "rest": ("1-beta1", "1-beta2", "eps", "weight_decay"),
}
"""What each search space varies. All else has AdamW's default."""

BUDGETS = (5, 10, 25, 50, 100)
"""The numbers of trials of which the best is reported."""

_MOST = 1024


@functools.cache
def _points(space: str) -> np.ndarray:
    # A whole power of 2, as the sequence wants; the first points do not depend on it.
    rng = np.random.default_rng(0)
    sequence = qmc.Sobol(len(SPACES[space]), scramble=True, rng=rng)
    return sequence.random(_MOST)


def settings(space: str, k: int) -> dict[str, float]:
    r"""Return the hyperparameters of a trial.

    A coordinate :math:`u \in [0, 1)` of the k-th point of a scrambled Sobol sequence gives

    .. math::

        x = a\,(b / a)^u

    in the range from a to b, rounded to three significant digits, so that the value does not depend
    on the machine. The sequences of all spaces are scrambled with the same seed, so that their
    trials of one number are not independent.

    Parameters
    ----------
    space : str
        One of ``SPACES``.
    k : int
        The number of the trial, from 0 to 1023.

    Returns
    -------
    dict
        From the names that the space varies, as in ``RANGES``, to their values.

    Raises
    ------
    ValueError
        If there is no such space or trial.

    Examples
    --------
    >>> settings("lr+decay", 0)
    {'lr': 0.00436, 'weight_decay': 0.719}
    """
    if space not in SPACES:
        raise ValueError(f"space must be one of {', '.join(SPACES)}, got {space!r}")
    k = integer("k", k, most=_MOST - 1)
    values = {}
    for name, u in zip(SPACES[space], _points(space)[k], strict=True):
        low, high = RANGES[name]
        values[name] = float(f"{low * (high / low) ** u:.3g}")
    return values


def trial(space: str, k: int) -> AdamW:
    """Return the optimizer of a trial.

    Parameters
    ----------
    space : str
        One of ``SPACES``.
    k : int
        The number of the trial, from 0 to 1023.

    Returns
    -------
    AdamW
        With the hyperparameters of ``settings``, and its defaults for what the space leaves alone.

    Raises
    ------
    ValueError
        If there is no such space or trial.

    Examples
    --------
    >>> trial("lr+beta1", 1)
    AdamW(lr=0.0772, betas=(0.9836, 0.999), eps=1e-08, weight_decay=0.01)
    """
    values = settings(space, k)
    usual = AdamW()
    # Without the rounding 1 - 0.0123 would have the error of the subtraction in its last digits.
    betas = tuple(
        round(1 - values[name], 9) if name in values else beta
        for name, beta in zip(("1-beta1", "1-beta2"), usual.betas, strict=True)
    )
    return AdamW(
        lr=values.get("lr", usual.lr),
        betas=betas,
        eps=values.get("eps", usual.eps),
        weight_decay=values.get("weight_decay", usual.weight_decay),
    )


def winners(losses: Sequence[float], n: int) -> np.ndarray:
    """Return which trial a search of n trials would have chosen, for each block of n.

    Parameters
    ----------
    losses : sequence of floats
        What the choice goes by, trial by trial: the lower the better.
    n : int
        Trials in a search: the blocks are trials 0 to n - 1, n to 2n - 1, and so on. Trials at the
        end that do not fill a block are left out.

    Returns
    -------
    array of ints
        The number of the best trial of each block, counted from the first trial of all.

    Raises
    ------
    ValueError
        If ``n`` is not an integer from 1 to the number of trials, or a loss is not a number.

    Examples
    --------
    >>> winners([3.0, 1.0, 2.0, 5.0, 4.0], n=2)
    array([1, 2])
    """
    losses = np.asarray(losses, dtype=float)
    n = integer("n", n, least=1, most=len(losses))
    if np.isnan(losses).any():
        raise ValueError(f"losses must be numbers or infinity, got {losses[np.isnan(losses)][0]}")
    blocks = losses[: len(losses) // n * n].reshape(-1, n)
    return blocks.argmin(axis=1) + n * np.arange(len(blocks))


def best_of(
    losses: Sequence[float], judged: Sequence[float], budgets: Sequence[int] = BUDGETS
) -> pd.DataFrame:
    """Return what the best of n trials has, as a mean over the blocks of n trials.

    The trial with the lowest loss of a block is partly the luckiest. So what chooses and what
    judges are two things, such as two seeds.

    Parameters
    ----------
    losses : sequence of floats
        What the choice goes by, trial by trial: the lower the better.
    judged : sequence of floats
        What the chosen trials are judged by, for the same trials.
    budgets : sequence of ints, default (5, 10, 25, 50, 100)
        The numbers n of trials in a search.

    Returns
    -------
    DataFrame
        Index: ``trials``, the budgets. Columns: ``blocks``, their number; ``chosen``, the lowest
        loss; ``judged``, what judges the same trial; both are means over the blocks. ``spread``,
        the standard deviation of the latter over the blocks (NaN for one block). The blocks of one
        sequence are not independent of one another.

    Raises
    ------
    ValueError
        If the two do not have the same length, and where ``winners`` raises it.

    Examples
    --------
    >>> best_of([3.0, 1.0, 2.0, 5.0], [3.5, 2.0, 2.5, 4.5], budgets=[2, 4])
            blocks  chosen  judged    spread
    trials
    2            2     1.5    2.25  0.353553
    4            1     1.0    2.00       NaN
    """
    losses, judged = np.asarray(losses, dtype=float), np.asarray(judged, dtype=float)
    if losses.shape != judged.shape:
        raise ValueError(f"judged must have the shape of losses, got {judged.shape}")
    rows = {}
    for n in budgets:
        won = winners(losses, n)
        found = pd.Series(judged[won])
        rows[n] = [len(won), losses[won].mean(), found.mean(), found.std()]
    columns = ["blocks", "chosen", "judged", "spread"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.rename_axis("trials")
