"""The API's document, OpenAPI 3.1, generated from the models of questions and answers."""

import inspect
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from regard import __version__
from regard.server.answers import Refused
from regard.server.api import Endpoint

_PLACE = "#/components/schemas/{model}"
_REFUSALS = {
    "400": "A mistake in what is asked.",
    "401": "The token is missing or wrong.",
    "403": "Another site's request.",
    "404": "There is no such thing.",
    "408": "The body did not arrive in time.",
    "413": "Too large.",
    "415": "Of another kind.",
    "429": "Too many requests wait for a net.",
    "503": "No answer in time.",
}


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The document of all that can be asked for."""
    endpoints = list(endpoints)
    given = [Refused, *(e.gives for e in endpoints if not isinstance(e.gives, str))]
    modes: dict[type[BaseModel], JsonSchemaMode] = dict.fromkeys(given, "serialization")
    modes |= dict.fromkeys((e.asks for e in endpoints if e.has_json), "validation")
    _, schemas = models_json_schema(list(modes.items()), ref_template=_PLACE)
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(f"/api{endpoint.path}", {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Regard", "version": __version__, "description": "Runs to be looked at."},
        "paths": paths,
        "components": {"schemas": schemas.get("$defs", {})},
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    told = inspect.getdoc(endpoint.handler) or ""
    found: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}{endpoint.path.replace('/', '_')}",
        "summary": " ".join(told.split("\n\n")[0].split()),
        "responses": {"200": _answer(endpoint.gives), **_refusals()},
    }
    if endpoint.has_json:
        content = {"application/json": {"schema": _reference(endpoint.asks)}}
        found["requestBody"] = {"required": True, "content": content}
    else:
        found["parameters"] = list(_parameters(endpoint.asks))
    if endpoint.takes:
        binary = {"schema": {"type": "string", "format": "binary"}}
        content = dict.fromkeys(endpoint.takes, binary)
        found["requestBody"] = {"required": True, "content": content}
    return found


def _parameters(model: type[BaseModel]) -> Iterable[dict[str, Any]]:
    schema = model.model_json_schema(ref_template=_PLACE)
    needed = schema.get("required", [])
    for name, own in schema.get("properties", {}).items():
        yield {"name": name, "in": "query", "required": name in needed, "schema": _of_text(own)}


def _of_text(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema: in a query there is no null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "title")}
    if rest.get("default", "") is None:
        del rest["default"]
    return rest | kinds[0] if len(kinds) == 1 else rest | ({"anyOf": kinds} if kinds else {})


def _answer(gives: type[BaseModel] | str) -> dict[str, Any]:
    if isinstance(gives, str):
        content = {gives: {"schema": {"type": "string", "format": "binary"}}}
    else:
        content = {"application/json": {"schema": _reference(gives)}}
    return {"description": "The answer.", "content": content}


def _refusals() -> dict[str, Any]:
    content = {"application/json": {"schema": _reference(Refused)}}
    return {code: {"description": text, "content": content} for code, text in _REFUSALS.items()}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _PLACE.format(model=model.__name__)}
