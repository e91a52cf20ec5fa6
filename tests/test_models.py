import pytest
import torch
from torch import nn

from adam_tutorial import models

SETTINGS = [
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3},
    {"kernel_size": 2, "stride": 3, "padding": 2},
    {"kernel_size": 1},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_convolution_is_that_of_torch(settings):
    torch.manual_seed(0)
    ours = models.Convolution(2, 3, **settings).double()
    torch.manual_seed(0)
    theirs = nn.Conv2d(2, 3, **settings).double()
    images = torch.randn(4, 2, 7, 9, dtype=torch.float64, requires_grad=True)
    found, expected = ours(images), theirs(images)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(expected)
    found = torch.autograd.grad((found * weights).sum(), [images, *ours.parameters()])
    expected = torch.autograd.grad((expected * weights).sum(), [images, *theirs.parameters()])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
