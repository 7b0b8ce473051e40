"""Train on two hosts, cut one off, kill workers, and compare bit for bit what the run ends with to an
undisturbed one: sudo python scripts/hosts_campaign.py [--kills 10] [--outages 3] [--losses 3] [--seed 0].

The hosts are two network namespaces of this machine with a cable (veth) between them; each has a folder
of its own, so nothing but the network connects them. Processes find each other by torchrun's c10d
rendezvous; on each host torchrun is started again when it ends, as a service manager would. Needs
Linux, root and `ip` (iproute2).

Three campaigns: `kills`, a worker chosen at random gets SIGKILL; `losses`, every process of the second
host gets SIGKILL; `outages`, the cable is unplugged for longer than a process waits for another.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch

IP = shutil.which("ip") or shutil.which("ip", path="/usr/sbin:/sbin")
ADDRESSES = ("10.77.0.1", "10.77.0.2")
PORT = 29477
# Seconds: after so many a process that does not answer counts as lost; a cable is out for longer.
TIMEOUT, OUTAGE = 4, 12
CONFIG = """
name: run
data: {name: digits, augment: {shift: 1, rotate: 10}, class_weights: balanced}
model: {name: cnn, channels: [8, 16], norm: batch, dropout: 0.1, head: {dropout: 0.3}}
optim: {name: adamw, lr: 3e-3, schedule: cosine, clip: {norm: 1.0}}
train: {epochs: %d, batch_size: 77, accumulate_grad_batches: 2, save_every: 3 steps, precision: fp32, threads: 1}
"""


def unavailable() -> str | None:
    """Why there can be no such hosts here; None where there can."""
    if not sys.platform.startswith("linux"):
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if IP is None:
        return "needs `ip` (iproute2)"
    done = subprocess.run([IP, "netns", "list"], capture_output=True, check=False)
    return None if done.returncode == 0 else "`ip netns` does not work here"


class Hosts:
    """Two network namespaces and the cable between them."""

    def __init__(self) -> None:
        self.names = tuple(f"nnzoo{os.getpid()}{side}" for side in "ab")
        self.cables = tuple(f"v{os.getpid()}{side}" for side in "ab")
        for name in self.names:
            self.ip("netns", "add", name)
        self.ip("link", "add", self.cables[0], "type", "veth", "peer", "name", self.cables[1])
        for name, cable, address in zip(self.names, self.cables, ADDRESSES, strict=True):
            self.ip("link", "set", cable, "netns", name)
            self.ip("-n", name, "addr", "add", f"{address}/24", "dev", cable)
            self.ip("-n", name, "link", "set", cable, "up")
            self.ip("-n", name, "link", "set", "lo", "up")

    def ip(self, *words: str) -> str:
        done = subprocess.run([str(IP), *words], check=True, capture_output=True, text=True)
        return done.stdout

    def plug(self, state: str) -> None:
        """The cable of the second host: up or down."""
        self.ip("-n", self.names[1], "link", "set", self.cables[1], state)

    def pids(self, host: int) -> list[int]:
        return [int(pid) for pid in self.ip("netns", "pids", self.names[host]).split()]

    def workers(self) -> list[int]:
        """The processes that train, on both hosts."""
        result = []
        for pid in self.pids(0) + self.pids(1):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                environment = Path(f"/proc/{pid}/environ").read_bytes()
            except OSError:  # it has just ended
                continue
            if b"nnzoo" in words and b"torch.distributed.run" not in words:
                result += [pid] if b"RANK=" in environment else []
        return result

    def close(self) -> None:
        for host in (0, 1):
            for pid in self.pids(host):
                _kill(pid)
        for name in self.names:
            self.ip("netns", "del", name)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Host(threading.Thread):
    """torchrun on one host, started again until it ends well."""

    def __init__(self, hosts: Hosts, number: int, folder: Path, processes: int) -> None:
        super().__init__(daemon=True)
        self.words = [
            str(IP),
            "netns",
            "exec",
            hosts.names[number],
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nnodes",
            "2",
            "--nproc-per-node",
            str(processes),
            "--max-restarts",
            "100",
            "--rdzv-backend",
            "c10d",
            "--rdzv-endpoint",
            f"{ADDRESSES[0]}:{PORT}",
            "--rdzv-id",
            folder.name,
            "--local-addr",
            ADDRESSES[number],
            "--rdzv-conf",
            f"keep_alive_interval=1,read_timeout={TIMEOUT},is_host={1 - number}",
            "-m",
            "nnzoo",
            "train",
            "--config",
            str(folder / "run.yaml"),
            "--out",
            str(folder / f"host{number}"),
            "--verbose",
            "2",
        ]
        self.environment = os.environ | {
            "GLOO_SOCKET_IFNAME": hosts.cables[number],
            "NNZOO_TIMEOUT": str(TIMEOUT),
            "OMP_NUM_THREADS": "1",
            "NNZOO_CACHE": str(folder / f"cache{number}"),
        }
        self.log = folder / f"host{number}.log"
        self.starts = 0
        self.done = False

    def run(self) -> None:
        with self.log.open("ab") as log:
            while not self.done and self.starts < 100:
                self.starts += 1
                process = subprocess.run(
                    self.words, env=self.environment, stdout=log, stderr=log, check=False
                )
                self.done = process.returncode == 0
                time.sleep(0.2)


def lines(folder: Path) -> int:
    """Epochs so far, on whichever host is further."""
    result = [folder / f"host{number}" / "run" / "metrics.jsonl" for number in (0, 1)]
    return max((len(path.read_bytes().splitlines()) for path in result if path.exists()), default=0)


def trained(folder: Path) -> tuple[Any, list[Any]]:
    """The final state of a run: last.pt and the lines of metrics.jsonl, times aside."""
    kept = []
    for path in folder.glob("host*/run/last.pt"):
        content = torch.load(path, weights_only=True)
        position = content["trainer"]["position"]
        position.pop("elapsed")
        rows = [json.loads(line) for line in (path.parent / "metrics.jsonl").open()]
        rows = [{k: v for k, v in row.items() if "second" not in k} for row in rows]
        kept.append((position["step"], content, rows))
    _, content, rows = max(kept, key=lambda item: item[0])
    return content, rows


def same(a: Any, b: Any) -> bool:
    """Whether two trees hold the same bits."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def disturb(kind: str, hosts: Hosts, chance: random.Random) -> None:
    if kind == "kills":
        workers = hosts.workers()
        if workers:
            _kill(chance.choice(workers))
    elif kind == "losses":
        for pid in hosts.pids(1):
            _kill(pid)
    else:
        hosts.plug("down")
        time.sleep(OUTAGE)
        hosts.plug("up")


def campaign(kind: str, count: int, args: argparse.Namespace, base: Path) -> tuple[Any, list[Any]]:
    """One run on two hosts with so many disturbances, each in the middle of an epoch."""
    chance = random.Random(f"{args.seed} {kind}")
    folder = base / kind
    folder.mkdir()
    (folder / "run.yaml").write_text(CONFIG % args.epochs)
    hosts = Hosts()
    started = time.monotonic()
    try:
        pair = [Host(hosts, number, folder, args.processes) for number in (0, 1)]
        for host in pair:
            host.start()
        done = 0
        seen = -1
        limit = args.limit
        while not all(host.done for host in pair):
            if time.monotonic() - started > limit or any(host.starts >= 100 for host in pair):
                raise SystemExit(f"{kind}: not finished after {limit} s; see {folder}")
            time.sleep(0.02)
            # The next one not before the run has gone on.
            if done < count and lines(folder) > seen:
                seen = lines(folder)
                time.sleep(chance.random() * 0.2)
                if seen < args.epochs and hosts.workers():
                    disturb(kind, hosts, chance)
                    done += 1
        seconds = time.monotonic() - started
        for host in pair:
            host.join()
    finally:
        hosts.close()
    starts = " and ".join(str(host.starts) for host in pair)
    messages = sum(path.read_text().count("resumed ") for path in folder.glob("host*.log"))
    print(
        f"{kind:12}  {done:3} times   {seconds:5.0f} s   torchrun started {starts} times, "
        f"run resumed {messages} times",
        flush=True,
    )
    if done < count:
        raise SystemExit(f"{kind}: the run ended after {done} of {count}; more --epochs")
    return trained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=10, help="of a worker")
    parser.add_argument("--losses", type=int, default=2, help="of all processes of a host")
    parser.add_argument("--outages", type=int, default=2, help="of the cable")
    parser.add_argument("--processes", type=int, default=1, help="on each host")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--limit", type=int, default=400, help="seconds a campaign may take")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    reason = unavailable()
    if reason:
        raise SystemExit(f"not here: {reason}")
    base = Path(tempfile.mkdtemp(prefix="nnzoo-hosts-"))
    print("disturbance", flush=True)
    whole = campaign("none", 0, args, base)
    counts = {"kills": args.kills, "losses": args.losses, "outages": args.outages}
    failures = 0
    for kind, count in counts.items():
        if count:
            identical = same(campaign(kind, count, args, base), whole)
            print(f"{'':12}  {'identical, bit for bit' if identical else 'DIFFERENT'}", flush=True)
            failures += not identical
    shutil.rmtree(base) if not failures else print(f"see {base}")
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
