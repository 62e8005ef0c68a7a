"""The wire between a widget in Python and its page, without Jupyter: real messages, kept or passed on."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comm
import pytest
from comm.base_comm import BaseComm


class Kernel:
    """Collects what widgets send, as Jupyter's messaging protocol carries it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.state: dict[str, Any] = {}

    @classmethod
    @contextmanager
    def listening(cls, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
        """Every comm that is opened meanwhile sends to this kernel."""
        kernel = cls()

        class Wire(BaseComm):
            def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):  # type: ignore[no-untyped-def]
                kernel.take(msg_type, data or {}, [bytes(one) for one in buffers or []])

        with monkeypatch.context() as patch:
            patch.setattr(comm, "create_comm", Wire)
            yield kernel

    def take(self, type: str, data: dict[str, Any], buffers: list[bytes]) -> None:
        """Keep one message; the state's buffers are put where their paths say."""
        if type == "comm_close":
            return
        content: dict[str, Any]
        if data.get("method") == "custom":
            content = {"kind": "custom", "content": data["content"], "buffers": buffers}
        else:
            state = dict(data.get("state", {}))
            for path, value in zip(data.get("buffer_paths", []), buffers, strict=True):
                (name,) = path
                state[name] = value
            self.state |= state
            content = {"kind": "state", "state": state}
        self.sent.append(content)

    def drain(self) -> list[dict[str, Any]]:
        """What was sent since the last time, bytes as base64."""
        found, self.sent = self.sent, []
        return [jsonable(one) for one in found]

    def say(self, widget: Any, message: dict[str, Any]) -> None:
        """A message of the page to the widget: `custom`, or `update` of its state."""
        widget._handle_msg({"content": {"data": message}, "buffers": []})

    def request(
        self, widget: Any, method: str, address: str, body: object = None
    ) -> tuple[dict[str, Any], bytes]:
        """Send a request of the page: status and headers of its one answer, and the body."""
        self.sent.clear()
        content = {"id": "1", "method": method, "address": address}
        content["body"] = None if body is None else json.dumps(body)
        self.say(widget, {"method": "custom", "content": content})
        (answer,) = [one for one in self.sent if one["kind"] == "custom"]
        assert answer["content"]["id"] == "1"
        (found,) = answer["buffers"]
        return answer["content"], found


def jsonable(value: Any) -> Any:
    """The same value with bytes as {"base64": …}."""
    if isinstance(value, bytes | memoryview):
        return {"base64": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, dict):
        return {key: jsonable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(one) for one in value]
    return value
