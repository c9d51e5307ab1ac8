"""``make bench``: runs the named benchmark (``ledger-append``), or all of them one after the other."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main(names: list[str]) -> int:
    """0 when every one ran to its end."""
    known = {path.stem.replace("_", "-"): path.stem for path in sorted(FOLDER.glob("*.py")) if is_benchmark(path)}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"No benchmark {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    codes = []
    for name in names or known:
        print(f"\n{f' {name} '.center(80, '-')}", flush=True)
        codes.append(subprocess.run([sys.executable, "-m", f"tests.benchmarks.{known[name]}"], check=False).returncode)
    return max(codes, default=0)


def is_benchmark(path: Path) -> bool:
    """A benchmark is run as a program; what only serves others is not."""
    return path.name != "__main__.py" and '__name__ == "__main__"' in path.read_text()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
