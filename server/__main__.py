"""`python -m server`: see `python -m server --help`."""

import os
import sys
import tempfile

from pydantic import ValidationError

from server import settings


def main(arguments: list[str]) -> int:
    try:
        chosen = settings.load(arguments)
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(map(str, problem["loc"])).replace("_", "-")
            print(f"--{name}: {problem['msg']} (given: {problem['input']!r})", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="lstm-metrics-") as folder:
        # prometheus_client decides at its import how it keeps its values, hence the import below.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        from server import run

        return run.run(chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
