"""The optimizers whose state or rule looks at a whole tensor, and the memory of all of them."""

import copy
import os
import shutil
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_optimizer
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from adam_tutorial import SGD, Adagrad, Adam, AMSGrad, RMSprop, TorchOptimizer, minimize, problems
from adam_tutorial.optimizers.adafactor import Adafactor
from adam_tutorial.optimizers.adam8bit import (
    SIGNED,
    UNSIGNED,
    Adam8bit,
    dequantize,
    dynamic_map,
    quantize,
)
from adam_tutorial.optimizers.adam_mini import AdamMini
from adam_tutorial.optimizers.lamb import LAMB
from adam_tutorial.optimizers.muon import Muon
from adam_tutorial.optimizers.schedule_free import ScheduleFreeAdamW
from adam_tutorial.optimizers.soap import SOAP

ALL = [
    LAMB(lr=0.1),
    LAMB(lr=0.1, weight_decay=0.1),
    Adafactor(lr=0.1),
    Adafactor(lr=0.1, eps=(1e-3, 1e-2), weight_decay=0.1),
    Muon(lr=0.1),
    Muon(lr=0.1, nesterov=False, adjust_lr_fn="match_rms_adamw"),
    ScheduleFreeAdamW(lr=0.1),
    ScheduleFreeAdamW(lr=0.1, weight_decay=0.1, warmup_steps=3, r=1.0),
    AdamMini(lr=0.1),
    AdamMini(lr=0.1, weight_decay=0.1),
    Adam8bit(lr=0.1),
    Adam8bit(lr=0.1, weight_decay=0.1),
    SOAP(lr=0.1),
    SOAP(lr=0.1, precondition_frequency=2),
]
needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="no C++ compiler"
)


def can_step(optimizer, shape):
    axes = {Muon: (2,), SOAP: (0, 1, 2)}.get(type(optimizer))
    return axes is None or len(shape) in axes


# Parity with other implementations.

STEEP = problems.ravine(100.0, angle=30.0)
PROBLEMS = {
    # Gradients near ε, to see where an optimizer adds it.
    "flat": replace(STEEP, grad=lambda theta: 1e-7 * STEEP.grad(theta)),
    "ravine": STEEP,
    "rosenbrock": problems.rosenbrock(),
    "beale": problems.beale(),
}


def starts(problem, shape):
    """Return an array of starts: each row, along the last axis, is one of the problem."""
    part = np.linspace(0, 1, np.prod(shape[:-1], dtype=int)).reshape(*shape[:-1], 1)
    # None a multiple of another.
    return problem.start * (1 - part / 2) + 0.3 * part * np.array([1.0, -1.0])


def differences(optimizer, make, problem, shape, steps, read=lambda step: step.theta):
    """Return the largest difference of each step, relative to values above 1, absolute below.

    ``make`` takes a torch parameter and returns a foreign optimizer of it. Both get the gradients
    of the foreign run: a chaotic problem would turn the last bit of a rounding into another run.
    """
    theta = torch.tensor(starts(problem, shape), requires_grad=True)
    ours, foreign = theta.detach().numpy().copy(), make(theta)
    state, found = optimizer.init(ours), []
    for _ in range(steps):
        g = problem.grad(theta.detach().numpy())
        theta.grad = torch.tensor(g)
        foreign.step()
        step = optimizer.step(ours, g, state)
        ours, state = step.theta, step.state
        theirs = theta.detach().numpy()
        found.append(np.max(np.abs(read(step) - theirs) / np.maximum(1.0, np.abs(theirs))))
    return np.array(found)


def settings_of(optimizer):
    return dict(vars(optimizer))


def torch_adafactor(optimizer):
    return lambda p: torch.optim.Adafactor([p], **settings_of(optimizer))


ADAFACTORS = [
    Adafactor(),
    Adafactor(lr=0.1, weight_decay=0.1),
    Adafactor(lr=0.5, beta2_decay=-0.5, eps=(1e-3, 0.5), d=2.0),
]


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize("shape", [(2,), (3, 2), (2, 3, 2)], ids=str)
@pytest.mark.parametrize("optimizer", ADAFACTORS, ids=repr)
def test_adafactor_is_that_of_torch(optimizer, problem, shape):
    found = differences(optimizer, torch_adafactor(optimizer), problem, shape, steps=300)
    assert found.max() <= 1e-12


def test_adafactor_is_that_of_torch_for_1000_steps():
    optimizer = ADAFACTORS[0]
    make = torch_adafactor(optimizer)
    assert differences(optimizer, make, STEEP, (3, 2), steps=1000).max() <= 1e-12


@pytest.fixture
def torch_muon_in_float64(monkeypatch):
    """Let torch's Muon iterate in the type of its gradients, as ours does, not in bfloat16."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


def torch_muon(optimizer):
    return lambda p: torch.optim.Muon([p], **settings_of(optimizer))


MUONS = [
    Muon(),
    Muon(lr=0.02, weight_decay=0.0, momentum=0.5, nesterov=False),
    Muon(lr=0.02, adjust_lr_fn="match_rms_adamw", ns_coefficients=(2.0, -1.5, 0.5), ns_steps=3),
]


@pytest.mark.usefixtures("torch_muon_in_float64")
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize("shape", [(1, 2), (2, 2), (5, 2)], ids=str)
@pytest.mark.parametrize("optimizer", MUONS, ids=repr)
def test_muon_is_that_of_torch_without_bfloat16(optimizer, problem, shape):
    steps = 1000 if (shape, problem.name) == ((5, 2), STEEP.name) else 200
    assert differences(optimizer, torch_muon(optimizer), problem, shape, steps).max() <= 1e-12


@pytest.mark.parametrize("shape", [(3, 2), (2, 2)], ids=str)
def test_muon_is_that_of_torch_as_far_as_bfloat16_goes(shape):
    optimizer = Muon(lr=0.1, weight_decay=0.0)
    found = differences(optimizer, torch_muon(optimizer), STEEP, shape, steps=1)
    # An entry of the step is at most lr·1.2·√(3/2); bfloat16 has 8 bits, and five iterations.
    assert 0 < found.max() < 0.1 * 0.1


def foreign_schedule_free(optimizer):
    settings = settings_of(optimizer)
    return lambda p: pytorch_optimizer.ScheduleFreeAdamW([p], foreach=False, **settings)


SCHEDULE_FREES = [
    ScheduleFreeAdamW(),
    ScheduleFreeAdamW(lr=0.05, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1),
    ScheduleFreeAdamW(lr=0.05, warmup_steps=20, r=1.0, weight_lr_power=1.0),
    ScheduleFreeAdamW(lr=0.05, warmup_steps=20),
]


@pytest.fixture
def eps_only_outside(monkeypatch):
    """Take out of pytorch-optimizer what it adds to the second moment besides ε: 1e-15."""
    monkeypatch.setattr(
        pytorch_optimizer.ScheduleFreeAdamW,
        "apply_ams_bound",
        lambda self, ams_bound, exp_avg_sq, max_exp_avg_sq, eps: exp_avg_sq.sqrt().add_(eps),
    )


@pytest.mark.usefixtures("eps_only_outside")
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize("optimizer", SCHEDULE_FREES, ids=repr)
def test_schedule_free_is_that_of_pytorch_optimizer(optimizer, problem):
    steps = 1000 if problem is STEEP else 300
    found = differences(optimizer, foreign_schedule_free(optimizer), problem, (2,), steps)
    assert found.max() <= 1e-12


def test_the_average_is_what_pytorch_optimizer_evaluates():
    optimizer = SCHEDULE_FREES[3]
    p = torch.tensor(STEEP.start, requires_grad=True)
    foreign = foreign_schedule_free(optimizer)(p)
    theta, state = STEEP.start, optimizer.init(STEEP.start)
    for _ in range(50):
        g = STEEP.grad(theta)
        p.grad = torch.tensor(g)
        foreign.step()
        theta, state = optimizer.step(theta, g, state)[:2]
    foreign.eval()
    np.testing.assert_allclose(state.x, p.detach().numpy(), rtol=1e-12, atol=1e-12)
    assert np.abs(state.x - theta).max() > 1e-3


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_schedule_free_with_beta1_0_is_the_mean_of_torch_adamw(weight_decay):
    # Then y = z, and z takes the steps of AdamW without momentum.
    settings = {"lr": 0.05, "betas": (0.0, 0.9), "weight_decay": weight_decay}
    p = torch.tensor(STEEP.start, requires_grad=True)
    adamw, optimizer = torch.optim.AdamW([p], **settings), ScheduleFreeAdamW(**settings)
    theta, state, visited = STEEP.start, optimizer.init(STEEP.start), []
    for _ in range(100):
        g = STEEP.grad(theta)
        p.grad = torch.tensor(g)
        adamw.step()
        visited.append(p.detach().numpy().copy())
        theta, state = optimizer.step(theta, g, state)[:2]
        np.testing.assert_allclose(theta, visited[-1], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(state.x, np.mean(visited, axis=0), rtol=1e-12, atol=1e-12)


@pytest.fixture
def keras_lamb():
    os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported
    import keras

    def make(optimizer):
        names = {"learning_rate": optimizer.lr, "epsilon": optimizer.eps}
        beta_1, beta_2 = optimizer.betas
        lamb = keras.optimizers.Lamb(**names, beta_1=beta_1, beta_2=beta_2)

        def of(p):
            variable = keras.Variable(p.detach().numpy().copy(), dtype="float64")
            lamb.build([variable])

            def step():
                lamb.apply([p.grad], [variable])
                with torch.no_grad():
                    p.copy_(variable.value)

            return SimpleNamespace(step=step)

        return of

    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield make
    keras.config.set_floatx(before)


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize("optimizer", [LAMB(), LAMB(lr=0.01, betas=(0.5, 0.9), eps=1e-3)], ids=repr)
def test_lamb_without_weight_decay_is_that_of_keras(optimizer, problem, keras_lamb):
    steps = 1000 if problem is STEEP else 200
    found = differences(optimizer, keras_lamb(optimizer), problem, (3, 2), steps)
    assert found.max() <= 1e-12


@dataclass(frozen=True)
class LAMBWithoutCorrection(LAMB):
    """Without the correction of the moments, but as in pytorch-optimizer with one of lr."""

    def at(self, t):
        lr = self.lr / (1 - self.betas[0] ** t)
        return super().at(t) | {"lr": lr, "correction1": 1.0, "correction2": 1.0}


@dataclass(frozen=True)
class LAMBDecoupled(LAMB):
    """Keras's weight decay: it does not enter the trust ratio."""

    def rule(self, theta, g, state, *, lr, weight_decay, **numbers):
        shrunk = (1 - lr * weight_decay) * theta
        return super().rule(shrunk, g, state, lr=lr, weight_decay=0.0, **numbers)


def foreign_lamb(optimizer):
    return lambda p: pytorch_optimizer.Lamb([p], weight_decouple=False, **settings_of(optimizer))


@pytest.mark.parametrize("problem", [PROBLEMS["rosenbrock"], PROBLEMS["beale"]], ids=["r", "b"])
def test_lamb_with_weight_decay_is_that_of_pytorch_optimizer(problem):
    # It also adds ε to a norm, and clips the norm of θ at 10.
    optimizer = LAMBWithoutCorrection(lr=0.01, betas=(0.5, 0.9), eps=1e-30, weight_decay=0.1)
    make = foreign_lamb(optimizer)
    assert differences(optimizer, make, problem, (2, 2), steps=1000).max() <= 1e-12
    for wrong in (LAMB, LAMBDecoupled):
        wrong = wrong(**settings_of(optimizer))
        assert differences(wrong, make, problem, (2, 2), steps=10).max() > 1e-3


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize(
    "optimizer",
    [AdamMini(weight_decay=0.01), AdamMini(lr=0.05, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1)],
    ids=repr,
)
def test_adam_mini_with_blocks_of_one_is_adamw_of_torch(optimizer, problem):
    column = replace(
        problem, start=problem.start[:, None], grad=lambda theta: problem.grad(theta[:, 0])[:, None]
    )
    make = lambda p: torch.optim.AdamW([p], **settings_of(optimizer))  # noqa: E731
    theta = torch.tensor(column.start, requires_grad=True)
    foreign, ours = make(theta), column.start
    state = optimizer.init(ours)
    for _ in range(1000 if problem is STEEP else 100):
        g = column.grad(ours)
        theta.grad = torch.tensor(g)
        foreign.step()
        ours, state = optimizer.step(ours, g, state)[:2]
        np.testing.assert_allclose(ours, theta.detach().numpy(), rtol=1e-12, atol=1e-12)


def foreign_adam_mini(optimizer, name):
    """Return what makes the foreign Adam-mini of a parameter with this name in a module."""

    def make(p):
        module = nn.Module()
        owner = module
        *parts, last = name.split(".")
        for part in parts:
            owner.add_module(part, nn.Module())
            owner = getattr(owner, part)
        # The very tensor, so that a step changes it.
        parameter = nn.Parameter(p.detach())
        owner.register_parameter(last, parameter)
        size = p.shape[-1]
        foreign = pytorch_optimizer.AdamMini(
            module, num_embeds=size, num_heads=size, foreach=False, **settings_of(optimizer)
        )

        def step():
            parameter.grad = p.grad
            foreign.step()

        return SimpleNamespace(step=step)

    return make


@pytest.fixture
def float64_for_float32(monkeypatch):
    """Let pytorch-optimizer keep in float64 the state that it keeps in float32."""
    monkeypatch.setattr(torch, "float32", torch.float64)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float)


@pytest.mark.usefixtures("float64_for_float32")
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize(
    ("shape", "name"),
    # As many heads as rows, or a tensor that is one block.
    [((2, 2), "q_proj.weight"), ((2,), "scale")],
    ids=str,
)
def test_adam_mini_is_that_of_pytorch_optimizer(problem, shape, name):
    optimizer = AdamMini(lr=0.05, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1)
    make = foreign_adam_mini(optimizer, name)
    steps = 1000 if problem is STEEP else 100
    assert differences(optimizer, make, problem, shape, steps).max() <= 1e-12


def foreign_soap(optimizer):
    return lambda p: pytorch_optimizer.SOAP([p], **settings_of(optimizer))


SOAPS = [
    SOAP(),
    SOAP(lr=0.1, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1, precondition_frequency=3),
    SOAP(lr=0.1, betas=(0.9, 0.99), weight_decay=0.0, precondition_frequency=1),
]


@pytest.mark.usefixtures("float64_for_float32")
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize("shape", [(2,), (2, 2)], ids=str)
@pytest.mark.parametrize("optimizer", SOAPS, ids=repr)
def test_soap_is_that_of_pytorch_optimizer(optimizer, problem, shape):
    found = differences(optimizer, foreign_soap(optimizer), problem, shape, steps=200)
    assert found.max() <= 1e-10


# Wrong versions, to show that the comparisons notice.


@dataclass(frozen=True)
class AdafactorWithoutClipping(Adafactor):
    def at(self, t):
        return super().at(t) | {"d": 1e9}


@dataclass(frozen=True)
class MuonWithWrongCoefficient(Muon):
    def at(self, t):
        return super().at(t) | {"c": 2.0}


@dataclass(frozen=True)
class ScheduleFreeWithEqualWeights(ScheduleFreeAdamW):
    """The weights of Keras, which leaves the learning rate out of them."""

    def at(self, t):
        return super().at(t) | {"weight_t": 1.0, "power": 0.0}


@dataclass(frozen=True)
class SOAPThatNeverTurns(SOAP):
    def at(self, t):
        return {k: x for k, x in super().at(t).items() if k != "refresh"}


@pytest.mark.usefixtures("torch_muon_in_float64", "float64_for_float32")
@pytest.mark.parametrize(
    ("mutant", "right", "make"),
    [
        (AdafactorWithoutClipping, Adafactor(lr=0.1), torch_adafactor),
        (MuonWithWrongCoefficient, Muon(lr=0.1), torch_muon),
        (ScheduleFreeWithEqualWeights, SCHEDULE_FREES[3], foreign_schedule_free),
        (SOAPThatNeverTurns, SOAPS[1], foreign_soap),
    ],
)
def test_the_comparisons_catch_a_wrong_one(mutant, right, make):
    wrong = mutant(**settings_of(right))
    assert differences(right, make(right), STEEP, (2, 2), steps=20).max() <= 1e-10
    assert differences(wrong, make(right), STEEP, (2, 2), steps=20).max() > 1e-3


@pytest.mark.parametrize(
    ("optimizer", "make"),
    [
        (Adafactor(), torch.optim.Adafactor),
        (Muon(), torch.optim.Muon),
        (ScheduleFreeAdamW(), pytorch_optimizer.ScheduleFreeAdamW),
        (LAMB(), pytorch_optimizer.Lamb),
        (SOAP(), pytorch_optimizer.SOAP),
    ],
    ids=repr,
)
def test_defaults_are_those_of_the_other_library(optimizer, make):
    defaults = make([torch.zeros(2, 2, requires_grad=True)]).defaults
    ours = vars(optimizer)
    assert {k: defaults[k] for k in ours} == ours


# What each is for.

sizes = st.floats(1e-3, 1e3)
values = st.builds(lambda sign, size: sign * size, st.sampled_from([-1.0, 1.0]), sizes)
matrices = st.lists(st.tuples(values, values, values), min_size=2, max_size=2).map(np.array)
gradient_lists = st.lists(matrices, min_size=1, max_size=5)
quick = settings(max_examples=50, deadline=None)
THETA = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]])


def run(optimizer, gradients, theta=THETA):
    rows = iter(gradients)
    return minimize(optimizer, lambda theta: next(rows), theta, len(gradients))


def test_lamb_by_hand():
    # The first direction of Adam is the sign of the gradient; with λ = 1 it becomes (4, 3), which
    # is as long as θ. The second has m = (1/4 + 1, -1/2 + 1)/(3/4), v = (3/16 + 1, 3/4 + 1)/(7/16).
    theta = np.array([3.0, 4.0])
    lamb = LAMB(lr=0.1, betas=(0.5, 0.75), eps=0.0, weight_decay=1.0)
    first = lamb.step(theta, np.array([1.0, -2.0]), lamb.init(theta))
    assert first.trust == 1.0
    np.testing.assert_allclose(first.update, [0.4, 0.3], rtol=1e-14)
    second = lamb.step(first.theta, np.array([2.0, 2.0]), first.state)
    r = np.array([5 / 3 / (19 / 7) ** 0.5, 2 / 3 / 4**0.5])
    direction = r + np.array([2.6, 3.7])
    expected = 0.1 * np.hypot(2.6, 3.7) / np.hypot(*direction) * direction
    np.testing.assert_allclose(second.update, expected, rtol=1e-14)
    wrong = LAMBDecoupled(lr=0.1, betas=(0.5, 0.75), eps=0.0, weight_decay=1.0)
    assert abs(wrong.step(theta, np.array([1.0, -2.0]), wrong.init(theta)).trust - 1) > 0.1


@quick
@given(gradients=gradient_lists)
def test_the_step_of_lamb_is_as_long_as_lr_times_the_parameters(gradients):
    trajectory = run(LAMB(lr=0.01, weight_decay=0.1), gradients)
    for before, update in zip(trajectory.theta[:-1], trajectory.update[1:], strict=True):
        np.testing.assert_allclose(np.linalg.norm(update), 0.01 * np.linalg.norm(before))


def test_where_a_norm_is_0_lamb_is_adam():
    g = np.array([[1.0, -2.0]])
    lamb, adam = LAMB(lr=0.1), Adam(lr=0.1, eps=1e-6)
    zero = np.zeros_like(g)
    step = lamb.step(zero, g, lamb.init(zero))
    assert step.trust == 1.0
    expected = adam.step(zero, g, adam.init(zero)).theta
    np.testing.assert_allclose(step.theta, expected, rtol=1e-15)
    still = lamb.step(g, zero, lamb.init(g))
    assert still.trust == 1.0
    np.testing.assert_array_equal(still.theta, g)


@quick
@given(column=st.tuples(values, values), row=st.tuples(values, values, values))
def test_adafactor_knows_squares_of_rank_1(column, row):
    g = np.outer(column, row)
    step = Adafactor().step(THETA, g, Adafactor().init(THETA))
    np.testing.assert_allclose(step.V, g**2, rtol=1e-12)
    np.testing.assert_allclose(step.U, np.sign(g), rtol=1e-12)


@quick
@given(gradients=gradient_lists)
def test_adafactor_keeps_the_sums_of_rows_and_columns(gradients):
    # What it forgets are the single elements: rows and columns have the means of the full average.
    optimizer = Adafactor(lr=0.1)
    trajectory = run(optimizer, gradients)
    full = 0.0
    for t, g in enumerate(gradients, start=1):
        beta2 = optimizer.at(t)["beta2"]
        full = beta2 * full + (1 - beta2) * g**2
    np.testing.assert_allclose(trajectory.V[-1].mean(axis=1), full.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(trajectory.V[-1].mean(axis=0), full.mean(axis=0), rtol=1e-12)


@quick
@given(gradients=gradient_lists, d=st.floats(1.0, 3.0))
def test_the_step_of_adafactor_is_clipped(gradients, d):
    trajectory = run(Adafactor(d=d), gradients)
    rms = np.sqrt((trajectory.update[1:] ** 2).mean(axis=(1, 2)))
    assert np.all(rms <= d * trajectory.alpha[1:] * (1 + 1e-12))


@quick
@given(gradients=gradient_lists)
def test_muon_keeps_the_singular_vectors_and_levels_the_values(gradients):
    muon = Muon(lr=0.1)
    trajectory = run(muon, gradients)
    for B_tilde, O in zip(trajectory.B_tilde[1:], trajectory.O[1:], strict=True):  # noqa: E741
        U, S, Vt = np.linalg.svd(B_tilde, full_matrices=False)
        # The polynomial of the iteration, on each singular value by itself.
        a, b, c = muon.ns_coefficients
        S = S / np.sqrt((S**2).sum())
        for _ in range(5):
            S = a * S + b * S**3 + c * S**5
        np.testing.assert_allclose(O, U @ np.diag(S) @ Vt, rtol=1e-9, atol=1e-9)


def test_singular_values_that_are_not_tiny_end_near_1():
    ends = []
    for smaller in np.linspace(0.02, 1.0, 50):
        x = np.diag([1.0, smaller])
        ends += [*Muon().step(x, x, Muon().init(x)).O.diagonal()]
    assert min(ends) > 0.6
    assert max(ends) < 1.3


def test_muon_treats_a_matrix_and_its_transpose_alike():
    g = np.random.default_rng(0).standard_normal((2, 5))
    flat, tall = (Muon().step(x, x, Muon().init(x)) for x in (g, g.T))
    np.testing.assert_allclose(tall.O, flat.O.T, rtol=1e-13)
    np.testing.assert_allclose(tall.update, flat.update.T * np.sqrt(5 / 2), rtol=1e-13)


@quick
@given(gradients=gradient_lists)
def test_adam_mini_has_the_means_of_the_second_moments_of_adam(gradients):
    mini, adam = run(AdamMini(lr=0.1), gradients), run(Adam(lr=0.1), gradients)
    np.testing.assert_allclose(mini.v, adam.v.mean(axis=2, keepdims=True), rtol=1e-12)
    np.testing.assert_array_equal(mini.m, adam.m)
    for g in (2.0, -2.0):  # a block whose gradients are of one size
        same = [np.full((2, 3), g) * [1, -1, 1]] * 5
        mini, adam = run(AdamMini(lr=0.1), same), run(Adam(lr=0.1), same)
        np.testing.assert_allclose(mini.theta, adam.theta, rtol=1e-13)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), ()), ((3,), (1,)), ((2, 3), (2, 1)), ((2, 3, 4), (2, 1, 1)), ((2, 1), (2, 1))],
)
def test_the_blocks_of_adam_mini(shape, expected):
    theta = np.ones(shape)
    state = AdamMini().init(theta)
    assert (state.m.shape, state.v.shape) == (shape, expected)
    g = np.random.default_rng(0).standard_normal(shape)
    v = AdamMini(betas=(0.9, 0.0)).step(theta, g, state).v
    blocks = np.reshape(g, (expected[0] if expected else 1, -1))
    np.testing.assert_allclose(np.ravel(v), (blocks**2).mean(axis=1), rtol=1e-13)


def test_soap_by_hand():
    # Diagonal gradients: the bases stay the axes, and from the second step on SOAP is Adam.
    soap = SOAP(lr=0.1, betas=(0.5, 0.75), eps=0.125, weight_decay=0.5, precondition_frequency=1)
    theta = np.eye(2)
    first = soap.step(theta, np.diag([3.0, 1.0]), soap.init(theta))
    np.testing.assert_array_equal(first.theta, theta)
    np.testing.assert_allclose(first.L, np.diag([9 / 4, 1 / 4]), rtol=1e-14)
    second = soap.step(theta, np.diag([1.0, -2.0]), first.state)
    # m = g/2, v = g²/4 and √(1 - β2)/(1 - β1) = 1.
    step = np.array([0.5, -1.0]) / (np.array([0.5, 1.0]) + 0.125)
    expected = 0.95 * (1 - 0.1 * step)
    np.testing.assert_allclose(second.theta, np.diag(expected), rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(second.L, np.diag([31 / 16, 19 / 16]), rtol=1e-14)


def test_soap_turns_with_the_gradients_and_adam_does_not():
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal((20, 3, 3))
    U, V = (np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(2))
    start = np.zeros((3, 3))
    for make in (SOAP, Adam):
        optimizer = make(lr=0.1, weight_decay=0.0)
        plain, turned = run(optimizer, gradients, start), run(optimizer, U @ gradients @ V.T, start)
        difference = np.abs(turned.theta - U @ plain.theta @ V.T).max()
        assert (difference < 1e-10) if make is SOAP else (difference > 0.1)


def test_the_bases_of_soap_become_the_eigenvectors():
    rng = np.random.default_rng(0)
    g = rng.standard_normal((3, 4))
    last = run(SOAP(precondition_frequency=1), [g + 0.1 * rng.standard_normal((3, 4))
               for _ in range(300)], np.zeros((3, 4)))  # fmt: skip
    for A, Q in ((last.L[-1], last.Q_L[-1]), (last.R[-1], last.Q_R[-1])):
        np.testing.assert_allclose(Q.T @ Q, np.eye(len(Q)), atol=1e-12)
        D = Q.T @ A @ Q
        assert np.abs(D - np.diag(D.diagonal())).max() < 0.05 * np.abs(D).max()
        assert D[0, 0] > 0.9 * np.linalg.eigvalsh(A)[-1]


@pytest.mark.parametrize("signed", [True, False])
def test_the_levels_of_8_bits(signed):
    levels = dynamic_map(signed)
    assert levels.shape == (256,)
    assert np.all(np.diff(levels) > 0)
    assert levels[-1] == 1.0
    assert 0.0 in levels
    # Between the two least in size and the largest below 1 lie 64 or 128 to the upper decade.
    upper = levels[(levels >= 0.1) & (levels < 1.0)]
    assert len(upper) == (64 if signed else 128)
    np.testing.assert_allclose(upper[-1], 1 - 0.45 / len(upper), rtol=1e-14)
    least = levels[levels > 0][0]
    np.testing.assert_allclose(least, 1e-6 * (0.55 if signed else 0.325), rtol=1e-14)
    negative = -levels[levels < 0][::-1]
    np.testing.assert_array_equal(negative, levels[levels > 0][:-1] if signed else [])


@pytest.mark.parametrize("asarray", [np.array, torch.tensor], ids=["numpy", "torch"])
@pytest.mark.parametrize("levels", [SIGNED, UNSIGNED], ids=["signed", "unsigned"])
@pytest.mark.parametrize("shape", [(), (1,), (255,), (256,), (257,), (3, 200), (0,)], ids=str)
def test_each_number_gets_the_nearest_level_of_its_block(shape, levels, asarray):
    x = np.random.default_rng(0).standard_normal(shape) ** 3
    x = x if levels is SIGNED else np.abs(x)
    codes, scale = quantize(asarray(x), levels)
    assert codes.dtype in (np.uint8, torch.uint8)
    assert codes.shape == x.shape
    found = np.ravel(np.asarray(dequantize(codes, scale, levels)))
    for i, scale_i in enumerate(np.asarray(scale)):
        block = slice(256 * i, 256 * (i + 1))
        part = np.ravel(x)[block]
        assert scale_i == np.abs(part).max()
        possible = np.array(levels) * scale_i
        nearest = possible[np.abs(part[:, None] - possible).argmin(axis=1)]
        np.testing.assert_allclose(found[block], nearest, rtol=1e-14)


def test_levels_are_kept_and_a_block_of_zeros_too():
    codes, scale = quantize(3 * np.array(SIGNED), SIGNED)
    np.testing.assert_array_equal(codes, np.arange(256))
    np.testing.assert_array_equal(dequantize(codes, scale, SIGNED), 3 * np.array(SIGNED))
    zeros = np.zeros(300)
    for levels in (SIGNED, UNSIGNED):
        np.testing.assert_array_equal(dequantize(*quantize(zeros, levels), levels), zeros)


def test_a_step_of_adam8bit_is_that_of_adam_from_what_the_bytes_stand_for():
    rng = np.random.default_rng(0)
    ours, adam = Adam8bit(lr=0.1), Adam(lr=0.1)
    theta = rng.standard_normal((40, 10))
    state = ours.init(theta)
    for _ in range(10):
        m = dequantize(state.m_codes, state.m_scale, SIGNED)
        v = dequantize(state.v_codes, state.v_scale, UNSIGNED)
        from_bytes = adam.init(theta)._replace(t=state.t, m=m, v=v)
        g = rng.standard_normal(theta.shape)
        step, expected = ours.step(theta, g, state), adam.step(theta, g, from_bytes)
        np.testing.assert_allclose(step.theta, expected.theta, rtol=1e-14)
        for codes, scale, levels, exact in (
            (step.state.m_codes, step.state.m_scale, SIGNED, expected.state.m),
            (step.state.v_codes, step.state.v_scale, UNSIGNED, expected.state.v),
        ):
            error = np.ravel(dequantize(codes, scale, levels) - exact)
            half_a_level = np.diff(levels).max() / 2 * np.repeat(scale, 256)[: error.size]
            assert np.all(np.abs(error) <= half_a_level * (1 + 1e-12))
        theta, state = step.theta, step.state
    assert np.abs(m).max() > 0.1


def test_adam8bit_stays_near_adam():
    # Noisy gradients of one size, 512 coordinates, a hundred steps.
    rng = np.random.default_rng(0)
    gradients = 1.0 + rng.standard_normal((100, 512))
    start = np.zeros(512)
    ours = run(Adam8bit(lr=0.01), gradients, start).theta
    adam = run(Adam(lr=0.01), gradients, start).theta
    moved = np.abs(adam[-1] - adam[0]).mean()
    assert moved > 0.5
    assert np.abs(ours[-1] - adam[-1]).max() < 0.05 * moved
    assert np.abs(ours[-1] - adam[-1]).max() > 0


def test_weight_decay_is_decoupled():
    theta, zero = np.array([[1.0, -2.0]]), np.zeros((1, 2))
    for make in (Adafactor, Muon, AdamMini, Adam8bit):
        step = make(lr=0.1, weight_decay=0.5).step(theta, zero, make().init(theta))
        np.testing.assert_allclose(step.theta, 0.95 * theta, rtol=1e-15)


# What all share.


def gradients_of(shape, dtype, steps=5):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for _ in range(steps + 1)]


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (300, 2), (2, 1, 2), (0,)], ids=str)
def test_numpy_and_torch_agree_in_every_shape_and_type(optimizer, dtype, shape):
    if not can_step(optimizer, shape):
        return
    if isinstance(optimizer, SOAP) and shape == (300, 2):
        return  # of 300 rows only a few differ at first: most eigenvectors may be any
    theta, *gradients = gradients_of(shape, dtype)
    theta = np.asarray(theta)
    state = optimizer.init(theta)
    torch_theta = torch.from_numpy(np.array(theta))
    torch_state = optimizer.init(torch_theta)
    for g in gradients:
        theta, state = optimizer.step(np.asarray(theta), np.asarray(g), state)[:2]
        torch_g = torch.from_numpy(np.array(g))
        torch_theta, torch_state = optimizer.step(torch_theta, torch_g, torch_state)[:2]
    assert str(theta.dtype) == dtype
    assert torch_theta.dtype == getattr(torch, dtype)
    assert np.shape(theta) == tuple(torch_theta.shape) == shape
    tolerance = 2e-4 if dtype == "float32" else 1e-11
    if isinstance(optimizer, Adam8bit) and dtype == "float32":
        tolerance = 1e-2  # a number between two levels may go to either
    np.testing.assert_allclose(theta, torch_theta.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_what_is_passed_in_is_not_changed(optimizer, library):
    asarray = np.array if library == "numpy" else torch.tensor
    theta, grad = asarray([[1.0, -2.0]]), asarray([[0.5, 3.0]])
    state = optimizer.step(theta, grad, optimizer.init(theta)).state
    inputs = [theta, grad, *[x for x in state if x is not None]]
    before = copy.deepcopy(inputs)
    optimizer.step(theta, grad, state)
    for x, y in zip(inputs, before, strict=True):
        assert x == y if isinstance(x, int) else bool((x == y).all())


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_a_zero_gradient_from_the_start_moves_nothing(optimizer):
    optimizer = replace(optimizer, weight_decay=0.0)
    trajectory = run(optimizer, np.zeros((5, 2, 3)))
    np.testing.assert_allclose(trajectory.theta, np.tile(THETA, (6, 1, 1)), rtol=1e-15)


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_a_trajectory_has_every_symbol_in_its_own_shape(optimizer):
    trajectory = run(optimizer, gradients_of((2, 3), "float64")[1:])
    table = trajectory.table()
    columns = sum(getattr(trajectory, s)[0].size for s in trajectory.symbols)
    assert table.shape == (6, columns)
    assert np.isfinite(table.iloc[1:].to_numpy()).all()


# TorchOptimizer.


def network():
    torch.manual_seed(0)
    # Without a bias there are only matrices; one has more than a block of 256.
    return nn.Sequential(
        nn.Linear(4, 80, bias=False), nn.Tanh(), nn.Linear(80, 1, bias=False)
    ).double()


X = torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(6, 4)
Y = X.sum(dim=1, keepdim=True).sin()


def train(net, optimizer, steps=5):
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(X), Y).backward()
        optimizer.step()
    return net


def assert_same(net, other, tolerance):
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=tolerance, atol=tolerance)


class Pure:
    """The pure function, with the methods that ``train`` calls."""

    def __init__(self, params, optimizer):
        self.params, self.optimizer = list(params), optimizer
        self.states = [optimizer.init(p.detach()) for p in self.params]

    def zero_grad(self):
        for p in self.params:
            p.grad = None

    @torch.no_grad()
    def step(self):
        for i, p in enumerate(self.params):
            step = self.optimizer.step(p.detach(), p.grad, self.states[i])
            p.copy_(step.theta)
            self.states[i] = step.state


@pytest.mark.parametrize("optimizer", [x for x in ALL if not isinstance(x, SOAP)], ids=repr)
def test_torch_optimizer_is_the_pure_function(optimizer):
    net, other = network(), network()
    before = copy.deepcopy(net)
    train(net, TorchOptimizer(net.parameters(), optimizer), steps=10)
    train(other, Pure(other.parameters(), optimizer), steps=10)
    assert_same(net, other, tolerance=0)
    with pytest.raises(AssertionError):
        assert_same(net, before, tolerance=1e-3)


@needs_compiler
@pytest.mark.parametrize("optimizer", [*ALL[1:-2:2], Adafactor(lr=0.1)], ids=repr)
def test_compiled_is_the_same(optimizer):
    nets = [network() for _ in range(2)]
    for net, compile in zip(nets, (False, True), strict=True):
        # One tensor is enough, and takes half the time.
        train(net, TorchOptimizer([net[0].weight], optimizer, compile=compile))
    assert_same(*nets, tolerance=1e-10)


@pytest.mark.parametrize("compile", [False, pytest.param(True, marks=needs_compiler)])
def test_soap_in_torch_optimizer_is_the_pure_function(compile):
    # A square matrix: of a longer one, the eigenvectors of eigenvalue 0 may be any.
    p, q = (torch.eye(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    soap = SOAP(lr=0.1, precondition_frequency=3)
    for parameter, make in ((p, Pure), (q, lambda q, soap: TorchOptimizer(q, soap, compile))):
        optimizer = make([parameter], soap)
        for g in gradients_of((3, 3), "float64", steps=8):
            parameter.grad = torch.from_numpy(g)
            optimizer.step()
    torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-10)
    assert (p - torch.eye(3)).abs().max() > 0.1


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_compiled_steps_a_single_number(dtype):
    # torch.compile forgets what is written into a float64 tensor without axes.
    p, q = (torch.tensor(1.0, dtype=dtype, requires_grad=True) for _ in range(2))
    for parameter, compile in ((p, False), (q, True)):
        optimizer = TorchOptimizer([parameter], Adam(lr=0.1), compile=compile)
        for _ in range(3):
            parameter.grad = parameter.detach() ** 2
            optimizer.step()
    assert p.shape == q.shape == ()
    assert p < 0.8
    torch.testing.assert_close(p, q)


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_resuming_from_a_file_changes_nothing(optimizer, dtype, tmp_path):
    if isinstance(optimizer, SOAP) and dtype == torch.bfloat16:
        return  # torch has no eigenvectors in bfloat16

    def steps(p, torch_optimizer):
        for _ in range(5):
            p.grad = torch.sin(3 * p.detach())
            torch_optimizer.step()

    p, q, r = (torch.linspace(-1, 2, 600).reshape(300, 2).to(dtype) for _ in range(3))
    straight = TorchOptimizer([p.requires_grad_()], optimizer)
    steps(p, straight)
    steps(p, straight)

    first = TorchOptimizer([q.requires_grad_()], optimizer)
    steps(q, first)
    torch.save(first.state_dict(), tmp_path / "checkpoint.pt")
    second = TorchOptimizer([r.requires_grad_()], optimizer)
    second.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    with torch.no_grad():
        r.copy_(q)
    for name, value in first.state[q].items():
        loaded = second.state[r][name]
        if isinstance(value, torch.Tensor):
            assert loaded.dtype == value.dtype
            assert torch.equal(loaded, value)
    steps(r, second)
    assert torch.equal(p, r)


def test_the_state_of_another_algorithm_is_refused():
    p = torch.ones(2, 2, requires_grad=True)
    p.grad = torch.ones(2, 2)
    muon, mini = TorchOptimizer([p], Muon()), TorchOptimizer([p], AdamMini())
    muon.step()
    with pytest.raises(ValueError, match="must hold the state of AdamMini, .*got .'B', 't'"):
        mini.load_state_dict(muon.state_dict())


def test_muon_refuses_what_is_not_a_matrix_before_anything_is_changed():
    message = r"theta must be a matrix for Muon, got the shape \(3,\)"
    with pytest.raises(ValueError, match=message):
        Muon().init(np.ones(3))
    with pytest.raises(ValueError, match=message):
        Muon().step(np.ones(3), np.ones(3), Muon().init(np.ones((1, 3))))
    weight, bias = torch.ones(2, 2, requires_grad=True), torch.ones(3, requires_grad=True)
    with pytest.raises(ValueError, match=message):
        TorchOptimizer([weight, bias], Muon())
    optimizer = TorchOptimizer([weight], Muon())
    with pytest.raises(ValueError, match=message):
        optimizer.add_param_group({"params": [bias]})
    assert len(optimizer.param_groups) == 1


def test_soap_refuses_more_than_two_axes():
    message = r"theta must have two axes or fewer, got the shape \(2, 3, 4\)"
    with pytest.raises(ValueError, match=message):
        SOAP().init(np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match=message):
        TorchOptimizer([torch.ones(2, 3, 4, requires_grad=True)], SOAP())


# Bad input.


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LAMB(lr=-1.0), "lr must be finite and >= 0, got -1.0"),
        (lambda: LAMB(betas=(0.9, 1.0)), r"betas\[1\] must be in \[0, 1\), got 1.0"),
        (lambda: Adafactor(beta2_decay=0.8), "beta2_decay must be finite and <= 0, got 0.8"),
        (lambda: Adafactor(beta2_decay=-np.inf), "beta2_decay must be finite and <= 0, got -inf"),
        (lambda: Adafactor(d=0.5), "d must be finite and >= 1, got 0.5"),
        (lambda: Adafactor(eps=(-1.0, 1e-3)), r"eps\[0\] must be in \[0, 1\), got -1.0"),
        (lambda: Adafactor(eps=(None, None)), r"eps\[1\] must be a number, got None"),
        (lambda: Adafactor(eps=1e-3), "eps must be 2 numbers, got 0.001"),
        (lambda: Muon(momentum=1.0), r"momentum must be in \[0, 1\), got 1.0"),
        (lambda: Muon(ns_steps=2.5), "ns_steps must be an integer >= 0, got 2.5"),
        (lambda: Muon(ns_steps=-1), "ns_steps must be an integer >= 0, got -1"),
        (lambda: Muon(ns_steps=True), "ns_steps must be an integer >= 0, got True"),
        (lambda: Muon(ns_coefficients=(1.0, 2.0)), "ns_coefficients must be 3 numbers, got"),
        (
            lambda: Muon(ns_coefficients=(1.0, np.nan, 1.0)),
            r"ns_coefficients\[1\] must be finite, got nan",
        ),
        (lambda: Muon(nesterov=1), "nesterov must be True or False, got 1"),
        (lambda: Muon(adjust_lr_fn="adam"), "adjust_lr_fn must be None, .*, got 'adam'"),
        (
            lambda: ScheduleFreeAdamW(warmup_steps=-1),
            "warmup_steps must be an integer >= 0, got -1",
        ),
        (lambda: ScheduleFreeAdamW(r=-1.0), "r must be finite and >= 0, got -1.0"),
        (
            lambda: SOAP(precondition_frequency=0),
            "precondition_frequency must be an integer >= 1, got 0",
        ),
        (lambda: AdamMini(eps=-1e-8), "eps must be finite and >= 0, got -1e-08"),
        (lambda: Adam8bit(weight_decay="no"), "weight_decay must be a number, got 'no'"),
    ],
)
def test_bad_hyperparameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        (np.array([[1, 2]]), "theta must be a floating-point array, got one of int64"),
        ([1.0, 2.0], r"theta must be a floating-point array, got \[1.0, 2.0\]"),
        (None, "theta must be a floating-point array, got None"),
    ],
    ids=str,
)
@pytest.mark.parametrize("optimizer", ALL[::2], ids=repr)
def test_bad_parameters(optimizer, theta, message):
    with pytest.raises(ValueError, match=message):
        optimizer.init(theta)
    with pytest.raises(ValueError, match=message):
        optimizer.step(theta, np.ones((1, 2)), optimizer.init(np.ones((1, 2))))


@pytest.mark.parametrize(
    ("optimizer", "state", "message"),
    [
        (
            Adafactor(),
            Adafactor().init(np.ones((3, 2))),
            r"state.R must have the shape of init\(theta\).R, \(2, 1\), got \(3, 1\)",
        ),
        (
            Adafactor(),
            Adafactor().init(np.ones((2, 2), dtype=np.float32)),
            r"state.R must have the dtype of init\(theta\).R, float64, got float32",
        ),
        (
            LAMB(),
            LAMB().init(np.ones((3, 2))),
            r"state.m must have the shape of theta, \(2, 2\), got \(3, 2\)",
        ),
        (
            AdamMini(),
            AdamMini().init(np.ones((2, 2)))._replace(v=np.ones((2, 2))),
            r"state.v must have the shape of init\(theta\).v, \(2, 1\), got \(2, 2\)",
        ),
        (
            Adam8bit(),
            Adam8bit().init(np.ones((2, 2)))._replace(v_codes=np.ones((2, 2))),
            r"state.v_codes must have the dtype of init\(theta\).v_codes, uint8, got float64",
        ),
        (
            Adam8bit(),
            Adam8bit().init(np.ones(300)),
            r"state.m_codes must have the shape of init\(theta\).m_codes, \(2, 2\), got \(300,\)",
        ),
    ],
)
def test_the_state_of_another_parameter(optimizer, state, message):
    theta = np.ones((2, 2))
    with pytest.raises(ValueError, match=message):
        optimizer.step(theta, theta, state)


# Memory.

N, M = 640, 256  # a matrix of 163,840 parameters


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (SGD(), 0),
        (SGD(momentum=0.9), 4 * N * M),
        (Adagrad(), 4 * N * M),
        (RMSprop(), 4 * N * M),
        (Adam(), 8 * N * M),
        (AMSGrad(), 12 * N * M),
        (LAMB(), 8 * N * M),
        (Adafactor(), 4 * (N + M)),
        (Muon(), 4 * N * M),
        (ScheduleFreeAdamW(), 12 * N * M + 8),
        (AdamMini(), 4 * N * M + 4 * N),
        (Adam8bit(), 2 * N * M + 2 * 4 * (N * M // 256)),
        (SOAP(), 8 * N * M + 8 * (N**2 + M**2)),
    ],
    ids=repr,
)
def test_the_memory_of_the_state(optimizer, expected):
    theta = np.zeros((N, M), dtype=np.float32)
    assert optimizer.state_bytes(theta) == expected
    assert optimizer.state_bytes(torch.from_numpy(theta)) == expected
    assert optimizer.state_bytes(torch.empty(N, M, device="meta")) == expected
    # What a step leaves behind is as large.
    theta = theta[:20, :2]
    step = optimizer.step(theta, theta, optimizer.init(theta))
    left = sum(x.nbytes for x in step.state if isinstance(x, (np.ndarray, np.generic)))
    assert left == optimizer.state_bytes(theta)


def test_the_memory_of_what_is_not_a_matrix():
    bias = np.zeros(N, dtype=np.float32)
    assert Adafactor().state_bytes(bias) == 4 * N
    assert AdamMini().state_bytes(bias) == 4 * N + 4
    assert Adam8bit().state_bytes(bias) == 2 * N + 2 * 4 * 3  # the last block is half full
    assert Adam().state_bytes(1.0) == 16
