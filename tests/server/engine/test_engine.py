"""The engine with a network whose answers are known: whatever the company, everybody gets their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.engine.engine import Engine
from server.engine.lane import ChunkedLane, Lane, PaddedLane, Shape
from server.engine.scheduler import Policy
from server.engine.sequence import Call
from server.errors import DeadlineExceeded, Draining, InferenceFailed, Overloaded
from tests.server.engine.fakes import (
    SECONDS,
    SHAPE,
    Clock,
    SummingBackend,
    TickingBackend,
    answer,
    cost,
    policy,
    run,
    settle,
)

lengths = st.lists(st.integers(1, 60), min_size=1, max_size=40)
KINDS = [ChunkedLane, PaddedLane]


def make_lane(kind: type[Lane] = ChunkedLane, shape: Shape = SHAPE, name: str = "sum/1", **chosen) -> Lane:
    chosen = policy(**chosen)
    return kind(name, SummingBackend(), shape, cost(chosen.slots), chosen)


@asynccontextmanager
async def running(*lanes: Lane, inline: bool = True, queue_limit: int = 1000) -> AsyncIterator[Engine]:
    engine = Engine(queue_limit, inline)
    for lane in lanes:
        engine.add(lane)
    engine.start()
    try:
        yield engine
    finally:
        async with asyncio.timeout(SECONDS):
            await engine.drain()


def sequences(sizes: list[int]) -> list[np.ndarray]:
    return [np.arange(size, dtype=np.int64) % 50 + index for index, size in enumerate(sizes)]


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "thread"])
@pytest.mark.parametrize("kind", KINDS)
@given(lengths, st.integers(1, 5), st.integers(1, 20))
@settings(deadline=None, max_examples=30)
def test_everybody_gets_the_answer_to_their_own_question(kind, inline, sizes, slots, chunk):
    async def main() -> None:
        lane = make_lane(kind, slots=slots, chunk_steps=chunk)
        async with running(lane, inline=inline) as engine:
            questions = sequences(sizes)
            calls = []
            for question in questions:
                calls.append(engine.submit(lane, [question]))
                await asyncio.sleep(0)
            for question, call in zip(questions, calls, strict=True):
                (result,) = await call.future
                assert result.outputs.tolist() == answer(question)
        assert max(rows for rows, _ in lane.backend.calls) <= slots
        assert lane.idle

    run(main())


@given(lengths, st.sets(st.integers(0, 39)))
@settings(deadline=None, max_examples=50)
def test_callers_who_leave_disturb_nobody(sizes, leavers):
    async def main() -> None:
        lane = make_lane(slots=3, chunk_steps=5)
        async with running(lane) as engine:
            questions = sequences(sizes)
            calls = [engine.submit(lane, [question]) for question in questions]
            for index in sorted(leavers):
                await asyncio.sleep(0)
                if index < len(calls) and not calls[index].done:
                    lane.abandon(calls[index])
            for question, call in zip(questions, calls, strict=True):
                if not call.future.cancelled():
                    assert (await call.future)[0].outputs.tolist() == answer(question)

    run(main())


def test_a_caller_who_leaves_while_running_gives_the_place_to_the_next():
    async def main() -> None:
        lane = make_lane(slots=1)
        async with running(lane) as engine:
            long = engine.submit(lane, [np.ones(1000, np.int64)])
            while not lane.backend.calls:
                await asyncio.sleep(0)
            lane.abandon(long)
            ran = len(lane.backend.calls)
            await engine.submit(lane, [np.ones(3, np.int64)]).future
            assert len(lane.backend.calls) <= ran + 2
            assert lane.idle

    run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_callers_who_leave_while_waiting_make_room_in_the_queue(kind):
    async def main() -> None:
        lane = make_lane(kind, slots=1)
        async with running(lane, queue_limit=3) as engine:
            first, *others = [engine.submit(lane, [question]) for question in sequences([50, 60, 60])]
            for call in others:
                lane.abandon(call)
            await first.future
            assert len(lane.waiting) == 0
            calls = [engine.submit(lane, [question]) for question in sequences([5, 5, 5])]
            await asyncio.gather(*(call.future for call in calls))

    run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_a_deadline_that_passes_during_the_last_step_disturbs_nobody(kind):
    class Late(SummingBackend):
        """Ends `call` while it runs."""

        call: Call

        def run(self, inputs, lengths, state):
            asyncio.run_coroutine_threadsafe(self.end(), self.call.future.get_loop()).result(SECONDS)
            return super().run(inputs, lengths, state)

        async def end(self) -> None:
            self.call.fail(DeadlineExceeded("too late"))

    async def main() -> None:
        backend = Late()
        lane = kind("late/1", backend, SHAPE, cost(4), policy())
        async with running(lane, inline=False) as engine:
            question = np.arange(5)
            backend.call, other = (engine.submit(lane, [question]) for _ in range(2))
            assert (await other.future)[0].outputs.tolist() == answer(question)
            with pytest.raises(DeadlineExceeded):
                await backend.call.future
            assert backend.calls == [(2, 5)]

    run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_is_answered_in_its_order(kind):
    async def main() -> None:
        lane = make_lane(kind)
        async with running(lane) as engine:
            questions = sequences([30, 1, 12, 7, 50, 2])
            results = await engine.submit(lane, questions).future
            assert [result.outputs.tolist() for result in results] == [answer(question) for question in questions]

    run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_batch_answers_those_in_it_and_nobody_else(kind):
    async def main() -> None:
        lane = make_lane(kind, slots=2)
        async with running(lane) as engine:
            good, bad = np.arange(3), np.array([1, 666, 3])
            before = engine.submit(lane, [good])
            await before.future
            failed = engine.submit(lane, [bad])
            with pytest.raises(InferenceFailed):
                await failed.future
            after = engine.submit(lane, [good])
            assert (await after.future)[0].outputs.tolist() == answer(good)
            assert engine.alive

    run(main())


def test_a_call_with_one_failing_sequence_fails_once_and_its_others_are_skipped():
    async def main() -> None:
        lane = make_lane(slots=1)
        async with running(lane) as engine:
            call = engine.submit(lane, [np.array([666]), *sequences([5, 5, 5])])
            with pytest.raises(InferenceFailed):
                await call.future
            await settle()
            assert len(lane.backend.calls) == 1

    run(main())


def test_state_goes_in_and_comes_out_at_any_cut():
    async def main() -> None:
        lane = make_lane()
        async with running(lane) as engine:
            question = np.arange(33)
            (head,) = await engine.submit(lane, [question[:20]], return_state=True).future
            (tail,) = await engine.submit(lane, [question[20:]], [head.state], return_state=True).future
            (whole,) = await engine.submit(lane, [question], return_state=True).future
            assert tail.outputs.tolist() == whole.outputs.tolist()
            assert tail.state.tolist() == whole.state.tolist()

    run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_per_step_outputs_are_put_together_again(kind):
    class PerStep(SummingBackend):
        def run(self, inputs, lengths, state):
            _, next_state = super().run(inputs, lengths, state)
            return inputs[..., None].astype(np.float32) * 2, next_state

    async def main() -> None:
        shape = Shape(SHAPE.initial_state, per_step=True)
        lane = kind("double/1", PerStep(), shape, cost(4), policy(chunk_steps=3))
        async with running(lane) as engine:
            questions = sequences([10, 1, 4])
            results = await engine.submit(lane, questions).future
            for question, result in zip(questions, results, strict=True):
                assert result.outputs[:, 0].tolist() == (question * 2).tolist()

    run(main())


@given(lengths, st.integers(1, 5))
@settings(deadline=None, max_examples=30)
def test_networks_that_see_padding_get_none(sizes, slots):
    class Blind(SummingBackend):
        def run(self, inputs, lengths, state):
            assert (lengths == inputs.shape[1]).all()
            return super().run(inputs, lengths, state)

    async def main() -> None:
        shape = Shape(SHAPE.initial_state, equal_lengths=True)
        lane = PaddedLane("blind/1", Blind(), shape, cost(slots), policy(slots))
        async with running(lane, inline=False) as engine:
            questions = sequences([size % 4 + 1 for size in sizes])
            results = await engine.submit(lane, questions).future
            assert [result.outputs.tolist() for result in results] == [answer(question) for question in questions]
        most = max(rows for rows, _ in lane.backend.calls)
        assert most == min(slots, max(sum(len(one) == length for one in questions) for length in range(1, 5)))

    run(main())


def test_a_long_sequence_does_not_hold_up_short_ones_and_does_not_starve(monkeypatch):
    """Three callers send one short sequence after another, so that two slots are never free and somebody always waits.

    What time it is the backend says, by what its runs are predicted to cost, so everything here is exact.
    """
    clock, costs, chosen = Clock(), cost(2), policy(slots=2, chunk_steps=4)
    backend = TickingBackend(clock, costs)
    lane = ChunkedLane("sum/1", backend, SHAPE, costs, chosen)
    longest_wait = 0

    async def main() -> tuple[Call, list[int]]:
        async with running(lane) as engine:

            async def ask_again_and_again(call: Call) -> int:
                """The number of answers while the long one is under way."""
                nonlocal longest_wait
                for answers in range(1000):
                    asked = backend.steps
                    await call.future
                    longest_wait = max(longest_wait, backend.steps - asked)
                    if long.done:
                        return answers
                    call = engine.submit(lane, [np.ones(4, np.int64)])
                return 1000

            first = [engine.submit(lane, [np.ones(4, np.int64)]) for _ in range(3)]
            long = engine.submit(lane, [np.ones(400, np.int64)])
            answers = await asyncio.gather(*(ask_again_and_again(call) for call in first))
            await long.future
            return long, answers

    monkeypatch.setattr("server.engine.engine.time", clock)
    long, answers = run(main())
    chunk = costs.seconds(2, 4)
    assert max(answers) < 1000, "the long one starves"
    assert long.started - long.arrived == pytest.approx(chunk), (
        "it has to wait for those who came before it, and only them"
    )
    assert long.finished - long.started == pytest.approx(100 * chunk)
    assert longest_wait <= 3 * 4, "a short one waits for more than three chunks"


def test_a_list_does_not_hold_up_who_comes_a_moment_later(monkeypatch):
    """Its sequences are due one after another, when those before them would be done; so others come in between."""
    clock, costs = Clock(), cost(1, overhead=0.0)
    lane = ChunkedLane("sum/1", TickingBackend(clock, costs), SHAPE, costs, policy(slots=1))

    async def main() -> None:
        async with running(lane) as engine:
            many = engine.submit(lane, sequences([8] * 50))
            while len(lane.backend.calls) < 3:
                await asyncio.sleep(0)
            single = engine.submit(lane, [np.ones(8, np.int64)])
            await single.future
            assert len(lane.backend.calls) <= 6
            assert not many.done
            await many.future

    monkeypatch.setattr("server.engine.engine.time", clock)
    run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_priority_is_a_head_start(kind):
    async def main() -> None:
        lane = make_lane(kind, slots=1)
        async with running(lane) as engine:
            calls = [engine.submit(lane, [question]) for question in sequences([5, 5])]
            calls.append(engine.submit(lane, sequences([5]), priority=60.0))
            await asyncio.gather(*(call.future for call in calls))
            assert calls[2].started < calls[0].started < calls[1].started

    run(main())


def test_a_failing_batch_leaves_those_alone_who_only_hold_a_slot(monkeypatch):
    """Not every row runs in every chunk."""

    async def main() -> None:
        lane = make_lane()
        monkeypatch.setattr(lane, "_plan", lambda now: (1, 4))
        async with running(lane) as engine:
            failing = engine.submit(lane, [np.array([1, 666]), np.arange(9)])
            other = engine.submit(lane, [np.arange(9)])
            with pytest.raises(InferenceFailed):
                await failing.future
            assert lane.running == 2
            assert (await other.future)[0].outputs.tolist() == answer(np.arange(9))
            assert len(lane.backend.calls) == 1 + 3, "the list's other sequence runs on, for nobody"

    run(main())


def test_planning_that_fails_ends_the_calls_and_not_the_engine(monkeypatch):
    async def main() -> None:
        lane = make_lane()
        async with running(lane) as engine:
            with monkeypatch.context() as broken:
                broken.setattr(lane, "_plan", lambda now: 1 / 0)
                calls = [engine.submit(lane, [question]) for question in sequences([5, 6])]
                for call in calls:
                    with pytest.raises(InferenceFailed):
                        await call.future
            assert lane.idle
            question = np.arange(7)
            assert (await engine.submit(lane, [question]).future)[0].outputs.tolist() == answer(question)

    run(main())


def test_the_queue_limit_refuses_by_name_and_takes_again_later():
    async def main() -> None:
        lane = make_lane(slots=1)
        async with running(lane, queue_limit=3) as engine:
            calls = [engine.submit(lane, [np.ones(5, np.int64)]) for _ in range(3)]
            with pytest.raises(Overloaded) as refused:
                engine.submit(lane, [np.ones(5, np.int64)])
            assert "at most 3" in refused.value.accepted
            await asyncio.gather(*(call.future for call in calls))
            await engine.submit(lane, [np.ones(5, np.int64)]).future

    run(main())


def test_draining_refuses_new_calls_and_answers_the_accepted_ones():
    async def main() -> None:
        lane = make_lane(slots=1)
        async with running(lane) as engine:
            calls = [engine.submit(lane, [question]) for question in sequences([9, 9, 9])]
            draining = asyncio.create_task(engine.drain())
            await asyncio.sleep(0)
            with pytest.raises(Draining):
                engine.submit(lane, [np.ones(1, np.int64)])
            await draining
            assert all(call.future.done() and not call.future.exception() for call in calls)

    run(main())


def test_two_lanes_share_the_time_and_not_the_number_of_batches():
    """The dear lane's batch is predicted to cost ten times as much, so the cheap one runs about ten times as often."""

    async def main() -> None:
        cheap, dear = (
            ChunkedLane(name, SummingBackend(), SHAPE, cost(1, 0.0, step), Policy(1, 10.5 * step))
            for name, step in (("cheap/1", 1e-4), ("dear/1", 1e-3))
        )
        async with running(cheap, dear) as engine:
            engine.submit(dear, [np.ones(1000, np.int64)])
            await engine.submit(cheap, [np.ones(1000, np.int64)]).future
            assert 8 <= len(dear.backend.calls) <= 12

    run(main())


def test_a_lane_that_comes_later_gets_its_share_and_nothing_for_the_time_before():
    async def main() -> None:
        costs, chosen = cost(1), policy(slots=1)
        first, second = (ChunkedLane(name, SummingBackend(), SHAPE, costs, chosen) for name in ("first/1", "second/1"))
        async with running(first, second) as engine:
            await engine.submit(first, [np.ones(800, np.int64)]).future
            alone = len(first.backend.calls)
            engine.submit(second, [np.ones(800, np.int64)])
            await engine.submit(first, [np.ones(160, np.int64)]).future
            assert alone == 100
            assert len(second.backend.calls) == pytest.approx(len(first.backend.calls) - alone, abs=2)

    run(main())


def test_a_longer_sequence_that_joins_moves_nobodys_inputs():
    async def main() -> None:
        lane = make_lane()
        async with running(lane) as engine:
            questions = sequences([100, 120, 400, 1000])
            calls = [engine.submit(lane, [question]) for question in questions[:2]]
            while not lane.backend.calls:
                await asyncio.sleep(0)
            calls += [engine.submit(lane, [question]) for question in questions[2:]]
            for question, call in zip(questions, calls, strict=True):
                assert (await call.future)[0].outputs.tolist() == answer(question)

    run(main())


def test_an_idle_engine_starts_at_once_and_alone():
    async def main() -> None:
        lane = make_lane()
        async with running(lane) as engine:
            call = engine.submit(lane, [np.arange(3)])
            await settle(3)
            assert call.done
            assert lane.backend.calls == [(1, 3)]

    run(main())


def test_a_first_chunk_is_as_long_as_the_network_needs_however_short_the_sequences_are():
    async def main() -> None:
        lane = make_lane(shape=replace(SHAPE, first_chunk=300))
        Engine(1000).submit(lane, sequences([10]))
        assert lane.next_batch(0.0).steps == 300

    run(main())
