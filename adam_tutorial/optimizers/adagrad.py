from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, full_like


class AdagradState(NamedTuple):
    """What Adagrad remembers between steps: one array like θ, and the number of steps.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    G : array like θ
        :math:`G_t`, the sum of all squared gradients, on top of its value at the start.
    """

    t: int
    G: Array


class AdagradStep(NamedTuple):
    r"""One step of Adagrad. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : AdagradState
        What the next step needs.
    G : array
        :math:`G_t`, the sum of all squared gradients, on top of its value at the start.
    update : array
        What the step subtracts: :math:`\theta_t = \theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: AdagradState
    G: Array
    update: Array


@dataclass(frozen=True)
class Adagrad(Optimizer):
    r"""Adagrad: each coordinate's step shrinks with all the gradient that it has ever seen.

    .. math::

        G_t &= G_{t-1} + g_t^2 \\
        \text{lr}_t &= \text{lr} / (1 + (t - 1)\, \mathrm{lr\_decay}) \\
        \theta_t &= \theta_{t-1} - \text{lr}_t\; g_t / (\sqrt{G_t} + \epsilon)

    All operations are element by element: this is the diagonal form of the paper. With
    :math:`G_0 = 0` the first step has length lr in every coordinate whose gradient is much larger
    than ε.

    Parameters
    ----------
    lr : float, default 1e-2
        Learning rate, in units of θ.
    lr_decay : float, default 0
        How fast lr falls, per step, on top of what :math:`\sqrt G` does.
    weight_decay : float, default 0
        λ: adds λθ to the gradient (L2 regularisation).
    initial_accumulator_value : float, default 0
        :math:`G_0`, in units of the squared gradient. Keras and Optax start at 0.1.
    eps : float, default 1e-10
        ε, in units of the gradient, added to the root as in PyTorch; Keras and Optax add theirs
        inside the root.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic
    Optimization", JMLR 2011.

    Examples
    --------
    >>> import numpy as np
    >>> adagrad = Adagrad(lr=0.1)
    >>> step = adagrad.step(np.array([1.0]), np.array([2.0]), adagrad.init(np.array([1.0])))
    >>> step.theta
    array([0.9])
    """

    lr: float = 1e-2
    _: KW_ONLY
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10

    def init(self, theta):
        return AdagradState(t=0, G=full_like(theta, self.initial_accumulator_value))

    def at(self, t):
        return {"lr": self.lr / (1 + (t - 1) * self.lr_decay), "eps": self.eps}

    def rule(self, theta, g, state, *, lr, eps):
        G = state.G + g**2
        update = lr * g / (G**0.5 + eps)
        theta = theta - update
        return AdagradStep(theta, AdagradState(state.t, G), G, update)
