"""The optimizers against others: the same steps, to the last digits that float64 holds.

The others are those of torch.optim and, where it has none, of pytorch-optimizer.
"""

from dataclasses import replace

import foreign
import mutants
import numpy as np
import pytest
import pytorch_optimizer
import torch
from mutants import AdamEpsInsideRoot, AdamWithoutCorrection, AMSGradOfCorrected

from adam_tutorial import (
    ADOPT,
    SGD,
    AdaBelief,
    AdaBound,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Adan,
    AMSBound,
    AMSGrad,
    Lion,
    NAdam,
    RAdam,
    RMSprop,
    Yogi,
    minimize,
    problems,
)

STEEP = problems.ravine(100.0, angle=30.0)
PROBLEMS = {
    # Gradients near ε, to see where an optimizer adds it.
    "flat": replace(STEEP, grad=lambda theta: 1e-7 * STEEP.grad(theta)),
    "ravine": STEEP,
    "rosenbrock": problems.rosenbrock(),
    "beale": problems.beale(),
}
# Learning rates at which all problems stay finite; their size matters little here.
CASES = [
    SGD(lr=1e-4),
    SGD(lr=1e-5, momentum=0.9),
    SGD(lr=1e-5, momentum=0.9, nesterov=True),
    SGD(lr=1e-5, momentum=0.5, weight_decay=0.1),
    Adagrad(),
    Adagrad(lr=0.5, lr_decay=0.01, eps=1e-3),
    Adagrad(lr=0.1, initial_accumulator_value=0.1, weight_decay=0.01),
    RMSprop(lr=1e-3),
    RMSprop(lr=1e-3, alpha=0.9, eps=1e-3),
    RMSprop(lr=1e-3, momentum=0.9, weight_decay=0.1),
    Adam(),
    Adam(lr=0.05, betas=(0.8, 0.99)),
    Adam(lr=0.01, betas=(0.0, 0.9), eps=1e-3),
    Adam(lr=0.01, betas=(0.95, 0.5), weight_decay=0.1),
    AMSGrad(),
    AMSGrad(lr=0.05, betas=(0.8, 0.99)),
    AMSGrad(lr=0.01, betas=(0.0, 0.9), eps=1e-3),
    AMSGrad(lr=0.01, betas=(0.95, 0.5), weight_decay=0.1),
    AdamW(),
    AdamW(lr=0.05, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.1),
    Adamax(),
    Adamax(lr=0.05, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
    NAdam(),
    NAdam(lr=0.05, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.1, momentum_decay=0.1),
    # Its first steps are as long as the gradients are large.
    RAdam(lr=1e-4),
    RAdam(lr=1e-4, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
    AdaBound(final_lr=1e-4),
    AdaBound(lr=0.05, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.1, final_lr=1e-5, gamma=0.01),
    AMSBound(final_lr=1e-4),
    AMSBound(lr=0.05, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1, final_lr=1e-5, gamma=0.01),
    AdaBelief(),
    AdaBelief(lr=0.05, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.1),
    Yogi(),
    Yogi(lr=0.05, betas=(0.8, 0.9), weight_decay=0.1, initial_accumulator_value=0.1),
    Lion(lr=1e-3),
    Lion(lr=0.01, betas=(0.8, 0.9), weight_decay=0.1),
    Adan(),
    Adan(lr=0.05, betas=(0.9, 0.8, 0.95), eps=1e-3, weight_decay=0.1),
    ADOPT(),
    ADOPT(lr=0.05, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}


def grad_of_all(thetas):
    """Return the gradient of each problem at its row: no optimizer here mixes the coordinates."""
    return np.stack([p.grad(theta) for p, theta in zip(PROBLEMS.values(), thetas, strict=True)])


def runs(optimizer, dtype, steps, algorithm=None):
    """Return the parameters of every step: ours, and those of the other implementation.

    Both get the gradients of the other's run: a chaotic problem would turn the last bit of a
    rounding into another run.
    """
    start = np.stack([problem.start for problem in PROBLEMS.values()])
    theta = torch.tensor(start, dtype=dtype, requires_grad=True)
    other = foreign.twin(optimizer, [theta], algorithm)
    thetas, grads = [theta.detach().numpy().copy()], []
    for _ in range(steps):
        grads.append(grad_of_all(thetas[-1]).astype(thetas[-1].dtype))
        theta.grad = torch.tensor(grads[-1])  # a copy: some change it
        other.step()
        thetas.append(theta.detach().numpy().copy())
    rows = iter(grads)
    ours = minimize(optimizer, lambda theta: next(rows), thetas[0], steps).theta
    assert ours.dtype == thetas[0].dtype
    return ours, np.stack(thetas)


def difference(ours, theirs):
    """Return the largest difference of any step, relative to values above 1, absolute below."""
    differences = np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))
    return dict(zip(PROBLEMS, differences.max(axis=(0, 2)), strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("optimizer", CASES, ids=repr)
def test_every_step_equals_the_other(optimizer, dtype):
    # In float32 the roundings of a long run add up, differently in each order of operations.
    steps = 1000 if dtype == torch.float64 else 10
    ours, theirs = runs(optimizer, dtype, steps)
    for problem, found in difference(ours, theirs).items():
        assert found <= TOLERANCE[dtype], problem
    if dtype == torch.float64:  # and the steps were long enough to be compared
        assert np.abs(theirs - theirs[0]).max(axis=(0, 2)).min() > 1e4 * TOLERANCE[dtype]


@pytest.mark.parametrize("mutant", [AdamWithoutCorrection, AdamEpsInsideRoot])
@pytest.mark.parametrize("steps", [2, 1000])
def test_the_comparison_catches_a_wrong_adam(mutant, steps):
    assert difference(*runs(mutant(lr=0.05), torch.float64, steps))["flat"] > 1e-3


@pytest.mark.parametrize("wrong", [Adam, AMSGradOfCorrected])
def test_the_comparison_catches_a_wrong_amsgrad(wrong):
    optimizer = wrong(lr=0.05, betas=(0.8, 0.9))
    assert difference(*runs(optimizer, torch.float64, 1000, AMSGrad))["ravine"] > 1e-3


@pytest.mark.parametrize(
    "mutant",
    [
        mutants.AdamWOfL2(lr=0.05, weight_decay=0.1),
        mutants.AdamaxWithoutCorrection(lr=0.05),
        mutants.NAdamWithoutSchedule(lr=0.05),
        mutants.RAdamOneStepLate(lr=1e-4),
        mutants.AdaBoundWithoutLower(lr=1e-5, final_lr=1e-4),
        mutants.AMSBoundThatForgets(lr=0.05, betas=(0.8, 0.9), final_lr=1e-3),
        mutants.AdaBeliefOfOldMean(lr=0.05),
        mutants.YogiThatOnlyGrows(lr=0.05, betas=(0.8, 0.9)),
        mutants.LionOfTheAverage(lr=0.01),
        mutants.AdanWithFirstDifference(lr=0.05),
        mutants.ADOPTWithoutClipping(lr=0.05, betas=(0.9, 0.99)),
    ],
    ids=lambda mutant: type(mutant).__name__,
)
def test_the_comparison_catches_every_mutant(mutant):
    assert max(difference(*runs(mutant, torch.float64, 200)).values()) > 1e-3


DEFAULTS = {optimizer: foreign.OF[optimizer]([torch.zeros(1)]).defaults for optimizer in foreign.OF}


@pytest.mark.parametrize("optimizer", DEFAULTS, ids=lambda optimizer: optimizer.__name__)
def test_defaults_are_those_of_the_other(optimizer):
    ours = vars(optimizer())
    assert {k: DEFAULTS[optimizer][k] for k in ours} == ours


def test_the_start_of_yogi_is_that_of_the_other():
    defaults = pytorch_optimizer.Yogi([torch.zeros(1)]).defaults
    assert Yogi().initial_accumulator_value == defaults["initial_accumulator"]
