"""What a caller sees: right answers, and for everything else an error of one shape."""

import asyncio
import json
import random
import re
import socket
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from server.app import Application
from server.errors import InvalidRequest
from server.metrics import REQUESTS
from server.request import Receive
from tests.processes import serving
from tests.server.engine.fakes import Clock, SummingBackend, TickingBackend, cost, run
from tests.server.graphs import Network
from tests.server.inputs import series
from tests.server.inside import SUMS, answering

HOURLY = series(random.Random(0), 168)
STOCK = series(random.Random(1), 60)
JSON = {"content-type": "application/json"}


def predict(client: httpx.Client, **body) -> httpx.Response:
    return client.post("/predict", json=body)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("I loved every minute of it, a wonderful film.", "positive"),
        ("What a terrible waste of time and money.", "negative"),
        ("房间很干净，服务也很好，下次还会来。", "positive"),
        ("质量太差了，非常失望，不推荐。", "negative"),
    ],
)
def test_sentiment_of_plain_sentences(client, text, label):
    answer = predict(client, model="sentiment", inputs=text).json()
    assert answer["model"] == "sentiment"
    output = answer["outputs"]
    assert output["label"] == label
    assert output["score"] == output["probabilities"][label] > 0.5
    assert sum(output["probabilities"].values()) == pytest.approx(1, abs=1e-6)


def test_one_in_one_out_a_list_in_a_list_out(client):
    assert isinstance(predict(client, inputs="good").json()["outputs"], dict)
    assert [type(output) for output in predict(client, inputs=["good"]).json()["outputs"]] == [dict]
    assert len(predict(client, inputs=["good", "bad", "好"]).json()["outputs"]) == 3


@pytest.mark.parametrize(("model", "given", "horizon"), [("forecast-hourly", HOURLY, 24), ("forecast-stock", STOCK, 5)])
def test_a_forecast_has_ordered_quantiles_around_its_median(client, model, given, horizon):
    output = predict(client, model=model, inputs=given).json()["outputs"]
    assert set(output["quantiles"]) == {"0.1", "0.5", "0.9"}
    assert output["median"] == output["quantiles"]["0.5"]
    assert len(output["median"]) == horizon
    for low, middle, high in zip(*(output["quantiles"][level] for level in ("0.1", "0.5", "0.9")), strict=True):
        assert low <= middle <= high


def test_a_shorter_horizon_is_the_beginning_of_a_longer_one(client):
    def ask(horizon: int) -> list[float]:
        answer = predict(client, model="forecast-hourly", inputs=HOURLY, parameters={"horizon": horizon})
        return answer.json()["outputs"]["median"]

    assert ask(48)[:6] == ask(6)


def test_only_the_quantiles_that_were_asked_for_come_back(client):
    parameters = {"quantiles": [0.9]}
    output = predict(client, model="forecast-hourly", inputs=HOURLY, parameters=parameters).json()["outputs"]
    assert list(output["quantiles"]) == ["0.9"]


def test_a_model_may_be_named_by_its_task_or_left_out_where_only_one_fits(client):
    expected = predict(client, model="sentiment", version=1, inputs="good").content
    assert predict(client, inputs="good").content == expected
    assert predict(client, model="text-classification", inputs="good").content == expected


def test_the_time_in_queue_and_in_compute_is_told(client):
    timing = predict(client, inputs="good").headers["server-timing"]
    parts = dict(part.strip().split(";dur=") for part in timing.split(","))
    assert float(parts["queue"]) >= 0
    assert float(parts["compute"]) > 0


def test_a_request_id_comes_back_or_is_made_up(client):
    sent = client.post("/predict", json={"inputs": "good"}, headers={"x-request-id": "mine-1"})
    assert sent.headers["x-request-id"] == "mine-1"
    made = [predict(client, inputs="good").headers["x-request-id"] for _ in range(2)]
    assert len(set(made)) == 2
    hostile = client.post("/predict", json={"inputs": "good"}, headers={"x-request-id": "a b\tc"})
    assert hostile.headers["x-request-id"] != "a b\tc"


def test_a_failure_is_one_log_line_with_its_request_id(server, client):
    client.post("/predict", json={"inputs": 3}, headers={"x-request-id": "find-me"})
    client.post("/predict", json={"inputs": 3}, headers={"x-request-id": "after-it"})
    while not any(line.get("request_id") == "after-it" for line in server.log):
        time.sleep(0.01)
    lines = [line for line in server.log if line.get("request_id") == "find-me"]
    assert len(lines) == 1
    assert lines[0]["status"] == 422
    assert lines[0]["field"] == "inputs"


def hourly(values: list, **parameters) -> dict:
    return {"model": "forecast-hourly", "inputs": {"values": values}, "parameters": parameters}


def stock(*series: list) -> dict:
    return {"model": "forecast-stock", "inputs": [{"values": values} for values in series]}


def text(inputs: object = "a", **parameters) -> dict:
    return {"inputs": inputs, "parameters": parameters}


VALUES = HOURLY["values"]
WRONG = {
    "unknown model": ({"model": "nope", "inputs": "a"}, 404, "model", "sentiment"),
    "a misspelt model": ({"model": "Sentimnt", "inputs": "a"}, 404, "model", "sentiment"),
    "unknown version": ({"model": "sentiment", "version": 99, "inputs": "a"}, 404, "version", "1"),
    "no inputs": ({"model": "sentiment"}, 422, "inputs", "a text"),
    "inputs of a wrong type": (text(3), 422, "inputs", "text"),
    "null": (text(None), 422, "inputs", "text"),
    "an empty list": (text([]), 422, "inputs", "1 to"),
    "too long a list": (text(["a"] * 257), 422, "inputs", "256"),
    "a mixed list": (text(["a", HOURLY]), 422, "inputs[1]", "one kind"),
    "a number among texts": (text(["a", 7]), 422, "inputs[1]", None),
    "an empty text": (text(""), 422, "inputs", None),
    "white space": (text(["good", " \n\t"]), 422, "inputs[1]", None),
    "a long text": (text("good " * 5000), 422, "inputs", "at most"),
    "text for a forecast": ({"model": "forecast-hourly", "inputs": "a"}, 422, "inputs", "values"),
    "a series for sentiment": ({"model": "sentiment", "inputs": HOURLY}, 422, "inputs", "a text"),
    "a series without a model": ({"inputs": HOURLY}, 422, "model", "forecast-hourly"),
    "too short a series": (hourly([1.0] * 10), 422, "inputs.values", "168"),
    "too short a stock": (stock(STOCK["values"], [1.0]), 422, "inputs[1].values", "60"),
    "a text in a series": (hourly([1, "2"]), 422, "inputs.values[1]", None),
    "null in a series": (hourly([None]), 422, "inputs.values[0]", None),
    "true in a series": (hourly([True]), 422, "inputs.values[0]", None),
    "a nested series": (hourly([[1.0, 2.0]] * 200), 422, "inputs.values[0]", "one number"),
    "a ragged series": (hourly([1.0, [2.0]] * 200), 422, "inputs.values[1]", "one number"),
    "too large a value": (hourly([1e39] * 200), 422, "inputs.values[0]", "1e+30"),
    "too long a series": (hourly([1.0] * 9000), 422, "inputs.values", "8760"),
    "a price of zero": (stock([0.0, *STOCK["values"]]), 422, "inputs[0].values[0]", "above 0"),
    "a field in the wrong place": ({"inputs": "a", "truncate": True}, 422, "truncate", "parameters"),
    "an untrained horizon": (hourly(VALUES, horizon=49), 422, "parameters.horizon", "48"),
    "horizon 0": (hourly(VALUES, horizon=0), 422, "parameters.horizon", "1 to"),
    "an untrained quantile": (hourly(VALUES, quantiles=[0.5, 0.25]), 422, "parameters.quantiles[1]", "0.1"),
    "truncate for a series": (hourly(VALUES, truncate=True), 422, "parameters.truncate", None),
    "a horizon for text": (text(horizon=3), 422, "parameters.horizon", None),
    "an unknown parameter": (text(temperature=1), 422, "parameters.temperature", "timeout_ms"),
    "a negative timeout": (text(timeout_ms=-1), 422, "parameters.timeout_ms", None),
    "an endless timeout": (text(timeout_ms=1e30), 422, "parameters.timeout_ms", None),
    "a list as the body": ([1], 422, None, "an object"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_named(client, case):
    body, status, field, accepted = WRONG[case]
    answer = client.post("/predict", json=body)
    error = check_error(answer, status)
    assert error["field"] == field
    if accepted is not None:
        assert accepted in json.dumps(error["accepted"])


LONG = "x" * 300_000
ENDLESS = {
    "a name": {"model": LONG, "inputs": "a"},
    "a field": {LONG: 1, "inputs": "a"},
    "a parameter": {"inputs": "a", "parameters": {LONG: 1}},
    "a field of an input": {"inputs": [{LONG: 1}]},
    "a value": {"inputs": "a", "parameters": {"horizon": LONG}},
    "a time step": {"inputs": {"values": [LONG]}},
    "a list of names": {"inputs": "a", "model": [LONG]},
    "a whole number": {"inputs": {"tokens": [10**3000]}, "model": "sentiment"},
}


@pytest.mark.parametrize("case", ENDLESS)
def test_a_refusal_and_its_line_in_the_log_are_short_whatever_was_sent(server, client, case):
    answer = client.post("/predict", json=ENDLESS[case], headers={"x-request-id": case.replace(" ", "-")})
    assert 400 <= answer.status_code < 500
    assert len(answer.content) < 1500
    error = answer.json()["error"]
    assert "…" in error["message"] or "…" in str(error["given"]) or "…" in error["field"]
    while not (lines := [line for line in server.log if line.get("request_id") == case.replace(" ", "-")]):
        time.sleep(0.01)
    assert len(json.dumps(lines)) < 1500


def test_the_end_of_a_message_is_never_cut_off():
    error = InvalidRequest(f"there is no {LONG}; take another one", LONG, {"a": [LONG]})
    assert error.args[0].startswith("there is no xx")
    assert error.args[0].endswith("xx; take another one")
    assert (len(error.args[0]), len(error.field or "")) == (501, 121)
    assert error.given == '{"a":["' + "x" * 93 + "…"


RAW = {
    "nothing": b"",
    "broken JSON": b'{"inputs": "a"',
    "trailing bytes": b'{"inputs": "a"} x',
    "NaN": b'{"model": "forecast-hourly", "inputs": {"values": [NaN]}}',
    "infinity": b'{"model": "forecast-hourly", "inputs": {"values": [Infinity]}}',
    "more than float64": b'{"model": "forecast-hourly", "inputs": {"values": [1e999]}}',
    "a lone surrogate": b'{"inputs": "\\ud800"}',
    "a lone low surrogate": b'{"inputs": "a \\udc00 b"}',
    "invalid UTF-8": b'{"inputs": "\xff\xfe"}',
    "UTF-16": '{"inputs": "a"}'.encode("utf-16"),
    "deep nesting": b"[" * 100_000,
    "deep nesting in a field": b'{"inputs": ' + b"[" * 100_000,
}


@pytest.mark.parametrize("case", RAW)
def test_bytes_that_are_no_request(client, case):
    check_error(client.post("/predict", content=RAW[case], headers=JSON), 422)


def check_error(answer: httpx.Response, status: int) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "field", "given", "accepted"}
    assert "Traceback" not in answer.text
    assert "/" not in (error["message"].replace("application/json", ""))
    return error


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(client, media):
    error = check_error(client.post("/predict", content=b"{}", headers={"content-type": media}), 415)
    assert error["accepted"] == "application/json"


def test_a_content_type_may_have_parameters(client):
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert client.post("/predict", content=b'{"inputs": "good"}', headers=headers).status_code == 200


def test_a_long_text_is_cut_when_that_is_asked_for(client):
    for text in ("good " * 5000, "x" * 300_000):
        assert predict(client, inputs=text, parameters={"truncate": True}).status_code == 200


@pytest.mark.parametrize("text", ["🙂🙃", "é\u0301", "\u202eabc", "a\x00b", "\ufeff好", "𠀀𠀁", "👩‍👩‍👧"])
def test_any_unicode_text_is_answered(client, text):
    assert predict(client, inputs=text).status_code == 200


@pytest.mark.parametrize(
    "values", [[0.0] * 200, [5.0] * 200, [9e29] * 200, [-1e-30] * 200, [1e9 + i for i in range(200)]]
)
def test_any_finite_series_is_answered_with_finite_numbers(client, values):
    answer = predict(client, model="forecast-hourly", inputs={"values": values})
    assert answer.status_code == 200
    assert None not in answer.json()["outputs"]["median"]


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(server):
    answer = raw(
        server.url,
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"\r\nconnection: close\r\n" in answer


def test_a_body_that_does_not_say_how_large_it_is_is_counted(client):
    def chunks():
        yield b'{"inputs": "'
        for _ in range(80):
            yield b"a" * 65536
        yield b'"}'

    try:
        check_error(client.post("/predict", content=chunks(), headers=JSON), 413)
    except (httpx.WriteError, httpx.RemoteProtocolError):
        pytest.fail("the connection was closed before the answer could be read")


def test_a_client_that_closes_after_its_answer_gets_it_although_it_sent_too_much(server):
    """Such as urllib, which reads only once it has sent everything."""
    request = urllib.request.Request(f"{server.url}/predict", b"x" * (20 * 2**20), JSON)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    with refused.value as answer:
        assert answer.status == 413
        assert json.loads(answer.read())["error"]["code"] == "body_too_large"


def raw(url: str, request: bytes) -> bytes:
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(65536)


def test_a_compressed_body_is_refused_by_name(client):
    answer = client.post("/predict", content=b"x", headers={**JSON, "content-encoding": "gzip"})
    assert check_error(answer, 415)["field"] == "Content-Encoding"


def test_a_body_that_does_not_arrive_is_not_waited_for():
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"
    with serving("--timeout-ms", "300") as impatient:
        answer = raw(impatient.url, head)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"\r\nconnection: close\r\n" in answer


def test_a_deadline_that_passes_is_504_and_the_server_goes_on(client):
    texts = ["good " * 150] * 256
    error = check_error(predict(client, inputs=texts, parameters={"timeout_ms": 0.01}), 504)
    assert error["field"] == "parameters.timeout_ms"
    assert predict(client, inputs="good").status_code == 200


@pytest.mark.parametrize(("many", "field"), [(False, "inputs.values"), (True, "inputs[1].values")])
def test_an_answer_that_is_no_number_names_its_input_and_counts_for_its_model(tmp_path, many, field):
    class Overflowing:
        def run(self, inputs, lengths, state):
            return np.where(inputs[:, :1, 0] > 1e20, np.inf, 1).astype(np.float32), state

    async def answer() -> httpx.Response:
        wild = {"values": [1e25]}
        async with (
            answering(tmp_path, Network(1), Overflowing()) as (app, _),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client,  # type: ignore[arg-type]
        ):
            return await client.post("/predict", json={"inputs": [{"values": [1.0]}, wild] if many else wild})

    count = REQUESTS.labels("signals/1", "invalid_request")
    before = count._value.get()
    error = check_error(asyncio.run(answer()), 422)
    assert error["field"] == field
    assert "range of float32" in error["message"]
    assert count._value.get() == before + 1


def tokens(*counts: int, **parameters) -> bytes:
    """A request with as many token ids in each of its inputs."""
    return json.dumps({"inputs": [{"tokens": [1] * count} for count in counts], "parameters": parameters}).encode()


async def ask(app: Application, body: bytes, receive: Receive | None = None) -> tuple[int, dict[str, str], dict]:
    """(status, headers, body) of the answer; status 0 if the caller has left."""
    raw = [(b"content-type", b"application/json")]
    reply = await app.predict.reply(raw, receive or asyncio.Event().wait, body)  # type: ignore[arg-type]
    if reply is None:
        return 0, {}, {}
    status, headers, content = reply
    return status, {name.decode(): value.decode() for name, value in headers}, json.loads(content)


async def leave() -> dict:
    return {"type": "http.disconnect"}


@pytest.mark.parametrize("leaves", [True, False], ids=["the caller leaves", "the deadline passes"])
def test_nothing_more_is_done_for_a_call_that_nobody_waits_for(tmp_path, leaves):
    class Slow(SummingBackend):
        def run(self, inputs, lengths, state):
            time.sleep(0.001)
            return super().run(inputs, lengths, state)

    async def main() -> None:
        backend, left = Slow(), REQUESTS.labels("signals/1", "client_left")._value
        async with answering(tmp_path, SUMS, backend, slots=1, chunk_ms=1e-6) as (app, lane):
            before = left.get()
            if leaves:
                status, _, _ = await ask(app, tokens(9000, 9000), leave)
            else:
                status, _, _ = await ask(app, tokens(9000, 9000, timeout_ms=20))
            ran = len(backend.calls)
            while not lane.idle and len(backend.calls) <= ran + 1:
                await asyncio.sleep(0)
            assert status == (0 if leaves else 504)
            assert left.get() - before == leaves
            assert (lane.running, len(lane.waiting)) == (0, 0)

    run(main())


def test_who_is_sent_away_is_told_when_to_come_back_and_nobody_else(tmp_path):
    async def main() -> None:
        async with answering(tmp_path, SUMS, SummingBackend(), slots=1, max_items=2, queue_limit=2) as (app, lane):
            first = asyncio.create_task(ask(app, tokens(9000, 9000)))
            while lane.idle:
                await asyncio.sleep(0)
            full = await ask(app, tokens(1, 1))
            answered, wrong = await first, await ask(app, tokens(0))
            await app.service.stop()
            stopping = await ask(app, tokens(1))
        for (status, headers, body), code in ((full, "overloaded"), (stopping, "draining")):
            assert (status, body["error"]["code"]) == (503, code)
            assert headers["retry-after"] == "1"
        assert (answered[0], wrong[0]) == (200, 422)
        assert "retry-after" not in answered[1] | wrong[1]

    run(main())


def test_the_time_in_queue_and_in_compute_is_the_time_that_the_answer_took(tmp_path, monkeypatch):
    """Of two who come at once, and run one after the other; what time it is the backend says."""
    clock = Clock()
    for module in ("engine.engine", "predict", "tasks.lists", "watch"):
        monkeypatch.setattr(f"server.{module}.time", clock)

    async def main() -> None:
        backend = TickingBackend(clock, cost(1, overhead=0.25, step=0.125))
        async with answering(tmp_path, SUMS, backend, slots=1) as (app, _):

            async def time_of(steps: int) -> tuple[float, float]:
                started = clock.now
                status, headers, _ = await ask(app, tokens(steps))
                assert status == 200
                parts = re.findall(r"(queue|compute);dur=([\d.]+)", headers["server-timing"])
                assert [name for name, _ in parts] == ["queue", "compute"]
                queue, compute = (float(milliseconds) / 1000 for _, milliseconds in parts)
                assert queue + compute == pytest.approx(clock.now - started, abs=2e-6)
                return queue, compute

            times = await asyncio.gather(time_of(3), time_of(2))
        assert sorted(queue > 0 for queue, _ in times) == [False, True]
        assert all(compute > 0 for _, compute in times)

    run(main())


@pytest.mark.parametrize(("given", "status", "level"), [(666, 500, "ERROR"), (1000, 422, "INFO")])
def test_failures_of_the_server_are_errors_in_the_log_and_those_of_callers_are_not(
    tmp_path, caplog, given, status, level
):
    async def main() -> None:
        async with answering(tmp_path, SUMS, SummingBackend()) as (app, _):
            assert (await ask(app, json.dumps({"inputs": {"tokens": [given]}}).encode()))[0] == status

    caplog.set_level("INFO")
    run(main())
    (line,) = [record for record in caplog.records if record.name == "server.predict"]
    assert (line.levelname, line.status) == (level, status)


def test_callers_who_leave_disturb_nobody(server, client):
    body = json.dumps({"inputs": ["good " * 150] * 256}).encode()
    head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    place = urlsplit(server.url)
    for _ in range(20):
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall(head.encode() + body)
    assert predict(client, inputs="good").status_code == 200


def test_garbage_on_the_socket_disturbs_nobody(server, client):
    head, body = raw(server.url, b"\x16\x03\x01\x02\x00 nonsense\r\n\r\n").split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert re.search(rb"\r\nx-request-id: [!-~]+\r\n", head)
    assert b"\r\ncontent-length: %d\r\n" % len(body) in head
    assert json.loads(body)["error"]["code"] == "bad_request"
    assert predict(client, inputs="good").status_code == 200
