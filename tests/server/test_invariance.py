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
    for _ in range(2):
        assert asyncio.run(together(server.url, asked)) == expected
    assert len(set(expected)) > 150


@pytest.mark.parametrize(
    "flags", [("--slots", "2", "--chunk-ms", "0.05"), ("--workers", "2"), ("--precision", "fp32")], ids=" ".join
)
def test_it_holds_for_other_slots_chunks_workers_and_precisions(server, flags):
    """And only another precision may give other answers."""
    asked = bodies(60, seed=2)
    with serving(*flags) as other:
        expected = asyncio.run(alone(other.url, asked))
        assert asyncio.run(together(other.url, asked)) == expected
    if "--precision" not in flags:
        assert expected == asyncio.run(alone(server.url, asked))


def test_the_items_of_a_list_are_answered_as_they_are_alone(client):
    texts = [body["inputs"] for body in bodies(80, seed=4) if isinstance(body["inputs"], str)]
    listed = client.post("/predict", json={"inputs": texts}).json()["outputs"]
    assert listed == [client.post("/predict", json={"inputs": text}).json()["outputs"] for text in texts]
