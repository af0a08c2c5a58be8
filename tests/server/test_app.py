"""Everything beside `POST /predict`."""

import asyncio
import json
import re
import time
import urllib.error
import urllib.request

import httpx
import jsonschema
import numpy as np
import pytest

from server import app, openapi
from server.engine.engine import Engine
from server.engine.lane import ChunkedLane
from server.errors import Overloaded, body_of
from server.settings import Settings
from tests.processes import serving, until
from tests.server.engine.fakes import SHAPE, SummingBackend, cost, policy
from tests.server.test_predict import check_error


def test_the_root_leads_to_the_documentation(client):
    answer = client.get("/", follow_redirects=True)
    assert answer.status_code == 200
    assert answer.url.path == "/docs"


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_documentation_loads_nothing_from_other_hosts(client, page):
    text = client.get(page).text
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)["']""", text)
    assert loaded
    for address in loaded:
        assert address.startswith("/") or address.startswith("data:"), address
        assert address.startswith("data:") or client.get(address).status_code == 200
    assert "//" not in re.sub(r"<!--.*?-->", "", "".join(loaded))


def test_every_example_of_the_documentation_works(client):
    document = client.get("/openapi.json").json()
    examples = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert {name.split(":")[0] for name in examples} == {"sentiment", "forecast-hourly", "forecast-stock"}
    for example in examples.values():
        answer = client.post("/predict", json=example["value"])
        assert answer.status_code == 200, answer.text
        check(document, "Prediction", answer.json())
        check(document, "PredictRequest", example["value"])


def test_errors_are_what_the_documentation_says(client):
    document = client.get("/openapi.json").json()
    check(document, "Error", client.post("/predict", json={}).json())


def shown_errors(document: dict, status: int) -> list[dict]:
    """What the documentation shows for a status, without what the request decides: its id."""
    content = document["paths"]["/predict"]["post"]["responses"][str(status)]["content"]["application/json"]
    return [example["value"] for example in content["examples"].values()]


def test_the_errors_that_the_documentation_shows_are_those_that_come(server, client):
    document = client.get("/openapi.json").json()
    json = {"content-type": "application/json"}
    bodies = openapi.BAD_BODIES
    assert shown_errors(document, 422) == [client.post("/predict", content=b, headers=json).json() for b in bodies]
    (missing,) = shown_errors(document, 404)
    assert missing == client.post("/predict", json={"model": missing["error"]["given"], "inputs": "a"}).json()
    assert "did you mean" in missing["error"]["message"]
    plain = client.post("/predict", content=b"{}", headers={"content-type": "text/plain"})
    assert shown_errors(document, 415) == [plain.json()]
    assert shown_errors(document, 413) == [client.post("/predict", content=b" " * (4 * 2**20 + 1), headers=json).json()]
    (late,) = shown_errors(document, 504)
    given = {"timeout_ms": late["error"]["given"]}
    assert late["error"]["given"] == 50
    assert late == client.post("/predict", json={"inputs": ["good " * 300] * 256, "parameters": given}).json()
    for status in ("404", "408", "413", "415", "422", "500", "503", "504"):
        for error in shown_errors(document, int(status)):
            check(document, "Error", error)


def test_the_refusals_of_a_full_and_of_a_stopping_server_are_shown_as_they_are(client):
    shown = shown_errors(client.get("/openapi.json").json(), 503)

    async def refusals() -> list[dict]:
        engine, slots = Engine(4096), policy()
        lane = ChunkedLane("forecast-hourly/1", SummingBackend(), SHAPE, cost(slots.slots), slots)
        series = np.ones(1, np.int64)
        engine.submit(lane, [series] * 4096)
        with pytest.raises(Overloaded) as full:
            engine.submit(lane, [series] * 4)
        await engine.drain()
        with pytest.raises(Overloaded) as stopping:
            engine.submit(lane, [series])
        return [body_of(refused.value) for refused in (full, stopping)]

    assert shown == asyncio.run(refusals())


def check(document: dict, schema: str, value: object) -> None:
    jsonschema.validate(value, {"$ref": f"#/components/schemas/{schema}", "components": document["components"]})


def test_models_are_described(client):
    models = {model["name"]: model for model in client.get("/models").json()["models"]}
    assert set(models) == {"sentiment", "forecast-hourly", "forecast-stock"}
    for model in models.values():
        assert model["precision"] in model["precisions"]
        assert set(model["nodes"]) == {"CPUExecutionProvider"}
        assert model["figures"]
        assert model["limits"]["largest"] > model["limits"]["smallest"]


def test_health_and_metrics_are_described_as_they_answer(client):
    paths = client.get("/openapi.json").json()["paths"]
    for address in ("/health/live", "/health/ready"):
        assert set(paths[address]["get"]["responses"]) == {"200", "503"}
    (media,) = paths["/metrics"]["get"]["responses"]["200"]["content"]
    assert client.get("/metrics").headers["content-type"] == media


def test_the_metrics_of_a_model_are_there_before_its_first_request(zoo_folder):
    with serving("--models", str(zoo_folder)) as server:
        text = httpx.get(f"{server.url}/metrics").text
        names = [model["name"] for model in httpx.get(f"{server.url}/models").json()["models"]]
    for name in names:
        assert f'lstm_waiting_sequences{{model="{name}/1"}} 0.0' in text
        assert f'lstm_requests_total{{model="{name}/1",outcome="ok"}} 0.0' in text


def test_health(client):
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").json() == {"status": "ready"}


@pytest.mark.parametrize("path", ["/models", "/health/ready", "/docs", "/predict"])
def test_a_slash_at_the_end_changes_nothing(client, path):
    with_it, without = (client.get(address, headers={"x-request-id": "1"}) for address in (f"{path}/", path))
    assert (with_it.status_code, with_it.content) == (without.status_code, without.content)
    assert with_it.status_code == (405 if path == "/predict" else 200)


def test_predictions_at_the_address_with_a_slash_are_predictions(client):
    body = {"inputs": "good"}
    assert client.post("/predict/", json=body).content == client.post("/predict", json=body).content


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/redoc", "/models", "/health/live", "/health/ready", "/metrics", "/predict", "/nope"]
)
def test_a_head_is_that_of_the_answer_to_get(client, path):
    head, whole = client.head(path), client.get(path)
    assert head.status_code == whole.status_code
    assert head.content == b""
    names = ("content-type", "location", "allow") + (() if path == "/metrics" else ("content-length",))
    assert [head.headers.get(name) for name in names] == [whole.headers.get(name) for name in names]


def listed(document: dict) -> set[str]:
    """The addresses of the documentation, as errors name them, and the documentation's own."""
    found = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    return found | {"GET /docs"}


@pytest.mark.parametrize("path", ["/nope", "/models/nope", "/static-offline-docs/nope.js"])
def test_an_unknown_address_is_told_those_that_there_are(client, path):
    document = client.get("/openapi.json").json()
    answer = client.get(path)
    error = check_error(answer, 404)
    check(document, "Error", answer.json())
    assert error["code"] == "not_found"
    assert error["given"] == f"GET {path}"
    assert set(error["accepted"]) == listed(document)


@pytest.mark.parametrize("path", ["/static-offline-docs", "/static-offline-docs/"])
def test_a_folder_of_pages_is_no_address_and_redirects_to_none(client, path):
    assert check_error(client.get(path), 404)["code"] == "not_found"


@pytest.mark.parametrize(("path", "status"), [("/nope", 404), ("/models", 405)])
def test_who_reads_only_after_sending_a_body_to_a_wrong_address_gets_its_answer(server, path, status):
    """Such as urllib, which has its connections closed."""
    for _ in range(10):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server.url}{path}", b"x" * 2**20, timeout=30)
        with refused.value as answer:
            assert answer.status == status
            assert json.loads(answer.read())["error"]["given"] == f"POST {path}"


def test_a_body_without_an_end_to_a_wrong_address_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(app, "MOST_UNREAD_BYTES", 100)
    monkeypatch.setattr(app, "MOST_UNREAD_SECONDS", 0.1)
    scope = {"type": "http", "method": "POST", "path": "/nope", "query_string": b"", "headers": []}
    sent: list[dict] = []

    async def more() -> dict:
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def nothing() -> dict:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict) -> None:
        sent.append(message)

    for receive in (more, nothing):
        asyncio.run(asyncio.wait_for(app.create_app(Settings())(scope, receive, send), 10))
    assert [message["status"] for message in sent if "status" in message] == [404, 404]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        *((method, "/predict", "POST") for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")),
        ("POST", "/models", "GET"),
        ("DELETE", "/health/ready", "GET"),
    ],
)
def test_another_method_is_told_which_one_to_use(client, method, path, allowed):
    answer = client.request(method, path)
    error = check_error(answer, 405)
    assert error["code"] == "method_not_allowed"
    assert f"send a {allowed} request" in error["message"]
    assert answer.headers["allow"] == error["accepted"] == allowed


ANSWERS = {
    "a page": ("GET", "/docs", 200),
    "a part of a page": ("GET", "/static-offline-docs/swagger-ui.css", 200),
    "a redirection": ("GET", "/", 307),
    "JSON": ("GET", "/models", 200),
    "health": ("GET", "/health/live", 200),
    "metrics": ("GET", "/metrics", 200),
    "only a head": ("HEAD", "/openapi.json", 200),
    "an unknown address": ("GET", "/nope", 404),
    "another method": ("GET", "/predict", 405),
    "an error of the request": ("POST", "/predict", 415),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_every_answer_has_a_request_id(client, case):
    method, path, status = ANSWERS[case]
    for sent, back in ((b"mine-1", True), (b"~" * 128, True), (b"a b\tc", False), (b"x" * 129, False), (b"", False)):
        answer = client.request(method, path, headers={"x-request-id": sent})
        assert answer.status_code == status
        (found,) = answer.headers.get_list("x-request-id")
        assert (found.encode() == sent) == back
        assert re.fullmatch(r"[!-~]{1,128}", found)
    made_up = {client.request(method, path).headers["x-request-id"] for _ in range(3)}
    assert len(made_up) == 3


def test_the_documentation_says_that_every_answer_has_a_request_id(client):
    document = client.get("/openapi.json").json()
    answers = [
        answer
        for path in document["paths"].values()
        for operation in path.values()
        for answer in operation["responses"].values()
    ]
    assert len(answers) > 10
    for answer in answers:
        assert answer["headers"]["X-Request-ID"]["required"]


def test_a_defect_beside_predictions_is_logged_under_its_id(tmp_path, caplog):
    application = app.create_app(Settings(models=tmp_path))
    application.service.registry = [None]  # type: ignore[assignment]

    async def ask(*addresses: str) -> list[httpx.Response]:
        transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as visitor:
            return [await visitor.get(address, headers={"x-request-id": "why-1"}) for address in addresses]

    answer, after = asyncio.run(ask("/models", "/health/live"))
    assert after.status_code == 200
    error = check_error(answer, 500)
    assert error["code"] == "internal_error"
    assert "why-1" in error["message"]
    assert answer.headers["x-request-id"] == "why-1"
    (line,) = [record for record in caplog.records if record.message == "a defect"]
    assert line.request_id == "why-1"


def test_metrics_are_counted_over_all_workers():
    apart = {"connection": "close"}  # a new connection each, so that both workers get some
    with serving("--workers", "2") as server, httpx.Client(base_url=server.url, headers=apart, timeout=30) as client:
        until(lambda: len(server.logged("Application startup complete.")) == 2)
        for _ in range(40):
            assert client.post("/predict", json={"inputs": ["good", "bad"]}).status_code == 200
        client.post("/predict", json={"inputs": 3})
        everything = 'lstm_requests_total{model="sentiment/1",outcome="ok"} 40.0'
        while everything not in client.get("/metrics").text:
            time.sleep(0.05)  # a worker writes its metrics a little later
        scrapes = [client.get("/metrics").text for _ in range(8)]
    for scrape in scrapes:
        assert value(scrape, "lstm_requests_total", model="sentiment/1", outcome="ok") == 40
        assert value(scrape, "lstm_requests_total", model="", outcome="invalid_request") == 1
        assert value(scrape, "lstm_queue_seconds_count", model="sentiment/1") == 40
        assert value(scrape, "lstm_model_workers", model="sentiment/1") == 2
        assert value(scrape, "lstm_time_steps_total", model="sentiment/1") > 0
        assert value(scrape, "lstm_waiting_sequences", model="sentiment/1") == 0


def value(scrape: str, name: str, **labels: str) -> float:
    for line in scrape.splitlines():
        if line.startswith(f"{name}{{") and all(f'{key}="{text}"' in line for key, text in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no {name} with {labels}")
