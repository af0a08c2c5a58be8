"""Inputs of every kind for the models of the zoo, made from a seed."""

import random
from typing import Any

from tests.server.bundles import LONGEST, NETWORKS, WORDS

TEXT = ("spam", "writer", "entities")
"""Models that take texts."""


def item(rng: random.Random, model: str, steps: int | None = None) -> Any:
    """An input of any length that the model takes."""
    network = NETWORKS[model]
    count = steps or rng.randrange(network.window, min(LONGEST, 3 + int(rng.lognormvariate(3, 1))))
    if model in TEXT and rng.random() < 0.7:
        return " ".join(rng.choice(WORDS) for _ in range(1 + count // 4))
    if network.vocabulary is not None:
        return {"tokens": [rng.randrange(network.vocabulary) for _ in range(count)]}
    rows = [[round(rng.gauss(0, 2), 3) for _ in range(network.features)] for _ in range(count)]
    return {"values": [row[0] for row in rows] if network.features == 1 else rows}


def bodies(count: int, seed: int) -> list[dict[str, Any]]:
    """Requests to all models of the zoo, a third of them lists; the networks without padding get few lengths."""
    rng, made = random.Random(seed), []
    for _ in range(count):
        model = rng.choice(sorted(NETWORKS))
        steps = rng.choice([5, 6, 30]) if NETWORKS[model].blind else None
        many = [item(rng, model, steps) for _ in range(rng.randrange(1, 5))]
        alike = [one for one in many if type(one) is type(many[0])]
        made.append({"model": model, "inputs": alike if rng.random() < 0.3 else alike[0]})
    return made
