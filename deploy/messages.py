"""`python messages.py FOLDER` copies the modules of TensorFlow that `services.core.tfs` loads, for the gateway's image.

They are 46 files of messages; the package they come from takes 1.3 GB.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path


def copy_messages(folder: Path) -> None:
    """Below `folder`, each in the package it is imported from; those packages have no `__init__` there."""
    importlib.import_module("services.core.tfs")
    for name, module in list(sys.modules.items()):
        if name.startswith("tensorflow.") and module.__file__ is not None:
            copy = folder / Path(*name.split(".")).with_suffix(".py")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(module.__file__, copy)


if __name__ == "__main__":
    copy_messages(Path(sys.argv[1]))
