"""Two images made into one: pixels, regions and labels, against slow code and by planted marks."""

import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import beta, chisquare, kstest

from regard.data.keys import keyed_generator
from regard.data.mixing import Mix, Partners
from regard.data.regions import Regions
from regard.data.sample import Draw, Sample
from regard.data.samples import Samples
from regard.data.settings import Augment
from regard.data.transforms import Transform

SIZE = (24, 32)
PLAIN = Transform(SIZE, (0.0,) * 3, (1.0,) * 3)
LEFT = np.s_[4:12, 2:10]
BOX = (slice(6, 20), slice(5, 25))


def units(count, numbers=5):
    return torch.rand(count, numbers, generator=keyed_generator("units"), dtype=torch.float64)


def by_paper(unit, alpha, size):
    """Algorithm 1 of CutMix with given numbers, pixel by pixel."""
    share = beta.ppf(unit[2], alpha, alpha)
    height, width = size
    taken = np.zeros(size, bool)
    top, left = (unit[3 + i] * side - side * np.sqrt(1 - share) / 2 for i, side in enumerate(size))
    for row in range(height):
        for column in range(width):
            low = round(top) <= row < round(top + height * np.sqrt(1 - share))
            along = round(left) <= column < round(left + width * np.sqrt(1 - share))
            taken[row, column] = low and along
    return taken


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_the_box_is_that_of_the_paper_and_the_share_that_of_its_pixels(alpha):
    for unit in units(60).tolist():
        mix = Mix.drawn(Augment(cutmix=alpha), unit, SIZE)
        first, second = torch.zeros(3, *SIZE, dtype=torch.uint8), torch.full((3, *SIZE), 9).byte()
        mixed = mix.image(first, second)
        assert np.array_equal(mixed[1].numpy() == 9, by_paper(unit, alpha, SIZE))
        assert mix.share == pytest.approx(1 - float((mixed[0] == 9).float().mean()))
        assert not first.any()


def test_a_box_that_is_cut_off_at_the_edge_gives_the_larger_share():
    # Beta(1, 1) is uniform: a share of 0.75 has a box of half the sides, here around a corner.
    mix = Mix.drawn(Augment(cutmix=1), [0.0, 0.0, 0.75, 0.0, 0.0], (20, 40))
    assert mix.box == (slice(0, 5), slice(0, 10))
    assert mix.share == 1 - 5 * 10 / (20 * 40)
    whole = Mix.drawn(Augment(cutmix=1), [0.0, 0.0, 0.75, 0.5, 0.5], (20, 40))
    assert whole.share == 0.75


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_the_share_of_a_blend_is_drawn_from_beta(alpha):
    shares = [Mix.drawn(Augment(mixup=alpha), unit, SIZE).share for unit in units(2000).tolist()]
    assert kstest(shares, beta(alpha, alpha).cdf).pvalue > 0.05


def test_a_blend_is_the_weighted_mean_of_the_pixels():
    pixels = torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8)
    mixed = Mix(0.3).image(*pixels)
    expected = 0.3 * pixels[0].double() + 0.7 * pixels[1].double()
    assert (mixed.double() - expected).abs().max() <= 0.5001


def test_as_many_are_mixed_as_asked_and_one_way_as_often_as_the_other():
    how = Augment(mixup=0.4, cutmix=1, mix_probability=0.6)
    kinds = Counter()
    for unit in units(2000).tolist():
        mix = Mix.drawn(how, unit, SIZE)
        kinds["none" if mix is None else "blend" if mix.box is None else "box"] += 1
    found = [kinds[name] for name in ("none", "blend", "box")]
    assert chisquare(found, [800, 600, 600]).pvalue > 0.05


def test_the_shares_of_the_labels_add_up_and_the_larger_one_is_the_main():
    torch.testing.assert_close(Mix(0.3).target(0, 2, 4), torch.tensor([0.3, 0, 0.7, 0]))
    assert Mix(0.3).target(1, 1, 3).tolist() == [0, 1, 0]
    assert [Mix(share).main for share in (0.0, 0.49, 0.5, 1.0)] == [1, 1, 0, 0]


@pytest.mark.parametrize("evenly", [False, True])
def test_partners_are_drawn_alike_and_never_the_sample_itself(evenly):
    labels = [0, 0, 1, 0, 0, 0]
    partners = Partners.of(labels, 2, evenly=evenly)
    drawn = Counter(partners.drawn(unit, besides=3) for unit in units(6000, 2).tolist())
    assert drawn.keys() == {0, 1, 2, 4, 5}
    expected = {row: 1200 for row in drawn}
    if evenly:
        expected = {row: 3000 if row == 2 else 750 for row in drawn}
    rows = sorted(drawn)
    assert chisquare([drawn[r] for r in rows], [expected[r] for r in rows]).pvalue > 0.01


def test_a_class_of_one_image_has_no_partner_for_it():
    partners = Partners.of([0, 0, 1], 2, evenly=True)
    assert partners.drawn([0.9, 0.5], besides=2) is None
    assert partners.drawn([0.9, 0.5], besides=0) == 2


def area(rows, columns, value=1.0):
    mask = torch.zeros(SIZE)
    mask[rows, columns] = value
    return mask


# The parts overlap with each other, with the box, and with what is avoided and ignored.
FIRST = {
    "attend": area(slice(2, 18), slice(3, 15)),
    "avoid": area(slice(0, 7), slice(0, 12)),
    "ignore": area(slice(15, 24), slice(0, 9), 0.5),
}
SECOND = {
    "attend": area(slice(4, 16), slice(10, 28), 0.75),
    "avoid": area(slice(10, 14), slice(8, 22)),
    "ignore": area(slice(0, 6), slice(20, 32)),
}
ALONE = {"attend": FIRST["attend"]}
MISSING = {"ignore": FIRST["ignore"]}


def evidence(masks):
    """Inside and counted, as guidance sees them; None for an image without a region."""
    if "attend" not in masks:
        return None
    one = {kind: mask[None] for kind, mask in masks.items()}
    found = Regions(one["attend"], one.get("avoid"), one.get("ignore")).of(None)
    return found.inside[0], found.counted[0]


def pasted_slowly(mix, first, second, alike):
    """Pixel by pixel: whose it is, and what is known of it."""
    parts, main = [evidence(first), evidence(second)], mix.main
    inside, counted = torch.zeros(SIZE), torch.zeros(SIZE)
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            rows, columns = mix.box
            whose = int(row in range(24)[rows] and column in range(32)[columns])
            part = parts[whose]
            if part is not None and (alike or whose == main):
                inside[row, column] = part[0][row, column]
                counted[row, column] = part[1][row, column]
    return inside, counted


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize(
    ("first", "second"),
    [(FIRST, SECOND), (ALONE, SECOND), (FIRST, ALONE), (ALONE, MISSING), (MISSING, SECOND),
     (MISSING, {})],
)  # fmt: skip
def test_a_pasted_box_carries_its_region_and_the_other_class_is_ignored(
    first, second, share, alike
):
    mix = Mix(share, BOX)
    found = mix.masks(first, second, alike=alike)
    knows = [i for i, part in enumerate((first, second)) if "attend" in part]
    if not any(alike or i == mix.main for i in knows):
        assert found == {}
        return
    inside, counted = evidence(found)
    expected, counts = pasted_slowly(mix, first, second, alike)
    assert torch.equal(counted, counts)
    assert torch.equal(inside * counted, expected * counts)


def test_missing_is_not_empty_under_a_pasted_box():
    """An empty region says that nothing is evidence; a missing one says nothing of its pixels."""
    empty = {"attend": torch.zeros(SIZE)}
    for first, counts in ((empty, True), (MISSING, False)):
        inside, counted = evidence(Mix(0.7, BOX).masks(first, ALONE, alike=True))
        outside = torch.ones(SIZE, dtype=torch.bool)
        outside[BOX] = False
        assert bool(counted[outside].any()) == counts
        assert not (inside * counted)[outside].any()
        assert counted[BOX].all()


def blended_slowly(main, other):
    """Pixel by pixel: evidence of the main image, what it avoids, evidence of the other."""
    inside, counted = torch.zeros(SIZE), torch.zeros(SIZE)
    for at in np.ndindex(SIZE):
        own, ignored = float(main["attend"][at]), 0.0
        avoided = float(main["avoid"][at]) if "avoid" in main else 0.0
        own *= 1 - avoided
        others = float(other["attend"][at]) * (1 - avoided)
        if "avoid" in other:
            others *= 1 - float(other["avoid"][at])
        for part in (main, other):
            ignored = max(ignored, float(part["ignore"][at]) if "ignore" in part else 0.0)
        inside[at] = own
        counted[at] = 1 - max(ignored, others * (1 - own))
    return inside, counted


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("share", [0.2, 0.8])
@pytest.mark.parametrize(("first", "second"), [(FIRST, SECOND), (ALONE, SECOND), (SECOND, ALONE)])
def test_the_region_of_a_blend_is_that_of_the_larger_share(first, second, share, alike):
    inside, counted = evidence(Mix(share).masks(first, second, alike=alike))
    main, other = (first, second) if share > 0.5 else (second, first)
    expected, counts = blended_slowly(main, other)
    torch.testing.assert_close(counted, counts)
    torch.testing.assert_close(inside, expected)


def test_a_blend_with_an_image_without_a_region_has_none():
    for share in (0.2, 0.8):
        assert Mix(share).masks(FIRST, MISSING, alike=True) == {}
        assert Mix(share).masks({}, SECOND, alike=False) == {}


@pytest.fixture
def samples(tmp_path):
    """Eight pictures of one grey each, `20 i + 10`; a second view is its negative; some regions."""
    found = []
    for number in range(8):
        grey = np.full((*SIZE, 3), 20 * number + 10, np.uint8)
        Image.fromarray(grey).save(tmp_path / f"{number}.png")
        Image.fromarray(255 - grey).save(tmp_path / f"{number}-not.png")
        region = None
        if number % 4:
            mask = np.zeros(SIZE, np.uint8)
            mask[LEFT] = 255
            region = str(tmp_path / f"{number}-region.png")
            Image.fromarray(mask).save(region)
        files = {"image": f"{number}.png", "segmented": f"{number}-not.png"}
        views = tuple((name, f"{tmp_path}/{file}") for name, file in files.items())
        found.append(Sample(100 + number, views, number % 3, region, draws_region=True))
    return found


def dataset(samples, how, **options):
    partners = Partners.of([sample.label for sample in samples], 3)
    return Samples(samples, PLAIN, augmentation=how, partners=partners, **options)


DRAWS = [Draw(row, epoch, copy) for epoch in range(3) for row in range(8) for copy in range(2)]


def test_all_views_are_cut_by_the_same_box(samples):
    batch = dataset(samples, Augment(cutmix=1)).batch(DRAWS)
    image, other = batch.images["image"][:, 0].int(), batch.images["segmented"][:, 0].int()
    assert (image + other == 255).all()
    for row, draw in enumerate(DRAWS):
        own = 20 * draw.row + 10
        assert set(image[row].unique().tolist()) <= {own, *(20 * i + 10 for i in range(8))}
        pasted = image[row] != own
        share = 1 - float(pasted.float().mean())
        assert len(image[row].unique()) <= 2
        if pasted.any():
            partner = int(image[row][pasted][0] - 10) // 20
            assert float(batch.shares[row, partner % 3]) >= 1 - share - 1e-6
            # The view that is drawn from the region is white where there is none.
            for part, number in ((pasted, partner), (~pasted, draw.row)):
                white = torch.ones(SIZE, dtype=torch.bool)
                if number % 4:
                    white[:] = False
                    white[LEFT] = True
                assert torch.equal(batch.images["region"][row, 0][part] == 255, white[part])
        assert float(batch.shares[row, draw.row % 3]) >= share - 1e-6
        # Half the pixels each would be a draw, which goes to the sample of the row.
        label = draw.row % 3 if share >= 0.5 else partner % 3
        assert int(batch.labels[row]) == label
    assert batch.index.tolist() == [100 + draw.row for draw in DRAWS]


def test_all_views_are_blended_by_the_same_share(samples):
    batch = dataset(samples, Augment(mixup=1)).batch(DRAWS)
    image, other = batch.images["image"].int(), batch.images["segmented"].int()
    assert (image + other - 255).abs().max() <= 1
    torch.testing.assert_close(batch.shares.sum(1), torch.ones(len(DRAWS)))
    assert torch.equal(batch.shares.argmax(1), batch.labels)
    assert 0.3 < (batch.shares.amax(1) < 1).float().mean() < 1


def test_what_a_sample_becomes_depends_on_its_draw_alone(samples):
    how = Augment(mixup=0.4, cutmix=1, mix_probability=0.8, flip=0.5, translate=0.1, brightness=0.2)
    whole = dataset(samples, how, cache_mb=1).batch(DRAWS)
    torch.manual_seed(9)
    again = pickle.loads(pickle.dumps(dataset(samples, how)))
    order = torch.randperm(len(DRAWS), generator=keyed_generator("order")).tolist()
    for start in range(0, len(order), 5):
        rows = order[start : start + 5]
        part = again.batch([DRAWS[row] for row in rows])
        for name in part.images:
            assert torch.equal(part.images[name], whole.images[name][rows])
        assert torch.equal(part.labels, whole.labels[rows])
        assert torch.equal(part.shares, whole.shares[rows])
        for name in ("attend", "ignore", "present"):
            assert torch.equal(getattr(part.regions, name), getattr(whole.regions, name)[rows])
    other = dataset(samples, how, seed=1).batch(DRAWS)
    assert not torch.equal(other.shares, whole.shares)
    assert len({tuple(row.tolist()) for row in whole.shares}) > 20  # copies and epochs differ


def test_the_own_image_is_augmented_as_without_mixing(samples):
    how = Augment(cutmix=1, flip=0.5, brightness=0.3)
    plain = Samples(samples, PLAIN, augmentation=Augment(flip=0.5, brightness=0.3))
    mixed, own = dataset(samples, how).batch(DRAWS), plain.batch(DRAWS)
    same = (mixed.images["image"] == own.images["image"])[:, 0].flatten(1).float().mean(1)
    mixed_away = 1 - same
    labels = torch.tensor([sample.label for sample in samples])[[d.row for d in DRAWS]]
    torch.testing.assert_close(
        mixed.shares.gather(1, labels[:, None])[:, 0].clamp(max=1) >= 1 - mixed_away - 1e-6,
        torch.ones(len(DRAWS), dtype=torch.bool),
    )
    assert own.shares is None


def test_a_part_of_a_batch_has_its_own_shares(samples):
    batch = dataset(samples, Augment(mixup=1)).batch(DRAWS)
    part = batch[slice(3, 7)]
    assert torch.equal(part.shares, batch.shares[3:7])
    assert torch.equal(part.regions.ignore, batch.regions.ignore[3:7])
