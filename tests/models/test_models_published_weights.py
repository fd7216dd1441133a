"""Weights of a tag: caches before networks, one attempt, one sentence. The servers are real, and local."""

import hashlib
import http.server
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from reid_pipeline.models import open_clip_lists, published_weights
from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.open_clip_lists import configs, facts_of, tags_of
from reid_pipeline.models.pretrained import pretrained_state, weights_digest
from reid_pipeline.schema.errors import UserError

NAME, TAG = "ViT-B-16-quickgelu", "openai"
FACTS = {"hf_hub": "timm/vit_base_patch16_clip_224.openai/", "url": ""}
CONTENT = b"some weights" * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "a" * 40

Reply = tuple[int, dict[str, str], bytes]


@pytest.fixture(autouse=True)
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No network, no proxy, and caches in the test's folder; the file's name is what is left of the hub's settings."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(published_weights, "URL_CACHE", tmp_path / "clip")
    _set_host(monkeypatch, "http://127.0.0.1:9")
    return tmp_path


def _set_host(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[str], Reply]], list[str]]]:
    """Start a server that answers by the file's name, and return the list that its requests enter."""
    servers = []

    def start(reply: Callable[[str], Reply]) -> list[str]:
        asked: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = reply(self.path.rpartition("/")[2])
                asked.append(f"{self.command} {self.path.rpartition('/')[2]}")
                self.send_response(status)
                for key, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        _set_host(monkeypatch, f"http://127.0.0.1:{server.server_port}")
        return asked

    yield start
    for server in servers:
        server.shutdown()


def _offers(body: bytes, sha256: str = SHA256, **headers: str) -> Callable[[str], Reply]:
    return lambda _: (200, {"ETag": f'"{sha256}"', "X-Repo-Commit": COMMIT, **headers}, body)


def _answer() -> tuple[str, float]:
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        pretrained_state(Architecture(NAME), TAG)
    return str(error.value), time.monotonic() - start


def _require_whole_answer(text: str) -> None:
    """What to fetch, where to put it, what to set; and none of the libraries' advice or words."""
    assert text.startswith(f"The weights '{TAG}' of '{NAME}' are not in the cache, and could not be downloaded: ")
    assert (
        "https://huggingface.co/timm/vit_base_patch16_clip_224.openai/resolve/main/open_clip_model.safetensors" in text
    )
    assert "https://openaipublic.azureedge.net/clip/models/5806e77c" in text
    assert "set `pretrained` to its path" in text
    assert "models--timm--vit_base_patch16_clip_224.openai" in text
    assert "local_files_only" not in text
    assert "Traceback" not in text


def test_a_host_that_never_answers(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(published_weights, "ANSWER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as host, caplog.at_level(logging.WARNING):
        _set_host(monkeypatch, f"http://127.0.0.1:{host.getsockname()[1]}")
        text, seconds = _answer()
    _require_whole_answer(text)
    assert seconds < 2
    assert not caplog.records


def test_a_name_that_resolves_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_weights, "ANSWER_S", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(1.5))
    _set_host(monkeypatch, "http://nowhere.invalid")
    text, seconds = _answer()
    _require_whole_answer(text)
    assert "no answer within" in text
    assert seconds < 1.2


def test_a_machine_without_a_network_is_answered_at_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        text, seconds = _answer()
    _require_whole_answer(text)
    assert "Connection refused" in text
    assert seconds < 2
    assert not caplog.records


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "no scheme", "htp://nonsense"])
def test_a_proxy_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    from huggingface_hub import close_session

    monkeypatch.setenv("HTTPS_PROXY", proxy)
    _set_host(monkeypatch, "https://nowhere.invalid")
    close_session()
    text, seconds = _answer()
    close_session()
    _require_whole_answer(text)
    assert "the proxy in HTTPS_PROXY" in text
    assert seconds < 5


def test_offline_by_choice_asks_nobody(monkeypatch: pytest.MonkeyPatch, serve) -> None:
    asked = serve(_offers(CONTENT))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    text, _ = _answer()
    _require_whole_answer(text)
    assert "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set, so no download was tried." in text
    assert asked == []


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "GatedRepo", "asks for an agreement first, on its page"),
        (401, "RepoNotFound", r"without a login \(status 401\)"),
        (404, "EntryNotFound", r"the host has no such file .*\(status 404\)"),
        (404, "RepoNotFound", r"the host has no such file .*\(status 404\)"),
        (500, "", "the host answered with status 500"),
        (503, "", "the host answered with status 503"),
        (429, "", "the host answered with status 429"),
    ],
)
def test_refusals_are_taken_at_their_word(serve, status: int, code: str, says: str) -> None:
    import re

    asked = serve(lambda _: (status, {"X-Error-Code": code, "X-Repo-Commit": COMMIT}, b""))
    text, seconds = _answer()
    _require_whole_answer(text)
    assert re.search(says, text)
    assert seconds < 2
    assert len(asked) <= 3


def test_a_page_of_the_web_instead_of_the_hub(serve) -> None:
    serve(lambda _: (200, {}, b"<html>Please log in to this network</html>"))
    _require_whole_answer(_answer()[0])


def test_a_download_is_stored_once_and_found_without_a_network(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = serve(_offers(CONTENT))
    path = published_weights.published_file("x", FACTS)
    assert path.read_bytes() == CONTENT
    count = len(asked)
    _set_host(monkeypatch, "http://127.0.0.1:9")
    assert published_weights.published_file("x", FACTS) == path
    assert weights_digest(NAME, TAG) == SHA256
    assert len(asked) == count
    with pytest.raises(UserError, match="cannot be read as weights: it begins with b'some weights"):
        pretrained_state(Architecture(NAME), TAG)


def test_a_repository_without_safetensors(serve) -> None:
    def reply(name: str) -> Reply:
        if name.endswith("safetensors"):
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, b""
        return _offers(CONTENT)(name)

    serve(reply)
    assert published_weights.published_file("x", FACTS).name == "open_clip_pytorch_model.bin"


def test_a_download_of_another_content_leaves_nothing(serve, tmp_path: Path) -> None:
    serve(_offers(b"a page of the provider", SHA256))
    with pytest.raises(UserError, match="what came has not the SHA-256 that the host states; it was removed"):
        published_weights.published_file("x", FACTS)
    assert not [path for path in (tmp_path / "hub").rglob("*") if path.suffix == ".safetensors" or path.name == SHA256]


@pytest.mark.slow
def test_a_download_that_ends_early_leaves_nothing(serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    serve(_offers(CONTENT, SHA256, **{"Content-Length": str(2 * len(CONTENT))}))
    with pytest.raises(UserError, match="could not be downloaded: peer closed connection"):
        published_weights.published_file("x", FACTS)
    assert not [
        path for path in (tmp_path / "hub").rglob("*") if path.is_file() and path.stat().st_size >= len(CONTENT)
    ]


def test_a_damaged_file_of_the_cache(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(_offers(CONTENT))
    path = published_weights.published_file("x", FACTS)
    path.resolve().write_bytes(CONTENT[:-1])
    _set_host(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"are damaged: their SHA-256 begins with \w+, and should with .*\. Remove it"):
        published_weights.published_file("x", FACTS)


@pytest.mark.parametrize("in_the_way", ["hub", "hub/models--timm--vit_base_patch16_clip_224.openai"])
def test_a_cache_that_cannot_be_written(serve, tmp_path: Path, in_the_way: str) -> None:
    serve(_offers(CONTENT))
    (tmp_path / in_the_way).parent.mkdir(exist_ok=True)
    (tmp_path / in_the_way).write_text("a file where the cache's folder should be")
    with pytest.raises(UserError, match=r"could not be downloaded: .*hub.*: .* \(HF_HOME may name another folder"):
        published_weights.published_file("x", FACTS)


def test_the_cache_of_openais_own_package(tmp_path: Path) -> None:
    facts = {**FACTS, "url": f"https://openaipublic.azureedge.net/clip/models/{SHA256}/ViT-B-16.pt"}
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "ViT-B-16.pt").write_bytes(CONTENT)
    assert published_weights.published_file("x", facts) == tmp_path / "clip" / "ViT-B-16.pt"
    (tmp_path / "clip" / "ViT-B-16.pt").write_bytes(b"cut")
    with pytest.raises(
        UserError, match=r"ViT-B-16.pt are damaged: their SHA-256 .* get it again: https://openaipublic"
    ):
        published_weights.published_file("x", facts)


def test_open_clips_lists_are_its_own() -> None:
    import open_clip

    own = {file.stem for file in (Path(open_clip_lists.__file__).parent / "configs").glob("*.json")}
    assert "demo-vit" in own
    assert set(configs()) - own == set(open_clip.list_models()) - own
    assert all(config == open_clip.get_model_config(name) for name, config in configs().items() if name not in own)
    for name, tag in open_clip.list_pretrained():
        assert facts_of(name, tag) == open_clip.get_pretrained_cfg(name, tag)
        assert tag in tags_of(name)
        assert facts_of(name, tag)["hf_hub"], "published_file knows no other host"


@pytest.mark.slow
def test_nothing_is_waited_for_before_the_cache_is_looked_at(tmp_path: Path) -> None:
    """Neither a wrong name nor missing weights cost the ten seconds of open_clip's import."""
    code = (
        "import sys\n"
        "from reid_pipeline.models.architecture import Architecture\n"
        "from reid_pipeline.models.pretrained import pretrained_state, weights_digest\n"
        "from reid_pipeline.schema.errors import UserError\n"
        "for call in (lambda: Architecture('vit-b-16'), lambda: weights_digest('ViT-B-16', 'no-tag'),\n"
        f"    lambda: pretrained_state(Architecture({NAME!r}), {TAG!r})):\n"
        "    try: call()\n"
        "    except UserError as error: print(error)\n"
        "assert 'open_clip' not in sys.modules\n"
    )
    environment = {"HF_HUB_OFFLINE": "1", "HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    unknown, no_tag, missing = found.stdout.splitlines()
    assert "Did you mean 'ViT-B-16'?" in unknown
    assert "Unknown pretrained weights 'no-tag'" in no_tag
    assert "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set" in missing
    assert found.stderr == ""
