"""Reports: a run, a study or a tuning as one HTML file that opens offline."""

from regard.reports.report import report
from regard.reports.run_report import run_report
from regard.reports.study_report import study_report
from regard.reports.tuning_report import tuning_report

__all__ = ["report", "run_report", "study_report", "tuning_report"]
