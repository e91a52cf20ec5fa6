"""Numbers in English words and in Chinese characters, and a Transformer that translates them."""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import accuracy_score
from torch import nn

from adam_tutorial.optimizers import Optimizer
from adam_tutorial.optimizers.base import integer
from adam_tutorial.torch_optimizer import TorchOptimizer
from adam_tutorial.training import build, steps

LARGEST = 99_999
"""The largest number that has a translation here."""

ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
DIGITS = "零一二三四五六七八九"
UNITS = ("", "十", "百", "千", "万")

# The first of each is what fills a row up; its number is 0.
WORDS = ("", *ONES, *TENS, "hundred", "thousand")
CHARACTERS = ("", "start", "end", *DIGITS, *UNITS[1:])
START, END = 1, 2
WORDS_MOST, CHARACTERS_MOST = 7, 9


def english(n: int) -> str:
    """Return a number in English words, in the American form without "and".

    Parameters
    ----------
    n : int
        From 0 to 99 999.

    Returns
    -------
    str
        The words, with a hyphen from 21 to 99 between the ten and the one.

    Raises
    ------
    ValueError
        If ``n`` is not an integer from 0 to 99 999.

    Examples
    --------
    >>> english(3005), english(45_116)
    ('three thousand five', 'forty-five thousand one hundred sixteen')
    """
    n = integer("n", n, most=LARGEST)
    if n >= 1000:
        rest = f" {english(n % 1000)}" if n % 1000 else ""
        return f"{english(n // 1000)} thousand{rest}"
    if n >= 100:
        rest = f" {english(n % 100)}" if n % 100 else ""
        return f"{ONES[n // 100]} hundred{rest}"
    if n >= 20:
        rest = f"-{ONES[n % 10]}" if n % 10 else ""
        return TENS[n // 10 - 2] + rest
    return ONES[n]


def chinese(n: int) -> str:
    """Return a number in Chinese characters.

    Each digit that is not zero stands before its unit: 十 for ten, 百 for a hundred, 千 for a
    thousand, 万 for ten thousand. Zeros between two other digits, however many, become one 零;
    zeros at the end are not written. From 10 to 19 the ten has no 一 before it. A two is always 二:
    the form 两, common in speech before 百, 千 and 万, is not used.

    Parameters
    ----------
    n : int
        From 0 to 99 999.

    Returns
    -------
    str
        The characters.

    Raises
    ------
    ValueError
        If ``n`` is not an integer from 0 to 99 999.

    Examples
    --------
    >>> chinese(3005), chinese(45_116), chinese(12), chinese(20_050)
    ('三千零五', '四万五千一百一十六', '十二', '二万零五十')
    """
    n = integer("n", n, most=LARGEST)
    if n < 20:
        return DIGITS[n] if n < 10 else "十" + (DIGITS[n - 10] if n > 10 else "")
    digits = str(n)
    out = ""
    for i, digit in enumerate(digits):
        if digit != "0":
            out += DIGITS[int(digit)] + UNITS[len(digits) - 1 - i]
        # One 零 for a gap, at its last zero, and only if another digit follows.
        elif digits[i + 1 : i + 2] not in ("", "0"):
            out += "零"
    return out


@dataclass(frozen=True)
class Numbers:
    """Numbers in three parts without a common one: to train on, to choose by, to report on.

    ``numbers`` makes it.

    Parameters
    ----------
    train, val, test : int64 arrays of shape (n,)
        The numbers. n differs between the parts.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray

    def __repr__(self) -> str:
        return f"Numbers({len(self.train)} train, {len(self.val)} val, {len(self.test)} test)"


def numbers(train: int = 4096, val: int = 512, test: int = 1024, seed: int = 0) -> Numbers:
    """Draw different numbers from 0 to 99 999 at random, and split them.

    Parameters
    ----------
    train, val, test : int, default 4096, 512 and 1024
        How many of each part.
    seed : int, default 0
        Decides which.

    Returns
    -------
    Numbers
        The three parts.

    Raises
    ------
    ValueError
        If a part is empty, or there are more than 100 000 numbers in all.

    Examples
    --------
    >>> numbers()
    Numbers(4096 train, 512 val, 1024 test)
    """
    for name, size in (("train", train), ("val", val), ("test", test)):
        integer(name, size, least=1)
    if train + val + test > LARGEST + 1:
        raise ValueError(f"train must leave room for the others, got {train!r}")
    drawn = np.random.default_rng(seed).permutation(LARGEST + 1)[: train + val + test]
    return Numbers(*np.split(drawn.astype(np.int64), [train, train + val]))


def words(text: str) -> list[str]:
    """Return the words of an English number: a hyphen parts two words as a space does.

    Examples
    --------
    >>> words("forty-five thousand one")
    ['forty', 'five', 'thousand', 'one']
    """
    return re.split(r"[ -]", text)


def encode_english(texts: Sequence[str]) -> torch.Tensor:
    """Return each text as a row of the numbers that its words have in ``WORDS``, filled with 0.

    Parameters
    ----------
    texts : sequence of str
        Each as from ``english``.

    Returns
    -------
    int64 tensor of shape (n, 7)
        The rows.

    Raises
    ------
    ValueError
        If a text has a word that no number has, or more than seven words.

    Examples
    --------
    >>> encode_english(["two hundred one"]).tolist()
    [[3, 29, 2, 0, 0, 0, 0]]
    """
    place = {word: i for i, word in enumerate(WORDS) if word}
    found = [_places(text, words(text), place, WORDS_MOST, "English words") for text in texts]
    return _filled(found, WORDS_MOST)


def encode_chinese(texts: Sequence[str]) -> torch.Tensor:
    """Return each text as a row of numbers: the start, its characters, the end, filled with 0.

    Parameters
    ----------
    texts : sequence of str
        Each as from ``chinese``.

    Returns
    -------
    int64 tensor of shape (n, 11)
        The rows. A number is a place in ``CHARACTERS``.

    Raises
    ------
    ValueError
        If a text has a character that no number has, or more than nine characters.

    Examples
    --------
    >>> encode_chinese(["二百"]).tolist()
    [[1, 5, 14, 2, 0, 0, 0, 0, 0, 0, 0]]
    """
    place = {character: i for i, character in enumerate(CHARACTERS) if i > END}
    found = [_places(text, text, place, CHARACTERS_MOST, "Chinese characters") for text in texts]
    return _filled([[START, *places, END] for places in found], CHARACTERS_MOST + 2)


def _places(text: str, parts: Sequence[str], place: dict, most: int, kind: str) -> list[int]:
    if len(parts) > most or any(part not in place for part in parts):
        raise ValueError(f"texts must be numbers in {kind}, got {text!r}")
    return [place[part] for part in parts]


def _filled(rows: list[list[int]], length: int) -> torch.Tensor:
    return torch.tensor([row + [0] * (length - len(row)) for row in rows], dtype=torch.int64)


class Translator(nn.Module):
    """A Transformer with an encoder, for the English words, and a decoder, for the characters.

    Embeddings of the words or characters and of their places; layers of attention with the
    normalisation first; a linear layer for the scores. There is no dropout.

    Parameters
    ----------
    width : int, default 32
        The length of the vector of a place; a multiple of ``heads``.
    heads : int, default 2
        The number of attention heads.
    layers : int, default 1
        The number of layers of the encoder, and of the decoder.

    Examples
    --------
    >>> sum(p.numel() for p in Translator().parameters())
    24145
    """

    def __init__(self, width: int = 32, heads: int = 2, layers: int = 1):
        super().__init__()
        kind = {"dropout": 0.0, "batch_first": True, "norm_first": True}
        self.words = nn.Embedding(len(WORDS), width)
        self.word_places = nn.Embedding(WORDS_MOST, width)
        self.encoder = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 2 * width, **kind) for _ in range(layers)
        )
        self.encoder_norm = nn.LayerNorm(width)
        self.characters = nn.Embedding(len(CHARACTERS), width)
        self.character_places = nn.Embedding(CHARACTERS_MOST + 1, width)
        self.decoder = nn.ModuleList(
            nn.TransformerDecoderLayer(width, heads, 2 * width, **kind) for _ in range(layers)
        )
        self.decoder_norm = nn.LayerNorm(width)
        self.scores = nn.Linear(width, len(CHARACTERS))

    def encode(self, source: torch.Tensor) -> torch.Tensor:
        """Map words by number, of shape (n, length), to vectors of shape (n, length, width)."""
        x = self.words(source) + self.word_places.weight[: source.shape[1]]
        for layer in self.encoder:
            x = layer(x, src_key_padding_mask=_padding(source, x.dtype))
        return self.encoder_norm(x)

    def decode(self, memory: torch.Tensor, source: torch.Tensor, target: torch.Tensor):
        """Return the scores of each next character, of shape (n, characters, length).

        A place of ``target`` sees itself and the places before it (the causal mask), and of the
        encoder's output, ``memory``, what is not filling (the padding mask).
        """
        length = target.shape[1]
        x = self.characters(target) + self.character_places.weight[:length]
        later = nn.Transformer.generate_square_subsequent_mask(length, dtype=x.dtype)
        filling = _padding(source, x.dtype)
        for layer in self.decoder:
            x = layer(
                x, memory, tgt_mask=later, tgt_is_causal=True, memory_key_padding_mask=filling
            )
        return self.scores(self.decoder_norm(x)).movedim(-1, 1)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the scores of each next character, given the words and all characters before."""
        return self.decode(self.encode(source), source, target)


def _padding(source: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    # As numbers to be added to the scores of attention, which is the form of the causal mask too.
    return torch.zeros(source.shape, dtype=dtype).masked_fill(source == 0, -torch.inf)


def loss(net: Translator, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of the next character, over all that is not filling.

    Parameters
    ----------
    net : Translator
        The network.
    source, target : int64 tensors
        As from ``encode_english`` and ``encode_chinese``.

    Returns
    -------
    tensor
        A number, with its gradient.
    """
    scores = net(source, target[:, :-1])
    return nn.functional.cross_entropy(scores, target[:, 1:], ignore_index=0)


@torch.no_grad()
def translate(net: Translator, texts: Sequence[str]) -> list[str]:
    """Translate, all texts at once: at each place the character with the highest score is taken.

    Parameters
    ----------
    net : Translator
        The network.
    texts : sequence of str
        Numbers as from ``english``.

    Returns
    -------
    list of str
        What the network wrote before its first end sign, at most ten characters of each. Where it
        wrote a start sign or filling, there is a question mark.
    """
    source = encode_english(texts)
    memory = net.encode(source)
    target = torch.full((len(texts), 1), START)
    for _ in range(CHARACTERS_MOST + 1):
        guess = net.decode(memory, source, target)[:, :, -1].argmax(dim=1)
        target = torch.cat([target, guess[:, None]], dim=1)
    rows = [row[1:] for row in target.tolist()]
    rows = [row[: row.index(END)] if END in row else row for row in rows]
    return ["".join(CHARACTERS[i] if i > END else "?" for i in row) for row in rows]


def exact_match(net: Translator, ns: Sequence[int]) -> float:
    """Return the part of the numbers whose translation is right in every character.

    Parameters
    ----------
    net : Translator
        The network.
    ns : sequence of ints
        The numbers.

    Returns
    -------
    float
        From 0 to 1.
    """
    guesses = translate(net, [english(n) for n in ns])
    return float(accuracy_score([chinese(n) for n in ns], guesses))


@torch.no_grad()
def attention(net: Translator, n: int) -> torch.Tensor:
    """Return where the decoder looks when it writes a number: the cross-attention.

    Parameters
    ----------
    net : Translator
        The network; its last layer is asked.
    n : int
        The number. The decoder is given its right translation.

    Returns
    -------
    tensor of shape (heads, characters + 1, words)
        The weights; each row has the sum 1. The last row is that of the end sign.
    """
    text = chinese(n)
    source, target = encode_english([english(n)]), encode_chinese([text])[:, : len(text) + 1]
    layer, found = net.decoder[-1].multihead_attn, []

    # PyTorch's layer does not ask for the weights: a hook asks in its place.
    def ask(module, args, kwargs):
        return args, {**kwargs, "need_weights": True, "average_attn_weights": False}

    hooks = [
        layer.register_forward_pre_hook(ask, with_kwargs=True),
        layer.register_forward_hook(lambda module, args, output: found.append(output[1])),
    ]
    try:
        net(source, target)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0][0, :, :, : len(words(english(n)))]


def warmup_inverse_sqrt(warmup: int, count: int) -> Callable[[float], float]:
    r"""Return a schedule: up in a straight line, then down with the root of the step.

    .. math::

        \eta_t = \min\left(\frac{t}{w}, \sqrt{\frac{w}{t}}\right)

    with the step :math:`t`, from 1, and the length :math:`w` of the warm-up in steps. The factor is
    1 at step :math:`w`. The paper on the Transformer writes the learning rate itself, as
    :math:`d^{-1/2} \min(t^{-1/2}, t\, w^{-3/2})` with the width :math:`d` of the network, which is
    this factor times the peak :math:`(d\,w)^{-1/2}`. Here the peak is ``lr``, and free to be tuned.

    Parameters
    ----------
    warmup : int
        :math:`w`, at least 1. With 1 there is no warm-up.
    count : int
        The steps of the whole training.

    Returns
    -------
    callable
        From the part of the training that is done, from 0 to 1, to the factor of the next step.

    Raises
    ------
    ValueError
        If ``warmup`` or ``count`` is below 1.

    References
    ----------
    Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 5.3.

    Examples
    --------
    >>> schedule = warmup_inverse_sqrt(warmup=4, count=100)
    >>> [schedule(t / 100) for t in (0, 1, 3, 15)]
    [0.25, 0.5, 1.0, 0.5]
    """
    for name, value in (("warmup", warmup), ("count", count)):
        integer(name, value, least=1)
    return functools.partial(_factor, warmup=warmup, count=count)


def _factor(done: float, warmup: int, count: int) -> float:
    t = round(done * count) + 1
    return min(t / warmup, (warmup / t) ** 0.5)


@dataclass(frozen=True)
class Translation:
    """The task of the study: train a ``Translator``; results are as of ``study.Training``.

    Parameters
    ----------
    count : int, default 300
        The steps.
    warmup : int, default 30
        The steps of the warm-up, in the schedule of ``warmup_inverse_sqrt``.
    cold : bool, default False
        Without warm-up: the factor is 1 where it would have been rising, and then falls the same.
    batch_size : int, default 64
        Numbers in a batch.
    """

    count: int = 300
    warmup: int = 30
    cold: bool = False
    batch_size: int = 64

    def steppable(self, name: str) -> bool:
        """Return whether the optimizer of this name can take part (bool)."""
        return name != "Muon"

    def schedule(self, done: float) -> float:
        """Return the factor on the learning rate, from the part of the training that is done."""
        factor = _factor(done, self.warmup, self.count)
        rising = round(done * self.count) < self.warmup
        return 1.0 if self.cold and rising else factor

    def train(
        self,
        optimizer: Optimizer | Callable[[nn.Module], list[TorchOptimizer]],
        seed: int,
        scale: float = 1.0,
    ) -> Translator:
        """Train a network and return it.

        Parameters
        ----------
        optimizer : Optimizer, or callable
            As for ``training.fit``.
        seed : int
            Decides the initial weights and the batches.
        scale : float, default 1
            Factor on the initial weights.

        Returns
        -------
        Translator
            The network after the last step.
        """
        source, target = _batches("train")
        net = build(Translator, seed=seed, scale=scale)
        draw = torch.Generator().manual_seed(seed)

        def batch_loss(step):
            batch = torch.randint(len(source), (self.batch_size,), generator=draw)
            return loss(net, source[batch], target[batch])

        for _ in steps(net, optimizer, batch_loss, self.count, schedule=self.schedule):
            pass
        return net

    def evaluate(self, net: Translator) -> dict[str, float]:
        """Return the validation loss of a network and its exact match on the test numbers.

        Parameters
        ----------
        net : Translator
            The network.

        Returns
        -------
        dict
            ``loss``, infinity for what is not finite, and then no ``accuracy``, which is NaN;
            else ``accuracy`` from 0 to 1.
        """
        with torch.no_grad():
            found = loss(net, *_batches("val")).item()
        if not np.isfinite(found):
            return {"loss": np.inf, "accuracy": np.nan}
        return {"loss": found, "accuracy": exact_match(net, numbers().test)}

    def run(self, optimizer: Optimizer, seed: int) -> dict[str, float]:
        """Train, and return what ``evaluate`` gives."""
        return self.evaluate(self.train(optimizer, seed))


@functools.cache
def _batches(part: str) -> tuple[torch.Tensor, torch.Tensor]:
    ns = getattr(numbers(), part)
    return encode_english([english(n) for n in ns]), encode_chinese([chinese(n) for n in ns])
