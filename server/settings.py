"""Every setting, with its default and what speaks for another value.

A flag (`--port 9000`) goes before an environment variable (`LSTM_PORT=9000`), and that before the TOML file that
LSTM_CONFIG names (`port = 9000`; default: server.toml in the working directory, if there is one).
"""

import argparse
import difflib
import inspect
import os
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from models.manifest import Precision

DEFAULT_FILE = "server.toml"
LONGEST_TIMEOUT_MS = 24 * 3600 * 1000.0
LONGEST_STOP_SECONDS = 24 * 3600.0
MODELS = Path(__file__).parent.parent / "models"


class Settings(BaseSettings):
    """Serves bundles over HTTP: POST /predict, and /docs for everything else.

    Flags go before variables (LSTM_PORT for --port), and these before the TOML file that LSTM_CONFIG names (server.toml
    in the working directory, if there is one).
    """

    model_config = SettingsConfigDict(
        env_prefix="LSTM_",
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        cli_prog_name="python -m server",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
    )

    host: str = Field(
        "127.0.0.1", min_length=1, description="Address to listen on. 0.0.0.0 opens the server to the network."
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one and logs it.")
    workers: int = Field(
        1, ge=0, le=64, description="Processes, each with all models. 0: one for each core that the container may use."
    )
    models: Path = Field(MODELS, description="Folder of bundles: <name>/<version>/manifest.json.")
    trusted_keys: Path | None = Field(
        None,
        description="PEM file of Ed25519 public keys, or a folder of them: only bundles that one of them signed are "
        "served. By default a signature is not asked for.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="'auto' takes a GPU if CUDA really works; 'cuda' refuses to start without one."
    )
    precision: Precision | None = Field(
        None, description="Load this precision of every model. By default each manifest names the best for the device."
    )
    threads: int = Field(
        1,
        ge=1,
        le=64,
        description="Threads inside one run of a network. More than 1 pays only for hidden sizes above 512.",
    )
    slots: int = Field(
        32,
        ge=1,
        le=1024,
        description="Sequences that may be under way together. More raise throughput and memory; the others wait.",
    )
    chunk_ms: float = Field(
        1.0,
        gt=0,
        le=10_000,
        description="Longest predicted time of a chunk, in ms. With less, requests wait less, at less throughput.",
    )
    queue_limit: int = Field(
        4096, ge=1, description="Sequences that may wait for one model before requests are refused with 503."
    )
    max_items: int = Field(256, ge=1, description="Most inputs in the list of one request.")
    max_body_bytes: int = Field(4 * 2**20, ge=1024, description="Largest body of a request, in bytes.")
    timeout_ms: float = Field(
        10_000,
        gt=0,
        le=LONGEST_TIMEOUT_MS,
        description="How long a request may take if it does not say so itself, in milliseconds.",
    )
    drain_seconds: float = Field(
        1.0,
        ge=0,
        le=LONGEST_STOP_SECONDS,
        description="After SIGTERM, how long requests are still taken while readiness already answers 503.",
    )
    shutdown_seconds: float = Field(
        8.0, gt=0, le=LONGEST_STOP_SECONDS, description="How long accepted requests may take to finish after that."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line to log.")
    access_log: bool = Field(False, description="One line for each request. Costs a few per cent of throughput.")

    @model_validator(mode="after")
    def _a_list_fits_into_the_queue(self) -> Self:
        if self.queue_limit < self.max_items:
            raise ValueError(
                f"queue_limit {self.queue_limit} is below max_items {self.max_items}: such a list never fits"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
        if isinstance(env_settings, EnvSettingsSource) and service_link():
            env_settings.env_vars = {name: v for name, v in env_settings.env_vars.items() if name != "lstm_port"}
        file = TomlConfigSettingsSource(settings_cls, toml_file=_file())
        return init_settings, env_settings, file


class Help(argparse.RawDescriptionHelpFormatter):
    """`--help` without Python's names of types."""

    METAVARS: ClassVar = {"str": "ADDRESS", "int": "NUMBER", "float": "NUMBER", "Path": "PATH"}

    def add_text(self, text: str | None) -> None:
        super().add_text(text and inspect.cleandoc(text))

    def add_usage(self, usage: str | None, actions: Iterable[argparse.Action], *others: Any, **more: Any) -> None:
        for action in actions:
            if isinstance(action.metavar, str):
                action.metavar = self.METAVARS.get(action.metavar, action.metavar)
            action.help = action.help and action.help.removesuffix(" (default: null)")
        super().add_usage(usage, actions, *others, **more)


def load(arguments: list[str]) -> Settings:
    """Settings from the command line, the environment and the file.

    Raises pydantic.ValidationError, or SettingsFileError; --help exits.
    """
    _check_file()
    cli: CliSettingsSource[Settings] = CliSettingsSource(Settings, cli_parse_args=arguments, formatter_class=Help)
    return Settings(_cli_settings_source=cli)  # type: ignore[call-arg]


class SettingsFileError(Exception):
    """The file of settings cannot be used, said in one sentence."""


def _file() -> str:
    return os.environ.get("LSTM_CONFIG") or DEFAULT_FILE


def _check_file() -> None:
    path = Path(_file())
    try:
        given = tomllib.loads(path.read_text())
    except FileNotFoundError:
        if os.environ.get("LSTM_CONFIG"):
            raise SettingsFileError(f"LSTM_CONFIG names {path}, but there is no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsFileError(f"{path}: {error}") from None
    else:
        for name in given.keys() - Settings.model_fields.keys():
            close = difflib.get_close_matches(name.lower().replace("-", "_"), Settings.model_fields, 1)
            advice = f"did you mean {close[0]}?" if close else "`python -m server --help` lists those there are"
            raise SettingsFileError(f"{path}: {name} is no setting; {advice}")


def source(name: str, arguments: list[str]) -> str:
    """Where the value of a setting came from."""
    flag, variable = f"--{name.replace('_', '-')}", f"LSTM_{name.upper()}"
    if any(argument.split("=")[0] == flag for argument in arguments):
        return flag
    in_environment = variable in os.environ and not (name == "port" and service_link())
    return variable if in_environment else f"{name} in {_file()}"


def warnings() -> Iterator[str]:
    """What the environment holds that is no setting but looks like one."""
    if link := service_link():
        yield (
            f"LSTM_PORT is {link}: Kubernetes sets that where a Service is called lstm, so it is ignored; set "
            "enableServiceLinks: false in the pod, and give another port than the default one with --port"
        )
    for name, meant in _likely_typos().items():
        yield f"{name} is no setting; did you mean {meant}?"


def service_link() -> str | None:
    """The address that Kubernetes puts into LSTM_PORT of every pod beside a Service called lstm."""
    given = os.environ.get("LSTM_PORT", "")
    return given if given.startswith(("tcp://", "udp://", "sctp://")) else None


def _likely_typos() -> dict[str, str]:
    """Environment variable -> the setting that it resembles."""
    known = {f"LSTM_{name.upper()}" for name in Settings.model_fields} | {"LSTM_CONFIG"}
    unknown = [name for name in os.environ if name.startswith("LSTM_") and name not in known]
    return {name: close[0] for name in unknown if (close := difflib.get_close_matches(name, known, 1, 0.85))}
