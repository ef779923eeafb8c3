"""Grafana's dashboards: `python -m deploy.monitoring` writes them down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import DatasourceVariable
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.alerts import INDEX

_G, _M, _T = "tensorgate_gateway", "tensorgate_mirror", "tensorflow_serving"
_OUTPUT = "model, version, output"
_BIN = f"{_OUTPUT}, bin"
_WIDE, _HEIGHT = 12, 8
_SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
_RATE = "[$__rate_interval]"
SECONDS, REQUESTS, SHARE, COUNT = "s", "reqps", "percentunit", "short"


@dataclass(frozen=True)
class Panel:
    """One picture: `legend` names a query's lines by their labels. `kind`: lines over time, a number, or a table."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]  # expression, legend
    kind: str = "lines"


@dataclass(frozen=True)
class Dashboard:
    """Its panels, two beside each other; `name` is also its file's and its address."""

    name: str
    title: str
    panels: Sequence[Panel]


def _lines(title: str, unit: str, query: str, legend: str) -> Panel:
    return Panel(title, unit, ((query, legend),))


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{_RATE}))"


def _slowest(histogram: str, by: str, only: str = "") -> str:
    """What 95 % do not take longer than."""
    return f"histogram_quantile(0.95, sum by ({by}, le) (rate({histogram}_bucket{only}{_RATE})))"


def _mean(histogram: str, by: str) -> str:
    return f"{_rate(f'{histogram}_sum', by)} / {_rate(f'{histogram}_count', by)}"


GATEWAY = Dashboard(
    "tensorgate-gateway",
    "Tensorgate: gateway",
    (
        _lines("Requests", REQUESTS, _rate(f"{_G}_requests_total", "door, operation"), "{{door}} {{operation}}"),
        _lines("Answers by code", REQUESTS, _rate(f"{_G}_requests_total", "code"), "{{code}}"),
        _lines("Time of a request, 95 %", SECONDS, _slowest(f"{_G}_request_seconds", "operation"), "{{operation}}"),
        Panel(
            "Where the time goes, mean",
            SECONDS,
            (
                (
                    _mean(f"{_G}_stage_seconds", "stage"),
                    "{{stage}}",
                ),
                (
                    f"sum(rate({_G}_request_seconds_sum{_RATE})) / sum(rate({_G}_request_seconds_count{_RATE}))",
                    "request",
                ),
            ),
        ),
        _lines("Requests under way", COUNT, f"sum by (protocol) ({_G}_requests_in_flight)", "{{protocol}}"),
        _lines("Requests that wait", COUNT, f"sum by (model) ({_G}_queued_requests)", "{{model}}"),
        _lines(
            "Rows of a batch, mean",
            COUNT,
            _mean(f"{_G}_batch_rows", "model"),
            "{{model}}",
        ),
        _lines("Calls under way", COUNT, f"sum by (server) ({_G}_model_server_calls_in_flight)", "{{server}}"),
        _lines(
            "Breakers: 0 closed, 1 trying, 2 open", COUNT, f"max by (server) ({_G}_model_server_breaker)", "{{server}}"
        ),
        Panel(
            "Refused, sent again, sent twice",
            REQUESTS,
            (
                (f"sum(rate({_G}_shed_total{_RATE})) or vector(0)", "refused"),
                (f"sum(rate({_G}_retries_total{_RATE})) or vector(0)", "again"),
                (f"sum(rate({_G}_hedges_total{_RATE}))", "twice"),
            ),
        ),
    ),
)

MODELS = Dashboard(
    "tensorgate-models",
    "Tensorgate: models",
    (
        _lines("Rows by model", COUNT, _rate(f"{_G}_rows_total", "model"), "{{model}}"),
        _lines(
            "Share of a model's rows by version",
            SHARE,
            f"{_rate(f'{_G}_rows_total', 'model, version')}"
            f" / on (model) group_left {_rate(f'{_G}_rows_total', 'model')}",
            "{{model}} {{version}}",
        ),
        _lines(
            "Predictions of a day against held-out ones: stability index (over 0.25: a shift)",
            COUNT,
            INDEX,
            "{{model}} {{version}} {{output}}",
        ),
        _lines(
            "Predictions: a bin's share, less what was expected",
            SHARE,
            f"{_rate(f'{_G}_predictions_total', _BIN)}"
            f" / on ({_OUTPUT}) group_left () {_rate(f'{_G}_predictions_total', _OUTPUT)}"
            f" - max by ({_BIN}) ({_G}_predictions_expected_ratio)",
            "{{model}} {{version}} {{output}} {{bin}}",
        ),
        _lines("Version that answers", COUNT, f"min by (model, label) ({_G}_routed_version)", "{{model}} {{label}}"),
        _lines("Version that is wanted", COUNT, f"max by (model, label) ({_G}_wanted_version)", "{{model}} {{label}}"),
        _lines("Versions that can be called", COUNT, f"min by (model) ({_G}_callable_versions)", "{{model}}"),
        _lines(
            "Since a rare model was asked for",
            SECONDS,
            f"time() - max by (model) ({_G}_rare_model_asked_timestamp_seconds > 0)",
            "{{model}}",
        ),
        _lines(
            "Time of a call, 95 %",
            SECONDS,
            _slowest(f"{_G}_stage_seconds", "model", '{stage="call"}'),
            "{{model}}",
        ),
        _lines(
            "Time to load a version, mean", SECONDS, f"{_M}_load_seconds_sum / {_M}_load_seconds_count", "{{instance}}"
        ),
        _lines(
            "Model servers: requests by status",
            REQUESTS,
            _rate(f"{_T}_requests_total", "model_name, status"),
            "{{model_name}} {{status}}",
        ),
        _lines(
            "Model servers: time of a run, 95 %",
            "µs",
            _slowest(f"{_T}_runtime_latency", "model_name"),
            "{{model_name}}",
        ),
    ),
)

PIECES = Dashboard(
    "tensorgate-pieces",
    "Tensorgate: texts and pictures",
    (
        _lines("Being made", COUNT, f"sum by (task) ({_G}_streams)", "{{task}}"),
        _lines("Characters a second", COUNT, _rate(f"{_G}_text_characters_total", "model"), "{{model}}"),
        _lines(
            "Time to the first characters, 95 %",
            SECONDS,
            _slowest(f"{_G}_first_text_seconds", "model"),
            "{{model}}",
        ),
        _lines("Steps of pictures a second", COUNT, _rate(f"{_G}_picture_steps_total", "model"), "{{model}}"),
        _lines(
            "Time of a whole text or picture, 95 %",
            SECONDS,
            _slowest(
                f"{_G}_request_seconds",
                "operation",
                '{operation=~"generate.*|watch_image|completions|generations"}',
            ),
            "{{operation}}",
        ),
    ),
)

MIRROR = Dashboard(
    "tensorgate-mirror",
    "Tensorgate: mirror and store",
    (
        Panel(
            "Versions",
            COUNT,
            (
                (f"{_M}_wanted_versions", "wanted {{instance}}"),
                (f"{_M}_available_versions", "available {{instance}}"),
                (f"{_M}_failing_versions", "failing {{instance}}"),
            ),
        ),
        _lines("Lag", SECONDS, f"{_M}_lag_seconds", "{{instance}}"),
        _lines("Versions fetched", COUNT, f"{_M}_fetched_versions_total", "{{instance}}"),
        _lines(
            "Time to fetch a version, mean",
            SECONDS,
            f"{_M}_fetch_seconds_sum / {_M}_fetch_seconds_count",
            "{{instance}}",
        ),
        Panel(
            "Files by their hash, bytes",
            "bytes",
            (
                (f"{_M}_cache_bytes", "taken {{instance}}"),
                (f"{_M}_cache_limit_bytes < +Inf", "at most {{instance}}"),
            ),
        ),
        Panel(
            "Files brought and evicted",
            COUNT,
            (
                (f"sum by (source) ({_M}_files_total)", "from the {{source}}"),
                (f"sum({_M}_evicted_files_total)", "evicted"),
            ),
        ),
        _lines("Faults by what failed", COUNT, f"sum by (stage) ({_M}_failures_total)", "{{stage}}"),
        Panel(
            "Since the store was read",
            SECONDS,
            (
                (f"time() - {_M}_store_read_timestamp_seconds", "mirror {{instance}}"),
                (f"time() - {_G}_store_read_timestamp_seconds", "gateway {{instance}}"),
            ),
        ),
        _lines("Since the last pass", SECONDS, f"time() - {_M}_last_pass_timestamp_seconds", "{{instance}}"),
        _lines("Memory", "bytes", 'process_resident_memory_bytes{job=~"gateway|mirror"}', "{{job}} {{instance}}"),
    ),
)

ALERTS = Dashboard(
    "tensorgate-alerts",
    "Tensorgate: objectives and alerts",
    (
        Panel("Alerts", COUNT, (("sum by (alertname, severity, alertstate) (ALERTS)", ""),), "table"),
        Panel("Targets that answer Prometheus", COUNT, (("sum by (job) (up)", "{{job}}"),), "number"),
        _lines(
            "Requests that fail (objective: under 0.1 %)", SHARE, "tensorgate:requests_failed:ratio_rate5m", "failed"
        ),
        _lines("Requests that are slow (objective: under 1 %)", SHARE, "tensorgate:requests_slow:ratio_rate5m", "slow"),
        _lines(
            "Budget of failures that burns, 1 = all of it",
            COUNT,
            "tensorgate:requests_failed:ratio_rate1h / 0.001",
            "an hour",
        ),
        _lines(
            "Budget of slowness that burns, 1 = all of it",
            COUNT,
            "tensorgate:requests_slow:ratio_rate1h / 0.01",
            "an hour",
        ),
        _lines("Processes that began", COUNT, f"sum by (instance) ({_G}_starts_total)", "{{instance}}"),
    ),
)

DASHBOARDS = (GATEWAY, MODELS, PIECES, MIRROR, ALERTS)


def _gpus(metric: str) -> str:
    """What NVIDIA's dcgm-exporter tells of the GPUs that our pods have, by pod."""
    return f'max by (pod, gpu) ({metric}{{namespace="tensorgate"}})'


# It comes with component `gpu`: elsewhere its panels would be empty.
GPUS = Dashboard(
    "tensorgate-gpus",
    "Tensorgate: GPUs",
    (
        _lines("Time in use", SHARE, f"{_gpus('DCGM_FI_DEV_GPU_UTIL')} / 100", "{{pod}} {{gpu}}"),
        _lines("Tensor cores in use", SHARE, _gpus("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"), "{{pod}} {{gpu}}"),
        _lines("Memory in use", "bytes", f"{_gpus('DCGM_FI_DEV_FB_USED')} * 1048576", "{{pod}} {{gpu}}"),
        _lines("Memory's time in use", SHARE, _gpus("DCGM_FI_PROF_DRAM_ACTIVE"), "{{pod}} {{gpu}}"),
        _lines("Power", "watt", _gpus("DCGM_FI_DEV_POWER_USAGE"), "{{pod}} {{gpu}}"),
        _lines("Temperature", "celsius", _gpus("DCGM_FI_DEV_GPU_TEMP"), "{{pod}} {{gpu}}"),
        _lines("Last fault: XID, 0 = none", COUNT, _gpus("DCGM_FI_DEV_XID_ERRORS"), "{{pod}} {{gpu}}"),
    ),
)


def in_json(one: Dashboard) -> str:
    """The file that Grafana reads."""
    board = (
        dashboard.Dashboard(one.title)
        .uid(one.name)
        .tags(["tensorgate"])
        .time("now-1h", "now")
        .refresh("30s")
        .with_variable(DatasourceVariable("source").label("Prometheus").type("prometheus"))
    )
    for panel in one.panels:
        board.with_panel(_panel(panel))
    return json.dumps(board.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


_KINDS: Mapping[str, type[timeseries.Panel | stat.Panel | table.Panel]] = {
    "lines": timeseries.Panel,
    "number": stat.Panel,
    "table": table.Panel,
}


def _panel(panel: Panel) -> timeseries.Panel | stat.Panel | table.Panel:
    made = _KINDS[panel.kind]()
    made.title(panel.title).unit(panel.unit).datasource(_SOURCE).span(_WIDE).height(_HEIGHT)
    for name, (expression, legend) in zip("ABC", panel.queries, strict=False):
        query = prometheus.Dataquery().ref_id(name).expr(expression).legend_format(legend).datasource(_SOURCE)
        made.with_target(query.instant().format(PromQueryFormat.TABLE) if panel.kind == "table" else query)
    return made
