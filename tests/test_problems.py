import numpy as np
import pytest

from adam_tutorial import problems

ALL = [
    problems.ravine(),
    problems.ravine(1000.0, angle=45.0),
    problems.rosenbrock(),
    problems.beale(),
]


@pytest.mark.parametrize("problem", ALL, ids=lambda p: p.name)
def test_gradient_is_the_slope_of_the_value(problem):
    rng = np.random.default_rng(0)
    h = 1e-6
    for theta in rng.uniform(-2, 2, size=(20, 2)):
        slopes = [
            (problem.value(theta + h * e) - problem.value(theta - h * e)) / (2 * h)
            for e in np.eye(2)
        ]
        np.testing.assert_allclose(problem.grad(theta), slopes, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("problem", ALL, ids=lambda p: p.name)
def test_the_minimum_is_one(problem):
    assert problem.value(problem.minimum) == pytest.approx(0, abs=1e-20)
    np.testing.assert_allclose(problem.grad(problem.minimum), 0, atol=1e-12)
    around = problem.minimum + 0.1 * np.random.default_rng(0).standard_normal((100, 2))
    assert np.all(problem.value(around) > 0)


@pytest.mark.parametrize("problem", ALL, ids=lambda p: p.name)
def test_a_grid_of_points_in_one_call(problem):
    grid = np.random.default_rng(0).standard_normal((3, 4, 2))
    values, grads = problem.value(grid), problem.grad(grid)
    assert values.shape == (3, 4)
    assert grads.shape == (3, 4, 2)
    assert values[1, 2] == pytest.approx(problem.value(grid[1, 2]))
    np.testing.assert_allclose(grads[1, 2], problem.grad(grid[1, 2]))


@pytest.mark.parametrize("angle", [0.0, 30.0, 45.0])
def test_a_turned_ravine_keeps_its_curvatures_and_the_height_of_its_start(angle):
    ravine = problems.ravine(100.0, angle)
    hessian = ravine.grad(np.eye(2))
    np.testing.assert_allclose(np.linalg.eigvalsh(hessian), [1, 100])
    assert ravine.value(ravine.start) == pytest.approx(100.0)


def test_noise_is_right_on_average():
    ravine = problems.ravine(10.0)
    noisy = ravine.noisy(2.0, np.random.default_rng(0))
    samples = np.array([noisy(ravine.start) for _ in range(10_000)])
    np.testing.assert_allclose(samples.mean(axis=0), ravine.grad(ravine.start), atol=4 * 2 / 100)
    np.testing.assert_allclose(samples.std(axis=0), 2.0, rtol=0.03)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: problems.ravine(0.5), "condition must be finite and >= 1, got 0.5"),
        (lambda: problems.ravine(float("nan")), "condition must be finite and >= 1, got nan"),
        (lambda: problems.ravine(angle=float("inf")), "angle must be finite, got inf"),
        (lambda: problems.beale().noisy(-1.0, None), "scale must be finite and >= 0, got -1.0"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
