"""What follows the gate: export, check in a fresh process, publish, label."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from plugins.contract import Plugin, Signature
from services.core.card import Card, Lineage
from services.trainer.check import check
from services.trainer.export import export, signature_cards
from services.trainer.journal import Bench, Journal
from services.trainer.run_record import RunRecord, RunState


def publish(label: str | None, bench: Bench, journal: Journal, model: Any) -> None:
    """Make the trained model the next version and move `label`, if any, to it.

    Raises InvalidArgument or FailedPrecondition when what would be published is not what was trained.
    """
    record, folder = journal.record, journal.folder.export
    signatures = bench.plugin.signatures(model)
    card = card_of(bench.plugin, record, signatures)
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed while exporting
    bench.progress.step("exporting")
    with journal.timed("export"):
        exported = export(model, signatures, card, folder)
    bench.progress.step("checking in a fresh model server")
    with journal.timed("check"):
        check(folder, card, exported)
    bench.progress.step("publishing")
    with journal.timed("publish"):
        number = bench.store.publish(record.model, folder)
        if label is not None:
            bench.store.move_label(record.model, label, number)
    size = bench.store.manifest(record.model, number).size
    journal.note(state=RunState.PUBLISHED, version=number, label=label, size=size)
    bench.progress.step(f"published {record.model}/{number}" + (f" as {label}" if label else ""))


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
