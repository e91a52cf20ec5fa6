import numpy as np
import pytest

from adam_tutorial import SGD, Adam, minimize


def double(theta):
    return 2 * theta


def test_row_t_holds_the_symbols_of_step_t():
    adam = Adam(lr=0.1)
    run = minimize(adam, double, np.array([1.0, -3.0]), steps=4)
    assert run.symbols == ("grad", "m", "v", "m_hat", "v_hat", "update", "theta")
    theta, state = run.theta[0], adam.init(run.theta[0])
    for t in range(1, 5):
        np.testing.assert_array_equal(run.grad[t], double(theta))
        step = adam.step(theta, double(theta), state)
        for name in ("m", "v", "m_hat", "v_hat", "update", "theta"):
            np.testing.assert_array_equal(getattr(run, name)[t], getattr(step, name))
        theta, state = step.theta, step.state


def test_row_0_is_the_start():
    run = minimize(Adam(), double, np.array([1.0, -3.0]), steps=1)
    np.testing.assert_array_equal(run.theta[0], [1.0, -3.0])
    assert not run.m[0].any()
    assert not run.v[0].any()
    for name in ("grad", "m_hat", "v_hat", "update"):
        assert np.isnan(getattr(run, name)[0]).all()


def test_symbols_that_an_optimizer_does_without_are_absent():
    run = minimize(SGD(), double, 1.0, steps=1)
    assert run.symbols == ("grad", "update", "theta")
    with pytest.raises(AttributeError, match="no 'b'"):
        run.b  # noqa: B018
    assert "b" in minimize(SGD(momentum=0.9), double, 1.0, steps=1).symbols


def test_table_has_a_column_for_each_coordinate():
    table = minimize(SGD(), double, np.ones((2, 1)), steps=3).table()
    assert list(table) == [f"{s}[{i}, 0]" for s in ("grad", "update", "theta") for i in (0, 1)]
    assert list(table.index) == [0, 1, 2, 3]
    assert table.index.name == "t"


def test_the_start_is_not_changed_and_gradients_may_reuse_their_buffer():
    start, buffer = np.array([1.0]), np.zeros(1)

    def grad(theta):
        buffer[:] = 2 * theta
        return buffer

    run = minimize(SGD(lr=0.25), grad, start, steps=3)
    np.testing.assert_array_equal(start, [1.0])
    np.testing.assert_array_equal(run.grad[1:, 0], [2.0, 1.0, 0.5])


def test_repr_names_the_symbols():
    assert repr(minimize(SGD(), double, 1.0, steps=2)) == (
        "Trajectory(2 steps, theta of shape (): grad, update, theta)"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": "adam"}, "optimizer must be an Optimizer such as Adam.., got 'adam'"),
        ({"grad": 0.1}, "grad must be a function of theta, got 0.1"),
        ({"theta": [1.0]}, r"theta must be a floating-point array, got \[1.0\]"),
        ({"theta": 1}, "theta must be a floating-point array, got 1"),
        ({"steps": 0}, "steps must be an integer >= 1, got 0"),
        ({"steps": 2.5}, "steps must be an integer >= 1, got 2.5"),
        ({"steps": True}, "steps must be an integer >= 1, got True"),
        ({"grad": lambda theta: 1}, "grad must be a floating-point array, got 1"),
    ],
    ids=lambda x: x if isinstance(x, str) else next(iter(x)),
)
def test_bad_input(arguments, message):
    good = {"optimizer": Adam(), "grad": double, "theta": 1.0, "steps": 1}
    with pytest.raises(ValueError, match=message):
        minimize(**{**good, **arguments})
