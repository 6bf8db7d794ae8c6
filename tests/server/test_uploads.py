"""Images that are sent: what the net says of them, and what is refused before it costs anything."""

import base64
import io
import socket
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from server_tools import listening, refusal, serving

from regard.runs.run import load_run

RUN = "runs/one"


def saved(pixels, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="session")
def photo():
    pixels = np.random.default_rng(3).integers(0, 90, (60, 90, 3), dtype=np.uint8)
    pixels[20:40, 50:70, 0] = 230
    return pixels


def send(client, data, kind="image/png", **asked):
    headers = {"Content-Type": kind}
    return client.post("/api/upload", params={"run": RUN} | asked, content=data, headers=headers)


def of_data_url(text):
    return Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2])))


def png_of(width, height):
    """A PNG whose header says so, and which holds nothing."""

    def chunk(kind, data):
        sum_ = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + sum_

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_an_image_that_is_sent_is_read_like_a_file_of_it(
    client, whole_folder, photo, tmp_path, kind
):
    data = saved(photo, kind)
    (tmp_path / "photo").write_bytes(data)
    run = load_run(whole_folder / RUN)
    expected = run.predict([tmp_path / "photo"])[0]
    told = send(client, data, f"image/{kind.lower()}").json()
    given = {p["class"]: p["value"] for p in told["probabilities"]}
    assert [given[name] for name in run.classes] == pytest.approx(expected.tolist(), abs=1e-6)
    assert told["predicted"] == run.classes[int(expected.argmax())]
    assert (told["width"], told["height"]) == (90, 60)
    assert of_data_url(told["picture"]).size == of_data_url(told["map"]).size == (90, 60)


def test_a_target_and_a_method_can_be_asked_for(client, photo):
    told = send(client, saved(photo), target="moss", method="layercam").json()
    assert told["target"] == "moss"
    assert refusal(send(client, saved(photo), target="mos"))[0] == 400
    assert refusal(send(client, saved(photo), method="none"))[0] == 400


def test_a_photo_of_a_camera_held_sideways_is_turned(client, photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    told = send(client, saved(np.rot90(photo).copy(), "JPEG", exif=exif), "image/jpeg").json()
    assert (told["width"], told["height"]) == (90, 60)
    shown = np.asarray(of_data_url(told["picture"]).convert("RGB")).astype(int)
    assert shown[22:38, 52:68, 0].mean() > 200


def test_nothing_of_it_is_stored(own_folder, tmp_path, photo):
    files = lambda: {p for p in own_folder.rglob("*") if p.is_file()}  # noqa: E731
    before = files()
    with serving(own_folder, tmp_path / "cache") as client:
        assert send(client, saved(photo)).status_code == 200
    assert files() == before
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []


@pytest.mark.parametrize(
    ("data", "kind", "status", "part"),
    [
        (png_of(50_000, 50_000), "image/png", 413, "50,000 x 50,000"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", 415, "image/svg+xml"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/png", 400, "not an image"),
        (b"", "image/png", 400, "image"),
        (b"GIF89a", "image/gif", 400, "image"),
        (png_of(10, 10), "image/png", 400, "image"),
        (b"{}", "application/json", 415, "application/json"),
        (b"", "multipart/form-data; boundary=x", 415, "multipart"),
    ],
)
def test_what_is_no_photo_is_refused_in_a_line(client, data, kind, status, part):
    answer = refusal(send(client, data, kind))
    assert answer[0] == status
    assert part in answer[1]


def test_a_truncated_jpeg_is_refused(client, photo):
    large = np.kron(photo, np.ones((8, 8, 1), np.uint8))
    data = saved(large, "JPEG")
    status, message = refusal(send(client, data[: len(data) // 2], "image/jpeg"))
    assert (status, message.startswith("the image: expected a readable image")) == (400, True)
    assert message.endswith("; choose another")


def test_a_class_with_hostile_names_is_no_header_or_html(client):
    answer = client.get("/api/run", params={"run": "<script>alert(1)</script>\r\nX-Evil: 1"})
    assert refusal(answer)[0] == 404
    assert answer.headers["Content-Type"] == "application/json"
    assert "X-Evil" not in answer.headers


class Raw:
    """A connection that says what it is told to, byte by byte."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)

    def begin(self, *headers):
        lines = [f"POST /api/upload?run={RUN} HTTP/1.1", "Host: 127.0.0.1",
                 "Content-Type: image/png", *headers, "", ""]  # fmt: skip
        self.socket.sendall("\r\n".join(lines).encode())

    def answer(self):
        """All that comes until the server closes; as a client that still sends would see it."""
        found = b""
        try:
            while part := self.socket.recv(65536):
                found += part
        except ConnectionResetError:
            pass
        self.socket.close()
        return found


def test_a_body_of_500_mb_is_refused_by_its_header_before_it_comes(whole_folder, tmp_path):
    with listening(whole_folder, tmp_path / "cache") as http:
        raw = Raw(http.port)
        raw.begin(f"Content-Length: {500 * 2**20}")
        answer = raw.answer()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"524,288,000 bytes" in answer


def test_a_body_without_end_is_read_no_further_than_the_bound(whole_folder, tmp_path):
    sent, part = 0, b"10000\r\n" + bytes(65536) + b"\r\n"
    with listening(whole_folder, tmp_path / "cache", upload_bytes=2**20) as http:
        raw = Raw(http.port)
        raw.begin("Transfer-Encoding: chunked")
        try:
            while sent < 500 * 2**20:
                raw.socket.sendall(part)
                sent += len(part)
        except OSError:  # the server has closed
            pass
        raw.socket.close()
        assert sent < 50 * 2**20
        assert http.get("/api/overview").status_code == 200


def test_a_chunked_body_that_is_too_large_is_told_so(own_folder, tmp_path):
    with serving(own_folder, tmp_path / "cache", upload_bytes=1000) as client:
        answer = send(client, iter([bytes(600), bytes(600)]))
        assert refusal(answer)[0] == 413


def test_a_body_that_does_not_arrive_is_not_waited_for(whole_folder, tmp_path):
    with listening(whole_folder, tmp_path / "cache", body_seconds=0.2) as http:
        raw = Raw(http.port)
        raw.begin("Content-Length: 100")
        assert raw.answer().startswith(b"HTTP/1.1 408 ")


def test_many_bytes_of_one_colour_are_bounded_by_their_pixels(own_folder, tmp_path):
    data = saved(np.zeros((400, 400, 3), np.uint8))
    assert len(data) < 2000
    torch.manual_seed(0)
    with serving(own_folder, tmp_path / "cache", pixels=100_000) as client:
        assert refusal(send(client, data))[0] == 413
