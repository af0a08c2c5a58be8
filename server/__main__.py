"""`python -m server`: see `python -m server --help`."""

import logging
import os
import signal
import sys
import tempfile


def main(arguments: list[str]) -> int:
    # Until whoever serves has its handlers, a signal waits: process 1 of a container would ignore it, and serve on. The
    # imports come below because they take most of that time.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    _open_standard_streams()
    from pydantic import ValidationError

    from server import logs, settings

    try:
        chosen = settings.load(arguments)
    except settings.SettingsFileError as error:
        print(error, file=sys.stderr)
        return 2
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(map(str, problem["loc"]))
            place = settings.source(name, arguments) if name else "the settings"
            given = f" (given: {problem['input']!r})" if name else ""
            print(f"{place}: {problem['msg']}{given}", file=sys.stderr)
        return 2
    logs.configure(chosen.log_level)
    for warning in settings.warnings():
        logging.getLogger("server").warning(warning)
    try:
        folder = tempfile.TemporaryDirectory(prefix="lstm-metrics-")
    except OSError as error:
        print(f"no temporary folder for the metrics: {error}; make /tmp writable, or set TMPDIR", file=sys.stderr)
        return 2
    with folder:
        # prometheus_client decides at its import how it keeps its values, hence the import below.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder.name
        from server import run

        return run.run(chosen)


def _open_standard_streams() -> None:
    """Where one was closed, a socket would get its number, and the event loop would abort at the end."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
