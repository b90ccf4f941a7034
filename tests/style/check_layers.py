#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_layers: holds the floors of the house and the plain rules of style.

usage: check_layers.py [ROOT]

Prints one line per finding, "file:line: what is wrong", and exits 1 if there
is one. A file includes its own floor's earlier files and the floors below,
never above, so there is no cycle to be had.
"""
import pathlib
import re
import subprocess
import sys

# Ground floor first; within a floor, a file may include those left of it.
FLOORS = [
    ("L0", "abi.h"),
    ("L1", "result.hpp address.hpp uapi.hpp sys.hpp cpu.hpp clock.hpp"),
    ("L2", "counter.hpp ring.hpp frame_pool.hpp metadata.hpp tx_offload.hpp "
           "packet.hpp port.hpp spsc.hpp wake.hpp headers.hpp checksum.hpp "
           "flow_key.hpp parse.hpp"),
    ("L3", "kernel.hpp umem.hpp socket.hpp expression.hpp rules.hpp "
           "rules_edit.hpp bypass.hpp program.hpp mirror.hpp netdev.hpp "
           "uring.hpp linux_kernel.hpp host.hpp"),
    ("L4", "timer.hpp core.hpp handler.hpp poller.hpp"),
    ("L5", "stats.hpp control.hpp doctor.hpp engine.hpp sluice.hpp"),
]
WINGS = ("app", "testing", "services")  # Above L5.
# Not inside one another, but for these: run<> goes over captures, too.
INSIDE = {("app", "testing")}
ROOF = ("userspace/cli", "examples", "bench", "tests")
# Sources of the library whose name is not that of their header.
HEADER_OF = {"cut_off": "rules.hpp"}

POSITION = {
    name: (floor, place)
    for floor, (_, names) in enumerate(FLOORS)
    for place, name in enumerate(names.split())
}
L2, L4, WING, TOP = 2, 4, len(FLOORS), len(FLOORS) + 1

CODE = (".hpp", ".cpp", ".h", ".c")
LINES_MAX = 400
COLUMNS_MAX = 80

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
ORDERING = re.compile(r"\bmemory_order|\batomic_(thread|signal)_fence\b")
SYSTEM_CALL = re.compile(
    r"(?<![\w.>:])(?:::)?(?:mmap|munmap|ioctl|syscall|sendto|sendmsg|sendmmsg|"
    r"recvfrom|recvmsg|recvmmsg|ppoll|epoll_\w+|eventfd|setsockopt|getsockopt|"
    r"io_uring_\w+|bpf_\w+|nanosleep|clock_nanosleep|sched_\w+|pthread_\w+)\s*"
    r"\(|(?<![\w>])::(?:socket|bind|read|write|open|close|poll|connect|send|"
    r"recv|fcntl|usleep)\s*\(")
SYSTEM_HEADER = re.compile(
    r"^(sys|net|netinet|arpa|bpf)/|^(unistd|fcntl|poll|sched|pthread|signal|"
    r"liburing)\.h$")
EXCEPTION = re.compile(r"\bthrow\b(?!\s*\()|\btry\s*\{|\bcatch\s*\(")
PRINTING = re.compile(r"\bstd::c(out|err)\b|(?<![\w])(std::)?f?printf\s*\(|"
                      r"(?<!\w)(std::)?f?puts\s*\(")
UNFINISHED = re.compile(r"\b(TO" r"DO(?!\(#\d+\))|FIX" r"ME|XX" r"X)\b")
HOME = re.compile(r"(?<![\w.])/(home|ro" r"ot|Users)/\w")
WORDS = re.compile(r"\b(?:\w+_)?(mbuf|pkt|ctx|mgr|utils?)(?:_\w+)?\b")


class Tree:
    """The files of one source tree, and what is wrong with them."""

    def __init__(self, root):
        self.root = root
        self.findings = []

    def files(self):
        """Paths relative to the root: git's, or all where there is no git."""
        listing = subprocess.run(
            ["git", "-C", str(self.root), "ls-files", "-co",
             "--exclude-standard"], capture_output=True, text=True)
        if listing.returncode == 0 and listing.stdout:
            names = listing.stdout.splitlines()
        else:
            names = [str(p.relative_to(self.root))
                     for p in self.root.rglob("*") if p.is_file()]
        return sorted(n for n in names if (self.root / n).is_file()
                      and not n.startswith(("build/", ".git/", "LICENSE")))

    def report(self, path, number, what):
        self.findings.append(f"{path}:{number}: {what}")

    def check(self):
        for path in self.files():
            try:
                text = (self.root / path).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # Not text: a capture file, a picture.
            check_text(self, path, text)
            if path.endswith(CODE):
                check_code(self, path, text)
        for path in self.files():
            check_place(self, path)


def blanked(text):
    """The code without comments and string literals, line by line."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    return re.sub(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|'
                  r"'(?:\\.|[^'\\\n])'", blank, text,
                  flags=re.S).splitlines()


def place_of(path):
    """(floor, place) of a header or of the source that belongs to one."""
    parts = path.split("/")
    if path.startswith(ROOF) or parts[0] not in ("include", "userspace"):
        return TOP, 0
    inner = parts[2:] if parts[0] == "include" else parts[1:]
    if len(inner) > 1 or inner[0].startswith("app"):
        return WING, 0
    if inner[0] in POSITION:
        return POSITION[inner[0]]
    if parts[0] == "include":
        return None
    stem = inner[0].split(".")[0]
    name = HEADER_OF.get(stem)
    while name is None and stem:  # program_owner.cpp belongs to program.hpp.
        name = next((n for n in (stem + ".hpp", stem + ".h") if n in POSITION),
                    None)
        stem = stem.rpartition("_")[0]
    return (POSITION[name][0], len(POSITION)) if name else None


def check_text(tree, path, text):
    lines = text.splitlines()
    if path.endswith(CODE + (".py", ".sh", ".cmake", "CMakeLists.txt")):
        if not any("SPDX-License-Identifier:" in line for line in lines[:2]):
            tree.report(path, 1, "no SPDX line at the top")
        if len(lines) > LINES_MAX:
            tree.report(path, len(lines), f"more than {LINES_MAX} lines")
    if path.endswith((".hpp", ".h")) and not (
            len(lines) > 1 and re.match(r"(//|/\*| \*) ?\S", lines[1])):
        tree.report(path, 2, "no comment saying what this header is")
    if text and not text.endswith("\n"):
        tree.report(path, len(lines), "no newline at the end")
    for number, line in enumerate(lines, 1):
        if "\t" in line:
            tree.report(path, number, "a tab")
        if line != line.rstrip() and not path.endswith(".md"):
            tree.report(path, number, "blanks at the end of the line")
        if UNFINISHED.search(line):
            tree.report(path, number, "unfinished: build it or drop it")
        if HOME.search(line):
            tree.report(path, number, "an absolute path of somebody's machine")
        if (path.endswith(CODE) and len(line) > COLUMNS_MAX
                and "://" not in line):
            tree.report(path, number, f"more than {COLUMNS_MAX} columns")


def check_code(tree, path, text):
    place = place_of(path)
    if place is None:
        return  # check_place says so.
    floor = place[0]
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            check_include(tree, path, number, place, *match.groups())
    library = floor <= WING - 1
    testing = "/testing/" in path or floor == TOP  # They play the kernel.
    if path.startswith("bpf/"):
        return
    lines = blanked(text)
    for number, line in enumerate(lines, 1):
        if ORDERING.search(line) and floor != L2 and not testing:
            tree.report(path, number, "memory order outside the frames floor")
        if floor in (L2, L4) and SYSTEM_CALL.search(line):
            tree.report(path, number, "a system call by name on floor "
                        + FLOORS[floor][0])
        if library and EXCEPTION.search(line):
            tree.report(path, number, "an exception in the library")
        dies = any("std::abort" in l for l in lines[number:number + 8])
        if library and PRINTING.search(line) and not dies:
            tree.report(path, number, "the library does not print")
        if path.startswith("include/") and WORDS.search(line):
            tree.report(path, number, "a word that the house does not use: "
                        + WORDS.search(line).group())


def check_include(tree, path, number, place, quote, name):
    floor = place[0]
    if path.startswith("bpf/"):
        if quote == "<" and name != "sluice/abi.h" and not re.match(
                r"(linux|bpf)/", name):
            tree.report(path, number, f"the cellar does not include <{name}>")
        return
    if quote == '"':
        if name.startswith("..") or path.startswith(("include/", "examples/")):
            tree.report(path, number, f'"{name}": include <sluice/...>')
        return
    if floor in (L2, L4) and SYSTEM_HEADER.match(name):
        tree.report(path, number, f"floor {FLOORS[floor][0]} makes no system "
                    f"call, so it needs no <{name}>")
    if not name.startswith("sluice/"):
        return
    if not (tree.root / "include" / name).is_file():
        tree.report(path, number, f"<{name}> does not exist")
        return
    check_floor(tree, path, number, place, name)


def check_floor(tree, path, number, place, name):
    target = place_of("include/" + name)
    if target is None or place[0] == TOP:
        return
    if target[0] == WING and place[0] == WING:
        own, other = wing_of(path), wing_of("include/" + name)
        if (own != other and other != "services"
                and (own, other) not in INSIDE):
            tree.report(path, number, f"wing {own} includes wing {other}")
    elif target >= place and pathlib.PurePath(path).name != name:
        way = "upward" if target[0] > place[0] else "sideways"
        tree.report(path, number, f"includes <{name}> {way}")


def wing_of(path):
    return next((w for w in WINGS if f"/{w}" in path), "?")


def check_place(tree, path):
    if path.startswith("include/sluice/") and path.endswith(CODE):
        place = place_of(path)
        if place is None:
            tree.report(path, 1, "is on no floor; see FLOORS in "
                        "tests/style/check_layers.py")
        elif place[0] == L2:
            stem = pathlib.PurePath(path).stem
            if not (tree.root / f"tests/unit/{stem}_test.cpp").is_file():
                tree.report(path, 1, f"has no tests/unit/{stem}_test.cpp")
    elif path.startswith("userspace/") and path.endswith(CODE):
        if place_of(path) is None:
            tree.report(path, 1, "belongs to no header; see HEADER_OF in "
                        "tests/style/check_layers.py")


def main():
    if len(sys.argv) > 2 or sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return 0 if len(sys.argv) == 2 else 2
    default = pathlib.Path(__file__).resolve().parents[2]
    tree = Tree(pathlib.Path(sys.argv[1]) if sys.argv[1:] else default)
    tree.check()
    print("\n".join(tree.findings))
    return 1 if tree.findings else 0


if __name__ == "__main__":
    sys.exit(main())
