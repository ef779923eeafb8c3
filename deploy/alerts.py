"""What Prometheus is told to work out and to call people for: `python -m deploy.monitoring` writes it down.

Objectives are judged by how fast their budget of errors burns, over a long window and a short one, so that an alert
comes soon and ends soon (The Site Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PAGE, TICKET = "page", "ticket"  # somebody gets up; somebody looks tomorrow
RUNBOOK = "docs/operations.md"  # in this checkout; where your Alertmanager's readers find it, `--runbooks` says
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")

_G, _M = "tensorgate_gateway", "tensorgate_mirror"
_OURS = 'namespace="tensorgate"'  # of what tells of the whole cluster
# Requests that ask a model; the others are pages and probes.
_QUICK = "classify|regress|explain|predict|infer|multiinference"
_ASKED = f'operation=~"{_QUICK}|generate.*|watch_image|completions|generations"'
# Ours; other codes tell that the request was at fault.
_FAULTS = 'code=~"INTERNAL|UNAVAILABLE|DEADLINE_EXCEEDED|DATA_LOSS|UNKNOWN"'
_RARE = f"{_G}_rare_model_asked_timestamp_seconds"
# The rare ones' is away whenever nobody asks for its models.
_STEADY = f'{_G}_model_server_up{{server!~"model-server-rare-.*"}}'
# That a rare model is not there at first is agreed with who asks for it.
_AGREED = f'label_replace({_RARE}, "code", "UNAVAILABLE", "", "")'


@dataclass(frozen=True)
class Alert:
    """`query` has a line for each thing that is wrong; `lasting` is for how long before somebody is called."""

    name: str
    query: str
    lasting: str
    severity: str
    summary: str

    def rule(self, runbooks: str) -> Mapping[str, Any]:
        """As Prometheus reads it; `runbooks` is the page that says what to do."""
        return {
            "alert": self.name,
            "expr": self.query,
            "for": self.lasting,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "runbook_url": f"{runbooks}#{self.name.lower()}"},
        }


@dataclass(frozen=True)
class Objective:
    """So large a share of requests is well; `bad` is the share that is not, over a window."""

    name: str
    series: str
    share: float
    bad: str
    summary: str

    def records(self) -> Iterator[Mapping[str, Any]]:
        """The share of bad ones, worked out once for each window."""
        for window in WINDOWS:
            yield {"record": f"{self.series}{window}", "expr": self.bad.replace("[w]", f"[{window}]")}

    def alerts(self) -> Iterator[Alert]:
        """2 % of a month's budget in an hour or 5 % in six are worth a page; 10 % in three days a ticket."""
        for speed, severity, burns in (
            ("Fast", PAGE, ((14.4, "1h", "5m"), (6, "6h", "30m"))),
            ("Slowly", TICKET, ((3, "1d", "2h"), (1, "3d", "6h"))),
        ):
            query = " or ".join(
                f"({self.series}{long} > {self._bound(rate)} and {self.series}{short} > {self._bound(rate)})"
                for rate, long, short in burns
            )
            yield Alert(f"{self.name}BudgetBurns{speed}", query, "2m", severity, self.summary)

    def _bound(self, rate: float) -> str:
        return f"{rate * (1 - self.share):.4g}"


OBJECTIVES = (
    Objective(
        "Availability",
        "tensorgate:requests_failed:ratio_rate",
        0.999,
        f"((sum(rate({_G}_requests_total{{{_ASKED},{_FAULTS}}}[w]) unless on (model, code) {_AGREED}) or vector(0))"
        f' + (sum(rate({_G}_shed_total{{reason!="breaker"}}[w])) or vector(0)))'  # those of breakers are UNAVAILABLE
        f" / sum(rate({_G}_requests_total{{{_ASKED}}}[w]))",
        "More requests fail than 99.9 % availability allows",
    ),
    Objective(
        "Latency",
        "tensorgate:requests_slow:ratio_rate",
        0.99,
        f'1 - sum(rate({_G}_request_seconds_bucket{{operation=~"{_QUICK}",le="0.5"}}[w]))'
        f' / sum(rate({_G}_request_seconds_count{{operation=~"{_QUICK}"}}[w]))',
        "More than 1 % of the requests that make nothing piece by piece take over half a second",
    ),
)

_BIN, _OUTPUT = "model, version, output, bin", "model, version, output"
_INCREASE, INDEX = "tensorgate:predictions:increase1d", "tensorgate:predictions:stability_index1d"
_FEWEST = 1000  # predictions in a day; of less, chance alone makes an index
_DRIFTED = 0.25
_FLOOR = 1e-4  # of a bin's share, as an empty bin has no logarithm


def predictions() -> Iterator[Mapping[str, Any]]:
    """How far a day's predictions are from those on held-out data, by output: the population stability index.

    It is the sum over all bins of (p - q) ln(p / q), of the shares p now and q then; by custom up to 0.1 is nothing and
    over 0.25 a shift (Yurdakul and Naranjo, Statistical properties of the population stability index, Journal of Risk
    Model Validation 14(4), 2020). A version that cannot be called any more has no shares to be compared with.
    """
    yield {"record": _INCREASE, "expr": f"sum by ({_BIN}) (increase({_G}_predictions_total[1d]))"}
    now = f"clamp_min({_INCREASE} / on ({_OUTPUT}) group_left () sum by ({_OUTPUT}) ({_INCREASE}), {_FLOOR})"
    expected = f"max by ({_BIN}) ({_G}_predictions_expected_ratio)"
    then = f"clamp_min({expected} and on ({_OUTPUT}) sum by ({_OUTPUT}) ({expected}) > 0, {_FLOOR})"
    yield {"record": INDEX, "expr": f"sum by ({_OUTPUT}) (({now} - {then}) * ln({now} / {then}))"}


SYMPTOMS = (
    Alert("GatewayDown", 'absent(up{job="gateway"} == 1)', "2m", PAGE, "No gateway answers Prometheus"),
    Alert("NoModelServer", f"max({_G}_model_server_up) == 0", "1m", PAGE, "No model server answers the gateway"),
    Alert(
        "ModelServerAway",
        # Unless as many answer as the cluster wants now; without kube-state-metrics it does not say.
        f"min by (server) ({_STEADY}) == 0"
        f" unless on () (count(min by (server) ({_STEADY}) == 1)"
        f' >= sum(kube_statefulset_replicas{{{_OURS},statefulset="model-server"}}))',
        "5m",
        TICKET,
        "Model server {{ $labels.server }} does not answer",
    ),
    Alert(
        "BreakerOpen",
        # One that is away is ModelServerAway's.
        f"max by (server) (max_over_time({_G}_model_server_breaker[1m])) > 0"
        f" and on (server) max by (server) (max_over_time({_G}_model_server_up[1m])) > 0",
        "2m",
        TICKET,
        "Calls of model server {{ $labels.server }} fail one after the other, so it gets hardly any",
    ),
    Alert(
        "ModelNotServed",
        f'max by (model) ({_G}_wanted_version{{label="stable"}}) > 0'
        f" and on (model) max by (model) ({_G}_callable_versions) == 0 unless on (model) {_RARE}",
        "2m",
        PAGE,
        "Model {{ $labels.model }} has a stable version, and none that can be called",
    ),
    Alert(
        "RareModelNotServed",
        # Asked for within half an hour: as long as its server stays, and longer than it takes to come.
        f'max by (model) ({_G}_wanted_version{{label="stable"}}) > 0'
        f" and on (model) max by (model) ({_G}_callable_versions) == 0"
        f" and on (model) max by (model) (max_over_time({_RARE}[30m])) > time() - 1800",
        "15m",
        PAGE,
        "Rare model {{ $labels.model }} was asked for a quarter of an hour ago, and still cannot be called",
    ),
    Alert(
        "QueueLong",
        f"sum by (model) (avg_over_time({_G}_queued_requests[5m])) > 200",
        "5m",
        TICKET,
        "{{ $value }} requests of model {{ $labels.model }} wait on average",
    ),
    Alert(
        "RequestsShed",
        f"sum by (reason) (rate({_G}_shed_total[5m])) > 0",
        "5m",
        TICKET,
        "Requests are refused at once ({{ $labels.reason }})",
    ),
    Alert(
        "InternalErrors",
        f'sum by (door, operation) (rate({_G}_requests_total{{code="INTERNAL"}}[5m])) > 0',
        "5m",
        TICKET,
        "{{ $labels.operation }} of {{ $labels.door }} fails by a fault of the gateway or of a model",
    ),
    Alert(
        "FirstTextSlow",
        f"histogram_quantile(0.95, sum by (model, le) (rate({_G}_first_text_seconds_bucket[5m]))) > 2",
        "10m",
        TICKET,
        "Who reads along with model {{ $labels.model }} waits over two seconds for the first characters",
    ),
    Alert(
        "WorkerRestarts",
        f"increase({_G}_starts_total[15m]) > 2"
        ' or changes(process_start_time_seconds{job=~"gateway|mirror"}[15m]) > 2',
        "0m",
        TICKET,
        "{{ $labels.job }} {{ $labels.instance }} begins again and again",
    ),
    Alert(
        "StoreUnreachable",
        "time() - min by (job)"
        f' ({{__name__=~"{_G}_store_read_timestamp_seconds|{_M}_store_read_timestamp_seconds"}}) > 120',
        "2m",
        TICKET,
        "The {{ $labels.job }} has not read the store for minutes",
    ),
    Alert(
        "RollOutStuck",
        f"max by (model, label) ({_G}_wanted_version) != min by (model, label) ({_G}_routed_version)",
        "15m",
        TICKET,
        "Label {{ $labels.label }} of model {{ $labels.model }} moved, and another version answers",
    ),
    Alert("MirrorDown", 'up{job="mirror"} == 0 or absent(up{job="mirror"})', "5m", TICKET, "A mirror does not answer"),
    Alert(
        "MirrorStuck",
        f"time() - {_M}_last_pass_timestamp_seconds > 120",
        "2m",
        TICKET,
        "Mirror {{ $labels.instance }} has not got through to its model server for minutes",
    ),
    Alert("MirrorLags", f"{_M}_lag_seconds > 900", "1m", TICKET, "A version that a label wants is not there yet"),
    Alert(
        "ModelLoadFails",
        f"{_M}_failing_versions > 0",
        "5m",
        TICKET,
        "{{ $value }} versions that labels want cannot be fetched or loaded",
    ),
    Alert(
        "PredictionsDrift",
        f"max by (model, version) ({INDEX} > {_DRIFTED}"
        f" and on ({_OUTPUT}) sum by ({_OUTPUT}) ({_INCREASE}) >= {_FEWEST})",
        "1h",
        TICKET,
        "A day's predictions of {{ $labels.model }} {{ $labels.version }} are spread otherwise than on held-out data",
    ),
    Alert(
        "RetrainingFailed",
        f'kube_job_status_failed{{{_OURS},job_name=~"train-.+"}} > 0',
        "0m",
        TICKET,
        "Job {{ $labels.job_name }} has failed",
    ),
)

ALERTS = (*(alert for objective in OBJECTIVES for alert in objective.alerts()), *SYMPTOMS)


def groups(runbooks: str = RUNBOOK) -> list[Mapping[str, Any]]:
    """All rules, as Prometheus groups them."""
    records = [record for objective in OBJECTIVES for record in objective.records()]
    return [
        {"name": "tensorgate-objectives", "rules": records},
        {"name": "tensorgate-predictions", "interval": "2m", "rules": [*predictions()]},
        {"name": "tensorgate", "rules": [alert.rule(runbooks) for alert in ALERTS]},
    ]
