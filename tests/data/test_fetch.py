"""The server runs on this machine, so these tests allow 127.0.0.1 through `Network`."""

import contextlib
import ipaddress
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gradcam_eval.core import InputError
from gradcam_eval.data import fetch as module
from gradcam_eval.data.fetch import Network, fetch, is_public

LOCAL = Network(resolve=lambda host, port: ["127.0.0.1"], is_allowed=lambda a: a == "127.0.0.1")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.seen.append((self.path, self.headers["Host"]))
        path = self.path.partition("?")[0]
        if path.startswith("/hop/"):
            left = int(path[5:])
            self.redirect(f"/hop/{left - 1}" if left else "/ok")
        elif path == "/to":
            self.redirect(self.path.partition("?")[2])
        else:
            getattr(self, "get_" + path[1:].replace(".", "_"))()

    def redirect(self, where):
        self.send_response(302)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, body, length=None):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def get_ok(self):
        self.answer(b"pixels")

    def get_short(self):
        self.answer(b"pix", length=100)
        self.close_connection = True

    def get_missing(self):
        self.send_error(404)

    def get_big(self):
        self.answer(b"x" * 5000)

    def get_chunks(self):  # no Content-Length that could warn
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(50):
            self.wfile.write(b"64\r\n" + b"x" * 100 + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def get_drip(self):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.drip()

    def get_drip_header(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self.drip()

    def drip(self):  # much longer than the time-out of the tests, but not for ever
        self.close_connection = True
        with contextlib.suppress(OSError):
            for _ in range(150):
                self.server.stopping.wait(0.02)
                self.wfile.write(b"x")
                self.wfile.flush()


@pytest.fixture(scope="module")
def server():
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads, httpd.block_on_close = True, False
    httpd.seen, httpd.stopping = [], threading.Event()
    threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True).start()
    yield httpd
    httpd.stopping.set()
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def url(server):
    server.seen.clear()
    return f"http://pictures.test:{server.server_address[1]}"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::1"),
    ],
)
def test_addresses_that_are_not_public(address):
    assert not is_public(address)


def test_an_ipv4_address_inside_teredo_counts():
    inside = ipaddress.ip_address("2001:0:0808:0808::80ff:fffe")  # client 127.0.0.1, inverted
    assert str(inside.teredo[1]) == "127.0.0.1"
    assert not is_public(str(inside))


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8"])
def test_public_addresses(address):
    assert is_public(address)


def test_the_body_arrives_and_the_host_is_named(url, server):
    assert fetch(url + "/ok", network=LOCAL) == b"pixels"
    assert server.seen == [("/ok", url.removeprefix("http://"))]


def test_spaces_and_letters_beyond_ascii_are_quoted(url, server):
    fetch(url + "/to?/ok", network=LOCAL)
    with pytest.raises(InputError):
        fetch(url + "/to?a b\u00e9", network=LOCAL)
    assert ("/to?a%20b%C3%A9", url.removeprefix("http://")) in server.seen


def test_chunked_answers_are_read(url):
    assert fetch(url + "/chunks", network=LOCAL) == b"x" * 5000


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_this_machine_is_refused_without_a_connection(host, server, url):
    with pytest.raises(InputError, match="which is not public"):
        fetch(f"http://{host}:{server.server_address[1]}/ok")
    assert server.seen == []


def test_one_private_address_among_public_ones_refuses_the_host(monkeypatch):
    monkeypatch.setattr(socket, "create_connection", _must_not_be_called)
    network = Network(resolve=lambda host, port: ["8.8.8.8", "::ffff:10.0.0.1"])
    with pytest.raises(InputError, match=r"x\.test has the address ::ffff:10\.0\.0\.1, which is"):
        fetch("http://x.test/a", network=network)


def _must_not_be_called(*_, **__):
    raise AssertionError("a refused host was contacted")


def test_the_connection_goes_to_the_address_that_was_checked(url):
    asked = []

    def resolve(host, port):
        asked.append(host)
        return ["127.0.0.1"]

    network = Network(resolve=resolve, is_allowed=lambda address: True)
    assert fetch(url + "/ok", network=network) == b"pixels"  # the system knows no pictures.test
    assert asked == ["pictures.test"]


def test_redirects_are_followed_five_times(url, server):
    assert fetch(url + "/hop/4", network=LOCAL) == b"pixels"
    assert len(server.seen) == 6
    with pytest.raises(InputError, match="redirects more than 5 times"):
        fetch(url + "/hop/5", network=LOCAL)


def test_every_redirect_is_checked(url, server):
    addresses = {"pictures.test": "127.0.0.1", "inside.test": "10.0.0.7"}
    network = Network(
        resolve=lambda host, port: [addresses[host]], is_allowed=lambda a: a == "127.0.0.1"
    )
    with pytest.raises(InputError, match=r"inside\.test has the address 10\.0\.0\.7"):
        fetch(url + "/to?http://inside.test/ok", network=network)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("file:///etc/passwd", "not a web address"),
        ("ftp://pictures.test/a", "not a web address"),
        ("http://me:secret@pictures.test/a", "user name or password"),
        ("http://pictures.test:99999/", "not a valid URL"),
    ],
)
def test_a_redirect_cannot_leave_the_rules(url, where, words):
    with pytest.raises(InputError, match=words) as caught:
        fetch(f"{url}/to?{where}", network=LOCAL)
    assert "secret" not in str(caught.value).replace(where, "")


@pytest.mark.parametrize("path", ["/big", "/chunks"])
def test_the_size_is_counted_as_it_arrives(url, path):
    with pytest.raises(InputError, match="larger than 4999 bytes"):
        fetch(url + path, max_bytes=4999, network=LOCAL)
    assert len(fetch(url + path, max_bytes=5000, network=LOCAL)) == 5000


@pytest.mark.parametrize("path", ["/drip", "/drip_header"])
def test_a_server_that_drips_cannot_stretch_the_time_out(url, path):
    with pytest.raises(InputError, match=r"it took longer than 0\.3 s"):
        fetch(url + path, timeout=0.3, network=LOCAL)


def test_answers_that_fail_are_reported(url):
    with pytest.raises(InputError, match="the server answered 404 Not Found"):
        fetch(url + "/missing", network=LOCAL)
    with pytest.raises(InputError, match="cut short"):
        fetch(url + "/short", network=LOCAL)


def test_a_server_that_is_not_there(url):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match="download the file and give its path"):
        fetch(f"http://pictures.test:{port}/a", network=LOCAL)


def test_a_host_without_an_address(url):
    with pytest.raises(InputError, match="has no address"):
        fetch(url, network=Network(resolve=lambda host, port: []))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("ftp://x.test/a", "not a web address"),
        ("http:///a", "not a web address"),
        ("http://x.test:99999/a", "not a valid URL"),
        ("http://[1::zz]/", "not a valid URL|cannot be fetched"),
        ("http://" + "a" * 70 + ".test/", "not a valid host name"),
        ("https://me:secret@x.test/a", "holds a user name or password"),
    ],
)
def test_unsuitable_urls(bad, words):
    with pytest.raises(InputError, match=words) as caught:
        fetch(bad, network=LOCAL)
    assert "secret" not in str(caught.value)


def test_https_checks_the_name_and_does_not_fall_back_to_http(url, server, monkeypatch):
    names = []

    class Context:
        def wrap_socket(self, connection, server_hostname):
            names.append(server_hostname)
            return connection  # the test server speaks no TLS: only the name matters here

    monkeypatch.setattr(module.ssl, "create_default_context", Context)
    secure = url.replace("http:", "https:")
    assert fetch(secure + "/ok", network=LOCAL) == b"pixels"
    assert names == ["pictures.test"]
    with pytest.raises(InputError, match="redirects from https to http"):
        fetch(f"{secure}/to?{url}/ok", network=LOCAL)


def test_https_to_a_server_without_tls_fails(url):
    with pytest.raises(InputError, match="cannot be fetched"):
        fetch(url.replace("http:", "https:") + "/ok", timeout=5, network=LOCAL)
