"""The checks of the chapter on wrong Adams: each passes on right ones and fails on its exhibit.

The exhibits are the cells of the chapter with the tag ``exhibit``; the chapter imports the checks
from here. A check gets a class such as Adam, and raises AssertionError if it finds a fault.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from adam_tutorial import Adam, AMSGrad, problems

NOTEBOOK = Path(__file__).resolve().parents[1] / "book" / "code" / "bug-museum.ipynb"
# Enough of everything: both signs, a zero, sizes from 0.01 to 3.
GRADIENTS = np.array([1.0, -2.0, 0.5, 0.0, 3.0, -0.25, 0.01, 1.5, -1.0, 2.0])
# A step has some ten operations, each with a rounding of 1e-16; a run has at most 1000 steps.
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def run(optimizer, gradients, theta=0.0):
    """Take a step for each gradient, all from one optimizer; return the parameters after each."""
    gradients = np.asarray(gradients, dtype=float)
    theta = np.full(gradients.shape[1:], theta)
    state, thetas = optimizer.init(theta), []
    with np.errstate(all="ignore"):
        for g in gradients:
            step = optimizer.step(theta, g, state)
            theta, state = step.theta, step.state
            thetas.append(theta)
    return np.array(thetas)


class TorchAdam:
    """torch.optim.Adam with the methods of the package's optimizers."""

    def __init__(self, **settings):
        self.settings = settings

    def init(self, theta):
        return None

    def step(self, theta, grad, state):
        theta = torch.tensor(theta, requires_grad=True)
        theta.grad = torch.tensor(grad)
        optimizer = torch.optim.Adam([theta], **self.settings)
        if state is not None:
            optimizer.load_state_dict(state)
        optimizer.step()
        return SimpleNamespace(theta=theta.detach().numpy(), state=optimizer.state_dict())


def check_loss_falls(make):
    bowl, optimizer = problems.ravine(10), make(lr=0.1)
    theta = bowl.start
    state = optimizer.init(theta)
    with np.errstate(all="ignore"):
        for _ in range(2000):
            step = optimizer.step(theta, bowl.grad(theta), state)
            theta, state = step.theta, step.state
    assert bowl.value(theta) < 0.01 * bowl.value(bowl.start)


def check_first_step(make):
    for g in (2.0, -0.5):
        assert run(make(lr=0.1), [g]) == pytest.approx(-0.1 * np.sign(g))


def check_constant_gradient(make):
    thetas = run(make(lr=0.1), np.full(1000, 2.0))
    assert thetas == pytest.approx(-0.1 * np.arange(1, 1001))


def check_ten_steps(make):
    lr, beta1, beta2, eps = 0.05, 0.8, 0.99, 0.1
    theta, expected = 0.0, []
    for t in range(1, 11):
        g, age = GRADIENTS[:t], np.arange(t)[::-1]
        m_hat = np.average(g, weights=beta1**age)
        v_hat = np.average(g**2, weights=beta2**age)
        theta = theta - lr * m_hat / (np.sqrt(v_hat) + eps)
        expected.append(theta)
    found = run(make(lr=lr, betas=(beta1, beta2), eps=eps), GRADIENTS)
    np.testing.assert_allclose(found, expected, **EXACT)


def check_scale(make):
    straight = run(make(lr=0.1, eps=0.0), GRADIENTS)
    scaled = run(make(lr=0.1, eps=0.0), 1024 * GRADIENTS)
    np.testing.assert_allclose(scaled, straight, **EXACT)


def check_units(make):
    straight = run(make(lr=0.1, eps=0.01), GRADIENTS)
    scaled = run(make(lr=0.1, eps=1024 * 0.01), 1024 * GRADIENTS)
    np.testing.assert_allclose(scaled, straight, **EXACT)


def check_zero_gradient(make):
    np.testing.assert_array_equal(run(make(), np.zeros(5), theta=1.0), np.ones(5))


def check_gradient_like_eps(make):
    thetas = run(make(lr=0.1, eps=1e-8), np.full(10, 1e-8))
    np.testing.assert_allclose(thetas, -0.1 / 2 * np.arange(1, 11), **EXACT)


def check_two_tensors(make):
    optimizer, together = make(lr=0.1), run(make(lr=0.1), np.stack([GRADIENTS] * 2, axis=1))
    thetas = [np.zeros(()), np.zeros(())]
    states = [optimizer.init(theta) for theta in thetas]
    for g, row in zip(GRADIENTS, together, strict=True):
        for i in (0, 1):
            step = optimizer.step(thetas[i], np.array(g), states[i])
            thetas[i], states[i] = step.theta, step.state
        np.testing.assert_allclose(thetas, row, **EXACT)


def check_weight_decay(make):
    settings = {"lr": 0.1, "eps": 0.1}  # with a small eps the first step has the sign alone
    for theta, g in [(3.0, 0.0), (-30.0, 0.5)]:
        found = run(make(**settings, weight_decay=0.1), np.full(10, g), theta)
        before = np.append(theta, found[:-1])
        expected = run(make(**settings), g + 0.1 * before, theta)
        np.testing.assert_allclose(found, expected, **EXACT)


def check_resume(make):
    optimizer, theta = make(lr=0.1), np.zeros(())
    state = optimizer.init(theta)
    for t, g in enumerate(GRADIENTS):
        if t == 5:
            state = getattr(optimizer, "resume", lambda theta, saved: saved)(theta, state)
        step = optimizer.step(theta, np.array(g), state)
        theta, state = step.theta, step.state
    np.testing.assert_allclose(theta, run(make(lr=0.1), GRADIENTS)[-1], **EXACT)


def check_torch(make):
    gradients = np.random.default_rng(0).standard_normal((100, 3))
    theirs = run(TorchAdam(lr=0.1), gradients)
    np.testing.assert_allclose(run(make(lr=0.1), gradients), theirs, **EXACT)


def check_torch_amsgrad(make):
    """The same for AMSGrad, on gradients that fall, so that the maximum has something to do."""
    gradients = np.concatenate([[10.0], np.ones(100)])
    theirs = run(TorchAdam(lr=0.1, amsgrad=True), gradients)
    np.testing.assert_allclose(run(make(lr=0.1), gradients), theirs, **EXACT)


CHECKS = {
    "the loss falls": check_loss_falls,
    "first step": check_first_step,
    "constant gradient": check_constant_gradient,
    "ten steps by hand": check_ten_steps,
    "scale": check_scale,
    "units": check_units,
    "zero gradient": check_zero_gradient,
    "gradient like ε": check_gradient_like_eps,
    "two tensors": check_two_tensors,
    "weight decay": check_weight_decay,
    "resume": check_resume,
    "equal to torch": check_torch,
}
# The check that stands beside each exhibit in the chapter.
CATCHES = {
    "StuckCount": check_constant_gradient,
    "CountsTensors": check_two_tensors,
    "StartsAtTwo": check_first_step,
    "Multiplies": check_constant_gradient,
    "CorrectsInPlace": check_ten_steps,
    "NoParentheses": check_zero_gradient,
    "EpsInsideRoot": check_gradient_like_eps,
    "MultipliesDecay": check_weight_decay,
    "ErasedOnResume": check_resume,
}


# Seen by none of the others, or needed by none: that these can fail is shown on an Adam with the
# square of v in place of its root.
ON_SQUARED = [check_loss_falls, check_scale, check_units, check_torch]


@dataclass(frozen=True)
class Squared(Adam):
    def rule(self, theta, g, state, *, lr, eps, **numbers):
        step = super().rule(theta, g, state, lr=lr, eps=eps, **numbers)
        update = lr * step.m_hat / (step.v_hat**2 + eps)
        return step._replace(theta=theta - update, update=update)


@cache
def exhibits():
    """Return the classes that the cells of the chapter with the tag ``exhibit`` define."""
    names = {"__name__": "exhibits"}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if "exhibit" in cell["metadata"].get("tags", []):
            exec("".join(cell["source"]), names)
    return {n: x for n, x in names.items() if getattr(x, "__module__", None) == "exhibits"}


@pytest.mark.parametrize("make", [Adam, TorchAdam])
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_every_check_passes_on_a_right_adam(check, make):
    check(make)


@pytest.mark.parametrize("name", CATCHES)
def test_the_check_fails_on_its_exhibit(name):
    with pytest.raises(AssertionError):
        CATCHES[name](exhibits()[name])


def test_the_exhibits_are_those_that_the_checks_know():
    assert list(exhibits()) == [*CATCHES, "MaxOfCorrected"]


@pytest.mark.parametrize("check", ON_SQUARED)
def test_the_other_checks_can_fail(check):
    with pytest.raises(AssertionError):
        check(Squared)


def test_every_check_is_shown_to_fail():
    assert {*CHECKS.values()} == {*CATCHES.values(), *ON_SQUARED}


def test_the_comparison_of_amsgrad_tells_the_two_forms_apart():
    check_torch_amsgrad(AMSGrad)
    with pytest.raises(AssertionError):
        check_torch_amsgrad(exhibits()["MaxOfCorrected"])
