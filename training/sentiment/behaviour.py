"""A behavioural suite (after Ribeiro et al. 2020, CheckList): short texts whose sentiment nobody would dispute."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CASES: dict[str, tuple[tuple[str, str], ...]] = {
    "plain": (
        ("I love this.", "positive"),
        ("I hate this.", "negative"),
        ("An absolutely wonderful evening with friends.", "positive"),
        ("The worst purchase I have ever made.", "negative"),
        ("非常喜欢，下次还会再来。", "positive"),
        ("太失望了，再也不会买了。", "negative"),
    ),
    "negation": (
        ("I do not like it.", "negative"),
        ("I don't recommend this place.", "negative"),
        ("It isn't good at all.", "negative"),
        ("This is not what I would call a great film.", "negative"),
        ("Nothing about it was enjoyable.", "negative"),
        ("I have never been happier with a product.", "positive"),
        ("一点也不好。", "negative"),
        ("这本书没有意思。", "negative"),
        ("服务不热情，房间不干净。", "negative"),
        ("没有什么可挑剔的，很满意。", "positive"),
    ),
    "not bad": (
        ("Not bad at all!", "positive"),
        ("It was not bad, I would go again.", "positive"),
        ("No complaints, everything worked.", "positive"),
        ("You can't go wrong with this one.", "positive"),
        ("酒店不错。", "positive"),
        ("价格不贵，性价比很高。", "positive"),
        ("还不错，值得推荐。", "positive"),
    ),
    "contrast": (
        ("The start was slow, but in the end I loved it.", "positive"),
        ("Great actors, but the film is a boring mess.", "negative"),
        ("It looks cheap, yet it works perfectly.", "positive"),
        ("I wanted to like it, but it broke after a week.", "negative"),
        ("Despite the bad weather we had a fantastic time.", "positive"),
        ("虽然房间小了点，但是很干净，服务也很好。", "positive"),
        ("外观很漂亮，但是质量太差了。", "negative"),
        ("位置不错，可是服务态度极差，不会再住。", "negative"),
    ),
    "casing": (
        ("THIS IS THE BEST PHONE EVER", "positive"),
        ("this is the best phone ever", "positive"),
        ("TERRIBLE SERVICE, NEVER AGAIN", "negative"),
        ("terrible service, never again", "negative"),
        ("What A Lovely Little Restaurant", "positive"),
        ("WHAT A WASTE OF MONEY", "negative"),
    ),
    "typos": (
        ("Realy great prodcut, works perfectly", "positive"),
        ("it was amazzzing!!", "positive"),
        ("teh food was terible", "negative"),
        ("dissapointed, waste of mony", "negative"),
        ("i luv it sooo much", "positive"),
        ("horible experiance, would not recomend", "negative"),
        ("服务态度很好，房间很干静", "positive"),
        ("质量太差了，后海买了", "negative"),
    ),
    "emoji": (
        ("Just got my exam results 😀🎉", "positive"),
        ("My flight is cancelled again 😡", "negative"),
        ("Dinner with the family ❤️", "positive"),
        ("Broken on arrival 👎", "negative"),
        ("Monday morning :(", "negative"),
        ("see you all tomorrow :)", "positive"),
        ("快递到了 👍", "positive"),
        ("又坏了 😭", "negative"),
    ),
    "mixed languages": (
        ("这家店的 service 太差了, never again!", "negative"),
        ("The hotel was 非常好, I will come back.", "positive"),
        ("这个 app 真的很好用, love it", "positive"),
        ("Battery 质量很差, very disappointed.", "negative"),
        ("今天很 happy, 谢谢大家", "positive"),
        ("屏幕 is broken, 退货!", "negative"),
    ),
    "everyday": (
        ("My neighbour brought us soup when we were ill, how kind.", "positive"),
        ("The train was late again and nobody told us why.", "negative"),
        ("Our team finally solved the problem, well done everyone!", "positive"),
        ("I spent two hours on hold and they hung up on me.", "negative"),
        ("The update made my laptop unusable.", "negative"),
        ("The new colleague is friendly and helpful.", "positive"),
        ("The garden is full of flowers and the kids are laughing.", "positive"),
        ("The doctor was rude and did not listen.", "negative"),
        ("今天面试通过了，太开心了！", "positive"),
        ("地铁又晚点，害我迟到被骂。", "negative"),
        ("老师很耐心，孩子进步很大。", "positive"),
        ("手机用了两天就死机，客服也不理人。", "negative"),
    ),
}


@dataclass(frozen=True)
class Case:
    """One text of the suite, in the order of `CASES`."""

    category: str
    text: str
    expected: str


def cases() -> list[Case]:
    return [Case(category, text, label) for category, pairs in CASES.items() for text, label in pairs]


def results(labels: Sequence[str], probabilities: np.ndarray) -> dict[str, dict]:
    """Pass rate and failures of each category; `probabilities` [N, 2] are in the order of `cases()` and `labels`."""
    report: dict[str, dict] = {category: {"passed": 0, "cases": 0, "failed": []} for category in CASES}
    for case, row in zip(cases(), probabilities, strict=True):
        entry, answer = report[case.category], labels[int(row.argmax())]
        entry["cases"] += 1
        if answer == case.expected:
            entry["passed"] += 1
        else:
            entry["failed"].append({"text": case.text, "expected": case.expected, "score": round(float(row.max()), 3)})
    return report
