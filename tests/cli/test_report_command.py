"""`regard report` and the language of reports on the command line."""

import pytest


def test_a_report_in_french_without_pictures(regard, trained, tmp_path):
    out = tmp_path / "report.html"
    answer = regard("report", trained, "--out", out, "--lang", "fr", "--pictures", "0")
    assert answer.code == 0, answer.err
    html = out.read_text("utf-8")
    assert '<html lang="fr">' in html
    assert "<img" not in html


@pytest.mark.parametrize(
    "command", [("report", "run"), ("compare", "run", "run@0"), ("quickstart", "--scale", "smoke")]
)
def test_a_language_that_is_not_spoken_is_refused_before_any_work(
    regard, tmp_path, monkeypatch, command
):
    monkeypatch.chdir(tmp_path)
    answer = regard(*command, "--lang", "de")
    assert answer.code == 2
    assert "expected en or fr, found 'de'" in answer.err
    assert list(tmp_path.iterdir()) == []
