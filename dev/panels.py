"""Prints the expressions of a Grafana dashboard as rules of Prometheus, which promtool can check.

python dev/panels.py ops/dashboard.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

if __name__ == "__main__":
    panels = json.loads(Path(sys.argv[1]).read_text())["panels"]
    rules = [
        {"record": f"panel_{panel['id']}_{target['refId']}", "expr": target["expr"]}
        for panel in panels
        for target in panel["targets"]
    ]
    # JSON is YAML.
    print(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
