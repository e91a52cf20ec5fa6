"""The first three steps of every optimizer, worked out with fractions.

The gradients are 1, -2 and 3, whatever θ is, where nothing else is said; θ starts at 1 and lr is
1/10.
"""

from fractions import Fraction as F

import numpy as np
import pytest
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
)

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


# m_hat of Adam, and what follows from it, for β1 = 1/2 and the two lists of gradients.
M_HAT, M_HAT_FALLING = (F(1), F(-1), F(9, 7)), (F(3), F(5, 3), F(-3, 7))


def quotients(m_hat, v_hat, eps):
    return [float(m) / (root(v) + eps) for m, v in zip(m_hat, v_hat, strict=True)]


def walk_with_decay(updates):
    """Return θ where λ = 1/2, so that 19/20 of it are left before each step."""
    thetas = [1.0]
    for update in updates:
        thetas.append(0.95 * thetas[-1] - 0.1 * update)
    return thetas[1:]


def test_adamw():
    adamw = AdamW(lr=0.1, betas=(0.5, 0.75), eps=0.125, weight_decay=0.5)
    expected = walk_with_decay(quotients(M_HAT, (F(1), F(19, 7), F(201, 37)), 0.125))
    np.testing.assert_allclose(thetas(adamw), expected, rtol=1e-14)


def test_adamax():
    # β2 = 3/4. u: 1, max(3/4, 2), max(3/2, 3); after 3, 1, -2: 3, max(9/4, 1), max(27/16, 2).
    adamax = Adamax(lr=0.1, betas=(0.5, 0.75), eps=0)
    np.testing.assert_allclose(thetas(adamax), walk([1, F(-1, 2), F(3, 7)]), rtol=1e-14)
    expected = walk([1, F(5, 3) / F(9, 4), F(-3, 14)])
    np.testing.assert_allclose(thetas(adamax, FALLING), expected, rtol=1e-14)


def test_nadam():
    # ψ = 0: all μ are 1/4. m: 1/2, -3/4, 9/8.
    # m_hat: (1/4)(1/2)/(15/16) + (3/4)/(3/4) = 17/15,
    # (1/4)(-3/4)/(63/64) + (3/4)(-2)/(15/16) = -188/105,
    # (1/4)(9/8)/(255/256) + (3/4)(3)/(63/64) = 1528/595.
    nadam = NAdam(lr=0.1, betas=(0.5, 0.75), eps=0.125, momentum_decay=0)
    m_hat = F(17, 15), F(-188, 105), F(1528, 595)
    expected = walk(quotients(m_hat, (F(1), F(19, 7), F(201, 37)), 0.125))
    np.testing.assert_allclose(thetas(nadam), expected, rtol=1e-14)


def test_radam():
    # Its first steps do not divide by anything.
    np.testing.assert_allclose(thetas(RAdam(lr=0.1, betas=(0.5, 0.75))), walk(M_HAT), rtol=1e-14)


def test_adabound():
    # With γ = 1 and c = 2/25 the bounds are (1/25, 4/25), (4/75, 3/25), (3/50, 8/75).
    # Adam's rates for m: 1/10 (1/2)/(1/2) / (1/2) = 1/5, too large;
    # 1/10 (√7/4)/(3/4) / (√19/4) = 0.081, within; 1/10 (√37/8)/(7/8) / (√201/8) = 0.049, too small.
    adabound = AdaBound(lr=0.1, betas=(0.5, 0.75), eps=0, final_lr=0.08, gamma=1)
    within = 0.1 * 4 * root(7) / (3 * root(19))
    updates = [0.16 * 0.5, within * -0.75, 0.06 * 1.125]
    np.testing.assert_allclose(thetas(adabound), 1 - np.cumsum(updates), rtol=1e-14)


def test_amsbound():
    # After 3, 1, -2 the largest v are 9/4, 9/4, 157/64. With γ = 1 and c = 3/50 the bounds are
    # (3/100, 3/25), (1/25, 9/100), (9/200, 2/25). All rates are within:
    # 1/10 / (3/2) = 0.067, 1/10 (√7/3) / (3/2) = 0.059, 1/10 (√37/7) / (√157/8) = 0.055.
    amsbound = AMSBound(lr=0.1, betas=(0.5, 0.75), eps=0, final_lr=0.06, gamma=1)
    rates = [1 / 1.5, root(7) / 4.5, 8 * root(37) / (7 * root(157))]
    updates = [rate * m for rate, m in zip(rates, (1.5, 1.25, -0.375), strict=True)]
    np.testing.assert_allclose(thetas(amsbound, FALLING), walk(updates), rtol=1e-14)


def test_adabelief():
    # β2 = 3/4, ε = 1/8. g - m: 1/2, -5/4, 15/8.
    # s: 1/16 + 1/8 = 3/16, 9/64 + 25/64 + 1/8 = 21/32, 63/128 + 225/256 + 1/8 = 383/256.
    adabelief = AdaBelief(lr=0.1, betas=(0.5, 0.75), eps=0.125, weight_decay=0.5)
    s_hat = F(3, 4), F(3, 2), F(383, 148)
    expected = walk_with_decay(quotients(M_HAT, s_hat, 0.125))
    np.testing.assert_allclose(thetas(adabelief), expected, rtol=1e-14)


def test_yogi():
    # β2 = 3/4. After 3, 1, -2 v goes up and down twice: 4 + 9/4 = 25/4, 25/4 - 1/4 = 6, 6 - 1 = 5.
    yogi = Yogi(lr=0.1, betas=(0.5, 0.75), eps=0.125, initial_accumulator_value=4)
    v_hat = F(25), F(96, 7), F(320, 37)
    expected = walk(quotients(M_HAT_FALLING, v_hat, 0.125))
    np.testing.assert_allclose(thetas(yogi, FALLING), expected, rtol=1e-14)


def test_lion():
    # β1 = 1/2, β2 = 3/4. c: 3/2, 3/8 - 1/4 = 1/8, 7/32 - 1/2 = -9/32. m: 3/4, 7/16.
    # In the second step the gradient has the other sign, in the third the average.
    lion = Lion(lr=0.1, betas=(0.5, 0.75), weight_decay=0.5)
    expected = walk_with_decay([1, 1, -1])
    np.testing.assert_allclose(thetas(lion, (3.0, -0.5, -1.0)), expected, rtol=1e-14)


def test_adan():
    # β = 1/2, 1/4, 3/4. d: 0, -3, 5. v: 0, -9/4, 51/16; v_hat: 0, -12/5, 68/21.
    # g + d/4: 1, -11/4, 17/4. n: 1/4, 133/64, 1555/256; n_hat: 1, 19/4, 1555/148.
    adan = Adan(lr=0.1, betas=(0.5, 0.25, 0.75), eps=0.125, weight_decay=0.5)
    direction = [m + v / 4 for m, v in zip(M_HAT, (0, F(-12, 5), F(68, 21)), strict=True)]
    expected = [1.0]
    for update in quotients(direction, (F(1), F(19, 4), F(1555, 148)), 0.125):
        expected.append((expected[-1] - 0.1 * update) / 1.05)
    np.testing.assert_allclose(thetas(adan), expected[1:], rtol=1e-14)


@pytest.mark.parametrize(
    ("gradients", "eps", "updates"),
    [
        # β1 = 1/2, β2 = 3/4. v: 1, 3/4 + 1 = 7/4. g / √v: -2 and 3 / √(7/4), both clipped.
        (GRADIENTS, 0, [0, -1 / 2, -1 / 4 + 2**0.25 / 2]),
        # v: 9, 27/4 + 1/4 = 7. g / √v: 1/3, -2 / √7.
        (FALLING, 0, [0, F(1, 6), 1 / 12 - 1 / root(7)]),
        (FALLING, 4, [0, F(1, 8), F(1, 16) - F(1, 4)]),
    ],
)
def test_adopt(gradients, eps, updates):
    adopt = ADOPT(lr=0.1, betas=(0.5, 0.75), eps=eps or 1e-6)
    np.testing.assert_allclose(thetas(adopt, gradients), walk(updates), rtol=1e-14)
