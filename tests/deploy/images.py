"""The images, built from the Dockerfile by buildah and run as a cluster runs them, where there is no container engine.

The official bases come from registries that may be out of reach, so bases made of Debian's packages stand in for them:
debootstrap's for Python's, and for the bare one the packages that it is made of, unpacked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy.manifests import ROOT

TOOLS = ("buildah", "debootstrap", "unshare", "chroot")
# Layers are kept from one run to the next; `make clean` removes them.
STORAGE = ROOT / ".images"
_STAND_INS = {"PYTHON_IMAGE": "stand-in/python", "BARE_IMAGE": "stand-in/bare"}
_PYTHON_PACKAGES = "python3,python3-pip,python3-venv,python-is-python3,ca-certificates"
_BARE_PACKAGES = (
    "base-files ca-certificates libbz2-1.0 libc6 libcom-err2 libcrypt1 libdb5.3 libexpat1 libffi8 libgcc-s1 "
    "libgssapi-krb5-2 libk5crypto3 libkeyutils1 libkrb5-3 libkrb5support0 liblzma5 libncursesw6 libnsl2 "
    "libpython3.11-minimal libpython3.11-stdlib libreadline8 libsqlite3-0 libssl3 libstdc++6 libtinfo6 libtirpc3 "
    "libuuid1 netbase python3.11 python3.11-minimal tzdata zlib1g"
)
# Left out of slim and bare images alike.
_LEFT_OUT = (
    *("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists"),
    *("dev", "proc"),
)


def why_not() -> str:
    """What is missing to build and run images here; empty: nothing."""
    if os.getuid() != 0:
        return "needs root, to make mounts"
    if missing := [name for name in TOOLS if shutil.which(name) is None]:
        return f"{', '.join(missing)} not installed: make deploy-check does that"
    try:
        _run(["unshare", "--mount", "true"])
        _buildah("info")
    except subprocess.CalledProcessError as error:
        return f"this machine does not let us: {error.stderr}"
    return ""


def build(target: str) -> None:
    """Build one target on the stand-ins, as tensorgate/TARGET."""
    for name in _STAND_INS.values():
        if not _buildah("images", "--quiet", "--filter", f"reference={name}").strip():
            _stand_in(name)
    arguments = [f"--build-arg={name}=localhost/{image}" for name, image in _STAND_INS.items()]
    # pip is to trust whom this machine trusts; HEALTHCHECK is Docker's own.
    certificates = "--volume=/etc/ssl/certs:/etc/ssl/certs:ro"
    options = ("--format=docker", "--pull-never", "--layers", "--network=host", certificates)
    revision = "--build-arg=REVISION=abc"
    _buildah("bud", *options, *arguments, revision, f"--target={target}", f"--tag=tensorgate/{target}", str(ROOT))


@dataclass(frozen=True)
class Image:
    """A built image, unpacked."""

    target: str
    root: Path
    config: Mapping[str, Any]
    bytes: int

    @property
    def environment(self) -> dict[str, str]:
        return dict(variable.split("=", 1) for variable in self.config["Env"])


@contextmanager
def unpacked(target: str) -> Iterator[Image]:
    """The image as a container sees it."""
    container = _buildah("from", "--pull-never", f"localhost/tensorgate/{target}").strip()
    try:
        root = Path(_buildah("mount", container).strip())
        inspected = json.loads(_buildah("inspect", "--type=image", f"localhost/tensorgate/{target}"))
        (listed,) = json.loads(_buildah("images", "--json", "--filter", f"reference=tensorgate/{target}"))
        size, unit = listed["size"].split()
        factor = {"KB": 10**3, "MB": 10**6, "GB": 10**9}[unit]
        yield Image(target, root, inspected["Docker"]["config"], int(float(size) * factor))
    finally:
        _buildah("rm", container)


@dataclass(frozen=True)
class Given:
    """What a container is given: variables, arguments, and folders by the path it sees them at."""

    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    folders: Mapping[str, Path] = field(default_factory=dict)


# $1 the image's root, then pairs of a folder and its path in the image up to "--", then the command. Everything but
# those folders and /tmp is read-only.
_ENTER = """
root=$1; shift
mount --bind "$root" "$root"
for place in dev proc; do mkdir -p "$root/$place"; mount --rbind "/$place" "$root/$place"; done
while [ "$1" != -- ]; do mkdir -p "$root$2"; mount --bind "$1" "$root$2"; shift 2; done
shift
mount -o remount,bind,ro "$root"
mount -t tmpfs tmpfs "$root/tmp"
exec chroot --userspec="$USER_OF_IMAGE" "$root" "$@"
"""


@contextmanager
def running(image: Image, given: Given, command: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """A container of the image: its user, its environment, a root that cannot be written to."""
    folders = [part for path, folder in given.folders.items() for part in (str(folder), path)]
    words = list(command) or [*image.config["Entrypoint"], *given.arguments]
    environment = {**image.environment, **given.environment, "USER_OF_IMAGE": image.config["User"]}
    words[0] = _program(image, words[0])
    process = subprocess.Popen(
        ["/usr/bin/unshare", "--mount", "/bin/sh", "-euc", _ENTER, "sh", str(image.root), *folders, "--", *words],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _program(image: Image, name: str) -> str:
    """Found in the image's PATH; a link there may lead to where only the image has something."""
    if name.startswith("/"):
        return name
    folders = image.environment["PATH"].split(":")
    return next(f"{folder}/{name}" for folder in folders if os.path.lexists(image.root / folder.lstrip("/") / name))


def _stand_in(name: str) -> None:
    folder = STORAGE / "context"
    shutil.rmtree(folder, ignore_errors=True)
    (root := folder / "root").mkdir(parents=True)
    if name == _STAND_INS["PYTHON_IMAGE"]:
        _run(["debootstrap", "--variant=minbase", f"--include={_PYTHON_PACKAGES}", "bookworm", str(root)])
    else:
        _unpack_bare(folder, root)
    left_out = [f"--exclude=./{path}/*" for path in _LEFT_OUT]
    _run(["tar", "-C", str(root), *left_out, "-cf", str(folder / "root.tar"), "."])
    shutil.rmtree(root)
    (folder / "Dockerfile").write_text("FROM scratch\nADD root.tar /\n")
    _buildah("bud", f"--tag={name}", str(folder))
    shutil.rmtree(folder)


def _unpack_bare(folder: Path, root: Path) -> None:
    _run(["apt-get", "download", "-q", *_BARE_PACKAGES.split()], cwd=folder)
    for package in folder.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(root)])
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs")


def _buildah(*words: str) -> str:
    STORAGE.mkdir(exist_ok=True)
    (STORAGE / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{STORAGE}/layers"\nrunroot = "{STORAGE}/run"\n'
    )
    environment = {"CONTAINERS_STORAGE_CONF": f"{STORAGE}/storage.conf", "BUILDAH_ISOLATION": "chroot"}
    return _run(["buildah", *words], env={**os.environ, **environment})


def _run(command: Sequence[str], **options: Any) -> str:
    """What it prints. Raises CalledProcessError with what it said instead."""
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout
