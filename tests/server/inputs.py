"""Inputs of every kind for the shipped models, made from a seed."""

import random
from typing import Any

ENGLISH = [
    "the",
    "a",
    "film",
    "room",
    "plot",
    "not",
    "never",
    "really",
    "good",
    "bad",
    "great",
    "awful",
    "boring",
    "love",
    "hate",
    "but",
    "and",
    "was",
    "is",
    "very",
]
CHINESE = ["房间", "很", "干净", "不", "好", "服务", "差", "喜欢", "这本书", "，", "屏幕", "太", "慢", "了", "。"]


def text(rng: random.Random) -> str:
    """One to about 300 tokens, English, Chinese or both, log-normal as real texts are."""
    words = rng.choice([ENGLISH, CHINESE, ENGLISH + CHINESE])
    glue = "" if words is CHINESE else " "
    return glue.join(rng.choice(words) for _ in range(min(300, max(1, int(rng.lognormvariate(3.4, 0.9))))))


def series(rng: random.Random, smallest: int) -> dict[str, Any]:
    level, swing = rng.uniform(5, 500), rng.uniform(0.1, 3)
    length = smallest + rng.randrange(0, 80)
    return {"values": [round(level + swing * (hour % 24) + rng.gauss(0, 1), 2) for hour in range(length)]}


def bodies(count: int, seed: int) -> list[dict[str, Any]]:
    """Mixed requests to all three models, some of them lists."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        kind = rng.randrange(6)
        if kind < 3:
            inputs: Any = text(rng) if kind else [text(rng) for _ in range(rng.randrange(1, 5))]
            made.append({"model": "sentiment", "inputs": inputs})
        else:
            model, smallest = ("forecast-stock", 60) if kind == 3 else ("forecast-hourly", 168)
            made.append({"model": model, "inputs": series(rng, smallest)})
    return made
