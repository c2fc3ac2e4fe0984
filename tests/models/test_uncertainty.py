"""K samples of a field: their spread, its resuming and independence, and what it says of the error."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.models.paint import gather, sample, uncertainty
from brightpaint.models.paint.field_noise import field_noise
from brightpaint.scores.images import risk_coverage as evaluation
from models_fixture import labelled_plates, labelled_weights, sample_arguments


def gathered(folder, name="drawn"):
    """Paint the plate as the arm's stack, with its row table beside it; return its path."""
    stack = folder / f"{name}.tif"
    if not stack.exists():
        part = folder / f"{name}_part.tif"
        words = sample_arguments(labelled_weights(), labelled_plates()[2], part)
        sample.main(words)
        words = ["--parts", part, "--part-seconds", part.with_suffix(".tsv"), "--fields", labelled_plates()[2][1]]
        words += ["--stack", stack, "--rows", stack.with_suffix(".parquet"), "--seconds", folder / "seconds.tsv"]
        gather.main([str(word) for word in words])
    return stack


def spread(folder, name="spread", samples=3, **changes):
    """Run the command and return its stack."""
    path = folder / f"{name}.tif"
    words = sample_arguments(labelled_weights(), labelled_plates()[2], path, samples=samples, **changes)
    uncertainty.main([*words, "--drawn", str(gathered(folder))])
    return np.array(store.open_stack(path).images)


def painted(folder, name, **changes):
    sample.main(sample_arguments(labelled_weights(), labelled_plates()[2], folder / f"{name}.tif", **changes))
    return (folder / f"{name}.tif").read_bytes()


def test_the_number_of_samples_does_not_touch_the_stack(tmp_path):
    assert painted(tmp_path, "one") == painted(tmp_path, "four", samples=4)  # sample does not even know of it


def test_spread_is_the_standard_deviation_of_the_standardised_samples(tmp_path, monkeypatch):
    found = spread(tmp_path, samples=4).astype(float)
    drawn = np.array(store.open_stack(gathered(tmp_path)).images)
    samples, noise = [standardise(drawn)], field_noise
    for number in (1, 2, 3):
        of_number = lambda row, seed, _=0, number=number: noise(row, seed, number)  # noqa: E731
        monkeypatch.setattr("brightpaint.models.paint.field_noise.field_noise", of_number)
        painted(tmp_path, f"sample{number}")
        samples.append(standardise(np.array(store.open_stack(tmp_path / f"sample{number}.tif").images)))
    wanted = np.std(samples, axis=0, ddof=1)
    np.testing.assert_allclose(found, wanted, atol=4e-3)
    assert wanted.mean() > 0.02 and found.shape == drawn.shape


def test_spread_is_of_samples_standardised_to_the_study_s_cutoff_in_the_precision_asked_for(tmp_path):
    shift = np.zeros((1, 1, 8, 8), np.float32)
    shift[0, 0, 0, 0] = 1.0  # one pixel: 7.9 s.d. above the mean
    plain = uncertainty.spread_painter(lambda x, rows, sample: -shift, lambda rows: shift, 2, 15)(None, [0])
    cut = uncertainty.spread_painter(lambda x, rows, sample: -shift, lambda rows: shift, 2, 2)(None, [0])
    np.testing.assert_allclose(plain[0, 0, 0, 0], 2**0.5 * 63**0.5, rtol=1e-4)
    np.testing.assert_allclose(cut[0, 0, 0, 0], 2**0.5 * 2, rtol=1e-5)
    half = spread(tmp_path, "half", how={"precision": "bfloat16"})
    assert (half != spread(tmp_path)).any()
    assert store.read_table(tmp_path / "half.tsv")["computed"].tolist() == ["cpu, bfloat16"]


def test_samples_differ_by_name_and_number():
    row = store.read_fields(labelled_plates()[2][1]).iloc[0]
    seeds = [field_noise(row, 0, number).initial_seed() for number in range(5)]
    assert len(set(seeds)) == 5 and seeds[0] == field_noise(row, 0).initial_seed()
    assert field_noise(row, 1, 1).initial_seed() not in seeds


def test_parts_do_not_change_a_byte_and_batches_no_more_than_rounding(tmp_path):
    whole = spread(tmp_path, "whole", batch=3)
    parts = [spread(tmp_path, f"part{part}", batch=3, part=part, parts=3) for part in (1, 2, 3)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_allclose(spread(tmp_path, "one", batch=1).astype(float), whole, atol=5e-3)


def test_a_killed_part_goes_on_where_it_was_and_ends_alike(tmp_path, monkeypatch):
    whole, write, written = spread(tmp_path, "whole"), store.StackWriter.write, []

    def killed(self, row, image):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(row)
        write(self, row, image)

    gathered(tmp_path)
    monkeypatch.setattr(store.StackWriter, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        spread(tmp_path, "cut")
    monkeypatch.setattr(
        store.StackWriter, "write", lambda self, row, image: written.append(row) or write(self, row, image)
    )
    np.testing.assert_array_equal(spread(tmp_path, "cut"), whole)
    assert sorted(written) == list(range(8))  # no field twice
    seconds = store.read_table(tmp_path / "cut.tsv")
    assert seconds["fields"].tolist() == [6]  # those of this run: three batches of two, the last padded


def test_one_sample_and_a_field_that_was_not_painted_are_refused(tmp_path):
    with pytest.raises(ValueError, match="a spread needs 2 samples at least"):
        spread(tmp_path, samples=1)
    stack = gathered(tmp_path)
    rows = stack.with_suffix(".parquet")
    store.write_table(store.read_fields(rows).replace({"Metadata_Well": {"A01": "H12"}}), rows)
    with pytest.raises(ValueError, match="well A01.*was not painted; delete the stack"):
        spread(tmp_path, "lost")


def test_welford_is_numpy_s_standard_deviation():
    images = np.random.default_rng(0).normal(1000, 1, (7, 3, 4, 4)).astype(np.float32)
    running = uncertainty.Spread(images[0])
    for image in images[1:]:
        running.add(image)
    np.testing.assert_allclose(running.sd(), images.std(axis=0, ddof=1), rtol=2e-3)
    assert (uncertainty.Spread(images[0]).sd() == 0).all()


# --- what it is worth ----------------------------------------------------------------------------


def test_the_uncertainty_is_one_minus_the_mean_pcc_of_two_samples():
    samples = standardise(np.random.default_rng(0).normal(size=(5, 1, 16, 16)) + np.linspace(0, 2, 16))
    pairs = [np.mean(samples[i] * samples[j]) for i in range(5) for j in range(i)]
    found = evaluation.field_uncertainty(samples.std(axis=0, ddof=1))
    assert found == pytest.approx([1 - np.mean(pairs)], rel=1e-5)


def test_risk_coverage_of_three_fields():
    error = np.array([0.1, 0.5, 0.3])
    np.testing.assert_allclose(evaluation.risk_coverage(np.array([1, 3, 2]), error), [0.1, 0.2, 0.3])
    assert evaluation.aurc(np.array([1, 3, 2]), error) == pytest.approx(0.2)
    assert evaluation.aurc(-error, error) == pytest.approx((0.5 + 0.4 + 0.3) / 3)
    assert np.isnan(evaluation.aurc(error[:0], error[:0]))


def test_no_order_betters_the_oracle_and_random_order_gives_the_mean_error():
    rng = np.random.default_rng(1)
    error = rng.exponential(size=30)
    shuffled = evaluation.random_order(error, rng)
    assert shuffled.min() >= evaluation.aurc(error, error)
    assert shuffled.mean() == pytest.approx(error.mean(), abs=4 * shuffled.std() / np.sqrt(evaluation.SHUFFLES))


def test_rank_correlation_is_spearman_s_with_ties():
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 5, 30), rng.normal(size=30)
    assert evaluation.rank_correlation(left, right) == pytest.approx(spearmanr(left, right).statistic)
    assert np.isnan(evaluation.rank_correlation(left, np.ones(30)))


def scored(link, seed=0, n=40):
    """Fields whose error follows their uncertainty as far as `link` says."""
    rng = np.random.default_rng(seed)
    sure = rng.uniform(0.1, 0.5, (n, 2))
    error = link * sure + (1 - link) * rng.uniform(0.1, 0.5, (n, 2))
    joined = pd.DataFrame({"Metadata_Well": [f"A{place:02d}" for place in range(n)], "Metadata_perturbation": "x"})
    return joined, {"pcc": 1 - error, "mse": 2 * error, "uncertainty": sure}


def rows_of(joined, scores):
    frame = pd.DataFrame(evaluation.risk_rows("P1", joined, joined, scores, None, ["DNA", "ER"]))
    return frame.set_index(["metric", "channel"])


def test_an_uncertainty_that_knows_lies_between_oracle_and_random():
    frame = rows_of(*scored(0.8))
    for channel in ("all", "DNA", "ER"):
        row = frame.loc[("aurc", channel)]
        assert frame.loc[("aurc_oracle", channel), "value"] <= row["value"] < row["null_bound"] < row["null"]
        assert row["low"] < row["value"] < row["high"] and row["n"] == 40
        assert frame.loc[("uncertainty_r", channel), "value"] > frame.loc[("uncertainty_r", channel), "null_bound"]
    assert frame.loc[("aurc_mse", "all"), "value"] == pytest.approx(2 * frame.loc[("aurc", "all"), "value"])


def test_an_uncertainty_that_knows_nothing_passes_the_null_one_time_in_twenty():
    """40 seeds: 5% is 2 of them; more than 7 has a probability of 0.3%."""
    passed = 0
    for seed in range(40):
        _, scores = scored(0, seed)
        sure, error = scores["uncertainty"][:, 0], 1 - scores["pcc"][:, 0]
        null = evaluation.random_order(error, np.random.default_rng(seed))
        passed += evaluation.aurc(sure, error) < np.quantile(null, 0.05)
    assert passed <= 7


def test_fields_without_an_error_take_no_part():
    joined, scores = scored(0.8, n=6)
    scores["pcc"][2, 0] = np.nan
    frame = rows_of(joined, scores)
    assert frame.loc[("aurc", "DNA"), "n"] == 5 and frame.loc[("aurc", "ER"), "n"] == 6
    assert np.isfinite(frame["value"].astype(float)).all()
