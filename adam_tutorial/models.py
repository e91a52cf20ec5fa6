"""The small networks of the applications."""

from torch import nn


def dense(pixels: int = 64, classes: int = 10) -> nn.Sequential:
    """Return the network of the source article: one hidden layer of 64 ReLU units."""
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 64), nn.ReLU(), nn.Linear(64, classes))


def small_cnn(size: int = 8, classes: int = 10) -> nn.Sequential:
    """Return two convolutions of stride 2 and a linear layer, for square images of one channel.

    Strides do the work of pooling: each convolution halves the sides of the image.
    """
    if size < 4 or size % 4:
        raise ValueError(f"size must be a multiple of 4, got {size!r}")
    return nn.Sequential(
        nn.Conv2d(1, 8, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * (size // 4) ** 2, classes),
    )
