"""BentoML with adaptive batching: bentoml serve loadtests.bench.peers.bentoml_service:Sentiment --port PORT.

Two workers, one a core; access log and metrics are off. The batcher learns from the traffic how long to wait for
company, and refuses requests that it expects to take longer than the latency that it is given.
"""

import bentoml

from loadtests.bench.classifier import Classifier

BATCH = 32
LATENCY_MS = 1000


@bentoml.service(
    workers=2,
    traffic={"timeout": 30, "max_concurrency": 1024},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Sentiment:
    def __init__(self) -> None:
        self._classifier = Classifier()

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=BATCH, max_latency_ms=LATENCY_MS, route="/predict")
    def predict(self, inputs: list[str]) -> list[dict]:
        return self._classifier(inputs)
