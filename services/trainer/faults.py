"""What a plugin's code raises, or Keras for it, in a sentence for the plugin's author."""

from __future__ import annotations

import linecache
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plugins.contract import Plugin
from services.core.errors import InvalidArgument, TensorgateError

_MOST = 600  # characters of what was said
_BOLD = re.compile(r"\x1b\[1m(.*?)\x1b\[0m", re.S)  # Keras: what it says, among what it was called with
_STACKED = ("Graph execution error:", "in user code:")  # TensorFlow: a stack, and in the last paragraph what it says
_LINE = re.compile(r'File "(.+?)", line (\d+)')
_CONVERTED = "__autograph_generated_file"
_OURS = "services."


@contextmanager
def told(plugin: Plugin[Any], rule: str, received: Callable[[], str] = str) -> Iterator[None]:
    """Around code of the plugin's, or Keras' at work for it: what it raises breaks the rule, and is told so.

    `received` may tell more than was raised. Errors that are sentences already pass; so do those of the place that
    files are in, and of our own lines. Raises InvalidArgument.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, TensorgateError) or _is_of_the_place(error) or _is_ours(error):
            raise
        module = type(plugin).__module__
        package = module.rpartition(".")[0] or module
        raise InvalidArgument(f"{rule}. Received: {received()}{what_was_raised(error, package)}") from error


def what_was_raised(error: Exception, package: str) -> str:
    """The error's class and text on one line, and the last line of the package's own that led there."""
    text = str(error)
    line = "" if isinstance(error, SyntaxError) else _own_line(error, text, package)  # which tells its own
    if bold := _BOLD.search(text):
        text = bold[1]
    elif text.startswith(_STACKED):
        text = re.split(r"\n\s*\n|<stack traces unavailable>", text.strip())[-1]
        text = re.sub(r"\[\[\{\{.*", "", text, flags=re.S)  # the name of the graph's node
    text = " ".join(text.split())
    kind = type(error).__name__
    text = text if text.startswith(f"{kind}: ") else f"{kind}: {text}"
    return (text if len(text) <= _MOST else f"{text[:_MOST]}...") + (f" ({line})" if line else "")


def _is_of_the_place(error: Exception) -> bool:
    return isinstance(error, OSError) and not isinstance(error, FileNotFoundError)


def _is_ours(error: Exception) -> bool:
    """Was it raised by a line of ours that the plugin or Keras has called?"""
    _, _, *called = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]  # but for `told` and its block
    return bool(called) and str(called[-1].f_globals.get("__name__", "")).startswith(_OURS)


def _own_line(error: Exception, text: str, package: str) -> str:
    """The last line that is the package's, among those that Python tells, or else those that TensorFlow tells."""

    def own(module: str) -> bool:
        return module == package or module.startswith(f"{package}.")

    frames = traceback.walk_tb(error.__traceback__)
    places = [(f.f_code.co_filename, number) for f, number in frames if own(str(f.f_globals.get("__name__", "")))]
    if not places or _CONVERTED in places[-1][0]:
        files = {getattr(module, "__file__", None) for name, module in [*sys.modules.items()] if own(name)}
        places = [(file, int(number)) for file, number in _LINE.findall(text) if file in files]
    if not places:
        return ""
    file, number = places[-1]
    return f"{Path(file).name}, line {number}: {linecache.getline(file, number).strip()}"
