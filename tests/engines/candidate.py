"""
The checkpoint that real engines and servers are tried with: ``python -m tests.engines.candidate``.

It is what the demo trains: the embedded model fine-tuned on the suite tool-routing. The folder is
HARNESS_BENCH_CHECKPOINT; what is there already is kept.
"""

import os
import subprocess
import sys
from pathlib import Path

VARIABLE = "HARNESS_BENCH_CHECKPOINT"
TREE = Path(__file__).parent.parent.parent


def main() -> None:
    folder = Path(os.environ[VARIABLE])
    if (folder / "config.json").is_file():
        print(f"{folder} is there", file=sys.stderr)
        return
    command = [sys.executable, "-m", "harness", "finetune", "--suite", "tool-routing"]
    command += ["--base", "embedded:smollm2-135m", "--root", str(TREE), "--out", str(folder)]
    raise SystemExit(subprocess.run(command, cwd=TREE, check=False).returncode)


if __name__ == "__main__":
    main()
