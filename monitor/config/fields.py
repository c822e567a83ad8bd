"""Typed fields of frozen dataclasses as pydantic models: texts in, finished dataclasses out, the models dropped.

A probe's or a sink's fields are its YAML. `build_model` turns them into a model that refuses unknown keys; validating
an entry with `Secrets` as the context gives every fault of the entry at once, each with its path, and never the
value that was wrong (pydantic's own messages hold input values, so none of them is shown).
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache, lru_cache
from typing import Annotated, Any, Literal, Optional, TypeAlias, Union, get_args, get_origin, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    create_model,
)
from pydantic_core import core_schema

from monitor.config.document import FilePath, Plain
from monitor.config.secrets import Secrets, borrowed, is_harmless
from monitor.config.suggest import Vocabulary, shorten
from monitor.config.units import (
    DURATION_EXAMPLE,
    MOST_EXAMPLE,
    SIZE_EXAMPLE,
    parse_duration,
    parse_most,
    parse_number,
    parse_size,
    parse_whole,
)
from monitor.sinks.contract import Most
from probes import contract
from probes.contract import BadField, ByteSize, Secret

Finding: TypeAlias = "tuple[FilePath, str | None, str]"
"""A fault within an entry: the path, the unknown key to point at if it is one, and the message."""

_EXPANDED = r"|\$\{|\{\{"
"""In the JSON Schema a typed text may also be a variable or a placeholder of for_each."""
_DURATION_JSON = {"type": "string", "pattern": rf"^([0-9.]+(us|ms|s|m|h|d|w))+${_EXPANDED}"}
_SIZE_JSON = {"type": "string", "pattern": rf"^[0-9.]+([kKMGT]i?)?B${_EXPANDED}"}
_SOURCE_JSON: list[dict[str, Any]] = [
    {"type": "object", "properties": {key: {"type": "string"}}, "required": [key], "additionalProperties": False}
    for key in ("file", "credential")
]
TEXT_JSON: dict[str, Any] = {"anyOf": [{"type": ["string", "number", "boolean"]}, *_SOURCE_JSON]}


@dataclass(frozen=True, eq=False)
class Leaf:
    """Annotates a field that is written as one text. `parse` makes its value; `noun` is what it should have been."""

    parse: Callable[[str], Any]
    noun: str
    schema: Mapping[str, Any]
    public: bool = True

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return dict(self.schema)

    def _validate(self, value: Plain, info: Any) -> Any:
        secrets: Secrets = info.context
        text = secrets.resolve(value, public=self.public)
        try:
            return self.parse(text)
        except ValueError as error:
            if borrowed(value):
                raise ValueError(f"{_origin(value)} does not hold {self.noun}") from None
            raise ValueError(str(error)) from None


class PathLeaf(Leaf):
    """Annotates a field that names a file: relative to checks.yaml, and handed on from the root."""

    def _validate(self, value: Plain, info: Any) -> Any:
        if isinstance(value, dict):
            raise ValueError("must be the path of the file itself, not what stands in one")  # noqa: TRY004
        secrets: Secrets = info.context
        text = secrets.resolve(value, public=True)
        if not text:
            raise ValueError("is empty: write the path of a file, or remove the key")
        return secrets.whole(text)


class Listed:
    """Annotates a tuple: a single value is a list of one. `check` may refuse the texts of the list as a whole."""

    def __init__(self, check: Callable[[list[Any]], None] | None = None) -> None:
        self._check = check

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self._listed, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        listed = handler(schema)
        return {"anyOf": [listed["items"], listed]}

    def _listed(self, value: Any) -> Any:
        values = value if isinstance(value, list) else [value]
        if self._check is not None:
            self._check(values)
        return values


def _origin(value: Plain) -> str:
    if isinstance(value, dict):
        return f"the {next(iter(value), 'value')}"
    return f'"{shorten(value)}"' if isinstance(value, str) else "the value"


def parse_bool(text: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise ValueError(f'"{shorten(text)}" is not a yes or no: write true or false')


def choice(allowed: Mapping[str, Any]) -> Leaf:
    """One of a closed set of words, by the text that is written."""

    def parse(text: str) -> Any:
        if text in allowed:
            return allowed[text]
        raise ValueError(Vocabulary("value", allowed).unknown(text))

    schema = {"anyOf": [{"enum": list(allowed)}, {"type": "string", "pattern": _EXPANDED[1:]}]}
    return Leaf(parse, " or ".join(allowed), schema)


def _validate_secret(value: Plain, info: ValidationInfo) -> Secret:
    secrets: Secrets = info.context  # type: ignore[assignment]  # validation always hands it over
    text = secrets.resolve(value, secret=True)
    if not text:
        raise ValueError(
            f"is empty: {_origin(value)} gives no text" if value else "is empty: write one, or a ${VARIABLE}"
        )
    return Secret(text)


def _validate_header(value: Plain, info: ValidationInfo) -> Plain:
    secrets: Secrets = info.context  # type: ignore[assignment]  # validation always hands it over
    secrets.resolve(value, public=True, needed=True)
    return value


def _finish_headers(values: dict[str, Plain], info: ValidationInfo) -> dict[str, Secret]:
    """A harmless header that is written out is not searched for in what leaves the agent: see `is_harmless`."""
    secrets: Secrets = info.context  # type: ignore[assignment]  # validation always hands it over
    return {key: Secret(secrets.resolve(item, secret=not is_harmless(key, item))) for key, item in values.items()}


Text = Annotated[str, Leaf(str, "a text", TEXT_JSON, public=False)]
Name = Annotated[str, Leaf(str, "a text", TEXT_JSON)]
Names = Annotated[tuple[Name, ...], Listed()]
NAMES: TypeAdapter[tuple[str, ...]] = TypeAdapter(Names)
Labels = dict[str, Name]
Bool = Annotated[bool, Leaf(parse_bool, "true or false", {"type": ["boolean", "string"]})]
PathText = Annotated[str, PathLeaf(str, "a path", {"type": "string"})]
Whole = Annotated[int, Leaf(parse_whole, "a whole number", {"type": ["integer", "string"]})]
Number = Annotated[float, Leaf(parse_number, "a number", {"type": ["number", "string"]})]
Duration = Annotated[timedelta, Leaf(parse_duration, DURATION_EXAMPLE, _DURATION_JSON)]
Size = Annotated[int, Leaf(parse_size, SIZE_EXAMPLE, _SIZE_JSON)]
MostText = Annotated[
    Most, Leaf(lambda text: Most(*parse_most(text)), f"a rate such as {MOST_EXAMPLE}", {"type": "string"})
]
SecretText = Annotated[Any, PlainValidator(_validate_secret), WithJsonSchema(TEXT_JSON)]
_Headers = Annotated[
    dict[str, Annotated[Any, PlainValidator(_validate_header)]],
    AfterValidator(_finish_headers),
    WithJsonSchema({"type": "object", "additionalProperties": TEXT_JSON}),
]

_LEAVES: Mapping[Any, Any] = {
    contract.FilePath: PathText,
    str: Text, bool: Bool, int: Whole, float: Number, timedelta: Duration, ByteSize: Size, Secret: SecretText,
    Most: MostText,
}  # fmt: skip


def annotation_of(declared: Any, where: str) -> Any:
    """The pydantic annotation for a field's type. Raises `TypeError` for a type that no YAML can stand for."""
    origin, args = get_origin(declared), get_args(declared)
    if declared in _LEAVES:
        return _LEAVES[declared]
    if origin is Annotated:
        return annotation_of(args[0], where)
    if origin in (Union, types.UnionType) and len(args) == 2 and type(None) in args:
        (inner,) = (arg for arg in args if arg is not type(None))
        return Optional[annotation_of(inner, where)]  # noqa: UP045  (made at run time)
    if origin is Literal:
        return Annotated[Any, choice({str(value): value for value in args})]
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return Annotated[tuple[annotation_of(args[0], where), ...], Listed()]  # type: ignore[misc]
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping) and args[0] is str:
        return _Headers if args[1] is Secret else dict[str, annotation_of(args[1], where)]  # type: ignore[misc]
    if isinstance(declared, type) and issubclass(declared, StrEnum):
        return Annotated[Any, choice({member.value: member for member in declared})]
    if isinstance(declared, type) and is_dataclass(declared):
        return _nested(declared)
    raise TypeError(f"{where}: fields of the type {declared} cannot be read from YAML")


@cache
def own_model(cls: type) -> type[BaseModel]:
    """The model of nothing but the fields of `cls`."""
    return build_model(cls, cls.__name__, FieldsModel)


def _nested(cls: type) -> Any:
    return Annotated[own_model(cls), AfterValidator(lambda values: build(cls, values))]


class FieldsModel(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


@cache
def own_fields(cls: type) -> tuple[tuple[str, str], ...]:
    """(field, name in the model) of the dataclass `cls`; prefixed, since pydantic has names of its own."""
    return tuple((f.name, f"f_{f.name}") for f in fields(cls) if f.init and not f.name.startswith("_"))


def build_model(cls: type, name: str, base: type[BaseModel], **more: Any) -> type[BaseModel]:
    """The model of an entry: the keys of `base`, `more` (as for create_model), and the fields of `cls`."""
    hints = get_type_hints(cls, include_extras=True)
    required = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}
    definitions: dict[str, Any] = dict(more)
    for field, model_name in own_fields(cls):
        key = field.rstrip("_")
        if key in base.model_fields:
            raise TypeError(f"{cls.__name__}.{field}: every entry has a key of that name already")
        annotation = annotation_of(hints[field], f"{cls.__name__}.{field}")
        default = ... if field in required else None
        definitions[model_name] = (annotation, Field(default, alias=key, description=help_of(hints[field])))
    model: type[BaseModel] = create_model(name, __base__=base, **definitions)
    return model


def help_of(hint: Any) -> str | None:
    """The text in ``Annotated[type, "what it means"]``."""
    if get_origin(hint) is not Annotated:
        return None
    return next((extra for extra in get_args(hint)[1:] if isinstance(extra, str)), None)


def build(cls: Any, values: BaseModel) -> Any:
    """The dataclass with the values that were written. Raises what its ``__post_init__`` raises."""
    written, held = values.model_fields_set, values.__dict__
    return cls(**{field: held[name] for field, name in own_fields(cls) if name in written})


def findings(
    error: ValidationError, model: type[BaseModel], path: FilePath, *, missing: bool = True
) -> Iterator[Finding]:
    """Pydantic's errors in our words; `missing` says whether keys that are not there are among them."""
    for item in error.errors(include_url=False, include_input=False):
        where: FilePath = (*path, *item["loc"])
        kind, cause = item["type"], item.get("ctx", {}).get("error")
        if kind == "extra_forbidden":
            key = str(item["loc"][-1])
            yield where[:-1], key, _unknown_key(key, keys_at(model, item["loc"][:-1]))
        elif kind == "missing":
            if missing:
                yield where[:-1], None, f'"{item["loc"][-1]}" is missing'
        elif isinstance(cause, BadField):
            for bad in cause.all:
                yield (*where, *field_steps(bad)), None, str(bad)
        elif cause is not None:
            yield where, None, str(cause)
        else:
            yield where, None, _shape(kind, keys_at(model, item["loc"]))


def field_steps(error: BadField) -> FilePath:
    """``expect.json_`` as the keys of the file: ("expect", "json")."""
    return tuple(step.rstrip("_") for step in error.field.split("."))


_SHAPES = {"dict_type": "must be a mapping of names to values", "tuple_type": "must be a list"}


def _shape(kind: str, keys: tuple[str, ...]) -> str:
    if kind in ("model_type", "model_attributes_type"):
        some = f", with {' or '.join(keys[:3])}{' ...' if len(keys) > 3 else ''}" if keys else ""
        return f"must be a mapping of keys to values{some}"
    return _SHAPES.get(kind, "is not what is expected here")


@lru_cache(maxsize=256)
def _unknown_key(key: str, known: tuple[str, ...]) -> str:
    if any(sign in key for sign in "()<>"):
        return f'unknown key "{shorten(key)}": quote a condition that holds a comma'
    return Vocabulary("key", known).unknown(key)


def keys_at(annotation: Any, loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys that are allowed at `loc` below a model or an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        by_key = {field.alias or name: field.annotation for name, field in annotation.model_fields.items()}
        return keys_at(by_key.get(str(loc[0])), loc[1:]) if loc else tuple(by_key)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return keys_at(args[0], loc)
    if origin in (Union, types.UnionType):
        return keys_at(next(arg for arg in args if arg is not type(None)), loc)
    if origin is tuple:
        return keys_at(args[0], loc[1:])
    if origin is dict:
        return keys_at(args[1], loc[1:])
    return ()
