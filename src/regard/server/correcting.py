"""Handlers of corrections: regions drawn anew on the page."""

from regard.images.opening import image_size
from regard.server import pictures
from regard.server.answers import Corrected, CorrectionsAnswer, ManifestLine, Saved
from regard.server.client import Client
from regard.server.drawn import classes_of
from regard.server.questions import Correction, OfCorrection, OfCorrections
from regard.server.service import Service
from regard.server.shelves import no_image
from regard.server.uploading import data_url


async def corrections(service: Service, client: Client, asked: OfCorrections) -> CorrectionsAnswer:
    """The manifests of corrections, those of a run's images where one is named, and a free name."""
    return await client.thread(_listed, service, asked)


def _listed(service: Service, asked: OfCorrections) -> CorrectionsAnswer:
    facts = None if asked.run is None else service.shelves.facts(asked.run)
    of = None if facts is None else (facts, service.shelves.manifest(facts))
    found = service.corrections.listed(of)
    lines = [ManifestLine(name=name, images=n, corrected=own) for name, n, own in found]
    return CorrectionsAnswer(manifests=lines, free=service.corrections.free())


async def correction(service: Service, client: Client, asked: OfCorrection) -> Corrected:
    """What is saved of an image: no boxes where that is nowhere, nulls where nothing is saved."""
    return await client.thread(_saved, service, asked)


def _saved(service: Service, asked: OfCorrection) -> Corrected:
    shelves, facts = service.shelves, service.shelves.facts(asked.run)
    sample = shelves.sample(facts, asked.split, asked.index)
    run = shelves.manifest(facts)
    found = service.corrections.saved(facts, run, asked.manifest, asked.index)
    mask = None if found.mask is None else data_url(found.mask.read_bytes(), pictures.PNG)
    classes = None
    if found.classes is not None:
        known = classes_of(facts, run)
        numbers = known.read(str(found.classes), image_size(sample.views[0][1]))
        classes = data_url(pictures.numbers(numbers), pictures.PNG)
    return Corrected(boxes=found.boxes, box_labels=found.box_labels, mask=mask, classes=classes)


async def correct(service: Service, client: Client, asked: Correction) -> Saved:
    """Save where the evidence of an image is, in a manifest of corrections for the next training.

    Boxes and a mask that are both null give the image its own region back, and of a segmenter
    classes that are null its own mask.
    """
    return await client.thread(_correct, service, asked)


def _correct(service: Service, asked: Correction) -> Saved:
    facts = service.shelves.facts(asked.run)
    manifest = service.shelves.manifest(facts)
    if asked.index >= len(manifest) or manifest.table["split"][asked.index] != asked.split:
        raise no_image(asked.split, asked.index)
    path, corrected, command = service.corrections.save(facts, manifest, asked)
    return Saved(manifest=path, corrected=corrected, command=command)
