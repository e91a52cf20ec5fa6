"""Wrong versions of Adam and AMSGrad, to show that the tests notice."""

from dataclasses import dataclass

from adam_tutorial import Adam, AMSGrad
from adam_tutorial.optimizers.adam import AdamState, AdamStep
from adam_tutorial.optimizers.amsgrad import AMSGradState, AMSGradStep
from adam_tutorial.optimizers.base import maximum


@dataclass(frozen=True)
class AdamWithoutCorrection(Adam):
    def at(self, t):
        return super().at(t) | {"correction1": 1.0, "correction2": 1.0}


@dataclass(frozen=True)
class AdamEpsInsideRoot(Adam):
    def rule(self, theta, g, state, *, lr, beta1, beta2, eps, correction1, correction2):
        m = beta1 * state.m + (1 - beta1) * g
        v = beta2 * state.v + (1 - beta2) * g**2
        m_hat, v_hat = m / correction1, v / correction2
        update = lr * m_hat / (v_hat + eps) ** 0.5
        return AdamStep(theta - update, AdamState(state.t, m, v), m, v, m_hat, v_hat, update)


@dataclass(frozen=True)
class AMSGradOfCorrected(AMSGrad):
    """The maximum of the corrected second moments: not wrong, but another algorithm (Optax's)."""

    def rule(self, theta, g, state, *, lr, beta1, beta2, eps, correction1, correction2):
        m = beta1 * state.m + (1 - beta1) * g
        v = beta2 * state.v + (1 - beta2) * g**2
        v_max = maximum(state.v_max, v / correction2)
        m_hat = m / correction1
        update = lr * m_hat / (v_max**0.5 + eps)
        state = AMSGradState(state.t, m, v, v_max)
        return AMSGradStep(theta - update, state, m, v, v_max, m_hat, v_max, update)
