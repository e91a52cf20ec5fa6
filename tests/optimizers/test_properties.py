"""Properties that hold for all gradients, tested on gradients that hypothesis finds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mutants import (
    AdamWithoutCorrection,
    AdamWOfL2,
    ADOPTWithoutClipping,
    LionOfTheAverage,
    RAdamOneStepLate,
)

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
)
from adam_tutorial.optimizers.base import maximum, sign

ALL = [
    SGD(lr=0.1),
    SGD(lr=0.1, momentum=0.9),
    SGD(lr=0.1, momentum=0.9, nesterov=True),
    Adagrad(lr=0.1),
    RMSprop(lr=0.1),
    RMSprop(lr=0.1, momentum=0.9),
    Adam(lr=0.1),
    AMSGrad(lr=0.1),
    AdamW(lr=0.1, weight_decay=0.0),
    Adamax(lr=0.1),
    NAdam(lr=0.1),
    RAdam(lr=0.1),
    AdaBound(lr=0.1),
    AMSBound(lr=0.1),
    AdaBelief(lr=0.1),
    Yogi(lr=0.1),
    Lion(lr=0.1),
    Adan(lr=0.1),
    ADOPT(lr=0.1),
]
# θ shrinks by itself, by a factor a step.
DECAYING = {
    AdamW(lr=0.1, weight_decay=0.5): 0.95,
    AdaBelief(lr=0.1, weight_decay=0.5): 0.95,
    Lion(lr=0.1, weight_decay=0.5): 0.95,
    Adan(lr=0.1, weight_decay=0.5): 1 / 1.05,
}
SCALE_FREE = [
    Adagrad(lr=0.1, eps=0),
    RMSprop(lr=0.1, eps=0),
    Adam(lr=0.1, eps=0),
    AMSGrad(lr=0.1, betas=(0.9, 0.5), eps=0),
    AdamW(lr=0.1, eps=0, weight_decay=0.5),
    Adamax(lr=0.1, eps=0),
    NAdam(lr=0.1, eps=0),
    AdaBelief(lr=0.1, eps=0),
    Yogi(lr=0.1, eps=0, initial_accumulator_value=0),
    Lion(lr=0.1),
    Adan(lr=0.1, eps=0),
    ADOPT(lr=0.1, eps=1e-30),
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


def assert_same_run(ours, other):
    for symbol in other.symbols:
        np.testing.assert_array_equal(getattr(ours, symbol), getattr(other, symbol))


@quick
@given(gradients=gradient_lists)
def test_adamw_without_decay_is_adam_bit_by_bit(gradients):
    start = np.array([1.0, -2.0, 3.0])
    assert_same_run(
        run(AdamW(lr=0.1, weight_decay=0), gradients, start),
        run(Adam(lr=0.1), gradients, start),
    )


def decay(optimizer):
    """Return what is left after three steps, without gradients and of two sizes with them."""
    theta = np.array([1.0, -2.0])
    idle = run(optimizer, np.zeros((3, 2)), theta).theta[-1] / theta
    gradients = np.tile([1.0, 100.0], (3, 1))
    moved = [run(optimizer, gradients, x).theta[-1] for x in (theta, 0 * theta)]
    return idle, (moved[0] - moved[1]) / theta


@pytest.mark.parametrize(("optimizer", "factor"), DECAYING.items(), ids=repr)
def test_decoupled_decay_takes_the_same_part_whatever_the_gradient(optimizer, factor):
    np.testing.assert_allclose(decay(optimizer), factor**3, rtol=1e-12)


def test_l2_in_adam_is_no_such_decay():
    idle, moved = decay(AdamWOfL2(lr=0.1, weight_decay=0.5))
    assert not np.allclose(idle, 0.95**3, rtol=0.01)
    assert np.all(moved > 0.99)


@quick
@given(gradients=gradient_lists)
def test_adamax_remembers_the_largest_and_keeps_its_bound(gradients):
    trajectory = run(Adamax(lr=0.1, betas=(0.9, 0.99), eps=0), gradients)
    t = np.arange(1, len(gradients) + 1)
    ages = np.tril(t[:, None] - t)
    weighted = np.tril(0.99**ages)[..., None] * np.abs(gradients)
    np.testing.assert_allclose(trajectory.u[1:], weighted.max(axis=1), rtol=1e-12)
    # The first moment of gradients of which none exceeds what u leaves it.
    bound = 0.1 * (1 - 0.9) / (1 - 0.9**t) * (1 - (0.9 / 0.99) ** t) / (1 - 0.9 / 0.99)
    assert np.all(np.abs(trajectory.update[1:]) <= bound[:, None] * (1 + 1e-12))


@quick
@given(gradients=gradient_lists)
def test_nadam_without_momentum_is_adam_without_momentum(gradients):
    betas = (0.0, 0.99)
    ours, adam = (run(make(lr=0.1, betas=betas), gradients) for make in (NAdam, Adam))
    np.testing.assert_array_equal(ours.theta, adam.theta)


@pytest.mark.parametrize("beta1", [0.5, 0.9, 0.9999])
@pytest.mark.parametrize("t", [1, 2, 50, 5000])
def test_the_product_of_nadam_is_that_of_all_steps(beta1, t):
    mu = beta1 * (1 - 0.5 * 0.96 ** (0.1 * np.arange(1, t + 2)))
    numbers = NAdam(betas=(beta1, 0.999), momentum_decay=0.1).at(t)
    found = numbers["correction1"], numbers["correction1_next"]
    np.testing.assert_allclose(found, (1 - np.prod(mu[:-1]), 1 - np.prod(mu)), rtol=1e-13)


def first_step_that_forgets_the_scale(radam):
    """Return the first step that is the same for gradients twice as large."""
    gradients = [[g] for g in (1.0, -2.0, 3.0, 0.5, -1.0, 2.0, 1.0)]
    once, twice = (run(radam, k * np.array(gradients)).update[1:, 0] for k in (1, 2))
    same = np.isclose(once, twice, rtol=1e-12)
    np.testing.assert_allclose(twice[~same], 2 * once[~same], rtol=1e-12)
    return 1 + int(same.argmax())


@quick
@given(gradients=st.lists(values, min_size=5, max_size=5))
def test_the_first_five_steps_of_radam_are_those_of_momentum(gradients):
    trajectory = run(RAdam(lr=0.1), [[g] for g in gradients])
    np.testing.assert_array_equal(trajectory.ell[1:], 1.0)
    np.testing.assert_allclose(trajectory.update[1:], 0.1 * trajectory.m_hat[1:], rtol=1e-15)


def test_the_sixth_step_of_radam_is_the_first_adaptive_one():
    assert first_step_that_forgets_the_scale(RAdam(lr=0.1, eps=0)) == 6
    assert first_step_that_forgets_the_scale(RAdamOneStepLate(lr=0.1, eps=0)) == 7


def test_radam_with_a_short_memory_never_divides():
    numbers = [RAdam(betas=(0.9, 0.6)).at(t) for t in (1, 10, 1000)]
    assert all(n["tractable"] == 0 and n["r"] == 1 for n in numbers)


def test_radam_ends_as_adam():
    numbers = RAdam().at(100_000)
    assert numbers["tractable"] == 1
    assert numbers["r"] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("bound", "free"), [(AdaBound, Adam), (AMSBound, AMSGrad)])
@quick
@given(gradients=gradient_lists)
def test_bounded_rates_start_as_adam_and_end_as_momentum(bound, free, gradients):
    settings = {"lr": 0.1, "betas": (0.9, 0.5), "eps": 0}
    adam = run(free(**settings), gradients).theta
    for gamma in (0.0, 1e-12):  # the bounds stay as wide as at the very start
        ours = run(bound(gamma=gamma, **settings), gradients).theta
        np.testing.assert_allclose(ours, adam, rtol=1e-9, atol=1e-9)
    late = run(bound(gamma=1e12, final_lr=0.3, **settings), gradients)
    np.testing.assert_allclose(late.update[1:], 0.3 * late.m[1:], rtol=1e-11)


@quick
@given(gradients=gradient_lists, gamma=st.floats(1e-3, 10))
def test_every_rate_is_within_the_bounds(gradients, gamma):
    adabound = AdaBound(lr=0.1, final_lr=0.2, gamma=gamma)
    trajectory = run(adabound, gradients)
    for t in range(1, len(gradients) + 1):
        assert np.all(trajectory.eta[t] >= 0.2 * (1 - 1 / (gamma * t + 1)))
        assert np.all(trajectory.eta[t] <= 0.2 * (1 + 1 / (gamma * t)))


def test_adabelief_steps_further_and_further_where_the_gradient_stays():
    adam, belief = (run(make(lr=0.1), [[5.0]] * 100).update[1:, 0] for make in (Adam, AdaBelief))
    assert np.all(np.diff(belief) > 0)
    assert belief[-1] > 4 * adam[-1]


@quick
@given(gradients=gradient_lists, beta2=st.floats(0.0, 0.999))
def test_yogis_v_changes_by_no_more_than_the_squared_gradient_allows(gradients, beta2):
    v = run(Yogi(betas=(0.9, beta2)), gradients).v
    most = (1 - beta2) * np.square(gradients)
    change = np.diff(v, axis=0)
    assert np.all(np.abs(change) <= most + 1e-14 * v[:-1])
    assert np.all(v >= 0)


def test_adams_v_changes_by_more_than_that():
    v = run(Adam(betas=(0.9, 0.9)), [[100.0], [1.0]]).v[:, 0]
    assert v[2] < v[1] - 10 * 0.1 * 1.0**2


@quick
@given(gradients=gradient_lists)
def test_lions_steps_are_lr_long_in_every_coordinate(gradients):
    trajectory = run(Lion(lr=0.1), gradients)
    lengths = np.abs(trajectory.update[1:])
    assert np.all((lengths == 0.1) | (trajectory.c[1:] == 0))


def test_lion_turns_sooner_than_its_average():
    gradients = [[1.0]] * 5 + [[-1.0]]
    assert run(Lion(lr=0.1), gradients).update[-1, 0] < 0
    assert run(LionOfTheAverage(lr=0.1), gradients).update[-1, 0] > 0


@quick
@given(gradients=gradient_lists)
def test_adan_without_differences_is_adam(gradients):
    adam = run(Adam(lr=0.1, betas=(0.9, 0.99)), gradients)
    adan = run(Adan(lr=0.1, betas=(0.9, 0.0, 0.99)), gradients)
    np.testing.assert_array_equal(adan.theta, adam.theta)


@quick
@given(gradients=gradient_lists)
def test_adopts_first_step_only_sets_v(gradients):
    trajectory = run(ADOPT(lr=0.1), gradients)
    np.testing.assert_array_equal(trajectory.theta[1], trajectory.theta[0])
    np.testing.assert_array_equal(trajectory.m[1], 0)
    np.testing.assert_array_equal(trajectory.v[1], np.square(gradients[0]))
    assert np.all(trajectory.theta[2:3] != trajectory.theta[0])


def test_adopt_limits_a_gradient_that_comes_as_a_surprise():
    gradients = [[1.0], [1.0], [1e6]]
    assert run(ADOPT(lr=0.1), gradients).g_hat[-1, 0] == 2**0.25
    assert run(ADOPTWithoutClipping(lr=0.1), gradients).g_hat[-1, 0] > 1e5


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_gradients_may_reuse_their_buffer(optimizer):
    gradients, buffer = np.array([[1.0], [-2.0], [3.0]]), np.zeros(1)
    rows = iter(gradients)

    def grad(theta):
        buffer[:] = next(rows)
        return buffer

    reused = minimize(optimizer, grad, np.zeros(1), 3)
    np.testing.assert_array_equal(reused.theta, run(optimizer, gradients).theta)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_the_sign(library, dtype):
    numbers = [-np.inf, -2.0, -1e-40, -0.0, 0.0, 1e-40, 0.5, np.inf, np.nan]
    x = np.array(numbers, dtype)
    found = sign(x if library == "numpy" else torch.from_numpy(x))
    assert str(found.dtype).removeprefix("torch.") == dtype
    np.testing.assert_array_equal(np.asarray(found), np.sign(x))


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


@pytest.mark.parametrize("optimizer", [*ALL, *DECAYING], ids=repr)
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
