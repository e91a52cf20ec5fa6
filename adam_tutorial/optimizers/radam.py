from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, zeros_like


class RAdamState(NamedTuple):
    """What RAdam remembers between steps, the same as Adam.

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


class RAdamStep(NamedTuple):
    r"""One step of RAdam. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : RAdamState
        What the next step needs.
    m : array
        :math:`m_t`, the biased first moment estimate.
    v : array
        :math:`v_t`, the biased second moment estimate.
    m_hat : array
        :math:`\hat m_t`, the bias-corrected first moment estimate.
    ell : array
        :math:`\ell_t`, the adaptive part of the learning rate; 1 in the first steps.
    update : array
        What the step subtracts: :math:`\theta_t = \theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: RAdamState
    m: Array
    v: Array
    m_hat: Array
    ell: Array
    update: Array


@dataclass(frozen=True)
class RAdam(Optimizer):
    r"""RAdam: Adam that starts as momentum, and then warms its learning rate up by a formula.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \hat m_t &= m_t / (1 - \beta_1^t) \\
        \rho_\infty &= 2 / (1 - \beta_2) - 1 \\
        \rho_t &= \rho_\infty - 2 t \beta_2^t / (1 - \beta_2^t) \\
        r_t &= \sqrt{\frac{(\rho_t - 4)(\rho_t - 2)\,\rho_\infty}
            {(\rho_\infty - 4)(\rho_\infty - 2)\,\rho_t}} \\
        \ell_t &= \sqrt{1 - \beta_2^t} \,\big/\, (\sqrt{v_t} + \epsilon) \\
        \theta_t &= \theta_{t-1} - \text{lr}\; r_t\, \hat m_t\, \ell_t

    but :math:`r_t = \ell_t = 1` as long as :math:`\rho_t \le 5`. All operations are element by
    element; :math:`m_0 = v_0 = 0`. After few steps v is the mean of few values, and its root so
    uncertain that :math:`1/\sqrt v` has no finite variance: then the step does without. With the
    default β₂ these are the first five steps. They are as long as the gradient says, not
    as lr says. Later :math:`r_t` makes up for the variance that is left: 0.03 in the sixth step,
    0.65 after a thousand.

    This is PyTorch's form. The paper asks for :math:`\rho_t > 4` only, which with the default β₂
    admits the fifth step; the authors' code and Optax ask for :math:`\rho_t \ge 5`. The authors'
    code by default takes no step at all before. Optax adds ε to :math:`\sqrt{\hat v}`, after the
    bias correction.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate, α in the paper, in units of θ; in the first steps in units of θ per unit of
        gradient.
    betas : pair of floats in [0, 1), default (0.9, 0.999)
        Decay rates of the two moving averages, per step. With β₂ of 2/3 or less all steps are like
        the first ones.
    eps : float, default 1e-8
        ε, in units of the gradient, added to :math:`\sqrt v`, before the bias correction.
    weight_decay : float, default 0
        λ: adds λθ to the gradient (L2 regularisation). The authors' code decays θ itself, as AdamW.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", ICLR 2020, Algorithm 2.

    Examples
    --------
    >>> [round(RAdam().at(t)["r"], 4) for t in (5, 6, 10, 100, 1000)]
    [1.0, 0.0258, 0.049, 0.2153, 0.6453]
    """

    lr: float = 1e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def init(self, theta):
        return RAdamState(t=0, m=zeros_like(theta), v=zeros_like(theta))

    def at(self, t):
        beta1, beta2 = self.betas
        limit = 2 / (1 - beta2) - 1
        rho = limit - 2 * t * beta2**t / (1 - beta2**t)
        tractable = rho > 5
        r = 1.0
        if tractable:
            r = ((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)) ** 0.5
        return {
            "lr": self.lr,
            "beta1": beta1,
            "beta2": beta2,
            "eps": self.eps,
            "correction1": 1 - beta1**t,
            "correction2": 1 - beta2**t,
            "tractable": float(tractable),
            "r": r,
        }

    def rule(
        self, theta, g, state, *, lr, beta1, beta2, eps, correction1, correction2, tractable, r
    ):
        m = beta1 * state.m + (1 - beta1) * g
        v = beta2 * state.v + (1 - beta2) * g**2
        m_hat = m / correction1
        # Of the two terms that are added one is 0.
        ell = 1 / (tractable * (v**0.5 + eps) / correction2**0.5 + (1 - tractable))
        update = lr * r * m_hat * ell
        theta = theta - update
        return RAdamStep(theta, RAdamState(state.t, m, v), m, v, m_hat, ell, update)
