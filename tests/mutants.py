"""Wrong versions of Adam, to show that the tests notice."""

from dataclasses import dataclass

from adam_tutorial import Adam
from adam_tutorial.optimizers.adam import AdamState, AdamStep


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
