"""What the decoder makes of kinds that others get wrong: values, not only verdicts."""

import io
import struct
import tarfile
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hostile_images import KINDS, corpus, encoded, flat_jpeg, photo, png_chunk, png_of
from PIL import Image, ImageFile

from regard.data.transforms import Transform
from regard.errors import DataError
from regard.images.decoding import decode, decode_grey, decode_ids
from regard.images.opening import image_size
from regard.screening.sources import open_source

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


@pytest.mark.parametrize("factor", [0x14, 0x31, 0x13, 0x42, 0x24])
def test_chroma_sampled_as_nobody_does_is_decoded_all_the_same(factor, tmp_path):
    data = flat_jpeg(70, 50, factor)
    (tmp_path / "odd.jpg").write_bytes(data)
    assert bool((decode(data) == 128).all())
    assert decode(data).shape == (3, 50, 70)
    assert bool((decode_grey(tmp_path / "odd.jpg") == 128).all())
    with pytest.raises(DataError, match="readable image"):
        decode(data[:-20])


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


@pytest.mark.parametrize("cuts", [6, pytest.param(300, marks=pytest.mark.torture)])
def test_what_is_cut_off_is_never_half_a_picture(cuts, tally):
    """The whole picture, from a file that lost what does not matter to it, or none."""
    tried, survived = 0, 0
    for number, (kind, make) in enumerate(KINDS.items()):
        rng = np.random.default_rng((11, number))
        data = make(photo(rng), rng)
        whole = decode(data)
        for length in (*rng.integers(0, len(data), cuts), *range(len(data) - 3, len(data))):
            try:
                found = decode(data[:length])
                same = found.shape == whole.shape and torch.equal(found, whole)
            except DataError:
                same = True
            if not same:
                print(kind, length, len(data))
            tried, survived = tried + 1, survived + same
    tally("images cut off", tried, survived)


@pytest.mark.parametrize("count", [54, pytest.param(2000, marks=pytest.mark.torture)])
def test_threads_that_decode_at_once_do_not_disturb_each_other(count, tally, monkeypatch):
    files = [file.data for file in corpus(count, seed=13)]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 77)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    filters = list(warnings.filters)

    def verdict(data):
        try:
            return decode(data, max_pixels=2_000_000)
        except DataError as error:
            return error.found

    alone = [verdict(data) for data in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(verdict, files))
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == (77, True)
    assert list(warnings.filters) == filters
    same = [
        one == other if isinstance(one, str) or isinstance(other, str) else torch.equal(one, other)
        for one, other in zip(alone, together, strict=True)
    ]
    tally("images decoded by 8 threads at once", count, sum(same))


def test_words_of_a_file_are_not_handed_to_the_terminal():
    hostile = png_chunk(b"\x1b[2J", b"")[:-1] + b"?"
    data = png_of(2, 1, 8, 0, zlib.compress(b"\0ab"), after=[hostile])
    with pytest.raises(DataError) as caught:
        decode(data)
    assert str(caught.value).isprintable()
    assert "checksum" in str(caught.value)


def test_links_without_end_and_names_without_end_are_told_in_few_words(tmp_path):
    loop = tmp_path / "loop.png"
    loop.symlink_to(loop)
    for path in (loop, tmp_path / ("x" * 300 + ".png"), "a\0b.png"):
        for read in (decode, decode_grey, image_size):
            with pytest.raises(DataError, match="expected a readable image") as caught:
                read(path)
            assert len(caught.value.found) < 60


def test_a_member_of_a_tar_larger_than_memory_is_refused_by_its_length(tmp_path):
    small = encoded(Image.new("RGB", (4, 3)), "PNG")
    path, length = tmp_path / "large.tar", 2**31 + 512
    with path.open("wb") as file:
        for name, size in (("large.png", length), ("small.png", len(small))):
            member = tarfile.TarInfo(name)
            member.size = size
            file.write(member.tobuf())
            if size == length:
                file.seek(length, 1)  # a hole, which takes no room on the disk
            else:
                file.write(small + bytes(-size % 512))
        file.write(bytes(1024))
    source = open_source(path)
    with pytest.raises(DataError, match="2,147,484,160 bytes"):
        source.read(0)
    assert source.read(1) == small
