#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the style checks: a bad tree must fail, a good one must not."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SCRIPTS = HERE.parents[1] / "scripts"
SPDX = "// SPDX-License-Identifier: Apache-2.0\n"

GOOD = {
    "include/sluice/result.hpp": "// Result: one.\n#pragma once\n",
    "include/sluice/ring.hpp":
        "// Ring: two.\n#include <sluice/result.hpp>\n"
        "inline auto kOrder = std::memory_order_acquire;\n",
    "tests/unit/ring_test.cpp": "#include <sluice/ring.hpp>\n",
    "include/sluice/socket.hpp":
        "// Socket: three.\n#include <sluice/ring.hpp>\n",
    "userspace/socket.cpp":
        "#include <sys/socket.h>\n#include <sluice/socket.hpp>\n"
        "void f() { ::bind(0, nullptr, 0); }\n",
    "include/sluice/core.hpp":
        "// Core: four.\n#include <sluice/socket.hpp>\n"
        "// It calls no sendto(), throws nothing, prints no printf(\"\").\n",
    "examples/one.cpp": "#include <sluice/core.hpp>\n",
    "bpf/steer.bpf.c": "#include <linux/bpf.h>\n",
}


def findings(changes):
    """Output of check_layers.py on the good tree with `changes` applied."""
    with tempfile.TemporaryDirectory() as folder:
        for path, text in {**GOOD, **changes}.items():
            file = pathlib.Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text if text.startswith("!") else SPDX + text)
        run = subprocess.run(
            [sys.executable, HERE / "check_layers.py", folder],
            capture_output=True, text=True)
        assert (run.returncode == 0) == (run.stdout.strip() == ""), run
        return run.stdout


class Layers(unittest.TestCase):
    def test_a_good_tree_passes(self):
        self.assertEqual(findings({}).strip(), "")

    def test_each_fault_is_reported(self):
        ring = GOOD["include/sluice/ring.hpp"]
        core = GOOD["include/sluice/core.hpp"]
        faults = [
            ("include/sluice/ring.hpp", ring + "#include <sluice/core.hpp>\n",
             "ring.hpp:5: includes <sluice/core.hpp> upward"),
            ("include/sluice/result.hpp",
             "// Result: one.\n#include <sluice/sys.hpp>\n", "does not exist"),
            ("userspace/ring.cpp", "#include <sluice/core.hpp>\n", "upward"),
            ("userspace/ring_more.cpp", "#include <sluice/core.hpp>\n",
             "upward"),
            ("userspace/lonely.cpp", "", "belongs to no header"),
            ("include/sluice/new.hpp", "// New: unknown.\n", "on no floor"),
            ("include/sluice/wake.hpp", "// Wake: untested.\n",
             "has no tests/unit/wake_test.cpp"),
            ("include/sluice/core.hpp",
             core + "inline auto kOrder = std::memory_order_relaxed;\n",
             "memory order outside"),
            ("include/sluice/ring.hpp", ring + "#include <unistd.h>\n",
             "needs no <unistd.h>"),
            ("include/sluice/core.hpp",
             core + "inline void f() { sendto(0); }\n", "a system call"),
            ("userspace/core.cpp", "void f() { ::close(0); }\n",
             "a system call"),
            ("userspace/socket.cpp", "void f() { throw 1; }\n",
             "an exception"),
            ("userspace/socket.cpp", "void f() { std::printf(x); }\n",
             "does not print"),
            ("include/sluice/core.hpp", core + "int pkt_count;\n", "pkt_"),
            ("examples/one.cpp", '#include "../x.hpp"\n', "include <sluice/"),
            ("bpf/steer.bpf.c", "#include <stdio.h>\n", "the cellar"),
            ("examples/one.cpp", "int x;\n" * 401, "more than 400 lines"),
            ("examples/one.cpp", "// " + "x" * 90 + "\n", "80 columns"),
            ("examples/one.cpp", "\tint x;\n", "a tab"),
            ("examples/one.cpp", "int x; \n", "blanks at the end"),
            ("examples/one.cpp", "// TO" "DO: later\n", "unfinished"),
            ("README.md", "see /ho" "me/me/x\n", "absolute path"),
            ("examples/one.cpp", "int x;", "no newline"),
            ("examples/one.cpp", "!int x;\n", "no SPDX line"),
            ("include/sluice/core.hpp", "\n", "no comment saying"),
        ]
        for path, text, expected in faults:
            with self.subTest(path=path, expected=expected):
                self.assertIn(expected, findings({path: text}))

    def test_a_wing_may_include_every_floor_but_not_another_wing(self):
        app = "// App: a wing.\n#include <sluice/core.hpp>\n"
        lab = "// Lab: a wing.\n#include <sluice/app.hpp>\n"
        self.assertEqual(findings({"include/sluice/app.hpp": app}).strip(), "")
        self.assertIn("wing testing includes wing app", findings({
            "include/sluice/app.hpp": app,
            "include/sluice/testing/lab.hpp": lab}))


class Formatting(unittest.TestCase):
    def test_a_badly_formatted_file_is_refused(self):
        run = subprocess.run(
            ["clang-format-19", "--dry-run", "-Werror",
             "--assume-filename", str(HERE / "x.cpp")],
            input="int  x ;\n", capture_output=True, text=True)
        self.assertNotEqual(run.returncode, 0)


class KernelLog(unittest.TestCase):
    def check(self, line, since="100"):
        with tempfile.NamedTemporaryFile("w", suffix=".log") as log:
            log.write("[   99.000000] WARNING: before\n" + line + "\n")
            log.flush()
            return subprocess.run(
                [SCRIPTS / "kernel-log.sh", "check", since, log.name],
                capture_output=True, text=True).returncode

    def test_complaints_since_the_moment_count(self):
        for text in ("WARNING: CPU: 1 PID: 7 at net/xdp/xsk.c:1 f+0x1/0x2",
                     "BUG: scheduling while atomic: poller/1/0x2",
                     "refcount_t: underflow; use-after-free.",
                     "unregister_netdevice: waiting for v0 to become free"):
            self.assertEqual(self.check("[  123.456789] " + text), 1, text)

    def test_other_lines_and_older_ones_do_not(self):
        self.assertEqual(self.check("[  123.456789] v0: link becomes ready"), 0)
        self.assertEqual(self.check("[  100.5] WARNING: x", since="101"), 0)


class QuickstartReport(unittest.TestCase):
    """quickstart.sh cannot say ok of a run that is not."""

    def judge(self, **change):
        drops = dict(rx_dropped=change.get("rx_dropped", 0))
        queues = [dict(queue=i, core=i, rx_packets=received, tx_packets=1,
                       drops=drops, fill_invalid=0,
                       fill_empty=change.get("fill_empty", 0))
                  for i, received in enumerate(change.get("received",
                                                          (60, 40)))]
        total = dict(type="ended", queues=queues,
                     cores=[dict(core=0, cpu=0), dict(core=1, cpu=1)],
                     ledger=dict(frames=100, pool=change.get("pool", 60),
                                 receiving=40))
        udp = dict(ok=True, sent=100, answered=change.get("answered", 100),
                   lost=0, rate=1, rtt_p50_us=1, rtt_p99_us=2)
        with tempfile.TemporaryDirectory() as folder:
            run, load = pathlib.Path(folder, "run"), pathlib.Path(folder, "udp")
            run.write_text('{"type": "started"}\n' + json.dumps(total) + "\n")
            load.write_text(json.dumps(udp))
            return subprocess.run(
                [SCRIPTS / "quickstart_report.py", run, load, "100",
                 pathlib.Path(folder, "sums")], capture_output=True,
                text=True).returncode

    def test_a_whole_run_passes(self):
        self.assertEqual(self.judge(), 0)

    def test_any_loss_fails(self):
        for change in (dict(fill_empty=1), dict(rx_dropped=1),
                       dict(received=(76, 24)), dict(received=(100,)),
                       dict(pool=59), dict(answered=99)):
            self.assertEqual(self.judge(**change), 1, change)


class Arguments(unittest.TestCase):
    def test_every_script_explains_itself_and_refuses_the_unknown(self):
        for script in sorted(SCRIPTS.glob("*.sh")):
            with self.subTest(script=script.name):
                helped = subprocess.run(
                    [script, "--help"], cwd="/", capture_output=True, text=True)
                self.assertEqual(helped.returncode, 0, helped.stderr)
                self.assertIn("usage: scripts/" + script.name, helped.stdout)
                wrong = subprocess.run(
                    [script, "--no-such-flag"], capture_output=True, text=True)
                self.assertEqual(wrong.returncode, 2, wrong.stderr)
                self.assertIn("--no-such-flag", wrong.stderr)


if __name__ == "__main__":
    unittest.main()
