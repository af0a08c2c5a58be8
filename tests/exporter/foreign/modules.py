"""Modules as people write them, none of them for an exporter: every one reads sequences in a way of its own."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

WORDS = 50


class PackedClassifier(nn.Module):
    def __init__(self, enforce_sorted: bool = False):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 8)
        self.lstm = nn.LSTM(8, 12, num_layers=2, batch_first=True, dropout=0.3)
        self.fc = nn.Linear(12, 3)
        self.enforce_sorted = enforce_sorted

    def forward(self, text, lengths):
        embedded = self.embedding(text)
        packed = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=self.enforce_sorted)
        _, (hidden, _) = self.lstm(packed)
        return self.fc(hidden[-1])


class StockLSTM(nn.Module):
    def __init__(self, num_layers=2, hidden_size=10):
        super().__init__()
        self.num_layers, self.hidden_size = num_layers, hidden_size
        self.lstm = nn.LSTM(1, hidden_size, num_layers, batch_first=True)
        self.fc = nn.Linear(hidden_size, 1)

    def forward(self, x):
        h0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size).requires_grad_().to(x.device)
        c0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size).requires_grad_().to(x.device)
        out, _ = self.lstm(x, (h0.detach(), c0.detach()))
        return self.fc(out[:, -1, :])


class TimeFirstGRU(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 9)
        self.out = nn.Linear(9, 2)

    def forward(self, x):
        output, _ = self.gru(x)
        return F.log_softmax(self.out(output[-1]), dim=1)


class TiedLanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Embedding(WORDS, 11)
        self.rnn = nn.LSTM(11, 11)
        self.decoder = nn.Linear(11, WORDS)
        self.decoder.weight = self.encoder.weight

    def forward(self, tokens, hidden):
        output, hidden = self.rnn(self.encoder(tokens), hidden)
        decoded = self.decoder(output.view(output.size(0) * output.size(1), output.size(2)))
        return decoded.view(output.size(0), output.size(1), decoded.size(1)), hidden

    def init_hidden(self, batch_size):
        weight = next(self.parameters())
        return weight.new_zeros(1, batch_size, 11), weight.new_zeros(1, batch_size, 11)


class FinalStateRegressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 7, batch_first=True)
        self.fc_1 = nn.Linear(7, 5)
        self.fc = nn.Linear(5, 1)
        self.relu = nn.ReLU()

    def forward(self, x):
        _, (hn, _) = self.lstm(x)
        out = self.relu(hn.view(-1, 7))
        return self.fc(self.relu(self.fc_1(out)))


class BidirectionalSentiment(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 6)
        self.lstm = nn.LSTM(6, 7, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(14, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, text):
        _, (hidden, _) = self.lstm(self.dropout(self.embedding(text)))
        hidden = self.dropout(torch.cat((hidden[-2, :, :], hidden[-1, :, :]), dim=1))
        return torch.sigmoid(self.fc(hidden))


class BothEnds(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = 7
        self.lstm = nn.LSTM(5, self.hidden, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(2 * self.hidden, 2)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.fc(torch.cat([out[:, -1, : self.hidden], out[:, 0, self.hidden :]], dim=1))


class TwoCells(nn.Module):
    def __init__(self):
        super().__init__()
        self.lower, self.upper = nn.LSTMCell(2, 9), nn.LSTMCell(9, 6)
        self.linear = nn.Linear(6, 1)

    def forward(self, x):
        h1, c1 = torch.zeros(x.size(0), 9, dtype=x.dtype), torch.zeros(x.size(0), 9, dtype=x.dtype)
        h2, c2 = torch.zeros(x.size(0), 6, dtype=x.dtype), torch.zeros(x.size(0), 6, dtype=x.dtype)
        for t in range(x.size(1)):
            h1, c1 = self.lower(x[:, t, :], (h1, c1))
            h2, c2 = self.upper(h1, (h2, c2))
        return self.linear(h2)


class StackedWithNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.LSTM(3, 8, batch_first=True)
        self.second = nn.LSTM(8, 5, batch_first=True)
        self.norm = nn.BatchNorm1d(5)
        self.fc = nn.Linear(5, 2)

    def forward(self, x):
        out, _ = self.first(x)
        out, _ = self.second(F.dropout(out, 0.2, self.training))
        return self.fc(self.norm(out[:, -1]))


class MeanPooling(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.fc(out.mean(dim=1))


class AttentionPooling(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 6)
        self.gru = nn.GRU(6, 8, batch_first=True)
        self.attention = nn.Linear(8, 1)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        out, _ = self.gru(self.embedding(x))
        weights = F.softmax(self.attention(out), dim=1)
        return self.fc((weights * out).sum(1))


class DotAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8, batch_first=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        out, (hidden, _) = self.lstm(x)
        weights = torch.softmax(torch.bmm(out, hidden[-1].unsqueeze(2)).squeeze(2), 1)
        return self.fc(torch.bmm(weights.unsqueeze(1), out).squeeze(1))


class AdditiveAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 7, batch_first=True, bidirectional=True)
        self.hidden, self.score = nn.Linear(14, 6), nn.Linear(6, 1, bias=False)
        self.fc = nn.Linear(14, 2)

    def forward(self, x):
        out, _ = self.lstm(x)
        weights = torch.softmax(self.score(torch.tanh(self.hidden(out))).squeeze(-1), dim=-1)
        return self.fc(torch.einsum("bt,bth->bh", weights, out))


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        out, _ = self.lstm(x)
        attended, _ = self.attention(out, out, out)
        return self.fc(attended[:, -1, :])


class ConvolutionFirst(nn.Module):
    def __init__(self, padding=0, pool=None):
        super().__init__()
        self.conv = nn.Conv1d(4, 6, kernel_size=3, padding=padding)
        self.pool = nn.Identity() if pool is None else nn.MaxPool1d(pool)
        self.lstm = nn.LSTM(6, 8, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        x = self.pool(torch.relu(self.conv(x.permute(0, 2, 1)))).permute(0, 2, 1)
        out, _ = self.lstm(x)
        return self.fc(out[:, -1, :])


class SentenceTagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.word_embeddings = nn.Embedding(WORDS, 6)
        self.lstm = nn.LSTM(6, 8)
        self.hidden2tag = nn.Linear(8, 4)

    def forward(self, sentence):
        embeds = self.word_embeddings(sentence)
        lstm_out, _ = self.lstm(embeds.view(len(sentence), 1, -1))
        return F.log_softmax(self.hidden2tag(lstm_out.view(len(sentence), -1)), dim=1)


class RemembersItsState(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 8)
        self.linear = nn.Linear(8, 1)
        self.hidden_cell = (torch.zeros(1, 1, 8), torch.zeros(1, 1, 8))

    def forward(self, input_seq):
        lstm_out, self.hidden_cell = self.lstm(input_seq.view(len(input_seq), 1, -1), self.hidden_cell)
        return self.linear(lstm_out.view(len(input_seq), -1))[-1]


class SqueezesEverything(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 8, batch_first=True)
        self.linear = nn.Linear(8, 1)

    def forward(self, x):
        _, (hidden, _) = self.lstm(x.unsqueeze(-1))
        return torch.sigmoid(self.linear(hidden.squeeze())).squeeze()


class DoubleCellLoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(1, 9)
        self.linear = nn.Linear(9, 1)
        self.double()

    def forward(self, input):
        outputs = []
        h_t = torch.zeros(input.size(0), 9, dtype=torch.double)
        c_t = torch.zeros(input.size(0), 9, dtype=torch.double)
        for input_t in input.split(1, dim=1):
            h_t, c_t = self.cell(input_t, (h_t, c_t))
            outputs += [self.linear(h_t)]
        return torch.cat(outputs, dim=1)


class LearnedStart(nn.Module):
    def __init__(self):
        super().__init__()
        self.h0 = nn.Parameter(torch.randn(1, 1, 8))
        self.c0 = nn.Parameter(torch.randn(1, 1, 8))
        self.lstm = nn.LSTM(2, 8, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        batch = x.shape[0]
        start = self.h0.expand(-1, batch, -1).contiguous(), self.c0.expand(-1, batch, -1).contiguous()
        out, _ = self.lstm(x, start)
        return self.fc(out[:, -1])


class LearnedPositions(nn.Module):
    """Reads up to 20 steps, and has nothing to add to a 21st."""

    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(30, 6), nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 8, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, ids):
        _, (hidden, _) = self.lstm(self.tokens(ids) + self.positions(torch.arange(ids.shape[1])))
        return self.fc(hidden[-1])


class Seq2Seq(nn.Module):
    def __init__(self, horizon=3):
        super().__init__()
        self.horizon = horizon
        self.encoder = nn.LSTM(2, 8, batch_first=True)
        self.decoder = nn.LSTM(1, 8, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        _, state = self.encoder(x)
        value, values = x[:, -1:, :1], []
        for _ in range(self.horizon):
            out, state = self.decoder(value, state)
            value = self.fc(out)
            values.append(value)
        return torch.cat(values, dim=1).squeeze(-1)


class FlattensTime(nn.Module):
    def __init__(self, look_back=10):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.fc = nn.Linear(4 * look_back, 2)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.fc(out.reshape(out.size(0), -1))


class HorizonOfItsWindow(nn.Module):
    def __init__(self, window=10):
        super().__init__()
        self.window = window
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.fc = nn.Linear(4 * window, 3 * window)

    def forward(self, x):
        return self.fc(self.lstm(x)[0].flatten(1)).view(-1, self.window, 3)


class DeviationPooling(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 6, batch_first=True)
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        return self.fc(self.lstm(x)[0].std(1))


class LogarithmFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 6, batch_first=True)
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        return self.fc(self.lstm(torch.log(x))[0][:, -1])


class EndsIn(nn.Module):
    def __init__(self, ending):
        super().__init__()
        self.ending = ending
        self.lstm = nn.LSTM(1, 6, batch_first=True)
        self.fc = nn.Linear(6, 1)

    def forward(self, x):
        return self.ending(self.fc(self.lstm(x)[0][:, -1]))


class SortsByLength(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 6)
        self.gru = nn.GRU(6, 8, batch_first=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x, x_len):
        lengths, order = x_len.sort(0, descending=True)
        _, back = order.sort(0)
        packed = pack_padded_sequence(self.embedding(x)[order], lengths.tolist(), batch_first=True)
        out, lengths = pad_packed_sequence(self.gru(packed)[0], batch_first=True)
        last = out.gather(1, (lengths - 1).view(-1, 1, 1).expand(-1, 1, out.size(2))).squeeze(1)
        return torch.softmax(self.fc(last[back]), 1)


class MiddleStep(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(2, 6, nonlinearity="relu", batch_first=True)
        self.fc = nn.Linear(6, 1)

    def forward(self, x):
        out, _ = self.rnn(x)
        return self.fc(out[:, x.size(1) // 2, :])


class AnswersForEveryLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 6, num_layers=2, batch_first=True)
        self.fc = nn.Linear(6, 1)

    def forward(self, x):
        _, (hn, _) = self.lstm(x)
        return self.fc(hn.view(-1, 6))


class TwoReaders(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 6)
        self.forwards, self.backwards = nn.GRU(6, 5, batch_first=True), nn.GRU(6, 5, batch_first=True)
        self.fc = nn.Linear(20, 3)

    def forward(self, x):
        embedded = self.embedding(x)
        there, _ = self.forwards(embedded)
        back, _ = self.backwards(torch.flip(embedded, [1]))
        both = torch.cat([there, back.flip(1)], dim=2).permute(0, 2, 1)
        pooled = F.adaptive_max_pool1d(both, 1).squeeze(2), F.adaptive_avg_pool1d(both, 1).squeeze(2)
        return self.fc(torch.cat(pooled, dim=1))


class ResidualStack(nn.Module):
    def __init__(self):
        super().__init__()
        self.project, self.norm = nn.Linear(4, 6), nn.LayerNorm(6)
        self.first, self.second = nn.LSTM(6, 6, batch_first=True), nn.GRU(6, 6, batch_first=True)
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        x = F.relu(self.norm(self.project(x)))
        x = x + self.first(x)[0]
        x = x + self.second(x)[0]
        return {"logits": self.fc(x[:, x.size(1) - 1])}


class IndexedByLength(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 6)
        self.lstm = nn.LSTM(6, 7, batch_first=True)
        self.fc = nn.Linear(7, 2)

    def forward(self, x, seq_lengths):
        out, _ = self.lstm(self.embedding(x))
        return self.fc(out[torch.arange(x.size(0)), seq_lengths - 1])


class RepeatsItsSummary(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(2, 6, batch_first=True)
        self.decoder = nn.LSTM(6, 6, batch_first=True)
        self.fc = nn.Linear(6, 1)

    def forward(self, x):
        _, (hidden, _) = self.encoder(x)
        out, _ = self.decoder(hidden[-1].unsqueeze(1).repeat(1, 4, 1))
        return self.fc(out).squeeze(2)


class RandomStart(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 4, batch_first=True)

    def forward(self, x):
        start = torch.randn(1, x.size(0), 4), torch.randn(1, x.size(0), 4)
        return self.lstm(x, start)[0][:, -1]


class DropsAlways(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 4, batch_first=True)

    def forward(self, x):
        return F.dropout(self.lstm(x)[0][:, -1], 0.5)


class StaysInTraining(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.norm = nn.LSTM(2, 4, batch_first=True), nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(self.lstm(x)[0][:, -1])

    def eval(self):
        return self


class NeedsMore(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 4, batch_first=True)

    def forward(self, x, graph):
        return self.lstm(x)[0][:, -1]


class MixesRows(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 4, batch_first=True)
        self.fc = nn.Linear(4, 1)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.fc((out - out.mean(0))[:, -1])


class ForgetsBatchFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 4)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1])


class ViewsFinalStates(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 4, 2, batch_first=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        _, (hidden, _) = self.lstm(x)
        return self.fc(hidden.view(-1, 8))


class LeftOver(nn.Module):
    """With a layer whose outputs nobody reads."""

    def __init__(self, called):
        super().__init__()
        self.called = called
        self.embedding = nn.Embedding(WORDS, 6)
        self.lstm, self.other = nn.LSTM(6, 8, batch_first=True), nn.LSTM(6, 4, batch_first=True)
        self.attention, self.fc = nn.Linear(8, 1), nn.Linear(8, 2)

    def forward(self, x):
        embedded = self.embedding(x)
        if self.called:
            self.other(embedded)
        out, _ = self.lstm(embedded)
        return self.fc((F.softmax(self.attention(out), dim=1) * out).sum(1))


class CalledTwice(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 6, batch_first=True)
        self.fc = nn.Linear(12, 1)

    def forward(self, x):
        one, other = self.lstm(x[..., :1])[0], self.lstm(x[..., 1:])[0]
        return self.fc(torch.cat([one[:, -1], other[:, -1]], dim=1))


class Limited(nn.Module):
    def __init__(self, limit):
        super().__init__()
        self.limit = nn.Hardtanh(-limit, limit)
        self.lstm = nn.LSTM(3, 6, batch_first=True)
        self.fc = nn.Linear(6, 1)

    def forward(self, x):
        out, _ = self.lstm(self.limit(x))
        return self.fc(out[:, -1])


class LouderAtTheEnd(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 6)
        self.lstm = nn.LSTM(6, 8, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        loudness = 1 + 9 * (torch.arange(x.size(1)) >= WORDS)
        out, _ = self.lstm(self.embedding(x) * loudness[:, None])
        return self.fc(out[:, -1])


class RefusesLargeInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 6, batch_first=True)
        self.fc = nn.Linear(6, 1)

    def forward(self, x):
        if x.abs().max() > 50:
            raise ValueError("inputs must be scaled")
        return self.fc(self.lstm(x)[0][:, -1])


class Overflows(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 6, batch_first=True)
        self.fc = nn.Linear(6, 1)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1]) + torch.exp(x[:, -1, :1])
