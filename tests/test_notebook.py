"""The digest of a figure: it must change with what is plotted, and with nothing else."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from adam_tutorial.notebook import digest

X = np.linspace(0.0, 1.0, 50)


def figure(draw):
    fig, ax = plt.subplots()
    draw(ax)
    plt.close(fig)
    return digest(fig)


def changed(values, index, factor):
    values = np.array(values)
    values[index] *= factor
    return values


KINDS = {
    "line": lambda ax, y: ax.plot(X, y),
    "line on logarithmic axes": lambda ax, y: ax.loglog(X, y),
    "points": lambda ax, y: ax.scatter(X, y),
    "band": lambda ax, y: ax.fill_between(X, 0 * y, y),
    "bars": lambda ax, y: ax.bar(np.arange(50), y),
    "image": lambda ax, y: ax.imshow(y.reshape(5, 10)),
    "level lines": lambda ax, y: ax.contour(np.outer(y, X + 1)),
}


@pytest.mark.parametrize("draw", KINDS.values(), ids=KINDS)
def test_a_change_in_the_fourth_digit_of_one_value_shows(draw):
    y = np.sin(X) + 1.5
    before = figure(lambda ax: draw(ax, y))
    assert before == figure(lambda ax: draw(ax, y))
    assert before != figure(lambda ax: draw(ax, changed(y, 20, 1.001)))


@pytest.mark.parametrize("draw", KINDS.values(), ids=KINDS)
def test_a_change_in_the_last_bits_does_not_show(draw):
    y = np.sin(X) + 1.5
    noise = 1 + 1e-14 * np.random.default_rng(0).standard_normal(50)
    assert figure(lambda ax: draw(ax, y)) == figure(lambda ax: draw(ax, y * noise))


def test_sums_that_should_be_zero_count_as_zero():
    zero = lambda size: figure(lambda ax: ax.plot([1.0, size, 2.0]))  # noqa: E731
    assert zero(1e-17) == zero(-3e-16) == zero(0.0)


def test_values_on_the_border_of_rounding_do_not_flip():
    # 1.2345 is either side of the border between 1.234 and 1.235 by a rounding error.
    low, high = np.nextafter(1.2345, [0, 2])
    assert figure(lambda ax: ax.plot([low, 2])) == figure(lambda ax: ax.plot([high, 2]))


def test_labels_and_texts_show():
    def draw(ax, title="loss", text="best"):
        ax.plot(X, X, label="Adam")
        ax.set(xlabel="step", ylabel="value", title=title)
        ax.text(0, 0, text)

    lines = figure(draw).splitlines()
    assert lines[0] == "axes 0: loss | step | value"
    assert lines[1].startswith("  line Adam, 50: 0 to 1, in 0 to 1; #")
    assert lines[2] == "  text 'best'"
    assert figure(draw) != figure(lambda ax: draw(ax, text="worst"))


def test_missing_values_are_allowed():
    assert "2: 1 to 1" in figure(lambda ax: ax.plot([1.0, np.nan], [1.0, np.nan]))
    assert "line, 0: #" in figure(lambda ax: ax.plot([], []))
