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


def test_the_transformer_does_not_look_ahead():
    torch.manual_seed(0)
    net = models.Transformer(characters=5, length=6, width=8).double().eval()
    texts = torch.randint(5, (3, 6))
    changed = texts.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 5
    one, two = net(texts), net(changed)
    assert one.shape == (3, 5, 6)
    torch.testing.assert_close(one[..., :4], two[..., :4], rtol=0, atol=0)
    assert (one[..., 4:] != two[..., 4:]).all()


def test_a_bag_of_words_takes_the_mean_of_embeddings():
    torch.manual_seed(0)
    net = models.bag_of_words(words=7, width=4, classes=3).double()
    words = torch.tensor([[1, 5, 5, 2]])
    shares = nn.functional.one_hot(words, 7).double().mean(dim=1)
    bag = nn.EmbeddingBag.from_pretrained(net[0].weight.detach().T, mode="mean")
    torch.testing.assert_close(net(shares), net[1:](bag(words)))
