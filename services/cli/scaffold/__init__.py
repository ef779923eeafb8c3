"""The files `tensorgate new-plugin` writes: a plugin that trains as it is, to be changed into yours."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePosixPath
from string import Template

from services.core.errors import InvalidArgument

_SUFFIX = ".template"
_BESIDE_THE_PACKAGE = ("pyproject.toml", "README.md", "test_plugin.py")


def plugin_files(name: str) -> Mapping[PurePosixPath, str]:
    """The new plugin's files by path below its folder. Raises InvalidArgument unless `name` can name a module."""
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise InvalidArgument(f"A plugin's name is a lower-case Python name, such as flower_photos. Received: {name!r}")
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
