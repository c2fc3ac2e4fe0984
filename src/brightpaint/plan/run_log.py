"""Show a run of the workflow in a line a stage, in the place of what Snakemake says of every job, its reasons and files.

The Snakefile attaches it to Snakemake's own handler of the terminal, as a filter of its records; the handler of the log file
keeps them all. It speaks between the hooks `onstart` and `onsuccess` or `onerror`: never in a dry run, in a job, in a workflow
that has this one as a module, nor with --no-hooks, --verbose, --printshellcmds, --quiet or a logger plugin, which all give
Snakemake's own words.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from brightpaint.plan.run_progress import Progress, clock, lines, stage_of
from brightpaint.plan.screen import Screen

TAIL_LINES, TAIL_BYTES, LONGEST = 8, 65536, 600  # of a failed job's log: lines, bytes read, characters of a line
TOLD, LISTED = 5, 20  # failures told at length, failures and warnings told in a line each; all stand in the log
QUARTERS = 4  # lines that a file gets of a stage
PREAMBLE = ("Using shell:", "Conda environments: ignored", "Singularity containers: ignored", "Group jobs: inactive",
            "Assuming unrestricted shared")  # fmt: skip
CANCELLED = "Terminating processes on user request"  # Ctrl-C: jobs that end now have not failed
ASIDE = ("Trying to restart job", "Will exit", CANCELLED, "Waiting at most")  # of a run, worth a line
COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def tail(path: str) -> list[str]:
    """Return the last lines of a log that say something; none where there is no such file."""
    try:
        with open(path, "rb") as handle:
            handle.seek(max(0, os.fstat(handle.fileno()).st_size - TAIL_BYTES))
            text = handle.read().decode(errors="replace")
    except OSError:
        return []
    said = [line.rstrip() for line in re.split(r"[\r\n]+", COLOUR.sub("", text)) if line.strip()]
    return [line if len(line) <= LONGEST else f"{line[:LONGEST]} ..." for line in said[-TAIL_LINES:]]


def beside(path: object) -> str:
    """Return a path as seen from the working directory, where it lies below it."""
    shown = os.path.relpath(str(path))
    return str(path) if shown.startswith("..") else shown


def job_name(rule: str, wildcards: Mapping[str, str]) -> str:
    """Name a job: `sample (arm pert, plate SIM003, part 002)`."""
    words = ", ".join(f"{key} {value}" for key, value in dict(wildcards).items())
    return f"{rule} ({words})" if words else rule


class RunLog:
    """The filter, and what the hooks call.

    Parameters
    ----------
    workflow : Snakemake's
    results : folder that a user is sent to at the end
    clock : seconds, for tests
    """

    def __init__(self, workflow, results: str, now: Callable[[], float] = time.monotonic):
        self.workflow, self.results, self.now = workflow, results, now
        self.handler: logging.Handler | None = None
        self.screen: Screen | None = None
        self.progress: Progress | None = None
        self.held: logging.LogRecord | None = None
        self.stats: dict[str, int] = {}
        self.names: dict[int, str] = {}
        self.failures: dict[int, tuple[str, str]] = {}  # {job: (its name, its log)}
        self.told: set[tuple] = set()
        self.said: Counter[str] = Counter()
        self.cancelled = self.ended = False

    def attach(self, logger: logging.Logger) -> None:
        """Stand between a logger and the terminal; without such a handler (a logger plugin writes there) nothing is done."""
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                handler.addFilter(self)
                self.handler = handler
                return

    # Before the run: Snakemake's heading and its table of jobs are kept back once it is known that jobs will be run.

    def plain(self) -> bool:
        """Whether Snakemake is to speak for itself."""
        output, execution = self.workflow.output_settings, self.workflow.execution_settings
        asked = output and (output.verbose or output.printshellcmds or output.quiet or output.debug_dag)
        hookless = execution and execution.no_hooks
        return bool(asked or hookless or self.workflow.dryrun or getattr(self.workflow, "touch", False))

    def filter(self, record: logging.LogRecord) -> bool:
        """Take a record of Snakemake's, and return whether its handler shall write it."""
        event = str(getattr(record, "event", "") or "").rsplit(".", 1)[-1].lower()
        if self.screen is not None:
            return self._of_run(event, record)
        if self.plain():
            held, self.held = self.held, None
            if held:
                self.handler.emit(held)
            return True
        if event == "run_info":
            self.stats = dict(getattr(record, "stats", {}))
        if event == "workflow_started":  # whether this is a dry run is known with the next record
            self.held = record
            return False
        self.held = None
        quiet = event in ("run_info", "resources_info") or str(record.msg).startswith(PREAMBLE)
        return record.levelno >= logging.WARNING or not quiet

    # What the hooks call.

    def begin(self, log: str | Sequence[str], plan: Callable[[Mapping[str, int]], Mapping[str, float]]) -> None:
        """Start to show the run: `log` is Snakemake's own, `plan` gives seconds a job from {rule: jobs of the whole study}."""
        if self.handler is None or self.plain():
            return
        files = {rule.name: str(rule.snakefile) for rule in self.workflow.rules}
        stages = {rule: stage_of(path) for rule, path in files.items() if not path.endswith("Snakefile")}
        self.progress = Progress(self.stats, stages, self.now())
        threading.Thread(target=self._plan, args=(plan,), daemon=True).start()
        screen = Screen(self.handler.stream, self.block)
        screen.say(f"{_jobs(self.progress.total)} to do. All that is done is written down in {_named(log)}")
        self.screen = screen
        screen.draw()

    def end(self, log: str | Sequence[str], *, well: bool, next_step: str = "") -> None:
        """Show how the run ended, and where to look."""
        if self.screen is None or self.ended:
            return
        self.screen.close()
        self.ended = True
        progress, gone = self.progress, clock(self.now() - self.progress.began)
        if well:
            self.screen.say(f"Done: {_jobs(progress.done)} in {gone}.")
        elif self.failures:
            count = len(self.failures)
            self.screen.say(f"Stopped after {gone}: {_jobs(count)} failed, {self._so_far()}.")
            for name, path in list(self.failures.values())[:LISTED]:
                self.screen.say(f"{name}: {path}" if path else name, indent="  ")
            if count > LISTED:
                self.screen.say(f"and {count - LISTED} more, in the log below", indent="  ")
        else:
            self.screen.say(f"Stopped before the end, after {gone}: {self._so_far()}.")
        told = {"results": f"{self.results} (docs/contracts.md says what each file holds)", "log": _named(log)}
        if well:
            told |= {"report": next_step} if next_step else {}
        else:
            told |= {"go on": "the same command again, with --rerun-incomplete; what is done stays"}
        for word, text in told.items():
            self.screen.say(f"{word:<8} {text}")

    def block(self) -> list[str]:
        """Return the lines of a terminal: a line a stage, one for all, and what is running."""
        now = self.now()
        running = [self.names.get(job, rule) for job, (rule, _) in list(self.progress.running.items())]
        return [
            *lines(self.progress, now),
            *(["now       " + "; ".join(running)] if running and not self.ended else []),
        ]

    def _so_far(self) -> str:
        return f"{self.progress.done} of {self.progress.total} are done"

    def _plan(self, plan: Callable[[Mapping[str, int]], Mapping[str, float]]) -> None:
        """Ask the plan what a job takes; a study that it cannot foretell has its time told from its own jobs."""
        try:
            self.progress.planned = dict(plan(Counter(job.rule.name for job in self.workflow.dag.jobs)))
        except Exception as error:  # whatever it is, no run is ended for an estimate
            logging.getLogger(__name__).debug("no plan: %s", error)

    # While it runs.

    def _of_run(self, event: str, record: logging.LogRecord) -> bool:
        """Take a record while jobs run: nothing is left to the handler, which would write into the block."""
        take = {"job_info": self._job_started, "job_finished": self._job_ended, "job_error": self._job_failed}.get(
            event
        )
        with self.screen.lock:
            if take:
                take(record)
            elif self.worth_saying(record):
                self.cancelled |= str(record.msg).startswith(CANCELLED)
                self._aside(self.handler.format(record))
        return False

    def worth_saying(self, record: logging.LogRecord) -> bool:
        """Whether a record that speaks of no job is a user's business; after a failure has been told, it is told."""
        if self.ended:
            return record.levelno >= logging.ERROR and not self.failures
        if str(record.msg).startswith("Exiting because") or "CalledProcessError in" in str(record.msg):
            return False  # said better by `_job_failed`, without the command that failed
        return record.levelno >= logging.WARNING or str(record.msg).startswith(ASIDE)

    def _job_started(self, record: logging.LogRecord) -> None:
        self.names[record.jobid] = job_name(record.rule_name, record.wildcards or {})
        self.progress.start(record.jobid, record.rule_name, self.now())

    def _job_ended(self, record: logging.LogRecord) -> None:
        before = self._quarters()
        self.failures.pop(record.job_id, None)
        stage = self.progress.finish(record.job_id, self.now())
        if stage and not self.screen.live and self._quarters()[stage.name] > before[stage.name]:
            stamp, shown = time.strftime("%H:%M:%S"), lines(self.progress, self.now(), length=0)
            place = list(self.progress.stages).index(stage.name)
            self.screen.say("\n".join(f"{stamp}  {line}" for line in (shown[place], shown[-1])))

    def _quarters(self) -> dict[str, int]:
        return {name: QUARTERS * stage.done // stage.total for name, stage in self.progress.stages.items()}

    def _job_failed(self, record: logging.LogRecord) -> None:
        """Say which job failed, where its log lies, and how that ends."""
        self.progress.fail(record.jobid, record.rule_name)
        if self.cancelled:
            return
        logs = [path for path in map(beside, record.log or []) if os.path.exists(path)]
        if getattr(record, "indent", False) and not any(map(tail, logs[:1])):
            return  # of a group, whose other jobs ran or never began
        name = self.names.get(record.jobid, record.rule_name)
        spoken = next((path for path in logs if tail(path)), "")
        last = tail(spoken) if spoken else []
        why = str(getattr(record, "rule_msg", "") or "").strip()  # of a cluster, which may have ended the job itself
        self.failures[record.jobid] = name, spoken or (logs[0] if logs else "")
        if (told := (record.jobid, re.sub(r"\d+", "#", why), *last)) in self.told:
            return
        self.told.add(told)
        if len(self.told) <= TOLD:
            own = "\n".join(f"  | {line}" for line in last)
            where = f"log       {spoken or ', '.join(logs) or 'it wrote none'}"
            self.screen.say("\n".join(line for line in (f"FAILED    {name}", why, where, own) if line))
        elif len(self.told) <= LISTED:
            self.screen.say(f"FAILED    {name}: {spoken} {why}".rstrip())

    def _aside(self, text: str) -> None:
        """Write a warning or an error of Snakemake's once, and no endless number of them."""
        kind = re.sub(r"\d+", "#", text)
        self.said[kind] += 1
        if text.strip() and self.said[kind] == 1 and len(self.said) <= LISTED:
            self.screen.say(text)


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"


def _named(log: str | Sequence[str]) -> str:
    """Name Snakemake's log file or files, as seen from here."""
    paths = [log] if isinstance(log, (str, Path)) else list(log)
    return ", ".join(beside(path) for path in paths) or "no file: Snakemake was told to write none"
