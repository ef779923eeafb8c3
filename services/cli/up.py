"""`tensorgate up` and `serve`: gateway, mirror and model server on one machine; `up` trains the starter models too."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx
import typer

from services.cli.settings import CliSettings, inherited_environment
from services.cli.supervisor import Service, Supervisor
from services.core.card import Card
from services.core.errors import FailedPrecondition, TensorgateError
from services.core.keys import read_keys
from services.core.refs import STABLE
from services.core.settings import GRPC_PORT, HTTP_PORT
from services.core.signals import stop_on_signals
from services.core.sockets import address_of, listen
from services.core.tryout import Gateway, try_out
from services.gateway.settings import GatewaySettings
from services.store import open_store

# Quickest first, so that something can be called early.
STARTERS = ("boston_housing", "mnist", "nietzsche", "digits_vae")
POLL_SECONDS = 0.5
_LONGEST_LINE = 1 << 24  # bytes of one line that a training run prints

HttpPort = Annotated[int, typer.Option(help="The gateway's REST port.")]
GrpcPort = Annotated[int, typer.Option(help="The gateway's gRPC port.")]
Host = Annotated[str, typer.Option(help="The address the gateway listens on.")]
Workers = Annotated[int | None, typer.Option(min=1, help="The gateway's processes. None: TENSORGATE_GATEWAY_WORKERS.")]


def up(
    plugins: Annotated[list[str] | None, typer.Argument(help="Plugins to train if not in the store yet.")] = None,
    http_port: HttpPort = HTTP_PORT,
    grpc_port: GrpcPort = GRPC_PORT,
    host: Host = "127.0.0.1",
    workers: Workers = None,
) -> None:
    """Serve everything in the store, and train the starter models that are not there yet. Ctrl-C stops it all."""
    _serve(Address(host, http_port, grpc_port, workers), plugins or STARTERS)


def serve(
    http_port: HttpPort = HTTP_PORT,
    grpc_port: GrpcPort = GRPC_PORT,
    host: Host = "127.0.0.1",
    workers: Workers = None,
) -> None:
    """Serve everything in the store; train nothing. Ctrl-C stops it."""
    _serve(Address(host, http_port, grpc_port, workers), ())


@dataclass(frozen=True)
class Address:
    """Where the gateway shall listen, with how many processes; None: as its settings say."""

    host: str
    http_port: int
    grpc_port: int
    workers: int | None = None

    @property
    def gateway(self) -> Gateway:
        """The same, as a client writes it."""
        return Gateway(f"http://{address_of(self.host, self.http_port)}", address_of(self.host, self.grpc_port))


def _serve(address: Address, plugins: Sequence[str]) -> None:
    settings = CliSettings()
    gateway = GatewaySettings(http_host=address.host)
    gateway.check_address()
    if gateway.keys is not None:
        read_keys(gateway.keys)  # or the gateway would say it in its log, again and again
    settings.home.mkdir(parents=True, exist_ok=True)
    with _only_one(settings.home):
        for port in (address.http_port, address.grpc_port, gateway.operations_port):
            if port is not None:
                _check_free(address.host, port)
        work = partial(_work, settings, address, plugins)
        asyncio.run(serve_while(settings, address, work, environment=inherited_environment()))


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """Hold the home folder's lock; the kernel gives it back however we end."""
    with (home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FailedPrecondition(
                f"One `tensorgate up` or `serve` at a time uses a home folder. {home} is in use: stop the other one, "
                "or set TENSORGATE_HOME to another folder."
            ) from None
        yield


def _check_free(host: str, port: int) -> None:
    try:
        listen(host, port).close()
    except OSError as error:
        raise FailedPrecondition(
            f"The gateway needs {address_of(host, port)} for itself; choose others with --http-port, --grpc-port and "
            f"TENSORGATE_GATEWAY_OPERATIONS_PORT. Received: {error.strerror}"
        ) from error


async def serve_while(
    settings: CliSettings,
    address: Address,
    work: Callable[[Supervisor], Awaitable[None]],
    *,
    environment: Mapping[str, str],
) -> None:
    """Serve everything in the store until the work is done or we are told to stop."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with Supervisor(settings.logs, environment, say) as supervisor:
        for service in services(settings, address, (free_port(), free_port())):
            supervisor.start(service)
        working = asyncio.ensure_future(work(supervisor))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        say("stopping")
    say("stopped; models and runs stay in " + str(settings.home))


def services(settings: CliSettings, address: Address, model_server_ports: tuple[int, int]) -> Sequence[Service]:
    """The three processes that serve, in the order they start."""
    grpc_port, rest_port = model_server_ports
    model_server = f"127.0.0.1:{grpc_port}"
    python = sys.executable
    return (
        Service(
            "model-server",
            (
                python,
                "-m",
                "services.model_server",
                f"--port={grpc_port}",
                f"--rest_api_port={rest_port}",
                "--max_num_load_retries=0",
            ),
        ),
        Service(
            "mirror",
            (python, "-m", "services.mirror"),
            {
                "TENSORGATE_MIRROR_STORE": settings.store_url,
                "TENSORGATE_MIRROR_FOLDER": str(settings.home / "mirror"),
                "TENSORGATE_MIRROR_MODEL_SERVER": model_server,
            },
        ),
        Service(
            "gateway",
            (python, "-m", "services.gateway", *(() if address.workers is None else (f"--workers={address.workers}",))),
            {
                "TENSORGATE_GATEWAY_STORE": settings.store_url,
                "TENSORGATE_GATEWAY_MODEL_SERVER": model_server,
                "TENSORGATE_GATEWAY_HTTP_HOST": address.host,
                "TENSORGATE_GATEWAY_HTTP_PORT": str(address.http_port),
                "TENSORGATE_GATEWAY_GRPC_PORT": str(address.grpc_port),
            },
        ),
    )


async def _work(settings: CliSettings, address: Address, plugins: Sequence[str], supervisor: Supervisor) -> None:
    """Announce models as they go live, and train the missing ones meanwhile; then wait until cancelled."""
    ports = await supervisor.ready("gateway")
    operations = address_of(address.host, ports["operations_port"] or ports["http_port"])
    say(
        f"the gateway is up: {address.gateway.http}/docs (REST), {address.gateway.grpc} (gRPC), http://{operations}/metrics"
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_announce(settings, address))
        tasks.create_task(_train_missing(settings, plugins))
    await asyncio.Event().wait()  # who is not told of models is served all the same


async def _train_missing(settings: CliSettings, plugins: Sequence[str]) -> None:
    for plugin in plugins:
        try:
            if STABLE in open_store(settings.store_url).labels(plugin):
                continue
        except TensorgateError as error:  # serving goes on without this plugin
            say(f"{plugin} is not trained: {error.message}")
            continue
        say(f"training {plugin} (a report will be in {settings.runs})")
        code = await train_apart(plugin, inherited_environment())
        if code != 0:
            say(f"training {plugin} ended with exit code {code}; the others go on. Try: tensorgate train {plugin}")


async def train_apart(plugin: str, environment: Mapping[str, str], *options: str) -> int:
    """Train in a process of its own, its lines prefixed with the plugin's name; cancelling stops it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "train", plugin, *options),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=_LONGEST_LINE,
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            print(f"  {plugin} | {line.decode(errors='replace').rstrip()}", flush=True)
        return await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _announce(settings: CliSettings, address: Address) -> None:
    """Say how to call each model when it goes live, once a version."""
    if settings.key:
        say('this gateway has keys: add -H "Authorization: Bearer $TENSORGATE_KEY" to the lines to try')
    announced: dict[str, int] = {}
    examples = settings.home / "examples"
    examples.mkdir(exist_ok=True)
    async with httpx.AsyncClient(base_url=address.gateway.http, headers=settings.headers) as client:
        while True:
            with suppress(httpx.HTTPError):  # the gateway is restarting, or the version has just gone: ask again
                answer = await client.get("/api/models")
                if answer.status_code == httpx.codes.UNAUTHORIZED:
                    return say("models go live unannounced: this gateway has keys, set TENSORGATE_KEY to one of them")
                for model in answer.raise_for_status().json()["models"]:
                    name, stable = model["name"], model["labels"].get(STABLE)
                    if stable in model["versions"] and announced.get(name) != stable:
                        answer = (await client.get(f"/api/models/{name}")).raise_for_status().json()
                        _show_live(Card.model_validate(answer["card"]), stable, address.gateway, examples)
                        announced[name] = stable
            await asyncio.sleep(POLL_SECONDS)


def _show_live(card: Card, version: int, gateway: Gateway, examples: Path) -> None:
    trial = try_out(card, gateway, examples)
    for path, content in trial.files.items():
        path.write_bytes(content)
    say(f"{card.model} version {version} is live: {card.title}")
    for line in trial.lines:
        print(f"    {line}", flush=True)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def say(sentence: str) -> None:
    """Tell the person at the terminal."""
    print(f"tensorgate: {sentence}", flush=True)
