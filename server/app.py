"""The ASGI application: `POST /predict` goes straight to its endpoint, everything else through FastAPI."""

import asyncio
from contextlib import suppress
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse

from models.bundle import BundleError
from server import metrics, openapi
from server.backend import DeviceUnavailable
from server.errors import AddressNotFound, InternalError, MethodNotAllowed, ServiceError, body_of, status_of
from server.predict import PredictEndpoint
from server.registry import Model
from server.request import Message, Receive, Scope, Send
from server.service import Service, logger
from server.settings import Settings

TITLE = "LSTM server"

ADDRESSES = ["POST /predict", "GET /models", "GET /health/live", "GET /health/ready", "GET /metrics", "GET /docs"]
"""Told to whoever asks for an address that does not exist."""

MOST_UNREAD_BYTES, MOST_UNREAD_SECONDS = 64 * 2**20, 5.0
"""Of a body that was sent to a wrong address, or by a wrong method."""

UNAVAILABLE: dict[int | str, dict[str, Any]] = {503: {"description": "No."}}
"""For the documentation of what answers yes or no."""


class Exposition(Response):
    """The text format of Prometheus."""

    media_type = CONTENT_TYPE_LATEST


class Application:
    """What uvicorn calls. `service` is its state, for tests and for the process that runs it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.predict = PredictEndpoint(self.service)
        self._rest = make_rest(self.service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.service.draining:
            # The client is to open another connection: this one's next request might cross with its end.
            send = _adding(send, b"connection", b"close")
        if self.is_prediction(scope):
            await self.predict(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._answer(scope, receive, send)

    @staticmethod
    def is_prediction(scope: Scope) -> bool:
        return scope["type"] == "http" and scope["path"] in ("/predict", "/predict/") and scope["method"] == "POST"

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is no prediction. A defect is answered by FastAPI before it is raised here."""
        request_id = self.service.request_ids.choose(dict(scope["headers"]))
        state = scope.get("state", {}) | {"request_id": request_id.decode()}
        scope = {**scope, "state": state, "path": scope["path"].rstrip("/") or "/"}
        if scope["method"] == "HEAD":  # uvicorn leaves out the body
            scope["method"] = "GET"
        try:
            await self._rest(scope, receive, _adding(send, b"x-request-id", request_id))
        except Exception:
            logger.exception("a defect", extra={"request_id": request_id.decode()})

    async def _live(self, receive: Receive, send: Send) -> None:
        """The ASGI lifespan. What keeps the server from starting is one sentence; a defect has a traceback."""
        await receive()
        try:
            await self.service.start()
        except (BundleError, DeviceUnavailable, metrics.NoRoom) as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        except Exception as error:
            logger.exception("a defect: the server does not start")
            await send({"type": "lifespan.startup.failed", "message": f"the models could not be loaded: {error!r}"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.service.stop()
        await send({"type": "lifespan.shutdown.complete"})


def create_app(settings: Settings) -> Application:
    return Application(Service(settings))


def _adding(send: Send, name: bytes, value: bytes) -> Send:
    """Sends an answer with one more header."""

    async def send_with_it(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), (name, value)]}
        await send(message)

    return send_with_it


def make_rest(service: Service) -> FastAPI:
    """Documentation, models, health and metrics."""

    app = FastAPIOffline(title=TITLE, version="1", openapi_url="/openapi.json", redirect_slashes=False)
    app.openapi = lambda: _document(app, service)  # type: ignore[method-assign]
    app.add_exception_handler(HTTPException, _http_error)  # type: ignore[arg-type]
    app.add_exception_handler(InternalError, _told)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, _defect)

    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        return RedirectResponse("/docs")

    @app.get("/predict", include_in_schema=False)
    async def not_predict() -> Response:
        raise HTTPException(405)

    @app.get("/models", tags=["models"], summary="The models that are loaded")
    async def models() -> dict[str, list[dict[str, Any]]]:
        return {"models": [describe(model) for model in service.registry]}

    @app.get("/health/live", tags=["health"], summary="Is the process alive?", responses=UNAVAILABLE)
    async def live() -> Response:
        return _health("broken" if service.broken else "live", not service.broken)

    @app.get("/health/ready", tags=["health"], summary="Should it get requests?", responses=UNAVAILABLE)
    async def ready() -> Response:
        status = "ready" if service.ready else "draining" if service.draining else "not ready"
        return _health(status, service.ready)

    @app.get("/metrics", tags=["metrics"], summary="Prometheus metrics of all workers", response_class=Exposition)
    async def scrape() -> Response:
        service.observer.write()
        return Exposition(await asyncio.to_thread(metrics.scrape))

    return app


def _health(status: str, fine: bool) -> Response:
    return JSONResponse({"status": status}, 200 if fine else 503)


def describe(model: Model) -> dict[str, Any]:
    """One entry of `GET /models`."""
    manifest = model.bundle.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "task": manifest.task,
        "title": manifest.title,
        "description": manifest.description,
        "precision": model.precision,
        "precisions": list(manifest.precisions),
        "device": model.device,
        "nodes": model.backend.nodes_by_provider(),
        "limits": manifest.steps.model_dump(),
        "accepts": model.task.accepts,
        "inputs": manifest.inputs.model_dump(exclude_none=True),
        "outputs": manifest.outputs.model_dump(exclude_none=True),
        "chunkable": manifest.chunkable,
        "padding": manifest.padding,
        "reasons": manifest.reasons,
        "session": manifest.session,
        "figures": manifest.figures,
        "baselines": manifest.baselines,
    }


def _document(app: FastAPI, service: Service) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, routes=app.routes, description=openapi.ABOUT)
    operation, schemas = openapi.operation(service)
    document["paths"] = {"/predict": {"post": operation}} | document["paths"]
    openapi.add_request_id(document)
    document.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
    return document


async def _http_error(request: Request, error: HTTPException) -> Response:
    """FastAPI's own refusals, in the shape of ours: no such address, or not by this method."""
    if "expect" not in request.headers:
        await _read_to_its_end(request.receive)
    given = f"{request.method} {request.url.path}"
    if error.status_code != 405:
        message = "there is nothing at this address; use one of the accepted ones"
        return _refused(AddressNotFound(message, None, given, ADDRESSES))
    if request.url.path == "/predict":
        message, allowed = "send a POST request, with a JSON body", "POST"
    else:
        allowed = (error.headers or {}).get("Allow", "GET")
        message = f"{request.method} is not allowed here; send a GET request"
    return _refused(MethodNotAllowed(message, None, given, allowed), {"Allow": allowed})


async def _read_to_its_end(receive: Receive) -> None:
    """Throws away a body that nobody asked for.

    Uvicorn may close the connection after the answer, and with bytes unread that would reset it: many clients read only
    once they have sent all, and would never see the answer.
    """
    left = MOST_UNREAD_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(MOST_UNREAD_SECONDS):
            while left > 0 and (message := await receive()).get("more_body"):
                left -= len(message["body"])


async def _told(request: Request, error: InternalError) -> Response:
    return _refused(error)


async def _defect(request: Request, error: Exception) -> Response:
    return _refused(InternalError.logged(request.state.request_id))


def _refused(error: ServiceError, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body_of(error)), status_of(error)[0], headers, "application/json")
