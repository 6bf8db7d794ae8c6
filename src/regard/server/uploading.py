"""Handler of an image that is sent: what the net says of it; nothing of it is stored."""

import base64
import time
from dataclasses import dataclass

from torch import Tensor

from regard.data.transforms import Transform
from regard.errors import DataError
from regard.evaluation.label_sets import THRESHOLD
from regard.evaluation.settings import Gaze
from regard.images.opening import image_size
from regard.images.size import Size
from regard.runs.background import options_of
from regard.runs.explained import explain_image
from regard.runs.net import transform_of
from regard.runs.overlay import laid
from regard.saliency.base import METHODS
from regard.server import pictures
from regard.server.answers import Named, Probability, Uploaded
from regard.server.client import Client
from regard.server.facts import Facts
from regard.server.limits import Limits
from regard.server.looking import Look, named_target
from regard.server.nets import Weights, breaking, weights_of
from regard.server.questions import OfUpload
from regard.server.refusals import TooLargeError, UnsupportedError
from regard.server.service import Service
from regard.server.showing import shares_of

KINDS = ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/tiff", "image/gif")
# Pixels that the photo is shown with at the most.
WIDTH = 1024


@dataclass(frozen=True)
class Sent:
    """An image that was sent, decoded.

    Attributes:
        size: (height, width) upright.
        fitted: uint8 (3, H, W), as the net takes it.
        picture: as JPEG.
        shown: (height, width) of the picture.
    """

    size: Size
    fitted: Tensor
    picture: bytes
    shown: Size


async def upload(service: Service, client: Client, asked: OfUpload) -> Uploaded:
    """What the net says of an image that is sent, and where it looks; nothing of it is stored."""
    began = time.monotonic()
    _refuse_kind(client.request.headers.get("content-type", ""))
    facts = await client.thread(service.shelves.facts, asked.run)
    method = asked.method or facts.gaze.method
    METHODS[method]  # an unknown one is refused with the near names
    target = named_target(facts.classes, asked.target)
    weights = await client.thread(weights_of, facts)
    body = await client.body(service.limits.upload_bytes)
    transform = transform_of(facts.data.model_dump())
    sent = await client.thread(_decoded, body, transform, service.limits)
    found = await client.net(
        object(), lambda: _looked(service, facts, weights, sent, method, target)
    )
    return await client.thread(_told, facts, transform, sent, found, began)


def _refuse_kind(told: str) -> None:
    kind = told.partition(";")[0].strip().lower()
    if kind not in KINDS:
        raise UnsupportedError(
            "Content-Type",
            expected="one of " + ", ".join(KINDS),
            found=repr(kind[:80]),
            remedy="send a photo",
        )


def _decoded(body: bytes, transform: Transform, limits: Limits) -> Sent:
    try:
        return _sent(body, transform, limits)
    except DataError as error:
        raise DataError(
            "the image", expected=error.expected, found=error.found, remedy="choose another"
        ) from error


def _sent(body: bytes, transform: Transform, limits: Limits) -> Sent:
    size = image_size(body)
    if size[0] * size[1] > limits.pixels:
        raise TooLargeError(
            "the image",
            expected=f"at most {limits.pixels:,} pixels",
            found=f"{size[1]:,} x {size[0]:,}",
            remedy="make it smaller",
        )
    shown = pictures.shown_at(size, WIDTH)
    picture = pictures.photo(body, transform, shown)
    return Sent(size, transform.load(body), picture, shown)


def _looked(
    service: Service, facts: Facts, weights: Weights, sent: Sent, method: str, target: str | None
) -> Look:
    run = service.nets.run(facts, weights)
    gaze = Gaze.model_validate(run.config["gaze"])
    with breaking(facts):
        seen = explain_image(
            run, sent.fitted, None, {method: options_of(run, method)}, gaze, target
        )
    return Look.of(seen, method)


def _told(facts: Facts, transform: Transform, sent: Sent, found: Look, began: float) -> Uploaded:
    assert found.map is not None
    pairs = shares_of(facts.classes, found)
    shown = laid(found.map, transform, sent.size, sent.shown)
    return Uploaded(
        width=sent.size[1],
        height=sent.size[0],
        predicted=_predicted(facts, pairs),
        target=facts.classes[found.chosen],
        probabilities=[Probability(name=name, value=value) for name, value in pairs],
        picture=data_url(sent.picture, pictures.JPEG),
        map=data_url(pictures.heat(shown), pictures.PNG),
        peak=found.peak,
        seconds=round(time.monotonic() - began, 3),
    )


def _predicted(facts: Facts, pairs: list[tuple[str, float]]) -> Named | None:
    """The most probable class; of sets of labels all that are predicted; of a segmenter none."""
    if facts.task == "segmentation":
        return None
    if facts.task == "multilabel":
        return [name for name, value in pairs if value >= THRESHOLD]
    return pairs[0][0]


def data_url(data: bytes, kind: str) -> str:
    """A picture as an address that needs no file."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
