"""The command line: it finds the verb and tells what goes wrong. Nothing heavy is imported before the work begins."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from counterpoint._console import guard_logging
from counterpoint._version import __version__
from counterpoint.errors import ConfigError, CounterpointError, WriteError, printable
from counterpoint.registry import did_you_mean

VERBS = (
    "auto",
    "train",
    "evaluate",
    "verify",
    "predict",
    "compare",
    "reproduce",
    "list",
    "prepare",
    "check",
    "download",
)
"""In the order of the overview; each is a module of `counterpoint.commands`."""

INTERRUPTED = 130  # what a shell reports for a process that Ctrl-C ended
WRONG = 2
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
KEPT = {
    "train": ". Finished epochs are kept; the same command with --resume goes on from there",
    "auto": ". Finished epochs are kept; the same command with --resume goes on from there",
    "compare": ". Finished epochs are kept; the same command with --resume goes on from there",
    "reproduce": ". Finished epochs are kept; the same command goes on from there",
    "prepare": ". What is prepared is kept; the same command goes on from there",
    "verify": ". What is decoded is kept; the same command goes on from there",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: the words after ``counterpoint``; None: those of this process.

    Returns:
        0; 1 when `check` found something on both sides; 2 after a `CounterpointError` or an error of the file
        system, told in one line; 130 after Ctrl-C.
        With ``COUNTERPOINT_DEBUG=1`` in the environment errors come with their traceback.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    guard_logging()
    try:
        code = _answer(words)
        sys.stdout.flush()  # while an output that cannot be written can still be told
        return code
    except BrokenPipeError:  # the reader of our output, e.g. `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (CounterpointError, OSError) as error:
        if os.environ.get("COUNTERPOINT_DEBUG") == "1":
            raise
        verb = words[0] if words and words[0] in VERBS else ""
        kept = KEPT.get(verb, "") if isinstance(error, WriteError) else ""
        name = f"counterpoint {verb}".rstrip()
        what = f"{error}{kept}"
        if _is_of_output(error):
            what = f"the output cannot be written: {getattr(error, 'strerror', error)}"
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
            )  # Python tries again what is left, at its end
        print(printable(f"{name}: {what}"), file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print(f"Interrupted{KEPT.get(words[0], '')}", file=sys.stderr)
        return INTERRUPTED


def _is_of_output(error: Exception) -> bool:
    """Whether it is what was printed that cannot be written; all else that is written tells its file."""
    anonymous = isinstance(error, OSError) and error.filename is None and not isinstance(error, WriteError)
    return anonymous and getattr(error, "errno", None) in _NO_ROOM


def _answer(words: list[str]) -> int:
    """Do what the words ask for."""
    if len(words) > 1 and words[0] == "help":  # of a verb, as its --help
        words = [words[1], "--help"]
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            print(_overview())
        elif "--version" in words[:2]:  # of a verb, it is the package's
            print(f"counterpoint {__version__}")
        elif words[0] in VERBS:
            _run(words[0], words[1:])
        else:
            raise ConfigError(f"There is no verb {words[0]!r}.{did_you_mean(words[0], VERBS)}")
    except SystemExit as end:  # --help and --print_config end like this
        return int(end.code or 0)
    return 0


def _run(verb: str, words: list[str]) -> None:
    if verb == "download":
        _main_of(verb)(words)
        return
    from counterpoint.commands.code import code_of

    with code_of(words) as rest:
        _main_of(verb)(rest)


def _main_of(verb: str) -> Callable[[list[str]], None]:
    called: Callable[[list[str]], None] = import_module(f"counterpoint.commands.{verb}").main
    return called


def _overview() -> str:
    lines = [f"  {verb:10}{(_main_of(verb).__doc__ or '').splitlines()[0]}" for verb in VERBS]
    return "\n".join(
        [
            "usage: counterpoint VERB [options]",
            "",
            "Learn from sound and sight together, without letting one of them drown the other.",
            "",
            *lines,
            "",
            "counterpoint VERB --help tells the options of a verb.",
            "Options may stand in YAML files (--config), which --print_config writes.",
            "",
            "COUNTERPOINT_CACHE names the folder of decoded and downloaded clips (default ~/.cache/counterpoint),",
            "COUNTERPOINT_ALLOCATOR=system leaves the memory allocator alone, COUNTERPOINT_DEBUG=1 shows tracebacks.",
        ]
    )


def program() -> int:
    """What ``python -m counterpoint`` runs: `main`, with nothing imported from the working folder.

    ``python -m`` puts that folder at the head of the path, where a file ``av.py`` would be taken for the library.
    """
    if sys.path[0] == os.getcwd() != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):  # noqa: PTH100, PTH109, PTH120
        del sys.path[0]
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # for what is started from here, e.g. by Lightning
    return main()


if __name__ == "__main__":
    sys.exit(program())
