"""How much of the source the tests run, from coverage's JSON; `make cover` makes that.

    python benchmarks/covered.py coverage.json

Exit status 1 where less than 90% of all lines is run, or less than 95% of the branches of the
modules in which a fault costs data or lets somebody in: checkpoints, manifests, regions, server.
"""

import json
import sys
from pathlib import Path

LINES, BRANCHES = 90.0, 95.0
ROOMS = {
    "checkpoints": ("runs/checkpoint",),
    "manifest": ("data/manifest",),
    "regions": ("data/regions", "data/pixel_regions"),
    "server": ("server/",),
}


def share(files: list[dict], covered: str, of: str) -> float:
    """Percent of all lines or branches of some files."""
    total = sum(file["summary"][of] for file in files)
    return 100 * sum(file["summary"][covered] for file in files) / max(1, total)


def main() -> int:
    """Print the shares; whether all are as large as they must be."""
    report = json.loads(Path(sys.argv[1]).read_text())
    files = {name.partition("src/regard/")[2]: file for name, file in report["files"].items()}
    lines = share(list(files.values()), "covered_lines", "num_statements")
    branches = share(list(files.values()), "covered_branches", "num_branches")
    print(f"all: {lines:.1f}% of lines, {branches:.1f}% of branches")
    enough = lines >= LINES
    for room, starts in ROOMS.items():
        own = {name: file for name, file in files.items() if name.startswith(starts)}
        found = share(list(own.values()), "covered_branches", "num_branches")
        enough &= found >= BRANCHES
        print(f"{room}: {found:.1f}% of branches, in {len(own)} modules")
        for name, file in own.items():
            if file["missing_branches"]:
                print(f"  {name}: not {file['missing_branches']}")
    least = sorted(files, key=lambda name: files[name]["summary"]["percent_covered"])[:10]
    print("least:", *(f"{n} {files[n]['summary']['percent_covered']:.0f}%" for n in least))
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
