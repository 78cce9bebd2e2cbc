"""How long Airflow takes to read the DAG files in a fresh process, as it does every half minute and in every task."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 0.5
TIMES = 5
CODE = """\
import airflow.sdk, airflow.dag_processing.dagbag as bag, json, resource, sys, time
before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
found = bag.DagBag(dag_folder=sys.argv[1])
took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
heavy = sorted({"torch", "pandas", "numpy", "sklearn", "pipeline"} & set(sys.modules))
print(json.dumps({"wall": took, "cpu": cpu, "dags": len(found.dags), "errors": found.import_errors, "heavy": heavy}))
"""


def main() -> int:
    """Measure, print, and return 1 if it takes longer than the limit."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
        command = [sys.executable, "-c", CODE, str(ROOT / "dags")]
        found = []
        for _ in range(TIMES):
            done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    wall, cpu = (statistics.median(each[kind] for each in found) for kind in ("wall", "cpu"))
    print(f"{found[0]['dags']} DAGs read in {wall:.2f} s ({cpu:.2f} s of CPU), median of {TIMES}; limit {LIMIT} s")
    print(f"errors: {found[0]['errors'] or 'none'}; heavy imports: {', '.join(found[0]['heavy']) or 'none'}")
    return int(cpu > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
