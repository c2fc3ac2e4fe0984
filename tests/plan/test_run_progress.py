"""How far a run is: counts by stage, the time left against known answers, and lines that fit an 80-column terminal."""

from __future__ import annotations

import pytest

from brightpaint.plan.run_progress import STAGES, Progress, about, bar, clock, lines, stage_of
from conftest import ROOT

RULES = {"fetch": "plates", "train": "models", "score": "scores"}


def told(jobs, **planned):
    progress = Progress(jobs, RULES, 100.0)
    progress.planned = planned
    return progress


def test_every_rule_of_the_workflow_belongs_to_a_stage_that_can_be_stopped_at_or_to_the_report():
    files = [str(path) for path in (ROOT / "workflow" / "rules").rglob("*.smk") if "\nrule " in path.read_text()]
    assert len(files) > 8 and {stage_of(path) for path in files} == set(STAGES)
    assert stage_of("/x/rules/figures/new.smk") == "report" and stage_of("/x/rules/new.smk") == "new"


def test_the_time_left_is_unknown_until_a_job_has_ended():
    progress = told({"fetch": 2, "train": 1}, fetch=1.0, train=9.0)
    assert progress.left(130.0) is None
    progress.start(1, "fetch", 100.0)
    assert progress.left(130.0) is None
    assert lines(progress, 130.0)[-1] == f"all       [{'.' * 18}]       0/3  0:30 gone, time left unknown"
    progress.finish(1, 130.0)
    assert progress.left(130.0) is not None


def test_rules_that_have_ended_tell_their_own_time_and_the_plan_tells_that_of_others_in_proportion():
    """Two fetches of 10 s, planned as 5: a training planned as 40 s will take 80. One job at a time."""
    progress = told({"fetch": 3, "train": 1}, fetch=5.0, train=40.0)
    for job, began in ((1, 100.0), (2, 110.0)):
        progress.start(job, "fetch", began)
        progress.finish(job, began + 10)
    total, by_stage = progress.left(120.0)
    assert by_stage == {"plates": pytest.approx(10), "models": pytest.approx(80)} and total == pytest.approx(90)
    progress.planned = {}
    assert progress.left(120.0)[1]["models"] == pytest.approx(10)  # without a plan, as the mean job


def test_jobs_that_run_abreast_halve_the_time_and_what_a_job_has_run_is_not_left():
    progress = told({"fetch": 4})
    for job in (1, 2):
        progress.start(job, "fetch", 100.0)
        progress.finish(job, 110.0)
    assert progress.left(110.0)[0] == pytest.approx(10)  # two jobs of 10 s, two at a time
    for job in (3, 4):
        progress.start(job, "fetch", 110.0)
    assert progress.left(116.0)[0] == pytest.approx(4)
    # Each has run 40 s, so that the four take 25 s in the mean: no more than these have run, and a tenth of it is left.
    assert progress.left(150.0)[0] == pytest.approx(4)


def test_a_floor_that_is_trained_at_once_does_not_make_the_networks_quick():
    """Fetches take what was planned; five trainings were planned as 300 s in the mean, and the first, a floor, took 2 s."""
    progress = told({"fetch": 2, "train": 5}, fetch=10.0, train=300.0)
    for job, rule, began, ended in ((1, "fetch", 100, 110), (2, "fetch", 110, 120), (3, "train", 120, 122)):
        progress.start(job, rule, began)
        progress.finish(job, ended)
    assert progress.left(122.0)[0] == pytest.approx(4 * (0.2 * 2 + 0.8 * 1498 / 4))
    progress.start(4, "train", 122.0)
    assert progress.left(222.0)[0] < progress.left(122.0)[0]  # what it has run is not left
    progress.planned = {}
    assert progress.left(1122.0)[0] > 3 * 500  # without a plan, what a job has run says how long the others will


def test_the_last_job_is_not_hurried_by_cores_that_stand_idle():
    progress = told({"fetch": 4, "train": 1}, fetch=1.0, train=100.0)
    for job in range(4):
        progress.start(job, "fetch", 100.0)
        progress.finish(job, 101.0)
    progress.start(9, "train", 101.0)
    assert progress.left(101.0)[0] == pytest.approx(100)


def test_a_failed_job_is_not_left_unless_it_is_started_again_and_other_rules_are_not_counted():
    progress = told({"fetch": 2, "all": 1})
    assert progress.total == 2 and progress.finish(77, 101.0) is None
    progress.start(1, "fetch", 100.0)
    progress.start(2, "fetch", 100.0)
    progress.fail(1, "fetch")
    progress.finish(2, 110.0)
    assert progress.left(110.0)[0] == 0 and progress.done == 1
    progress.start(1, "fetch", 110.0)
    assert progress.left(110.0)[0] == pytest.approx(10) and progress.failed == {}


def test_stages_stand_in_their_order_and_a_stage_that_is_done_says_how_long_it_took():
    progress = told({"score": 1, "fetch": 1, "train": 2})
    progress.start(1, "fetch", 101.0)
    progress.finish(1, 166.0)
    progress.start(2, "train", 166.0)
    written = lines(progress, 170.0, length=4)
    assert [line.split()[0] for line in written] == ["plates", "models", "scores", "all"]
    assert written[0] == "plates    [####]       1/1  done in 1:05"
    assert written[1].startswith("models    [....]       0/2  0:04 gone, about 2 min left")
    assert written[2] == "scores    [....]       0/1  waiting, about 1 min"


def test_no_line_is_longer_than_an_80_column_terminal_shows():
    progress = Progress({"fetch": 123456}, {"fetch": "plates-of-another-name"}, 0.0)
    progress.start(1, "fetch", 0.0)
    assert max(map(len, lines(progress, 90 * 86400.0))) < 80
    progress.finish(1, 47 * 3600.0)
    assert max(map(len, lines(progress, 47 * 3600.0))) < 80


@pytest.mark.parametrize(
    ("seconds", "written", "guessed"),
    [(7, "0:07", "under a minute"), (151, "2:31", "about 3 min"), (7500, "2:05:00", "about 2 h"),
     (273600, "3 d 4 h", "about 3 days")],
)  # fmt: skip
def test_durations_are_written_as_people_say_them(seconds, written, guessed):
    assert (clock(seconds), about(seconds)) == (written, guessed)


def test_a_bar_is_full_only_when_all_is_done():
    assert bar(0, 7, 10) == "." * 10 and bar(7, 7, 10) == "#" * 10 and bar(999, 1000, 10) == "#########."
