import asyncio
from itertools import cycle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.engine.cost import CostModel, measure
from server.engine.scheduler import (
    ANSWER_STEPS,
    PATIENCE,
    PLANNING_SECONDS,
    ChunkPlanner,
    Policy,
    WaitingQueue,
    padded_batch,
)
from server.engine.sequence import Call, Sequence
from tests.server.engine.fakes import cost, policy

steps = st.integers(1, 2000)


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def sequence(loop: asyncio.AbstractEventLoop, length: int, due: float = 0.0) -> Sequence:
    return Sequence(Call(loop, 1, due), 0, np.zeros(length, np.int64))


rows_left = st.lists(st.integers(1, 500), min_size=1, max_size=32)
waited_and_left = st.lists(st.tuples(st.floats(-1, 1), st.integers(1, 500)), min_size=1, max_size=32).map(
    lambda rows: tuple(map(list, zip(*sorted(rows, reverse=True), strict=True)))
)
SLOWER_IN_COMPANY = CostModel([1e-4] * 33, [1e-6 + size * 2e-6 for size in range(33)])


@given(waited_and_left, st.floats(1e-5, 1e-2), st.booleans())
def test_a_chunk_ends_with_one_of_its_rows_or_with_the_time_budget(rows, budget, crowded):
    waited, remaining = rows
    planner = ChunkPlanner(SLOWER_IN_COMPANY, Policy(32, budget))
    size, steps = planner.plan(remaining, waited, crowded)
    within = max(1, int(budget / SLOWER_IN_COMPANY.step_seconds[size]))
    assert size in {len(remaining)} if crowded else {-(-len(remaining) // share) for share in (1, 2, 4)}
    assert steps in {*remaining[:size], within}
    assert steps <= min(max(remaining[:size]), within)


@given(rows_left, st.floats(1e-6, 1e-2), st.integers(1, 600))
@example([10] * 5 + [500] * 2, 1e-6, 100)
def test_while_others_wait_for_a_slot_no_chunk_does_more_useful_steps_a_second(remaining, overhead, most):
    rows, costs = np.array(remaining), cost(32, overhead, step=1e-5)

    def rate(steps: int) -> float:
        return np.minimum(rows, steps).sum() / (costs.seconds(len(rows), steps) + PLANNING_SECONDS)

    size, steps = ChunkPlanner(costs, policy(32, most)).plan(remaining, [0.0] * len(rows), crowded=True)
    allowed = range(1, min(most, max(remaining)) + 1)
    assert size == len(rows)
    assert steps in allowed
    assert rate(steps) == pytest.approx(max(map(rate, allowed)))


@given(waited_and_left, st.floats(1e-5, 1e-2))
def test_no_other_chunk_is_worth_more_for_its_time(rows, budget):
    """All rows, half of them or a quarter; and any number of steps that the time allows."""
    waited, remaining = rows
    count, waits, left = len(remaining), np.maximum(waited, 0), np.array(remaining)
    weights = waits + PATIENCE * waits.mean() + budget

    def rate(size: int, steps: int) -> float:
        some = left[:size]
        worth = weights[:size] @ (np.minimum(some, steps) + ANSWER_STEPS * (some <= steps))
        return worth / (SLOWER_IN_COMPANY.seconds(size, steps) + PLANNING_SECONDS)

    chosen = ChunkPlanner(SLOWER_IN_COMPANY, Policy(32, budget)).plan(remaining, waited)
    best = max(
        rate(size, steps)
        for size in {-(-count // share) for share in (1, 2, 4)}
        for steps in range(1, max(1, int(budget / SLOWER_IN_COMPANY.step_seconds[size])) + 1)
    )
    assert rate(*chosen) == pytest.approx(best)


def test_a_long_row_that_has_waited_runs_apart_from_newcomers():
    planner = ChunkPlanner(SLOWER_IN_COMPANY, Policy(32, 1e-3))
    remaining = [300, *[15] * 15]
    assert planner.plan(remaining, [1e-4] * 16) == (16, 15)
    size, steps = planner.plan(remaining, [0.1, *[1e-4] * 15])
    assert size < 16
    assert steps > 15


@given(rows_left)
def test_the_more_overhead_the_longer_the_chunk(remaining):
    planners = [ChunkPlanner(cost(32, overhead), Policy(32, 10.0)) for overhead in (0, 1e-4, 1)]
    lengths = [planner.plan(remaining, [0.0] * len(remaining), crowded=True)[1] for planner in planners]
    assert lengths == sorted(lengths)
    assert lengths[-1] == max(remaining)


@pytest.mark.parametrize("crowded", [False, True])
def test_a_first_chunk_is_as_long_as_the_network_needs(crowded):
    planner = ChunkPlanner(cost(4), policy())
    assert planner.plan([200, 10], [0.0, 0.0], crowded, smallest=168)[1] == 168
    assert planner.plan([20, 10], [0.0, 0.0], crowded, smallest=168) == (2, 168)


def test_a_sequence_alone_runs_as_far_as_the_time_budget_goes():
    assert ChunkPlanner(cost(4), policy(chunk_steps=200)).plan([500], [0.0]) == (1, 200)


@given(st.lists(st.floats(0, 10), max_size=50))
def test_the_queue_gives_back_in_the_order_in_which_they_are_due(times):
    loop = asyncio.new_event_loop()
    queue = WaitingQueue()
    for due in times:
        queue.push(sequence(loop, 1, due))
    assert [item.due for item in queue.take(len(times) + 1)] == sorted(times)
    loop.close()


def test_those_due_at_the_same_time_are_first_come_first_served(loop):
    queue = WaitingQueue()
    first, second = sequence(loop, 1), sequence(loop, 1)
    queue.push(first)
    queue.push(second)
    assert queue.take(2) == [first, second]


def test_sequences_whose_caller_left_are_skipped_and_forgotten(loop):
    queue = WaitingQueue()
    items = [sequence(loop, 1, due) for due in range(5)]
    for item in items:
        queue.push(item)
    items[0].call.future.cancel()
    items[3].call.future.cancel()
    queue.drop_done()
    assert len(queue) == 3
    items[1].call.future.cancel()
    assert queue.take(9) == [items[2], items[4]]


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans()), max_size=50))
def test_who_stays_keeps_the_order_when_others_are_forgotten(items):
    """Each item is when it is due, and whether its caller has left."""
    loop = asyncio.new_event_loop()
    queue, names = WaitingQueue(), {}
    for place, (due, left) in enumerate(items):
        item = sequence(loop, 1, due)
        names[id(item)] = (due, place)
        queue.push(item)
        if left:
            item.call.future.cancel()
    queue.drop_done()
    expected = sorted((due, place) for place, (due, left) in enumerate(items) if not left)
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
    """Each item is when it is due, whether its caller has left, and whether it will be picked."""
    loop = asyncio.new_event_loop()
    queue, names = WaitingQueue(), {}
    for place, (due, left, picked) in enumerate(items):
        item = sequence(loop, 1, due)
        names[id(item)] = (due, place, picked)
        queue.push(item)
        if left:
            item.call.future.cancel()
    living = sorted((due, place, picked) for place, (due, left, picked) in enumerate(items) if not left)
    chosen = queue.pick(most, lambda window: [item for item in window if names[id(item)][2]])
    expected = [entry for entry in living[:most] if entry[2]]
    assert [names[id(item)] for item in chosen] == expected
    assert [names[id(item)] for item in queue.take(99)] == [entry for entry in living if entry not in expected]
    loop.close()


def test_the_cost_model_finds_what_it_was_measured_on():
    found = measure(lambda batch, length: 1e-4 + length * (1e-6 + batch * 1e-6), 32, 1, 17)
    assert found.overhead == pytest.approx([1e-4] * 33)
    assert found.seconds(8, 100) == pytest.approx(1e-4 + 100 * 9e-6)
    assert found.seconds_a_step == pytest.approx(33e-6 / 32)


def test_what_disturbs_a_measurement_gets_nowhere_into_the_cost_model():
    def exactly(batch: int, length: int) -> float:
        return 1e-4 + length * (1e-6 + batch * 1e-6)

    disturbances = cycle([3e-3, 1e-3, 0.0, 2e-3, 5e-3])
    found = measure(lambda batch, length: exactly(batch, length) + next(disturbances), 32, 1, 17, repeats=5)
    assert found == measure(exactly, 32, 1, 17)
