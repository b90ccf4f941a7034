#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""quickstart_report: judges one run of quickstart.sh and prints its table.

usage: quickstart_report.py RUN.json UDP.json COUNT SUMS

RUN.json is what `sluice run --json` printed, UDP.json what `traffic udp --json`
printed for COUNT datagrams. Appends "sent answered lost accounted frames" to
the file SUMS. Exits 1, with the reason, where something is lost or wrong.
"""
import json
import sys

def last_object(path):
    """The totals at the end of a run, or None."""
    total = None
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                entry = json.loads(line)
                if entry.get("type") == "ended":
                    total = entry
    return total


def losses(queue):
    """{name: count} of what a queue lost; empty if nothing."""
    lost = {**queue["drops"], "fill_invalid": queue["fill_invalid"],
            "fill_empty": queue["fill_empty"]}
    return {name: count for name, count in lost.items() if count}


def print_table(queues, cpus):
    print("    queue  cpu   received       sent   lost")
    for queue in queues:
        print(f"    {queue['queue']:5}  {cpus[queue['core']]:3}"
              f"  {queue['rx_packets']:9}  {queue['tx_packets']:9}"
              f"  {sum(losses(queue).values()):5}")


def judge(total, udp, count):
    """Reasons why this run is not what it should be."""
    ledger = total["ledger"]
    for queue in total["queues"]:
        if queue["rx_packets"] < count / 4:
            yield (f"queue {queue['queue']} carried {queue['rx_packets']} of "
                   f"{count} datagrams, less than a quarter")
        for name, lost in losses(queue).items():
            yield f"queue {queue['queue']} counts {lost} {name}"
    if len(total["queues"]) != 2:
        yield f"there were {len(total['queues'])} queues, not 2"
    if not udp["ok"] or udp["sent"] != count or udp["answered"] != count:
        yield f"datagrams: {udp}"
    accounted = ledger["pool"] + ledger["receiving"]
    if accounted != ledger["frames"]:
        yield f"frames are missing or still under way at the end: {ledger}"


def main():
    if len(sys.argv) != 5:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    run_path, udp_path, count, sums = sys.argv[1:]
    total = last_object(run_path)
    if total is None:
        print("no totals in what sluice run printed", file=sys.stderr)
        return 1
    with open(udp_path, encoding="utf-8") as file:
        udp = json.load(file)
    cpus = {core["core"]: core["cpu"] for core in total["cores"]}
    print_table(total["queues"], cpus)
    print(f"    {udp['answered']} of {udp['sent']} answered, every byte right; "
          f"{udp['rate']} a second, round trip {udp['rtt_p50_us']} us (p50), "
          f"{udp['rtt_p99_us']} us (p99)")
    reasons = list(judge(total, udp, int(count)))
    for reason in reasons:
        print(reason, file=sys.stderr)
    ledger = total["ledger"]
    with open(sums, "a", encoding="utf-8") as file:
        print(udp["sent"], udp["answered"], udp["lost"],
              ledger["pool"] + ledger["receiving"], ledger["frames"], file=file)
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
