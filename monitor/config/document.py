"""One YAML file: composed once, kept as nodes with their places, read out as texts, lists and mappings.

Scalars are always text: nothing here turns ``on`` into True or ``22:30`` into a number. Duplicate keys, merge keys
and tags are refused; anchors and aliases are allowed, within bounds that a "billion laughs" file exceeds.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any, TypeAlias

import yaml

from monitor.config.model import Fault
from monitor.config.suggest import shorten

Plain: TypeAlias = "str | list[Plain] | dict[str, Plain] | None"
"""What a file holds once it is read: texts, lists, mappings, and None where nothing is written."""

FilePath: TypeAlias = "tuple[str | int, ...]"
"""Where in a file: ``("checks", 3, "degraded", 0)``."""

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 40
MAX_NODES = 1_000_000
"""Texts, lists and mappings that all files hold together: 10,000 checks need 200,000, with every key written 640,000.
Each takes 400 bytes while the files are read, and the agent runs beside: `MemoryMax=` of the unit is 1 GiB."""
MAX_FAULTS = 1000
"""Faults of one configuration that are kept; the others are counted."""
TEXT_OF_ONE = 100
"""Characters of a text that weigh as much as one more node."""
_PLAIN_TAG = "brownout"
_TABS = "indent with spaces, not tabs"
_TOO_MANY = f"the files hold more than {MAX_NODES:,} texts, lists and mappings: run a second agent for the rest"

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Unreadable(Exception):
    """The file cannot be used at all; `fault` says why and where."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(slots=True)
class Budget:
    """What the files of one configuration may still hold together."""

    nodes: int = field(default_factory=lambda: MAX_NODES)
    """As they are written."""
    weight: int = field(default_factory=lambda: MAX_NODES)
    """As they are read: what an alias names counts as often as it is named."""


class _TextLoader(_Base):  # type: ignore[misc]  # the C loader is there or not, so its type is Any
    """Composes only. A tag that is written differs from `_PLAIN_TAG`.

    `descend_resolver` is called before each node, so what is too deep or too much is refused before it is there:
    libyaml recurses in C, and would end the process.
    """

    def __init__(self, text: str, file: str, budget: Budget) -> None:
        super().__init__(text)
        self._file = file
        self._budget = budget
        self._depth = 0

    def resolve(self, *_node: object) -> str:
        return _PLAIN_TAG

    def descend_resolver(self, parent: Any, _index: object) -> None:
        self._depth += 1
        self._budget.nodes -= 1
        if self._depth > MAX_DEPTH + 1:
            raise _refusal(self._file, parent, f"the file is nested deeper than {MAX_DEPTH} levels")
        if self._budget.nodes < 0:
            raise _refusal(self._file, parent, _TOO_MANY)

    def ascend_resolver(self) -> None:
        self._depth -= 1


class Document:
    """A composed file. `root` is what it holds; `faults` are what is wrong with it as YAML."""

    def __init__(self, file: str, node: yaml.Node, budget: Budget) -> None:
        self.file = file
        self.faults: list[Fault] = []
        """The first of them."""
        self.more_faults = 0
        self._node = node
        self._budget = budget
        self._keys: dict[int, dict[str, tuple[yaml.Node, Any]]] = {}
        self.root = self._read(node, (), 0)

    def fault(self, path: FilePath, message: str, *, key: str | None = None) -> Fault:
        """A fault at `path`, or at the key `key` of the mapping there."""
        node, mark, shown = self._node, self._node.start_mark, list[str | int]()
        for step in path if key is None else (*path, key):
            found = self._child(node, step)
            if found is None:
                break
            node, mark = found
            shown.append(step)
        if key is not None and len(shown) > len(path):
            shown.pop()
        return Fault(self.file, mark.line + 1, mark.column + 1, format_path(shown), message)

    def _read(self, node: yaml.Node, path: FilePath, depth: int) -> Plain:
        self._budget.weight -= 1
        if self._budget.weight < 0:
            raise _refusal(self.file, node, "the file is too large once aliases are expanded")
        if node.tag != _PLAIN_TAG:
            self._refuse(node, path, "a YAML tag (!...) means nothing here: remove it, or quote the text")
        if isinstance(node, yaml.ScalarNode):
            self._budget.weight -= len(node.value) // TEXT_OF_ONE
            return node.value if node.value or node.style else None
        if depth >= MAX_DEPTH:
            raise _refusal(self.file, node, f"the file is nested deeper than {MAX_DEPTH} levels")
        if isinstance(node, yaml.SequenceNode):
            return [self._read(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        return self._read_mapping(node, path, depth)

    def _read_mapping(self, node: Any, path: FilePath, depth: int) -> dict[str, Plain]:
        values: dict[str, Plain] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str):
                self._refuse(
                    key_node, path, 'a key must be a text; quote a value that begins with {, as in "{{ each }}"'
                )
                continue
            if key == "<<" and not key_node.style:
                self._refuse(key_node, path, "merge keys (<<) are not read: use defaults, or for_each")
                continue
            # One text for all keys that are equal: those that are kept (labels) would each keep nodes' memory in use.
            key = intern(key)
            if key in values:
                self._refuse(key_node, path, f'duplicate key "{shorten(key)}": write it once')
                continue
            values[key] = self._read(value_node, (*path, key), depth + 1)
        return values

    def _refuse(self, node: yaml.Node, path: FilePath, message: str) -> None:
        if len(self.faults) >= MAX_FAULTS:
            self.more_faults += 1
            return
        mark = node.start_mark
        self.faults.append(Fault(self.file, mark.line + 1, mark.column + 1, format_path(path), message))

    def _child(self, node: yaml.Node, step: str | int) -> tuple[yaml.Node, Any] | None:
        """The node one step down and its place: that of the key in a mapping, of the item in a list."""
        if isinstance(node, yaml.MappingNode) and isinstance(step, str):
            if id(node) not in self._keys:  # 10,000 services may have a fault each
                pairs = reversed(node.value)  # of duplicate keys the first one counts
                self._keys[id(node)] = {
                    key.value: (value, key.start_mark) for key, value in pairs if isinstance(key.value, str)
                }
            return self._keys[id(node)].get(step)
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            return node.value[step], node.value[step].start_mark
        return None


def read_document(path: Path, file: str, budget: Budget | None = None) -> Document:
    """Read the YAML file `path`, called `file` in faults; `budget` is shared with the other files of the
    configuration. Raises `Unreadable`."""
    budget = budget or Budget()
    text = _read_text(path, file)
    try:
        node = _TextLoader(text, file, budget).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise Unreadable(_syntax_fault(file, error, text)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        raise Unreadable(Fault(file, line, 1, "", "the file holds a control character: remove it")) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise Unreadable(Fault(file, 0, 0, "", f"the file is not YAML ({type(error).__name__})")) from None
    if node is None:
        raise Unreadable(Fault(file, 0, 0, "", "the file is empty: write at least one check under checks:"))
    return Document(file, node, budget)


def format_path(path: Sequence[str | int]) -> str:
    """``checks[3].degraded``"""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{shorten(step)}" if text else shorten(step)
    return text


def _read_text(path: Path, file: str) -> str:
    try:
        with open(path, "rb", opener=_at_once) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise Unreadable(Fault(file, 0, 0, "", "is not a regular file: write the configuration into a file"))
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise Unreadable(Fault(file, 0, 0, "", "no such file: name the file, or create it")) from None
    except IsADirectoryError:
        raise Unreadable(Fault(file, 0, 0, "", "is a directory: name the file in it, such as checks.yaml")) from None
    except PermissionError:
        raise Unreadable(Fault(file, 0, 0, "", "may not be read by this user: correct its permissions")) from None
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise Unreadable(Fault(file, 0, 0, "", f"cannot be read: {said}")) from None
    if len(raw) > MAX_BYTES:
        raise Unreadable(Fault(file, 0, 0, "", f"is larger than {MAX_BYTES // 1024**2} MiB: split it into checks.d/"))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        raise Unreadable(Fault(file, line, column, "", "is not UTF-8: save the file in that encoding")) from None


def _at_once(path: str, flags: int) -> int:
    """Opens a FIFO as well without waiting for somebody to write into it, which may be for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def _refusal(file: str, node: Any, message: str) -> Unreadable:
    mark = node.start_mark if node is not None else None
    return Unreadable(Fault(file, mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, "", message))


def _syntax_fault(file: str, error: yaml.MarkedYAMLError, text: str) -> Fault:
    """What the parser found: libyaml's texts are fixed, those of the Python loader may quote the file."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    problem = error.problem or error.context or ""
    if _Base is yaml.SafeLoader:
        problem = problem.split(" '")[0].split(' "')[0]
    advice = _TABS if mark and _at_a_tab(text, line, column) else _syntax_advice(problem)
    return Fault(file, line, column, "", f"broken YAML: {problem}: {advice}")


def _at_a_tab(text: str, line: int, column: int) -> bool:
    lines = text.split("\n", line)
    return line <= len(lines) and lines[line - 1][column - 1 : column] == "\t"


def _syntax_advice(problem: str) -> str:
    if "alias" in problem or "cannot start any token" in problem or "anchor" in problem:
        return "quote a text that begins with *, &, !, %, @ or `"
    if "tab" in problem:
        return _TABS
    if "unknown escape" in problem:
        return "use single quotes, where a backslash is only a backslash"
    if "flow" in problem or "','" in problem or "expected ," in problem:
        return 'close the bracket; between { } or [ ] quote a text that holds { } [ ] or a comma, as in "${NAME}"'
    if "mapping values are not allowed" in problem:
        return 'quote a text that holds ": ", and check the indentation'
    if "another document" in problem:
        return "a file holds one: remove the ---"
    return "check the indentation, the quotes and the brackets here"
