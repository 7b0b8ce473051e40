"""The script of a run's page and the data that it reads."""

from __future__ import annotations

from typing import Any

from nnzoo.report import network_data
from nnzoo.report.examples import describe_cells
from nnzoo.report.run_report import RunReport
from nnzoo.report.thresholds import describe_thresholds
from nnzoo.web.render import Script

CHART_SCRIPTS = ("hover.js", "tables.js")
"""Files of nnzoo/web/scripts for pages with charts and tables."""


def run_script(run: RunReport, network: dict[str, Any] | None = None) -> Script:
    """Return the script of the page of a run, with its rows and thresholds where its data can be read.

    A language model predicts every token of a text: it has no rows to show. network: what `network_data` returned.
    """
    data: dict[str, Any] = {}
    if not run.data_error and run.spec.task != "language_model":
        data = {"cells": describe_cells(run), "thresholds": describe_thresholds(run)}
    names = [*CHART_SCRIPTS, "cells.js", "threshold.js"]
    if network and network["widgets"]:
        data["network"] = network
        names += network_data.SCRIPTS
    return Script(names, data)
