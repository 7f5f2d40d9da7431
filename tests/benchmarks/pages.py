"""
What the commands that write a page of a simulation are asked.
"""

import argparse
from pathlib import Path


def asked(about: str) -> tuple[Path, float]:
    """
    Return the page to write, and the share of the draws to take. *about* says what is simulated.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--write", type=Path, required=True, metavar="FILE")
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the draws to take")
    arguments = parser.parse_args()
    return arguments.write, arguments.scale
