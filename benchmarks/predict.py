"""`predict` on clips of 1, 3 and 10 minutes: seconds of film per second, and peak memory, which must not grow.

The film is rendered talkers one after the other, again and again; the model is a localiser of talkers' events with
random weights, which costs what a trained one does. Each length runs in a process of its own, on the CPU, so that its
peak is its own; beside it stands how much that is above the peak before the file is opened, of libraries and model.
Run: ``python benchmarks/predict.py [minutes ...] [--localiser bmfn] [--threads 1]``
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import av
from _bench import peak_mib

from counterpoint.data import ClipTable


def loop(clips: Sequence[Path], clip_seconds: float, seconds: float, path: Path) -> Path:
    """Clips of one length after another, copied packet by packet, until `seconds` are full."""
    with av.open(str(path), "w") as out:
        streams = {}
        for number, clip in enumerate(itertools.cycle(clips)):
            if number * clip_seconds >= seconds:
                break
            with av.open(str(clip)) as source:
                for stream in source.streams:
                    if number == 0:
                        streams[stream.index] = out.add_stream_from_template(stream)
                for packet in source.demux():
                    if packet.dts is None or (number and packet.stream.type == "audio" and packet.pts < 0):
                        continue  # the encoder's lead-in, which lies in the clip before
                    shift = round(number * clip_seconds / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = streams[packet.stream_index]
                    out.mux(packet)
    return path


def write_run(folder: Path, localiser: str, table: ClipTable) -> None:
    """A folder with ``config.json`` and ``model.safetensors`` of random weights."""
    import dataclasses

    import torch

    from counterpoint.models import create_localisation_model
    from counterpoint.models.registry import MODELS

    torch.manual_seed(0)
    model = create_localisation_model(
        localiser, num_classes=len(table.classes), segments=table.segments, model="small_av"
    )
    model.save_pretrained(
        folder,
        extra={
            "inputs": MODELS.get("small_av").default_inputs,
            "classes": list(table.classes),
            "media": dataclasses.asdict(table.media),
        },
    )


def measure(run: Path, film: Path, threads: int) -> dict[str, float]:
    """In this process: seconds and peak memory of `predict` and of its files."""
    import torch

    from counterpoint.predict import predict, write
    from counterpoint.training.load import load_run

    torch.set_num_threads(threads)
    loaded = load_run(run)
    loaded.config.accelerator = "cpu"
    figures = {"before": peak_mib()}
    start, busy = time.perf_counter(), time.process_time()
    timeline = predict(loaded, film)
    figures |= {"wall": time.perf_counter() - start, "busy": time.process_time() - busy, "peak": peak_mib()}
    with tempfile.TemporaryDirectory() as folder:
        for formats in (("json", "vtt", "srt"), ("png",)):
            start = time.perf_counter()
            write(timeline, Path(folder) / "film", formats)
            figures["+".join(formats)] = time.perf_counter() - start
    return {
        **figures,
        "peak with files": peak_mib(),
        "seconds": timeline.seconds,
        "segments": len(timeline.labels),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=float, nargs="*", default=[1, 3, 10])
    parser.add_argument("--localiser", default="bmfn")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", nargs=2, metavar=("RUN", "FILM"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        from _bench import set_allocator

        set_allocator()
        print(json.dumps(measure(*map(Path, options.measure), options.threads)))
        return

    from counterpoint.data.talkers import talkers

    with tempfile.TemporaryDirectory() as temporary:
        room = Path(temporary)
        table = talkers(room / "talkers", "event", clips=24)
        write_run(room / "run", options.localiser, table)
        print(f"{options.localiser} behind small_av, {options.threads} CPU threads, talkers 64 x 64 at 25 fps, 16 kHz")
        for minutes in options.minutes:
            film = loop([c.path for c in table.clips], table.media.seconds, 60 * minutes, room / f"{minutes:g}.mp4")
            words = [sys.executable, __file__, "--measure", str(room / "run"), str(film), "--threads"]
            done = subprocess.run([*words, str(options.threads)], check=True, capture_output=True, text=True)
            figures = json.loads(done.stdout.splitlines()[-1])
            print(
                f"  {figures['seconds'] / 60:5.1f} min, {figures['segments']:.0f} segments: {figures['wall']:.2f} s, "
                f"{figures['seconds'] / figures['wall']:.1f} x real time "
                f"({figures['seconds'] / figures['busy']:.1f} by processor time); "
                f"json, vtt, srt {figures['json+vtt+srt']:.2f} s, png {figures['png']:.2f} s; "
                f"peak {figures['peak']:.0f} MiB, {figures['peak'] - figures['before']:.0f} above what stood before; "
                f"with the files {figures['peak with files']:.0f}"
            )


if __name__ == "__main__":
    main()
