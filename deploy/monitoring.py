"""`python -m deploy.monitoring` writes the rules for Prometheus and for its operator, and Grafana's dashboards.

`--runbooks URL` is where those who are called read docs/operations.md; without it alerts name its path in the checkout.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import yaml

from deploy.alerts import RUNBOOK, groups
from deploy.dashboards import DASHBOARDS, GPUS, in_json

_DEPLOY = Path(__file__).parent
_COMPONENT = _DEPLOY / "components" / "monitoring"
_NOTE = "# Written by `make monitoring` from deploy/alerts.py.\n"


def files(runbooks: str = RUNBOOK) -> Mapping[Path, str]:
    """What is in each."""
    rules = {"groups": groups(runbooks)}
    custom = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "tensorgate"},
        "spec": rules,
    }
    return {
        _DEPLOY / "rules.yaml": _NOTE + _in_yaml(rules),
        _COMPONENT / "rules.yaml": _NOTE + _in_yaml(custom),
        **{_COMPONENT / "dashboards" / f"{one.name}.json": in_json(one) for one in DASHBOARDS},
        _DEPLOY / "components" / "gpu" / f"{GPUS.name}.json": in_json(GPUS),
    }


def _in_yaml(document: object) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="deploy.monitoring", description=__doc__)
    parser.add_argument("--runbooks", default=RUNBOOK, help="docs/operations.md's address, https://...")
    for path, text in files(parser.parse_args().runbooks).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
