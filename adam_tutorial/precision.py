"""Rounding to bfloat16 that is right on average."""

import torch

LOW = 2**16
"""A float32 is a bfloat16 followed by 16 further bits."""


def stochastic_round(x: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    r"""Round float32 at random to one of the two neighbours in bfloat16, right on average.

    If x lies the part p of the way from the neighbour next to 0 to the other, it becomes the other
    with probability p:

    .. math::

        \operatorname{E}[\operatorname{round}(x)] = (1 - p)\, \text{near} + p\, \text{far} = x .

    A bfloat16 is the upper half of a float32. So a random integer is added to the lower 16 bits,
    and these are cut off: the carry makes the step to the other neighbour, in exactly as many of
    the :math:`2^{16}` cases as the lower bits say. What is a bfloat16 already stays.

    Parameters
    ----------
    x : tensor of float32
        What to round.
    generator : torch.Generator, optional
        Where the random numbers come from; by default from torch's global generator.

    Returns
    -------
    tensor of bfloat16, of the shape of x
        The rounded numbers. Infinity and NaN stay what they are. Beyond the largest bfloat16, about
        3.39e38, the other neighbour is infinity.

    Raises
    ------
    ValueError
        If ``x`` is not a tensor of float32.

    References
    ----------
    Gupta, Agrawal, Gopalakrishnan and Narayanan, "Deep Learning with Limited Numerical Precision",
    ICML 2015; Zamirai, Zhang, Aberger and De Sa, "Revisiting BFloat16 Training", 2020.

    Examples
    --------
    Neighbours of 1.001 are 1 and 1.0078125; the second is taken in 12.8 % of the cases.

    >>> x = torch.full((100_000,), 1.001, dtype=torch.float32)
    >>> rounded = stochastic_round(x, torch.Generator().manual_seed(0)).to(torch.float64)
    >>> rounded.unique().tolist(), round(rounded.mean().item(), 4)
    ([1.0, 1.0078125], 1.001)
    """
    if not isinstance(x, torch.Tensor) or x.dtype != torch.float32:
        raise ValueError(f"x must be a tensor of float32, got {getattr(x, 'dtype', x)!r}")
    noise = torch.randint(LOW, x.shape, generator=generator, dtype=torch.int32, device=x.device)
    return _round_up_by(x, noise)


def _round_up_by(x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Add the noise to the bits, cut off the lower half, and take the rest as bfloat16."""
    # In NaN a carry could run into the sign; infinity has no low bits.
    up = ((x.detach().view(torch.int32) + noise) & -LOW).view(torch.float32)
    return torch.where(x.isfinite(), up, x).to(torch.bfloat16)
