"""Whether a message of the WebSocket is what /asyncapi.json says of it."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft7Validator


class Described:
    """seen: names of the messages that were judged."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._messages = document["components"]["messages"]
        self._components = {"schemas": document["components"]["schemas"]}
        self._validators: dict[str, Draft7Validator] = {}
        self.seen: set[str] = set()

    def require(self, message: dict[str, Any]) -> None:
        """Fails when the server may not send this."""
        if "op" in message:
            self._require(f"answer.{message['op']}", message)
        else:
            self._require(f"{message['ch']}.{message['type']}", message)

    def require_request(self, message: dict[str, Any]) -> None:
        self._require(f"request.{message['op']}", message)

    def _require(self, name: str, message: dict[str, Any]) -> None:
        assert name in self._messages, f"{name} is not described: {message}"
        if name not in self._validators:
            schema = {"allOf": [self._messages[name]["payload"]], "components": self._components}
            self._validators[name] = Draft7Validator(schema)
        errors = list(self._validators[name].iter_errors(message))
        assert not errors, f"{name} is not as described: {errors[0].message} at {list(errors[0].absolute_path)}"
        self.seen.add(name)
