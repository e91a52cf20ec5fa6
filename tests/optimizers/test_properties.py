"""Properties that hold for all gradients, tested on gradients that hypothesis finds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mutants import AdamWithoutCorrection

from adam_tutorial import SGD, Adagrad, Adam, AMSGrad, RMSprop, minimize
from adam_tutorial.optimizers.base import maximum

ALL = [
    SGD(lr=0.1),
    SGD(lr=0.1, momentum=0.9),
    SGD(lr=0.1, momentum=0.9, nesterov=True),
    Adagrad(lr=0.1),
    RMSprop(lr=0.1),
    RMSprop(lr=0.1, momentum=0.9),
    Adam(lr=0.1),
    AMSGrad(lr=0.1),
]
SCALE_FREE = [
    Adagrad(lr=0.1, eps=0),
    RMSprop(lr=0.1, eps=0),
    Adam(lr=0.1, eps=0),
    AMSGrad(lr=0.1, betas=(0.9, 0.5), eps=0),
]

# Values whose squares neither vanish nor overflow.
sizes = st.floats(1e-3, 1e3)
values = st.builds(lambda sign, size: sign * size, st.sampled_from([-1.0, 1.0]), sizes)
gradient_lists = st.lists(st.tuples(values, values, values), min_size=1, max_size=20)
quick = settings(max_examples=50, deadline=None)


def run(optimizer, gradients, theta=None):
    """Take a step for each of the given gradients."""
    rows = iter(np.array(gradients))
    start = np.zeros(len(gradients[0])) if theta is None else theta
    return minimize(optimizer, lambda theta: next(rows), start, len(gradients))


@pytest.mark.parametrize("optimizer", SCALE_FREE, ids=repr)
@quick
@given(gradients=gradient_lists, exponent=st.integers(-20, 20))
def test_scaling_the_gradient_changes_nothing(optimizer, gradients, exponent):
    # Powers of two scale without rounding, so that the runs agree to the last bit but for roots.
    scaled = np.array(gradients) * 2.0**exponent
    np.testing.assert_allclose(
        run(optimizer, scaled).theta, run(optimizer, gradients).theta, rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
@quick
@given(gradients=gradient_lists, order=st.permutations(range(3)))
def test_coordinates_may_change_places(optimizer, gradients, order):
    straight = run(optimizer, gradients)
    permuted = run(optimizer, np.array(gradients)[:, order])
    np.testing.assert_array_equal(permuted.theta, straight.theta[:, order])


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_a_zero_gradient_from_the_start_moves_nothing(optimizer):
    theta = np.array([1.0, -2.0])
    trajectory = run(optimizer, np.zeros((5, 2)), theta)
    np.testing.assert_array_equal(trajectory.theta, np.tile(theta, (6, 1)))


def longest_possible_step(t, lr, beta1, beta2):
    """The supremum of Adam's step t over all gradients, for ε = 0 and β1² < β2."""
    rho = beta1**2 / beta2
    return (
        lr
        * (1 - beta1)
        / (1 - beta1**t)
        * np.sqrt((1 - beta2**t) / (1 - beta2))
        * np.sqrt((1 - rho**t) / (1 - rho))
    )


bounds = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99}


@quick
@given(gradients=st.lists(values, min_size=1, max_size=40))
def test_no_step_is_longer_than_the_bound(gradients):
    adam = Adam(lr=0.1, betas=(0.9, 0.99), eps=0)
    update = run(adam, [[g] for g in gradients]).update[1:, 0]
    t = np.arange(1, len(gradients) + 1)
    assert np.all(np.abs(update) <= longest_possible_step(t, **bounds) * (1 + 1e-12))


def growing(steps):
    """Gradients that grow by β2/β1 a step attain the bound in the last step."""
    return [[(0.99 / 0.9) ** k] for k in range(steps)]


@pytest.mark.parametrize("steps", [1, 2, 10, 100])
def test_the_bound_is_attained(steps):
    adam = Adam(lr=0.1, betas=(0.9, 0.99), eps=0)
    last = run(adam, growing(steps)).update[-1, 0]
    assert last == pytest.approx(longest_possible_step(steps, **bounds), rel=1e-12)


def test_the_bound_catches_an_adam_without_correction():
    wrong = AdamWithoutCorrection(lr=0.1, betas=(0.9, 0.99), eps=0)
    update = run(wrong, growing(10)).update[1:, 0]
    assert np.any(np.abs(update) > longest_possible_step(np.arange(1, 11), **bounds) * 1.1)


@quick
@given(gradients=gradient_lists, beta2=st.floats(0.0, 0.999))
def test_amsgrad_never_forgets_and_never_steps_further_than_adam(gradients, beta2):
    betas = (0.9, beta2)
    ours, adam = (run(make(lr=0.1, betas=betas), gradients) for make in (AMSGrad, Adam))
    np.testing.assert_array_equal(ours.v, adam.v)
    np.testing.assert_array_equal(ours.v_max, np.maximum.accumulate(ours.v))
    assert np.all(np.abs(ours.update[1:]) <= np.abs(adam.update[1:]))


@pytest.mark.parametrize("asarray", [np.array, torch.tensor], ids=["numpy", "torch"])
def test_the_maximum_keeps_every_bit(asarray):
    numbers = [0.0, 1e-320, 0.1, 1.0, np.inf, np.nan]
    x, y = (np.ravel(a) for a in np.meshgrid(numbers, numbers))
    found = maximum(asarray(x), asarray(y))
    np.testing.assert_array_equal(np.asarray(found), np.maximum(x, y))


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_what_is_passed_in_is_not_changed(optimizer, library):
    def array(*x):
        return np.array(x) if library == "numpy" else torch.tensor(x, dtype=torch.float64)

    theta, grad = array(1.0, -2.0), array(0.5, 3.0)
    state = optimizer.step(theta, grad, optimizer.init(theta)).state
    inputs = [theta, grad, *[x for x in state if x is not None]]
    before = [x if isinstance(x, int) else (x + 0) for x in inputs]
    optimizer.step(theta, grad, state)
    for x, y in zip(inputs, before, strict=True):
        assert x == y if isinstance(x, int) else bool((x == y).all())


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (2, 1, 2), (0,)])
def test_numpy_and_torch_agree_in_every_shape_and_type(optimizer, dtype, shape):
    rng = np.random.default_rng(0)
    theta = rng.standard_normal(shape).astype(dtype)
    state = optimizer.init(theta)
    torch_theta = torch.from_numpy(np.array(theta))
    torch_state = optimizer.init(torch_theta)
    for _ in range(5):
        grad = rng.standard_normal(shape).astype(dtype)
        theta, state = optimizer.step(np.asarray(theta), np.asarray(grad), state)[:2]
        torch_grad = torch.from_numpy(np.array(grad))
        torch_theta, torch_state = optimizer.step(torch_theta, torch_grad, torch_state)[:2]
    assert str(theta.dtype) == dtype
    assert torch_theta.dtype == getattr(torch, dtype)
    assert np.shape(theta) == tuple(torch_theta.shape) == shape
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(theta, torch_theta.numpy(), rtol=tolerance, atol=tolerance)


def test_numpy_hyperparameters_do_not_widen_float32():
    theta = np.ones(2, dtype=np.float32)
    adam = Adam(lr=np.float64(0.1), betas=(np.float64(0.9), np.float64(0.99)))
    assert adam.step(theta, theta, adam.init(theta)).theta.dtype == np.float32
