"""Bytes of an ONNX file become its messages."""

from __future__ import annotations

from typing import Any


def parsed(onnx: Any, data: bytes) -> Any:
    """The model that bytes describe, all of whose names are text.

    Protocol buffers give names that are not UTF-8 as bytes, which would be mistaken for other values.

    Raises:
        Exception: not a model, or a name that is not UTF-8; protobuf's errors have no common class.
    """
    model = onnx.load_model_from_string(data)
    if not _has_text(model):
        raise ValueError("a name is not UTF-8")
    return model


def _has_text(message: Any) -> bool:
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        values = [value] if isinstance(value, (str, bytes)) or hasattr(value, "ListFields") else value
        check = _has_text if field.type == field.TYPE_MESSAGE else _is_text
        if not all(map(check, values)):
            return False
    return True


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
