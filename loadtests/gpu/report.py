"""The figures of `python -m loadtests.gpu` as Markdown tables."""

from loadtests import machine
from loadtests.rounds import table


def text(result: dict) -> str:
    gpu = result["machine"]["gpu"] or "none"
    head = f"{machine.sentence(result['machine'])}; GPU: {gpu}; device {result['device']}"
    return "\n\n".join([head, _exactness(result), _strictness(result["strictness"]), _speed(result), _sizes(result)])


def _exactness(result: dict) -> str:
    ways = list(next(found["movements"] for each in result["exactness"].values() for found in each.values()))
    rows: list[list[object]] = [
        [name, precision, _nodes(found["nodes"]), found["against_cpu"]["largest"], *found["movements"].values()]
        for name, precisions in result["exactness"].items()
        for precision, found in precisions.items()
    ]
    return table(["model", "precision", "nodes", "largest difference to fp32 on the CPU", *ways], rows)


def _nodes(nodes: dict[str, int]) -> str:
    return ", ".join(f"{count} {name.removesuffix('ExecutionProvider')}" for name, count in nodes.items())


def _strictness(found: dict) -> str:
    hidden = found["without_gpu"]
    return (
        f"With the device, the server answers: {found['answer']}\n\nWith `--device cuda` and no GPU in sight it ends "
        f"with {hidden['exit_status']}: {hidden['said']}"
    )


def _speed(result: dict) -> str:
    keys = ("precision", "device", "batch", "steps", "milliseconds", "sequences_per_second")
    header = ["precision", "device", "batch", "steps of a chunk", "ms a chunk", "sequences of 64 steps/s"]
    return table(header, [[cell[key] for key in keys] for cell in result["speed"]])


def _sizes(result: dict) -> str:
    cells = {(c["hidden"], c["batch"], f"{c['precision']}, {c['device']}"): c["milliseconds"] for c in result["sizes"]}
    places = list(dict.fromkeys(place for _, _, place in cells))
    pairs = list(dict.fromkeys((hidden, batch) for hidden, batch, _ in cells))
    rows: list[list[object]] = [[*pair, *(cells[(*pair, place)] for place in places)] for pair in pairs]
    found = [f"batch {batch}: {size or 'never here'}" for batch, size in result["crossover"].items()]
    return (
        table(["hidden size", "batch", *(f"ms, {place}" for place in places)], rows)
        + "\n\nSmallest hidden size at which CUDA is faster than one thread of the CPU: "
        + ", ".join(found)
    )
