"""The optimizers against torch.optim: the same steps, to the last digits that float64 holds."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from mutants import AdamEpsInsideRoot, AdamWithoutCorrection, AMSGradOfCorrected

from adam_tutorial import SGD, Adagrad, Adam, AMSGrad, RMSprop, minimize, problems
from adam_tutorial.optimizers import Optimizer

STEEP = problems.ravine(100.0, angle=30.0)
PROBLEMS = {
    # Gradients near ε, to see where an optimizer adds it.
    "flat": replace(STEEP, grad=lambda theta: 1e-7 * STEEP.grad(theta)),
    "ravine": STEEP,
    "rosenbrock": problems.rosenbrock(),
    "beale": problems.beale(),
}
TORCH_AMSGRAD = partial(torch.optim.Adam, amsgrad=True)
# Learning rates at which all problems stay finite; their size matters little here.
CASES = [
    (SGD(lr=1e-4), torch.optim.SGD),
    (SGD(lr=1e-5, momentum=0.9), torch.optim.SGD),
    (SGD(lr=1e-5, momentum=0.9, nesterov=True), torch.optim.SGD),
    (SGD(lr=1e-5, momentum=0.5, weight_decay=0.1), torch.optim.SGD),
    (Adagrad(), torch.optim.Adagrad),
    (Adagrad(lr=0.5, lr_decay=0.01, eps=1e-3), torch.optim.Adagrad),
    (Adagrad(lr=0.1, initial_accumulator_value=0.1, weight_decay=0.01), torch.optim.Adagrad),
    (RMSprop(lr=1e-3), torch.optim.RMSprop),
    (RMSprop(lr=1e-3, alpha=0.9, eps=1e-3), torch.optim.RMSprop),
    (RMSprop(lr=1e-3, momentum=0.9, weight_decay=0.1), torch.optim.RMSprop),
    (Adam(), torch.optim.Adam),
    (Adam(lr=0.05, betas=(0.8, 0.99)), torch.optim.Adam),
    (Adam(lr=0.01, betas=(0.0, 0.9), eps=1e-3), torch.optim.Adam),
    (Adam(lr=0.01, betas=(0.95, 0.5), weight_decay=0.1), torch.optim.Adam),
    (AMSGrad(), TORCH_AMSGRAD),
    (AMSGrad(lr=0.05, betas=(0.8, 0.99)), TORCH_AMSGRAD),
    (AMSGrad(lr=0.01, betas=(0.0, 0.9), eps=1e-3), TORCH_AMSGRAD),
    (AMSGrad(lr=0.01, betas=(0.95, 0.5), weight_decay=0.1), TORCH_AMSGRAD),
]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}


def torch_run(optimizer, make, problem, dtype, steps):
    """Return the parameters and the gradients of every step of torch's own optimizer."""
    names = make(params=[torch.zeros(1)]).defaults
    settings = {k: v for k, v in vars(optimizer).items() if k in names}
    theta = torch.tensor(problem.start, dtype=dtype, requires_grad=True)
    torch_optimizer = make([theta], **settings)
    thetas, grads = [theta.detach().numpy().copy()], []
    for _ in range(steps):
        grads.append(problem.grad(thetas[-1]).astype(thetas[-1].dtype))
        theta.grad = torch.from_numpy(grads[-1])
        torch_optimizer.step()
        thetas.append(theta.detach().numpy().copy())
    return np.array(thetas), grads


def difference(optimizer, make, problem, dtype, steps):
    """Return the largest difference of any step, relative to values above 1, absolute below.

    Both get the gradients of torch's run: a chaotic problem would turn the last bit of a
    rounding into another run.
    """
    theirs, grads = torch_run(optimizer, make, problem, dtype, steps)
    rows = iter(grads)
    ours = minimize(optimizer, lambda theta: next(rows), theirs[0], steps).theta
    assert ours.dtype == theirs.dtype
    return np.max(np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize(("optimizer", "make"), CASES, ids=[repr(case[0]) for case in CASES])
def test_every_step_equals_torch(optimizer, make, problem, dtype):
    # In float32 the roundings of a long run add up, differently in each order of operations.
    steps = 1000 if dtype == torch.float64 else 10
    assert difference(optimizer, make, problem, dtype, steps) <= TOLERANCE[dtype]


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize(("optimizer", "make"), CASES, ids=[repr(case[0]) for case in CASES])
def test_the_steps_are_long_enough_to_be_compared(optimizer, make, problem):
    thetas, _ = torch_run(optimizer, make, problem, torch.float64, steps=1000)
    assert np.abs(thetas - thetas[0]).max() > 1e4 * TOLERANCE[torch.float64]


@pytest.mark.parametrize("mutant", [AdamWithoutCorrection, AdamEpsInsideRoot])
@pytest.mark.parametrize("steps", [2, 1000])
def test_the_comparison_catches_a_wrong_adam(mutant, steps):
    make, problem = torch.optim.Adam, PROBLEMS["flat"]
    assert difference(mutant(lr=0.05), make, problem, torch.float64, steps) > 1e-3


@pytest.mark.parametrize("wrong", [Adam, AMSGradOfCorrected])
def test_the_comparison_catches_a_wrong_amsgrad(wrong):
    optimizer = wrong(lr=0.05, betas=(0.8, 0.9))
    problem = PROBLEMS["ravine"]
    assert difference(optimizer, TORCH_AMSGRAD, problem, torch.float64, steps=1000) > 1e-3


@pytest.mark.parametrize(
    ("optimizer", "make"),
    [
        (SGD(), torch.optim.SGD),
        (Adagrad(), torch.optim.Adagrad),
        (RMSprop(), torch.optim.RMSprop),
        (Adam(), torch.optim.Adam),
        (AMSGrad(), TORCH_AMSGRAD),
    ],
    ids=lambda x: repr(x) if isinstance(x, Optimizer) else "",
)
def test_defaults_are_those_of_torch(optimizer, make):
    defaults = make([torch.zeros(1)]).defaults
    ours = vars(optimizer)
    assert {k: defaults[k] for k in ours} == ours
