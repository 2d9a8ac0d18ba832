"""docs/RESULTS.md: what a study measured, as one page of Markdown with its pictures beside it."""

from flows.study_report.page import write_results as write_results
