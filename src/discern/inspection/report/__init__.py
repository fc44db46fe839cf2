"""The inspection as one page of HTML that needs nothing else, and what a notebook shows of it."""

from discern.inspection.report.notebook import notebook_frame
from discern.inspection.report.page import render_inspection

__all__ = ["notebook_frame", "render_inspection"]
