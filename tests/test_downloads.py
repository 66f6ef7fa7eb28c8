"""Downloads: the order of mirrors, checksums, what is kept, and what is said when nothing can be had."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import http.server
import re
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from data_files import UNREACHABLE, fault, nowhere, same, tiny_set, write_set

from fastconv import config
from fastconv.nn.datasets import car_truck, download, fashion_mnist, locate, mnist, sources
from fastconv.nn.datasets.sources import CAR_TRUCK, FASHION_MNIST, IDX_FILES

__all__ = ["nowhere"]  # a fixture for every test here


def test_offline_names_everything_tried(nowhere, monkeypatch):
    monkeypatch.setenv("FASTCONV_DATA", str(nowhere / "absent"))
    for module in (fashion_mnist, mnist, car_truck):
        message = fault(
            module.load_data,
            f"{module.SOURCE.title} was found nowhere",
            f"$FASTCONV_DATA {nowhere / 'absent'} does not exist",
            f"cache folder {config.cache_dir() / 'datasets'} does not exist",
            "--data-dir",
            "FASTCONV_DATA",
            "fashion-sketch",
        )
        for name in (*module.SOURCE.forms[0], *(f"{mirror}: no connection" for mirror in module.SOURCE.mirrors)):
            assert name in message
    assert not config.cache_dir().exists()
    monkeypatch.delenv("FASTCONV_DATA")
    fault(mnist.load_data, "$FASTCONV_DATA is not set")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and keeps the paths of GET requests in the server's `asked`."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        super().do_GET()

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def web(tmp_path, monkeypatch):
    """A web server whose folders serve as mirrors: good has all files, wrong has others under their names."""
    for proxy in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(proxy, "127.0.0.1")
    monkeypatch.setattr(download, "unreachable", UNREACHABLE)
    root = tmp_path / "web"
    write_set(root / "good")
    write_set(root / "wrong", tiny_set(seed=99))
    (root / "none").mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(root)))
    server.asked = []
    server.root = root
    server.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def source(web, *mirrors: str) -> sources.Source:
    checksums = {name: sha256(web.root / "good" / name) for name in IDX_FILES}
    addresses = tuple(m if "://" in m else f"{web.address}/{m}/" for m in mirrors)
    return dataclasses.replace(FASHION_MNIST, mirrors=addresses, downloads=checksums)


def sha256(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def dead_address() -> str:
    """An address on this machine at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_download_then_cache(web, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "SOURCE", source(web, "good"))
    assert same(fashion_mnist.load_data(), tiny_set())
    assert web.asked == [f"/good/{name}" for name in IDX_FILES]
    folder = config.cache_dir() / "datasets" / "fashion-mnist"
    assert sorted(path.name for path in folder.iterdir()) == sorted(IDX_FILES)
    web.asked.clear()
    assert same(fashion_mnist.load_data(), tiny_set())
    assert not web.asked


@pytest.mark.parametrize("bad", ["wrong", "none", "dead"])
def test_the_second_mirror_serves_when_the_first_fails(web, bad):
    found = locate.find(source(web, dead_address() if bad == "dead" else bad, "good"))
    assert all(sha256(path) == sha256(web.root / "good" / name) for name, path in found.items())
    assert len(found) == 4


def test_each_failing_mirror_is_named_with_its_reason(web):
    dead = dead_address()
    message = fault(lambda: locate.find(source(web, dead, "none", "wrong")), "Fashion-MNIST was found nowhere")
    assert f"{dead}: no connection" in message
    assert f"{web.address}/none/: {IDX_FILES[0]}: the server said 404" in message
    assert f"{web.address}/wrong/: {IDX_FILES[0]}: what came does not have the published checksum" in message
    assert web.asked == [f"/none/{IDX_FILES[0]}", f"/wrong/{IDX_FILES[0]}"]  # no use asking for the other files
    assert not list((config.cache_dir() / "datasets" / "fashion-mnist").iterdir())


def test_a_second_call_fetches_only_what_is_missing(web):
    missing = web.root / "good" / IDX_FILES[2]
    wanted = source(web, "good")
    data = missing.read_bytes()
    missing.unlink()
    fault(lambda: locate.find(wanted), f"{IDX_FILES[2]}: the server said 404")
    missing.write_bytes(data)
    web.asked.clear()
    folder = config.cache_dir() / "datasets" / "fashion-mnist"
    (folder / IDX_FILES[1]).rename(folder / IDX_FILES[1].removesuffix(".gz"))  # an unpacked one is there as well
    (folder / "tmp1234").write_bytes(data[:100])  # what a killed download leaves
    locate.find(wanted)
    assert web.asked == [f"/good/{name}" for name in IDX_FILES[2:]]


def test_a_download_that_breaks_off_never_counts(web, monkeypatch):
    def broken(self, source_file, output_file):
        output_file.write(source_file.read()[:100])
        self.close_connection = True

    wanted = source(web, "good")
    with monkeypatch.context() as patch:
        patch.setattr(Handler, "copyfile", broken)
        fault(lambda: locate.find(wanted), f"{web.address}/good/: {IDX_FILES[0]}: ")
    assert not list((config.cache_dir() / "datasets" / "fashion-mnist").iterdir())
    assert len(locate.find(wanted)) == 4


def test_an_unreachable_mirror_is_asked_once(web, monkeypatch):
    asked = []
    monkeypatch.setattr(download, "unreachable", lambda address: asked.append(address) or UNREACHABLE(address))
    dead = dead_address()
    locate.find(source(web, dead, "good"))
    assert asked == [dead, f"{web.address}/good/"]


def test_a_silent_mirror_costs_its_patience_only(web, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        start = time.perf_counter()
        assert len(locate.find(source(web, address, "good"))) == 4
        message = fault(lambda: locate.find(dataclasses.replace(source(web, address), folder="other")), address)
        assert time.perf_counter() - start < 3
    assert "no answer" in message


def test_a_cache_that_cannot_be_written(web, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(config, "settings", dataclasses.replace(config.settings, cache_dir=tmp_path / "file"))
    fault(lambda: locate.find(source(web, "good")), "was found nowhere", f"{web.address}/good/: {IDX_FILES[0]}: ")


def test_pooch_is_optional(web, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    fault(lambda: locate.find(source(web, "good")), "pooch is not installed (pip install pooch)", "fashion-sketch")


def test_published_checksums_have_their_form():
    for known in (FASHION_MNIST, sources.MNIST):
        assert set(known.downloads) == set(known.unpacked_md5) == set(IDX_FILES)
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", checksum) for checksum in known.downloads.values())
        assert all(re.fullmatch("[0-9a-f]{32}", md5) for md5 in known.unpacked_md5.values())
    assert len(sources.KNOWN_CONTENT) == 8
    assert all(mirror.endswith("/") for s in (FASHION_MNIST, sources.MNIST, CAR_TRUCK) for mirror in s.mirrors)
