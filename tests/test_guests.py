"""Code from outside the package: found, imported, refused."""

import contextlib
import re
import subprocess
import sys
import textwrap

import pytest

from counterpoint import guests
from counterpoint.errors import ConfigError, UnknownNameError, UntrustedCodeError
from counterpoint.registry import ROW, Registry


class Fruit:
    """What the registry of these tests holds."""

    class Inner:
        """Not a fruit."""


class Apple(Fruit):
    """A fruit."""


PEAR = Fruit()
HERE = __name__


@pytest.fixture(autouse=True)
def _forgotten():
    with guests.for_now():
        yield


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes modules into a folder on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name, text=""):
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(text))
        monkeypatch.delitem(sys.modules, name, raising=False)
        return path

    yield write
    for name in [name for name, m in sys.modules.items() if str(tmp_path) in str(getattr(m, "__file__", ""))]:
        del sys.modules[name]


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize("text", ["x" * 300_000, "a." * 150_000, "a.a:" * 75_000, "a" + " " * 300_000, "1" * 300_000])
def test_a_long_text_is_searched_in_one_pass(text):
    """In quadratic time each of these takes minutes, and a run's folder may hold any of them."""
    assert all(guests.is_reference(name) for name in guests.references_in(text))
    with pytest.raises(UntrustedCodeError) if "a:" in text else contextlib.nullcontext():
        guests.require_trust("config.yaml", {"fusion": text})


@pytest.mark.parametrize("name", ["a:B", "a.b:C", "a.b:C.D", "_a:_B", "größe:Maß"])
def test_what_names_a_class_of_a_module(name):
    assert guests.is_reference(name)


@pytest.mark.parametrize(
    "name", ["concat", "a.b", "a:", ":B", "a:b:c", "a b:C", " a:B", "a:B ", "a:B\n", ".a:B", "..a:B", "1a:B", "a-b:C"]
)
def test_what_does_not(name):
    assert not guests.is_reference(name)
    assert not guests.is_reference(None) and not guests.is_reference(b"a:B") and not guests.is_reference(["a:B"])


def test_a_registry_finds_classes_and_values_of_other_modules():
    classes, values = Registry("fruit", classes_of=Fruit), Registry("fruit", values_of=Fruit)
    assert classes.get(f"{HERE}:Apple") is Apple and classes.get(f"{HERE}:Fruit") is Fruit
    assert values.get(f"{HERE}:PEAR") is PEAR
    assert f"{HERE}:Apple" not in classes.names()  # it is named, not registered


def test_a_function_that_a_decorator_has_registered_stands_for_its_row(package):
    module = package("rows", f"def found(): ...\nfound.{ROW} = 'row'")
    assert Registry("row", values_of=str).get("rows:found") == "row", module


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (f"{HERE}:Aple", UnknownNameError, "names no fruit: there is no 'Aple' in it. Did you mean 'Apple'"),
        (f"{HERE}:Fruit.Outer", UnknownNameError, "there is no 'Outer' in it"),
        ("no_such_module:Apple", UnknownNameError, "There is no module 'no_such_module'.*PYTHONPATH.*--import FILE"),
        (f"{HERE}.deeper:Apple", UnknownNameError, f"There is no module '{HERE}.deeper'"),
        (f"{HERE}:PEAR", ConfigError, "is no fruit: it must be a subclass of .*Fruit, but is a Fruit"),
        (f"{HERE}:Fruit.Inner", ConfigError, "it must be a subclass of .*Fruit, but is the class .*Inner"),
        ("os:system", ConfigError, "os:system is no fruit: it must be a subclass of"),
        ("os:path.join", ConfigError, "os:path.join is no fruit"),
        ("builtins:exec", ConfigError, "builtins:exec is no fruit"),
        ("orange", UnknownNameError, "No fruit is called 'orange'. Known: none"),
        (f" {HERE}:Apple", UnknownNameError, "No fruit is called"),
    ],
)
def test_what_is_no_part_is_told_and_never_called(name, error, message):
    with pytest.raises(error, match=message):
        Registry("fruit", classes_of=Fruit).get(name)


def test_a_registry_that_cannot_tell_its_parts_takes_registered_ones_alone():
    with pytest.raises(ConfigError, match="'os:system' cannot name a fruit"):
        Registry("fruit").get("os:system")


def test_an_unfinished_class_is_told_by_what_it_lacks(package):
    package(
        "halfway", "from abc import ABC, abstractmethod\nclass Base(ABC):\n    @abstractmethod\n    def eat(self): ..."
    )
    base = __import__("halfway").Base
    with pytest.raises(ConfigError, match="halfway:Base is no fruit yet: it does not define eat"):
        Registry("fruit", classes_of=base).get("halfway:Base")


# ------------------------------------------------------------------ importing


def test_a_file_becomes_the_module_of_its_stem(package, tmp_path, monkeypatch):
    path = package("own_fruit", "class Plum: ...")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(tmp_path)])
    module = guests.import_code(str(path))
    assert module.__name__ == "own_fruit" and sys.modules["own_fruit"] is module
    assert guests.import_code(str(path)) is module and guests.import_code("own_fruit") is module


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("json", "", ConfigError, "json is a module already .*rename it"),
        ("own-fruit", "", ConfigError, "'own-fruit' is no name of a module; rename the file"),
        ("broken", "\n1 / 0", ConfigError, r"broken cannot be imported: ZeroDivisionError: .* \(.*broken.py, line 2\)"),
        (
            "leaving",
            "import sys; sys.exit(3)",
            ConfigError,
            r"leaving cannot be imported: SystemExit: 3 \(.*, line 1\)",
        ),
        (
            "hungry",
            "import no_such_thing",
            ConfigError,
            "hungry cannot be imported: ModuleNotFoundError.*no_such_thing",
        ),
        ("halved", "def f(:", ConfigError, "halved cannot be imported: SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_imported(tmp_path, name, text, error, message):
    before = sys.modules.get(name)
    path = tmp_path / f"{name}.py"
    path.write_text(text)
    with pytest.raises(error, match=message):
        guests.import_code(str(path))
    assert sys.modules.get(name) is before
    with pytest.raises(UnknownNameError, match=r"There is no file .*nowhere\.py"):
        guests.import_code(str(tmp_path / "nowhere.py"))


def test_a_file_that_has_moved_is_the_module_that_the_user_has_imported(package, tmp_path):
    path = package("moved_fruit")
    guests.import_code(str(path))
    guests.import_all([str(tmp_path / "where" / "it" / "was" / "moved_fruit.py")])
    with pytest.raises(UnknownNameError, match="There is no file"):
        guests.import_all([str(tmp_path / "elsewhere.py")])


# -------------------------------------------------------------------- trust

HOSTILE = [
    {"fusion": {"name": "evil:F"}},
    {"head_options": {"attention_options": [{"name": "evil.deep:F"}]}},
    {"extra": {"inputs": {"audio": {"name": "evil:T"}}}},
    {"name": "os:system"},
    {"name": f"{HERE}:Apple"},  # imported already
    {"name": " evil : F "},
    {"name": "../evil:F"},
    {"name": "größe:Maß"},
    {"options": "{name: evil:F}"},  # a text that may be parsed once more
    {"options": '{"name": "evil:F"}'},
    {"evil:F": 1},
    {"imports": ["evil"]},
    {"imports": ["folder/evil.py"]},
    {"imports": "evil"},
    {"base": {"imports": ["evil"]}},
    {"base": {"data": {"name": "evil:f"}}},
    {"extra": {"imports": ["evil.py"]}},
    {"deeper": {"extra": {"classes": ["evil:F"]}}},
]


@pytest.mark.parametrize("values", HOSTILE, ids=str)
def test_code_that_only_a_file_names_is_refused(values):
    with pytest.raises(UntrustedCodeError, match=r"^here names code .*--trust-code .*trust_code=True.*--import"):
        guests.require_trust("here", values)
    with guests.trusting(False), pytest.raises(UntrustedCodeError):
        guests.require_trust("here", values)
    with guests.trusting():
        guests.require_trust("here", values)
        with guests.trusting(False):
            guests.require_trust("here", values)
    with pytest.raises(UntrustedCodeError):
        guests.require_trust("here", values)


def test_the_error_names_what_and_which_module():
    with pytest.raises(
        UntrustedCodeError, match=r"\(evil\.a:F, x/bad\.py\), and importing a module runs it: evil\.a, bad\."
    ):
        guests.require_trust("here", {"name": "evil.a:F", "imports": ["x/bad.py"]})


@pytest.mark.parametrize(
    "values",
    [
        {"fusion": {"name": "concat", "options": {"hidden": [1, 2], "at": None}}, "imports": []},
        {"data": {"root": "odd:place", "cache": "c:clips"}, "base": {"data": {"root": "odd:place"}}},
        {"extra": {"classes": ["dog: bark", "a:B"]}},
        {"title": "Mine: a fusion", "references": ["Paper: Eq"], "paper": [{"source": "Own: Table"}]},
        {"at": "12:30", "where": "https://example.org", "file": r"C:\clips"},
    ],
)
def test_what_names_no_code_passes(values):
    guests.require_trust("here", values)


def test_what_the_user_has_named_passes():
    guests.allow({"fusion": {"name": "mine.a:F"}, "imports": ["x/own.py"], "options": "{head: mine.a:H}"})
    guests.require_trust("here", {"name": "mine.a:F", "head": "mine.a:H", "imports": ["elsewhere/own.py"]})
    guests.require_trust("here", {"name": "own:Anything"})  # of a module that is imported by the user's word
    for other in ("mine.a:G", "mine:F", "mine.a.F:F", "xmine.a:F"):
        with pytest.raises(UntrustedCodeError):
            guests.require_trust("here", {"name": other})


def test_what_is_allowed_for_now_is_forgotten():
    with guests.for_now():
        guests.allow("mine:F")
        guests.require_trust("here", "mine:F")
    with pytest.raises(UntrustedCodeError):
        guests.require_trust("here", "mine:F")


# ------------------------------------------------------------- installed parts


def install(folder, points, name="plums"):
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "\n".join(f"{key} = {value}" for key, value in points.items())
    (info / "entry_points.txt").write_text(f"[counterpoint.parts]\n{lines}\n")


def in_fresh_process(folder, code):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_package_adds_names(tmp_path):
    (tmp_path / "plums.py").write_text("from counterpoint.fusion import Concat\nclass Plum(Concat): 'A plum.'\n")
    install(tmp_path, {"fusion.plum": "plums:Plum", "head.plum": "plums:Plum", "fusion.stone": "nowhere:Stone"})
    found = in_fresh_process(
        tmp_path,
        """
        import sys
        import counterpoint
        from counterpoint.fusion import FUSIONS, create_fusion
        from counterpoint.heads import HEADS
        from counterpoint.errors import CounterpointError
        create_fusion("concat", {"a": 2, "b": 2}, 3)
        assert "importlib.metadata" not in sys.modules or "plums" not in sys.modules
        print(FUSIONS.names("pl*"), "plums" in sys.modules)
        print(type(create_fusion("plum", {"a": 2, "b": 2}, 3)).__name__)
        for registry, name in ((HEADS, "plum"), (FUSIONS, "stone"), (FUSIONS, "plumb")):
            try:
                registry.get(name)
            except CounterpointError as error:
                print(error)
        """,
    )
    names, made, no_head, missing, near = found.splitlines()
    assert (names, made) == ("['plum'] False", "Plum")
    assert no_head.startswith("plums:Plum is no head")
    assert missing.startswith("There is no module 'nowhere'")
    assert near == "No fusion is called 'plumb'. Did you mean 'plum'?"


def test_two_packages_that_add_one_name(tmp_path):
    install(tmp_path, {"fusion.plum": "plums:Plum"})
    install(tmp_path, {"fusion.plum": "other:Plum"}, name="other")
    code = "from counterpoint.fusion import FUSIONS\ntry: FUSIONS.names()\nexcept Exception as error: print(error)"
    assert "two installed packages add 'fusion.plum': " in in_fresh_process(tmp_path, code)


def test_a_list_shows_installed_parts_and_why_one_cannot_be_used(tmp_path):
    (tmp_path / "plums.py").write_text(
        "from counterpoint.training.optim import Cosine\nclass Fall(Cosine): 'It falls.'\n"
    )
    install(tmp_path, {"schedule.fall": "plums:Fall", "schedule.stone": "nowhere:Stone"})
    found = in_fresh_process(tmp_path, "from counterpoint.cli import main\nmain(['list', 'schedules'])")
    assert re.search(r"fall +It falls\.", found)
    assert re.search(r"stone +cannot be used: There is no module 'nowhere'", found)


def test_the_message_names_a_few_of_many():
    with pytest.raises(UntrustedCodeError, match=r"m4:A and 35 more") as told:
        guests.require_trust("config.yaml", {"fusion": [f"m{k}:A" for k in range(40)]})
    assert len(str(told.value)) < 500


def test_a_folder_is_no_module(tmp_path, monkeypatch):
    (tmp_path / "only_a_folder").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="only_a_folder is a folder without __init__.py"):
        guests.import_code("only_a_folder")
    sys.modules.pop("only_a_folder", None)
