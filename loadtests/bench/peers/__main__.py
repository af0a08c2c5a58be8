"""`python -m loadtests.bench.peers`: mosec and BentoML beside ours and the floor; adds to what `make bench` wrote."""

import json
import sys

from loadtests import machine
from loadtests.bench import goals, latency, wrk
from loadtests.bench.__main__ import arguments, compare, exit_code, save, stop_on_signals
from loadtests.bench.peers.environments import FOLDER, Environment, InstallFailed
from loadtests.bench.servers import ROOT, Server, ServerFailed, ours
from loadtests.workload import Texts

MOSEC = Environment("mosec", ("mosec==0.9.8", "msgspec>=0.22"))
BENTOML = Environment("bentoml", ("bentoml==1.4.39",))
HERE = ROOT / "loadtests" / "bench" / "peers"


def mosec(batch: int) -> Server:
    command = (str(MOSEC.python), str(HERE / "mosec_server.py"), "--port", "{port}", "--address", "127.0.0.1")
    variables = {"MOSEC_BATCH": str(batch)}
    return Server(f"mosec, batches of {batch}", 1, (*command, "--log-level", "warning"), environment=variables)


def bentoml() -> Server:
    service = "loadtests.bench.peers.bentoml_service:Sentiment"
    command = (str(BENTOML.python), "-m", "bentoml", "serve", service, "--port", "{port}", "--host", "127.0.0.1")
    return Server(
        "BentoML, adaptive batches",
        2,
        command,
        body=lambda text: json.dumps({"inputs": [text]}, ensure_ascii=False).encode(),
        environment={"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(FOLDER / "bentoml-home")},
        one_answer=lambda document: document[0],  # type: ignore[index]
    )


def main(given: list[str]) -> int:
    options = arguments(given, __doc__)
    try:
        wrk.require()
        for environment in (MOSEC, BENTOML):
            environment.ensure()
        neighbours = machine.Neighbours()
        strongest, own, texts = mosec(8), ours(2, "--device", options.device), Texts.read().mixed(512)
        peers = compare([strongest, mosec(32), bentoml(), own], options, texts)
        most = goals.at(peers, strongest.name, 32)["per_second"]
        peers["curves"] = latency.same_load(
            [strongest, own], texts, most, options.shares, options.seconds, options.rounds, options.folder
        )
    except (wrk.WrkMissing, wrk.WrkFailed, ServerFailed, InstallFailed) as problem:
        print(problem, file=sys.stderr)
        return 1
    here = machine.describe() | neighbours.shares()
    before = options.folder / "bench.json"
    result = json.loads(before.read_text()) if before.exists() else {"machine": here, **peers}
    save(result | {"peers": peers | {"machine": here}}, options.folder)
    return exit_code(peers)


if __name__ == "__main__":
    stop_on_signals()
    sys.exit(main(sys.argv[1:]))
