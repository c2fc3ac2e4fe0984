"""How far a run is: the jobs of each stage, how long they have taken, and how long the rest will.

The time left is what the jobs that are left would take, over how many have run abreast. A job is taken to last as long as
those of its rule have; while few have ended, at least as long as the plan says (`brightpaint.plan.costs`), in proportion to how
long others took beside their plan: of trainings a floor ends first, and says nothing of a network. Without a plan, where none
of its rule has ended, it lasts as long as the mean job. Before the first job ends it is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

STAGES = ("plates", "models", "features", "profiles", "scores", "report")
FOLDERS = {"figures": "report"}
FILES = {
    "hold_out": "models",
    "embedders": "features",
    "single_cells": "features",
    "critics": "features",
    "calibration": "scores",
    "translation_scores": "scores",
    "tables": "report",
}  # a rule file whose name is no stage's
LEAST_SHARE = (
    0.1  # of a job that has run longer than the others of its rule, the share of that which is taken to be left
)


def stage_of(rule_file: str) -> str:
    """Return the stage that a rule file belongs to; a file of a new name is a stage of its own."""
    *folders, name = rule_file.split("/")
    stem = name.rsplit(".", 1)[0]
    return FOLDERS.get(folders[-1] if folders else "", FILES.get(stem, stem))


@dataclass
class Stage:
    """Jobs of a stage: `total` to do, `done`; `began` and `ended` are seconds of the clock, None where not yet."""

    name: str
    total: int
    done: int = 0
    began: float | None = None
    ended: float | None = None


class Progress:
    """What has been done of a run, told of each job as it starts and ends.

    Parameters
    ----------
    jobs : {rule: how many are to do}
    stages : {rule: its stage}; a rule without one (`all`) makes nothing and is not counted
    began : seconds of the clock
    """

    def __init__(self, jobs: Mapping[str, int], stages: Mapping[str, str], began: float):
        self.began, self.rule_stages = began, dict(stages)
        self.jobs = {rule: count for rule, count in jobs.items() if rule in stages}
        self.planned: dict[str, float] = {}  # {rule: seconds a job}, where they are known
        self.running: dict[int, tuple[str, float]] = {}
        self.taken: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.failed: dict[int, str] = {}
        totals: Counter[str] = Counter()
        for rule, count in self.jobs.items():
            totals[stages[rule]] += count
        order = [*(name for name in STAGES if name in totals), *(name for name in totals if name not in STAGES)]
        self.stages = {name: Stage(name, totals[name]) for name in order}

    @property
    def total(self) -> int:
        return sum(self.jobs.values())

    @property
    def done(self) -> int:
        return sum(self.ended.values())

    def start(self, job: int, rule: str, now: float) -> None:
        """A job, by its number, has been started or handed to the cluster."""
        if rule in self.jobs:
            self.running[job] = rule, now
            self.failed.pop(job, None)
            stage = self.stages[self.rule_stages[rule]]
            stage.began = now if stage.began is None else stage.began

    def finish(self, job: int, now: float) -> Stage | None:
        """Return the stage of a job that has ended well; None for one that is not counted."""
        rule, began = self.running.pop(job, (None, now))
        if rule is None:
            return None
        self.taken[rule] += now - began
        self.ended[rule] += 1
        stage = self.stages[self.rule_stages[rule]]
        stage.done += 1
        stage.ended = now if stage.done >= stage.total else None
        return stage

    def fail(self, job: int, rule: str) -> None:
        """A job has failed; it may be started again."""
        self.running.pop(job, None)
        if rule in self.jobs:
            self.failed[job] = rule

    def job_seconds(self, now: float) -> dict[str, float]:
        """Return {rule: seconds that one more job of it is taken to last}; empty before the first has ended."""
        if not self.done:
            return {}
        mean, pace, seconds = sum(self.taken.values()) / self.done, self._pace(), {}
        for rule, count in self.jobs.items():
            ended = self.ended[rule]
            own = self._mean(rule, now) if ended else None
            if pace is None or rule not in self.planned or ended >= count:
                seconds[rule] = mean if own is None else own
                continue
            planned = max(self.planned[rule] * pace * count - self.taken[rule], 0) / (count - ended)
            share = ended / count
            seconds[rule] = planned if own is None else max(own, share * own + (1 - share) * planned)
        return seconds

    def _pace(self) -> float | None:
        """Return the seconds taken over those planned, of rules that are done if there are any; None where unknown."""
        told = [rule for rule in self.ended if self.planned.get(rule)]
        told = [rule for rule in told if self.ended[rule] >= self.jobs[rule]] or told
        planned = sum(self.planned[rule] * self.ended[rule] for rule in told)
        return sum(self.taken[rule] for rule in told) / planned if planned else None

    def _mean(self, rule: str, now: float) -> float:
        """Return the mean seconds of a rule's jobs that have ended, and of those that have run longer than these did."""
        mean = self.taken[rule] / self.ended[rule]
        longer = [now - began for name, began in self.running.values() if name == rule and now - began > mean]
        return (self.taken[rule] + sum(longer)) / (self.ended[rule] + len(longer))

    def left(self, now: float) -> tuple[float, dict[str, float]] | None:
        """Return the seconds left of the run, and of each stage by itself; None where they are unknown."""
        seconds = self.job_seconds(now)
        if not seconds:
            return None
        work, longest = dict.fromkeys(self.stages, 0.0), 0.0
        waiting = Counter(self.jobs) - self.ended - Counter(self.failed.values())
        for rule, began in self.running.values():
            age = now - began
            rest = max(seconds[rule] - age, LEAST_SHARE * age)
            work[self.rule_stages[rule]] += rest
            longest = max(longest, rest)
            waiting[rule] -= 1
        for rule, count in waiting.items():
            work[self.rule_stages[rule]] += max(count, 0) * seconds[rule]
        busy = sum(self.taken.values()) + sum(now - began for _, began in self.running.values())
        abreast = max(busy / max(now - self.began, 1e-3), 0.1)
        by_stage = {name: value / abreast for name, value in work.items()}
        return max(sum(by_stage.values()), longest), by_stage


def clock(seconds: float) -> str:
    """Write a duration: `0:07`, `12:31`, `2:05:00`, `3 d 4 h`."""
    whole = max(0, int(seconds))
    if whole >= 48 * 3600:
        return f"{whole // 86400} d {whole % 86400 // 3600} h"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def about(seconds: float) -> str:
    """Write an estimate in few figures: `under a minute`, `about 5 min`, `about 3 h`, `about 2 days`."""
    if seconds < 55:
        return "under a minute"
    if seconds < 90 * 60:
        return f"about {max(1, round(seconds / 60))} min"
    return f"about {round(seconds / 3600)} h" if seconds < 48 * 3600 else f"about {round(seconds / 86400)} days"


def times(began: float | None, ended: float | None, now: float, left: float | None) -> str:
    """Say how long something has taken and how long it will: `2:31 gone, about 5 min left`."""
    if ended is not None:
        return f"done in {clock(ended - began)}"
    rest = "time left unknown" if left is None else f"{about(left)} left"
    if began is None:
        return "waiting" if left is None else f"waiting, {about(left)}"
    return f"{clock(now - began)} gone, {rest}"


def bar(done: int, total: int, length: int) -> str:
    """Draw a bar of `length` characters, full only when all is done."""
    full = length * done // total if total else length
    return "#" * full + "." * (length - full)


def lines(progress: Progress, now: float, *, length: int = 18) -> list[str]:
    """Return one line a stage and one for all, 79 characters at most: bar, jobs, time gone, time left."""
    left = progress.left(now)
    rows = [(s.name, s.done, s.total, s.began, s.ended, left[1][s.name] if left else None)
            for s in progress.stages.values()]  # fmt: skip
    ended = now if progress.done >= progress.total else None
    rows.append(("all", progress.done, progress.total, progress.began, ended, left[0] if left else None))
    written = []
    for name, done, total, began, end, rest in rows:
        drawn = f"[{bar(done, total, length)}] " if length else ""
        written.append(f"{name[:9]:<9} {drawn}{f'{done}/{total}':>9}  {times(began, end, now, rest)}")
    return written
