"""Downloads against a server of this machine: whole, torn, forged, refused."""

from __future__ import annotations

import gc
import hashlib
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from archcost.data.download import download, fetch
from archcost.data.known import KNOWN, File, Known
from archcost.errors import InputError

CONTENT = b"some data" * 1000


class Server(BaseHTTPRequestHandler):
    """Serves one file whole, forged, torn, behind a redirect, or not at all."""

    def do_GET(self) -> None:
        """Answer as the path says."""
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/whole")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write({"/forged": b"X" + CONTENT[1:], "/torn": CONTENT[:100]}.get(self.path, CONTENT))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """A server on a free port; `asked` lists what it was asked for."""
    made = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    made.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def known(server: ThreadingHTTPServer, path: str, algorithm: str = "sha256") -> Known:
    """Return a data set of one file that the server has at `path`."""
    digest = f"{algorithm}:{hashlib.new(algorithm, CONTENT).hexdigest()}"
    url = f"http://127.0.0.1:{server.server_port}/{path}"
    return Known("mine", "", "", (("a.bin",),), (File("a.bin", url, digest),))


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_download(server: ThreadingHTTPServer, tmp_path: Path, algorithm: str) -> None:
    """A file whose hash is right is there, once: it is not asked for again."""
    about = known(server, "whole", algorithm)
    assert tmp_path / "new" / "mine" == download(about, tmp_path / "new")
    assert CONTENT == (tmp_path / "new" / "mine" / "a.bin").read_bytes()
    download(about, tmp_path / "new")
    assert ["/whole"] == server.asked  # type: ignore[attr-defined]


def test_a_redirect_is_followed(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    """Fashion-MNIST's address leads to another one."""
    assert CONTENT == (download(known(server, "moved"), tmp_path) / "a.bin").read_bytes()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # pooch leaves the connection of a torn download
@pytest.mark.parametrize(
    ("path", "why"), [("forged", "not the published one"), ("missing", "HTTPError"), ("torn", "a.bin")]
)
def test_failed_downloads(server: ThreadingHTTPServer, tmp_path: Path, path: str, why: str) -> None:
    """A forged, missing or torn file is refused, with what to do, and leaves nothing behind."""
    with pytest.raises(InputError, match=r"allowed: try again, or put a\.bin into") as error:
        download(known(server, path), tmp_path)
    assert why in str(error.value)
    del error
    gc.collect()  # here, where the warning is expected
    assert [] == [each for each in tmp_path.rglob("*") if each.is_file()]


def test_no_server(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    """An address nobody answers at is a mistake with what to do."""
    about = known(server, "whole")
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match="ConnectionError"):
        download(about, tmp_path)


def test_a_broken_file_is_replaced(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    """A file that is there but torn is downloaded again."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.bin").write_bytes(b"torn")
    assert CONTENT == (download(known(server, "whole"), tmp_path) / "a.bin").read_bytes()


def test_a_folder_that_cannot_be_written(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    """A file in the folder's place is a mistake of words."""
    (tmp_path / "mine").write_text("")
    with pytest.raises(InputError, match="cannot download"):
        download(known(server, "whole"), tmp_path)


def test_progress_and_silence(server: ThreadingHTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each file is announced to the caller; nothing is written to the terminal."""
    said: list[str] = []
    download(known(server, "whole"), tmp_path, lambda what: (said.append(what), nullcontext(what))[1])
    assert ["downloading a.bin"] == said
    assert ("", "") == capsys.readouterr()


@pytest.mark.parametrize(
    ("name", "words"),
    [("digit", "did you mean 'digits'"), ("digits", "in the package"), ("ptb", "LDC"), ("images", "a folder with")],
)
def test_what_cannot_be_fetched(name: str, words: str) -> None:
    """An unknown name and a data set that is not to be downloaded say what is allowed."""
    with pytest.raises(InputError, match=words):
        fetch(name)


def test_every_download_is_checked() -> None:
    """Every file comes over https, has a published hash and the name under which it is looked for."""
    files = [(about, file) for about in KNOWN for file in about.files]
    assert all(file.url.startswith("https://") for _, file in files)
    assert {("md5", 32), ("sha256", 64)} == {
        (kind, len(rest)) for _, f in files for kind, rest in [f.digest.split(":")]
    }
    assert all(tuple(file.name for file in about.files) == about.choices[0] for about, _ in files)
