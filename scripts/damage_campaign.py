"""Damage checkpoints in every way and load them: `python scripts/damage_campaign.py --files 100000`.

Accidents (cuts, flipped bits, lost blocks) must be noticed, every one: no file may load with other
numbers. Attacks carry a right checksum, as anyone can compute one: they may be refused or be a
harmless checkpoint, but nothing may be run, written or imported, and no load may take a second or
200 MB. Whatever is refused is refused with one of nnzoo's own errors. POSIX only (it forks).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import pickle
import random
import resource
import struct
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from nnzoo.config.run_config import from_dict
from nnzoo.errors import CheckpointError
from nnzoo.models.network import network_from_checkpoint
from nnzoo.runs import checkpoint
from nnzoo.runs.run import RunOptions, open_run
from nnzoo.runs.train import train

CHUNK = 2000
SECONDS, MEGABYTES = 1.0, 200
CPU = torch.device("cpu")
# A load may have no side effects. Python reports these through its audit hooks.
WATCHED = (
    "os.",
    "subprocess.",
    "socket.",
    "ctypes.",
    "pty.",
    "shutil.",
    "exec",
    "compile",
    "import",
    "marshal.",
    "code.",
    "urllib.",
    "ftplib.",
    "webbrowser.",
)
HARMLESS = ("os.listdir", "os.scandir", "os.putenv")

Case = tuple[str, Callable[[], bytes]]


def make_runs(folder: Path) -> dict[str, bytes]:
    """Two honest checkpoints: a small one, and one of a few hundred kB."""
    small = {"name": "mlp", "hidden": [3]}
    large = {"name": "cnn", "channels": [8, 16], "norm": "batch"}
    files = {}
    for name, model, data in (("small", small, "iris"), ("large", large, "digits")):
        tree = {"name": name, "data": {"name": data}, "model": model, "train": {"epochs": 2}}
        run = open_run(from_dict(tree, "campaign"), RunOptions(folder, CPU))
        for _ in train(run):
            pass
        run.lock.release()
        files[name] = (folder / name / "last.pt").read_bytes()
    return files


# Accidents.


def cuts(whole: bytes) -> Iterator[Case]:
    for length in range(len(whole)):
        yield f"cut at byte {length}", lambda length=length: whole[:length]


def bits(whole: bytes) -> Iterator[Case]:
    """Every bit: of the archive's headers, of the pickle, of the weights, of the seal."""
    for place in range(8 * len(whole)):
        byte, bit = divmod(place, 8)
        yield (
            f"bit {place}",
            lambda byte=byte, bit=bit: (
                whole[:byte] + bytes([whole[byte] ^ 1 << bit]) + whole[byte + 1 :]
            ),
        )


def accidents(whole: bytes, seed: int) -> Iterator[Case]:
    """Damage as disks, crashes and transfers cause it."""
    number = 0
    while True:
        yield (
            f"accident {seed}/{number}",
            lambda number=number: _accident(whole, random.Random(f"{seed} {number}")),
        )
        number += 1


def _accident(whole: bytes, rng: random.Random) -> bytes:
    data = bytearray(whole)
    kind = rng.randrange(9)
    block = rng.choice((1, 16, 512, 4096))
    first = rng.randrange(max(1, len(data) - block))
    second = rng.randrange(max(1, len(data) - block))
    if kind == 0:
        for _ in range(rng.randint(1, 64)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[first : first + block] = bytes(block)
    elif kind == 2:
        data[first : first + block] = rng.randbytes(block)
    elif kind == 3:
        data[first : first + block], data[second : second + block] = (
            data[second : second + block],
            data[first : first + block],
        )
    elif kind == 4:  # a length that was written before its content
        data[first:] = bytes(len(data) - first)
    elif kind == 5:
        del data[first : first + block]
    elif kind == 6:
        data[first:first] = rng.randbytes(block)
    elif kind == 7:  # line ends "repaired"
        data = bytearray(bytes(data).replace(b"\n", b"\r\n"))
    else:
        data += rng.choice((whole, b"\n", bytes(block)))
    return bytes(data)


# Attacks.


def tampered(whole: bytes, seed: int) -> Iterator[Case]:
    """Bytes changed, and the seal made right again."""
    archive = unsealed(whole)
    # The pickle and the archive's directory decide what is done; the weights are only numbers.
    places = [*range(1500), *range(max(0, len(archive) - 3000), len(archive) - 22)]
    number = 0
    while True:
        yield (
            f"tampered {seed}/{number}",
            lambda number=number: _tampered(archive, places, random.Random(f"{seed} {number}")),
        )
        number += 1


def unsealed(whole: bytes) -> bytes:
    """The archive without its comment."""
    end = whole.rindex(b"PK\x05\x06") + 22
    return whole[: end - 2] + b"\0\0"


def _tampered(archive: bytes, places: list[int], rng: random.Random) -> bytes:
    data = bytearray(archive)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.choice(places)
        kind = rng.randrange(4)
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place] = rng.choice(b"\x00\xff\x80.0(]}\x85R\x81cQq\x93i\x82bo")
        elif kind == 2:
            data[place : place + 4] = struct.pack("<I", rng.choice((0, 1, 2**31 - 1, 2**32 - 1)))
        else:
            other = rng.choice(places)
            data[place : place + 8] = data[other : other + 8]
    return sealed(bytes(data))


def sealed(archive: bytes) -> bytes:
    end = archive[-22:]
    if not end.startswith(b"PK\x05\x06"):
        archive = archive[:-22] + b"PK\x05\x06" + end[4:]
    return bytes(checkpoint.append_checksum(archive))


def attacks() -> Iterator[Case]:
    """Archives and pickles after known attacks, sealed and not."""
    for name, pickled in pickles().items():
        for kind, pack in (("stored", zipfile.ZIP_STORED), ("packed", zipfile.ZIP_DEFLATED)):
            data = archive(
                {
                    "archive/data.pkl": pickled,
                    "archive/byteorder": b"little",
                    "archive/data/0": bytes(16),
                    "archive/version": b"3\n",
                },
                pack,
            )
            yield f"{name}, {kind}, sealed", lambda data=data: sealed(data)
            yield f"{name}, {kind}", lambda data=data: data
        yield f"{name}, no archive", lambda pickled=pickled: pickled
        script = {
            "archive/constants.pkl": pickled,
            "archive/data.pkl": pickled,
            "archive/code/__torch__.py": b"import os",
        }
        yield f"{name}, TorchScript", lambda script=script: sealed(archive(script))
    yield from bombs()


def archive(entries: dict[str, bytes], pack: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", pack) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return buffer.getvalue()


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def pickles() -> dict[str, bytes]:
    """Pickles that run code, or eat time or memory."""
    touch = "touch owned"
    result: dict[str, bytes] = {}
    for module, name, argument in (
        ("os", "system", touch),
        ("posix", "system", touch),
        ("nt", "system", touch),
        ("subprocess", "Popen", touch),
        ("subprocess", "check_output", touch),
        ("builtins", "eval", "open('owned','w')"),
        ("builtins", "exec", "open('owned','w')"),
        ("__builtin__", "eval", "open('owned','w')"),
        ("builtins", "__import__", "antigravity"),
        ("builtins", "getattr", "x"),
        ("builtins", "open", "owned"),
        ("io", "open", "owned"),
        ("importlib", "import_module", "antigravity"),
        ("runpy", "run_path", "owned"),
        ("pty", "spawn", "sh"),
        ("webbrowser", "open", "file:owned"),
        ("pip", "main", "x"),
        ("timeit", "timeit", "open('owned','w')"),
        ("cProfile", "run", "open('owned','w')"),
        ("bdb", "Bdb", "x"),
        ("idlelib.pyshell", "ModifiedInterpreter", "x"),
        ("torch.serialization", "load", "owned"),
        ("torch", "load", "owned"),
        ("torch.storage", "_load_from_bytes", touch),
        ("torch.hub", "load", "x/y"),
        ("torch.utils.cpp_extension", "load_inline", "x"),
        ("torch.jit", "load", "owned"),
        ("torch._inductor.codecache", "compile_file", "x"),
        ("torch.ops", "load_library", "owned"),
        ("torch.classes", "load_library", "owned"),
        ("torch.fx.graph_module", "reduce_graph_module", "x"),
        ("torch.nn.modules.module", "Module", "x"),
        ("torch._utils", "_rebuild_qtensor", "x"),
        ("torch._utils", "_rebuild_sparse_tensor", "x"),
        ("torch._utils", "_rebuild_parameter", "x"),
        ("torch._tensor", "_rebuild_from_type_v2", "x"),
        ("torch", "Tensor", "x"),
        ("torch", "UntypedStorage", "x"),
        ("torch", "device", "meta"),
        ("torch", "Size", "x"),
        ("numpy", "load", "owned"),
        ("numpy.testing._private.utils", "runstring", touch),
        ("numpy.core.multiarray", "_reconstruct", "x"),
        ("numpy", "memmap", "owned"),
        ("joblib.numpy_pickle", "load", "owned"),
        ("pandas", "read_pickle", "owned"),
        ("sklearn.linear_model", "LogisticRegression", "x"),
        ("dill._dill", "_create_code", "x"),
        ("keras.layers", "Lambda", "x"),
        ("pydoc", "locate", "os.system"),
        ("ctypes", "CDLL", "x"),
        ("collections", "defaultdict", "x"),
        ("_codecs", "encode", "x"),
        ("nnzoo.cli", "main", "x"),
        ("functools", "partial", "x"),
        ("operator", "attrgetter", "system"),
        ("builtins", "bytearray", "x"),
        ("collections", "Counter", "x"),
        ("builtins", "set", "x"),
    ):
        text = f"X{struct.pack('<I', len(argument)).decode('latin-1')}{argument}".encode("latin-1")
        call = f"{module}\n{name}\n".encode()
        result[f"{module}.{name}"] = b"\x80\x02c" + call + text + b"\x85R."
        result[f"{module}.{name} inside"] = (
            b"\x80\x02}X\x01\x00\x00\x00xc" + call + text + b"\x85Rs."
        )
        result[f"{module}.{name} new object"] = b"\x80\x02c" + call + text + b"\x85\x81."
        result[f"{module}.{name} instance"] = b"(" + text + b"i" + call + b"."
        result[f"{module}.{name} object"] = b"(c" + call + text + b"o."
        result[f"{module}.{name} build"] = b"\x80\x02c" + call + b")\x81}b."
        words = [b"\x8c" + bytes([len(word)]) + word.encode() for word in (module, name)]
        result[f"{module}.{name} by stack"] = (
            b"\x80\x04" + words[0] + words[1] + b"\x93" + text + b"\x85R."
        )
    twice: list[Any] = []
    for _ in range(60):
        twice = [twice, twice]
    result["laughs"] = pickle.dumps({"x": twice}, protocol=2)
    itself: list[Any] = []
    itself.append(itself)
    result["itself"] = pickle.dumps({"x": itself}, protocol=2)
    result["deep"] = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    result["deep tuples"] = b"\x80\x02)" + b"\x85" * 100_000 + b"."
    result["many"] = pickle.dumps({"x": [0] * 3_000_000}, protocol=2)
    result["long"] = pickle.dumps({"x": 1 << 8_000_000}, protocol=2)
    result["long name"] = b"\x80\x02c" + b"a" * 1_000_000 + b"\nb\n)R."
    result["extension"] = b"\x80\x02\x82\x01."
    result["memo"] = b"\x80\x02r\xff\xff\xff\xff."
    result["memo 2"] = b"\x80\x02Nr\xff\xff\xff\x7f."
    result["claims 2 GB"] = b"\x80\x02X\xff\xff\xff\x7fabc."
    result["claims 4 GB"] = b"\x80\x04\x8d\xff\xff\xff\xff\x00\x00\x00\x00abc."
    result["frame"] = b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN."
    result["no stack"] = b"\x80\x020."
    result["no end"] = b"\x80\x02}"
    result["protocol"] = b"\x80\xffN."
    result["persistent"] = b"\x80\x02X\x02\x00\x00\x00osQ."
    result["persistent text"] = b"Pos\n."
    result["bytes"] = pickle.dumps({"x": b"1"}, protocol=4)
    for name, sizes in {
        "larger than its storage": (2**40,),
        "negative": (-5,),
        "no stride": (2**33,),
    }.items():
        result[f"tensor {name}"] = tensor_pickle(sizes, 0 if name == "no stride" else 1)
    return result


def tensor_pickle(sizes: tuple[int, ...], stride: int) -> bytes:
    """The pickle of a tensor of any size over a storage of four numbers."""
    buffer = io.BytesIO()
    torch.save({"x": torch.zeros(4)}, buffer)
    with zipfile.ZipFile(io.BytesIO(buffer.getvalue())) as file:
        pickled = file.read("archive/data.pkl")
    number = pickle.dumps(sizes[0], protocol=2)[2:-1]
    old = pickled.index(b"K\x04\x85")
    rest = pickled[old + 3 :].replace(b"K\x01\x85", b"K" + bytes([stride]) + b"\x85", 1)
    return pickled[:old] + number + b"\x85" + rest


def bombs() -> Iterator[Case]:
    """Archives that grow, overlap or lie."""
    honest = io.BytesIO()
    torch.save({"x": torch.zeros(4)}, honest)
    plain = honest.getvalue()
    with zipfile.ZipFile(io.BytesIO(plain)) as file:
        entries = {entry.filename: file.read(entry) for entry in file.infolist()}
    for pack in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        for name in ("archive/data/0", "archive/data.pkl", "archive/version", "archive/byteorder"):
            grown = entries | {name: bytes(300_000_000 if pack == zipfile.ZIP_DEFLATED else 10**7)}
            yield f"bomb {pack} {name}", lambda grown=grown, pack=pack: sealed(archive(grown, pack))
    yield (
        "65,000 entries",
        lambda: sealed(archive(entries | {f"archive/data/{i}": b"" for i in range(1, 65_000)})),
    )
    yield (
        "names that lead out",
        lambda: sealed(
            archive(
                {name.replace("archive", "../../archive"): data for name, data in entries.items()}
            )
        ),
    )
    yield "two directories", lambda: sealed(plain + plain)
    first = plain.index(b"PK\x01\x02")
    for field, width in ((20, 4), (24, 4), (42, 4), (10, 2), (8, 2), (28, 2), (30, 2), (32, 2)):
        for value in (0, 1, 0xFFFF, 2**31 - 1, 2**32 - 2, 2**32 - 1):
            number = (value & (256**width - 1)).to_bytes(width, "little")
            yield (
                f"directory field {field} = {value}",
                lambda field=field, number=number: sealed(
                    plain[: first + field] + number + plain[first + field + len(number) :]
                ),
            )
    for field in range(4, 20, 2):
        for value in (0, 1, 0xFFFF):
            end = bytearray(plain)
            end[len(end) - 22 + field : len(end) - 20 + field] = value.to_bytes(2, "little")
            yield f"end field {field} = {value}", lambda end=bytes(end): sealed(end)


# Loading, watched.


class Watch:
    """Notes what Python's audit hooks report while `on`."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: Any) -> None:
        if not self.on:
            return
        writing = (
            event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        )
        if writing or (event.startswith(WATCHED) and event not in HARMLESS):
            self.seen.append(f"{event} {arguments}"[:200])


def attempt(path: Path, good: list[Any]) -> str:
    """Load one file as `nnzoo eval` does: "refused", "whole" (the same numbers) or "other"."""
    try:
        content = checkpoint.load(path)
        outcome = "whole" if any(same(content, item) for item in good) else "other"
        if outcome == "other":
            network_from_checkpoint(content, str(path), CPU)
    except CheckpointError as error:
        text = str(error)
        assert text and len(text) < 600 and "\n" not in text, f"message: {text[:1000]}"
        return "refused"
    return outcome


def same(a: Any, b: Any) -> bool:
    """Whether two trees hold the same bits."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return (a.dtype, a.shape) == (b.dtype, b.shape) and (
            a.contiguous().numpy().tobytes() == b.contiguous().numpy().tobytes()
        )
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and bool(a == b)


def reset_peak() -> int:
    """Start to watch the resident memory (MB), where Linux lets us; returns what there is."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """The most memory that was resident since `reset_peak`, in MB."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def work(cases: list[Case], honest: bool, good: list[Any], watch: Watch, report: Any) -> None:
    """In a process of its own: load each case and write a line about it."""
    path = Path("damaged.pt")
    for name, make in cases:
        path.write_bytes(make())
        report.write(f"begin\t{name}\n")
        before = reset_peak()
        watch.seen, watch.on = [], True
        started = time.process_time()
        try:
            outcome, failure = attempt(path, good), ""
        except BaseException:
            outcome, failure = "failure", traceback.format_exc().replace("\n", " | ")[-900:]
        seconds = time.process_time() - started
        watch.on = False
        memory = peak() - before
        if watch.seen or Path("owned").exists():
            failure += f" did {watch.seen or 'run code'}"
        if seconds > SECONDS:
            failure += f" took {seconds:.1f} s"
        if memory > MEGABYTES:
            failure += f" took {memory} MB"
        if honest and outcome == "other":
            failure += " loaded with other numbers"
        report.write(f"end\t{name}\t{outcome}\t{seconds:.4f}\t{memory}\t{failure}\n")
    report.flush()


def run_chunk(cases: list[Case], honest: bool, good: list[Any], watch: Watch) -> list[list[str]]:
    """Fork, work, and read what came of it; a process that died is a failure of its last case."""
    report = Path("report.txt")
    child = os.fork()
    if not child:
        status = 1
        try:
            with report.open("w") as file:
                work(cases, honest, good, watch, file)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    lines = [line.rstrip("\n").split("\t") for line in report.read_text().splitlines()]
    rows = [line[1:] for line in lines if line[0] == "end" and len(line) == 6]
    if status:
        last = lines[-1][1] if lines else "nothing"
        rows.append([last, "failure", "0", "0", f"the process died with status {status}"])
    return rows


def chosen(cases: Iterator[Case], count: int, stride: int = 1) -> Iterator[list[Case]]:
    """Chunks of every stride-th of the first `count` cases."""
    chunk: list[Case] = []
    for number, case in enumerate(cases):
        if number >= count:
            break
        if number % stride == 0:
            chunk.append(case)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def main() -> None:
    """Run every group and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--files", type=int, default=100_000, help="how many in all, about")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started, failures, total = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory(
        dir="/dev/shm" if Path("/dev/shm").is_dir() else None
    ) as folder:
        os.chdir(folder)
        files = make_runs(Path("runs"))
        small, large = files["small"], files["large"]
        good = []
        for name, data in files.items():
            Path(f"{name}.pt").write_bytes(data)
            good.append(checkpoint.load(Path(f"{name}.pt")))
        watch = Watch()
        # Imports happen before the audit hooks watch.
        for make in (cuts(small), accidents(small, 0), tampered(small, 0), attacks()):
            warm = [case for case, _ in zip(make, range(300), strict=False)]
            work(warm[:: max(1, len(warm) // 60)], False, good, watch, io.StringIO())
        all_bits, everything = 8 * len(small), 9 * len(small)
        stride = max(1, round(everything / (options.files / 2)))
        rest = max(100, options.files - everything // stride)
        groups: list[tuple[str, bool, Iterator[list[Case]]]] = [
            ("cut at every byte", True, chosen(cuts(small), len(small), stride)),
            ("every single bit", True, chosen(bits(small), all_bits, stride)),
            ("accidents, small", True, chosen(accidents(small, options.seed), rest // 4)),
            ("accidents, large", True, chosen(accidents(large, options.seed + 1), rest // 4)),
            ("tampered, sealed", False, chosen(tampered(small, options.seed), rest // 2)),
            ("attacks and bombs", False, chosen(attacks(), 10**9, max(1, stride // 4))),
        ]
        print(f"checkpoints of {len(small):,} and {len(large):,} bytes")
        print(
            f"{'':20} {'files':>8} {'refused':>8} {'whole':>6} {'other':>6} {'slowest':>9} {'memory':>8}"
        )
        for name, honest, chunks in groups:
            count: Counter[str] = Counter()
            slowest, memory = 0.0, 0
            for chunk in chunks:
                for case, outcome, seconds, grown, failure in run_chunk(chunk, honest, good, watch):
                    count[outcome] += 1
                    slowest, memory = max(slowest, float(seconds)), max(memory, int(grown))
                    if failure:
                        failures += 1
                        print(f"FAILURE {name}: {case}: {failure}", flush=True)
            files_here = sum(count.values())
            total += files_here
            print(
                f"{name:20} {files_here:8,} {count['refused']:8,} {count['whole']:6,} {count['other']:6,} "
                f"{slowest:7.3f} s {memory:5,} MB",
                flush=True,
            )
    print(
        f"{total:,} files, {failures} failures, {time.monotonic() - started:.0f} s (seed {options.seed})"
    )
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
