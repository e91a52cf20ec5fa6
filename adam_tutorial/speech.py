"""Synthetic spoken words: vowels from formants, with noise, as spectrograms."""

import numpy as np
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from adam_tutorial.datasets import Dataset
from adam_tutorial.optimizers.base import integer

RATE = 8000
"""Samples in a second."""

SAMPLES = 4000
"""Samples in a signal: half a second."""

BANDS = FRAMES = 16
"""Height and width of a spectrogram."""

VOWELS = {
    "i": (270, 2290, 3010),
    "ɪ": (390, 1990, 2550),
    "ɛ": (530, 1840, 2480),
    "æ": (660, 1720, 2410),
    "ɑ": (730, 1090, 2440),
    "ʊ": (440, 1020, 2240),
    "u": (300, 870, 2240),
    "ɝ": (490, 1350, 1690),
}
"""The first three formants of a vowel in hertz: Peterson and Barney's averages over 33 men."""

WORDS = ("iɑ", "ɑi", "ɪɑ", "ɑɪ", "uæ", "æu", "ʊæ", "æʊ", "ɛɝ", "ɝɛ")
"""The words. Each vowel is one letter; each word stands next to the same one backwards."""

BANDWIDTHS = (100.0, 60.0, 90.0, 120.0)
"""Width in hertz of the resonances: that of the voice at 0 hertz, and the three formants."""


def spoken(count: int = 1500, seed: int = 0, snr: float = 0.0) -> Dataset:
    """Return spectrograms of synthetic spoken words, to be told apart.

    Each word occurs equally often, or once more than another. Pitch, speaker, speed and noise of a
    signal are drawn anew, so that no two parts share a speaker.

    Parameters
    ----------
    count : int, default 1500
        How many signals, at least 30. A third each is to train on, to choose by and to report on;
        one or two that are left over are to train on.
    seed : int, default 0
        Decides all that is random.
    snr : float, default 0
        Power of the voice over that of the noise, in decibels; infinity for no noise.

    Returns
    -------
    Dataset
        The examples are the images of ``spectrogram``, shifted and scaled so that the training part
        has mean 0 and standard deviation 1. The classes are the places in ``WORDS``.

    Raises
    ------
    ValueError
        If ``count`` is not an integer of at least 30, or ``snr`` is not a number.

    Examples
    --------
    >>> spoken(60)
    Dataset(spoken: 20 train, 20 val, 20 test; images (1, 16, 16))
    """
    integer("count", count, least=30)
    y = np.arange(count) % len(WORDS)
    x = spectrogram(synthesize(y, seed, snr))
    test = count // 3
    train = count - 2 * test
    x = (x - x[:train].mean()) / x[:train].std()
    parts = (slice(train), slice(train, train + test), slice(train + test, None))
    return Dataset("spoken", *(array for part in parts for array in (x[part], y[part])))


def synthesize(words: np.ndarray, seed: int = 0, snr: float = 0.0) -> np.ndarray:
    """Return a synthetic signal for each word, by source and filter.

    The source is a train of pulses, as from the vocal cords, at a pitch from 90 to 220 hertz that
    falls by 20 %. It goes through resonators in a row, one for each formant. A formant glides
    from its value in the first vowel to that in the second. A speaker multiplies all formants by
    one factor, from 0.9 to 1.2, and each formant of each vowel is off by about 5 % besides. A word
    lasts from 0.3 to 0.45 s and starts at a random time. White noise comes last.

    Parameters
    ----------
    words : int array of shape (n,)
        Places in ``WORDS``.
    seed : int, default 0
        Decides all that is random.
    snr : float, default 0
        Mean power of the voice in the signal over that of the noise, in decibels; infinity for no
        noise.

    Returns
    -------
    array of shape (n, SAMPLES)
        The signals, each with a voice of mean power 1.

    Raises
    ------
    ValueError
        If ``words`` is not a list of at least one place in ``WORDS``, or ``snr`` is not a number.

    References
    ----------
    Peterson and Barney, "Control Methods Used in a Study of the Vowels", Journal of the Acoustical
    Society of America, 1952; Klatt, "Software for a Cascade/Parallel Formant Synthesizer", Journal
    of the Acoustical Society of America, 1980.

    Examples
    --------
    >>> synthesize([0, 1, 2]).shape
    (3, 4000)
    """
    words = np.asarray(words)
    in_range = words.ndim == 1 and words.size and words.dtype.kind in "iu"
    if not in_range or words.min() < 0 or words.max() >= len(WORDS):
        raise ValueError(f"words must be integers from 0 to {len(WORDS) - 1}, got {words!r}")
    if np.isnan(snr) or snr == -np.inf:
        raise ValueError(f"snr must be a number of decibels, got {snr!r}")
    rng = np.random.default_rng(seed)
    n = len(words)
    time = np.arange(SAMPLES)[:, None] / RATE
    length = rng.uniform(0.3, 0.45, n)
    start = rng.uniform(0.0, 0.5 - length)
    # From 0 at the start of a word to 1 at its end; one column for each signal, here and below.
    done = np.clip((time - start) / length, 0, 1)

    pitch = 90 * (220 / 90) ** rng.random(n) * (1 - 0.2 * done)
    turns = rng.random(n) + np.cumsum(pitch, axis=0) / RATE
    pulses = np.diff(np.floor(turns), axis=0, prepend=np.floor(turns[:1]))
    loudness = np.clip(10 * np.minimum(done, 1 - done), 0, 1)
    speaker = rng.uniform(0.9, 1.2, n)
    ends = np.array([[VOWELS[vowel] for vowel in WORDS[word]] for word in words])
    ends = ends * speaker[:, None, None] * np.exp(0.05 * rng.standard_normal(ends.shape))
    # In the middle fifth of the word the mouth moves.
    glide = np.clip((done - 0.4) / 0.2, 0, 1)
    voice = _resonate(pulses * loudness, np.zeros_like(done), BANDWIDTHS[0])
    voice = np.diff(voice, axis=0, prepend=0)  # what the lips radiate
    for formant, bandwidth in enumerate(BANDWIDTHS[1:]):
        first, second = ends[:, :, formant].T
        voice = _resonate(voice, first + glide * (second - first), bandwidth)
    voice /= np.sqrt((voice**2).mean(axis=0))
    noise = 10 ** (-snr / 20) * rng.standard_normal((n, SAMPLES))
    return voice.T + noise


def _resonate(x: np.ndarray, frequency: np.ndarray, bandwidth: float) -> np.ndarray:
    """Filter the columns with a resonance of two poles, whose frequency may change with time."""
    radius = np.exp(-np.pi * bandwidth / RATE)
    c = -(radius**2)
    b = 2 * radius * np.cos(2 * np.pi / RATE * frequency)
    y = x * (1 - b - c)  # so that the gain at 0 hertz is 1
    work = np.empty_like(y[0])
    y[1] += b[1] * y[0]
    for i in range(2, len(y)):
        y[i] += np.multiply(b[i], y[i - 1], out=work)
        y[i] += np.multiply(c, y[i - 2], out=work)
    return y


def spectrogram(signals: np.ndarray) -> np.ndarray:
    """Return the logarithm of the power in bands of frequency, over time.

    Parameters
    ----------
    signals : array of shape (n, SAMPLES)
        Such as from ``synthesize``.

    Returns
    -------
    array of shape (n, 1, BANDS, FRAMES)
        In decibels. Row 0 is the lowest band; all bands are 250 hertz wide. A column is the mean
        power over four windows of 32 ms, a quarter of the way of a column apart; at least -60 dB of
        the loudest cell of the signal.

    Raises
    ------
    ValueError
        If the shape of ``signals`` is another.

    Examples
    --------
    >>> spectrogram(synthesize([0])).shape
    (1, 1, 16, 16)
    """
    signals = np.asarray(signals, dtype=np.float64)
    if signals.ndim != 2 or signals.shape[1] != SAMPLES:
        raise ValueError(f"signals must have the shape (n, {SAMPLES}), got {signals.shape}")
    hop = SAMPLES // (4 * FRAMES)
    transform = ShortTimeFFT(hann(256, sym=False), hop=hop, fs=RATE)
    power = transform.spectrogram(signals, p0=0, p1=4 * FRAMES)[:, 1:]
    power = power.reshape(len(signals), BANDS, -1, FRAMES, 4).mean(axis=(2, 4))
    loudest = power.max(axis=(1, 2), keepdims=True)
    return 10 * np.log10(np.maximum(power, 1e-6 * loudest))[:, None]
