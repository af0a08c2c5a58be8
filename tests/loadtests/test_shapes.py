import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.shapes import SHAPES, spike, steady, step

progress = st.floats(0, 1)


@pytest.mark.parametrize("name", SHAPES)
@given(progress=progress)
def test_there_is_always_some_load_and_never_more_than_all(name: str, progress: float) -> None:
    assert 0 < SHAPES[name](progress) <= 1


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_reaches_all_users(name: str) -> None:
    assert max(SHAPES[name](index / 100) for index in range(100)) == 1


@given(progress, progress)
def test_steps_only_rise(one: float, other: float) -> None:
    assert step(min(one, other)) <= step(max(one, other))


def test_the_forms() -> None:
    places = (0.0, 0.3, 0.5, 0.8, 1.0)
    assert [steady(place) for place in places] == [1, 1, 1, 1, 1]
    assert [step(place) for place in places] == [0.25, 0.5, 0.75, 1, 1]
    assert [spike(place) for place in places] == [0.2, 0.2, 1, 0.2, 0.2]
