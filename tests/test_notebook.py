"""The digest of a figure: it must change with what is plotted, and with nothing else."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

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
    "colours of points": lambda ax, y: ax.scatter(X, X, c=y),
    "heat map": lambda ax, y: ax.pcolormesh(y.reshape(5, 10)),
    "arrows": lambda ax, y: ax.quiver(X, X, y, y),
    "tiny values on a logarithmic axis": lambda ax, y: ax.semilogy(X, [1, *(1e-12 * y[1:])]),
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
    assert lines[0] == "axes 0: loss | step | value | linear | linear"
    assert lines[1].startswith("  line Adam, 50: 0 to 1, in 0 to 1; #")
    assert lines[2] == "  text 'best' at 0, 0"
    assert figure(draw) != figure(lambda ax: draw(ax, text="worst"))


def test_missing_values_are_allowed_and_their_place_shows():
    line = lambda *y: figure(lambda ax: ax.plot(y))  # noqa: E731
    assert "3: 0 to 2, in 0 to 2; " in line(1.0, np.nan, 1.0)
    assert len({line(1.0, np.nan, 1.0), line(1.0, 1.0, np.nan), line(1.0, np.inf, 1.0)}) == 3
    assert "line, 0: #" in figure(lambda ax: ax.plot([], []))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda ax: ax.scatter([1.0], [2.0]), lambda ax: ax.scatter([1.0], [2.001])),
        (lambda ax: ax.set_yscale("log"), lambda ax: ax.set_yscale("linear")),
        (lambda ax: ax.figure.suptitle("one"), lambda ax: ax.figure.suptitle("two")),
        (lambda ax: ax.text(0.1, 0, "best"), lambda ax: ax.text(0.2, 0, "best")),
        (lambda ax: ax.plot(["a", "b"], [1, 2]), lambda ax: ax.plot(["a", "b"], [1, 3])),
    ],
    ids=["a single point", "scale", "title of the figure", "place of a text", "names on an axis"],
)
def test_these_differ(one, other):
    assert figure(one) != figure(other)


def test_what_is_marked_as_unrepeatable_shows_no_values_and_the_rest_does():
    def drawn(noise, rest, count=3):
        figure = Figure()
        axes = figure.subplots()
        axes.plot(range(count), [noise] * count, label="chaotic", gid="unrepeatable")
        axes.plot([1, 2, 3], [1.0, rest, 2.0], label="stable")
        return digest(figure)

    assert drawn(1.0, 1.0) == drawn(1.5, 1.0)
    assert drawn(1.0, 1.0) != drawn(1.0, 1.5)
    assert drawn(1.0, 1.0) != drawn(1.0, 1.0, count=4)
    assert "line chaotic, 3: unrepeatable" in drawn(1.0, 1.0)
