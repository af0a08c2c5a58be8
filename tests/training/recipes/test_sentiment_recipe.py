"""The whole recipe, from rows to a checkpoint that an exporter can score, on made-up rows."""

from pathlib import Path
from random import Random

import numpy as np
import pytest

from training import checkpoint
from training.evaluation import predict
from training.recipes import sentiment
from training.sentiment import data, subwords
from training.sentiment.data import Row

ENGLISH = (("good", "lovely", "perfect"), ("bad", "awful", "broken"), "the room film book was and very quite phone")
CHINESE = (("好", "满意", "喜欢"), ("差", "失望", "难看"), "房间 这 本书 服务 很 手机 我们 酒店 了")


def made_up(language: str, count: int, random: Random) -> list[Row]:
    positive, negative, neutral = ENGLISH if language == "en" else CHINESE
    rows = []
    for number in range(count):
        words = random.choices(neutral.split(), k=random.randint(3, 12))
        words[random.randrange(len(words))] = random.choice(positive if number % 2 else negative)
        text = (" " if language == "en" else "").join(words)
        rows.append(Row(text, float(number % 2), language, "movies" if language == "en" else "reviews"))
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = Random(0)
    sizes = {"train": 300, "validation": 80, "test": 80}
    parts = {part: (*made_up("en", size, random), *made_up("zh", size, random)) for part, size in sizes.items()}
    noisy = Row("the phone was quite awful", 1.0, "en", "noisy-tweets", scored=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "parts", lambda: parts | {"train": (*parts["train"], noisy)})
        patch.setattr(subwords, "glove", lambda: ({"good": 0, "bad": 1}, np.ones((2, 50), np.float32)))
        patch.setattr(sentiment, "ENGLISH_PIECES", 400)
        patch.setattr(sentiment, "CHINESE_PIECES", 400)
        for name in ("first", "second"):
            sentiment.fit(tmp_path_factory.getbasetemp() / name, seed=1)
        yield tmp_path_factory.getbasetemp()


def test_the_checkpoint_can_be_scored_without_knowing_the_recipe(folder: Path) -> None:
    loaded = checkpoint.load(folder / "first")
    assert loaded.description.labels == ["negative", "positive"]
    evaluation = sentiment.evaluation(loaded, "test")
    figures = evaluation.metrics(predict(loaded.network, evaluation.inputs))
    assert figures[evaluation.gate.metric] > 0.9
    reported = loaded.metrics["test"]["by_language"]
    assert figures["accuracy_en"] == reported["en"]["accuracy"]
    assert figures["accuracy_zh"] == reported["zh"]["accuracy"]


def test_the_report_has_baselines_sources_errors_behaviour_and_the_curve(folder: Path) -> None:
    metrics = checkpoint.load(folder / "first").metrics
    for split in ("validation", "test"):
        assert metrics[split]["by_source"].keys() == {"movies", "reviews"}
        assert metrics[split]["baselines"].keys() == {"tf-idf", "nb-lr"}
        assert {"accuracy", "f1", "auc", "ece", "ece_uncalibrated"} <= metrics[split]["by_language"]["en"].keys()
    assert metrics["temperature"] > 0
    assert metrics["behaviour"]["negation"]["cases"] == 10
    assert len(metrics["training_curve"]) >= 4
    assert all(error["positive"] > 0.5 or error["label"] == "positive" for error in metrics["errors"])


def test_the_same_seed_gives_the_same_figures(folder: Path) -> None:
    first, second = (checkpoint.load(folder / name).metrics for name in ("first", "second"))
    assert first == second
