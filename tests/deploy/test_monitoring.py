"""Alerts that go off when they should, and panels of what servers really count."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from discern.deploy.dashboard import COLUMNS
from discern.deploy.footprint import Footprint
from discern.deploy.monitoring import BOARD, RULES, monitoring_files
from discern.deploy.subject import Subject
from discern.model import load
from discern.serving.app import create_app
from discern.serving.settings import ServeSettings
from discern.serving.statuses import STATUSES

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")

OWN_LABELS = {"job", "instance", "le"}  # that Prometheus adds, and that a bucket has
SELECTOR = re.compile(r"\b((?:discern|process)_\w+)\{([^}]*)\}")


@pytest.fixture
def subject(model_folder: Path) -> Subject:
    return Subject("clothes", load(model_folder), "0.1.0-abcdef12", Footprint(160, 0.8, 20.0))


@pytest.fixture
def rules(subject: Subject) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(str(monitoring_files(subject)[RULES]))
    return read


@pytest.fixture
def board(subject: Subject) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(str(monitoring_files(subject)[BOARD]))
    return read


@pytest.fixture
def counted(model_folder: Path, pictures: list[Path]) -> Mapping[str, set[str]]:
    """What a real server has at /metrics after an answer and an error: samples → their labels."""
    with TestClient(create_app(model_folder, ServeSettings())) as client:
        for data in (pictures[0].read_bytes(), b"no picture"):
            client.post("/predict", content=data, headers={"Content-Type": "image/png"})
        text = client.get("/metrics").text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions(rules: dict[str, Any], board: dict[str, Any]) -> Iterator[str]:
    for group in rules["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test_all_that_is_asked_for_is_what_servers_count(
    rules: dict[str, Any], board: dict[str, Any], counted: Mapping[str, set[str]]
) -> None:
    asked = list(expressions(rules, board))
    selectors = [found for text in asked for found in SELECTOR.findall(text)]
    assert len(selectors) > len(asked) / 2
    for metric, matchers in selectors:
        assert metric in counted, f"no server has {metric}"
        labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", matchers))
        assert labels <= counted[metric] | OWN_LABELS, f"{metric} has no such labels"
    recorded = {
        rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule
    }
    for text in asked:
        assert set(re.findall(r"\b(job\w*:[\w:]+)", text)) <= recorded


def test_an_alert_names_kinds_of_errors_that_there_are(rules: dict[str, Any]) -> None:
    text = json.dumps(rules)
    named = re.findall(r'kind=\\"([^"\\]+)', text)
    assert named
    assert set(named) <= {status.kind for status in STATUSES.values()}
    failed = re.search(r'status=~\\"([^"\\]+)', text)
    assert failed is not None
    ours = {s.grpc for s in STATUSES.values() if s.http >= 500 and s.kind != "overloaded"}
    assert ours <= set(failed[1].split("|"))


def test_panels_are_side_by_side_and_have_legends_of_their_labels(board: dict[str, Any]) -> None:
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    squares = [
        (x, y)
        for p in (panel["gridPos"] for panel in panels)
        for x in range(p["x"], p["x"] + p["w"])
        for y in range(p["y"], p["y"] + p["h"])
    ]
    assert len(squares) == len(set(squares))
    assert max(x for x, _ in squares) < COLUMNS
    for target in (target for panel in panels for target in panel["targets"]):
        legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        by = re.findall(r" by \(([^)]*)\)", target["expr"])
        assert legend <= (set(by[-1].split(", ")) if by else OWN_LABELS), target
        assert "JOBS" not in target["expr"]
        assert "ASKED" not in target["expr"]


def test_another_models_servers_are_left_alone(board: dict[str, Any]) -> None:
    matcher = re.search(r'job=~"([^"]+)"', board["panels"][0]["targets"][0]["expr"])
    assert matcher is not None
    jobs = re.compile(matcher[1])  # Prometheus anchors it
    assert all(jobs.fullmatch(job) for job in ("clothes", "clothes-gateway"))
    assert not any(jobs.fullmatch(job) for job in ("shoes-gateway", "clothes2", "all-clothes"))


GATEWAY = 'job="clothes-gateway"'
FIRST, SECOND = (f'job="clothes-model-server",instance="{instance}"' for instance in "bc")
MODEL, NEXT = (f'model="clothes",version="{version}"' for version in (1, 2))

# Half an hour of two servers that are well, a value a minute. Probes are refused, as while
# loading; some clients send what is no picture.
WELL = {
    'up{job="clothes-gateway",instance="a"}': "1x40",
    'up{job="clothes-model-server",instance="b"}': "1x40",
    'up{job="clothes-model-server",instance="c"}': "1x40",
    'process_start_time_seconds{job="clothes-gateway",instance="a"}': "1000x40",
    f"discern_model_info{{{FIRST},{MODEL}}}": "1x40",
    f"discern_model_info{{{SECOND},{MODEL}}}": "1x40",
    f"discern_model_info{{{GATEWAY},{MODEL}}}": "1x40",
    f'discern_model_load_failures_total{{{FIRST},model="clothes"}}': "0x40",
    'discern_requests_total{job="clothes-gateway",route="/predict",status="200"}': "0+600x40",
    'discern_requests_total{job="clothes-gateway",route="/predict",status="422"}': "0+60x40",
    'discern_requests_total{job="clothes-gateway",route="/readyz",status="503"}': "0+600x40",
    'discern_requests_total{job="clothes-gateway",route="/readyz",status="500"}': "0+600x40",
    'discern_request_seconds_bucket{job="clothes-gateway",route="/predict",le="0.1"}': "0+600x40",
    'discern_request_seconds_bucket{job="clothes-gateway",route="/predict",le="5"}': "0+600x40",
    'discern_request_seconds_bucket{job="clothes-gateway",route="/predict",le="+Inf"}': "0+600x40",
    'discern_queue_seconds_bucket{job="clothes-gateway",le="0.1"}': "0+600x40",
    'discern_queue_seconds_bucket{job="clothes-gateway",le="+Inf"}': "0+600x40",
}

# What goes wrong → the series that change, and the alerts that follow.
TROUBLES: Sequence[tuple[str, Mapping[str, str], set[str]]] = (
    ("nothing", {}, set()),
    ("one server hangs", {f"up{{{SECOND}}}": "1x10 0x30"}, {"DiscernDown"}),
    (
        "all are down",
        {name: "1x10 0x30" for name in WELL if name.startswith("up")},
        {"DiscernDown", "DiscernAbsent"},
    ),
    (
        "a twentieth fails",
        {f'discern_requests_total{{{GATEWAY},route="/predict",status="500"}}': "0+30x40"},
        {"DiscernErrors"},
    ),
    (
        "a twentieth fails by gRPC",
        {f'discern_requests_total{{{GATEWAY},route="/x/ModelInfer",status="INTERNAL"}}': "0+30x40"},
        {"DiscernErrors"},
    ),
    (
        "a twentieth is refused",
        {
            f'discern_requests_total{{{GATEWAY},route="none",status="503"}}': "0+30x40",
            f'discern_errors_total{{{GATEWAY},kind="overloaded"}}': "0+30x40",
        },
        {"DiscernRefusing"},
    ),
    (
        "a tenth is slow",
        {f'discern_request_seconds_bucket{{{GATEWAY},route="/predict",le="0.1"}}': "0+540x40"},
        {"DiscernSlow"},
    ),
    (
        "a tenth waits",
        {
            f'discern_queue_seconds_bucket{{{GATEWAY},le="0.1"}}': "0+540x40",
            f'discern_queue_seconds_bucket{{{GATEWAY},le="1"}}': "0+600x40",
        },
        {"DiscernQueueing"},
    ),
    (
        "a model is withdrawn everywhere in a tier",
        {f"discern_model_info{{{each},{MODEL}}}": "1x10 stale" for each in (FIRST, SECOND)},
        {"DiscernModelGone"},
    ),
    (
        "one replica has another version",
        {
            f"discern_model_info{{{SECOND},{MODEL}}}": "1x5 stale",
            f"discern_model_info{{{SECOND},{NEXT}}}": "_x5 1x35",
        },
        {"DiscernVersionMissing"},
    ),
    (
        "a version is refused, for the first time",
        {f'discern_model_load_failures_total{{{FIRST},model="clothes"}}': "0x25 1x15"},
        {"DiscernLoadFailed"},
    ),
    (
        "it starts again and again",
        {f'process_start_time_seconds{{{GATEWAY},instance="a"}}': "1000x10 2000x5 3000x5 4000x20"},
        {"DiscernRestarting"},
    ),
)
FIRING = 'group by (alertname) (ALERTS{alertstate="firing"})'


def firing(
    series: Mapping[str, str], at: str, alerts: set[str], step: str = "1m"
) -> dict[str, Any]:
    """A case of promtool's: these alerts fire at that time, and no others."""
    return {
        "interval": step,
        "input_series": [{"series": k, "values": v} for k, v in series.items()],
        "promql_expr_test": [
            {
                "expr": FIRING,
                "eval_time": at,
                "exp_samples": [
                    {"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(alerts)
                ],
            }
        ],
    }


def promtool(*words: object) -> None:
    assert PROMTOOL is not None
    ran = subprocess.run([PROMTOOL, *map(str, words)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture
def rules_file(subject: Subject, tmp_path: Path) -> Path:
    path = tmp_path / "alerts.yaml"
    path.write_text(str(monitoring_files(subject)[RULES]))
    return path


@needs_promtool
def test_promtool_takes_the_rules_and_every_panel(
    rules_file: Path, board: dict[str, Any], tmp_path: Path
) -> None:
    promtool("check", "rules", rules_file)
    asked = [
        t["expr"].replace("$__rate_interval", "1m") for p in board["panels"] for t in p["targets"]
    ]
    panels = [{"record": f"panel:{i}", "expr": text} for i, text in enumerate(asked)]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": panels}]}))
    promtool("check", "rules", path)


@needs_promtool
def test_each_trouble_sets_off_its_alert_and_no_other(rules_file: Path, tmp_path: Path) -> None:
    cases = [firing({**WELL, **changed}, "30m", alerts) for _, changed, alerts in TROUBLES]
    alerts = {alert for _, _, fired in TROUBLES for alert in fired} | {"DiscernUnknownDrifts"}
    every = re.findall(r"alert: (\w+)", rules_file.read_text())
    assert alerts == set(every)
    path = tmp_path / "cases.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [str(rules_file)], "tests": cases}))
    promtool("test", "rules", path)


@needs_promtool
@pytest.mark.parametrize(("now", "alerts"), [(40, {"DiscernUnknownDrifts"}), (7, set())])
def test_another_share_of_strangers_than_last_week_is_noticed(
    rules_file: Path, tmp_path: Path, now: int, alerts: set[str]
) -> None:
    """Five in a hundred for eight days, and for two hours `now`."""
    labels = 'job="clothes-gateway",model="clothes",version="1"'
    series = {
        'up{job="clothes-gateway"}': "1x590",
        f"discern_pictures_total{{{labels}}}": "0+400x590",
        f"discern_unknown_pictures_total{{{labels}}}": f"0+20x576 {20 * 576}+{4 * now}x12",
    }
    cases = {
        "rule_files": [str(rules_file)],
        "evaluation_interval": "20m",
        "tests": [firing(series, "194h", alerts, "20m")],
    }
    path = tmp_path / "drift.yaml"
    path.write_text(yaml.safe_dump(cases))
    promtool("test", "rules", path)
