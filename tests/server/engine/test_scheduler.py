import asyncio
from itertools import cycle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.engine.cost import CostModel, measure
from server.engine.scheduler import PLANNING_SECONDS, Policy, WaitingQueue, chunk_length, padded_batch, virtual_deadline
from server.engine.sequence import Call, Sequence
from tests.server.engine.fakes import cost, policy

steps = st.integers(1, 2000)


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def sequence(loop: asyncio.AbstractEventLoop, length: int, arrived: float = 0.0) -> Sequence:
    return Sequence(Call(loop, 1, arrived), 0, np.zeros(length, np.int64))


rows_left = st.lists(st.integers(1, 500), min_size=1, max_size=32)


@given(rows_left, st.floats(1e-4, 1e-2))
def test_a_chunk_ends_with_a_row_or_with_the_time_budget(remaining, budget):
    length = chunk_length(remaining, 1, cost(32), Policy(32, budget))
    assert length in {*remaining, int(budget / 1e-5)}
    assert length <= max(max(remaining), 1)
    assert length * 1e-5 <= budget


@given(rows_left, st.floats(1e-6, 1e-2), st.integers(1, 600))
@example([10] * 5 + [500] * 2, 1e-6, 100)
def test_no_other_chunk_within_the_budget_does_more_useful_steps_a_second(remaining, overhead, most):
    rows, costs = np.array(remaining), cost(32, overhead, step=1e-5)

    def rate(length: int) -> float:
        return np.minimum(rows, length).sum() / (costs.seconds(len(rows), length) + PLANNING_SECONDS)

    chosen = chunk_length(remaining, 1, costs, policy(32, most))
    allowed = range(1, min(most, max(remaining)) + 1)
    assert chosen in allowed
    assert rate(chosen) == pytest.approx(max(map(rate, allowed)))


@given(rows_left)
def test_the_more_overhead_the_longer_the_chunk(remaining):
    lengths = [chunk_length(remaining, 1, cost(32, overhead), Policy(32, 10.0)) for overhead in (0, 1e-4, 1)]
    assert lengths == sorted(lengths)
    assert lengths[-1] == max(remaining)


def test_a_first_chunk_is_as_long_as_the_network_needs():
    assert chunk_length([200, 10], 168, cost(4), policy()) == 168


def test_a_sequence_alone_runs_as_far_as_the_time_budget_goes():
    assert chunk_length([500], 1, cost(4), policy(chunk_steps=200)) == 200


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), max_size=50))
def test_the_queue_gives_back_in_the_order_of_virtual_deadlines(items):
    loop = asyncio.new_event_loop()
    queue = WaitingQueue()
    deadlines = [virtual_deadline(arrived, seconds, 4.0) for arrived, seconds in items]
    for deadline in deadlines:
        item = sequence(loop, 1)
        item.pieces = deadline  # the property under test is visible from outside only through a mark
        queue.push(item, deadline)
    assert [item.pieces for item in queue.take(len(items) + 1)] == sorted(deadlines)
    loop.close()


def test_equal_deadlines_are_first_come_first_served(loop):
    queue = WaitingQueue()
    first, second = sequence(loop, 1), sequence(loop, 1)
    queue.push(first, 1.0)
    queue.push(second, 1.0)
    assert queue.take(2) == [first, second]


def test_a_long_sequence_is_overtaken_only_for_a_bounded_time():
    """It costs 1 s more, so with stretch 4 whoever arrives 4 s later, or after that, stands behind it."""
    long = virtual_deadline(0.0, 1.5, 4.0)
    assert virtual_deadline(3.9, 0.5, 4.0) < long
    assert virtual_deadline(4.1, 0.5, 4.0) > long


def test_sequences_whose_caller_left_are_skipped_and_forgotten(loop):
    queue = WaitingQueue()
    items = [sequence(loop, 1) for _ in range(5)]
    for place, item in enumerate(items):
        queue.push(item, place)
    items[0].call.future.cancel()
    items[3].call.future.cancel()
    queue.drop_done()
    assert len(queue) == 3
    items[1].call.future.cancel()
    assert queue.take(9) == [items[2], items[4]]


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans()), max_size=50))
def test_who_stays_keeps_the_order_when_others_are_forgotten(items):
    """Each item is a deadline, and whether its caller has left."""
    loop = asyncio.new_event_loop()
    queue, names = WaitingQueue(), {}
    for place, (deadline, left) in enumerate(items):
        item = sequence(loop, 1)
        names[id(item)] = (deadline, place)
        queue.push(item, deadline)
        if left:
            item.call.future.cancel()
    queue.drop_done()
    expected = sorted((deadline, place) for place, (deadline, left) in enumerate(items) if not left)
    assert len(queue) == len(expected)
    assert [names[id(item)] for item in queue.take(99)] == expected
    loop.close()


@given(st.lists(steps, min_size=1, max_size=64), st.integers(1, 32), st.booleans())
def test_a_padded_batch_holds_the_head_and_nobody_twice(lengths, slots, equal_lengths):
    loop = asyncio.new_event_loop()
    window = [sequence(loop, length) for length in lengths]
    chosen = padded_batch(window, slots, cost(slots), equal_lengths)
    assert chosen[0] is window[0]
    assert len(chosen) <= slots
    assert len({id(item) for item in chosen} & {id(item) for item in window}) == len(chosen)
    if equal_lengths:
        assert {item.steps for item in chosen} == {window[0].steps}
    loop.close()


def test_a_padded_batch_leaves_out_what_would_make_it_dearer(loop):
    """Rows cost time in proportion, so a long row beside short ones is mostly padding."""
    proportional = CostModel([1e-5] * 9, [size * 1e-5 for size in range(9)])
    short, long = [sequence(loop, 10) for _ in range(3)], sequence(loop, 1000)
    assert padded_batch([short[0], long, *short[1:]], 8, proportional) == short


def test_who_joins_a_padded_batch_is_compared_with_the_longest_that_is_in_it(loop):
    """11 + 3 * 21 is less than (11 + 2 * 20) + (11 + 21), but not if the two were as long as the head."""
    costs = CostModel([11.0] * 9, [float(size) for size in range(9)])
    window = [sequence(loop, length) for length in (10, 20, 21)]
    assert padded_batch(window, 8, costs) == window


def test_equal_lengths_share_a_batch_however_far_apart_they_wait(loop):
    window = [sequence(loop, length) for length in (10, 11, 10, 9, 10)]
    assert padded_batch(window, 8, cost(8), equal_lengths=True) == [window[0], window[2], window[4]]
    assert padded_batch(window, 2, cost(2), equal_lengths=True) == [window[0], window[2]]


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans(), st.booleans()), max_size=30), st.integers(1, 12))
def test_who_is_not_picked_keeps_the_place_in_the_queue(items, most):
    """Each item is a deadline, whether its caller has left, and whether it will be picked."""
    loop = asyncio.new_event_loop()
    queue, names = WaitingQueue(), {}
    for place, (deadline, left, picked) in enumerate(items):
        item = sequence(loop, 1)
        names[id(item)] = (deadline, place, picked)
        queue.push(item, deadline)
        if left:
            item.call.future.cancel()
    living = sorted((d, place, picked) for place, (d, left, picked) in enumerate(items) if not left)
    chosen = queue.pick(most, lambda window: [item for item in window if names[id(item)][2]])
    expected = [entry for entry in living[:most] if entry[2]]
    assert [names[id(item)] for item in chosen] == expected
    assert [names[id(item)] for item in queue.take(99)] == [entry for entry in living if entry not in expected]
    loop.close()


def test_the_cost_model_finds_what_it_was_measured_on():
    found = measure(lambda batch, length: 1e-4 + length * (1e-6 + batch * 1e-6), 32, 1, 17)
    assert found.overhead == pytest.approx([1e-4] * 33)
    assert found.seconds(8, 100) == pytest.approx(1e-4 + 100 * 9e-6)
    assert found.steps_within(8, 9.05e-4) == 100
    assert found.seconds_alone(32) == pytest.approx(33e-6)


def test_what_disturbs_a_measurement_gets_nowhere_into_the_cost_model():
    def exactly(batch: int, length: int) -> float:
        return 1e-4 + length * (1e-6 + batch * 1e-6)

    disturbances = cycle([3e-3, 1e-3, 0.0, 2e-3, 5e-3])
    found = measure(lambda batch, length: exactly(batch, length) + next(disturbances), 32, 1, 17, repeats=5)
    assert found == measure(exactly, 32, 1, 17)
