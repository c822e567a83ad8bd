"""One YAML file: composed once, kept as nodes with their places, read out as texts, lists and mappings.

Scalars are always text: nothing here turns ``on`` into True or ``22:30`` into a number. Duplicate keys, merge keys
and tags are refused; anchors and aliases are allowed, within bounds that a "billion laughs" file exceeds.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
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
MAX_NODES = 2_000_000
_PLAIN_TAG = "brownout"
_SAFE_NESTING = 500
_DEEP_LINE = re.compile(rf"^[ \t?:-]{{{_SAFE_NESTING}}}", re.MULTILINE)
_TABS = "indent with spaces, not tabs"
_BRACKET = re.compile(r"[][{}]")

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _TextLoader(_Base):  # type: ignore[misc]  # the C loader is there or not, so its type is Any
    """Composes only. A tag that is written differs from `_PLAIN_TAG`; the hooks below are called once a node."""

    def resolve(self, *_node: object) -> str:
        return _PLAIN_TAG

    def descend_resolver(self, *_node: object) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass


class Unreadable(Exception):
    """The file cannot be used at all; `fault` says why and where."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class Document:
    """A composed file. `root` is what it holds; `faults` are what is wrong with it as YAML."""

    def __init__(self, file: str, node: yaml.Node) -> None:
        self.file = file
        self.faults: list[Fault] = []
        self._node = node
        self._nodes_left = MAX_NODES
        self.root = self._read(node, (), 0)

    def fault(self, path: FilePath, message: str, *, key: str | None = None) -> Fault:
        """A fault at `path`, or at the key `key` of the mapping there."""
        node, mark, shown = self._node, self._node.start_mark, list[str | int]()
        for step in path if key is None else (*path, key):
            found = _child(node, step)
            if found is None:
                break
            node, mark = found
            shown.append(step)
        if key is not None and len(shown) > len(path):
            shown.pop()
        return Fault(self.file, mark.line + 1, mark.column + 1, format_path(shown), message)

    def _read(self, node: yaml.Node, path: FilePath, depth: int) -> Plain:
        self._nodes_left -= 1
        if node.tag != _PLAIN_TAG:
            self._refuse(node, path, "a YAML tag (!...) means nothing here: remove it, or quote the text")
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.value or node.style else None
        if depth >= MAX_DEPTH or self._nodes_left < 0:
            limit = (
                f"nested deeper than {MAX_DEPTH} levels"
                if depth >= MAX_DEPTH
                else "too large once aliases are expanded"
            )
            mark = node.start_mark
            raise Unreadable(Fault(self.file, mark.line + 1, mark.column + 1, "", f"the file is {limit}"))
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
        mark = node.start_mark
        self.faults.append(Fault(self.file, mark.line + 1, mark.column + 1, format_path(path), message))


def read_document(path: Path, file: str) -> Document:
    """Read the YAML file `path`, called `file` in faults. Raises `Unreadable`."""
    text = _read_text(path, file)
    try:
        _refuse_deep_nesting(text, file)
        node = yaml.compose(text, Loader=_TextLoader)
    except yaml.MarkedYAMLError as error:
        raise Unreadable(_syntax_fault(file, error, text)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        raise Unreadable(Fault(file, line, 1, "", "the file holds a control character: remove it")) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise Unreadable(Fault(file, 0, 0, "", f"the file is not YAML ({type(error).__name__})")) from None
    if node is None:
        raise Unreadable(Fault(file, 0, 0, "", "the file is empty: write at least one check under checks:"))
    return Document(file, node)


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


def _refuse_deep_nesting(text: str, file: str) -> None:
    """libyaml's `compose` recurses in C and would end the process: count first, by its event parser, which does not.

    That pass is slow, so it is made only for a file that might nest deeply: brackets (those in texts included) or
    lines that begin far to the right.
    """
    depth = deepest = 0
    for match in _BRACKET.finditer(text):
        depth = depth + 1 if match[0] in "[{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    if deepest < _SAFE_NESTING and not _DEEP_LINE.search(text):
        return
    depth = 0
    event: Any
    for event in yaml.parse(text, Loader=_TextLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            line, column = event.start_mark.line + 1, event.start_mark.column + 1
            raise Unreadable(Fault(file, line, column, "", f"the file is nested deeper than {MAX_DEPTH} levels"))


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


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, Any] | None:
    """The node one step down and its place: that of the key in a mapping, of the item in a list."""
    if isinstance(node, yaml.MappingNode) and isinstance(step, str):
        return next(((value, key.start_mark) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark
    return None
