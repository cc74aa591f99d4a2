"""The gRPC server of lib/net, spoken to by grpcio and by raw sockets.

covers: b24 g1 g59
"""
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import grpc
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    archives = [f"{BUILD}/lib/lib{m}.a" for m in ("net", "loop", "base")]
    subprocess.run(["make", "-s", f"BUILD={BUILD}", *archives], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    out = tmp_path_factory.mktemp("grpc") / "grpc_echo"
    libs = subprocess.check_output(["pkg-config", "--libs", "libuv", "libnghttp2", "openssl", "libxxhash"], text=True).split()
    # Neither libcurl nor libmicrohttpd: that it links shows that the agent can do without them.
    subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-g", "-I", ROOT / "lib", pathlib.Path(__file__).with_name("grpc_echo.c"),
                    "-o", out, "-Wl,--start-group", *archives, "-Wl,--end-group", *libs, "-lpthread", "-lm"], check=True)
    return out


class Server:
    def __init__(self, program, *args):
        self.process = subprocess.Popen([program, *args], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}", options=[
            ("grpc.max_receive_message_length", 16 << 20), ("grpc.max_send_message_length", 16 << 20), ("grpc.use_local_subchannel_pool", 1)])

    def unary(self, name, request=b"", **kw):
        kw.setdefault("timeout", 10)
        return self.channel.unary_unary(f"/test.Echo/{name}")(request, **kw)

    def bidi(self, name, requests, **kw):
        return self.channel.stream_stream(f"/test.Echo/{name}")(requests, **kw)

    def end(self):
        self.channel.close()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0


@pytest.fixture()
def server(program):
    s = Server(program)
    yield s
    s.end()


def refused(call):
    with pytest.raises(grpc.RpcError) as e:
        call()
    return e.value


def test_unary_and_metadata(server):
    assert server.unary("Echo", b"hello") == b"hello"
    assert server.unary("Echo", b"") == b""
    told = server.unary("Tell", b"x", metadata=[("clusterid", "Kubernetes")]).decode()
    assert "peer=127.0.0.1:" in told and "loopback=1 tls=0 clusterid=Kubernetes deadline=1" in told


def test_statuses(server):
    e = refused(lambda: server.unary("Refuse"))
    assert e.code() == grpc.StatusCode.PERMISSION_DENIED and e.details() == "no: 100% \u00fc\n"
    assert refused(lambda: server.unary("Nothing")).code() == grpc.StatusCode.UNIMPLEMENTED
    assert refused(lambda: server.unary("Hold", timeout=0.2)).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert refused(lambda: server.unary("Echo", b"x" * 1000, compression=grpc.Compression.Gzip)).code() == grpc.StatusCode.UNIMPLEMENTED
    assert refused(lambda: server.unary("Echo", b"x" * ((4 << 20) + 1))).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.unary("Echo", b"y") == b"y"


@pytest.mark.parametrize("size", [0, 1, 16384 - 5, 16384, 600 << 10, 8 << 20])
def test_big_answers(server, size):
    assert server.unary("Blob", str(size).encode()) == b"x" * size


def test_stream_of_messages(server):
    ready = threading.Semaphore(1)

    def requests():
        for i in range(200):
            ready.acquire()
            yield b"m%d" % i

    answers = []
    for m in server.bidi("Echo", requests(), timeout=20):
        answers.append(m)
        ready.release()
        if len(answers) == 200:
            break
    assert answers == [b"m%d" % i for i in range(200)]


def test_many_streams(server):
    done = threading.Event()
    calls = [server.bidi("Echo", iter_then_wait(b"%d" % i, done), timeout=60) for i in range(300)]
    assert [next(c) for c in calls] == [b"%d" % i for i in range(300)]
    done.set()
    for c in calls:
        c.cancel()
    assert server.unary("Echo", b"after") == b"after"


def iter_then_wait(message, done):
    yield message
    done.wait(30)


def test_slow_reader_does_not_stop_others(server):
    done = threading.Event()
    slow = grpc.insecure_channel(f"127.0.0.1:{server.port}", options=[("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 16 << 20)])
    call = slow.stream_stream("/test.Echo/Blob")(iter_then_wait(str(8 << 20).encode(), done), timeout=60)  # nobody reads it
    for i in range(20):
        assert len(server.unary("Blob", b"100000")) == 100000
    assert len(next(call)) == 8 << 20  # and late is not too late
    done.set()
    slow.close()


def test_garbage(server):
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(5000), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(3000), b""):
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            s.sendall(garbage)
            s.shutdown(socket.SHUT_WR)
            s.settimeout(5)
            try:
                while s.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    assert server.unary("Echo", b"still here") == b"still here"


def test_shutdown_ends_streams_with_unavailable(program):
    s = Server(program)
    done = threading.Event()
    call = s.bidi("Echo", iter_then_wait(b"m", done), timeout=30)
    assert next(call) == b"m"
    s.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    e = refused(lambda: next(call))
    assert e.code() == grpc.StatusCode.UNAVAILABLE and time.monotonic() - began < 3
    done.set()
    assert s.process.wait(10) == 0
    s.channel.close()


def test_age_moves_clients_without_errors(program):
    """A client that makes short calls never sees the connection change."""
    s = Server(program, "300")
    end = time.monotonic() + 3
    peers = set()
    while time.monotonic() < end:
        peers.add(s.unary("Tell", b"x").split(b" ")[0])
        time.sleep(0.01)
    assert len(peers) >= 3
    s.end()
