import numpy as np
import pytest
from matplotlib.figure import Figure
from memlaw_analysis.figures.style import nats_ticks, ordered_colours, plain_ticks


def labels(axis) -> list[str]:
    return [axis.get_major_formatter()(value) for value in axis.get_majorticklocs()]


def test_ticks_are_the_values_as_many_as_fit():
    axes = Figure().subplots()
    plain_ticks(axes, [1, 2, 4, 8, 16])
    assert labels(axes.xaxis) == ["1", "2", "4", "8", "16"]
    plain_ticks(axes, list(np.geomspace(1, 1000, 200)), "y")
    assert 5 <= len(labels(axes.yaxis)) <= 10
    assert labels(axes.yaxis)[-1] == "1000"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1, 8, ["1", "1.5", "2", "3", "4", "6", "8"]), (12.82, 13.37, ["12.82", "13.37"]), (13.2, 13.2, ["13.2"])],
)
def test_nats_have_round_ticks_or_those_of_their_ends(low: float, high: float, expected: list[str]):
    axes = Figure().subplots()
    nats_ticks(axes, low, high)
    assert labels(axes.yaxis) == expected


def test_colours_go_from_dark_to_light_and_stay_visible_on_white():
    brightness = [sum(colour[:3]) for colour in ordered_colours(6)]
    assert brightness == sorted(brightness)
    assert brightness[-1] < 2.4
