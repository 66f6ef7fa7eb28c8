"""The steps of a benchmark: what each suite measures, one after the other, beside a load where one is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgument
from .console import progress, say

if TYPE_CHECKING:
    from ..measure import Peaks, Problem, Rival

PROBLEM_SUITES = ("layers", "first", "double", "backward", "filters", "signal", "pool", "small", "quick")
OTHER_SUITES = ("kernel", "train", "scipy")
EVERY_SUITE = (*(name for name in PROBLEM_SUITES if name != "quick"), *OTHER_SUITES)


@dataclass(frozen=True)
class Step:
    """What is measured at once: of a suite ("" for problems named one by one), and what gives its rows."""

    suite: str
    text: str
    run: Callable[[], list[Any]]


@dataclass
class Findings:
    """The rows of each suite, and the peaks of the dtypes of its problems."""

    load: int
    peaks: dict[str, Peaks]
    parts: dict[str, list[Any]] = field(default_factory=dict)
    interrupt: KeyboardInterrupt | None = None

    @property
    def rows(self) -> list[Any]:
        """Those of problems, of all suites."""
        return [row for name, part in self.parts.items() if name not in OTHER_SUITES for row in part]

    @property
    def failed(self) -> bool:
        """Whether a result of fastconv's was wrong."""
        wrong = any(entry.who == "fastconv" for row in self.rows for entry in row.wrong)
        wrong = wrong or any(entry.who == "fastconv" for row in self.parts.get("scipy", []) for entry in row.wrong)
        return wrong or any(row.timing is None for row in self.parts.get("kernel", []))

    def disturbances(self) -> Iterator[float | None]:
        """What others used of the machine while each row was measured."""
        return (row.disturbance for part in self.parts.values() for row in part)

    def report(self, command: str, environment: dict[str, Any]) -> dict[str, Any]:
        """Everything, for --json; with the summary of all problems, and of each suite's."""
        from ..measure import summary

        return {
            "command": command,
            "environment": environment,
            "load": self.load,
            "peaks": [asdict(peak) for peak in self.peaks.values()],
            "rows": [row.as_dict() for row in self.rows],
            "kernels": [row.as_dict() for row in self.parts.get("kernel", [])],
            "training": [row.as_dict() for row in self.parts.get("train", [])],
            "scipy": [row.as_dict() for row in self.parts.get("scipy", [])],
            "summary": summary(self.rows),
            "suites": {name: summary(part) for name, part in self.parts.items() if name not in ("", "kernel")},
        }


@dataclass(frozen=True)
class Wanted:
    """What the command was asked for."""

    suites: Sequence[str]
    problems: Sequence[str]
    layout: str | None
    dtype: str | None
    methods: Sequence[str]
    rivals: Sequence[Rival]
    seconds: float

    @property
    def names(self) -> tuple[str, ...]:
        """The suites, "all" spelled out."""
        names = (name for given in self.suites for name in (EVERY_SUITE if given == "all" else (given,)))
        return tuple(dict.fromkeys(names))

    def steps(self) -> list[Step]:
        """Each suite's, then those of the problems named one by one; no problem twice."""
        if "train" in self.names and self.dtype == "float64":
            raise InvalidArgument("--dtype is float64 but the models of the suite train are float32; name other suites")
        seen: set[Problem] = set()
        steps: list[Step] = []
        others = {"kernel": self._kernels, "train": self._models, "scipy": self._calls}
        for name in (*self.names, ""):
            if name in OTHER_SUITES:
                steps += others[name]()
            for problem in () if name in OTHER_SUITES else self._problems(name):
                if problem not in seen:
                    seen.add(problem)
                    steps.append(Step(name, str(problem), partial(self._compare, problem)))
        return steps

    def dtypes(self) -> list[str]:
        """Of the problems."""
        chosen = [p for name in (*self.names, "") if name not in OTHER_SUITES for p in self._problems(name)]
        return list(dict.fromkeys(problem.spec.dtype for problem in chosen))

    def _problems(self, suite: str) -> list[Problem]:
        from .. import measure

        chosen = measure.suite(suite) if suite else [measure.parse_problem(text) for text in self.problems]
        chosen = [measure.in_layout(p, self.layout) if self.layout else p for p in chosen]
        return [measure.in_dtype(p, self.dtype) if self.dtype else p for p in chosen]

    def _compare(self, problem: Problem) -> list[Any]:
        from .. import measure

        return [measure.compare(problem, self.rivals, methods=self.methods, seconds=self.seconds)]

    def _kernels(self) -> Iterator[Step]:
        from ..measure import kernels

        for dtype in (self.dtype,) if self.dtype else ("float32", "float64"):
            for group in kernels.GROUPS:
                run = partial(kernels.measure_kernels, group, dtype, self.seconds)
                yield Step("kernel", f"{group}, {dtype}", run)

    def _models(self) -> Iterator[Step]:
        from ..measure import training

        for name in training.MODELS:
            run = partial(training.measure_training, name, self.rivals, self.seconds)
            yield Step("train", f"model {name}", run)

    def _calls(self) -> Iterator[Step]:
        from ..measure import replaced

        for dtype in (self.dtype,) if self.dtype else replaced.DTYPES:
            for area in replaced.AREAS:
                for call in replaced.calls_of(area, dtype):
                    run = partial(replaced.measure_call, call, dtype, self.rivals, self.seconds)
                    yield Step("scipy", f"{call}, {dtype}", run)


def measure_all(wanted: Wanted, load: int) -> Findings:
    """Measure all steps beside a load; the peaks while it rests, before and after. An interruption ends it early."""
    from .. import measure
    from ..measure.load import Load

    steps = wanted.steps()
    found = Findings(load, {kind: measure.measure_peaks(kind) for kind in wanted.dtypes()})
    busy = Load(load)
    done = 0
    try:
        with busy, progress(len(steps), "problems") as announce:
            for step in steps:
                announce(step.text)
                found.parts.setdefault(step.suite, []).extend(replace(row, load=load) for row in step.run())
                done += 1
    except KeyboardInterrupt as interrupt:
        found.interrupt = interrupt
        say(f"Interrupted after {done} of {len(steps)} problems.")
    if busy.lost and found.interrupt is None:
        say(f"{busy.lost} of the {load} busy processes ended before the measurement did: take the figures with care.")
    found.peaks = {kind: peak.or_better(measure.measure_peaks(kind)) for kind, peak in found.peaks.items()}
    for name, part in found.parts.items():
        if name not in OTHER_SUITES:
            found.parts[name] = [replace(row, peaks=found.peaks[row.problem.spec.dtype]) for row in part]
    return found


def title(name: str, parts: Mapping[str, Any]) -> str:
    """The heading of a suite's table, where there is more than one."""
    return "" if len(parts) < 2 else f"suite {name}" if name else "--problem"
