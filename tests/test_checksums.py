"""A file's digest is right at every moment, and a file that is not as it was written is told by its name."""

import subprocess

import pytest

from counterpoint import _atomic, _checksums
from counterpoint.errors import DamagedFileError


def test_every_flipped_bit_is_told_and_a_file_without_digest_is_taken_as_it_is(tmp_path):
    path = tmp_path / "a.bin"
    _atomic.write_text(path, "what was written", checked=True)
    (tmp_path / "other").write_text("")
    assert _checksums.is_whole(path) and _checksums.is_whole(tmp_path / "other")
    assert not _checksums.is_whole(tmp_path / "nothing")
    right = path.read_bytes()
    for at in range(len(right)):
        for bit in range(8):
            path.write_bytes(right[:at] + bytes([right[at] ^ 1 << bit]) + right[at + 1 :])
            with pytest.raises(DamagedFileError, match="a.bin is damaged.*train --resume.*remove its line"):
                _checksums.require_whole(path)
    _atomic.write_text(path, "anew")  # without a digest: the old one does not accuse it
    _checksums.require_whole(path)


def test_sha256sum_reads_them(tmp_path):
    for name in ("a", "b"):
        _atomic.write_text(tmp_path / name, name, checked=True)
    done = subprocess.run(["sha256sum", "-c", _checksums.CHECKSUMS], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "a: OK\nb: OK\n"


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("kills", [1, 2, 3])
def test_a_kill_at_any_step_of_writing_leaves_a_file_whose_digest_is_known(tmp_path, monkeypatch, kills):
    """Steps: the digests with the new one, the file itself, the digests without the old one."""
    path = tmp_path / "a"
    _atomic.write_text(path, "old", checked=True)
    replace = type(path).replace
    for steps in range(4):
        for _ in range(kills):  # one after the other
            left = [steps]

            def killed(self, target, left=left):
                if not left[0]:
                    raise Killed
                left[0] -= 1
                return replace(self, target)

            with monkeypatch.context() as patch:
                patch.setattr(type(path), "replace", killed)
                try:
                    _atomic.write_text(path, f"new {steps}", checked=True)
                except Killed:
                    assert steps < 3
            _checksums.require_whole(path)
    assert path.read_text() == "new 3"
    path.write_text("old")
    assert not _checksums.is_whole(path)
