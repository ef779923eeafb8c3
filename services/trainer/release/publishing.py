"""What follows the gate: export, check in a fresh process, publish, label."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

from plugins.contract import Plugin, Signature
from services.core.card import Card, Lineage
from services.core.errors import Aborted
from services.store import UploadProgress
from services.trainer.faults import told
from services.trainer.journal import Bench, Journal
from services.trainer.progress import RunProgress
from services.trainer.release.check import check
from services.trainer.release.export import export, signature_cards
from services.trainer.release.signatures import signatures_of
from services.trainer.run_record import RunRecord, RunState

_LARGE = 50_000_000  # bytes: a smaller upload is over before one could read of it


@dataclass(frozen=True)
class Label:
    """The label to move, and the version it must still point at (None: none; `...`: wherever it points)."""

    name: str
    judged_against: int | EllipsisType | None = ...


def publish(label: Label | None, bench: Bench, journal: Journal, model: Any) -> None:
    """Make the trained model the next version and move `label`, if any, to it.

    A label that was moved by somebody else since the gate looked at it stays there, and the run says so.

    Raises InvalidArgument or FailedPrecondition when what would be published is not what was trained.
    """
    record, folder = journal.record, journal.folder.export
    signatures = signatures_of(bench.plugin, model)
    card = card_of(bench.plugin, record, signatures)
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed while exporting
    bench.progress.step("exporting")
    with journal.timed("export"), told(bench.plugin, f"Signatures of plugin {bench.plugin.name} answer their examples"):
        exported = export(model, signatures, card, folder)
    bench.progress.step("checking in a fresh model server")
    with journal.timed("check"):
        check(folder, card, exported)
    bench.progress.step("publishing")
    with journal.timed("publish"):
        number = bench.store.publish(record.model, folder, uploading(bench.progress))
        moved = move(label, bench, record.model, number) if label is not None else None
    size = bench.store.manifest(record.model, number).size
    journal.note(state=RunState.PUBLISHED, version=number, label=moved, size=size)
    bench.progress.step(f"published {record.model}/{number}" + (f" as {moved}" if moved else ""))


def uploading(progress: RunProgress) -> UploadProgress:
    """Tells each quarter of a large upload."""
    said = 0

    def moved(done: int, total: int) -> None:
        nonlocal said
        quarters = 4 * done // total
        if total >= _LARGE and quarters > said:
            said = quarters
            progress.step(f"uploaded {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    return moved


def move(label: Label, bench: Bench, model: str, version: int) -> str | None:
    """Point the label at the version; its name, or None where somebody else moved it meanwhile."""
    try:
        bench.store.move_label(model, label.name, version, expected=label.judged_against)
    except Aborted as error:
        bench.progress.step(f"{label.name} stays where it is: {error.message}")
        return None
    return label.name


def card_of(plugin: Plugin[Any], record: RunRecord, signatures: Mapping[str, Signature]) -> Card:
    """Everything a client must know, from the plugin and the run."""
    return Card(
        model=record.model,
        task=record.task,
        title=record.title,
        description=plugin.variants[record.variant].summary,
        signatures=signature_cards(signatures),
        metrics=record.metrics,
        baseline=record.baseline,
        book=record.book,
        expected=record.expected,
        warnings=_warnings(record),
        lineage=Lineage(
            plugin=record.plugin,
            variant=record.variant,
            run=record.id,
            seed=record.seed,
            config=record.config,
            data_sha256=record.data_sha256,
            code=record.environment["tensorgate"],
            created=record.created,
        ),
    )


def _warnings(record: RunRecord) -> tuple[str, ...]:
    if not record.forced or record.gate is None:
        return ()
    return (f"published although the gate refused it: {'; '.join(record.gate.reasons)}",)
