"""A built-in set of texts: what the docstrings of Python's own standard library are about."""

import ast
import functools
import hashlib
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

TextSet = tuple[tuple[str, ...], tuple[tuple[str, str, int], ...]]
"""The classes, and (id, text, index of the class) of each text."""

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "code": (
        "ast", "bdb", "code", "codeop", "compileall", "dis", "doctest", "importlib", "inspect", "linecache",
        "modulefinder", "pdb", "pkgutil", "py_compile", "pyclbr", "pydoc", "symtable", "tabnanny", "timeit", "tokenize",
        "trace", "traceback", "tracemalloc", "typing", "unittest", "zipimport",
    ),
    "concurrency": (
        "_pyrepl", "asyncio", "concurrent", "contextvars", "multiprocessing", "queue", "sched", "selectors",
        "subprocess", "threading", "_threading_local",
    ),
    "files": (
        "_compression", "_pyio", "bz2", "filecmp", "fileinput", "fnmatch", "genericpath", "glob", "gzip", "io", "lzma",
        "netrc", "ntpath", "os", "pathlib", "posixpath", "shelve", "shutil", "stat", "tarfile", "tempfile", "zipapp",
        "zipfile",
    ),
    "interface": ("cmd", "curses", "getpass", "optparse", "argparse", "rlcompleter", "tkinter", "turtle"),
    "network": (
        "email", "ftplib", "html", "http", "imaplib", "ipaddress", "mailbox", "mimetypes", "poplib", "smtplib",
        "socket", "socketserver", "ssl", "urllib", "webbrowser", "wsgiref", "xmlrpc",
    ),
    "numbers": (
        "_pydatetime", "_pydecimal", "_strptime", "bisect", "calendar", "colorsys", "datetime", "decimal", "fractions",
        "heapq", "hmac", "numbers", "random", "secrets", "statistics", "uuid", "zoneinfo",
    ),
}  # fmt: skip
"""Family of modules, which is the class, to the modules in it."""

_FEWEST_WORDS = 4
_MOST_OF_A_FAMILY = 450


@functools.cache
def stdlib_docs() -> TextSet:
    """At most 450 docstrings of each family, found by reading the source of the library, which imports none of it.

    The same for one version of Python wherever it runs; the licence is Python's (PSF).
    """
    library = Path(sysconfig.get_path("stdlib"))
    families: dict[str, set[int]] = {}
    found: list[tuple[str, str, int]] = []
    for target, modules in enumerate(FAMILIES.values()):
        for module in modules:
            for name, text in _docstrings(library, module):
                if target not in families.setdefault(text, set()):
                    families[text].add(target)
                    found.append((name, text, target))
    taken: dict[int, int] = {}
    rows = []
    for name, text, target in sorted(found, key=lambda row: hashlib.sha256(row[1].encode()).digest()):
        taken[target] = taken.get(target, 0) + (len(families[text]) == 1)
        if len(families[text]) == 1 and taken[target] <= _MOST_OF_A_FAMILY:
            rows.append((name, text, target))
    return tuple(FAMILIES), tuple(sorted(rows))


def _docstrings(library: Path, module: str) -> Iterator[tuple[str, str]]:
    """Name ("heapq.merge") and text of each docstring of a module or package."""
    package = library / module
    files = sorted(package.rglob("*.py")) if package.is_dir() else [library / f"{module}.py"]
    for file in files:
        relative = file.relative_to(library).with_suffix("")
        if not file.is_file() or {"test", "tests", "__pycache__"} & set(relative.parts):
            continue
        dotted = ".".join(part for part in relative.parts if part != "__init__")
        yield from _documented(ast.parse(file.read_bytes()), dotted)


def _documented(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        text = " ".join((ast.get_docstring(node) or "").split())
        if len(text.split()) >= _FEWEST_WORDS:
            yield name, text
    for index, child in enumerate(ast.iter_child_nodes(node)):
        own = getattr(child, "name", None)
        # Two functions may have one name (a getter and its setter): the place tells them apart.
        yield from _documented(child, f"{name}.{own}:{index}" if isinstance(own, str) else name)


TEXT_SETS = {"stdlib-docs": stdlib_docs}
"""Name to the function that loads it; `data: builtin:NAME` in a recipe."""
