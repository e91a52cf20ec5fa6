from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, zeros_like


class AdaBeliefState(NamedTuple):
    """What AdaBelief remembers between steps: two arrays like θ, and the number of steps.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    m : array like θ
        :math:`m_t`, the exponential moving average of the gradients.
    s : array like θ
        :math:`s_t`, that of the squared difference between the gradient and m.
    """

    t: int
    m: Array
    s: Array


class AdaBeliefStep(NamedTuple):
    r"""One step of AdaBelief. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : AdaBeliefState
        What the next step needs.
    m : array
        :math:`m_t`, the biased first moment estimate.
    s : array
        :math:`s_t`, the exponential moving average of :math:`(g_t - m_t)^2`.
    m_hat : array
        :math:`\hat m_t`, the bias-corrected first moment estimate.
    s_hat : array
        :math:`\hat s_t`, s with the bias correction.
    update : array
        What the step subtracts after the decay:
        :math:`\theta_t = (1 - \text{lr}\,\lambda)\,\theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: AdaBeliefState
    m: Array
    s: Array
    m_hat: Array
    s_hat: Array
    update: Array


@dataclass(frozen=True)
class AdaBelief(Optimizer):
    r"""AdaBelief: Adam that steps further the better the mean predicts the gradient.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        s_t &= \beta_2 s_{t-1} + (1 - \beta_2)\, (g_t - m_t)^2 + \epsilon \\
        \hat m_t &= m_t / (1 - \beta_1^t) \\
        \hat s_t &= s_t / (1 - \beta_2^t) \\
        \theta_t &= (1 - \text{lr}\,\lambda)\,\theta_{t-1}
            - \text{lr}\; \hat m_t / (\sqrt{\hat s_t} + \epsilon)

    All operations are element by element; :math:`m_0 = s_0 = 0`. Adam has the square of the
    gradient itself where this has that of its difference from m. A gradient that stays the same
    makes the steps longer and longer, without a limit but for ε.

    This is the paper's form, and the authors' with ``rectify=False``; by default their code applies
    ``RAdam``'s factor besides. ε comes twice: at every step it is added to s, which keeps it, and
    once more to the root. Optax has a number of its own for each of these.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate, α in the paper, in units of θ.
    betas : pair of floats in [0, 1), default (0.9, 0.999)
        Decay rates of the two moving averages, per step.
    eps : float, default 1e-16
        ε, in s in units of the squared gradient and at the root in those of the gradient. A
        constant ε that is added to s again and again comes to :math:`\epsilon / (1 - \beta_2)`:
        1e-13 with the defaults, as if Adam had an ε of 3e-7. In float16 the default rounds to 0;
        give a larger one.
    weight_decay : float, default 0
        λ: a step shrinks θ by the part lr λ, as in AdamW and by default in the authors' code.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Zhuang et al., "AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients",
    NeurIPS 2020, Algorithm 2.

    Examples
    --------
    Steps of Adam are about as long as lr where the gradient stays the same; these grow:

    >>> import numpy as np
    >>> from adam_tutorial import minimize
    >>> run = minimize(AdaBelief(lr=0.01), lambda theta: np.float64(5.0), theta=1.0, steps=50)
    >>> run.update[[1, 10, 50]].round(4)
    array([0.0111, 0.0164, 0.0346])
    """

    lr: float = 1e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-16
    weight_decay: float = 0.0

    DECOUPLED = True

    def init(self, theta):
        return AdaBeliefState(t=0, m=zeros_like(theta), s=zeros_like(theta))

    def at(self, t):
        beta1, beta2 = self.betas
        return {
            "lr": self.lr,
            "beta1": beta1,
            "beta2": beta2,
            "eps": self.eps,
            "weight_decay": self.weight_decay,
            "correction1": 1 - beta1**t,
            "correction2": 1 - beta2**t,
        }

    def rule(
        self, theta, g, state, *, lr, beta1, beta2, eps, weight_decay, correction1, correction2
    ):
        m = beta1 * state.m + (1 - beta1) * g
        s = beta2 * state.s + (1 - beta2) * (g - m) ** 2 + eps
        m_hat = m / correction1
        s_hat = s / correction2
        update = lr * m_hat / (s_hat**0.5 + eps)
        theta = (1 - lr * weight_decay) * theta - update
        return AdaBeliefStep(theta, AdaBeliefState(state.t, m, s), m, s, m_hat, s_hat, update)
