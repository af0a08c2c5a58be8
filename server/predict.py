"""`POST /predict`, from bytes to bytes, in the order in which it happens.

A plain ASGI callable: a web framework's routing and validation would cost as much as the network.
"""

import asyncio
import logging
import time
from typing import Any

import numpy as np
import orjson

from server.engine.engine import stopping
from server.engine.sequence import Call, Result
from server.errors import (
    RETRY_AFTER_SECONDS,
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    ServiceError,
    body_of,
    status_of,
)
from server.metrics import REQUESTS
from server.registry import Model
from server.request import (
    ClientLeft,
    Receive,
    Scope,
    Send,
    check_headers,
    parse,
    read_body,
    too_large,
    too_slow,
)
from server.service import Service
from server.settings import LONGEST_TIMEOUT_MS
from server.tasks import Item, Parameters, PredictRequest, kind_of
from server.tasks.lists import in_turns
from server.watch import Watch, Watches, too_late

logger = logging.getLogger("server.predict")

Headers = list[tuple[bytes, bytes]]
Reply = tuple[int, bytes, tuple[bytes, bytes]]
"""Status, body, and one header of its own."""


class PredictEndpoint:
    """The ASGI application behind `POST /predict`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._request_id = service.request_ids.choose
        self._timeout_ms = service.settings.timeout_ms
        self._watches = Watches()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = await self.reply(scope["headers"], receive, None)
        if reply is not None:
            status, head, content = reply
            await send({"type": "http.response.start", "status": status, "headers": head})
            await send({"type": "http.response.body", "body": content})

    async def reply(
        self, raw_headers: Headers, receive: Receive, body: bytes | None
    ) -> tuple[int, Headers, bytes] | None:
        """(status, headers, body) of the answer; None if the client has left.

        `body` is the request's, where all of it is there already; else it is received.
        """
        started = time.perf_counter()
        headers = dict(raw_headers)
        request_id = self._request_id(headers)
        try:
            status, content, extra = await self._answer(headers, receive, body)
        except ClientLeft as left:
            REQUESTS.labels(left.model, "client_left").inc()
            return None
        except (Exception, asyncio.CancelledError) as problem:
            status, content, extra = self._refuse(problem, request_id)
        if self._service.settings.access_log:
            milliseconds = round((time.perf_counter() - started) * 1000, 3)
            details = {"request_id": request_id.decode(), "status": status, "milliseconds": milliseconds}
            logger.info("request", extra=details)
        length = b"%d" % len(content)
        head = [
            (b"content-type", b"application/json"),
            (b"content-length", length),
            (b"x-request-id", request_id),
            extra,
        ]
        return status, head, content

    async def _answer(self, headers: dict[bytes, bytes], receive: Receive, body: bytes | None) -> Reply:
        most = self._service.settings.max_body_bytes
        check_headers(headers, most)
        if body is None:
            body = await self._receive(receive, most)
        elif len(body) > most:
            raise too_large(len(body), most)
        content, timing = await self._predict(body, receive)
        return 200, content, (b"server-timing", timing)

    async def _receive(self, receive: Receive, most: int) -> bytes:
        try:
            async with asyncio.timeout(self._service.settings.timeout_ms / 1000):
                return await read_body(receive, most)
        except TimeoutError:
            raise too_slow() from None

    def _refuse(self, problem: BaseException, request_id: bytes) -> Reply:
        error = self._named(problem, request_id)
        error.model = getattr(problem, "model", "")
        status, code = status_of(error)
        REQUESTS.labels(error.model, code).inc()
        details = {"request_id": request_id.decode(), "status": int(status), "code": code, "field": error.field}
        logger.log(logging.ERROR if status >= 500 else logging.INFO, str(error), extra=details)
        extra = (b"retry-after", b"%d" % RETRY_AFTER_SECONDS) if status == 503 else (b"cache-control", b"no-store")
        return int(status), orjson.dumps(body_of(error)), extra

    @staticmethod
    def _named(problem: BaseException, request_id: bytes) -> ServiceError:
        """What is no error of ours is a defect: the log gets its traceback, the caller the id to ask about."""
        if isinstance(problem, ServiceError):
            return problem
        if isinstance(problem, asyncio.CancelledError):  # by uvicorn: shutdown_seconds are over
            return stopping()
        logger.error("a defect", exc_info=problem, extra={"request_id": request_id.decode()})
        return InternalError.logged(request_id.decode())

    async def _predict(self, body: bytes, receive: Receive) -> tuple[bytes, bytes]:
        """(JSON of the answer, value of Server-Timing)."""
        arrived = time.monotonic()
        request = parse(body)
        items = request.inputs if isinstance(request.inputs, list) else [request.inputs]
        model = self._find_model(request, items)
        try:
            parameters = model.task.check(request.parameters)
            single = items is not request.inputs
            engine, timeout_ms = self._service.engine_of(model), parameters.timeout_ms or self._timeout_ms
            engine.check_room(model.lane, len(items))
            encoded = await self._encode(model, items, parameters, single, arrived, timeout_ms)
            call = engine.submit(model.lane, encoded, arrived=arrived)
            results = await self._wait(model, call, timeout_ms, receive)
            outputs = await self._decode(model, results, parameters, encoded, single)
            answer = {"model": model.name, "version": model.version, "outputs": outputs}
            content = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        except (Exception, asyncio.CancelledError) as problem:
            problem.model = model.lane.name  # type: ignore[union-attr]
            raise
        model.lane.tally.answered += 1
        self._service.observer(model.lane)
        queue, compute = call.started - call.arrived, call.finished - call.started
        return content, b"queue;dur=%.3f, compute;dur=%.3f" % (queue * 1000, compute * 1000)

    def _find_model(self, request: PredictRequest, items: list[Item]) -> Model:
        most = self._service.settings.max_items
        if not 1 <= len(items) <= most:
            raise InvalidRequest(f"the list has {len(items)} inputs", "inputs", len(items), f"1 to {most} inputs")
        for index, item in enumerate(items):
            if type(item) is not type(items[0]):
                accepted = "inputs of one kind: all texts, all values, or all tokens"
                message = f"the list mixes texts and numbers: it begins with {kind_of(items[0])}; send them apart"
                raise InvalidRequest(message, f"inputs[{index}]", kind_of(item), accepted)
        timeout = request.parameters.timeout_ms
        if timeout is not None and not 0 < timeout <= LONGEST_TIMEOUT_MS:
            accepted = f"above 0, at most {LONGEST_TIMEOUT_MS:.0f} milliseconds"
            raise InvalidRequest("timeout_ms is out of range", "parameters.timeout_ms", timeout, accepted)
        return self._service.registry.find(request.model, request.version, items[0])

    @staticmethod
    async def _encode(
        model: Model, items: list[Item], parameters: Parameters, single: bool, arrived: float, timeout_ms: float
    ) -> list[np.ndarray]:
        if single:
            return [model.task.encode(items[0], parameters, "inputs")]
        work = (model.task.encode(item, parameters, f"inputs[{index}]") for index, item in enumerate(items))
        try:
            return await in_turns(work, arrived + timeout_ms / 1000)
        except TimeoutError:
            raise too_late(timeout_ms) from None

    @staticmethod
    async def _decode(
        model: Model, results: list[Result], parameters: Parameters, encoded: list[np.ndarray], single: bool
    ) -> Any:
        """What stands as `outputs` in the answer: one object, or a list of them."""
        if single:
            return model.task.answer(results[0].outputs, parameters, encoded[0], "inputs")
        return await in_turns(
            model.task.answer(result.outputs, parameters, inputs, f"inputs[{index}]")
            for index, (result, inputs) in enumerate(zip(results, encoded, strict=True))
        )

    async def _wait(self, model: Model, call: Call, timeout_ms: float, receive: Receive) -> list[Result]:
        watch = self._watches.start(Watch(call, timeout_ms, receive))
        try:
            return await call.future
        except asyncio.CancelledError:
            model.lane.abandon(call)
            if _is_cancelled():
                raise
            raise ClientLeft from None
        except DeadlineExceeded:
            model.lane.abandon(call)
            raise
        finally:
            self._watches.stop(watch)


def _is_cancelled() -> bool:
    """Whether it is this task that somebody cancelled, not what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
