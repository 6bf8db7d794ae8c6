"""Reports: a run or a study as one HTML file that opens offline."""

from regard.reports.report import report
from regard.reports.run_report import run_report
from regard.reports.study_report import study_report

__all__ = ["report", "run_report", "study_report"]
