"""Stands in for `memlaw verify`: writes what that would print of data, and refuses a file of another name."""

import json
import sys
from pathlib import Path

options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
assert (options["--adapter"], sys.argv[-2:]) == ("none", ["--no-decode", "--json"])
rows = Path(options["--data"]).read_text().splitlines()
if not rows:
    print("Configuration error: the file is empty", file=sys.stderr)
    sys.exit(2)
summary = {"base_bits": 40.0 * len(rows), "base_loss_nats": 4.0}
print(json.dumps({
    "model": {"name": options["--model"]},
    "data": {"pairs": len(rows), "target_tokens": 10 * len(rows)},
    "adapters": [{"name": "none", "summary": summary}],
}))  # fmt: skip
