"""What to watch: alert rules for Prometheus and a board for Grafana."""

import math

from discern.deploy.dashboard import dashboard
from discern.deploy.rendering import Files, render
from discern.deploy.subject import Subject

RULES, BOARD = "monitoring/alerts.yaml", "monitoring/dashboard.json"

# Routes that nobody asks for an answer: probes, Prometheus, the gateway's looks at its upstream.
ASKED = (
    r'route!~"/healthz|/readyz|/metrics|/v2/health/.*|/grpc\\.health.*|/discern\\.ModelFolder/.*'
    r'|/inference\\.GRPCInferenceService/(Server|Model)(Live|Ready|Metadata)"'
)
# Our own failures by HTTP's numbers and gRPC's names; RESOURCE_EXHAUSTED and 503 are refusals.
FAILED = 'status=~"500|502|504|INTERNAL|UNAVAILABLE|UNKNOWN|DEADLINE_EXCEEDED"'


def monitoring_files(subject: Subject) -> Files:
    """Alert rules and a Grafana board, for jobs that Prometheus calls NAME or NAME-….

    In Kubernetes a job is called as its Service is.
    """
    jobs = selector(subject.name)
    rules = render(
        "monitoring/alerts.yaml",
        name=subject.name,
        jobs=jobs,
        asked=ASKED,
        failed=FAILED,
        picture_ms=round(subject.footprint.picture_ms),
        slow_seconds=_slow_seconds(subject.footprint.picture_ms),
    )
    return {RULES: rules, BOARD: dashboard(subject.name, jobs, ASKED)}


def selector(name: str) -> str:
    """What is only true of this model's jobs, for PromQL's braces."""
    return f'job=~"{name}(-.+)?"'


def _slow_seconds(picture_ms: float) -> int:
    """From when on the slowest hundredth of the answers is worth a look."""
    return max(1, math.ceil(40 * picture_ms / 1000))
