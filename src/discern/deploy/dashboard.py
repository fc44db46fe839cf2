"""Grafana's board of a model's servers: a table of panels, and the JSON that Grafana reads."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${source}"}  # chosen on the board
COLUMNS, WIDTH, HEIGHT = 24, 12, 8  # of Grafana's grid, and of a panel on it
SCHEMA = 39  # Grafana 10 and later read it


@dataclass(frozen=True)
class Panel:
    """A graph, or a row of numbers (`stat`).

    Queries by what their lines are called; JOBS in them stands for the selector of the servers,
    ASKED for that of the routes that are traffic.
    """

    title: str
    about: str
    unit: str  # Grafana's name for it
    queries: Mapping[str, str]
    kind: str = "timeseries"


def _rate(metric: str, by: str, also: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{JOBS{also}}}[$__rate_interval]))"


def _quantile(share: float, metric: str, by: str, also: str = "") -> str:
    return f"histogram_quantile({share}, {_rate(f'{metric}_bucket', f'{by}, le', also)})"


def _quantiles(metric: str, also: str = "") -> dict[str, str]:
    """The median, and what the slowest tenth and hundredth take."""
    lines = {"median": 0.5, "p90": 0.9, "p99": 0.99}
    return {f"{{{{job}}}} {at}": _quantile(q, metric, "job", also) for at, q in lines.items()}


def _hourly(metric: str, also: str = "") -> str:
    return f"sum by (model, version) (increase({metric}{{JOBS{also}}}[1h]))"


# The model server does not decide what is "none of these" where a gateway does.
_DECIDED = ', job!~".+-model-server"'
_REFUSED = _rate("discern_errors_total", "job", ', kind="overloaded"')
_REQUESTS = _rate("discern_requests_total", "job", ", ASKED")

PANELS = (
    Panel(
        "Servers that have each version",
        "All of them, unless one is being rolled out.",
        "short",
        {
            "{{job}}: {{model}} {{version}}": (
                "count by (job, model, version) (discern_model_info{JOBS})"
            )
        },
        "stat",
    ),
    Panel(
        "Servers that answer Prometheus",
        "And the version of discern that they run.",
        "short",
        {
            "{{job}}": "sum by (job) (up{JOBS})",
            "discern {{version}}": "count by (version) (discern_build_info{JOBS})",
        },
        "stat",
    ),
    Panel(
        "Requests",
        "By status: HTTP's numbers, gRPC's names. Probes are left out.",
        "reqps",
        {"{{job}} {{status}}": _rate("discern_requests_total", "job, status", ", ASKED")},
    ),
    Panel(
        "Pictures answered a second",
        "By model and version. A request may hold several.",
        "short",
        {"{{job}}: {{model}} {{version}}": _rate("discern_pictures_total", "job, model, version")},
    ),
    Panel(
        "Time to an answer of /predict",
        "From a request's head to its answer, as the server sees it.",
        "s",
        _quantiles("discern_request_seconds", ', route="/predict"'),
    ),
    Panel(
        "Slowest hundredth by route",
        "gRPC's methods too: what the gateway waits for.",
        "s",
        {"{{job}} {{route}}": _quantile(0.99, "discern_request_seconds", "job, route", ", ASKED")},
    ),
    Panel(
        "Errors a second, by kind",
        "overloaded: refused at once. picture, request, fetch: what was sent. Others: ours.",
        "short",
        {"{{job}} {{kind}}": _rate("discern_errors_total", "job, kind")},
    ),
    Panel(
        "Share refused",
        "Too much was waiting: 503, with Retry-After.",
        "percentunit",
        {"{{job}}": f"({_REFUSED} or 0 * {_REQUESTS}) / {_REQUESTS}"},
    ),
    Panel(
        "Time in the queue",
        "How long work waited for a thread. When it grows, another replica is due.",
        "s",
        _quantiles("discern_queue_seconds"),
    ),
    Panel(
        "Mean batch",
        "Pictures that went through the engine together; empty where batches do not pay.",
        "short",
        {
            "{{job}}": _rate("discern_batch_size_sum", "job")
            + " / "
            + _rate("discern_batch_size_count", "job")
        },
    ),
    Panel(
        "Share that is none of the classes",
        "Over an hour. When it moves, other pictures come in than before.",
        "percentunit",
        {
            "{{model}} {{version}}": _hourly("discern_unknown_pictures_total", _DECIDED)
            + " / "
            + _hourly("discern_pictures_total", _DECIDED)
        },
    ),
    Panel(
        "Versions refused in an hour",
        "Folders that are damaged, or did not pass their own reference pictures.",
        "short",
        {
            "{{job}}: {{model}}": (
                "sum by (job, model) (increase(discern_model_load_failures_total{JOBS}[1h]))"
            )
        },
    ),
    Panel(
        "Cores in use",
        "Of each process.",
        "short",
        {"{{job}} {{instance}}": "rate(process_cpu_seconds_total{JOBS}[$__rate_interval])"},
    ),
    Panel(
        "Memory",
        "Resident, of each process.",
        "bytes",
        {"{{job}} {{instance}}": "process_resident_memory_bytes{JOBS}"},
    ),
)


def dashboard(name: str, jobs: str, asked: str) -> str:
    """The board's JSON; `jobs` and `asked` are PromQL's label matchers of servers and routes."""
    selectors = {"JOBS": jobs, "ASKED": asked}
    board = {
        "uid": f"discern-{name}",
        "title": f"{name} (discern)",
        "tags": ["discern"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_source_variable()]},
        "panels": list(_placed(selectors)),
    }
    return json.dumps(board, indent=1) + "\n"


def _source_variable() -> dict[str, Any]:
    """Which Prometheus to ask: the default one, unless another is chosen on the board."""
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _placed(selectors: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Two panels side by side in a row, as many rows as they need."""
    for i, panel in enumerate(PANELS):
        row, column = divmod(i, COLUMNS // WIDTH)
        place = {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT}
        yield {"id": i + 1, "gridPos": place, **_panel(panel, selectors)}


def _panel(panel: Panel, selectors: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": _options(panel.kind),
        "targets": [
            _target(chr(ord("A") + i), legend, query, selectors)
            for i, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _target(letter: str, legend: str, query: str, selectors: Mapping[str, str]) -> dict[str, Any]:
    for placeholder, selector in selectors.items():
        query = query.replace(placeholder, selector)
    return {"refId": letter, "datasource": SOURCE, "expr": query, "legendFormat": legend}


def _options(kind: str) -> dict[str, Any]:
    if kind == "stat":
        return {"textMode": "value_and_name", "colorMode": "none", "graphMode": "none"}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
