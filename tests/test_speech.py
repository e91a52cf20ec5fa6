import re

import numpy as np
import pytest
from scipy.signal import lfilter

from adam_tutorial import speech


def test_the_parts_are_of_equal_size_and_hold_every_word():
    data = speech.spoken(300, seed=1)
    assert data.x_train.shape == data.x_val.shape == data.x_test.shape == (100, 1, 16, 16)
    for part in (data.y_train, data.y_val, data.y_test):
        np.testing.assert_array_equal(np.bincount(part), 10)
    assert data.x_train.mean() == pytest.approx(0, abs=1e-12)
    assert data.x_train.std() == pytest.approx(1)
    # Each example is new: no two parts have a signal in common.
    everything = np.concatenate([data.x_train, data.x_val, data.x_test]).reshape(300, -1)
    assert len(np.unique(everything, axis=0)) == 300


def test_the_seed_decides():
    one, same, other = (speech.synthesize([0, 5], seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert abs(one - other).max() > 0.1


@pytest.mark.parametrize("snr", [-10.0, 0.0, 10.0])
def test_noise_has_the_power_that_was_asked_for(snr):
    clean = speech.synthesize(np.arange(10), snr=np.inf)
    noise = speech.synthesize(np.arange(10), snr=snr) - clean
    np.testing.assert_allclose((clean**2).mean(axis=1), 1)
    # The mean of 40 000 squares of normal numbers: four standard errors.
    expected = 10 ** (-snr / 10)
    assert (noise**2).mean() == pytest.approx(expected, rel=4 * np.sqrt(2 / 40_000))


def test_a_constant_resonance_is_the_filter_of_scipy():
    x = np.random.default_rng(0).standard_normal((200, 3))
    frequency, bandwidth = 700.0, 60.0
    pole = np.exp((-np.pi * bandwidth + 2j * np.pi * frequency) / speech.RATE)
    a = np.poly([pole, pole.conjugate()]).real
    expected = lfilter([a.sum()], a, x, axis=0)
    found = speech._resonate(x, np.full_like(x, frequency), bandwidth)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("word", range(10))
def test_a_word_begins_and_ends_with_its_vowels(word):
    n = 100
    images = speech.spectrogram(speech.synthesize([word] * n, snr=np.inf))[:, 0]
    power = 10 ** (images / 10)
    power /= power.sum(axis=(1, 2), keepdims=True)
    profile = power.mean(axis=0)
    frequency = 125 + 250 * np.arange(16)
    # Where the power below 1.5 kHz lies tells a low first formant from a high one.
    low = profile[:6]
    centre = (low * frequency[:6, None]).sum(axis=0) / low.sum(axis=0)
    first, last = (speech.VOWELS[vowel][0] for vowel in speech.WORDS[word])
    if abs(first - last) > 100:
        assert (centre[4] > centre[11]) == (first > last)


def test_a_pure_tone_lies_in_its_band():
    time = np.arange(speech.SAMPLES) / speech.RATE
    tones = np.sin(2 * np.pi * np.array([[250.0], [375.0], [3125.0]]) * time)
    images = speech.spectrogram(tones)
    np.testing.assert_array_equal(
        images[:, 0].argmax(axis=1)[:, 2:-2], [[0] * 12, [1] * 12, [12] * 12]
    )


def test_a_click_lies_in_its_frame():
    clicks = np.zeros((1, speech.SAMPLES))
    clicks[0, 10 * 250 + 60] = 1
    assert speech.spectrogram(clicks)[0, 0].sum(axis=0).argmax() == 10


@pytest.mark.parametrize("count", [0, 29, True, 100.0])
def test_a_bad_count(count):
    with pytest.raises(ValueError, match=rf"^count must be .*got {count}$"):
        speech.spoken(count)


@pytest.mark.parametrize("snr", [np.nan, -np.inf])
def test_a_bad_snr(snr):
    with pytest.raises(ValueError, match=f"^snr must be .*got {snr}$"):
        speech.spoken(30, snr=snr)


@pytest.mark.parametrize("words", [[], [10], [-1], [0.5], [[1]]])
def test_bad_words(words):
    with pytest.raises(ValueError, match=r"^words must be integers from 0 to 9, got array"):
        speech.synthesize(words)


def test_signals_of_another_length():
    with pytest.raises(ValueError, match=re.escape("must have the shape (n, 4000), got (2, 5)")):
        speech.spectrogram(np.zeros((2, 5)))
