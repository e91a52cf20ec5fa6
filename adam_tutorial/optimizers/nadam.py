from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, zeros_like


class NAdamState(NamedTuple):
    """What NAdam remembers between steps, the same as Adam.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    m : array like θ
        :math:`m_t`, the exponential moving average of the gradients.
    v : array like θ
        :math:`v_t`, the exponential moving average of their squares.
    """

    t: int
    m: Array
    v: Array


class NAdamStep(NamedTuple):
    r"""One step of NAdam. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : NAdamState
        What the next step needs.
    m : array
        :math:`m_t`, the biased first moment estimate.
    v : array
        :math:`v_t`, the biased second moment estimate.
    m_hat : array
        :math:`\hat m_t`, the first moment as it will be after the next step, should the gradient
        stay as it is.
    v_hat : array
        :math:`\hat v_t`, the bias-corrected second moment estimate.
    update : array
        What the step subtracts: :math:`\theta_t = \theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: NAdamState
    m: Array
    v: Array
    m_hat: Array
    v_hat: Array
    update: Array


@dataclass(frozen=True)
class NAdam(Optimizer):
    r"""NAdam: Adam with Nesterov's momentum, which looks one step ahead.

    .. math::

        \mu_t &= \beta_1 (1 - \tfrac12\, 0.96^{t \psi}) \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \hat m_t &= \frac{\mu_{t+1}\, m_t}{1 - \prod_{i=1}^{t+1} \mu_i}
            + \frac{(1 - \mu_t)\, g_t}{1 - \prod_{i=1}^t \mu_i} \\
        \hat v_t &= v_t / (1 - \beta_2^t) \\
        \theta_t &= \theta_{t-1} - \text{lr}\; \hat m_t / (\sqrt{\hat v_t} + \epsilon)

    All operations are element by element; :math:`m_0 = v_0 = 0`. The momentum :math:`\mu_t` grows
    from half of β₁ to all of it, over thousands of steps. Even so m is an average with β₁, in
    PyTorch and Keras too.

    This is PyTorch's form. Its state keeps the product of the μ; here it is computed anew from the
    present β₁ and ψ, which is the same as long as these do not change. Keras has ψ = 1. Optax has
    β₁ in place of every μ.

    Parameters
    ----------
    lr : float, default 2e-3
        Learning rate, in units of θ. Keras has 0.001.
    betas : pair of floats in [0, 1), default (0.9, 0.999)
        Decay rates of the two moving averages, per step.
    eps : float, default 1e-8
        ε, in units of the gradient, added to :math:`\sqrt{\hat v}`.
    weight_decay : float, default 0
        λ: adds λθ to the gradient (L2 regularisation).
    momentum_decay : float, default 4e-3
        ψ: how fast the momentum rises to β₁, per step.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Dozat, "Incorporating Nesterov Momentum into Adam", ICLR 2016 Workshop.

    Examples
    --------
    The present gradient counts for more than in Adam: the first step is longer than lr.

    >>> import numpy as np
    >>> nadam = NAdam(lr=1.0)
    >>> nadam.step(np.array([1.0]), np.array([5.0]), nadam.init(np.array([1.0]))).update.round(4)
    array([1.0565])
    """

    lr: float = 2e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum_decay: float = 4e-3

    def init(self, theta):
        return NAdamState(t=0, m=zeros_like(theta), v=zeros_like(theta))

    def _mu(self, t: int) -> float:
        return self.betas[0] * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))

    def at(self, t):
        beta1, beta2 = self.betas
        mu, mu_next = self._mu(t), self._mu(t + 1)
        product = 1.0
        for i in range(1, t + 1):
            product *= self._mu(i)
            if product < 1e-20:  # 1 - product is 1 from here on
                break
        return {
            "lr": self.lr,
            "beta1": beta1,
            "beta2": beta2,
            "eps": self.eps,
            "mu": mu,
            "mu_next": mu_next,
            "correction1": 1 - product,
            "correction1_next": 1 - product * mu_next,
            "correction2": 1 - beta2**t,
        }

    def rule(
        self, theta, g, state, *,
        lr, beta1, beta2, eps, mu, mu_next, correction1, correction1_next, correction2,
    ):  # fmt: skip
        m = beta1 * state.m + (1 - beta1) * g
        v = beta2 * state.v + (1 - beta2) * g**2
        m_hat = mu_next * m / correction1_next + (1 - mu) * g / correction1
        v_hat = v / correction2
        update = lr * m_hat / (v_hat**0.5 + eps)
        theta = theta - update
        return NAdamStep(theta, NAdamState(state.t, m, v), m, v, m_hat, v_hat, update)
