import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.data import load_table
from counterpoint.data.datasets._grid_words import TASKS, WORDS, Word, find_word, parse_align, parse_words, sentence
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError
from shared_data import GRID, needs_shared_data

NAMES = st.tuples(*[st.sampled_from(sorted(words)) for words in WORDS.values()]).map("".join)


def align(name, word_ticks=5000, pause_after=None):
    """An .align file: each word lasts `word_ticks`, the first begins after as long a silence."""
    lines, time = ["0 5000 sil"], 5000
    for task, word in sentence(name).items():
        lines.append(f"{time} {time + word_ticks} {word}")
        time += word_ticks
        if task == pause_after:
            lines.append(f"{time} {time + 1000} sp")
            time += 1000
    return "\r\n".join([*lines, f"{time} 74500 sil", ""])


@pytest.fixture
def corpus(tmp_path):
    """The official layout with two speakers; listing opens no video, so that empty files will do."""
    names = [f"{c}b{p}a{d}{a}" for c in "bl" for p in "ab" for d in "z12" for a in "ans"]
    for speaker in ("s1", "s2", "s10"):
        for kind in (speaker, f"align/{speaker}"):
            (tmp_path / kind).mkdir(parents=True)
        for name in names:
            (tmp_path / speaker / f"{name}.mpg").touch()
            (tmp_path / "align" / speaker / f"{name}.align").write_text(align(name))
    return tmp_path


@pytest.fixture
def face_crops(tmp_path):
    rows = ["clip,index,word,start_s,end_s"]
    (tmp_path / "clips").mkdir()
    for name in [f"{c}b{p}a{d}{a}" for c in "bl" for p in "ab" for d in "z12" for a in "ans"]:
        (tmp_path / "clips" / f"{name}.mp4").touch()
        words = parse_align(align(name), "")
        rows += [f"{name},{k},{w.text},{w.start:.3f},{w.end:.3f}" for k, w in enumerate(words)]
    (tmp_path / "words.csv").write_text("\n".join(rows))
    return tmp_path


def test_sentence():
    assert list(sentence("bbaf2n").values()) == ["bin", "blue", "at", "f", "two", "now"]
    assert sentence("swwzzp")["digit"] == "zero"
    assert sum(len(words) for words in WORDS.values()) == 51  # the corpus's vocabulary
    assert [len(words) for words in WORDS.values()] == [4, 4, 4, 25, 10, 4]


@pytest.mark.parametrize(
    ("name", "why"),
    [("bbaf2", "six letters"), ("bbaf2nn", "six letters"), ("bbaw2n", "letter 4 is 'w'"), ("xbaf2n", "a command is")],
)
def test_wrong_names(name, why):
    with pytest.raises(DataError, match=why):
        sentence(name)


@given(st.text() | st.text(alphabet=string.ascii_lowercase + string.digits, min_size=6, max_size=6))
def test_any_name_is_a_sentence_or_refused(name):
    try:
        said = sentence(name)
    except DataError:
        return
    assert tuple(said) == TASKS and all(
        said[task][0] == c or task == "digit" for task, c in zip(said, name, strict=True)
    )


@given(NAMES, st.sampled_from([*TASKS, None]))
def test_align_round_trip(name, pause_after):
    words = parse_align(align(name, pause_after=pause_after), "x.align")
    assert [w.text for w in words] == list(sentence(name).values())
    assert words[0] == Word(sentence(name)["command"], 0.2, 0.4)  # 5000 and 10000 ticks of 1/25000 s
    for task in TASKS:
        assert find_word(words, name, task).text == sentence(name)[task]


@given(st.text() | st.text(alphabet="0123456789 \nsilp\r\t-.e"))
def test_any_text_is_an_alignment_or_a_data_error(text):
    try:
        words = parse_align(text, "x.align")
    except DataError as error:
        assert "x.align, line " in str(error)
        return
    assert all(0 <= w.start < w.end for w in words)


@given(st.text() | st.text(alphabet='c,\n0.9-e"\x00 ').map(lambda rows: "clip,index,word,start_s,end_s\n" + rows))
def test_any_text_is_a_word_table_or_a_data_error(text):
    try:
        table = parse_words(text)
    except DataError as error:
        assert "words.csv" in str(error)
        return
    assert all(0 <= w.start < w.end for words in table.values() for w in words)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("10 20", "line 2: '10 20' is not 'start end word'"),
        ("20 10 bin", "line 2: 'bin' ends at"),
        ("0 99999999999999999999 bin", "is not 'start end word'"),
        ("10 90 bin", "line 2: 'bin' starts at 0.0004 s, before 'sil' ends"),
    ],
)
def test_bad_align_lines_are_named(line, why):
    with pytest.raises(DataError, match=why):
        parse_align(f"0 20 sil\n{line}", "x.align")


def test_corpus_keeps_speakers_apart(corpus):
    table = load_table("grid", corpus)
    assert table.name == "grid/digit" and table.classes[:3] == ("zero", "one", "two")
    assert len(table.clips) == 108 and {c.group for c in table.clips} == {"s1", "s2", "s10"}
    assert not table.shared_groups() and not table.rejected
    assert any("speaker-disjoint" in note for note in table.notes)
    assert any("approximation" in note for note in table.notes)
    clip = next(c for c in table.clips if c.id == "s10/bbaa2n")
    assert table.classes[clip.label] == "two" and clip.end is None
    assert load_table("grid", corpus, disjoint=False).shared_groups() == {"s1", "s2", "s10"}


def test_speakers_can_be_chosen(corpus):
    assert {c.group for c in load_table("grid", corpus, speakers=[1, "s10"]).clips} == {"s1", "s10"}
    with pytest.raises(ConfigError, match="no speaker 's3'"):
        load_table("grid", corpus, speakers=[3])
    with pytest.raises(ConfigError, match="must be list of int or str"):
        load_table("grid", corpus, speakers=1)


@pytest.mark.parametrize("layout", ["corpus", "face_crops"])
def test_segments_are_centred_on_the_word(layout, request):
    root = request.getfixturevalue(layout)
    for task, centre in (("command", 0.3), ("digit", 1.1), ("adverb", 1.3)):
        table = load_table("grid", root, task, segment=True, segment_seconds=0.5)
        assert table.media.seconds == 0.5 and table.name == f"grid/{task}/segment"
        assert {round((c.start + c.end) / 2, 4) for c in table.clips} == {centre}
    # a window that would begin before the clip is moved inward
    assert {(c.start, c.end) for c in load_table("grid", root, "command", segment=True).clips} == {(0.0, 0.8)}
    with pytest.raises(ConfigError, match="segment_seconds"):
        load_table("grid", root, segment=True, segment_seconds=3.5)


@pytest.mark.parametrize("layout", ["corpus", "face_crops"])
def test_events_are_when_the_word_is_said(layout, request):
    root = request.getfixturevalue(layout)
    for task, centre in (("command", 0.3), ("digit", 1.1), ("adverb", 1.3)):
        table = load_table("grid", root, task, events=True)
        assert table.name == f"grid/{task}/events" and table.segments == 15 and table.media.seconds == 3.0
        assert {len(table.events[c.id]) for c in table.clips} == {1}
        for clip in table.clips:
            (event,) = table.events[clip.id]
            assert event.label == clip.label and round((event.start + event.end) / 2, 4) == centre
    with pytest.raises(ConfigError, match="choose one of them"):
        load_table("grid", root, segment=True, events=True)


def test_words_that_are_no_events_leave_clips_of_background(face_crops):
    table = load_table("grid", face_crops, "digit", events=True, background=["two", "zero"])
    assert "two" not in table.classes and "zero" not in table.classes and len(table.classes) == 8
    plain = {c.id: c for c in load_table("grid", face_crops, "digit").clips}
    digits = load_table("grid", face_crops, "digit").classes
    assert {c.label == table.background for c in table.clips} == {True, False}
    for clip in table.clips:
        word = digits[plain[clip.id].label]
        assert clip.split == plain[clip.id].split
        assert (clip.label == table.background) == (word in ("two", "zero")) == (table.events[clip.id] == ())
        assert clip.label == table.background or table.classes[clip.label] == word
    with pytest.raises(ConfigError, match="'to' is no digit of GRID.*'two'"):
        load_table("grid", face_crops, "digit", events=True, background=["to"])
    with pytest.raises(ConfigError, match="without events"):
        load_table("grid", face_crops, "digit", background=["two"])


def test_face_crops_say_that_the_speaker_is_shared(face_crops):
    table = load_table("grid", face_crops, "command")
    assert len(table.clips) == 36 and table.media.num_frames == 75 and table.media.num_samples == 48000
    assert table.shared_groups() and any("share 1 speaker" in note for note in table.notes)
    with pytest.raises(ConfigError, match="one speaker"):
        load_table("grid", face_crops, speakers=[1])


def test_bad_clips_are_refused_with_their_reason(corpus):
    aligns = corpus / "align" / "s1"
    (corpus / "s1" / "holiday.mpg").touch()
    (aligns / "bbaa1a.align").unlink()
    (aligns / "bbaa1n.align").write_bytes(b"\x00\x01\xff garbage")
    (aligns / "bbaa1s.align").write_text("0 500 sil\n500 900 bin\n")
    (aligns / "bbaa2n.align").write_text(align("bbaa1n"))
    (aligns / "bbaa2s.align").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    refused = load_table("grid", corpus, segment=True).rejected
    for name, why in {
        "holiday": "six letters",
        "bbaa1a": "no alignments/s1/bbaa1a.align",
        "bbaa1n": "not UTF-8",
        "bbaa1s": "has 1 words",
        "bbaa2n": "'one' where its name says 'two'",
        "bbaa2s": "Git LFS pointer",
    }.items():
        assert why in refused.pop(f"s1/{name}")
    assert not refused
    whole = load_table("grid", corpus)
    assert set(whole.rejected) == {"s1/holiday"}  # the whole clip needs no timing
    assert len(whole.clips) == 108


def test_words_without_clip_are_refused(face_crops):
    (face_crops / "clips" / "bbaa1a.mp4").unlink()
    table = load_table("grid", face_crops, segment=True)
    assert "missing" in table.rejected["bbaa1a"] and len(table.clips) == 35
    (face_crops / "words.csv").unlink()
    with pytest.raises(DataError, match=r"words\.csv"):
        load_table("grid", face_crops, segment=True)


def test_other_places_of_the_same_files(corpus):
    (corpus / "align").rename(corpus / "alignments")
    (corpus / "video").mkdir()
    for speaker in ("s1", "s2", "s10"):
        (corpus / speaker).rename(corpus / "video" / speaker)
    table = load_table("grid", corpus, segment=True)
    assert len(table.clips) == 108 and not table.rejected


def test_missing_corpus_says_where_to_get_it(tmp_path, monkeypatch):
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(DatasetNotFoundError) as caught:
            load_table("grid", root)
        for part in (str(root), "3625687", "counterpoint download grid --speakers 1", "s1/bbaf2n.mpg", "words.csv"):
            assert part in str(caught.value)
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "moved"))
    with pytest.raises(DatasetNotFoundError, match="moved"):
        load_table("grid")


@needs_shared_data
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("segment", [False, True])
def test_real_face_crops(task, segment):
    table = load_table("grid", GRID, task, segment=segment)
    assert not table.rejected and len(table.clips) == 1000
    counts = Counter(c.split for c in table.clips)
    assert counts["test"] == 200 and abs(counts["val"] - 100) <= 1  # shares are rounded per class
    share = 1000 / len(table.classes)
    for count in Counter(c.label for c in table.clips).values():
        assert abs(count - share) <= 10
    assert all(c.end is None or 0 <= c.start < c.end <= 3 for c in table.clips)


@needs_shared_data
def test_official_files_tell_what_the_face_crops_tell():
    official = load_table("grid", GRID / "official", "digit", segment=True, val=0, test=0)
    crops = {c.id: c for c in load_table("grid", GRID, "digit", segment=True).clips}
    assert len(official.clips) == 11 and not official.rejected
    for clip in official.clips:
        same = crops[clip.id.split("/")[1]]
        assert (clip.label, clip.start, clip.end) == (same.label, same.start, same.end)
