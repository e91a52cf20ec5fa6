"""Stochastic rounding takes the right neighbour as often as it should."""

import numpy as np
import pytest
import torch

from adam_tutorial.precision import LOW, _round_up_by, stochastic_round


@pytest.mark.parametrize("value", [1.001, -1.001, 3.14159, -2e-30, 1e-40, 255.9])
def test_the_mean_over_all_noise_is_the_number_itself(value):
    x = torch.full((LOW,), value, dtype=torch.float32)
    rounded = _round_up_by(x, torch.arange(LOW, dtype=torch.int32))
    exact = rounded.to(torch.float64).mean().item()
    # The mean of 2^16 numbers of 8 bits: every sum on the way is exact in float64.
    assert exact == x[0].item()
    assert len(rounded.unique()) == 2


def test_what_is_bfloat16_already_stays():
    special = [0.0, -0.0, 1.0, -1.5, torch.inf, -torch.inf, 2.0**-126, 3.0 * 2.0**-133]
    x = torch.tensor(special, dtype=torch.float32).repeat_interleave(100)
    rounded = stochastic_round(x)
    assert rounded.dtype == torch.bfloat16
    assert torch.equal(rounded.float(), x)
    bits = rounded.view(torch.int16)
    assert torch.equal(bits, x.to(torch.bfloat16).view(torch.int16))  # the sign of 0 too


def test_nan_stays_nan_whatever_its_bits():
    bits = torch.tensor([0x7FC00000, 0x7FFFFFFF, -1, 0x7F800001], dtype=torch.int32)
    x = bits.view(torch.float32).repeat_interleave(50)
    assert stochastic_round(x).isnan().all()


def test_a_generator_makes_it_repeatable():
    x = torch.tensor(np.random.default_rng(0).standard_normal((7, 9)), dtype=torch.float32)
    first, again = (stochastic_round(x, torch.Generator().manual_seed(3)) for _ in range(2))
    other = stochastic_round(x, torch.Generator().manual_seed(4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == x.shape


def test_it_goes_to_one_of_the_two_neighbours():
    x = torch.tensor(np.random.default_rng(1).standard_normal(10_000), dtype=torch.float32)
    rounded = stochastic_round(x, torch.Generator().manual_seed(0)).float()
    spacing = 2.0 ** (torch.floor(torch.log2(x.abs())) - 7)
    assert ((rounded - x).abs() < spacing).all()
    # The errors have mean 0, also away from 0; their variance is at most a quarter of the squared
    # spacing, and there are 100² of them.
    z = ((rounded.abs() - x.abs()) / spacing).double().mean().item() * 100
    assert abs(z) < 5 * 0.5


@pytest.mark.parametrize("x", [torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=int), 1.0])
def test_bad_input(x):
    with pytest.raises(ValueError, match="x must be a tensor of float32, got"):
        stochastic_round(x)
