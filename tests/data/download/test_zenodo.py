import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from counterpoint._lock import locked
from counterpoint.data.download import http as transfer
from counterpoint.data.download import unzip as unpack
from counterpoint.data.download import zenodo_records as records
from counterpoint.data.download.zenodo import download
from counterpoint.errors import ConfigError, DownloadError, InUseError, UnknownNameError
from zenodo_server import Zenodo, zipped


@pytest.fixture
def zenodo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zenodo]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(transfer, "PAUSE", 0.001)
    monkeypatch.setattr(transfer, "TIMEOUT", 5.0)
    server = Zenodo(3625687)
    server.files = {
        "s1.zip": zipped({f"s1/clip{k}.mpg": b"video one %d " % k * 4000 for k in range(3)} | {"s1/Thumbs.db": b"x"}),
        "s2.zip": zipped({f"s2/clip{k}.mpg": b"video two %d " % k * 4000 for k in range(3, 6)}),
        "alignments.zip": zipped(
            # As in the record: the folders of two speakers are swapped.
            {f"alignments/s2/clip{k}.align": b"0 14500 sil\n" for k in range(3)}
            | {f"alignments/s1/clip{k}.align": b"0 25000 sil\n" for k in range(3, 6)}
        ),
        "jasagrid.pdf": b"paper",
    }
    yield server
    server.server.shutdown()
    server.server.server_close()


def files_of(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


def test_whole_download_makes_the_official_layout(zenodo: Zenodo, tmp_path: Path) -> None:
    seen: dict[str, list[tuple[int, int]]] = {}
    said: list[str] = []
    result = download(
        "grid",
        tmp_path,
        parts=[1, "s2"],
        base_url=zenodo.url + "/",
        progress=lambda name, there, size: seen.setdefault(name, []).append((there, size)),
        announce=said.append,
    )
    assert result.fetched == ("s1.zip", "s2.zip", "alignments.zip")
    assert files_of(tmp_path) == {
        *(f"s1/clip{k}.mpg" for k in range(3)),
        *(f"s2/clip{k}.mpg" for k in range(3, 6)),
        *(f"align/s1/clip{k}.align" for k in range(3)),
        *(f"align/s2/clip{k}.align" for k in range(3, 6)),
        "archives/alignments.zip",
        "archives/unpacked.json",
    }
    assert (tmp_path / "align/s1/clip0.align").read_bytes() == b"0 14500 sil\n"
    assert (tmp_path / "s2/clip5.mpg").read_bytes() == b"video two 5 " * 4000
    assert "CC BY 4.0" in said[0] and "3625687" in said[0]
    for name, steps in seen.items():
        assert steps == sorted(steps)
        assert steps[-1] == (len(zenodo.files[name]),) * 2


def test_what_is_there_is_not_fetched_again(zenodo: Zenodo, tmp_path: Path) -> None:
    download("grid", tmp_path, parts=[1], base_url=zenodo.url)
    zenodo.requests.clear()
    again = download("grid", tmp_path, parts=[1], base_url=zenodo.url)
    assert again.fetched == () and again.skipped == ("s1.zip", "alignments.zip")
    assert zenodo.fetched() == []
    more = download("grid", tmp_path, parts=[1, 2], base_url=zenodo.url)
    assert more.fetched == ("s2.zip",)
    (tmp_path / "s1/clip1.mpg").unlink()
    assert download("grid", tmp_path, parts=[1], base_url=zenodo.url).fetched == ("s1.zip",)
    assert (tmp_path / "s1/clip1.mpg").exists()


def test_cut_connection_continues_where_it_was(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.cuts = [1000, 50_000]
    download("grid", tmp_path, parts=[1], base_url=zenodo.url)
    assert zenodo.fetched()[:3] == [("s1.zip", None), ("s1.zip", "bytes=1000-"), ("s1.zip", "bytes=51000-")]
    assert (tmp_path / "s1/clip2.mpg").read_bytes() == b"video one 2 " * 4000


def test_a_part_of_an_earlier_run_is_continued(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.cuts = [700] + [0] * transfer.TRIES
    with pytest.raises(DownloadError, match=r"s1\.zip: .*700 of .* again to continue"):
        download("grid", tmp_path, parts=[1], base_url=zenodo.url)
    assert (tmp_path / "archives/s1.zip.part").stat().st_size == 700
    zenodo.requests.clear()
    download("grid", tmp_path, parts=[1], base_url=zenodo.url)
    assert zenodo.fetched()[0] == ("s1.zip", "bytes=700-")


def test_server_without_range_starts_over(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.ranges = False
    zenodo.cuts = [1000]
    download("grid", tmp_path, parts=[1], base_url=zenodo.url)
    assert zenodo.fetched()[1] == ("s1.zip", "bytes=1000-")
    assert (tmp_path / "s1/clip0.mpg").read_bytes() == b"video one 0 " * 4000


def test_stale_part_is_fetched_from_scratch(zenodo: Zenodo, tmp_path: Path) -> None:
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives/s1.zip.part").write_bytes(b"of another version")
    download("grid", tmp_path, parts=[1], base_url=zenodo.url)
    assert [wanted for name, wanted in zenodo.fetched() if name == "s1.zip"] == ["bytes=18-", None]


def test_part_larger_than_the_file_is_dropped(zenodo: Zenodo, tmp_path: Path) -> None:
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives/s1.zip.part").write_bytes(b"?" * 10_000_000)
    download("grid", tmp_path, parts=[1], base_url=zenodo.url)
    assert zenodo.fetched()[0] == ("s1.zip", None)


def test_wrong_checksum_removes_the_file_and_says_so(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.wrong_md5 = True
    with pytest.raises(DownloadError, match=r"s1\.zip: .*MD5"):
        download("grid", tmp_path, parts=[1], base_url=zenodo.url)
    assert files_of(tmp_path) == set()


def test_missing_file_is_not_tried_again(zenodo: Zenodo, tmp_path: Path) -> None:
    listing = zenodo.listing()
    del zenodo.files["s1.zip"]
    zenodo.listing = lambda: listing  # type: ignore[method-assign]
    with pytest.raises(DownloadError, match=r"s1\.zip: the server answered 404 .*withdrawn"):
        download("grid", tmp_path, parts=[1], base_url=zenodo.url)
    assert len(zenodo.fetched()) == 1


def test_passing_trouble_is_waited_out(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.statuses = [500, 503]
    assert download("grid", tmp_path, parts=[1], base_url=zenodo.url).fetched
    zenodo.statuses = [502] * 100
    with pytest.raises(DownloadError, match="502"):
        download("grid", tmp_path, parts=[1], base_url=zenodo.url)
    assert len(zenodo.statuses) == 100 - transfer.TRIES


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zenodo: Zenodo) -> None:
    zenodo.server.shutdown()
    zenodo.server.server_close()
    with pytest.raises(DownloadError, match="no connection"):
        download("grid", tmp_path, parts=[1], base_url=zenodo.url)


def test_answer_that_is_no_listing(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.listing = lambda: {"files": [{"key": "s1.zip", "size": 3}]}  # type: ignore[method-assign,list-item]
    with pytest.raises(DownloadError, match="checksum"):
        download("grid", tmp_path, parts=[1], base_url=zenodo.url)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_only_http(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="http"):
        transfer.fetch_file(url, tmp_path / "x", size=1, md5="0" * 32)


def test_names_are_checked(zenodo: Zenodo, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'grid'"):
        download("gird", tmp_path)
    del zenodo.files["s2.zip"]
    with pytest.raises(UnknownNameError, match=r"no file 's2\.zip'.*Did you mean 's1\.zip'"):
        download("grid", tmp_path, parts=[2], base_url=zenodo.url)
    for bad in ([], [0], [35], ["x"], [21], ["s21"]):
        with pytest.raises(ConfigError):
            download("grid", tmp_path, parts=bad, base_url=zenodo.url)


def test_full_disk_is_noticed_before_fetching(zenodo: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = transfer.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DownloadError, match="free"):
        download("grid", tmp_path, parts=[1], base_url=zenodo.url)
    assert zenodo.fetched() == []


def test_alignments_that_fit_nobody(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.files["alignments.zip"] = zipped({"alignments/s1/other.align": b""})
    with pytest.raises(DownloadError, match="alignments for the 3 clips"):
        download("grid", tmp_path, parts=[1], base_url=zenodo.url)


@pytest.mark.parametrize("name", ["../out.mpg", "s1/../../out.mpg", "/tmp/out.mpg", "../out.txt"])
def test_zip_slip_is_refused(zenodo: Zenodo, tmp_path: Path, name: str) -> None:
    zenodo.files["s1.zip"] = zipped({"s1/fine.mpg": b"fine", name: b"evil"})
    root = tmp_path / "a" / "b"
    with pytest.raises(DownloadError, match="outside"):
        download("grid", root, parts=[1], base_url=zenodo.url)
    assert files_of(tmp_path) == {"a/b/archives/s1.zip"}


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "C:/x", "a\\..\\x"])
def test_unpack_stays_inside(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped({name: b""}))
    with pytest.raises(DownloadError, match="outside"):
        unpack.unpack(archive, tmp_path / "out")


def test_zip_bomb_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(80 << 20))
    with pytest.raises(DownloadError, match="not unpacked"):
        unpack.unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_archives(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    body = bytearray(zipped({"name.txt": b"content" * 100}))
    body[50] ^= 255
    archive.write_bytes(body)
    with pytest.raises(DownloadError, match="damaged"):
        unpack.unpack(archive, tmp_path / "out")
    assert files_of(tmp_path) == {"a.zip"}
    archive.write_bytes(b"no zip at all")
    with pytest.raises(DownloadError, match="not a readable zip"):
        unpack.unpack(archive, tmp_path / "out")


@pytest.fixture
def ravdess(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zenodo]:
    """Both records of RAVDESS, on one server: the files of each are listed for either."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Zenodo(1188976, 3255102)
    for actor in ("01", "02"):
        speech = f"01-03-01-01-01-{actor}"
        server.files[f"Video_Speech_Actor_{actor}.zip"] = zipped(
            {
                f"Actor_{actor}/01-{speech}.mp4": b"sound and picture" * 100,
                f"Actor_{actor}/02-{speech}.mp4": b"picture" * 100,
                f"__MACOSX/Actor_{actor}/01-{speech}.mp4": b"?",
            }
        )
    names = ("01-01-03-01-01-01-01", "01-01-03-01-01-01-02", "01-02-03-01-01-01-01")
    server.files["FacialTracking_Actors_01-24.zip"] = zipped(
        {f"FacialTracking_Actors_01-24/{name}.csv": b"frame, x_0" for name in names}
    )
    yield server
    server.server.shutdown()
    server.server.server_close()


def test_ravdess_makes_the_layout_that_is_read(ravdess: Zenodo, tmp_path: Path) -> None:
    said: list[str] = []
    result = download("ravdess", tmp_path, parts=[1], extras=["landmarks"], base_url=ravdess.url, announce=said.append)
    assert result.fetched == ("Video_Speech_Actor_01.zip", "FacialTracking_Actors_01-24.zip")
    assert files_of(tmp_path) == {
        "Actor_01/01-01-03-01-01-01-01.mp4",
        "landmarks/01-01-03-01-01-01-01.csv",
        "landmarks/01-01-03-01-01-01-02.csv",
        "archives/unpacked.json",
    }
    assert ["1188976" in said[0], "3255102" in said[1]] == [True, True]
    assert all("CC BY-NC-SA 4.0" in line for line in (*said, result.licence))
    again = download("ravdess", tmp_path, parts=["Actor_01", "02"], extras=["landmarks"], base_url=ravdess.url)
    assert again.fetched == ("Video_Speech_Actor_02.zip",) and len(again.skipped) == 2


def test_ravdess_landmarks_alone(ravdess: Zenodo, tmp_path: Path) -> None:
    assert download("ravdess", tmp_path, extras=["landmarks"], base_url=ravdess.url).fetched == (
        "FacialTracking_Actors_01-24.zip",
    )
    assert len(ravdess.requests) == 2  # one listing, one file


def test_ravdess_actors() -> None:
    assert records.ravdess_actors(["all"]) == [f"{n:02d}" for n in range(1, 25)]
    assert records.ravdess_actors([3, "03", "Actor_24"]) == ["03", "24"]
    for bad in ([], [0], [25], ["x"], [""]):
        with pytest.raises(ConfigError, match="actor"):
            records.ravdess_actors(bad)


def test_what_is_not_on_zenodo_is_said_to_be_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"cremad cannot be downloaded .*CheyneyComputerScience/CREMA-D.*Git LFS"):
        download("cremad", tmp_path)
    with pytest.raises(UnknownNameError, match="grid has no 'landmarks' to download"):
        download("grid", tmp_path, parts=[1], extras=["landmarks"])


def test_another_record_needs_only_an_entry(zenodo: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = records.ZenodoRecord(3625687, "Other", "CC0", lambda parts: ["s2.zip"], "as in the archive")
    monkeypatch.setitem(records.ZENODO_RECORDS, "other", entry)
    assert download("other", tmp_path, base_url=zenodo.url).fetched == ("s2.zip",)
    assert (tmp_path / "s2/clip3.mpg").exists()


def test_two_at_once_into_one_folder(zenodo: Zenodo, tmp_path: Path) -> None:
    with locked(tmp_path / "archives"), ThreadPoolExecutor() as others:
        second = others.submit(download, "grid", tmp_path, parts=[1], base_url=zenodo.url)
        assert isinstance(second.exception(60), InUseError)
    assert zenodo.requests == []
