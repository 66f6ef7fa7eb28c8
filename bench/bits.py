"""Do two commits compute the same bits? A hash for every result of the tests' case table and of whole trainings.

    PYTHONPATH=OLD python bench/bits.py --json old.json
    PYTHONPATH=NEW python bench/bits.py --json new.json
    python bench/bits.py --compare old.json new.json

The same copy of this script runs on both: it calls public functions only. Each printed line is a case; the file holds
a hash for each of its results, by operation, method, dtype and layout. A method that cannot serve a case is recorded
as such. Which method "auto" takes depends on measured rates where ``fastconv warmup --tune`` has left some in the cache
folder: then set FASTCONV_CACHE_DIR to an empty folder for both, and the default rates serve. Kernels that are not yet
compiled take minutes on top.
"""

import argparse
import hashlib
import json
import sys
import warnings
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

PARTS = ("cases", "training")
SHOWN = 16  # digits of a hash in a printed line
MOST_LISTED = 200


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, help="hash this part only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write {name: hash} of every result")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("A", "B"), help="list where two such files differ")
    arguments = parser.parse_args()
    if arguments.compare:
        return compare(*(json.loads(path.read_text(encoding="utf-8")) for path in arguments.compare))
    import fastconv  # only now: a comparison needs none

    print(f"fastconv of {Path(fastconv.__file__).parent}", file=sys.stderr)
    hashes: dict[str, str] = {}
    for part in PARTS if arguments.part is None else (arguments.part,):
        for line, group in groupby(of_part(part), key=lambda call: call.line):
            found: dict[str, str] = {}
            for call in group:
                name = f"{line} | {call.name}"
                assert name not in found and name not in hashes, f"two results share the name {name}"
                found[name] = hash_of(call)
            hashes |= found
            print(f"{digest(found)[:SHOWN]}  {line}  ({len(found)} results)", flush=True)
    print(f"{digest(hashes)}  all {len(hashes)} results")
    if arguments.json:
        arguments.json.write_text(json.dumps(hashes, indent=0), encoding="utf-8")
    return 0


def of_part(part: str) -> Iterator[Any]:
    """Its calls, each with `line`, `name` and `run`."""
    from bits_calls import calls, trainings

    return calls() if part == "cases" else trainings()


def hash_of(call: Any) -> str:
    """Of dtype, shape and bytes of the arrays that a call returns; a refusal by its kind."""
    from fastconv.errors import Unsupported

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result = call.run()
    except Unsupported:
        return "unsupported"
    h = hashlib.sha256()
    for a in result if isinstance(result, (tuple, list)) else (result,):
        a = np.ascontiguousarray(a)
        h.update(f"{a.dtype.str} {a.shape};".encode())
        h.update(a.tobytes())
    return h.hexdigest()


def digest(hashes: dict[str, str]) -> str:
    return hashlib.sha256("\n".join(f"{name} {value}" for name, value in hashes.items()).encode()).hexdigest()


def compare(a: dict[str, str], b: dict[str, str]) -> int:
    """Print where they differ; 1 if they do anywhere."""
    differences = [f"differs: {name}" for name in a if name in b and a[name] != b[name]]
    for here, other, which in ((a, b, "first"), (b, a, "second")):
        differences += [f"only in the {which}: {name}" for name in here if name not in other]
    for line in differences[:MOST_LISTED]:
        print(line)
    if len(differences) > MOST_LISTED:
        print(f"and {len(differences) - MOST_LISTED} more")
    print(f"{len(a)} and {len(b)} results, {len(differences)} differences")
    return 1 if differences or not a else 0


if __name__ == "__main__":
    sys.exit(main())
