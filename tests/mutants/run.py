#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Applies small bugs, one at a time, to a copy of the tree, and says which test
catches each. See scripts/mutants.sh --help."""
import argparse
import concurrent.futures
import functools
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

from named import NAMED, PACKET, POLLER, POOL, PORT, RING, SLICE, Mutant

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What the packet path is made of. One translation unit: quick to build.
LIBRARY = ("result frame_pool packet port poller core timer address clock parse cpu "
           "handler").split()
# Each stage is built only for what the stages before it let pass.
STAGES = [
    ("sim", "g++ -O1", ["tests/sim/property_test.cpp",
                        "tests/sim/sim_core_test.cpp",
                        "tests/sim/busy_poll_test.cpp"], 60),
    ("unit", "g++ -O0", ["tests/unit/%s_test.cpp" % name for name in (
        "ring frame_pool packet resize port poller poller_chain poller_kick "
        "poller_sleep poller_busy_poll spsc tx_offload transmitted").split()], 60),
    ("threads", "clang++-19 -O1 -g -fsanitize=thread",
     ["tests/sim/threaded_test.cpp"], 120),
    ("litmus", "g++ -O2", ["tests/sim/litmus_test.cpp"], 60),
]
# Of --slice: quick, and always finds the same.
QUICK = [("sim", "g++ -O1", ["tests/sim/property_test.cpp"], 120)]
SWAPS = [(" < ", " <= "), (" <= ", " < "), (" > ", " >= "), (" >= ", " > "),
         (" == ", " != "), (" != ", " == "), (" + ", " - "), (" - ", " + "),
         (" += ", " -= "), (" && ", " || "), (" || ", " && "), ("++", "--"),
         ("return true;", "return false;"), ("return false;", "return true;")]
WHERE = [RING, POOL, PACKET, PORT, POLLER, "userspace/packet.cpp",
         "userspace/port.cpp", "userspace/poller.cpp"]


def drawn(seed, count):
    """Mutants at random: an operator for another, on one line of code."""
    dice = random.Random(seed)
    found = []
    while len(found) < count:
        path = dice.choice(WHERE)
        lines = (ROOT / path).read_text().splitlines(keepends=True)
        number = dice.randrange(len(lines))
        line = lines[number]
        if re.match(r"\s*(//|#|\*|using|template|assert|static_assert)", line):
            continue
        code = line.split("//")[0]
        fits = [swap for swap in SWAPS if swap[0] in code]
        if not fits:
            continue
        old, new = dice.choice(fits)
        lines[number] = code.replace(old, new, 1) + line[len(code):]
        found.append(Mutant(f"{path}:{number + 1}:{old.strip()}->"
                            f"{new.strip()}", path, None, "".join(lines)))
    return found


def mutate(tree, mutant):
    """False if the text that the mutant replaces is not there just once."""
    path = tree / mutant.file
    text = path.read_text()
    if mutant.old is None:
        path.write_text(mutant.new)
        return True
    if text.count(mutant.old) != 1:
        return False
    path.write_text(text.replace(mutant.old, mutant.new))
    return True


def build(tree, stage):
    name, compiler, sources, _ = stage
    unit = tree / f"{name}_library.cpp"
    library = [f"userspace/{each}.cpp" for each in LIBRARY]
    library += [f"userspace/testing/{p.name}" for p in
                sorted((tree / "userspace/testing").glob("sim_*.cpp"))]
    unit.write_text("".join(f'#include "{each}"\n' for each in library
                            if (tree / each).is_file()))
    jobs = [(unit, unit.with_suffix(".o"))]
    jobs += [(tree / s, tree / f"{name}_{pathlib.Path(s).stem}.o")
             for s in sources]
    flags = compiler.split() + ["-std=c++20", "-w", f"-I{tree}/include",
                                f"-I{tree}", f"-I{tree}/tests/support"]
    for source, target in jobs:
        made = subprocess.run([*flags, "-c", str(source), "-o", str(target)],
                              capture_output=True, text=True)
        if made.returncode != 0:
            return None, made.stderr
    program = tree / f"{name}_tests"
    made = subprocess.run(
        [*flags, *(str(target) for _, target in jobs), "-o", str(program),
         "-lgmock", "-lgtest", "-lgtest_main", "-pthread"],
        capture_output=True, text=True)
    return (program, "") if made.returncode == 0 else (None, made.stderr)


def run(program, limit, packets):
    """(caught, by what)."""
    environment = {"PATH": "/usr/bin:/bin", "SLUICE_SIM_PACKETS": str(packets),
                   "TSAN_OPTIONS": "halt_on_error=1"}
    try:
        done = subprocess.run([str(program), "--gtest_fail_fast"],
                              capture_output=True, text=True, errors="replace",
                              timeout=limit, env=environment)
    except subprocess.TimeoutExpired as hung:
        text = (hung.stdout or b"").decode(errors="replace")
        return True, f"{last_test(text)} (time-out)"
    if done.returncode == 0:
        return False, ""
    how = ""
    if "ThreadSanitizer" in done.stderr:
        how = " (data race)"
    elif done.returncode < 0:
        found = re.search(r"Assertion `(.*?)' failed", done.stderr)
        how = f" (assert {found.group(1)})" if found else (
            f" (signal {-done.returncode})")
    return True, last_test(done.stdout) + how


def last_test(output):
    failed = re.findall(r"\[  FAILED  \] ([^\s,]+)", output)
    if failed:
        return failed[0]
    names = re.findall(r"\[ RUN      \] (\S+)", output)
    return names[-1] if names else "before any test"


def stale():
    """The named ones whose text is not there just once."""
    return [mutant.name for mutant in NAMED
            if (ROOT / mutant.file).read_text().count(mutant.old) != 1]


def judge(mutant, stages=STAGES, packets=1_000_000):
    with tempfile.TemporaryDirectory(prefix="sluice-mutant-") as folder:
        tree = pathlib.Path(folder)
        for part in ("include", "userspace", "tests"):
            shutil.copytree(ROOT / part, tree / part)
        if mutant and not mutate(tree, mutant):
            return "stale", "its text is not there just once"
        for stage in stages:
            program, complaint = build(tree, stage)
            if program is None:
                return "unbuilt", complaint.strip().splitlines()[0]
            caught, by = run(program, stage[3], packets)
            if caught:
                late = by.endswith("(time-out)")
                return "hung" if late else "caught", by
        return "survived", ""


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--random", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--slice", action="store_true")
    options = parser.parse_args()
    for name in stale():
        print(f"mutants: the text that {name} replaces is not there just once")
    if stale():
        return 1
    if options.slice:
        wanted = [each for each in NAMED if each.name in SLICE]
        how = functools.partial(judge, stages=QUICK, packets=500_000)
    else:
        print(f"mutants: seed {options.seed}", flush=True)
        wanted = NAMED + drawn(options.seed, options.random)
        how = judge
    wanted = [each for each in wanted if re.search(options.only, each.name)]
    verdict, by = how(None)
    if verdict != "survived":
        print(f"mutants: the tree as it is: {verdict} {by}")
        return 1
    bad = 0
    workers = concurrent.futures.ThreadPoolExecutor(options.jobs)
    for mutant, (verdict, by) in zip(wanted, workers.map(how, wanted)):
        # One drawn at random may mean the same as what it replaces.
        bad += verdict != "caught" and mutant.old is not None
        print(f"{verdict:9} {mutant.name:34} {by}", flush=True)
    print(f"mutants: {bad} of the named ones were not caught as they should")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
