"""The figure and the page of a sweep."""

from test_sweep import run, swept  # noqa: F401 (swept is a fixture)

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
