"""Schedules give each step the factor that their formula says."""

import math

import numpy as np
import pytest
import torch

from adam_tutorial import Adam, models, training
from adam_tutorial.schedules import cosine, linear_decay, stable_decay, warmed_up


def test_cosine_is_that_of_torch():
    p = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([p], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for step in range(50):
        assert math.isclose(cosine(step / 50), optimizer.param_groups[0]["lr"], abs_tol=1e-12)
        optimizer.step()
        theirs.step()


def test_stable_decay_stays_then_falls():
    factors = [stable_decay(step / 100, decay=0.3) for step in range(101)]
    assert factors[:71] == pytest.approx(71 * [1.0])
    assert np.diff(factors[70:]) == pytest.approx(30 * [-1 / 30])
    assert factors[-1] == 0


@pytest.mark.parametrize("done", [0.0, 0.3, 0.99, 1.0])
def test_stable_decay_without_a_stable_part_is_linear_decay(done):
    assert stable_decay(done, decay=1.0) == linear_decay(done)


@pytest.mark.parametrize("decay", [0.0, -0.1, 1.1, math.nan])
def test_bad_decay(decay):
    with pytest.raises(ValueError, match="decay must be above 0 and at most 1, got"):
        stable_decay(0.5, decay=decay)


@pytest.mark.parametrize("count", [7, 30, 49, 600])
@pytest.mark.parametrize("warmup", [0, 1, 3, 6])
def test_every_step_of_a_warm_up(warmup, count):
    factor = warmed_up(linear_decay, warmup, count)
    got = [factor((step - 1) / count) for step in range(1, count + 1)]
    assert got[:warmup] == pytest.approx([k / warmup for k in range(1, warmup + 1)])
    rest = count - warmup
    assert got[warmup:] == pytest.approx([1 - k / rest for k in range(rest)])


def test_a_training_steps_by_the_factors():
    """On a constant gradient each step of Adam is as long as the learning rate."""
    net = training.build(models.linear)
    weight = net[1].weight
    factor = warmed_up(cosine, 5, 20)
    places = [weight[0, 0].item()]
    adam = Adam(lr=0.01, eps=1e-300)
    for _ in training.steps(net, adam, lambda step: weight.sum(), 20, schedule=factor):
        places.append(weight[0, 0].item())
    asked = [0.01 * factor(step / 20) for step in range(20)]
    np.testing.assert_allclose(-np.diff(places), asked, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("warmup", "count", "name"), [(-1, 9, "warmup"), (9, 9, "warmup"), (1.5, 9, "warmup")]
)
def test_bad_warmup(warmup, count, name):
    with pytest.raises(ValueError, match=f"{name} must be"):
        warmed_up(cosine, warmup, count)


@pytest.mark.parametrize("count", [0, 2.5])
def test_bad_count(count):
    with pytest.raises(ValueError, match="count must be"):
        warmed_up(cosine, 0, count)
