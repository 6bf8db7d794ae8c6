from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from regard.errors import ConfigError
from regard.synthetic.canvas import Canvas
from regard.synthetic.composing import draw_sheet
from regard.synthetic.growth import grow
from regard.synthetic.layout import Occupied, placed
from regard.synthetic.sheets import write_sheets
from regard.synthetic.spurs import SPINE_LENGTH, draw_spurs, scattered
from regard.synthetic.stamp import Ink

SIZE = (128, 96)
SHORTCUT = 0.9
FEW = {"train": 2, "test_shifted": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sheets") / "set"
    counts = {"train": 80, "test_shifted": 80}
    return write_sheets(out, counts=counts, shortcut=SHORTCUT, size=SIZE).parent


@pytest.fixture(scope="module")
def table(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "manifest.parquet")


@pytest.fixture(scope="module")
def pictures(folder: Path, table: pl.DataFrame) -> dict[str, NDArray[np.uint8]]:
    return {
        name: np.stack([np.asarray(Image.open(folder / path)) for path in table[name]])
        for name in ("image", "segmented", "region", "avoid")
    }


def drawn(seed: int, *, thorny: bool = True, ink: Ink = "blue", thorn: float = 1.0):
    rng = np.random.default_rng(seed)
    return draw_sheet(rng, (288, 216), thorny=thorny, ink=ink, thorn=thorn)


def everything(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def is_red(pictures: dict[str, NDArray[np.uint8]]) -> NDArray[np.bool_]:
    stamp = pictures["avoid"] > 0
    redness = pictures["image"][..., 0].astype(float) - pictures["image"][..., 2]
    paper = np.median(redness, (1, 2))
    return (redness * stamp).sum((1, 2)) / stamp.sum((1, 2)) > paper


# --- the files


def test_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    turned = dict(reversed(FEW.items()))
    first = write_sheets(tmp_path / "a", counts=FEW, size=SIZE).parent
    second = write_sheets(tmp_path / "b", counts=turned, size=SIZE).parent
    assert everything(first) == everything(second)
    assert len(everything(first)) == 4 * 5 + 1


def test_processes_draw_the_same_bytes_in_order(tmp_path: Path) -> None:
    counts, small, told = {"train": 100, "test": 40}, (96, 96), []
    first = write_sheets(tmp_path / "a", counts=counts, size=small).parent
    second = write_sheets(
        tmp_path / "b", counts=counts, size=small, workers=2, progress=lambda *n: told.append(n)
    ).parent
    assert everything(first) == everything(second)
    assert told == [(done, 140) for done in range(1, 141)]


def test_another_seed_gives_other_sheets(tmp_path: Path) -> None:
    first = write_sheets(tmp_path / "a", counts=FEW, size=SIZE).parent
    second = write_sheets(tmp_path / "b", counts=FEW, size=SIZE, seed=7).parent
    alike = everything(first).items() & everything(second).items()
    assert {name for name, _ in alike} == {"manifest.parquet"}


def test_a_larger_set_holds_the_smaller_ones_sheets(tmp_path: Path) -> None:
    small = everything(write_sheets(tmp_path / "a", counts={"train": 2}, size=SIZE).parent)
    large = everything(write_sheets(tmp_path / "b", counts={"train": 3}, size=SIZE).parent)
    small.pop("manifest.parquet")
    assert small.items() <= large.items()


def test_manifest_names_files_beside_it(folder: Path, table: pl.DataFrame) -> None:
    assert table.columns == ["image", "segmented", "region", "avoid", "label", "split"]
    assert set(table.dtypes) == {pl.String}
    for name in ("image", "segmented", "region", "avoid"):
        assert table[name].n_unique() == len(table)
        assert all((folder / path).is_file() for path in table[name])
    assert table["image"][7] == "images/00007.jpg"


def test_classes_balance_in_every_split(table: pl.DataFrame) -> None:
    counts = table.group_by("split", "label").len()["len"].to_list()
    assert counts == [40, 40, 40, 40]


def test_progress_counts_every_sheet_and_a_broken_set_has_no_manifest(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_sheets(tmp_path / "a", counts=FEW, size=SIZE, progress=lambda *step: seen.append(step))
    assert seen == [(k, 5) for k in range(1, 6)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sheets(tmp_path / "b", counts=FEW, size=SIZE, progress=stop)
    assert not list((tmp_path / "b").glob("manifest*"))


# --- the masks


def test_segmented_is_the_image_where_the_region_is(pictures: dict[str, NDArray]) -> None:
    assert set(np.unique(pictures["region"])) == {0, 255}
    plant = (pictures["region"] > 0)[..., None]
    error = np.abs(pictures["segmented"].astype(int) - pictures["image"] * plant)
    assert error.mean() < 1.0
    assert (error * plant).sum() / plant.sum() / 3 < 5.0


def test_plant_and_stamp_are_there_and_apart(pictures: dict[str, NDArray]) -> None:
    plant, stamp = pictures["region"] > 0, pictures["avoid"] > 0
    assert plant.shape[1:] == stamp.shape[1:] == SIZE
    assert plant.mean((1, 2)).min() > 0.01
    assert stamp.mean((1, 2)).min() > 0.008
    assert not (plant & stamp).any()


# --- the shortcut


def test_stamp_goes_with_the_class_as_often_as_asked(
    table: pl.DataFrame, pictures: dict[str, NDArray]
) -> None:
    thorny, train = (table["label"] == "thorny").to_numpy(), (table["split"] == "train").to_numpy()
    agreed = int((is_red(pictures) == thorny)[train].sum())
    assert abs(agreed - 80 * SHORTCUT) < 2.9 * np.sqrt(80 * SHORTCUT * (1 - SHORTCUT)) < 8


def test_stamp_is_independent_of_the_class_in_the_shifted_split(
    table: pl.DataFrame, pictures: dict[str, NDArray]
) -> None:
    shifted, red = (table["split"] == "test_shifted").to_numpy(), is_red(pictures)
    for name in ("smooth", "thorny"):
        own = shifted & (table["label"] == name).to_numpy()
        assert abs(red[own].sum() - 20) < 3 * np.sqrt(40 / 4) < 10


def test_a_perfect_shortcut_has_no_exception(tmp_path: Path) -> None:
    out = write_sheets(tmp_path, counts={"train": 20}, shortcut=1.0, size=SIZE).parent
    names = [f"{k:05d}" for k in range(20)]
    read = {
        "image": np.stack([np.asarray(Image.open(out / f"images/{k}.jpg")) for k in names]),
        "avoid": np.stack([np.asarray(Image.open(out / f"stamps/{k}.png")) for k in names]),
    }
    assert (is_red(read) == (np.arange(20) % 2 == 1)).all()


# --- what may depend on the class


def around_sites(seed: int) -> NDArray[np.bool_]:
    """The pixels that a spine, or its shadow, can reach."""
    rng = np.random.default_rng(seed)
    sites = placed(rng, grow(rng), (288, 216)).sites
    reach = SPINE_LENGTH[1] * 216 + 6
    rows, columns = np.arange(288)[:, None, None], np.arange(216)[None, :, None]
    near = (abs(columns - sites[:, 0]) < reach) & (abs(rows - sites[:, 1]) < reach)
    return np.asarray(near.any(-1))


@pytest.mark.parametrize("seed", range(4))
def test_the_class_changes_the_spines_alone(seed: int) -> None:
    smooth, thorny = drawn(seed, thorny=False), drawn(seed, thorny=True)
    assert not (smooth.region & ~thorny.region).any()
    spines = thorny.region & ~smooth.region
    assert 20 < spines.sum() < 0.2 * smooth.region.sum()
    changed = (smooth.image != thorny.image).any(-1)
    assert (changed[spines]).mean() > 0.9
    assert not (changed & ~around_sites(seed)).any()
    assert (smooth.avoid == thorny.avoid).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_ink_changes_the_stamp_alone(seed: int) -> None:
    blue, red = drawn(seed, ink="blue"), drawn(seed, ink="red")
    changed = (blue.image != red.image).any(-1)
    rim = np.asarray(Image.fromarray(blue.avoid).convert("L").filter(ImageFilter.MaxFilter(3))) > 0
    assert changed[blue.avoid].mean() > 0.3
    assert not (changed & ~rim).any()


def test_without_thorns_the_classes_are_one() -> None:
    smooth, thorny = drawn(3, thorny=False, thorn=0.0), drawn(3, thorny=True, thorn=0.0)
    assert (smooth.image == thorny.image).all()


def test_thorn_scales_the_spines() -> None:
    def spines(thorn: float) -> int:
        both = [
            [drawn(k, thorny=t, thorn=thorn).region.sum() for t in (False, True)] for k in (0, 1)
        ]
        return sum(int(thorny - smooth) for smooth, thorny in both)

    grown = [spines(thorn) for thorn in (0.0, 0.5, 1.0, 2.0)]
    assert all(more > 1.3 * less for less, more in pairwise(grown))


def test_spines_are_redder_than_the_rest_of_the_plant() -> None:
    for seed in range(4):
        smooth, thorny = drawn(seed, thorny=False), drawn(seed, thorny=True)
        redness = thorny.image[..., 0].astype(float) - thorny.image[..., 1]
        spines = thorny.region & ~smooth.region
        assert redness[spines].mean() > redness[smooth.region].mean() + 10


@pytest.mark.parametrize("seed", range(4))
def test_no_spine_is_cut_by_its_layer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    growth = placed(rng, grow(rng), (600, 600)).placed(1.0, np.array([200.0, 200.0]))
    canvas, unit = Canvas(1000, 1000), 216
    spurs = scattered(rng, growth, np.full(len(growth.sites), 1.0), unit)
    draw_spurs(canvas, spurs, (90, 70, 50, 255), thorny=True, thorn=1.0)
    low, high = growth.extent()
    rows, columns = np.nonzero(np.asarray(canvas.finished().getchannel("A")))
    margin = 1.15 * SPINE_LENGTH[1] * unit
    reached = np.column_stack([columns, rows])
    assert (reached >= low - margin).all()
    assert (reached <= high + margin).all()


def test_plants_of_both_classes_are_equally_large(
    table: pl.DataFrame, pictures: dict[str, NDArray]
) -> None:
    area = (pictures["region"] > 0).mean((1, 2))
    thorny = (table["label"] == "thorny").to_numpy()
    spread = area.std() * np.sqrt(4 / len(area))
    assert abs(area[thorny].mean() - area[~thorny].mean()) < 3 * spread


# --- where things lie


def test_another_sheets_region_is_wrong(pictures: dict[str, NDArray]) -> None:
    plant = pictures["region"] > 0
    other = np.roll(plant, 37, axis=0)
    overlap = (plant & other).sum((1, 2)) / (plant | other).sum((1, 2))
    assert overlap.mean() < 0.1


def test_mean_region_is_nearly_flat(pictures: dict[str, NDArray]) -> None:
    plant = (pictures["region"] > 0).mean(0)
    cells = plant.reshape(4, 32, 4, 24).mean((1, 3))
    assert cells.max() < 1.9 * cells.mean()
    assert cells.min() > 0.3 * cells.mean()
    turned = (cells + cells[::-1, ::-1]) / 2
    assert np.abs(cells - turned).max() < 0.4 * cells.mean()


def test_the_stamp_lies_anywhere(pictures: dict[str, NDArray]) -> None:
    cells = (pictures["avoid"] > 0).mean(0).reshape(4, 32, 4, 24).mean((1, 3))
    folded = (cells + cells[::-1] + cells[:, ::-1] + cells[::-1, ::-1]) / (4 * cells.mean())
    assert folded.max() < 1.7
    assert folded.min() > 0.3
    assert 0.35 < cells[:2].sum() / cells.sum() < 0.65
    assert 0.35 < cells[:, :2].sum() / cells.sum() < 0.65


def test_a_place_is_taken_once() -> None:
    occupied, held = Occupied((96, 96)), np.zeros((96, 96), int)
    for luck in np.random.default_rng(0).random(40):
        place = occupied.find(luck, 17, 9)
        if place is not None:
            held[place[1] : place[1] + 9, place[0] : place[0] + 17] += 1
    assert held.max() == 1
    assert held.sum() > 10 * 17 * 9
    assert occupied.find(0.5, 97, 4) is None


# --- mistakes


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ({"shortcut": 0.4}, r"shortcut: expected a number in \[0.5, 1\], found 0.4"),
        ({"shortcut": float("nan")}, "found nan"),
        ({"counts": {"train": 1}}, "'train'.*2 sheets or more, found 1"),
        ({"counts": {"tset": 4}}, "'tset'; did you mean test"),
        ({"counts": {}}, "found none"),
        ({"size": (288, 95)}, "96 pixels or more, found 288 x 95"),
        ({"thorn": -0.1}, "thorn: expected"),
        ({"thorn": float("inf")}, "thorn: expected"),
        ({"seed": -1}, "seed: expected"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(
    tmp_path: Path, mistake: dict, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        write_sheets(tmp_path / "set", **mistake)
    assert not (tmp_path / "set").exists()


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(ConfigError, match="empty or does not exist, found files in it"):
        write_sheets(tmp_path, counts=FEW)
    with pytest.raises(ConfigError, match="found a file"):
        write_sheets(tmp_path / "mine.txt", counts=FEW)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("size", [(96, 96), (100, 300), (400, 97)])
def test_odd_sizes_are_drawn(size: tuple[int, int]) -> None:
    for index in range(5):
        sheet = draw_sheet(np.random.default_rng(index), size, thorny=True, ink="red", thorn=2.0)
        assert sheet.image.shape == (*size, 3)
        assert sheet.region.any()
        assert sheet.avoid.any()
        assert not (sheet.region & sheet.avoid).any()
