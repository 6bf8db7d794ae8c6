import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch.nn.functional import interpolate

from regard.errors import DataError
from regard.images.decoding import decode, decode_grey
from regard.images.opening import image_size

ORIENTATION = 0x0112
WHITE = [255, 255, 255]


@pytest.fixture(scope="module")
def photo():
    """Smooth colours that differ in every corner, of odd sides."""
    corners = np.random.default_rng(0).integers(0, 255, (5, 4, 3), dtype=np.uint8)
    return Image.fromarray(corners).resize((331, 203), Image.Resampling.BICUBIC)


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def oriented(image, kind, orientation, **options):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encode(image, kind, exif=exif, **options)


def pixels(image):
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def from_pillow(data):
    with Image.open(io.BytesIO(data)) as image:
        return pixels(ImageOps.exif_transpose(image))


def colour(image):
    """The colour of an image of one colour."""
    flat = image.flatten(1)
    assert (flat == flat[:, :1]).all()
    return flat[:, 0].tolist()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_undone_as_pillow_does(photo, tmp_path, kind, orientation):
    data = oriented(photo, kind, orientation)
    image = decode(data)
    assert torch.equal(image, from_pillow(data))
    assert image.is_contiguous()
    (tmp_path / "photo").write_bytes(data)
    assert image_size(tmp_path / "photo") == tuple(image.shape[1:])


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_out_of_range_means_upright(photo, orientation):
    data = oriented(photo, "PNG", orientation)
    assert torch.equal(decode(data), pixels(photo))


@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 2}, {"progressive": True}, {"quality": 30}, {"optimize": True}]
)
def test_jpegs_are_decoded_to_the_pixels_that_pillow_gives(photo, options):
    for image in (photo, photo.convert("L")):
        data = encode(image, "JPEG", **options)
        assert torch.equal(decode(data), from_pillow(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_path_bytes_and_pil_image_give_the_same(photo, tmp_path, kind):
    data = encode(photo, kind)
    path = tmp_path / "ein Bild, äöü.bin"
    path.write_bytes(data)
    from_bytes = decode(data)
    assert from_bytes.dtype == torch.uint8
    assert from_bytes.shape == (3, 203, 331)
    assert torch.equal(decode(path), from_bytes)
    assert torch.equal(decode(str(path)), from_bytes)
    with Image.open(path) as image:
        assert torch.equal(decode(image), from_bytes)


def test_a_pil_image_is_left_as_it_was(photo):
    turned = photo.copy()
    turned.getexif()[ORIENTATION] = 6
    before = turned.tobytes()
    assert decode(turned).shape == (3, 331, 203)
    assert (turned.size, turned.tobytes()) == ((331, 203), before)
    assert turned.getexif()[ORIENTATION] == 6


@pytest.mark.parametrize(
    ("need", "size"),
    [
        (None, (203, 331)),
        ((1, 1), (26, 42)),
        ((26, 42), (26, 42)),
        ((27, 42), (51, 83)),
        ((26, 43), (51, 83)),
        ((51, 83), (51, 83)),
        ((52, 1), (102, 166)),
        ((102, 166), (102, 166)),
        ((103, 166), (203, 331)),
        ((203, 331), (203, 331)),
        ((204, 1), (203, 331)),
        ((1, 5000), (203, 331)),
    ],
)
def test_a_jpeg_is_decoded_at_the_smallest_power_of_two_that_is_enough(photo, need, size):
    assert decode(encode(photo, "JPEG"), need=need).shape[1:] == size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_is_needed_is_meant_of_the_upright_image(photo, orientation):
    data = oriented(photo, "JPEG", orientation)
    upright = (331, 203) if orientation > 4 else (203, 331)
    need = (upright[0] // 2, upright[1] // 2)
    image = decode(data, need=need)
    assert image.shape[1:] == (need[0] + 1, need[1] + 1)
    small = interpolate(decode(data)[None].float(), image.shape[1:], mode="area")[0]
    assert (image - small).abs().mean() < 2


def test_a_need_as_large_as_the_image_changes_no_pixel(photo):
    data = encode(photo, "JPEG")
    assert torch.equal(decode(data, need=(203, 331)), decode(data))
    assert torch.equal(decode(data, need=(999, 999)), decode(data))


def test_a_scaled_photo_shows_what_the_whole_one_shows(photo):
    data = encode(photo.crop((0, 0, 328, 200)), "JPEG", quality=95)
    small = decode(data, need=(25, 41))
    whole = interpolate(decode(data)[None].float(), (25, 41), mode="area")[0]
    assert (small - whole).abs().mean() < 0.5


def test_phone_photos_of_several_pictures_give_the_first(photo):
    other = Image.new("RGB", photo.size, "red")
    data = encode(photo, "MPO", save_all=True, append_images=[other])
    assert torch.equal(decode(data), from_pillow(encode(photo, "JPEG")))
    assert decode(data, need=(20, 20)).shape == (3, 26, 42)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_taken(kind):
    frames = [Image.new("RGB", (8, 6), name) for name in ("#0a0b0c", "#ffffff", "#ff0000")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert colour(decode(data)) == [10, 11, 12]


@pytest.mark.parametrize(
    ("image", "kind", "options", "expected"),
    [
        (Image.new("L", (4, 3), 200), "PNG", {}, [200] * 3),
        (Image.new("1", (4, 3), 1), "PNG", {}, WHITE),
        (Image.new("1", (4, 3), 0), "TIFF", {}, [0] * 3),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF", {}, [255, 0, 0]),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", {}, [255, 0, 0]),
        (Image.new("RGBA", (4, 3), (10, 20, 30, 0)), "PNG", {}, WHITE),
        (Image.new("RGBA", (4, 3), (10, 20, 30, 255)), "PNG", {}, [10, 20, 30]),
        (Image.new("RGBA", (4, 3), (0, 100, 200, 51)), "PNG", {}, [204, 224, 244]),
        (Image.new("LA", (4, 3), (0, 51)), "PNG", {}, [204] * 3),
        (Image.new("L", (4, 3), 7), "PNG", {"transparency": 7}, WHITE),
        (Image.new("RGB", (4, 3), (1, 2, 3)), "PNG", {"transparency": (1, 2, 3)}, WHITE),
        (Image.new("RGB", (4, 3), (1, 2, 3)), "PNG", {"transparency": (1, 2, 4)}, [1, 2, 3]),
        (Image.new("I;16", (4, 3), 200 * 257), "PNG", {}, [200] * 3),
        (Image.new("I;16", (4, 3), 257), "PNG", {}, [1] * 3),
        (Image.new("I;16", (4, 3), 65535), "TIFF", {}, WHITE),
        (Image.new("I;16B", (4, 3), 100 * 257), "TIFF", {}, [100] * 3),
        (Image.new("I", (4, 3), 100), "TIFF", {}, [100] * 3),
        (Image.new("I", (4, 3), 100 * 257), "TIFF", {}, [100] * 3),
        (Image.new("F", (4, 3), 0.4), "TIFF", {}, [102] * 3),
        (Image.new("F", (4, 3), 102.4), "TIFF", {}, [102] * 3),
        (Image.new("F", (4, 3), -5.0), "TIFF", {}, [0] * 3),
    ],
)
def test_every_mode_becomes_rgb(image, kind, options, expected):
    data = encode(image, kind, **options)
    assert colour(decode(data)) == expected
    with Image.open(io.BytesIO(data)) as opened:
        assert colour(decode(opened)) == expected


@pytest.mark.parametrize("mode", ["La", "RGBa", "PA", "RGBX", "YCbCr", "LAB", "HSV"])
def test_modes_that_only_pil_images_have_are_decoded_too(mode):
    image = Image.new(mode, (4, 3))
    expected = {"La": WHITE, "RGBa": WHITE, "PA": WHITE}.get(mode)
    assert colour(decode(image)) == (expected or colour(pixels(image)))


def test_of_a_mask_what_is_transparent_is_black(tmp_path):
    greys = Image.new("P", (2, 1))
    greys.putpalette([200, 200, 200, 90, 90, 90])
    greys.putdata([0, 1])
    path = tmp_path / "mask.png"
    greys.save(path, transparency=0)
    assert decode_grey(path).tolist() == [[0, 90]]
    grey = Image.new("L", (2, 1), 255)
    grey.putpixel((1, 0), 7)
    grey.save(path, transparency=255)
    assert decode_grey(path).tolist() == [[0, 7]]


def test_a_palette_with_transparency_is_laid_on_white():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    half = decode(encode(image, "PNG", transparency=bytes([0, 255])))
    assert half[:, 0].T.tolist() == [WHITE, [40, 50, 60]]
    gif = decode(encode(image, "GIF", transparency=1))
    assert gif[:, 0].T.tolist() == [[10, 20, 30], WHITE]


def test_nan_and_infinity_in_a_float_image_are_black():
    values = np.array([[np.nan, np.inf, -np.inf, 1.0, 0.2]], dtype=np.float32)
    image = decode(encode(Image.fromarray(values), "TIFF"))
    assert image[0, 0].tolist() == [0, 0, 0, 255, 51]


def png_header(width, height):
    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b""))


def test_a_bomb_is_refused_from_its_header(tmp_path):
    with pytest.raises(DataError, match="at most 400,000,000 pixels, found 100000 x 90000"):
        decode(png_header(100_000, 90_000))
    (tmp_path / "bomb.png").write_bytes(png_header(100_000, 90_000))
    for read in (decode, decode_grey):
        with pytest.raises(DataError, match=r"bomb.png: expected at most 400,000,000 pixels"):
            read(tmp_path / "bomb.png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_bound_is_inclusive_and_holds_for_every_kind_of_source(photo, tmp_path, kind):
    path = tmp_path / "photo"
    path.write_bytes(encode(photo, kind))
    pixel_count = 203 * 331
    for source in (path, path.read_bytes(), photo):
        assert decode(source, max_pixels=pixel_count).shape == (3, 203, 331)
        with pytest.raises(DataError, match="331 x 203"):
            decode(source, max_pixels=pixel_count - 1)
    with pytest.raises(DataError, match="331 x 203"):
        decode_grey(path, max_pixels=pixel_count - 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_our_bound_takes_the_place_of_pillows_which_stays_for_others(
    photo, tmp_path, kind, monkeypatch
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = tmp_path / "photo"
    path.write_bytes(encode(photo, kind))
    assert decode(path).shape == (3, 203, 331)
    assert decode_grey(path).shape == (203, 331)
    assert image_size(path) == (203, 331)
    with pytest.raises(DataError):
        decode(b"no image")
    assert Image.MAX_IMAGE_PIXELS == 100
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_image_is_an_error_and_not_half_a_picture(photo, kind, share):
    data = encode(photo, kind)
    with pytest.raises(DataError, match="expected a readable image"):
        decode(data[: int(share * len(data))])


def test_a_jpeg_without_its_last_bytes_is_an_error_at_every_scale(photo):
    data = encode(photo, "JPEG")
    for need in (None, (20, 20)):
        with pytest.raises(DataError, match="Premature end of JPEG"):
            decode(data[:-300], need=need)


@pytest.mark.parametrize("content", [b"", b"This is text. " * 50, b"\xff\xd8\xff", b"\x89PNG\r\n"])
def test_what_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "page.jpg"
    path.write_bytes(content)
    for read in (decode, decode_grey, image_size):
        with pytest.raises(DataError, match=r"page.jpg: expected a readable image"):
            read(path)
    with pytest.raises(DataError, match="image: expected a readable image, found not an image"):
        decode(content)


def test_a_format_that_needs_another_program_is_not_opened():
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    with Image.open(io.BytesIO(postscript)) as image:
        assert image.format == "EPS"
    with pytest.raises(DataError, match="not an image"):
        decode(postscript)


def test_missing_files_and_folders_are_told_apart(tmp_path):
    for read in (decode, decode_grey, image_size):
        with pytest.raises(DataError, match=r"none.png: .*found no such file"):
            read(tmp_path / "none.png")
        with pytest.raises(DataError, match="found a folder"):
            read(tmp_path)


def test_a_damaged_exif_block_does_not_hide_the_pixels(photo):
    block = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x05\x00"
    data = encode(photo, "PNG", exif=block[6:])
    assert torch.equal(decode(data), pixels(photo))
    assert decode(encode(photo, "JPEG", exif=block)).shape == (3, 203, 331)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_is_turned_as_its_photo_is(photo, tmp_path, orientation):
    grey = photo.convert("L")
    path = tmp_path / "mask.png"
    path.write_bytes(oriented(grey, "PNG", orientation))
    mask = decode_grey(path)
    assert mask.dtype == torch.float32
    assert torch.equal(mask, decode(path)[0].float())


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (Image.new("L", (4, 3), 200), "PNG", 200),
        (Image.new("1", (4, 3), 1), "PNG", 255),
        (Image.new("RGB", (4, 3), (9, 9, 9)), "PNG", 9),
        (Image.new("LA", (4, 3), (80, 255)), "PNG", 80),
        (Image.new("RGBA", (4, 3), (80, 80, 80, 255)), "PNG", 80),
        (Image.new("RGBA", (4, 3), (255, 255, 255, 0)), "PNG", 0),
        (Image.new("LA", (4, 3), (255, 51)), "PNG", 51),
        (Image.new("I;16", (4, 3), 11), "PNG", 11),
        (Image.new("I;16", (4, 3), 65535), "PNG", 255),
        (Image.new("I;16B", (4, 3), 65535), "TIFF", 255),
        (Image.new("I", (4, 3), 65535), "TIFF", 255),
        (Image.new("F", (4, 3), 0.5), "TIFF", 127.5),
        (Image.new("F", (4, 3), 200.5), "TIFF", 200.5),
    ],
)
def test_a_mask_of_any_mode_lies_in_0_to_255(tmp_path, image, kind, expected):
    path = tmp_path / "mask"
    path.write_bytes(encode(image, kind))
    assert torch.equal(decode_grey(path), torch.full((3, 4), float(expected)))


def test_a_mask_of_palette_indices_gives_the_indices(tmp_path):
    image = Image.new("P", (3, 1))
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    image.putdata([2, 0, 1])
    image.save(tmp_path / "mask.png")
    assert decode_grey(tmp_path / "mask.png").tolist() == [[2, 0, 1]]


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF"])
def test_a_mask_of_a_palette_of_greys_is_what_is_seen(tmp_path, kind):
    """Writers put the colours of a picture in any order: white may have the index 0."""
    image = Image.new("P", (3, 2))
    image.putpalette([255, 255, 255, 0, 0, 0, 100, 100, 100])
    image.putdata([0, 1, 2, 2, 1, 0])
    image.save(tmp_path / "mask", kind)
    assert decode_grey(tmp_path / "mask").tolist() == [[255, 0, 100], [100, 0, 255]]


def test_indices_whose_greys_do_not_tell_them_apart_stay(tmp_path):
    image = Image.new("P", (3, 1))
    image.putpalette([0] * 9)
    image.putdata([2, 0, 1])
    image.save(tmp_path / "mask.png")
    assert decode_grey(tmp_path / "mask.png").tolist() == [[2, 0, 1]]


def test_nan_in_a_float_mask_is_outside(tmp_path):
    values = np.array([[np.nan, 1.0, np.inf]], dtype=np.float32)
    Image.fromarray(values).save(tmp_path / "mask.tif")
    assert decode_grey(tmp_path / "mask.tif").tolist() == [[0, 255, 0]]
