"""Wrong versions of the optimizers, to show that the tests notice."""

from dataclasses import dataclass

from adam_tutorial import (
    ADOPT,
    AdaBelief,
    AdaBound,
    Adam,
    Adamax,
    AdamW,
    Adan,
    AMSBound,
    AMSGrad,
    Lion,
    NAdam,
    RAdam,
    Yogi,
)
from adam_tutorial.optimizers.adabelief import AdaBeliefState, AdaBeliefStep
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


@dataclass(frozen=True)
class AdamWOfL2(AdamW):
    """The decay passes through the moments, as in Adam."""

    def at(self, t):
        return super().at(t) | {"weight_decay": 0.0}

    def l2(self, theta, grad, weight_decay):
        return grad + weight_decay * theta


@dataclass(frozen=True)
class AdamaxWithoutCorrection(Adamax):
    def at(self, t):
        return super().at(t) | {"correction1": 1.0}


@dataclass(frozen=True)
class NAdamWithoutSchedule(NAdam):
    """Optax's: β1 in place of every μ."""

    def _mu(self, t):
        return self.betas[0]


@dataclass(frozen=True)
class RAdamOneStepLate(RAdam):
    def at(self, t):
        return super().at(t) | ({"tractable": 0.0, "r": 1.0} if t == 6 else {})


@dataclass(frozen=True)
class AdaBoundWithoutLower(AdaBound):
    def at(self, t):
        return super().at(t) | {"lower": 0.0}


@dataclass(frozen=True)
class AMSBoundThatForgets(AMSBound):
    def rule(self, theta, g, state, **numbers):
        return super().rule(theta, g, state._replace(v_max=state.v), **numbers)


@dataclass(frozen=True)
class AdaBeliefOfOldMean(AdaBelief):
    """Compares the gradient with the mean before it, as Optax once did."""

    def rule(
        self, theta, g, state, *, lr, beta1, beta2, eps, weight_decay, correction1, correction2
    ):
        m = beta1 * state.m + (1 - beta1) * g
        s = beta2 * state.s + (1 - beta2) * (g - state.m) ** 2 + eps
        m_hat, s_hat = m / correction1, s / correction2
        update = lr * m_hat / (s_hat**0.5 + eps)
        theta = (1 - lr * weight_decay) * theta - update
        return AdaBeliefStep(theta, AdaBeliefState(state.t, m, s), m, s, m_hat, s_hat, update)


@dataclass(frozen=True)
class YogiThatOnlyGrows(Yogi):
    def rule(self, theta, g, state, **numbers):
        step = super().rule(theta, g, state, **numbers)
        return step._replace(state=step.state._replace(v=maximum(state.v, step.v)))


@dataclass(frozen=True)
class LionOfTheAverage(Lion):
    """The step uses the average that is kept."""

    def at(self, t):
        numbers = super().at(t)
        return numbers | {"beta1": numbers["beta2"]}


@dataclass(frozen=True)
class AdanWithFirstDifference(Adan):
    """The gradient before the first counts as 0."""

    def at(self, t):
        return super().at(t) | {"later": 1.0}


@dataclass(frozen=True)
class ADOPTWithoutClipping(ADOPT):
    def at(self, t):
        return super().at(t) | ({"c": 1e300} if t > 1 else {})
