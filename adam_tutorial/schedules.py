"""Schedules: from the part of the training that is done to a factor on the learning rate.

``training.fit`` and ``training.steps`` take them.
"""

import math
from collections.abc import Callable

from adam_tutorial.optimizers.base import integer


def linear_decay(done: float) -> float:
    """Return a factor on the learning rate that falls from 1 to 0 in a straight line.

    Parameters
    ----------
    done : float
        The part of the training that is done, from 0 to 1.

    Returns
    -------
    float
        1 - ``done``.
    """
    return 1 - done


def cosine(done: float) -> float:
    r"""Return a factor that falls from 1 to 0 along half a wave of the cosine.

    It is :math:`\tfrac12 (1 + \cos \pi d)`, where :math:`d` is the part that is done.

    Parameters
    ----------
    done : float
        The part of the training that is done, from 0 to 1.

    Returns
    -------
    float
        The factor on the learning rate.

    References
    ----------
    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.

    Examples
    --------
    >>> [round(cosine(done), 3) for done in (0.0, 0.25, 0.5, 1.0)]
    [1.0, 0.854, 0.5, 0.0]
    """
    return 0.5 * (1 + math.cos(math.pi * done))


def stable_decay(done: float, decay: float = 0.2) -> float:
    r"""Return a factor that stays at 1, and falls to 0 in a straight line at the end.

    It is :math:`\min(1, (1 - d)/p)`, where :math:`d` is the part that is done and :math:`p` is
    ``decay``. With a warm-up before it, it is the schedule "warm-up, stable, decay" (WSD).

    Parameters
    ----------
    done : float
        The part of the training that is done, from 0 to 1.
    decay : float, default 0.2
        The part of the training in which the factor falls, above 0 and at most 1. With 1 it is
        ``linear_decay``.

    Returns
    -------
    float
        The factor on the learning rate.

    Raises
    ------
    ValueError
        If ``decay`` is not above 0 and at most 1.

    References
    ----------
    Hu et al., "MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training
    Strategies", 2024.

    Examples
    --------
    >>> [round(stable_decay(done), 3) for done in (0.0, 0.8, 0.9, 1.0)]
    [1.0, 1.0, 0.5, 0.0]
    """
    if not 0 < decay <= 1:
        raise ValueError(f"decay must be above 0 and at most 1, got {decay!r}")
    return min(1.0, (1 - done) / decay)


def warmed_up(
    schedule: Callable[[float], float], warmup: int, count: int
) -> Callable[[float], float]:
    """Put a linear warm-up before a schedule.

    Step k of the warm-up, counted from 1, gets the factor k / ``warmup``, so that the first step is
    not lost. The schedule then takes place, as a whole, in the steps that are left.

    Parameters
    ----------
    schedule : callable
        From the part that is done, from 0 to 1, to a factor; for example ``cosine``.
    warmup : int
        How many steps the warm-up takes; 0 for none.
    count : int
        How many steps the training takes.

    Returns
    -------
    callable
        The whole schedule, of the same kind as ``schedule``.

    Raises
    ------
    ValueError
        If ``count`` is not an integer of at least 1, or ``warmup`` not one from 0 to
        ``count`` - 1.

    Examples
    --------
    >>> factor = warmed_up(cosine, warmup=4, count=12)
    >>> [round(factor(step / 12), 3) for step in range(12)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.962, 0.854, 0.691, 0.5, 0.309, 0.146, 0.038]
    """
    integer("count", count, least=1)
    integer("warmup", warmup, least=0, most=count - 1)

    def factor(done: float) -> float:
        steps = done * count
        # done is a quotient: times count it may be a little less than the whole number.
        if round(steps, 6) < warmup:
            return (steps + 1) / warmup
        return schedule(max(0.0, (steps - warmup) / (count - warmup)))

    return factor
