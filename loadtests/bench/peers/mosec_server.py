"""mosec, tuned: python mosec_server.py --port PORT --address 127.0.0.1, with MOSEC_BATCH=8 or 32.

Two worker processes (one a core) that each tokenize and run whole batches. A batch waits for company no longer than a
millisecond, the shortest that mosec can be told; msgspec reads and writes the JSON, since the standard library would be
slower.
"""

import os

import msgspec
from mosec import Server, Worker

from loadtests.bench.classifier import Classifier

WORKERS = 2
WAIT_MS = 1
BATCH = int(os.environ.get("MOSEC_BATCH", "8"))


class PredictRequest(msgspec.Struct):
    inputs: str


class Sentiment(Worker):
    def __init__(self) -> None:
        self._classifier = Classifier()
        self._decode = msgspec.json.Decoder(PredictRequest).decode

    def deserialize(self, data: bytes) -> str:
        return self._decode(data).inputs

    def forward(self, data: list[str]) -> list[dict]:
        return self._classifier(data)

    def serialize(self, data: dict) -> bytes:
        return msgspec.json.encode({"outputs": data})


if __name__ == "__main__":
    server = Server()
    server.append_worker(Sentiment, num=WORKERS, max_batch_size=BATCH, max_wait_time=WAIT_MS, route="/predict")
    server.run()
