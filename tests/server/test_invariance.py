"""The first promise: an answer does not depend on who else is asking, by not one bit."""

import asyncio

import httpx
import pytest

from tests.processes import serving
from tests.server.inputs import bodies


async def post(client: httpx.AsyncClient, body: dict) -> bytes:
    answer = await client.post("/predict", json=body)
    assert answer.status_code == 200, answer.text
    return answer.content


async def alone(url: str, asked: list[dict]) -> list[bytes]:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        return [await post(client, body) for body in asked]


async def together(url: str, asked: list[dict]) -> list[bytes]:
    limits = httpx.Limits(max_connections=len(asked))
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        return await asyncio.gather(*(post(client, body) for body in asked))


def test_200_mixed_concurrent_requests_get_the_bytes_that_they_get_alone(server):
    asked = bodies(200, seed=1)
    expected = asyncio.run(alone(server.url, asked))
    for _ in range(3):
        assert asyncio.run(together(server.url, asked)) == expected
    assert len(set(expected)) > 150


@pytest.mark.parametrize("flags", [("--slots", "3", "--chunk-ms", "0.1"), ("--precision", "fp32"), ("--workers", "2")])
def test_it_holds_for_other_slots_chunks_precisions_and_workers(flags):
    asked = bodies(60, seed=2)
    with serving(*flags) as other:
        expected = asyncio.run(alone(other.url, asked))
        assert asyncio.run(together(other.url, asked)) == expected


def test_slots_and_chunks_change_no_answer(server):
    asked = bodies(40, seed=3)
    with serving("--slots", "2", "--chunk-ms", "0.05") as other:
        assert asyncio.run(alone(other.url, asked)) == asyncio.run(alone(server.url, asked))


def test_the_items_of_a_list_are_answered_as_they_are_alone(client):
    texts = [body["inputs"] for body in bodies(80, seed=4) if isinstance(body["inputs"], str)]
    listed = client.post("/predict", json={"inputs": texts}).json()["outputs"]
    assert listed == [client.post("/predict", json={"inputs": text}).json()["outputs"] for text in texts]
