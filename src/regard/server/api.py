"""The table of all that can be asked for, of which routes and the API's document are made."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from regard.server import (
    answers,
    browsing,
    correcting,
    explaining,
    questions,
    showing,
    uploading,
)
from regard.server.media import Media
from regard.server.pictures import JPEG, PNG
from regard.server.questions import Question

Handler = Callable[[Any, Any, Any], Awaitable[BaseModel | Media]]


@dataclass(frozen=True)
class Endpoint:
    """What can be asked for at a path.

    Attributes:
        path: under `/api`.
        handler: of the service, the client and the question; its docstring describes it.
        asks: the model of the query, or of the body where that is JSON.
        gives: the model of the answer, or its media type.
        method: of HTTP.
        takes: media types of a body that is no JSON.
    """

    path: str
    handler: Handler
    asks: type[BaseModel]
    gives: type[BaseModel] | str
    method: str = "GET"
    takes: tuple[str, ...] = ()

    @property
    def has_json(self) -> bool:
        """Whether the question is the body."""
        return not issubclass(self.asks, Question)


ENDPOINTS = (
    Endpoint("/overview", browsing.overview, questions.Nothing, answers.Overview),
    Endpoint("/run", browsing.run, questions.OfRun, answers.RunAnswer),
    Endpoint("/report", browsing.report, questions.OfRun, browsing.HTML),
    Endpoint("/curves", browsing.curves, questions.OfCurves, answers.Curves),
    Endpoint("/gallery", browsing.images, questions.OfGallery, answers.Gallery),
    Endpoint("/image", showing.image, questions.OfImage, answers.ImageAnswer),
    Endpoint("/picture", showing.picture, questions.OfPicture, JPEG),
    Endpoint("/region", showing.region, questions.OfRegion, PNG),
    Endpoint("/mask", showing.mask, questions.OfImage, PNG),
    Endpoint("/map", explaining.map_, questions.OfMap, PNG),
    Endpoint("/pixel", explaining.pixel, questions.OfPixel, PNG),
    Endpoint("/prediction", explaining.prediction, questions.OfPicture, PNG),
    Endpoint("/background", explaining.background, questions.OfImage, answers.Background),
    Endpoint("/upload", uploading.upload, questions.OfUpload, answers.Uploaded, "POST",
             uploading.KINDS),
    Endpoint("/corrections", correcting.corrections, questions.OfCorrections,
             answers.CorrectionsAnswer),
    Endpoint("/correction", correcting.correction, questions.OfCorrection, answers.Corrected),
    Endpoint("/correction", correcting.correct, questions.Correction, answers.Saved, "POST"),
)  # fmt: skip
