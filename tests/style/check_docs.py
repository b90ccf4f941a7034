#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_docs: what the documents show compiles, and what they link to is there.

usage: check_docs.py C++-COMPILER

Compiles every ```cpp block of README.md, CONTRIBUTING.md and docs/*.md: those
with a main() alone, the others together, each in a namespace of its own. What a
block defines with a call for packets must be a handler.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
         f"-I{ROOT}/include", "-x", "c++", "-"]
FENCE = re.compile(r"^```cpp[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
CLASS = re.compile(r"^(?:class|struct) (\w+) \{(.*?)^\};",
                   re.MULTILINE | re.DOTALL)


class Block:
    """One piece of code, and where it stands."""

    def __init__(self, document, text, start):
        self.code = text[start:text.index("\n```", start) + 1]
        self.line = text.count("\n", 0, start) + 1
        self.document = document
        self.whole = re.search(r"^int main\(", self.code, re.MULTILINE)

    def split(self):
        """Its includes, and the rest under its own line numbers."""
        includes, rest = [], []
        for line in self.code.splitlines():
            is_include = line.startswith("#include")
            includes += [line] if is_include else []
            rest.append("" if is_include else line)
        return includes, rest

    def program(self, number):
        includes, rest = self.split()
        lines = [f'#line {self.line} "{self.document}"', *rest]
        for name, body in CLASS.findall(self.code):
            if "operator()(sluice::" in body:
                lines.append(f"static_assert(sluice::Handler<{name}>);")
        if not self.whole:
            lines = [f"namespace block_{number} {{", *lines, "}"]
        return includes, lines


def compiles(compiler, blocks):
    programs = [block.program(i) for i, block in enumerate(blocks)]
    source = sum((includes for includes, _ in programs), [])
    source += sum((lines for _, lines in programs), [])
    return subprocess.run([compiler, *FLAGS], input="\n".join(source) + "\n",
                          text=True).returncode == 0


def dead_links(path, text):
    for match in LINK.finditer(text):
        if not (path.parent / match.group(1)).exists():
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path.relative_to(ROOT)}:{line}: no {match.group(1)}"


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if "--help" in sys.argv or "-h" in sys.argv else 2
    findings, blocks = [], []
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md",
                 *sorted(ROOT.glob("docs/*.md"))]
    for path in documents:
        text = path.read_text()
        findings += dead_links(path, text)
        blocks += [Block(path.relative_to(ROOT), text, match.start(1))
                   for match in FENCE.finditer(text)]
    print("\n".join(findings))
    if not blocks:
        print("no code in the documents: has the fence changed?")
        return 1
    together = [block for block in blocks if not block.whole]
    alone = [[block] for block in blocks if block.whole]
    good = [compiles(sys.argv[1], some) for some in [together, *alone] if some]
    return 0 if all(good) and not findings else 1


if __name__ == "__main__":
    sys.exit(main())
