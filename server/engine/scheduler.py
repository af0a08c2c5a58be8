"""Which sequences run next, and for how many time steps. Pure: no clock, no I/O, no asyncio.

The order of waiting is one number for each sequence, fixed on arrival: the *virtual deadline*, its time of arrival plus
`stretch` times what it costs. Among sequences that arrive together the shorter goes first; one that costs `c` more is
overtaken only by arrivals within the next `stretch * c` seconds, so that nobody starves, and since the numbers never
change a heap keeps the order at the logarithm of the queue's length.
"""

import heapq
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from server.engine.cost import CostModel
from server.engine.sequence import Sequence

PLANNING_SECONDS = 6e-5
"""What planning, delivery and metrics of one chunk take outside of the network (`python -m loadtests.engine`)."""


@dataclass(frozen=True)
class Policy:
    """What an operator may tune; see `server.settings` for the trade-offs."""

    slots: int
    chunk_steps: int
    chunk_seconds: float
    stretch: float = 4.0
    worth: float = 4.0
    """The steps of a chunk take at least this many times the overhead of its run, if the time budget allows."""


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

    def drop_done(self) -> None:
        """Forgets the sequences whose call is done, so that the length counts only the living."""
        self._heap = [entry for entry in self._heap if not entry[2].call.future.done()]
        heapq.heapify(self._heap)

    def __len__(self) -> int:
        return len(self._heap)


def virtual_deadline(arrived: float, seconds: float, stretch: float, priority: float = 0.0) -> float:
    """When a sequence is due, in seconds of the clock of `arrived`; `priority` is a head start in seconds."""
    return arrived + stretch * seconds - priority


def chunk_length(remaining: np.ndarray, smallest: int, cost: CostModel, policy: Policy) -> int:
    """Time steps of the next chunk, for rows with `remaining` steps to go (int [batch]).

    As many as fit into the time budget, so that a new request never waits long for the running chunk; if anybody shares
    the batch, no more than `chunk_steps`, so that finished rows leave soon, unless so few would not be worth the
    overhead of a run; never past the end of the longest row.
    """
    batch = len(remaining)
    steps = cost.steps_within(batch, policy.chunk_seconds)
    if batch > 1:
        overhead = cost.overhead + PLANNING_SECONDS
        worthwhile = int(policy.worth * overhead / float(cost.step_seconds[batch]))
        steps = min(steps, max(policy.chunk_steps, worthwhile))
    return min(max(steps, smallest), int(remaining.max()))


def padded_batch(window: list[Sequence], slots: int, cost: CostModel) -> tuple[list[Sequence], list[Sequence]]:
    """(chosen, left over) out of the first waiting sequences, for a network that runs whole sequences.

    The head of the queue always runs. Company is taken from those closest to it in length, for as long as one more row
    in the padded batch is predicted to take less time than a run of its own.
    """
    head, *others = window
    others.sort(key=lambda sequence: abs(sequence.steps - head.steps))
    chosen, longest = [head], head.steps
    for candidate in others[: slots - 1]:
        size, steps = len(chosen), max(longest, candidate.steps)
        if cost.seconds(size + 1, steps) > cost.seconds(size, longest) + cost.seconds(1, candidate.steps):
            break
        chosen.append(candidate)
        longest = steps
    picked = set(map(id, chosen))
    return chosen, [sequence for sequence in window if id(sequence) not in picked]
