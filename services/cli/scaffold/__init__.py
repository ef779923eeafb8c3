"""The files `tensorgate new-plugin` writes: a plugin that trains as it is, to be changed into yours."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePosixPath
from string import Template

from services.core.errors import InvalidArgument

_SUFFIX = ".template"
_NAME = re.compile("[a-z]([a-z0-9_]*[a-z0-9])?")
_BESIDE_THE_PACKAGE = ("pyproject.toml", "README.md", "test_plugin.py")


def plugin_files(name: str) -> Mapping[PurePosixPath, str]:
    """The new plugin's files by path below its folder. Raises InvalidArgument for a name that cannot be."""
    if keyword.iskeyword(name) or not _NAME.fullmatch(name):
        raise InvalidArgument(
            "A plugin's name has lower-case letters, digits and '_', begins with a letter and does not end with '_', "
            f"such as flower_photos. Received: {name!r}"
        )
    package = f"tensorgate_{name}"
    names = {
        "name": name,
        "dashed": name.replace("_", "-"),
        "package": package,
        "class_name": "".join(part.capitalize() for part in name.split("_")),
    }
    written = {PurePosixPath(package, "__init__.py"): f'"""The {name} plugin of Tensorgate."""\n'}
    for template in files(__name__).iterdir():
        if template.name.endswith(_SUFFIX):
            file = template.name.removesuffix(_SUFFIX)
            folder = PurePosixPath() if file in _BESIDE_THE_PACKAGE else PurePosixPath(package)
            written[folder / file] = Template(template.read_text()).substitute(names)
    return written
