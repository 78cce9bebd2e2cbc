"""Asks this project's own audit about one release: a line of JSON per question. It alone runs in our environment."""

import json
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from audit.core import QUESTIONS
from benchmarks.peers.releases import release
from tests.audit.test_cases import GRAVEST, evidence, look


def main() -> None:
    """Judge by the gates of the policy `analytics`, as the known-answer suite does."""
    table, case, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    shown = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    commit = shown.stdout.strip() or "an unknown commit"
    start = time.perf_counter()
    gates = look(evidence(*release(table, case)))
    seconds = time.perf_counter() - start
    with out.open("w", encoding="utf-8") as lines:
        lines.write(json.dumps({"versions": {"lookalike": f"{version('lookalike')} at {commit}"}}) + "\n")
        for question in QUESTIONS:
            asked = [each for each in gates if each.metric.startswith(question)]
            if not asked:
                continue
            grave = min(asked, key=lambda each: GRAVEST.index(each.verdict))
            found = {
                "figure": question,
                "verdict": grave.verdict,
                "value": grave.value,
                "by": grave.metric.split(".")[1],
                "gates": {each.metric: [each.verdict, each.value] for each in asked},
            }
            lines.write(json.dumps({**found, "seconds": seconds / len(QUESTIONS)}) + "\n")


if __name__ == "__main__":
    main()
