"""The OpenAPI file as tests read it: which operation a request is, and whether an answer is as documented."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from werkzeug.test import TestResponse

METHODS = {"get", "post", "put", "patch", "delete"}


@dataclass
class Specification:
    document: dict[str, Any]
    seen: set[tuple[str, int, str]] = field(default_factory=set)
    """Operation, status and code (empty for a success) of every answer that was checked."""

    @property
    def operations(self) -> dict[str, dict[str, Any]]:
        return {operation["operationId"]: operation for _, _, operation in self.routes()}

    def routes(self) -> list[tuple[str, str, dict[str, Any]]]:
        return [
            (path, method, item[method])
            for path, item in self.document["paths"].items()
            for method in METHODS & set(item)
        ]

    def resolve(self, part: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in part:
            reference = part["$ref"]
            part = self.document
            for step in reference.removeprefix("#/").split("/"):
                part = part[step]
        return part

    def faults(self, schema: dict[str, Any], value: Any) -> list[str]:
        validator = Draft202012Validator(
            {**schema, "components": self.document["components"]}, format_checker=FormatChecker()
        )
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def find(self, method: str, path: str) -> dict[str, Any] | None:
        """The operation of a request; a fixed path comes before one with parameters."""
        for template, its_method, operation in sorted(self.routes(), key=lambda route: route[0].count("{")):
            pattern = "[^/]+".join(re.escape(part) for part in re.split(r"\{\w+\}", template))
            if its_method == method.lower() and re.fullmatch(pattern, path):
                return operation
        return None

    def check(self, response: TestResponse) -> None:
        """Fail unless the answer is as its operation says: status, headers, content type and body."""
        request = response.request
        operation = self.find(request.method, request.path)
        assert operation, f"{request.method} {request.path} is not documented"
        name = f"{operation['operationId']}: {response.status_code} {response.data[:300]!r}"
        documented = operation["responses"].get(str(response.status_code))
        assert documented, f"{name} is not documented"
        documented = self.resolve(documented)
        for header in self._required_headers(response.status_code):
            assert header in documented["headers"] and header in response.headers, f"{name}: {header}"
        for header in {"Idempotent-Replayed", "Retry-After", "WWW-Authenticate"} & set(response.headers.keys()):
            assert header in documented["headers"], f"{name}: {header}"
        code = self._check_body(name, documented, response)
        self.seen.add((operation["operationId"], response.status_code, code))

    @staticmethod
    def _required_headers(status: int) -> list[str]:
        more = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}
        return ["X-Request-ID", "Server-Timing", *more.get(status, [])]

    def _check_body(self, name: str, documented: dict[str, Any], response: TestResponse) -> str:
        if "content" not in documented:
            assert not response.data, name
            return ""
        assert response.mimetype in documented["content"], f"{name}: {response.content_type}"
        schema = documented["content"][response.mimetype]["schema"]
        value = response.json if response.is_json else response.data.decode(errors="replace")
        assert not self.faults(schema, value), (name, self.faults(schema, value))
        if response.status_code < 400:
            return ""
        assert set(value) <= set(self.document["components"]["schemas"]["Problem"]["properties"]), (name, set(value))
        assert value["code"] in codes_of(documented), name
        return str(value["code"])


def codes_of(response: dict[str, Any]) -> list[str]:
    """The codes with which an answer may refuse; of a success, one that is empty."""
    codes: list[str] = response.get("x-codes", [""])
    return codes
