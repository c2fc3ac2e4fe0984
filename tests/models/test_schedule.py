import numpy as np
import pytest
import torch

from brightpaint.models.schedule import NEAREST, Schedule, bounded_log_snr, log_snr, schedule_of


def test_gammas_start_at_one_fall_and_end_where_the_paper_s_code_ends():
    gammas = Schedule().gammas
    assert len(gammas) == 2001 and gammas[0] == 1
    assert (np.diff(gammas) < 0).all()
    assert gammas[1] == pytest.approx(1 - 1e-6, rel=1e-12)
    assert gammas[-1] == pytest.approx(4.4e-5, rel=0.02)
    assert gammas[-1] < 1e-4


def test_printed_schedule_of_the_paper_could_not_start_from_noise():
    assert Schedule(first=1e-5, last=1e-3).gammas[-1] == pytest.approx(0.364, abs=0.001)


def test_drawn_gammas_lie_between_levels_1_and_t_and_visit_all_of_them():
    schedule = Schedule(first=0.01, last=0.3, levels=10)
    gammas = schedule.draw(5000, torch.Generator().manual_seed(0)).numpy()
    assert gammas.dtype == np.float64
    assert schedule.gammas[-1] <= gammas.min() and gammas.max() <= schedule.gammas[1]
    counts = np.histogram(gammas, schedule.gammas[1:][::-1])[0]
    assert counts.min() > 5000 / 9 * 0.8 and counts.max() < 5000 / 9 * 1.2


def test_path_visits_every_level_at_t_steps_and_ends_at_one():
    schedule = Schedule()
    np.testing.assert_array_equal(schedule.path(2000), schedule.gammas[::-1])
    assert schedule.path(1) == [schedule.gammas[-1], 1.0]
    assert schedule.path(20)[:2] == [schedule.gammas[2000], schedule.gammas[1900]]


@pytest.mark.parametrize("steps", [0, 2001])
def test_path_refuses_impossible_step_counts(steps):
    with pytest.raises(ValueError, match="from 1 to 2000"):
        Schedule().path(steps)


def test_log_snr_is_exact_near_one():
    gamma = torch.tensor([1 - 1e-6, 0.5, 4.4e-5], dtype=torch.float64)
    expected = np.log(gamma.numpy() / (1 - gamma.numpy()))
    np.testing.assert_allclose(log_snr(gamma), expected, rtol=1e-9, atol=1e-15)


def test_karras_path_spaces_the_seventh_root_of_sigma_evenly():
    path = np.array(Schedule().path(18, "karras"))
    assert len(path) == 19 and path[-1] == 1
    assert path[0] == pytest.approx(Schedule().gammas[-1], rel=1e-9)
    roots = np.sqrt((1 - path[:-1]) / path[:-1]) ** (1 / 7)
    np.testing.assert_allclose(np.diff(roots), np.diff(roots).mean(), rtol=1e-6)
    assert roots[-1] ** 7 == pytest.approx(0.01, rel=1e-4)
    assert Schedule().path(1, "karras")[1:] == [1.0]


def test_unknown_spacing_is_an_error():
    with pytest.raises(ValueError, match="level or karras"):
        Schedule().path(5, "even")


def test_the_bounds_of_log_snr_change_no_level_that_is_trained_or_sampled():
    schedule = Schedule()
    levels = torch.tensor([*schedule.gammas[1:], *schedule.path(50, "karras")[:-1]], dtype=torch.float64)
    assert torch.equal(bounded_log_snr(levels), log_snr(levels))
    low, high = bounded_log_snr(torch.tensor([0.0, 1.0])).tolist()
    reached = log_snr(levels)
    assert low < reached.min() < low + 0.1 and high - 0.1 < reached.max() < high


def test_a_schedule_without_a_rest_of_the_image_keeps_its_first_level_and_draws_none_below_the_nearest():
    usual, zero = Schedule(), Schedule(zero=True)
    assert usual.gammas[-1] > 4e-5 and zero.gammas[-1] == pytest.approx(NEAREST) and zero.gammas[0] == 1.0
    assert (np.diff(zero.gammas) < 0).all() and abs(zero.gammas[1000] - usual.gammas[1000]) < 0.01
    drawn = zero.draw(20_000, torch.Generator().manual_seed(0))
    assert float(drawn.min()) > 0.999 * NEAREST and float(drawn.max()) < 1
    assert schedule_of({"terminal_snr": "zero"}) == zero and schedule_of({}) == usual
