"""The report of a main job: one HTML file with its pictures inside, made from the cache and the run directories."""

from flows.report.page import RunFolder as RunFolder
from flows.report.page import write_report as write_report
