"""Bad input raises ValueError that names the argument and the value, and changes nothing."""

import numpy as np
import pytest
import torch

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
)

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adam(lr=-1e-3), "lr must be finite and >= 0, got -0.001"),
        (lambda: Adam(lr=NAN), "lr must be finite and >= 0, got nan"),
        (lambda: Adam(lr=INF), "lr must be finite and >= 0, got inf"),
        (lambda: Adam(lr="fast"), "lr must be a number, got 'fast'"),
        (lambda: Adam(lr=None), "lr must be a number, got None"),
        (lambda: Adam(lr=True), "lr must be a number, got True"),
        (lambda: Adam(lr=10**400), "lr must be a number, got 1000"),
        (lambda: Adam(betas=(1.0, 0.999)), r"betas\[0\] must be in \[0, 1\), got 1.0"),
        (lambda: Adam(betas=(0.9, -0.1)), r"betas\[1\] must be in \[0, 1\), got -0.1"),
        (lambda: Adam(betas=(0.9, NAN)), r"betas\[1\] must be in \[0, 1\), got nan"),
        (lambda: Adam(betas=(0.9,)), r"betas must be 2 numbers, got \(0.9,\)"),
        (lambda: Adam(betas=0.9), "betas must be 2 numbers, got 0.9"),
        (lambda: Adam(eps=-1e-8), "eps must be finite and >= 0, got -1e-08"),
        (lambda: Adam(weight_decay=-1.0), "weight_decay must be finite and >= 0, got -1.0"),
        (lambda: AMSGrad(betas=(0.9, 1.0)), r"betas\[1\] must be in \[0, 1\), got 1.0"),
        (lambda: SGD(lr=-1.0), "lr must be finite and >= 0, got -1.0"),
        (lambda: SGD(momentum=1.0), r"momentum must be in \[0, 1\), got 1.0"),
        (lambda: SGD(nesterov=True), "nesterov=True needs momentum > 0, got momentum=0.0"),
        (lambda: SGD(momentum=0.9, nesterov=1), "nesterov must be True or False, got 1"),
        (lambda: RMSprop(alpha=1.5), r"alpha must be in \[0, 1\), got 1.5"),
        (lambda: RMSprop(momentum=-0.1), r"momentum must be in \[0, 1\), got -0.1"),
        (lambda: Adagrad(lr_decay=-1), "lr_decay must be finite and >= 0, got -1"),
        (
            lambda: Adagrad(initial_accumulator_value=-1),
            "initial_accumulator_value must be finite and >= 0, got -1",
        ),
        (lambda: AdamW(weight_decay=-1), "weight_decay must be finite and >= 0, got -1"),
        (lambda: Adamax(eps=NAN), "eps must be finite and >= 0, got nan"),
        (lambda: NAdam(momentum_decay=-1), "momentum_decay must be finite and >= 0, got -1"),
        (lambda: RAdam(betas=(0.9, 1)), r"betas\[1\] must be in \[0, 1\), got 1"),
        (lambda: AdaBound(gamma=-1), "gamma must be finite and >= 0, got -1"),
        (lambda: AMSBound(final_lr=INF), "final_lr must be finite and >= 0, got inf"),
        (lambda: AdaBelief(eps="small"), "eps must be a number, got 'small'"),
        (
            lambda: Yogi(initial_accumulator_value=-1e-6),
            "initial_accumulator_value must be finite and >= 0, got -1e-06",
        ),
        (lambda: Lion(betas=(-0.9, 0.99)), r"betas\[0\] must be in \[0, 1\), got -0.9"),
        (lambda: Adan(betas=(0.9, 0.99)), r"betas must be 3 numbers, got \(0.9, 0.99\)"),
        (lambda: Adan(betas=(0.9, 0.9, 2)), r"betas\[2\] must be in \[0, 1\), got 2"),
        (lambda: ADOPT(lr=None), "lr must be a number, got None"),
    ],
)
def test_hyperparameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        (np.array([1, 2]), "theta must be a floating-point array, got one of int64"),
        (torch.tensor([1, 2]), "theta must be a floating-point array, got one of torch.int64"),
        (np.array([1j]), "theta must be a floating-point array, got one of complex128"),
        ([1.0, 2.0], r"theta must be a floating-point array, got \[1.0, 2.0\]"),
        (1, "theta must be a floating-point array, got 1"),
        (None, "theta must be a floating-point array, got None"),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "optimizer",
    [
        *(SGD(momentum=0.9), Adagrad(), RMSprop(), Adam(), AMSGrad(), AdamW(), Adamax(), NAdam()),
        *(RAdam(), AdaBound(), AMSBound(), AdaBelief(), Yogi(), Lion(), Adan(), ADOPT()),
    ],
    ids=repr,
)
def test_parameters(optimizer, theta, message):
    with pytest.raises(ValueError, match=message):
        optimizer.init(theta)
    state = optimizer.init(np.ones(2))
    with pytest.raises(ValueError, match=message):
        optimizer.step(theta, np.ones(2), state)


@pytest.mark.parametrize(
    ("grad", "message"),
    [
        (np.ones(3), r"grad must have the shape of theta, \(2,\), got \(3,\)"),
        (np.ones(()), r"grad must have the shape of theta, \(2,\), got \(\)"),
        (np.ones(2, dtype=np.float32), "grad must have the dtype of theta, float64, got float32"),
        (torch.ones(2), "grad must have the .* of theta"),
        (np.array([1, 2]), "grad must be a floating-point array, got one of int64"),
    ],
    ids=str,
)
def test_gradients_that_do_not_match(grad, message):
    adam, theta = Adam(), np.ones(2)
    state = adam.init(theta)
    with pytest.raises(ValueError, match=message):
        adam.step(theta, grad, state)
    assert state.t == 0
    assert np.array_equal(theta, np.ones(2))


def test_the_state_of_another_parameter():
    adam = Adam()
    with pytest.raises(
        ValueError, match=r"state.m must have the shape of theta, \(2,\), got \(3,\)"
    ):
        adam.step(np.ones(2), np.ones(2), adam.init(np.ones(3)))


def test_hyperparameters_cannot_be_changed():
    with pytest.raises(AttributeError):
        Adam().lr = 1.0
