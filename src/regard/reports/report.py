"""The report of a folder, whichever kind it is."""

from pathlib import Path

from regard.errors import RunError
from regard.progress import Step
from regard.reports.languages import language_of
from regard.reports.run_report import run_report
from regard.reports.study_report import study_report
from regard.reports.tuning_report import tuning_report


def report(
    folder: Path,
    out: Path | None = None,
    *,
    pictures: int | None = None,
    language: str = "en",
    progress: Step | None = None,
) -> Path:
    """Write the report of a run (`config.yaml`), of a study or of a tuning (`study.yaml` ...).

    Args:
        folder: of the run, the study or the tuning.
        out: the file to write; None: `report.html` in the folder.
        pictures: samples in each gallery; None: 12 for a run, 8 for a study.
        language: of the text and the numbers, `en` or `fr`.
        progress: called with the number of samples after each.

    Returns:
        The file's path.

    Raises:
        RunError: the folder is none of these.
        ConfigError: reports are not written in that language.
    """
    language_of(language)  # an unknown one is refused before any work
    folder = Path(folder)
    if (folder / "study.yaml").is_file():
        return study_report(folder, out, pictures=8 if pictures is None else pictures,
                            language=language, progress=progress)  # fmt: skip
    if (folder / "tuning.yaml").is_file():
        return tuning_report(folder, out, language=language)
    if (folder / "config.yaml").is_file():
        return run_report(folder, out, pictures=12 if pictures is None else pictures,
                          language=language, progress=progress)  # fmt: skip
    raise RunError(
        str(folder),
        expected="a folder with config.yaml (a run), study.yaml or tuning.yaml",
        found="none of them" if folder.is_dir() else "no such folder",
        remedy="give a folder that regard train, study or tune wrote",
    )
