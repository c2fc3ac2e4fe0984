"""The figure of the losses: training and validation by model and fold."""

import matplotlib.pyplot as plt
import pytest

from brightpaint import store
from brightpaint.report.figures import loss


def test_losses_are_drawn_by_model_and_fold(tmp_path):
    paths = [tmp_path / f"models/{name}/A/history.jsonl" for name in ("one", "two")]
    for path in paths:
        store.write_json_lines([{"images": n, "loss": 1 / n, "learning_rate": 0.1} for n in (8, 16)], path)
    histories = loss.read_histories(paths)
    assert list(histories) == ["one, A", "two, A"]
    figure = loss.loss_figure(histories)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "one, A (0.0625)",
        "two, A (0.0625)",
    ]
    plt.close(figure)
    arguments = [
        "--settings",
        '{"dpi": 40}',
        "--histories",
        *map(str, paths),
        "--figure",
        str(tmp_path / "l.png"),
    ]
    loss.main(arguments)
    first = (tmp_path / "l.png").read_bytes()
    loss.main(arguments)
    assert (tmp_path / "l.png").read_bytes() == first
    with paths[1].open("a") as handle:  # two validations: the first was better
        handle.write('{"images": 8, "validation_loss": 0.3}\n{"images": 16, "validation_loss": 0.4}\n')
    figure = loss.loss_figure(loss.read_histories(paths))
    words = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert words == ["one, A (0.0625)", "two, A (0.0625; 0.3 at 8)"]
    assert [line.get_ydata().tolist() for line in figure.axes[0].lines][1:2] == [[0.3, 0.4]]
    assert figure.axes[0].collections[0].get_offsets().tolist() == [[8.0, 0.3]]
    plt.close(figure)
    paths[0].write_text("")
    with pytest.raises(ValueError, match="history.jsonl: expected JSON lines"):
        loss.read_histories(paths)
