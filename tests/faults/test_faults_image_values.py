"""What the decoder makes of kinds that others get wrong: values, not only verdicts."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from hostile_images import KINDS, encoded, photo, png_chunk, png_of
from PIL import Image

from regard.data.decoding import decode, decode_grey, decode_ids, image_size
from regard.data.transforms import Transform
from regard.errors import DataError

WHITE = [255, 255, 255]
LOWEST = np.finfo(np.float32).min


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def turned_exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def turned(orientation):
    return png_chunk(b"eXIf", turned_exif(orientation).tobytes()[6:])


def xmp(orientation):
    words = f'<x:xmpmeta tiff:Orientation="{orientation}"/>'
    return png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + words.encode())


@pytest.mark.parametrize("words", [turned, xmp])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_png_is_turned_wherever_it_says_so(words, orientation, place):
    pixels = zlib.compress(b"\0\1\2\3\0\4\5\6")
    data = png_of(3, 2, 8, 0, pixels, **{place: [words(orientation)]})
    upright = {
        1: [[1, 2, 3], [4, 5, 6]],
        2: [[3, 2, 1], [6, 5, 4]],
        3: [[6, 5, 4], [3, 2, 1]],
        4: [[4, 5, 6], [1, 2, 3]],
        5: [[1, 4], [2, 5], [3, 6]],
        6: [[4, 1], [5, 2], [6, 3]],
        7: [[6, 3], [5, 2], [4, 1]],
        8: [[3, 6], [2, 5], [1, 4]],
    }[orientation]
    assert decode(data)[0].tolist() == upright
    assert image_size(data) == (len(upright), len(upright[0]))


def test_each_bit_of_a_png_that_turns_is_seen(rng, tally):
    data = encoded(photo(rng), "PNG")
    refused = 0
    for place in range(8, len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        try:
            decode(bytes(damaged))
        except DataError:
            refused += 1
    tally("PNGs of one turned bit", len(data) - 8, refused)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_clear_level_of_grey_is_white_at_every_depth(bits):
    most = 2**bits - 1
    clear, other = most // 2, most
    if bits == 16:
        stored = struct.pack(">HH", clear, other)
    else:
        stored = int(f"{clear:0{bits}b}{other:0{bits}b}".ljust(16, "0"), 2).to_bytes(2, "big")
    raw = b"\0" + stored[: max(1, bits // 4)]
    level = png_chunk(b"tRNS", struct.pack(">H", clear))
    image = decode(png_of(2, 1, bits, 0, zlib.compress(raw), before=[level]))
    assert image[:, 0].T.tolist() == [WHITE, WHITE]
    image = decode(png_of(2, 1, bits, 0, zlib.compress(raw)))
    assert image[0, 0].tolist() == [round(255 * clear / most), 255]


def test_gaps_of_a_map_of_floats_are_black_without_a_warning(tmp_path):
    values = np.array([[LOWEST, np.nan, np.inf, -np.inf, 0.2, 1.0]], dtype=np.float32)
    path = tmp_path / "map.tif"
    Image.fromarray(values).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(path)[0, 0].tolist() == [0, 0, 0, 0, 51, 255]
        assert decode_grey(path)[0].tolist() == [0, 0, 0, 0, pytest.approx(51), 255]


def test_an_id_below_0_is_not_taken_for_void(tmp_path):
    Image.fromarray(np.array([[-1, 0, 1]], dtype=np.int32)).save(tmp_path / "ids.tif")
    with pytest.raises(DataError, match=r"ids from 0 to 255, found id -1"):
        decode_ids(tmp_path / "ids.tif")


@pytest.mark.parametrize("kind", ["JPEG CMYK", "JPEG YCCK"])
def test_jpegs_of_four_inks_are_as_pillow_has_them_and_smaller_where_less_is_needed(kind, rng):
    image = photo(rng).resize((160, 96))
    data = KINDS[kind](image, rng)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.mode == "CMYK"
        expected = torch.from_numpy(np.array(opened.convert("RGB"))).permute(2, 0, 1)
    whole, small = decode(data), decode(data, need=(20, 20))
    assert torch.equal(whole, expected)
    assert small.shape == (3, 24, 40)
    mean = torch.nn.functional.interpolate(whole[None].float(), (24, 40), mode="area")[0]
    assert (small - mean).abs().mean() < 4
    with pytest.raises(DataError, match="Premature end"):
        decode(data[:-200])


@pytest.mark.parametrize("factor", [0x14, 0x31, 0x13, 0x42])
def test_chroma_sampled_as_nobody_does_is_decoded_all_the_same(factor, rng, tmp_path):
    data = encoded(Image.new("RGB", (64, 64), (90, 90, 90)), "JPEG", subsampling=0)
    place = data.index(b"\xff\xc0") + 11
    data = data[:place] + bytes([factor]) + data[place + 1 :]
    (tmp_path / "odd.jpg").write_bytes(data)
    assert decode(data).shape == (3, 64, 64)
    assert decode_grey(tmp_path / "odd.jpg").shape == (64, 64)


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (3000, 40)])
def test_a_crop_of_a_very_long_image_is_its_middle(size):
    width, height = size
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    along = max(width, height)
    middle = np.s_[along // 4 : 3 * along // 4]
    pixels[(slice(None), middle) if width > height else middle] = 200
    transform = Transform((32, 32), (0.5,) * 3, (0.5,) * 3, "crop")
    image = transform.load(encoded(Image.fromarray(pixels), "PNG"))
    assert image.shape == (3, 32, 32)
    assert bool((image == 200).all())
    mask = transform.fit_mask(torch.from_numpy(pixels[..., 0]) / 200)
    assert torch.allclose(mask, torch.ones(32, 32))


@pytest.mark.parametrize(
    "entry",
    [
        struct.pack("<HHI4s", 0x0112, 2, 2, b"6\0"),
        struct.pack("<HHIf", 0x0112, 11, 1, 6.0),
        struct.pack("<HHIHH", 0x0112, 3, 2, 6, 6),
        struct.pack("<HHIi", 0x0112, 9, 1, -6),
        struct.pack("<HHII", 0x0112, 4, 2**32 - 1, 2**32 - 1),
    ],
    ids=["text", "float", "pair", "negative", "far away"],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_orientation_of_another_type_turns_size_and_pixels_alike(kind, entry, rng):
    image = photo(rng)
    block = b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    if kind == "TIFF":
        data = encoded(image, kind, exif=turned_exif(6))
        data = data.replace(struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0), entry)
    else:
        data = encoded(image, kind, exif=b"Exif\0\0" + block)
    assert image_size(data) == tuple(decode(data).shape[1:])
    assert decode(data).shape[1:] in ((image.height, image.width), (image.width, image.height))
