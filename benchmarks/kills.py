"""Kills runs at random and goes on with them: each must end in the bytes of one that was left alone.

    python benchmarks/kills.py --kills 200 --folder /tmp/kills

A kill is SIGKILL, SIGTERM or SIGINT at a random moment of `train`, `compare`, `prepare` or `reproduce` on tiny clips;
then the same command goes on, to be killed again or to end. After each kill no process may be left, and at the end the
folder must hold what one that was never killed holds, but for times, logs, places and whatever is made of those.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from counterpoint.data.tiny import write_tiny
from tiny_clips import tiny_data, write_tiny_clips

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
VERBS = ("train", "compare", "prepare", "reproduce")
LEFT_OUT = ("environment.json", "checksums.sha256", "report.html", "reproduction.md")  # they hold times and commands
TIMES = ("seconds", "environment", "config", "folder", "root", "cache")
MARK = "COUNTERPOINT_KILLS"  # in the environment of all that is started here


class Case:
    """One verb in a folder of its own, and the command that begins and continues it."""

    def __init__(self, verb: str, folder: Path, data: Path) -> None:
        self.verb, self.folder = verb, folder
        self.cache = folder / "cache" if verb == "prepare" else data / "cache"
        tiny, runs = json.dumps(tiny_data(data / "clips")), str(folder)
        self.words = {
            "train": ["train", "--runs", runs, "--name", "a", f"--data={tiny}", "--epochs=4", "--resume"],
            "compare": [
                *("compare", "--runs", runs, "--name", "a", f"--base.data={tiny}", "--base.epochs=2", "--resume"),
                *("--methods", "concat", "sum-ogm", "--seeds", "0", "--alone=false", "--jobs=2"),
            ],
            "prepare": [
                "prepare",
                "--data.name=folder",
                f"--data.root={data / 'clips'}",
                "--data.cache",
                str(self.cache),
            ],
            "reproduce": [
                *("reproduce", "mmcosine-table1-cremad", "--runs", runs, "--data-root", str(data / "cremad")),
                *("--methods", "concat", "--baseline=null", "--seeds", "0", "--alone=false", "--base.epochs=1"),
                *("--base.model.options", json.dumps({m: {"name": f"{m}_cnn"} for m in ("audio", "visual")})),
                f"--base.data.media={json.dumps({'seconds': 0.5, 'size': 32, 'frames': 4})}",
                *("--base.data.batch_size=8", "--base.accelerator=cpu"),
            ],
        }[verb]

    def start(self) -> subprocess.Popen[str]:
        """The process, in a group of its own."""
        environment = {**os.environ, "COUNTERPOINT_CACHE": str(self.cache), MARK: str(self.folder)}
        words = [sys.executable, "-m", "counterpoint.cli", *self.words]
        return subprocess.Popen(
            words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def finish(self) -> float:
        """Run to the end; the seconds that it took."""
        began = time.monotonic()
        process = self.start()
        _, said = process.communicate()
        if process.returncode:
            raise SystemExit(f"{self.verb} ended with {process.returncode}:\n{said}")
        return time.monotonic() - began

    def kill(self, after: float, by: signal.Signals) -> bool:
        """Whether it was killed before it ended by itself; what it started must end with it."""
        process = self.start()
        try:
            process.communicate(timeout=after)
            return False
        except subprocess.TimeoutExpired:
            process.send_signal(by)
            process.communicate()
        for _ in range(600):  # workers finish the step that they are in
            if not (left := list(processes(self.folder))):
                return True
            time.sleep(0.1)
        raise SystemExit(f"{self.verb}: a minute after {by.name} there are still processes {left}")

    def digest(self) -> dict[str, str]:
        """What is in the folder, file by file."""
        if self.verb == "prepare":  # shards are named at random, and cut where a kill came
            return {"clips": str(sorted(prepared(self)))}
        files = (path for path in sorted(self.folder.rglob("*")) if path.is_file())
        return {
            str(path.relative_to(self.folder)): content(path)
            for path in files
            if path.name not in LEFT_OUT and path.suffix not in (".log", ".txt") and path.name != ".lock"
        }


def prepared(case: Case) -> Iterator[str]:
    """A digest of every clip in a cache."""
    from counterpoint.media.spec import MediaSpec
    from counterpoint.training.config import DataConfig
    from counterpoint.training.datamodule import list_clips, media_spec, prepare_clips

    config = DataConfig(name="folder", root=case.words[2].partition("=")[2], cache=str(case.cache))
    table = list_clips(config, fit_length=True)
    spec: MediaSpec = media_spec(table, config.media)
    clips = prepare_clips(table, config, spec, ("audio", "visual"))
    if clips.decoded:
        raise SystemExit(f"prepare: {clips.decoded} clips were not in the cache at the end")
    for split in ("train", "val", "test"):
        for item in clips.split(split):
            yield hashlib.sha256(b"".join(item[m].numpy().tobytes() for m in ("audio", "visual"))).hexdigest()


def content(path: Path) -> str:
    """Of a file, without times and places."""
    if path.suffix == ".json":
        return json.dumps(without_times(json.loads(path.read_text())), sort_keys=True)
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return str([{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)])
    if path.suffix == ".ckpt":
        state = torch.load(path, weights_only=True)
        rows = state.pop("rows", {})
        return hashlib.sha256((tensors(state) + str(sorted(rows))).encode()).hexdigest()
    if path.suffix == ".yaml":
        return path.read_text().replace(str(path.parents[1]), "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tensors(state: Any) -> str:
    """All values of nested containers, in words."""
    if isinstance(state, torch.Tensor):
        return hashlib.sha256(state.contiguous().numpy().tobytes()).hexdigest()
    if isinstance(state, dict):
        return str([(key, tensors(value)) for key, value in state.items()])
    return str([tensors(value) for value in state]) if isinstance(state, list | tuple) else str(state)


def without_times(values: Any) -> Any:
    """The same without what differs from one run to the next."""
    if isinstance(values, dict):
        return {key: without_times(value) for key, value in values.items() if key not in TIMES}
    return [without_times(value) for value in values] if isinstance(values, list) else values


def processes(folder: Path) -> Iterator[int]:
    """Those that were started for a folder and are still there."""
    mark = f"{MARK}={folder}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                yield int(path.parent.name)


def main() -> None:
    """Kill, go on, compare, and print what happened."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=40, help="of all verbs together")
    parser.add_argument("--verbs", nargs="+", choices=VERBS, default=list(VERBS))
    parser.add_argument(
        "--folder", type=Path, default=Path("kills"), help="is made anew; holds what differs, if anything"
    )
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no further case after that")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if asked.folder.exists():
        raise SystemExit(f"{asked.folder} is there already; name a folder that is not")
    random.seed(asked.seed)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder, data, began = asked.folder.absolute(), asked.folder.absolute() / "data", time.monotonic()
    write_tiny_clips(data / "clips")
    if "reproduce" in asked.verbs:
        write_tiny("cremad", data / "cremad")
    right, seconds = {}, {}
    for verb in asked.verbs:
        Case(verb, folder / f"{verb}-warm", data).finish()  # fills the cache
        case = Case(verb, folder / f"{verb}-whole", data)
        seconds[verb] = case.finish()
        right[verb] = case.digest()
    kills: dict[str, Counter[str]] = defaultdict(Counter)
    wrong, cases, done = Counter[str](), Counter[str](), 0
    while done < asked.kills and time.monotonic() - began < 60 * asked.minutes:
        verb = asked.verbs[sum(cases.values()) % len(asked.verbs)]
        case = Case(verb, folder / f"{verb}-{cases[verb]}", data)
        cases[verb] += 1
        for _ in range(random.randint(1, 5)):
            by = random.choice(SIGNALS)
            if not case.kill(random.uniform(0.3, 1.0) * seconds[verb], by):
                break
            kills[verb][by.name] += 1
            done += 1
        case.finish()
        found = case.digest()
        if found == right[verb]:
            shutil.rmtree(case.folder)
        else:
            wrong[verb] += 1
            names = [name for name in {**right[verb], **found} if right[verb].get(name) != found.get(name)]
            print(f"{case.folder} differs in {', '.join(names)}", flush=True)
    print(f"{'':12}{'cases':>7}{'SIGKILL':>9}{'SIGTERM':>9}{'SIGINT':>8}{'differ':>8}{'seconds unkilled':>18}")
    for verb in asked.verbs:
        counts = "".join(f"{kills[verb][by.name]:>{width}}" for by, width in zip(SIGNALS, (9, 9, 8), strict=True))
        print(f"{verb:12}{cases[verb]:>7}{counts}{wrong[verb]:>8}{seconds[verb]:>18.1f}")
    print(f"{done} kills in {(time.monotonic() - began) / 60:.1f} minutes; no process was left")
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
