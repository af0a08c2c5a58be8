"""Everything beside `POST /predict`."""

import re
import time

import httpx
import jsonschema
import pytest

from tests.processes import serving


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


def test_health(client):
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").json() == {"status": "ready"}


def test_an_unknown_address_is_an_error_of_the_same_shape(client):
    answer = client.get("/nope")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_metrics_are_counted_over_all_workers():
    with serving("--workers", "2") as server:
        for _ in range(40):  # a new connection each, so that both workers get some
            assert httpx.post(f"{server.url}/predict", json={"inputs": ["good", "bad"]}).status_code == 200
        httpx.post(f"{server.url}/predict", json={"inputs": 3})
        everything = 'lstm_requests_total{model="sentiment/1",outcome="ok"} 40.0'
        while everything not in httpx.get(f"{server.url}/metrics").text:
            time.sleep(0.05)  # a worker writes its metrics a little later
        scrapes = [httpx.get(f"{server.url}/metrics").text for _ in range(8)]
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
