"""Write the generated parts of the pages: `python docs/generate.py` (`make docs`).

A part stands between `<!-- NAME: … -->` and `<!-- end of NAME -->`. Its text comes from the code: option files, column
tables, docstrings.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]  # an uninstalled checkout; and where this file is not run as a script

from import_graph import layers, mermaid, read_arrows  # noqa: E402

from memlaw.study import verification  # noqa: E402
from memlaw.study.records import RESULT_COLUMNS, TOKEN_COLUMNS  # noqa: E402

CONF = ROOT / "conf"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
CODE = (ROOT / "memlaw", ROOT / "launchers" / "hydra_plugins", ROOT / "analysis")
"""Folders whose packages the pages list."""
UNLISTED = ("hydra/job_logging", "_self_")
"""Entries of the defaults list that users do not choose from."""


@dataclass(frozen=True)
class Key:
    """A key of an option file, a group of keys with a comment, or a heading above keys.

    Attributes:
        name: dotted; of a group with `.*` at the end; empty for a heading.
        default: as written in the file; empty for a group and a heading.
        meaning: the comment.
    """

    name: str
    default: str
    meaning: str


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: str) -> str:
    """Return text as Markdown shows code; nothing for nothing."""
    return f"`{text}`" if text else ""


def header(path: Path) -> str:
    """Return the comment at the top of an option file, as one line."""
    comments = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comments.append(line.lstrip("# "))
    return " ".join(comment for comment in comments if not comment.startswith("@package"))


def keys_of(path: Path) -> list[Key]:
    """Return the keys of an option file, in its order.

    A comment belongs to the key on its line, or to the key above when it continues that key's comment, or else to the
    key below. Above a key that has a comment on its line, it heads the keys that follow.
    """
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    places = list(_places(yaml.compose(text), ""))
    keys, above = [], len(list(_top(lines)))
    for name, line, value in places:
        leading = [lines[number].strip().lstrip("# ") for number in range(above, line) if _is_comment(lines[number])]
        column = lines[line].find(" #") + 1
        trailing = [lines[line][column:].lstrip("# ")] if column else []
        above = line + 1
        while column and above < len(lines) and _is_comment(lines[above]) and lines[above].find("#") == column:
            trailing.append(lines[above].strip().lstrip("# "))
            above += 1
        if leading and trailing:
            keys.append(Key("", "", " ".join(leading)))
        meaning = " ".join(trailing or leading)
        if isinstance(value, yaml.ScalarNode) or value.flow_style:
            keys.append(Key(name, text[value.start_mark.index : value.end_mark.index], meaning))
        elif meaning:
            keys.append(Key(f"{name}.*", "", meaning))
    return keys


def _top(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("#"):
            return
        yield line


def _is_comment(line: str) -> bool:
    return line.strip().startswith("#")


def _places(node: yaml.MappingNode, prefix: str) -> Iterator[tuple[str, int, yaml.Node]]:
    for key, value in node.value:
        if key.value not in ("_target_", "defaults", "hydra"):
            yield prefix + key.value, key.start_mark.line, value
            if isinstance(value, yaml.MappingNode):
                yield from _places(value, f"{prefix}{key.value}.")


def groups() -> list[str]:
    """Return the config groups, in the order of the defaults list."""
    defaults = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    names = [
        str(entry if isinstance(entry, str) else next(iter(entry))).removeprefix("override ") for entry in defaults
    ]
    return [name.lstrip("/") for name in names if name.lstrip("/") not in UNLISTED]


def base_of(path: Path) -> Path | None:
    """Return the option that an option file builds on, if any."""
    defaults = yaml.safe_load(path.read_text(encoding="utf-8")).get("defaults", [])
    return next((path.with_name(f"{name}.yaml") for name in defaults if isinstance(name, str)), None)


def group_text(group: str) -> str:
    """Describe a config group: its options, and the keys that they have."""
    paths = sorted((CONF / group).glob("*.yaml"))
    parts = [f"### `{group}`"]
    if len(paths) > 1 or header(paths[0]):
        parts.append(table([f"`{group}=`", "what it is"], [[f"`{path.stem}`", summary(path)] for path in paths]))
    rows = group_rows(paths, group.replace("/", "."))
    if rows and group != "experiment":  # experiments set keys of other groups
        heads = ["key", "default", "meaning", "options that have it"]
        columns = 3 if len(paths) == 1 else 4
        parts.append(table(heads[:columns], [row[:columns] for row in rows]))
    return "\n\n".join(parts)


def summary(path: Path) -> str:
    """Describe an option in one line: its header, or else the option that it builds on and what it sets."""
    values = ", ".join(f"{key.name}={key.default}" for key in keys_of(path) if key.name != "name")
    base = base_of(path)
    return header(path) or (f"`{base.stem}` with {values}" if base else "")


def group_rows(paths: Sequence[Path], prefix: str) -> list[list[str]]:
    """Return a row per key and meaning: the key, its defaults, its meaning, the options that have it.

    An option that only sets a key of the option that it builds on, without a comment, is left out.
    """
    rows: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for path in paths:
        base = base_of(path)
        inherited = {key.name for key in keys_of(base)} if base else set()
        for key in keys_of(path):
            if key.name and (key.name not in inherited or key.meaning):
                defaults, options = rows.setdefault((key.name, key.meaning), ([], []))
                defaults += [code(key.default)] if code(key.default) not in defaults else []
                options.append(f"`{path.stem}`")
    return [
        [f"`{prefix}.{name}`", ", ".join(defaults), meaning, ", ".join(options)]
        for (name, meaning), (defaults, options) in rows.items()
    ]


def configuration() -> str:
    """Describe every key: those of the root, then each group."""
    keys = keys_of(CONF / "config.yaml")
    rows = [
        [code(key.name), code(key.default), key.meaning] if key.name else ["", "", f"**{key.meaning}**"] for key in keys
    ]
    root = f"### The root: `conf/config.yaml`\n\n{header(CONF / 'config.yaml')}\n\n"
    return "\n\n".join([root + table(["key", "default", "meaning"], rows), *map(group_text, groups())])


def meanings(columns: Mapping[str, str], head: str = "column") -> str:
    """List names and their meanings."""
    return table([head, "meaning"], [[f"`{name}`", meaning] for name, meaning in columns.items()])


def tokens() -> str:
    """List the columns of `tokens.parquet`."""
    rows = [[f"`{name}`", dtype, meaning] for name, (dtype, meaning) in TOKEN_COLUMNS.items()]
    return table(["column", "type", "meaning"], rows)


def purpose(path: Path) -> str:
    """Return the first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def packages() -> list[Path]:
    """Return the folders of all packages with a docstring, each before those inside it."""
    return [
        path.parent
        for root in CODE
        for path in sorted(root.rglob("__init__.py"), key=lambda p: p.parts)
        if purpose(path)
    ]


def tree() -> str:
    """List the packages of memlaw and the analysis, a line each; higher layers first."""
    rooms = [room for layer in reversed(layers(read_arrows())) for room in layer]
    below_memlaw = [ROOT / room.replace(".", "/") for room in rooms if room.startswith("memlaw.")]
    folders = [folder for folder in below_memlaw if folder.is_dir()] + [ROOT / "analysis/memlaw_analysis"]
    names = [f"{folder.relative_to(ROOT)}/" for folder in folders]
    width = max(map(len, names))
    purposes = [purpose(folder / "__init__.py") for folder in folders]
    return "\n".join(["```", *(f"{name:{width}}  {text}" for name, text in zip(names, purposes, strict=True)), "```"])


def imports() -> str:
    """List the layers of packages, the highest first, and draw what imports what."""
    arrows = read_arrows()
    numbered = reversed(list(enumerate(layers(arrows), start=1)))
    rows = [[str(level), ", ".join(map(code, rooms))] for level, rooms in numbered]
    return f"{table(['layer', 'packages and commands'], rows)}\n\n```mermaid\n{mermaid(arrows)}\n```"


def modules() -> str:
    """Describe every package and its modules."""
    parts = []
    for folder in packages():
        files = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
        parts.append(f"### {folder.relative_to(ROOT)}/\n\n{purpose(folder / '__init__.py')}")
        if files:
            parts.append(table(["module", "purpose"], [[f"`{path.name}`", purpose(path)] for path in files]))
    return "\n\n".join(parts)


PARTS = {
    "keys": configuration,
    "results": partial(meanings, RESULT_COLUMNS),
    "tokens": tokens,
    "tree": tree,
    "imports": imports,
    "modules": modules,
    "verdicts": partial(meanings, verification.VERDICTS, "verdict"),
    "verified pairs": partial(meanings, verification.PAIR_COLUMNS),
    "verified tokens": partial(meanings, verification.TOKEN_COLUMNS),
}
"""Name of a part → what writes it."""


def filled(page: str) -> str:
    """Return a page's text with its generated parts written anew."""
    part = re.compile(rf"(<!-- ({'|'.join(PARTS)}): [^>]*-->\n).*?(<!-- end of \2 -->)", re.DOTALL)
    return part.sub(lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n\n{match[3]}", page)


def main() -> None:
    """Write all pages anew."""
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
