"""Draw which package imports which, read from the code: `python docs/import_graph.py`.

A room is a package or a module directly below `memlaw` or `memlaw_analysis`, or the launchers. An arrow is an import,
those inside functions and for type checkers included. A room stands in the lowest layer that is above everything that
it imports.
"""

from collections.abc import Mapping
from graphlib import TopologicalSorter

import grimp

ROOTS = ("memlaw", "memlaw_analysis", "hydra_plugins.memlaw_launchers")

Arrows = dict[str, set[str]]
"""Room → the rooms that it imports."""


def room_of(module: str) -> str:
    """The room in which a module stands: `memlaw.study.cell` in `memlaw.study`."""
    root = next(root for root in ROOTS if f"{module}.".startswith(f"{root}."))
    inside = module.removeprefix(root).strip(".").split(".")[0]
    return f"{root}.{inside}" if inside and root != ROOTS[2] else root


def read_arrows() -> Arrows:
    """Every room with what it imports."""
    graph = grimp.build_graph(*ROOTS, cache_dir=None)
    arrows: Arrows = {room_of(module): set() for module in graph.modules}
    for module in graph.modules:
        imported = {room_of(name) for name in graph.find_modules_directly_imported_by(module)}
        arrows[room_of(module)] |= imported - {room_of(module)}
    return arrows


def layers(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Rooms by layer, the lowest first.

    Raises:
        graphlib.CycleError: rooms import each other.
    """
    height: dict[str, int] = {}
    for room in TopologicalSorter(arrows).static_order():
        height[room] = 1 + max((height[below] for below in arrows[room]), default=-1)
    return [sorted(room for room in height if height[room] == level) for level in range(max(height.values()) + 1)]


def mermaid(arrows: Mapping[str, set[str]]) -> str:
    """The graph as a Mermaid diagram, layers as boxes; an arrow that a longer path implies is left out."""
    lines = ["flowchart TD"]
    for level, rooms in reversed(list(enumerate(layers(arrows), start=1))):
        boxes = [f"    {room.replace('.', '_')}[{room}]" for room in rooms]
        lines += [f"  subgraph layer{level}[layer {level}]", *boxes, "  end"]
    for room, imported in sorted(arrows.items()):
        implied = {below for through in imported for below in _reached(through, arrows)}
        lines += [f"  {room} --> {below}".replace(".", "_") for below in sorted(imported - implied)]
    return "\n".join(lines)


def _reached(room: str, arrows: Mapping[str, set[str]]) -> set[str]:
    """All rooms below a room."""
    return arrows[room] | {far for below in arrows[room] for far in _reached(below, arrows)}


def main() -> None:
    """Print the layers and the diagram."""
    arrows = read_arrows()
    for level, rooms in reversed(list(enumerate(layers(arrows), start=1))):
        print(f"{level:3}  {'  '.join(rooms)}")
    print(f"\n{mermaid(arrows)}")


if __name__ == "__main__":
    main()
