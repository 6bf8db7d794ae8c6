"""Damaged and odd images before the decoder: one verdict, no crash, no hang, no word too many."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from image_traps import TRAPS

WORKER = Path(__file__).with_name("image_verdicts.py")
TRAPS_TOLD = Path(__file__).with_name("image_traps.py")
# MB of a whole process with torch, whatever files of two megapixels at the most it is given.
PEAK = 1200
# Files for each process.
PART = 1250


def verdicts(folder, start, count):
    """The worker's rows, its peak of memory, and what it wrote besides; files lost with it."""
    folder.mkdir()
    command = [sys.executable, WORKER, folder, "0", str(start), str(count)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120 + count)
        out, err, code = done.stdout, done.stderr, done.returncode
    except subprocess.TimeoutExpired as hung:
        out, err, code = (hung.stdout or b"").decode(), "it hung", -1
    lines = [json.loads(line) for line in out.splitlines()]
    rows = [line for line in lines if "kind" in line]
    begun = [line["begun"] for line in lines if "begun" in line]
    peak = next((line["peak"] for line in lines if "peak" in line), 0)
    assert code == 0, f"{err[-2000:]}\nat {begun[-1:]} (code {code})"
    return rows, peak, err


@pytest.mark.parametrize("count", [54, pytest.param(5000, marks=pytest.mark.torture)])
def test_a_file_has_one_verdict_however_it_is_read(tmp_path, tally, count):
    """Whole, scaled, fitted in three ways, as bytes, as a mask; under others' settings too."""

    def part(start):
        return verdicts(tmp_path / str(start), start, min(PART, count - start))

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(part, range(0, count, PART)))
    rows = [row for own, _, _ in found for row in own]
    lost = [row for row in rows if row["faults"]]
    for row in lost:
        print(row)
    assert [err for _, _, err in found if err] == []
    peak = max(peak for _, peak, _ in found)
    print(f"{sum(row['digest'] is None for row in rows)} of {len(rows)} refused; {peak} MB")
    assert peak < PEAK
    assert len(rows) == count
    tally("damaged images, each read in 12 ways", count, count - len(lost))


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.torture)])
def test_no_file_costs_more_than_its_header_says(tmp_path, tally, every):
    """Bombs of pixels, of text, of scans; pipes and devices; pictures of one line."""
    command = [sys.executable, TRAPS_TOLD, tmp_path, str(every)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    begun = [line["begun"] for line in lines if "begun" in line]
    assert (done.returncode, done.stderr) == (0, ""), (begun[-1:], done.stderr[-2000:])
    rows = [line for line in lines if "way" in line]
    lost = [row for row in rows if row["seconds"] > 2 or row["grown"] > 150 or not kept(row)]
    for row in lost:
        print(row)
    tally("images made to cost memory or time", len(rows), len(rows) - len(lost))


def kept(row):
    """Refused or not, as is right; of a bomb the size may be told."""
    sound = row["name"] in TRAPS and TRAPS[row["name"]][2]
    told = row["said"] is None
    return told if sound else (not told or (row["way"] == "size" and row["name"] in TRAPS))
