"""The first three steps of every optimizer, worked out with fractions.

The gradients are 1, -2 and 3, whatever θ is, where nothing else is said; θ starts at 1 and lr is
1/10.
"""

from fractions import Fraction as F

import numpy as np
import pytest
from mutants import AdamEpsInsideRoot, AdamWithoutCorrection, AMSGradOfCorrected

from adam_tutorial import SGD, Adagrad, Adam, AMSGrad, RMSprop, minimize

GRADIENTS = (1.0, -2.0, 3.0)


def thetas(optimizer, gradients=GRADIENTS):
    rest = iter(gradients)
    return minimize(optimizer, lambda theta: np.float64(next(rest)), 1.0, 3).theta[1:]


def walk(updates):
    """Return 1 minus the running sum of lr times these."""
    return 1 - 0.1 * np.cumsum([float(u) for u in updates])


def root(x):
    return float(x) ** 0.5


def test_sgd():
    np.testing.assert_allclose(thetas(SGD(lr=0.1)), walk([1, -2, 3]), rtol=1e-14)


def test_momentum():
    # b: 1, 1/2 - 2 = -3/2, -3/4 + 3 = 9/4
    expected = walk([1, F(-3, 2), F(9, 4)])
    np.testing.assert_allclose(thetas(SGD(lr=0.1, momentum=0.5)), expected, rtol=1e-14)


def test_nesterov():
    # g + b/2: 1 + 1/2, -2 - 3/4, 3 + 9/8
    expected = walk([F(3, 2), F(-11, 4), F(33, 8)])
    sgd = SGD(lr=0.1, momentum=0.5, nesterov=True)
    np.testing.assert_allclose(thetas(sgd), expected, rtol=1e-14)


def test_weight_decay_adds_to_the_gradient():
    # θ: 1 - (1 + 1/2)/10 = 17/20, then 17/20 - (-2 + 17/40)/10 = 403/400, then ...
    second = F(17, 20) - (F(-2) + F(17, 40)) / 10
    third = second - (3 + second / 2) / 10
    expected = [0.85, float(second), float(third)]
    np.testing.assert_allclose(thetas(SGD(lr=0.1, weight_decay=0.5)), expected, rtol=1e-14)


def test_adagrad():
    # G: 1, 5, 14
    expected = walk([1, -2 / root(5), 3 / root(14)])
    np.testing.assert_allclose(thetas(Adagrad(lr=0.1, eps=0)), expected, rtol=1e-14)


def test_rmsprop():
    # α = 1/2; v: 1/2, 1/4 + 2 = 9/4, 9/8 + 9/2 = 45/8
    expected = walk([1 / root(F(1, 2)), -2 / root(F(9, 4)), 3 / root(F(45, 8))])
    np.testing.assert_allclose(thetas(RMSprop(lr=0.1, alpha=0.5, eps=0)), expected, rtol=1e-14)


def adam_by_hand(eps):
    # β1 = 1/2, β2 = 3/4. m: 1/2, 1/4 - 1 = -3/4, -3/8 + 3/2 = 9/8.
    # v: 1/4, 3/16 + 1 = 19/16, 57/64 + 9/4 = 201/64.
    # 1 - β1^t: 1/2, 3/4, 7/8. 1 - β2^t: 1/4, 7/16, 37/64.
    m_hat = [F(1), F(-1), F(9, 7)]
    v_hat = [F(1), F(19, 7), F(201, 37)]
    return walk([float(m) / (root(v) + eps) for m, v in zip(m_hat, v_hat, strict=True)])


def test_adam():
    adam = Adam(lr=0.1, betas=(0.5, 0.75), eps=0.125)
    np.testing.assert_allclose(thetas(adam), adam_by_hand(0.125), rtol=1e-14)


@pytest.mark.parametrize("mutant", [AdamWithoutCorrection, AdamEpsInsideRoot])
def test_the_steps_by_hand_catch_a_wrong_adam(mutant):
    wrong = thetas(mutant(lr=0.1, betas=(0.5, 0.75), eps=0.125))
    assert not np.allclose(wrong, adam_by_hand(0.125), rtol=1e-3)


# A large gradient first: v falls in the second step and exceeds its old maximum in the third.
FALLING = (3.0, 1.0, -2.0)


def amsgrad_by_hand(eps):
    # β1 = 1/2, β2 = 3/4. m: 3/2, 3/4 + 1/2 = 5/4, 5/8 - 1 = -3/8.
    # v: 9/4, 27/16 + 1/4 = 31/16, 93/64 + 1 = 157/64; the largest so far: 9/4, 9/4, 157/64.
    # 1 - β1^t: 1/2, 3/4, 7/8. 1 - β2^t: 1/4, 7/16, 37/64.
    m_hat = [F(3), F(5, 3), F(-3, 7)]
    v_hat = [F(9), F(36, 7), F(157, 37)]
    return walk([float(m) / (root(v) + eps) for m, v in zip(m_hat, v_hat, strict=True)])


def test_amsgrad():
    amsgrad = AMSGrad(lr=0.1, betas=(0.5, 0.75), eps=0.125)
    np.testing.assert_allclose(thetas(amsgrad, FALLING), amsgrad_by_hand(0.125), rtol=1e-14)


@pytest.mark.parametrize("wrong", [Adam, AMSGradOfCorrected])
def test_the_steps_by_hand_catch_a_wrong_amsgrad(wrong):
    found = thetas(wrong(lr=0.1, betas=(0.5, 0.75), eps=0.125), FALLING)
    assert not np.allclose(found, amsgrad_by_hand(0.125), rtol=1e-3)
