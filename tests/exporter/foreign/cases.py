"""The modules of `modules.py`, with weights, what is said about them, and what the exporter should make of them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from exporter.foreign.answers import Said
from exporter.foreign.source import Foreign
from exporter.source import About
from tests.exporter.foreign import modules


@dataclass(frozen=True)
class Case:
    """`way` is how it should be exported, `reason` a part of why nothing better is offered."""

    build: Callable[[], nn.Module]
    said: Said
    way: str = "stepwise"
    reason: str = ""


ABOUT = About("it", "a module of a test", "MIT")
CLASSES, NUMBERS = Said("classification"), Said("regression")
CASES = {
    "packed, any order": Case(modules.PackedClassifier, CLASSES),
    "packed, sorted": Case(lambda: modules.PackedClassifier(enforce_sorted=True), CLASSES),
    "zero states made inside": Case(modules.StockLSTM, NUMBERS),
    "time first, log_softmax": Case(modules.TimeFirstGRU, CLASSES),
    "tied weights, states handed in": Case(modules.TiedLanguageModel, Said("language-model")),
    "hn.view": Case(modules.FinalStateRegressor, NUMBERS),
    "bidirectional, final states": Case(modules.BidirectionalSentiment, CLASSES, "whole", "lstm reads backwards, too"),
    "bidirectional, both ends": Case(modules.BothEnds, NUMBERS, "whole", "lstm reads backwards, too"),
    "cells in a loop": Case(modules.TwoCells, NUMBERS),
    "stacked, batch norm": Case(modules.StackedWithNorm, NUMBERS),
    "mean": Case(modules.MeanPooling, NUMBERS, "whole", "a mean over time (modules.py:"),
    "attention": Case(modules.AttentionPooling, CLASSES, "whole", "a softmax (attention) over time (modules.py:"),
    "dot attention": Case(modules.DotAttention, NUMBERS, "whole", "a softmax (attention) over time"),
    "additive attention": Case(modules.AdditiveAttention, NUMBERS, "whole", "a softmax (attention) over time"),
    "self-attention": Case(modules.SelfAttention, NUMBERS, "whole", "attention over time"),
    "convolution": Case(modules.ConvolutionFirst, NUMBERS, "whole", "a convolution over time (modules.py:"),
    "padded convolution": Case(lambda: modules.ConvolutionFirst(padding=1), NUMBERS, "whole", "a convolution"),
    "convolution, pooling": Case(lambda: modules.ConvolutionFirst(1, 2), NUMBERS, "whole", "pooling over time"),
    "one sentence, tags": Case(modules.SentenceTagger, Said("tagging", labels=("a", "b", "c", "d"))),
    "remembers its state": Case(modules.RemembersItsState, NUMBERS),
    "squeezes": Case(modules.SqueezesEverything, CLASSES),
    "double precision, per step": Case(modules.DoubleCellLoop, Said("tagging")),
    "learned initial state": Case(modules.LearnedStart, NUMBERS),
    "encoder and decoder": Case(modules.Seq2Seq, NUMBERS, "whole", "starts from a state that the module computes"),
    "flattened time": Case(modules.FlattensTime, NUMBERS, "whole", "exactly 10 steps"),
    "sorts rows": Case(modules.SortsByLength, CLASSES),
    "two readers, pooled": Case(modules.TwoReaders, CLASSES, "whole", "a reversal over time"),
    "residual, a dict returned": Case(modules.ResidualStack, CLASSES),
    "indexed by length": Case(modules.IndexedByLength, CLASSES),
    "repeated summary": Case(modules.RepeatsItsSummary, NUMBERS, "whole", "decoder gets 4 steps where one was given"),
    "middle step": Case(modules.MiddleStep, NUMBERS, "equal lengths", "its answers change by"),
}


def trained(case: Case, seed: int = 0) -> nn.Module:
    """With random weights, larger than at the start of training, so that units saturate as trained ones do."""
    torch.manual_seed(seed)
    module = case.build()
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return module.eval()


def foreign(name: str, **more: object) -> Foreign:
    return Foreign(trained(CASES[name]), ABOUT, CASES[name].said, **more)
