"""The gallery shows what its commands make, and nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.gallery import PAGE, SHOWN, STEP, anew, models

FOLDER = PAGE.parent / "gallery"
LARGEST = 400_000  # bytes of one picture; people clone them


def test_every_picture_is_shown_and_made_by_a_command_of_the_page() -> None:
    page = PAGE.read_text()
    pictures = {f"gallery/{path.name}": path for path in FOLDER.iterdir()}
    commands = "".join(step["command"] for step in STEP.finditer(page))
    assert set(SHOWN.findall(page)) == pictures.keys()
    assert all(f"docs/{name}" in commands for name in pictures)
    assert all(path.stat().st_size <= LARGEST for path in pictures.values())


def test_a_page_is_made_anew_by_running_its_commands(tmp_path: Path) -> None:
    page = f"# A\n\n```sh\necho one > {tmp_path}/picture\n```\n\n```sh\necho two\n```\n\n```text\nold\n```\n\nEnd.\n"
    assert anew(page) == page.replace("old", "two")
    assert (tmp_path / "picture").read_text() == "one\n"
    assert models("/api/models/deep_dream/generate-image predict nietzsche x") == {"deep_dream", "nietzsche"}
