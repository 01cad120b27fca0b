"""A digest of a function's arguments: equal for equal arguments, different for all others.

Every part is hashed with its kind and its length, so ``1``, ``1.0``, ``True`` and ``"1"`` differ, and so do ``("ab",
"c")`` and ``("a", "bc")``. Dicts and sets count without their order, arrays with dtype and shape. What cannot be told
apart reliably is refused: an object whose state is not known might mean something else the next time.
"""

import dataclasses
import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, cast
from uuid import UUID

import msgspec

from farthing.core.errors import InputError

_TEXTUAL = (datetime, date, time, timedelta, Decimal, UUID, PurePath)


def fingerprint(value: object) -> bytes:
    """The digest of one value, 32 bytes. Raises ``InputError`` for what has no reliable digest."""
    kind, parts = _parts(value)
    digest = hashlib.sha256(f"{kind}\0{len(parts)}\0".encode())
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def call_key(name: str, version: str, arguments: Mapping[str, object]) -> str:
    """The key of one call. Raises ``InputError`` naming the argument that has no reliable digest."""
    digest = hashlib.sha256()
    for argument, value in arguments.items():
        try:
            digest.update(fingerprint((argument, value)))
        except InputError as problem:
            raise InputError(
                f"argument {argument!r} of {name} has no reliable digest", field=argument, value=problem.value,
                remedy="Pass plain data, or say key= to the decorator",
            ) from problem  # fmt: skip
    return f"{name}@{version}/{digest.hexdigest()}"


def name_of(function: Callable[..., object]) -> str:
    """A function's module and qualified name; for a program that is run directly, its file stands for the module.

    Raises ``InputError`` for lambdas and for functions that close over variables: their name does not say what they do.
    """
    module, name = function.__module__, function.__qualname__
    captured = function.__code__.co_freevars if inspect.isfunction(function) else ()
    if "<lambda>" in name or captured:
        what = f"closes over {', '.join(sorted(captured))}" if captured else "has no name"
        raise InputError(
            f"a cached function's name and arguments have to say what it computes, but this one {what}",
            field="function", value=f"{module}.{name}", remedy="Say name= to the decorator, one for each meaning",
        )  # fmt: skip
    if module == "__main__":
        main = sys.modules["__main__"]
        spec = getattr(main, "__spec__", None)
        module = spec.name if spec is not None else str(getattr(main, "__file__", module))
    return f"{module}.{name}"


def _parts(value: object) -> tuple[str, Sequence[bytes]]:
    """What a value consists of: the name of its kind, and bytes that tell it from others of the kind."""
    match value:
        case None | bool() | int() | float() | complex() | str() if not _foreign(value):
            return type(value).__name__, (repr(value).encode(),)
        case bytes() | bytearray() | memoryview():
            return "bytes", (bytes(cast("bytes", value)),)
        case list() | tuple() if type(cast("object", value)) in (list, tuple):
            items = cast("Sequence[object]", value)
            return type(items).__name__, [fingerprint(item) for item in items]
        case dict():
            return "dict", sorted(fingerprint(item) for item in cast("dict[object, object]", value).items())
        case set() | frozenset():
            return "set", sorted(fingerprint(item) for item in cast("set[object]", value))
        case _:
            return _object_parts(value)


def _object_parts(value: object) -> tuple[str, Sequence[bytes]]:
    if isinstance(value, _TEXTUAL):
        return _kind(value), (f"{value!r} {getattr(value, 'fold', 0)}".encode(),)
    if isinstance(value, Enum):
        return _kind(value), (value.name.encode(),)
    fields = _fields(value)
    return _array_parts(value) if fields is None else (_kind(value), [fingerprint(field) for field in fields])


def _fields(value: object) -> list[tuple[str, object]] | None:
    """The named parts of a Struct, a dataclass or a named tuple."""
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = tuple(field.name for field in dataclasses.fields(value))
    elif isinstance(value, tuple):
        names = cast("tuple[str, ...] | None", getattr(cast("object", value), "_fields", None))
    else:
        names = None
    return None if names is None else [(name, getattr(cast("object", value), name)) for name in names]


def _array_parts(value: Any) -> tuple[str, Sequence[bytes]]:
    """Arrays and frames, recognized by type without importing their libraries."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and type(value) in (numpy.ndarray, *_scalars(numpy, value)) and not value.dtype.hasobject:
        dense = numpy.ascontiguousarray(value)
        return "array", (repr(value.dtype.descr).encode(), repr(value.shape).encode(), dense.tobytes())
    if numpy is not None and type(value) is numpy.ndarray:
        return "objects", [repr(value.shape).encode(), *(fingerprint(item) for item in value.ravel().tolist())]
    if pandas is not None and type(value) is pandas.DataFrame:
        columns = [(name, value.iloc[:, at]) for at, name in enumerate(value.columns)]
        return "frame", [fingerprint(_index(value.index)), *(fingerprint((name, series)) for name, series in columns)]
    if pandas is not None and type(value) is pandas.Series:
        held = (str(value.dtype), value.name, _index(value.index), value.tolist())
        return "series", [fingerprint(part) for part in held]
    raise InputError("not a value with a reliable digest", field="value", value=_kind(value))


def _scalars(numpy: Any, value: object) -> tuple[type, ...]:
    return (type(value),) if isinstance(value, numpy.generic) else ()


def _index(index: Any) -> tuple[object, ...]:
    return (str(index.dtype), list(index.names), index.tolist())


def _foreign(value: object) -> bool:
    """Whether it is a subclass of a number or of text, such as numpy's float64, which has a kind of its own."""
    return type(value) not in (type(None), bool, int, float, complex, str)


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
