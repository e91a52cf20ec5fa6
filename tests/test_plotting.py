"""Every optimizer has a look of its own in the figures."""

import pytest

from adam_tutorial import optimizers, plotting

LOOKS = {name: look for name, look in plotting.LOOKS.items() if name != "Gradient descent"}


@pytest.mark.parametrize("name", [x for x in optimizers.__all__ if x != "Optimizer"])
def test_every_optimizer_has_a_look(name):
    assert name.lower() in [known.lower() for known in LOOKS]


@pytest.mark.parametrize("part", ["color", "marker"])
def test_no_two_optimizers_look_the_same(part):
    assert len({look[part] for look in LOOKS.values()}) == len(LOOKS)
