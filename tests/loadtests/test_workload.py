import numpy as np

from loadtests import workload
from loadtests.workload import Texts


def test_texts_have_log_normal_lengths_and_are_the_same_every_time():
    texts = Texts.read()
    some = texts.mixed(400)
    lengths = [len(texts.tokenizer.encode(text)) for text in some]
    assert some == texts.mixed(400)
    assert 25 <= np.median(lengths) <= 32
    assert 36 <= np.mean(lengths) <= 48
    assert 350 <= max(lengths) <= 405
    assert all(text.strip() and "\n" not in text for text in some)


def test_both_languages_are_there():
    characters = "".join(Texts.read().mixed(50))
    assert any("a" <= character <= "z" for character in characters)
    assert any("一" <= character <= "龥" for character in characters)


def test_short_and_long_texts():
    texts = Texts.read()
    assert all(1 <= len(texts.tokenizer.encode(text)) <= 22 for text in texts.short(100))
    assert all(390 <= len(texts.tokenizer.encode(text)) <= 405 for text in texts.long(5))


def test_hourly_windows_are_long_enough():
    lengths = [len(values) for values in workload.hourly(50)]
    assert min(lengths) >= 168
    assert len(set(lengths)) > 10


def test_list_requests_are_full():
    requests = workload.list_requests([f"text {index}" for index in range(130)])
    assert [len(request.inputs) for request in requests] == [64, 64]
