"""How far runs are, told from their logs."""

from regard.studies.pool import EpochCount


def test_epochs_are_counted_as_their_lines_are_whole(tmp_path):
    log, count = tmp_path / "log.jsonl", EpochCount()
    assert count(log) is None
    epoch, step = '{"kind": "epoch", "epoch": 1}\n', '{"kind": "step", "step": 1}\n'
    log.write_text(step + epoch + step + epoch[:20])
    assert count(log) == 1
    with log.open("a") as file:
        file.write(epoch[20:] + epoch + step)
    assert [count(log), count(log)] == [3, 3]
    log.write_text(step + epoch)
    assert count(log) == 1
    log.unlink()
    assert count(log) == 1
