"""The recurrent networks that tutorials teach, as step functions: copy one, or train it as it is.

Read them in this order; each module has one idea:

    readout               the last valid step, and the base of most of what follows
    classifiers           rows 1 to 3: an embedding before the LSTM; rows 13 and 14: other cells
    regressors            rows 4 to 8 and 17: features, stacked layers, GRU, plain RNN
    scaling               raw values in and out
    bidirectional         row 9: both directions, whole sequences only
    attention             row 10: the last step looks back at all steps
    convolution           row 11: local patterns first; the state carries the last two inputs
    encoder_decoder       row 12: read, then go on from one's own forecasts
    language_model        row 15: the next token
    sequence_to_sequence  row 16: an output for every step

Rows 18 and 19 are the shipped networks, `training.networks.sentiment`, `.forecast` and `.stock`.
`python -m exporter gallery` exports every one of them in every precision, and shows that nothing changed.
"""

from training.networks.gallery.attention import LSTMWithAttention
from training.networks.gallery.bidirectional import BidirectionalClassifier, BidirectionalNet
from training.networks.gallery.classifiers import (
    CoupledClassifier,
    LSTMClassifier,
    LSTMSentimentAnalysis,
    PeepholeClassifier,
    SentimentLSTM,
)
from training.networks.gallery.convolution import CNN_LSTM
from training.networks.gallery.encoder_decoder import Decoder, Encoder, EncoderDecoder
from training.networks.gallery.language_model import LSTMLanguageModel
from training.networks.gallery.regressors import (
    GRUNet,
    LSTMNet,
    ReluRNNNet,
    RNNNet,
    SmallRegressor,
    StackedRegressor,
    StockPredictor,
)
from training.networks.gallery.sequence_to_sequence import SequenceLSTMNet

__all__ = [
    "CNN_LSTM",
    "BidirectionalClassifier",
    "BidirectionalNet",
    "CoupledClassifier",
    "Decoder",
    "Encoder",
    "EncoderDecoder",
    "GRUNet",
    "LSTMClassifier",
    "LSTMLanguageModel",
    "LSTMNet",
    "LSTMSentimentAnalysis",
    "LSTMWithAttention",
    "PeepholeClassifier",
    "RNNNet",
    "ReluRNNNet",
    "SentimentLSTM",
    "SequenceLSTMNet",
    "SmallRegressor",
    "StackedRegressor",
    "StockPredictor",
]
