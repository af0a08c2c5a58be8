"""The worked example: "I love deep learning", word by word, gives one number in three implementations."""

import numpy as np
import pytest
import torch

from exporter import graph
from exporter.recurrent import exportable
from exporter.sessions import StepSession, alone, in_chunks
from tests.exporter.reference_cell import stacked
from training.evaluation import predict
from training.networks.gallery import LSTMClassifier

SENTENCE = "I love deep learning"
VECTORS = {"I": [0.1, 0.2, 0.3], "love": [0.4, 0.5, 0.6], "deep": [0.7, 0.8, 0.9], "learning": [1.0, 1.1, 1.2]}
IDS = np.array([list(VECTORS).index(word) for word in SENTENCE.split()])


@pytest.fixture(scope="module")
def network() -> LSTMClassifier:
    """Word vectors as given, all other weights from the seed; one output."""
    torch.manual_seed(42)
    network = LSTMClassifier(len(VECTORS), embedding_size=3, hidden_size=2, classes=1).eval()
    network.recurrent.embedding.weight.data = torch.tensor(list(VECTORS.values()))
    return network


@pytest.fixture(scope="module")
def expected(network: LSTMClassifier) -> float:
    """From the gate equations in NumPy float64."""
    hidden, _ = stacked(network.recurrent.rnn, np.array(list(VECTORS.values()), np.float32)[IDS].astype(np.float64))
    weight, bias = (parameter.detach().double().numpy() for parameter in network.head.parameters())
    return float((weight @ hidden[-1] + bias).item())


def test_eager_pytorch_gives_the_number_of_the_equations(network: LSTMClassifier, expected: float) -> None:
    assert predict(network, [IDS]).item() == pytest.approx(expected, abs=1e-7)
    assert abs(expected) > 0.05


@pytest.mark.parametrize("chunk", [1, 3, 4])
def test_onnx_gives_it_in_one_piece_and_word_by_word(network: LSTMClassifier, expected: float, chunk: int) -> None:
    stand_in = exportable(network, pinned=True)
    model = graph.to_onnx(stand_in, np.concatenate([IDS, IDS])).SerializeToString()
    session = StepSession(model, stand_in.initial_state(1)[0].numpy())
    whole = alone(session, [IDS]).outputs.item()
    assert whole == pytest.approx(expected, abs=1e-6)
    assert in_chunks(session, [IDS], chunk, first_chunk=1, slots=1).outputs.item() == whole
