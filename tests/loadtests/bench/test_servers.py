import sys

import pytest

from loadtests.bench import saturation
from loadtests.bench.classifier import Classifier
from loadtests.bench.servers import Server, ServerFailed, ours, running, tutorial
from loadtests.workload import Texts


def test_the_tutorials_server_does_the_same_job(tmp_path):
    texts = Texts.read().mixed(12)
    alone = [Classifier()([text])[0] for text in texts]
    server = tutorial(1)
    with running(server, tmp_path) as found:
        answers = [server.one_answer(found.ask(server.body(text))) for text in texts]
        several = found.ask(b'{"inputs": ["good", "bad"]}')["outputs"]
    assert answers == alone
    assert [answer["label"] for answer in several] == ["positive", "negative"]
    assert found.process.poll() is not None


def test_ours_answers_as_the_others_do(tmp_path):
    texts = Texts.read().mixed(12)
    server = ours(1)
    with running(server, tmp_path) as found:
        answers = [server.one_answer(found.ask(server.body(text))) for text in texts]
        assert found.cpu_seconds() > 0
        assert found.ready_seconds > 0
    expected = Classifier()(texts)
    assert [answer["label"] for answer in answers] == [answer["label"] for answer in expected]
    assert [answer["score"] for answer in answers] == pytest.approx([answer["score"] for answer in expected], abs=1e-6)


def test_a_server_that_ends_is_told_with_its_log(tmp_path):
    server = Server("broken", 1, (sys.executable, "-c", "raise SystemExit('no such thing {port}')"))
    with (
        pytest.raises(ServerFailed, match=r"broken gives no right answer(.|\n)*no such thing \d+"),
        running(server, tmp_path),
    ):
        pass


def one_round(rates: dict[int, int]) -> saturation.Round:
    def cell(rate: int) -> saturation.Cell:
        return saturation.Cell(saturation.wrk.Load(rate, 1.0, 1.0, 2.0, 0, 0), 0.5, 100, [20, 12])

    return saturation.Round(0.5, {connections: cell(rate) for connections, rate in rates.items()}, 10, 1)


def test_a_summary_takes_medians_over_rounds():
    rounds = [one_round({32: rate}) for rate in (100, 300, 200)]
    figures = saturation.summary(ours(2), rounds, [100.0, 100.0, 50.0])
    assert figures["best_per_second"] == 200
    assert figures["of_floor"] == 3
    assert figures["cpu_microseconds"] == pytest.approx(2500)
    assert (figures["compared"], figures["differing"]) == (30, 3)
    assert figures["connections"][32]["splits"] == [[20, 12]] * 3


def test_the_best_number_of_connections_is_chosen_once_for_all_rounds():
    """Not the luckiest cell of every round: here each round has another one, of 400."""
    rounds = [
        one_round(dict(zip((1, 8, 32), rates, strict=True)))
        for rates in ((400, 90, 200), (90, 400, 210), (90, 90, 400))
    ]
    figures = saturation.summary(ours(2), rounds, [100.0, 100.0, 100.0])
    assert (figures["best_connections"], figures["best_per_second"], figures["of_floor"]) == (32, 210, 2.1)
