"""
Name the files of the package that are due for a look: a long one often holds two ideas. Nothing
fails here; a cap of lines would turn the next option that anybody adds red.
"""

from pathlib import Path

LONG = 400
"""Lines from which a file is named."""


def main() -> None:
    root = Path(__file__).parent.parent
    sizes = {
        path.relative_to(root).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in (root / "harness").rglob("*.py")
    }
    for path, lines in sorted(sizes.items(), key=lambda size: -size[1]):
        if lines > LONG:
            print(f"{path}: {lines} lines, due for a look")


if __name__ == "__main__":
    main()
