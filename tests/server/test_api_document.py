"""The API's document is true: what is generated from it never meets a fault of ours."""

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from server_tools import LOCAL, one

from regard.server.api import ENDPOINTS

EXAMPLES = 25
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large,
         HealthCheck.function_scoped_fixture]  # fmt: skip


def test_the_document_lists_everything_and_resolves(client):
    told = client.get("/api/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    listed = {(path, method) for path, own in told["paths"].items() for method in own}
    assert listed == {(f"/api{e.path}", e.method.lower()) for e in ENDPOINTS}
    names = set(told["components"]["schemas"])
    places = _references(told)
    assert places <= {f"#/components/schemas/{name}" for name in names}
    asked = {p["name"]: p for p in told["paths"]["/api/gallery"]["get"]["parameters"]}
    assert asked["run"]["required"]
    assert asked["limit"]["schema"]["maximum"] == 200
    assert asked["right"]["schema"]["enum"] == ["any", "right", "wrong"]


def _references(value):
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(_references, value.values())) if value else own
    return set().union(*map(_references, value)) if isinstance(value, list) and value else set()


def test_answers_are_as_the_document_says(client):
    schema = schemathesis.openapi.from_dict(client.get("/api/openapi.json").json())
    image = {"run": "runs/one", "split": "test", "index": 37}
    for path in ("overview", "run", "curves", "gallery", "image", "background", "corrections"):
        given = client.get(f"/api/{path}", params=image)
        assert given.status_code == 200, given.text
        schema[f"/api/{path}"]["GET"].validate_response(given)


def test_nothing_that_can_be_asked_meets_a_fault(own):
    """Each endpoint in turn, with what fits the document and what does not, of real runs too."""
    told = one(own, path="openapi.json")
    for path in told["paths"].values():
        for operation in path.values():
            for asked in operation.get("parameters", ()):
                if asked["name"] in REAL:
                    asked["schema"] = {"anyOf": [{"enum": REAL[asked["name"]]}, asked["schema"]]}
    body = told["components"]["schemas"]["Correction"]["properties"]
    for name in ("run", "split", "index"):
        body[name] = {"anyOf": [{"enum": REAL[name]}, body[name]]}
    config = SchemathesisConfig()
    schema = schemathesis.openapi.from_dict(told, config=config)
    statuses = set()
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
                  suppress_health_check=QUIET)  # fmt: skip
        @schema_given(operation)
        def asks(case):
            answer = case.call(session=None, base_url=LOCAL, app=own.app)
            statuses.add(answer.status_code)
            case.validate_response(answer, checks=[not_a_server_error])

        asks()
    assert {200, 400, 404} <= statuses


REAL = {
    "run": ["runs/one", "runs/sets", "runs/masks"],
    "other": ["runs/two", "runs/masks"],
    "split": ["test", "val"],
    "index": [3, 36, 37],
    "method": ["gradcam", "rollout", "eigencam"],
    "sort": ["energy", "energy_change", "probability"],
    "score": ["energy", "mean_iou"],
    "label": ["fern", "berry"],
    "manifest": ["fixed"],
}


def schema_given(operation):
    from hypothesis import given

    return given(case=operation.as_strategy())
