from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, sign, zeros_like


class LionState(NamedTuple):
    """What Lion remembers between steps: one array like θ, and the number of steps.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    m : array like θ
        :math:`m_t`, the exponential moving average of the gradients.
    """

    t: int
    m: Array


class LionStep(NamedTuple):
    r"""One step of Lion. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : LionState
        What the next step needs.
    c : array
        :math:`c_t`, the mix of average and gradient whose sign is the direction.
    m : array
        :math:`m_t`, the exponential moving average of the gradients.
    update : array
        What the step subtracts after the decay:
        :math:`\theta_t = (1 - \text{lr}\,\lambda)\,\theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: LionState
    c: Array
    m: Array
    update: Array


@dataclass(frozen=True)
class Lion(Optimizer):
    r"""Lion: the sign of an average of the gradients, so that all coordinates step equally far.

    .. math::

        c_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        \theta_t &= (1 - \text{lr}\,\lambda)\,\theta_{t-1} - \text{lr}\; \text{sign}(c_t) \\
        m_t &= \beta_2 m_{t-1} + (1 - \beta_2)\, g_t

    All operations are element by element; :math:`m_0 = 0`, and the sign of 0 is 0. The gradient
    counts more in the step than in the average that is kept, as with Nesterov's momentum. There is
    no second moment: the state is half as large as Adam's, and no ε is needed.

    The authors' code, Keras, Optax and pytorch-optimizer agree on this form. They differ in the
    default of the decay: none in the authors' PyTorch code and in Keras, 0.001 in Optax.

    Parameters
    ----------
    lr : float, default 1e-4
        Learning rate, η in the paper, in units of θ: the length of every step in every coordinate.
        The paper recommends a third to a tenth of AdamW's.
    betas : pair of floats in [0, 1), default (0.9, 0.99)
        How much the average counts in the step, and its decay rate per step.
    weight_decay : float, default 0
        λ, per unit of lr: a step shrinks θ by the part lr λ, as in AdamW.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023, Algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> lion = Lion(lr=0.01)
    >>> theta = np.array([1.0, 1.0, 1.0])
    >>> lion.step(theta, np.array([5.0, -0.001, 0.0]), lion.init(theta)).theta
    array([0.99, 1.01, 1.  ])
    """

    lr: float = 1e-4
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0

    DECOUPLED = True

    def init(self, theta):
        return LionState(t=0, m=zeros_like(theta))

    def at(self, t):
        beta1, beta2 = self.betas
        return {"lr": self.lr, "beta1": beta1, "beta2": beta2, "weight_decay": self.weight_decay}

    def rule(self, theta, g, state, *, lr, beta1, beta2, weight_decay):
        c = beta1 * state.m + (1 - beta1) * g
        update = lr * sign(c)
        theta = (1 - lr * weight_decay) * theta - update
        m = beta2 * state.m + (1 - beta2) * g
        return LionStep(theta, LionState(state.t, m), c, m, update)
