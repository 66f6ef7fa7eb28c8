"""Environment variables: each is read, each malformed value is named."""

from dataclasses import fields
from pathlib import Path

import pytest

from fastconv import config
from fastconv.config import Config, load
from fastconv.errors import InvalidArgument

NUMBERS = ("NUM_THREADS", "SCRATCH_BYTES", "SERIAL_FLOPS", "TILE_BYTES", "CUDA_POOL_BYTES")


def test_defaults():
    settings = load({})
    assert settings.num_threads is None
    assert settings.cache_dir is None
    assert settings.data is None


@pytest.mark.parametrize("name", NUMBERS)
def test_number_is_read(name):
    assert getattr(load({f"FASTCONV_{name}": "7"}), name.lower()) == 7


@pytest.mark.parametrize("name", ["CACHE_DIR", "DATA"])
def test_path_is_read(name, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, "/home/someone")
    assert getattr(load({f"FASTCONV_{name}": "~/there"}), name.lower()) == Path("/home/someone/there")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["0", "-3", "two", "1.5", "1e6"])
def test_malformed_number_names_the_variable_and_its_value(name, text):
    with pytest.raises(InvalidArgument, match=f"FASTCONV_{name} is '{text}'.*at least 1"):
        load({f"FASTCONV_{name}": text})


def test_empty_variable_means_not_set():
    assert load({f"FASTCONV_{name}": "" for name in NUMBERS}) == load({})


def test_other_variables_are_left_alone():
    assert load({"FASTCONV_UNHEARD_OF": "x", "NUM_THREADS": "x"}) == load({})


def test_settings_are_frozen():
    with pytest.raises(AttributeError):
        config.settings.num_threads = 3


def test_every_tunable_is_in_the_table_of_the_docstring():
    missing = [f.name for f in fields(Config) if f"FASTCONV_{f.name.upper()}" not in config.__doc__]
    assert not missing


def test_cache_dir_follows_the_setting(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "settings", load({"FASTCONV_CACHE_DIR": str(tmp_path)}))
    assert config.cache_dir() == tmp_path
    monkeypatch.setattr(config, "settings", load({}))
    assert config.cache_dir().name == "fastconv"


def test_cache_dir_stays_where_it_is_when_the_process_moves(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert load({"FASTCONV_CACHE_DIR": "here"}).cache_dir == tmp_path / "here"


@pytest.mark.parametrize("name", ["CACHE_DIR", "DATA"])
def test_home_of_nobody(name):
    with pytest.raises(InvalidArgument, match=f"FASTCONV_{name} is '~nobody-here/x', which names no folder here"):
        load({f"FASTCONV_{name}": "~nobody-here/x"})


def test_without_a_home_nothing_is_kept(monkeypatch, tmp_path):
    """Not even in a folder named "~" where the process works."""
    import platformdirs

    monkeypatch.setattr(config, "settings", load({}))
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *names, **options: Path("~/.cache/fastconv"))
    monkeypatch.chdir(tmp_path)
    assert config.cache_dir().is_absolute()
    with pytest.raises(OSError):
        config.cache_dir().mkdir(parents=True)
    assert list(tmp_path.iterdir()) == []
