"""Gates as JUnit XML: a test suite for each candidate, a test case for each gate and task."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from halueval.compare.record import DiffRecord, comparisons

# What XML 1.0 cannot hold, even escaped; a name of a task or model may.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(record: DiffRecord) -> str:
    """The gates of a comparison; without gates, a suite with no test case.

    Returns:
        An XML document that ends in a line break.
    """
    root = ET.Element("testsuites", name="halueval diff")
    for comparison in comparisons(record):
        label = comparison["candidate"]["label"]
        gates = [gate for gate in record["gates"] if gate["candidate"] == label]
        failed = sum(gate["failed"] for gate in gates)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=_clean(f"{record['base']['label']} → {label}"),
            tests=str(len(gates)),
            failures=str(failed),
        )
        for gate in gates:
            case = ET.SubElement(suite, "testcase", classname=_clean(gate["task"]), name=_clean(gate["gate"]))
            if gate["failed"]:
                ET.SubElement(case, "failure", message=_clean(gate["message"]), type="gate")
            else:
                ET.SubElement(case, "system-out").text = _clean(gate["message"])
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
