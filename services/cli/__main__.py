"""`tensorgate`, from its first line on: what it is made of takes a moment to load."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command. Ctrl-C ends it without a word while it is loaded, too."""
    asked = signal.getsignal(signal.SIGINT)
    if asked is signal.default_int_handler:  # and not ignored, as of what a script runs in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from services.cli.app import run

    signal.signal(signal.SIGINT, asked)
    run()


if __name__ == "__main__":
    main()
