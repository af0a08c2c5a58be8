"""Which sequences run next, and for how many time steps. Pure: no clock, no I/O, no asyncio.

The order of waiting is one number for each sequence, fixed on arrival: the *virtual deadline*, its time of arrival plus
`stretch` times what it costs. Among sequences that arrive together the shorter goes first; one that costs `c` more is
overtaken only by arrivals within the next `stretch * c` seconds, so that nobody starves, and since the numbers never
change a heap keeps the order at the logarithm of the queue's length.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

from server.engine.cost import CostModel
from server.engine.sequence import Sequence

PLANNING_SECONDS = 1e-4
"""What planning, delivery and metrics of one chunk take outside of the network (`python -m loadtests.engine`)."""


@dataclass(frozen=True)
class Policy:
    """What an operator may tune; see `server.settings` for the trade-offs."""

    slots: int
    chunk_seconds: float
    stretch: float = 4.0


@dataclass
class WaitingQueue:
    """Waiting sequences in the order of their virtual deadlines; those whose call is done are skipped."""

    _heap: list[tuple[float, int, Sequence]] = field(default_factory=list)
    _ticket: count = field(default_factory=count)

    def push(self, sequence: Sequence, virtual_deadline: float) -> None:
        heapq.heappush(self._heap, (virtual_deadline, next(self._ticket), sequence))

    def pop(self) -> Sequence | None:
        """The next living sequence; None if there is none."""
        while self._heap:
            sequence = heapq.heappop(self._heap)[2]
            if not sequence.call.future.done():
                return sequence
        return None

    def take(self, most: int) -> list[Sequence]:
        """Up to `most` living sequences, in order."""
        taken: list[Sequence] = []
        while len(taken) < most and (sequence := self.pop()) is not None:
            taken.append(sequence)
        return taken

    def pick(self, most: int, choose: Callable[[list[Sequence]], list[Sequence]]) -> list[Sequence]:
        """What `choose` takes out of the first `most` living sequences, if any; the others keep their places."""
        entries: list[tuple[float, int, Sequence]] = []
        while len(entries) < most and self._heap:
            entry = heapq.heappop(self._heap)
            if not entry[2].call.future.done():
                entries.append(entry)
        chosen = choose([sequence for _, _, sequence in entries]) if entries else []
        picked = set(map(id, chosen))
        for entry in entries:
            if id(entry[2]) not in picked:
                heapq.heappush(self._heap, entry)
        return chosen

    def drop_done(self) -> None:
        """Forgets the sequences whose call is done, so that the length counts only the living."""
        self._heap = [entry for entry in self._heap if not entry[2].call.future.done()]
        heapq.heapify(self._heap)

    def __len__(self) -> int:
        return len(self._heap)


def virtual_deadline(arrived: float, seconds: float, stretch: float, priority: float = 0.0) -> float:
    """When a sequence is due, in seconds of the clock of `arrived`; `priority` is a head start in seconds."""
    return arrived + stretch * seconds - priority


def chunk_length(remaining: Iterable[int], smallest: int, cost: CostModel, policy: Policy) -> int:
    """Time steps of the next chunk, for rows with `remaining` steps to go: at least `smallest`, and as many as do the
    most useful steps a second.

    A long chunk shares its overhead among many steps; but a row that ends within it leaves its place empty until the
    next one. What a chunk of K steps achieves is sum(min(remaining, K)), in overhead + K * (time of a step), and the
    best K is the end of some row, or what the time budget allows, so that a new request never waits for long.
    """
    ends = sorted(remaining)
    batch = len(ends)
    most = cost.steps_within(batch, policy.chunk_seconds)
    overhead, step_seconds = cost.overhead[batch] + PLANNING_SECONDS, cost.step_seconds[batch]
    best, best_rate, ended = 0, 0.0, 0
    for place, end in enumerate(ends):
        steps = min(end, most)
        rate = (ended + steps * (batch - place)) / (overhead + steps * step_seconds)
        if rate > best_rate:
            best, best_rate = steps, rate
        if end >= most:
            break
        ended += end
    return max(best, smallest)


def padded_batch(window: list[Sequence], slots: int, cost: CostModel, equal_lengths: bool = False) -> list[Sequence]:
    """Which of the first waiting sequences run together, through a network that runs whole sequences.

    The head of the queue always runs. Company is taken from those closest to it in length, for as long as one more row
    in the padded batch is predicted to take less time than a run of its own; or, with `equal_lengths`, from those of
    its length only.
    """
    head, *others = window
    if equal_lengths:
        others = [sequence for sequence in others if sequence.steps == head.steps]
    others.sort(key=lambda sequence: abs(sequence.steps - head.steps))
    chosen, longest = [head], head.steps
    for candidate in others[: slots - 1]:
        size, steps = len(chosen), max(longest, candidate.steps)
        if cost.seconds(size + 1, steps) > cost.seconds(size, longest) + cost.seconds(1, candidate.steps):
            break
        chosen.append(candidate)
        longest = steps
    return chosen
