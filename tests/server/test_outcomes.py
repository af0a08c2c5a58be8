"""Every request has one outcome, which is counted once, for its model; and what keeps a request from having any."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest

from server.app import Application, create_app
from server.engine.engine import Engine
from server.engine.lane import ChunkedLane, Lane
from server.errors import Overloaded
from server.metrics import REQUESTS
from server.settings import Settings
from server.tasks.lists import in_turns
from tests.server.engine.fakes import SHAPE, SummingBackend, cost, policy
from tests.server.graphs import Network
from tests.server.inside import answering
from tests.server.test_predict import check_error

NUMBERS, TOKENS = Network(1), Network(1, vocabulary=60)


class Answers:
    """A network that answers with what it was told to."""

    def __init__(self, value: float) -> None:
        self.value = value

    def run(self, inputs: np.ndarray, lengths: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full((len(lengths), 1), self.value, np.float32), state


def served(
    folder: Path,
    work: Callable[[Application, Lane, httpx.AsyncClient], Coroutine[Any, Any, Any]],
    network: Network = NUMBERS,
    **settings: Any,
) -> Any:
    """What `work` returns while one model is served in this process, which answers each series with 1."""

    async def main() -> Any:
        async with (
            answering(folder, network, Answers(1), **settings) as (app, lane),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client,  # type: ignore[arg-type]
        ):
            return await work(app, lane, client)

    return asyncio.run(main())


def outcomes() -> dict[tuple[str, str], float]:
    """Requests that were counted so far, by model and outcome."""
    return {labels: child._value.get() for labels, child in REQUESTS._metrics.items()}  # type: ignore[misc]


def counted_since(before: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    return {
        labels: count - before.get(labels, 0) for labels, count in outcomes().items() if count > before.get(labels, 0)
    }


def test_an_answer_a_refusal_and_a_defect_are_each_counted_once(tmp_path):
    async def work(app: Application, lane: Lane, client: httpx.AsyncClient) -> list[int]:
        (model,) = app.service.registry
        codes = []
        for value, defect in ((1, False), (np.inf, False), (1, True)):
            lane.backend = Answers(value)
            if defect:
                model.task.answer = lambda *_: 1 / 0  # type: ignore[method-assign]
            answer = await client.post("/predict", json={"inputs": {"values": [1.0]}})
            codes.append(answer.status_code)
        return codes

    before = outcomes()
    assert served(tmp_path, work) == [200, 422, 500]
    once = [("signals/1", outcome) for outcome in ("ok", "invalid_request", "internal_error")]
    assert counted_since(before) == dict.fromkeys(once, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_the_networks_fault_where_the_input_is_tokens(tmp_path, value):
    async def work(app: Application, lane: Lane, client: httpx.AsyncClient) -> httpx.Response:
        lane.backend = Answers(value)
        return await client.post("/predict", json={"inputs": {"tokens": [1, 2]}})

    error = check_error(served(tmp_path, work, TOKENS), 500)
    assert error["code"] == "inference_failed"
    assert "export it again" in error["message"]


def test_a_request_that_the_server_no_longer_waits_for_is_told_so(tmp_path):
    async def work(app: Application, lane: Lane, client: httpx.AsyncClient) -> httpx.Response:
        (model,) = app.service.registry
        engine = app.service.engine_of(model)
        assert engine._task is not None
        engine._task.cancel()  # nobody answers from now on
        body = b'{"inputs": {"values": [1]}}'
        request = asyncio.create_task(app.predict.reply([(b"content-type", b"application/json")], never, body))
        while lane.idle:
            await asyncio.sleep(0)
        request.cancel()
        reply = await request
        assert reply is not None
        return httpx.Response(reply[0], headers=reply[1], content=reply[2])

    before = outcomes()
    answer = served(tmp_path, work)
    assert check_error(answer, 503)["code"] == "draining"
    assert answer.headers["retry-after"] == "1"
    assert counted_since(before) == {("signals/1", "draining"): 1}


async def never() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


def test_a_list_for_which_there_is_no_room_or_no_time_is_not_encoded(tmp_path):
    async def work(app: Application, lane: Lane, client: httpx.AsyncClient) -> list[httpx.Response]:
        (model,) = app.service.registry
        encoded = []

        def encode(item: Any, *_: Any) -> np.ndarray:
            time.sleep(0.002)
            encoded.append(item)
            return np.zeros((1, 1), np.float32)

        model.task.encode = encode  # type: ignore[method-assign]
        items = [{"values": [1.0]}] * 4
        call = app.service.engine_of(model).submit(model.lane, [np.zeros((1, 1), np.float32)] * 6)
        full = await client.post("/predict", json={"inputs": items})
        assert not encoded
        await call.future
        late = await client.post("/predict", json={"inputs": items, "parameters": {"timeout_ms": 1}})
        assert len(encoded) == 1
        return [full, late]

    full, late = served(tmp_path, work, queue_limit=8, max_items=8)
    assert full.json()["error"]["code"] == "overloaded"
    assert check_error(late, 504)["field"] == "parameters.timeout_ms"


def test_work_in_turns_ends_when_its_time_is_over():
    done = []
    with pytest.raises(TimeoutError):
        asyncio.run(in_turns(map(done.append, iter(int, 1)), until=0.0))
    assert done


def make_lane() -> Lane:
    chosen = policy()
    return ChunkedLane("sum/1", SummingBackend(), SHAPE, cost(chosen.slots), chosen)


def test_those_who_left_leave_their_places_in_the_queue_at_once():
    """Also while a long step runs, and nobody puts the next batch together."""

    async def main() -> None:
        engine, lane, series = Engine(queue_limit=4), make_lane(), np.ones(1, np.int64)
        calls = [engine.submit(lane, [series]) for _ in range(4)]
        with pytest.raises(Overloaded):
            engine.submit(lane, [series])
        for call in calls[:2]:
            lane.abandon(call)
        engine.submit(lane, [series, series])
        with pytest.raises(Overloaded):
            engine.submit(lane, [series])

    asyncio.run(main())


def test_a_defect_in_who_looks_on_stops_nothing():
    def look(lane: Lane) -> None:
        raise OSError("no space left on device")

    async def main() -> None:
        engine, lane = Engine(100, observe=look), make_lane()
        engine.add(lane)
        engine.start()
        for _ in range(3):
            (result,) = await engine.submit(lane, [np.ones(5, np.int64)]).future
            assert result.outputs.tolist() == [12, 5]
        assert engine.alive
        await engine.drain()

    asyncio.run(main())


def test_an_engine_that_ended_by_a_defect_is_said_to_be_broken_and_can_be_drained(monkeypatch):
    def defect(engine: Engine) -> None:
        raise RuntimeError("a defect")

    async def main() -> None:
        engine, lane = Engine(100), make_lane()
        engine.add(lane)
        monkeypatch.setattr(Engine, "_choose", defect)
        engine.start()
        assert not engine.broken
        engine.submit(lane, [np.ones(5, np.int64)])
        while engine.alive:
            await asyncio.sleep(0)
        assert engine.broken
        async with asyncio.timeout(20):
            await engine.drain()

    asyncio.run(main())


@pytest.mark.parametrize(("broken", "status"), [(False, 200), (True, 503)])
def test_liveness_asks_for_a_new_process_only_where_that_would_help(client_of, broken, status):
    answer = client_of(SimpleNamespace(broken=broken, alive=not broken)).get("/health/live")
    assert answer.status_code == status
    assert answer.json() == {"status": "broken" if broken else "live"}


@pytest.fixture
def client_of(tmp_path):
    """A client of a service with one engine."""

    class Client:
        def __init__(self, engine: Any) -> None:
            self._app = create_app(Settings(models=tmp_path))
            self._app.service.engines = {True: engine}

        def get(self, address: str) -> httpx.Response:
            async def main() -> httpx.Response:
                transport = httpx.ASGITransport(self._app)  # type: ignore[arg-type]
                async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                    return await client.get(address)

            return asyncio.run(main())

    return Client


@pytest.mark.parametrize("name", ["chunk_ms", "timeout_ms", "drain_seconds", "shutdown_seconds"])
@pytest.mark.parametrize("value", ["inf", "nan", "-1"])
def test_a_time_has_to_be_a_finite_number(name, value):
    with pytest.raises(ValueError, match=name):
        Settings(**{name: value})


def test_an_empty_address_is_refused_and_does_not_open_the_server_to_the_network():
    with pytest.raises(ValueError, match="host"):
        Settings(host="")
