"""Handlers of what is there: the runs, one run, its curves, its galleries."""

from regard.errors import RegardError
from regard.server.answers import Curves, Gallery, Overview, RunAnswer
from regard.server.client import Client
from regard.server.described import run_answer
from regard.server.facts import Facts
from regard.server.filters import beside, gallery
from regard.server.live import curves_of
from regard.server.media import Media
from regard.server.nets import Reach, weights_of
from regard.server.questions import Nothing, OfCurves, OfGallery, OfRun
from regard.server.refusals import BusyError, UnavailableError, unknown
from regard.server.service import Service
from regard.server.states import state_of

HTML, REPORT = "text/html; charset=utf-8", "report.html"
# A report has script and style of its own. It may have come from anyone, so it runs apart from the
# page, as if from another site, and asks nothing of anyone.
_SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


async def overview(service: Service, client: Client, _asked: Nothing) -> Overview:
    """The folder that is served, and all runs, studies and tunings in it."""
    return await client.thread(service.lines.overview)


async def run(service: Service, client: Client, asked: OfRun) -> RunAnswer:
    """A run: its splits, methods, layers, metrics and config."""
    facts = await client.thread(service.shelves.facts, asked.run)
    reach, problem = await _reach(service, client, facts)
    state = await client.thread(state_of, facts.found.path)
    return await client.thread(run_answer, service.shelves, facts, state, reach, problem)


async def _reach(service: Service, client: Client, facts: Facts) -> tuple[Reach, str | None]:
    """What can be asked of a run's net, or why nothing can."""
    try:
        weights = await client.thread(weights_of, facts)
        known = service.nets.known_reach(facts, weights)
        if known is None:
            key = ("reach", facts.found.path, weights)
            known = await client.net(key, lambda: service.nets.reach(facts, weights))
        return known, None
    except (BusyError, UnavailableError):
        raise
    except RegardError as error:
        return Reach(), f"expected {error.expected}, found {error.found}"


async def report(service: Service, client: Client, asked: OfRun) -> Media:
    """The report of a run, a study or a tuning, that `regard report` wrote into its folder."""
    return await client.thread(_report, service, asked)


def _report(service: Service, asked: OfRun) -> Media:
    path = service.folder.named(asked.run).path / REPORT
    if not path.is_file():
        raise unknown("report", f"{asked.run}/{REPORT}", "make one: regard report FOLDER")
    data = service.folder.inside(path).read_bytes()
    return Media(data, HTML, {"Content-Security-Policy": _SANDBOX})


async def curves(service: Service, client: Client, asked: OfCurves) -> Curves:
    """The epochs of a run since a byte of its log, to be asked for again while it is trained."""
    found = service.folder.run(asked.run)
    return await client.thread(curves_of, service.folder, found.path, asked)


async def images(service: Service, client: Client, asked: OfGallery) -> Gallery:
    """The images of a split that a filter lets through, a page of them."""
    return await client.thread(_gallery, service, asked)


def _gallery(service: Service, asked: OfGallery) -> Gallery:
    shelves = service.shelves
    facts = shelves.facts(asked.run)
    rows = shelves.rows(facts, asked.split)
    if asked.other is not None:
        other = shelves.facts(asked.other)
        theirs = shelves.rows(other, asked.split)
        rows = beside(rows, theirs, f"{asked.run} and {asked.other}")
    return gallery(rows, asked, facts.gaze.method, several=facts.task == "multilabel")
