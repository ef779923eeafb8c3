"""The gate: may this run be published? A pure function of figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from services.core.card import Card
from services.trainer.run_record import MetricRecord, Verdict

# Of what `stable` gains over the baseline, a new version may lose this part: seeds alone move a figure about as much.
TOLERANCE = 0.02
# Keras works figures out in 32 bits, a baseline is of 64: less than this part of it is rounding, no gain.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Standing:
    """What is served now: the card that `stable` points at, and the version's number."""

    version: int
    card: Card


@dataclass(frozen=True)
class Candidate:
    """The figures of the run at the gate, on the test split, and the data it saw."""

    metrics: Mapping[str, float]
    baseline: Mapping[str, float]
    data_sha256: Mapping[str, str]


def judge(metric: MetricRecord, run: Candidate, stable: Standing | None) -> Verdict:
    """Passed if all figures are numbers, and the one that counts beats its baseline and holds `stable`, within the
    tolerance.
    """
    checks = [_against_baseline(metric, run)]
    if wrong := [name for name, figure in run.metrics.items() if not math.isfinite(figure)]:
        checks.append((False, f"no number: {', '.join(wrong)} (NaN in the data, or too high a learning rate?)"))
    if stable is not None:
        checks.append(_against_stable(metric, run, stable))
    return Verdict(passed=all(passed for passed, _ in checks), reasons=tuple(reason for _, reason in checks))


def _against_baseline(metric: MetricRecord, run: Candidate) -> tuple[bool, str]:
    if metric.name not in run.baseline:
        return True, f"The plugin states no baseline for {metric.name}"
    ours, baseline = run.metrics[metric.name], run.baseline[metric.name]
    beaten = metric.better(ours, baseline) and not math.isclose(ours, baseline, rel_tol=_ROUNDING)
    return beaten, f"{metric.name} {ours:.4g} {'beats' if beaten else 'does not beat'} the baseline {baseline:.4g}"


def _against_stable(metric: MetricRecord, run: Candidate, stable: Standing) -> tuple[bool, str]:
    name = f"stable (version {stable.version})"
    if metric.name not in stable.card.metrics:
        return True, f"{name} has no {metric.name} to compare with"
    if stable.card.lineage.data_sha256 != run.data_sha256:
        return True, f"{name} was measured on other data, so the two are not compared"
    ours, theirs = run.metrics[metric.name], stable.card.metrics[metric.name]
    allowed = TOLERANCE * abs(theirs - stable.card.baseline.get(metric.name, 0.0))
    kept = metric.better(ours, theirs) or abs(ours - theirs) <= allowed
    relation = "holds" if kept else "falls behind"
    return kept, f"{metric.name} {ours:.4g} {relation} {name} with {theirs:.4g} (tolerance {allowed:.2g})"
