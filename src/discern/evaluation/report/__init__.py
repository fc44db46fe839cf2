"""The evaluation as one page of HTML that needs nothing else: no network, no library."""

from discern.evaluation.report.page import render_report

__all__ = ["render_report"]
