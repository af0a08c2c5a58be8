"""Which sequences run next, and for how many time steps. Pure: no clock, no I/O, no asyncio.

Whoever waits has one number, fixed on arrival: when the sequence is *due*. It gets a slot in that order, and a heap
keeps the order at the logarithm of the queue's length. Of those that have slots, the longest due run next, and how many
of them, for how many steps, is what `ChunkPlanner` decides.
"""

import heapq
from collections.abc import Callable, Iterable
from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from itertools import count

from server.engine.cost import CostModel
from server.engine.sequence import Sequence

PLANNING_SECONDS = 4e-4
"""What one chunk takes beside its predicted time: planning, delivery, turns of the event loop, and that the network's
code and weights have left the caches meanwhile, which they have not where the prediction is measured."""

ANSWER_STEPS = 20
"""What it is worth that a sequence ends, in time steps: somebody has an answer, and somebody else gets company."""

PATIENCE = 2.0
"""How many times the rows' mean wait is added to the wait of each. With more, old rows are worth little more than new
ones, and throughput is a little higher; with less, p99 is lower."""


@dataclass(frozen=True)
class Policy:
    """What an operator may tune; see `server.settings` for the trade-offs."""

    slots: int
    chunk_seconds: float


@dataclass
class WaitingQueue:
    """Waiting sequences in the order in which they are due; those whose call is done are skipped."""

    _heap: list[tuple[float, int, Sequence]] = field(default_factory=list)
    _ticket: count = field(default_factory=count)

    def push(self, sequence: Sequence) -> None:
        heapq.heappush(self._heap, (sequence.due, next(self._ticket), sequence))

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


class ChunkPlanner:
    """How many rows the next chunk has, and how many time steps.

    A long chunk shares its overhead among many steps, but a row that ends within it leaves its place empty until the
    next one; and rows advance together, so that in a full batch a long sequence, which needs many chunks, takes far
    longer than it would in small company. So each step of a row is worth as much as the row has waited (and something
    more, lest newcomers be worth nothing), and so are `ANSWER_STEPS` for its end; what is chosen is worth the most for
    its predicted time. Old rows then run apart from the others now and then, in a batch of few rows and many steps.
    To count a step by the wait is to count a delay as the sum of squared latencies does, whose derivative it is.

    Where all slots are taken and somebody waits for one, every step is worth the same: nothing shortens the waits more
    than throughput. `python -m loadtests.simulation` shows what comes of it, apart from any machine.
    """

    def __init__(self, cost: CostModel, policy: Policy) -> None:
        self._overhead = [seconds + PLANNING_SECONDS for seconds in cost.overhead]
        self._step_seconds = cost.step_seconds
        self._most = [0, *(max(1, int(policy.chunk_seconds / seconds)) for seconds in cost.step_seconds[1:])]
        """By rows: the most steps that fit into the policy's time for a chunk."""
        self._chunk_seconds = policy.chunk_seconds

    def plan(
        self, remaining: Items[int], waited: Iterable[float], crowded: bool = False, smallest: int = 1
    ) -> tuple[int, int]:
        """(rows, time steps) of the next chunk; the rows are the first so many: all of them, half or a quarter.

        `remaining`: steps to go, >= 1; `waited`: seconds since each row was due, in descending order, negative if it is
        not due yet; `crowded`: others wait for a slot, so all rows run. There are at least `smallest` steps, and
        otherwise no more than fit into the policy's time.
        """
        rows = len(remaining)
        if crowded:
            return rows, self._best_end([(steps, 1.0) for steps in remaining], smallest, 0)[0]
        waits = [max(seconds, 0.0) for seconds in waited]
        patience = PATIENCE * sum(waits) / rows + self._chunk_seconds
        ends = [(steps, seconds + patience) for steps, seconds in zip(remaining, waits, strict=True)]
        best, best_rate = (0, 0), 0.0
        for size in {rows, (rows + 1) // 2, (rows + 3) // 4}:
            steps, rate = self._best_end(ends[:size], smallest, ANSWER_STEPS)
            if rate > best_rate:
                best, best_rate = (size, steps), rate
        return best

    def _best_end(self, ends: list[tuple[int, float]], smallest: int, answer_steps: int) -> tuple[int, float]:
        """The best number of steps for rows that end after so many and weigh so much, and what it is worth a second.

        It is the end of some row, or what the time allows.
        """
        rows = len(ends)
        overhead, step_seconds = self._overhead[rows], self._step_seconds[rows]
        most = max(self._most[rows], smallest)
        ends.sort()
        ended, going = 0.0, sum(weight for _, weight in ends)
        best, best_rate = 0, 0.0
        for end, weight in ends:
            steps = min(end, most)
            if end <= most:
                ended += weight * (end + answer_steps)
                going -= weight
            if steps >= smallest:
                rate = (ended + steps * going) / (overhead + steps * step_seconds)
                if rate > best_rate:
                    best, best_rate = steps, rate
            if end > most:
                break
        return (best, best_rate) if best else (smallest, ended / (overhead + smallest * step_seconds))


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
