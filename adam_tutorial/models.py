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
        stack = images.transpose(0, 1).reshape(1, channels * batch, rows, columns)
        patches = nn.functional.unfold(stack, kernel, padding=padding, stride=stride)
        # One column for each patch of the batch, so that one product serves all images.
        patches = patches.view(channels, batch, kernel[0] * kernel[1], -1).transpose(1, 2)
        patches = patches.reshape(channels * kernel[0] * kernel[1], -1)
        out = self.weight.flatten(1) @ patches + self.bias[:, None]
        return out.view(len(out), batch, height, -1).transpose(0, 1)


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


def linear(pixels: int = 64, classes: int = 10) -> nn.Sequential:
    """Return logistic regression: one linear layer, whose loss is convex in its parameters.

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
    >>> sum(p.numel() for p in linear().parameters())
    650
    """
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes))


def bag_of_words(words: int = 800, width: int = 32, classes: int = 6) -> nn.Sequential:
    """Return the mean of the embeddings of a text's words, a hidden layer and an output layer.

    Parameters
    ----------
    words : int, default 800
        The number of words that the network knows.
    width : int, default 32
        The length of an embedding, and the number of hidden units.
    classes : int, default 6
        The number of classes.

    Returns
    -------
    torch.nn.Sequential
        From shares of the words in a text, of shape ``(n, words)``, to scores (logits), of shape
        ``(n, classes)``. The first layer times the shares is the mean of the embeddings.

    Examples
    --------
    >>> sum(p.numel() for p in bag_of_words().parameters())
    26854
    """
    return nn.Sequential(
        nn.Linear(words, width, bias=False),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, classes),
    )


class Transformer(nn.Module):
    """A small Transformer that guesses at each place of a text what comes next.

    Embeddings of the characters and of the places, layers of causal self-attention with the
    normalisation first, and a linear layer for the scores.

    Parameters
    ----------
    characters : int, default 27
        The number of different characters.
    length : int, default 32
        The most characters in a text.
    width : int, default 32
        The length of the vector of a place; a multiple of ``heads``.
    heads : int, default 2
        The number of attention heads.
    layers : int, default 2
        The number of layers.

    Examples
    --------
    >>> sum(p.numel() for p in Transformer().parameters())
    19931
    """

    def __init__(self, characters=27, length=32, width=32, heads=2, layers=2):
        super().__init__()
        self.characters = nn.Embedding(characters, width)
        self.places = nn.Embedding(length, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.scores = nn.Linear(width, characters)

    def forward(self, texts: torch.Tensor) -> torch.Tensor:
        """Map characters by number, of shape (n, length), to scores of (n, characters, length)."""
        length = texts.shape[1]
        x = self.characters(texts) + self.places.weight[:length]
        later = nn.Transformer.generate_square_subsequent_mask(length, dtype=x.dtype)
        for layer in self.layers:
            x = layer(x, src_mask=later, is_causal=True)
        return self.scores(self.norm(x)).movedim(-1, 1)
