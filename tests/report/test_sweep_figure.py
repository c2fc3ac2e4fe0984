"""The figure and the page of a sweep."""

from test_sweep import run, sampled, swept  # noqa: F401 (the last two are fixtures)

from brightpaint import store
from brightpaint.report.figures import sweep_figure


def test_figure_and_page_hold_every_point(swept, tmp_path):  # noqa: F811
    run(swept)
    folder, names = swept
    out = [tmp_path / name for name in ("a.png", "a.html", "a.tsv")]
    words = ["--settings", '{"dpi": 60}', "--metrics", folder / "out.parquet"]
    for flag, path in zip(("--figure", "--html", "--tsv"), out):
        words += [flag, path]
    sweep_figure.main([str(word) for word in words])
    first = out[0].read_bytes()
    page = out[1].read_text()
    assert "ddpm, level (reference)" in page and page.count("<tr") == 4 and "8 fields of plate P3" in page
    sweep_figure.main([str(word) for word in words])
    assert out[0].read_bytes() == first and len(store.read_table(out[2])) == len(
        store.read_table(folder / "out.parquet")
    )
    frame = store.read_table(folder / "out.parquet")
    figure = sweep_figure.sweep_figure(frame)
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == list(sweep_figure.PANELS.values())


def test_ranks_by_distribution_stand_in_the_page_of_a_sweep_of_several_samples(sampled):  # noqa: F811
    run(sampled, samples=4)
    frame = store.read_table(sampled[0] / "out.parquet")
    page = sweep_figure.page(frame, "")
    assert "by spread / error" in page and "energy score of their cells" in page
    titles = [ax.get_title() for ax in sweep_figure.sweep_figure(frame).axes if ax.get_title()]
    assert titles == [*sweep_figure.PANELS.values(), *sweep_figure.DRAWN_PANELS.values()]
