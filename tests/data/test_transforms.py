import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from regard.data.augmenting import augment
from regard.data.keys import keyed_generator
from regard.data.settings import Augment, Data
from regard.data.transforms import Transform
from regard.errors import DataError
from regard.images.decoding import decode_grey

SIZE = (96, 128)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EVERYTHING = Augment(rotate=40, flip=0.5, flip_vertical=0.5, zoom=0.3, translate=0.15)
COLOURS = Augment(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)


def bump(row, column, size=SIZE, width=5.0):
    """A smooth spot, 1 in its middle."""
    y, x = torch.meshgrid(*(torch.arange(side) + 0.5 for side in size), indexing="ij")
    return torch.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * width**2))


def as_image(mask):
    return (255 * mask).round().to(torch.uint8).expand(3, -1, -1).contiguous()


def centre(weights):
    weights = (weights - weights.min()).double()
    weights = weights * (weights > 0.2 * weights.max())
    y, x = torch.meshgrid(*(torch.arange(side) + 0.5 for side in weights.shape), indexing="ij")
    return torch.stack([(weights * y).sum(), (weights * x).sum()]) / weights.sum()


def on_grey(mask):
    """The spot between grey and white: what comes in from outside is about grey too."""
    return as_image(0.4 + 0.6 * mask)


@pytest.mark.parametrize("draw", range(25))
def test_image_views_and_masks_move_together(draw):
    spot = bump(40, 75)
    views = {
        "image": on_grey(spot),
        "stain": on_grey(spot).flip(0).contiguous(),
        "segmented": as_image(spot),
    }
    masks = {"attend": spot, "ignore": spot.clone()}
    moved, covers = augment(views, masks, EVERYTHING, keyed_generator(5, draw))
    middle = centre(covers["attend"])
    assert not torch.allclose(middle, centre(spot), atol=0.5)
    for view in moved.values():
        assert (centre(view[0].float()) - middle).norm() < 1
    assert torch.equal(covers["attend"], covers["ignore"])
    assert torch.equal(moved["image"], moved["stain"])


@pytest.mark.parametrize(
    "change",
    [{"rotate": 60}, {"zoom": 0.5}, {"translate": 0.3}, {"rotate": 30, "zoom": 0.2, "flip": 1}],
)
def test_moves_are_those_of_torchvision(change):
    low = torch.rand(1, 3, 8, 8, generator=keyed_generator(0))
    image = torch.nn.functional.interpolate(low, SIZE, mode="bicubic")[0].clamp(0, 1)
    image, mask = (255 * image).to(torch.uint8), image[0]
    how = Augment(**change)
    unit = [2 * u - 1 for u in torch.rand(10, generator=keyed_generator(3)).tolist()]
    shift = [unit[4] * how.translate * SIZE[1], unit[5] * how.translate * SIZE[0]]
    plain = mask.flip(1) if how.flip else mask
    expected = F.affine(
        plain[None], unit[2] * how.rotate, shift, 1 + unit[3] * how.zoom, [0.0, 0.0],
        InterpolationMode.BILINEAR, [0.0],
    )[0]  # fmt: skip
    views, covers = augment({"image": image}, {"attend": mask}, how, keyed_generator(3))
    inside = expected > 0
    assert inside.float().mean() > 0.3
    far = (covers["attend"] - expected).abs() > 1e-3
    assert far.float().mean() < 0.03  # torchvision counts the rim's darkening twice
    close = (views["image"][0] / 255 - expected).abs()[inside & ~far]
    assert close.median() < 1.5 / 255


def test_what_a_move_uncovers_is_the_mean_colour_and_no_region():
    image = torch.tensor([200, 100, 50], dtype=torch.uint8)[:, None, None].repeat(1, *SIZE)
    turned, masks = augment(
        {"image": image}, {"attend": torch.ones(SIZE)}, Augment(rotate=45), keyed_generator(2)
    )
    assert torch.equal(turned["image"], image)
    assert masks["attend"][0, 0] == 0
    assert masks["attend"][48, 64] == 1
    assert 0.3 < masks["attend"].mean() < 0.99


@pytest.mark.parametrize("key", range(8))
@pytest.mark.parametrize("view", ["segmented", "region"])
def test_around_a_cut_out_subject_nothing_is_uncovered_but_black(view, key):
    subject = torch.zeros(SIZE)
    subject[30:60, 40:90] = 1
    how = Augment(rotate=90, zoom=0.5, translate=0.3)
    moved, masks = augment(
        {view: as_image(subject)}, {"attend": subject}, how, keyed_generator(key)
    )
    torch.testing.assert_close(moved[view][0] / 255, masks["attend"], rtol=0, atol=0.5 / 255)
    assert (masks["attend"] == 0).float().mean() > 0.4


def test_flips_are_exact():
    image = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8)
    mask = torch.rand(5, 7)
    views, masks = augment(
        {"image": image}, {"attend": mask}, Augment(flip=1, flip_vertical=1), keyed_generator(0)
    )
    assert torch.equal(views["image"], image.flip(1, 2))
    assert torch.equal(masks["attend"], mask.flip(0, 1))


def test_flips_come_as_often_as_asked():
    mask = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    image = as_image(mask)
    corners = torch.stack(
        [
            augment({"image": image}, {"m": mask}, Augment(flip=0.25, flip_vertical=0.5), g)[1]["m"]
            for g in (keyed_generator("flips", i) for i in range(400))
        ]
    ).mean(0)
    expected = torch.tensor([[0.375, 0.125], [0.375, 0.125]])
    assert (corners - expected).abs().max() < 0.07


def test_colours_change_the_image_and_leave_the_region():
    image, mask = on_grey(bump(30, 30)), bump(30, 30)
    image[0] //= 2
    views, masks = augment({"image": image}, {"attend": mask}, COLOURS, keyed_generator(1))
    assert torch.equal(masks["attend"], mask)
    assert (views["image"].float() - image.float()).abs().mean() > 3


@pytest.mark.parametrize("how", [Augment(), COLOURS, EVERYTHING])
def test_the_caller_keeps_what_it_gave(how):
    image, mask = on_grey(bump(30, 30)), bump(30, 30)
    before = image.clone(), mask.clone()
    state = torch.get_rng_state()
    views, masks = augment({"image": image}, {"attend": mask}, how, keyed_generator(1))
    assert torch.equal(image, before[0])
    assert torch.equal(mask, before[1])
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.equal(views["image"], image)) == (how == Augment())
    assert (views["image"].dtype, masks["attend"].dtype) == (torch.uint8, torch.float32)


@pytest.mark.parametrize("change", ["brightness", "contrast", "saturation", "hue"])
def test_colours_change_as_torchvision_changes_them(change):
    image = torch.randint(0, 256, (3, 40, 50), generator=keyed_generator(0)).to(torch.uint8)
    number = ["brightness", "contrast", "saturation", "hue"].index(change)
    for draw in range(4):
        unit = 2 * torch.rand(10, generator=keyed_generator(draw))[6 + number].item() - 1
        factor = 0.4 * unit if change == "hue" else 1 + 0.4 * unit
        expected = getattr(F, f"adjust_{change}")(image, factor)
        how = Augment(**{change: 0.4})
        changed = augment({"image": image}, {}, how, keyed_generator(draw))[0]["image"]
        assert (changed.int() - expected.int()).abs().max() <= 1  # torchvision rounds down
        assert (changed != image).float().mean() > 0.5


@pytest.mark.parametrize("size", [(40, 30), (224, 224), (301, 417), (640, 100)])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_images_are_resized_as_torchvision_does(size, mode):
    image = torch.randint(0, 256, (3, *size), generator=keyed_generator(0)).to(torch.uint8)
    ours = Transform((224, 224), MEAN, STD, interpolation=mode).fit_image(image)
    theirs = F.resize(image, [224, 224], InterpolationMode(mode), antialias=True)
    assert (ours.int() - theirs.int()).abs().max() <= 1
    assert (ours != theirs).float().mean() < 0.01


def both(*parts, how=None):
    how = how or EVERYTHING.model_copy(update=COLOURS.model_dump(exclude_defaults=True))
    image, mask = on_grey(bump(40, 75)), bump(40, 75)
    image[0] //= 2
    views, masks = augment({"image": image}, {"m": mask}, how, keyed_generator(*parts))
    return torch.cat([views["image"].float(), masks["m"][None]])


def test_a_key_gives_one_change_and_each_part_of_it_another():
    first = both(1, 0, 7, 0)
    assert torch.equal(both(1, 0, 7, 0), first)
    for other in ((2, 0, 7, 0), (1, 1, 7, 0), (1, 0, 8, 0), (1, 0, 7, 1)):
        assert not torch.equal(both(*other), first)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_a_change_does_not_depend_on_the_number_of_threads(threads):
    image = torch.randint(0, 256, (3, 448, 448), generator=keyed_generator(0)).to(torch.uint8)
    how = Augment(rotate=10, contrast=0.5, brightness=0.2, saturation=0.2)
    for draw in range(3):
        changed = []
        for count in (1, 2):
            threads(count)
            changed.append(augment({"image": image}, {}, how, keyed_generator(draw))[0]["image"])
        assert torch.equal(*changed)
        assert not torch.equal(changed[0], image)


@pytest.mark.parametrize("off", ["rotate", "flip", "zoom", "brightness", "hue"])
def test_switching_one_change_off_leaves_the_draws_of_the_others(off):
    shift = Augment(translate=0.2, contrast=0.4)
    more = shift.model_copy(update={off: 0.3})
    less = more.model_copy(update={off: 0.0})
    for draw in range(3):
        assert torch.equal(both(draw, how=less), both(draw, how=shift))


def test_normalising_takes_off_the_mean_and_divides_by_the_deviation():
    transform = Transform((16, 16), MEAN, STD)
    levels = torch.arange(256, dtype=torch.uint8).view(16, 16).expand(2, 3, 16, 16)
    normal = transform.normalise(levels)
    assert normal.dtype == torch.float32
    for channel, (mean, std) in enumerate(zip(MEAN, STD, strict=True)):
        torch.testing.assert_close(normal[0, channel] * std + mean, levels[0, channel] / 255)
    assert torch.equal(transform.normalise(levels[0]), normal[0])


@pytest.mark.parametrize("size", [(60, 200), (200, 60), (96, 96), (97, 131)])
@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_image_and_region_are_fitted_alike(size, fit, interpolation):
    spot = bump(size[0] * 0.45, size[1] * 0.55, size, width=min(size) / 12)
    transform = Transform((64, 80), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), fit, interpolation)
    image, mask = transform.fit_image(as_image(spot)), transform.fit_mask(spot)
    assert (image.shape, mask.shape) == ((3, 64, 80), (64, 80))
    assert (centre(image[0].float()) - centre(mask)).norm() < 0.2
    assert (image[0] / 255 - mask).abs().max() < 0.08


@pytest.mark.parametrize(
    ("fit", "column", "lands_at"), [("stretch", 50, 16), ("pad", 50, 16), ("crop", 75, 16)]
)
def test_a_spot_lands_where_the_fit_puts_it(fit, column, lands_at):
    spot = bump(25, column, (50, 200), width=2)
    transform = Transform((32, 64), (0.5,) * 3, (1.0,) * 3, fit)
    place = centre(transform.fit_mask(spot))
    assert (place - torch.tensor([16, lands_at])).abs().max() < 0.3


@pytest.mark.parametrize("size", [(50, 200), (200, 50)])
def test_padding_is_the_mean_colour_and_no_region(size):
    transform = Transform((40, 40), (0.2, 0.4, 0.6), (1.0,) * 3, "pad")
    image = transform.fit_image(torch.full((3, *size), 255, dtype=torch.uint8))
    mask = transform.fit_mask(torch.ones(size))
    assert image[:, 0, 0].tolist() == [51, 102, 153]
    assert image[:, 20, 20].tolist() == [255, 255, 255]
    assert mask.sum() == pytest.approx(400)
    torch.testing.assert_close(mask, (image[0] == 255).float())
    cut = transform.load(torch.full((3, *size), 255, dtype=torch.uint8), black=True)
    torch.testing.assert_close(mask, cut[0] / 255)


@pytest.mark.parametrize("original", [(6000, 4000), (4000, 6000), (224, 224), (100, 900), (3, 500)])
def test_a_crop_is_decoded_large_enough_to_cover_the_input(original):
    height, width = Transform((224, 160), MEAN, STD, "crop").need(original)
    assert height >= 224
    assert width >= 160
    assert min(height - 224, width - 160) == 0
    assert Transform((224, 160), MEAN, STD).need(original) == (224, 160)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": (224, -1)},
        {"views": ()},
        {"std": (0.2, 0.0, 0.2)},
        {"fit": "squeeze"},
        {"augment": {"zoom": 1}},
        {"augment": {"rotate": float("nan")}},
        {"augment": {"spin": 3}},
        {"split": "80/20", "folds": 5},
        {"val_from_train": 1},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong):
    Data(manifest="m.csv")
    with pytest.raises(ValidationError):
        Data(manifest="m.csv", **wrong)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("sides", [(257, 289), (513, 263), (905, 1023)])
def test_a_jpeg_that_is_decoded_smaller_lies_where_its_region_does(
    tmp_path, orientation, fit, sides
):
    """Of sides that are no multiple of 8 the last pixel at 1/8 of the size is a part of one."""
    spot = (200 * bump(0.55 * sides[0], 0.6 * sides[1], sides, 12.0)).round().to(torch.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("jpg", "png"):
        how = {"quality": 95, "subsampling": 0} if kind == "jpg" else {}
        Image.fromarray(spot.numpy()).convert("RGB").save(tmp_path / f"a.{kind}", exif=exif, **how)
    transform = Transform((64, 64), (0, 0, 0), (1, 1, 1), fit=fit)
    jpeg, png = (transform.load(tmp_path / f"a.{kind}")[0].float() for kind in ("jpg", "png"))
    region = transform.fit_mask(decode_grey(tmp_path / "a.png") / 255)
    middles = [centre(found * (found > 0.3 * found.max())) for found in (jpeg, png, region)]
    torch.testing.assert_close(middles[0], middles[1], atol=0.06, rtol=0)
    torch.testing.assert_close(middles[1], middles[2], atol=0.06, rtol=0)


@pytest.mark.parametrize("sides", [(700, 20), (800, 3), (20, 700)])
def test_a_long_narrow_region_has_its_rows(sides):
    """torch gives all rows of one column the value of the first."""
    mask = torch.zeros(sides)
    mask[: sides[0] // 2, : sides[1] if sides[0] > sides[1] else sides[1] // 2] = 1
    fitted = Transform((32, 32), (0, 0, 0), (1, 1, 1), fit="pad").fit_mask(mask)
    image = Transform((32, 32), (0, 0, 0), (1, 1, 1), fit="pad").load(as_image(mask))[0]
    torch.testing.assert_close(fitted, image / 255, atol=0.01, rtol=0)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("side", [16, 24])
def test_a_batch_is_taken_image_by_image(side):
    transform = Transform((16, 16), MEAN, STD)
    batch = torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8)
    found = transform(batch)
    assert found.shape == (3, 3, 16, 16)
    assert torch.equal(found, transform([*batch]))
    assert torch.equal(found, transform(batch.permute(0, 2, 3, 1).numpy()))
    with pytest.raises(DataError, match=r"expected one image, \(3, h, w\), found a batch"):
        transform.load(batch)
